"""A running service."""

import contextlib
import re
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import httpx

PATIENCE_S = 120


@contextlib.contextmanager
def running(program: str, folder: str, suffix: str, threads: str) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """The process and its port, once the model is loaded; stopped at the end."""
    with tempfile.TemporaryDirectory() as place:
        port_file = Path(place, "port")
        command = [program, "serve", "--model", folder, "--threads", threads, "--port", "0", "--port-file", port_file]
        command += ["--body-limit-bytes", str(1 << 30), "--quantization", suffix]
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            yield process, _ready(process, port_file)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)


def optimized(process: subprocess.Popen[bytes]) -> str | None:
    """The fast form whose weights the process has mapped."""
    mapped = re.search(r"/optimized/[^/]*\.(int8|fp32)\.[^/]*/", Path(f"/proc/{process.pid}/maps").read_text())
    return mapped and mapped[1]


def _ready(process: subprocess.Popen[bytes], port_file: Path) -> int:
    end = time.monotonic() + PATIENCE_S
    while time.monotonic() < end and process.poll() is None:
        with contextlib.suppress(OSError, ValueError, httpx.HTTPError):
            port = int(port_file.read_text())
            if httpx.get(f"http://127.0.0.1:{port}/ready", trust_env=False).status_code == 200:
                return port
        time.sleep(0.01)
    raise RuntimeError(f"the service did not become ready; exit code {process.poll()}")
