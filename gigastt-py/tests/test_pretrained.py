"""Published models by their names: from the models folder, else from a hub, which here is on this machine."""

import os
import re
import shutil
import signal
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

import gigastt
from gigastt import _models
from gigastt.__main__ import main

DENSE = Path(__file__).resolve().parents[2] / "gigastt-core" / "tests" / "data" / "models" / "dense"
"""A small CTC network that can be made fast."""


class Hub(ThreadingHTTPServer):
    """Answers every request with `status` and `body`; calls `before` the answer and `amid` it."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.status, self.body, self.asked = 200, b"", []
        self.before = self.amid = lambda: None


class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.server.asked.append(self.path)
        self.server.before()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(self.server.body)))
        self.end_headers()
        self.server.amid()
        self.wfile.write(self.server.body)

    def log_message(self, *_):
        pass


@pytest.fixture
def hub(monkeypatch):
    hub = Hub()
    thread = threading.Thread(target=hub.serve_forever, daemon=True)
    thread.start()
    monkeypatch.setenv("GIGASTT_HUB", f"http://127.0.0.1:{hub.server_port}")
    monkeypatch.delenv("GIGASTT_OFFLINE", raising=False)
    yield hub
    hub.shutdown()
    hub.server_close()
    thread.join()


def test_what_is_installed_is_made_fast_and_nothing_is_asked(hub, tmp_path):
    shutil.copytree(DENSE, tmp_path / "own-name")
    with gigastt.Engine.from_pretrained("gigaam-v3-ctc", models=tmp_path, threads=1) as engine:
        assert (engine.info.name, engine.info.optimized) == ("gigaam-v3-ctc", "int8")
        assert engine.info.source == str(tmp_path / "own-name")
    assert hub.asked == []
    with gigastt.Engine(tmp_path / "own-name", threads=1) as engine:
        assert engine.info.optimized == "int8"
    with gigastt.Engine(threads=1) as engine:
        assert engine.info.optimized is None


def test_what_the_hub_gives_has_to_be_what_was_published(hub, tmp_path):
    hub.body = b"something else"
    with pytest.raises(gigastt.InvalidModelError, match="SHA-256"):
        gigastt.Engine.from_pretrained(models=tmp_path)
    assert set(hub.asked) == {"/istupakov/gigaam-v3-onnx/resolve/main/v3_e2e_rnnt_vocab.txt"}
    assert [path.name for path in (tmp_path / "gigaam-v3-e2e-rnnt").iterdir()] == []


def test_progress_is_told(hub, tmp_path, capsys):
    hub.body = b"something else"
    size = len(hub.body)

    def fetch(progress):
        gigastt.Engine.from_pretrained(models=tmp_path, progress=progress)

    told = []
    with pytest.raises(gigastt.InvalidModelError):
        fetch(told.append)
    assert told[-1] == gigastt.Download("v3_e2e_rnnt_vocab.txt", size, size)
    with pytest.raises(gigastt.InvalidModelError):
        fetch(True)
    assert re.search(rf"v3_e2e_rnnt_vocab.txt: .*{size:.1f}/{size:.1f}", capsys.readouterr().err)
    with pytest.raises(ZeroDivisionError):
        fetch(lambda state: 1 / 0)


def test_the_program_takes_names(hub, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("GIGASTT_MODEL_DIR", str(tmp_path))
    shutil.copytree(DENSE, tmp_path / "own-name")
    assert main(["info", "--model", "gigaam-v3-ctc", "--threads", "1"]) == 0
    assert f"gigaam-v3-ctc, {tmp_path / 'own-name'}" in capsys.readouterr().out
    hub.body = b"something else"
    assert main(["info", "--model", "gigaam-v3-rnnt"]) == 3
    fetching, error = capsys.readouterr().err.splitlines()
    assert fetching == "fetching v3_vocab.txt, 0.0 MB"
    assert "SHA-256" in error


def test_the_names_are_those_that_can_be_fetched(tmp_path):
    with pytest.raises(gigastt.InvalidArgumentError) as caught:
        gigastt.Engine.from_pretrained("gigaam-v9", models=tmp_path)
    assert caught.value.message == f"expected one of {', '.join(_models.PUBLISHED)}, found gigaam-v9"


def test_a_hub_without_it_is_a_network_error(hub, tmp_path):
    hub.status = 404
    with pytest.raises(gigastt.NetworkError, match="404"):
        gigastt.Engine.from_pretrained("gigaam-v3-rnnt", models=tmp_path)
    with pytest.raises(gigastt.InvalidArgumentError, match="gigaam-v3-e2e-rnnt"):
        gigastt.Engine.from_pretrained("gigaam-v9", models=tmp_path)


@pytest.mark.parametrize("where", ["before its answer", "in the middle of it"])
def test_ctrl_c_ends_it_while_the_hub_says_nothing(hub, tmp_path, where):
    """Without the signal the stalled connection would be given up after half a minute."""
    over = threading.Event()

    def stall():
        os.kill(os.getpid(), signal.SIGINT)
        over.wait()

    if where == "before its answer":
        hub.before = stall
    else:
        hub.body, hub.amid = b"something else", stall
    # A process in the background may have been started with the signal ignored.
    handler = signal.signal(signal.SIGINT, signal.default_int_handler)
    begun = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            gigastt.Engine.from_pretrained(models=tmp_path)
    finally:
        signal.signal(signal.SIGINT, handler)
        over.set()
    assert time.monotonic() - begun < 25
    assert len(hub.asked) == 1
