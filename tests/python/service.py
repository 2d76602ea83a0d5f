"""Running `gigastt serve` for a test, and talking to it."""

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import threading
import time

import httpx
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from conftest import read_wav

# Nothing here takes long; a wait that reaches this has failed, however busy the machine is.
PATIENCE = 120


class Service:
    """A running service."""

    def __init__(self, process):
        self.process, self.lines = process, []
        # Read all along: a full pipe would hold the service up.
        self.reading = threading.Thread(target=self.read, daemon=True)
        self.reading.start()

    def listening(self, port):
        self.port = port
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=PATIENCE, trust_env=False)

    def read(self):
        for line in self.process.stderr:
            self.lines.append(line)

    @property
    def log(self):
        return "".join(self.lines)

    def connect(self, path="/v1/ws", **options):
        options = {"open_timeout": PATIENCE, "close_timeout": PATIENCE, "proxy": None} | options
        return connect(f"ws://127.0.0.1:{self.port}{path}", **options)

    def metrics(self):
        """The value of every sample, by name and labels as they are written."""
        (address,) = re.findall(r"serving metrics address=(\S+)", self.log)
        # Outside the origin policy: a page that may not come in elsewhere does no harm here.
        origin = {"origin": "https://elsewhere.example"}
        answer = httpx.get(f"http://{address}/metrics", headers=origin, timeout=PATIENCE, trust_env=False)
        assert answer.status_code == 200 and answer.headers["content-type"].startswith("text/plain")
        samples = [line.rsplit(" ", 1) for line in answer.text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, value in samples}

    def signal(self, number=signal.SIGTERM):
        self.process.send_signal(number)

    def end(self):
        """Waits for the process to end; its exit code."""
        code = self.process.wait(PATIENCE)
        self.reading.join(PATIENCE)
        return code


@contextlib.contextmanager
def running(program, folder, *flags, model="embedded", ready=True, port=0, **variables):
    """A service, on a free port unless one is named, stopped at the end."""
    port_file = folder / f"port{time.monotonic_ns()}"
    command = [program, "serve", "--model", model, "--port", port, "--port-file", port_file, *flags]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIGASTT_")}
    process = subprocess.Popen(
        list(map(str, command)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment | variables,
    )
    service = Service(process)
    try:
        until(lambda: port_file.exists() or process.poll() is not None)
        assert process.poll() is None, service.end() or service.log
        service.listening(int(port_file.read_text()))
        told = process.stdout.readline()
        assert told.startswith("listening on http://") and told.endswith(f":{service.port}\n"), told
        if ready:
            until(lambda: service.http.get("/ready").status_code == 200)
        yield service
    finally:
        if process.poll() is None:
            process.kill()
        service.end()
        sys.stderr.write(service.log)


def until(condition):
    """Waits for a condition."""
    limit = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < limit, "the condition did not come true"
        time.sleep(0.01)


def pcm(path):
    return read_wav(path).tobytes()


def pieces(data, size):
    return [data[at : at + size] for at in range(0, len(data), size)]


def configure(socket, **wishes):
    socket.send(json.dumps({"type": "configure", "sample_rate": 16_000} | wishes))


def receive(socket):
    return json.loads(socket.recv(timeout=PATIENCE))


def rest(socket):
    """The objects up to Close, and its code."""
    objects = []
    try:
        while True:
            objects.append(receive(socket))
    except ConnectionClosed:
        return objects, socket.close_code


def finals(objects):
    """The joined texts of the finals."""
    return " ".join(o["text"] for o in objects if o["type"] == "final" and o["text"])
