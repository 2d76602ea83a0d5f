"""The engine that the tests share."""

import time

import pytest

import gigastt


class Patient(gigastt.Engine):
    """Tests push faster than anybody speaks, and some run side by side: a stream that is refused because there is too
    much to do is asked for again."""

    def recognizer(self, *args, **options):
        while True:
            try:
                return super().recognizer(*args, **options)
            except gigastt.BusyError:
                time.sleep(0.01)


@pytest.fixture(scope="session")
def engine():
    return Patient(threads=2)
