"""What the program shows on a terminal and hides elsewhere."""

import fcntl
import os
import pty
import struct
import subprocess
import termios

from conftest import SAMPLES, read_wav


def open_terminal(columns=120):
    """A terminal's two ends: ours, and the program's."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    return ours, theirs


def environment():
    return {k: v for k, v in os.environ.items() if k != "NO_COLOR"} | {"TERM": "xterm", "COLUMNS": "120"}


def read_until(ours, wanted):
    """What the program shows until that is among it."""
    shown = b""
    while wanted not in shown:
        shown += os.read(ours, 65_536)
    return shown


def read_all(ours, shown=b""):
    """What the program shows until it ends."""
    while True:
        try:
            piece = os.read(ours, 65_536)
        except OSError:  # The other end is closed: the program has ended.
            break
        if not piece:
            break
        shown += piece
    os.close(ours)
    return shown.decode()


def shown_on_a_terminal(command):
    """Runs with standard error on a terminal; returns what was shown there, and standard output."""
    ours, theirs = open_terminal()
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=theirs, env=environment()
    )
    os.close(theirs)
    shown = read_all(ours)
    printed = process.stdout.read()
    process.stdout.close()
    assert process.wait() == 0
    return shown, printed.decode()


def test_a_terminal_shows_progress(program):
    (long,) = [path for path in SAMPLES if path.stem.startswith("long")]
    command = [program, "transcribe", "--model", "embedded", long]
    shown, printed = shown_on_a_terminal(command)
    assert "%" in shown and "real time" in shown, shown
    assert "%" not in printed and printed.strip()

    shown, again = shown_on_a_terminal([*command, "--quiet"])
    assert (shown, again) == ("", printed)


def test_a_terminal_shows_what_is_being_said(program):
    (sample,) = [path for path in SAMPLES if path.stem == "sample_08"]
    ours, theirs = open_terminal()
    command = [program, "listen", "--model", "embedded", "--log-level", "error"]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=theirs, stderr=subprocess.PIPE, env=environment()
    )
    os.close(theirs)
    # The rest comes once something of the sentence is shown: a busy program may be too late for that otherwise.
    process.stdin.write(read_wav(sample).tobytes())
    process.stdin.flush()
    begun = read_until(ours, b"\x1b[2K")
    process.stdin.write(bytes(48_000))
    process.stdin.close()
    shown = read_all(ours, begun)
    assert (process.stderr.read(), process.wait()) == (b"", 0)
    process.stderr.close()
    bold, dim, again = "\x1b[1m", "\x1b[2m", "\r\x1b[2K"
    *partials, final, end = shown.split(again)[1:] + [""]
    assert end == "" and final.strip() == sample.with_suffix(".txt").read_text().strip(), shown
    assert bold not in final and dim not in final, shown
    assert partials and all(bold in partial or dim in partial for partial in partials), shown
