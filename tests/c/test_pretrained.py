"""Published models by their names, from C: installed ones, and a hub on this machine that has none."""

import json
import os
import shutil
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from support import ROOT, run

DENSE = ROOT / "gigastt-core" / "tests" / "data" / "models" / "dense"


@pytest.fixture(scope="module")
def opener(build):
    return build("tests/c/pretrained.c")


def opened(opener, name, folder, **more):
    return run(opener, name, env={**os.environ, "GIGASTT_MODEL_DIR": str(folder), **more}).split("\n")


def test_an_installed_model_is_made_fast(opener, tmp_path):
    shutil.copytree(DENSE, tmp_path / "gigaam-v3-ctc")
    status, info, _ = opened(opener, "gigaam-v3-ctc", tmp_path, GIGASTT_OFFLINE="1")
    assert (status, json.loads(info)["optimized"]) == ("ok", "int8")


def test_one_that_is_not_there_is_asked_for(opener, tmp_path):
    asked = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    hub = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=hub.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{hub.server_port}"
    assert opened(opener, "gigaam-v3-e2e-rnnt", tmp_path, GIGASTT_HUB=address)[0] == "network"
    assert asked == ["/istupakov/gigaam-v3-onnx/resolve/main/v3_e2e_rnnt_vocab.txt"]
    hub.shutdown()
    assert opened(opener, "gigaam-v3-e2e-rnnt", tmp_path, GIGASTT_OFFLINE="1")[0] == "model_not_found"
    assert opened(opener, "gigaam-v9", tmp_path)[0] == "invalid_argument"
