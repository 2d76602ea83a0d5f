"""Two programs' worth of sessions on one engine from 8 threads for a minute: every final is that of one alone."""

import re

from support import SAMPLES, run

SECONDS = 60


def test_a_minute_of_sessions(build):
    samples = [SAMPLES / f"sample_{number}.wav" for number in ("00", "01", "02", "04", "05", "08")]
    printed = run(build("tests/c/sessions.cpp", flags=["-O1"]), SECONDS, *samples)
    sessions, wrong = map(int, re.findall(r"\d+", printed))
    # Each thread opened its four once at least, however slow the machine is.
    assert wrong == 0 and sessions >= 32
