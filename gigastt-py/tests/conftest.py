"""The engine that the tests share."""

import pytest

import gigastt


@pytest.fixture(scope="session")
def engine():
    return gigastt.Engine(threads=2)
