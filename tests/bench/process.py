"""Runs one process and says what it took as a whole."""

import json
import os
import subprocess
import tempfile
import threading
import time
from pathlib import Path
from typing import Any


PATIENCE_S = 900
"""No child takes so long."""
REASON_MAX = 160


class ChildFailed(Exception):
    """A process that ended with an error or never; what it said is in the message."""

    @property
    def reason(self) -> str:
        """The last thing that it said, in one line."""
        said = [line.strip() for line in str(self).splitlines() if line.strip()]
        return said[-1][:REASON_MAX] if said else "it said nothing"


def measured(command: list[str | Path], threads: int) -> dict[str, Any]:
    """Runs `command`, whose last line of output is a JSON object; adds the figures of the whole process.

    `process_s`: wall time from start to end; `cpu_s`: processor time; `peak_mb`: peak resident memory, 10^6 bytes.
    Libraries that look at OMP_NUM_THREADS see `threads`.
    """
    words = list(map(str, command))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIGASTT_")}
    environment |= {"OMP_NUM_THREADS": str(threads)}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        child = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=environment)
        late = threading.Timer(PATIENCE_S, child.kill)
        late.start()
        _, status, usage = os.wait4(child.pid, 0)
        late.cancel()
        process_s = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        said, complained = out.read().decode(), err.read().decode(errors="replace")
    if child.returncode != 0:
        raise ChildFailed(f"ended with {child.returncode}: {words}\n{complained[-2000:]}")
    # Kilobytes on Linux, bytes on macOS.
    unit = 1 if os.uname().sysname == "Darwin" else 1024
    whole = {
        "process_s": process_s,
        "cpu_s": usage.ru_utime + usage.ru_stime,
        "peak_mb": usage.ru_maxrss * unit / 1e6,
    }
    try:
        return json.loads(said.strip().splitlines()[-1]) | whole
    except (ValueError, IndexError) as unreadable:
        raise ChildFailed(f"ended without saying what it took: {words}") from unreadable


def forget(folder: Path) -> None:
    """Asks the system to drop the folder's files from its memory, so that the next load reads the disk."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
