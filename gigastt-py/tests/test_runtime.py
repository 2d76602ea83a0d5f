"""Where ONNX Runtime's library is looked for."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from gigastt import _runtime

BESIDE = [
    "__init__.py",
    "libonnxruntime_providers_shared.so",
    "libonnxruntime_providers_cuda.so",
    "libonnxruntime_providers_shared.dylib",
    "onnxruntime_providers_shared.dll",
    "onnxruntime_pybind11_state.so",
    "onnxruntime_pybind11_state.pyd",
]
"""What lies beside it in the packages, and is not it."""


@pytest.fixture
def capi(tmp_path, monkeypatch):
    """The folder of libraries in a package `onnxruntime` that is found before any other."""
    capi = tmp_path / "onnxruntime" / "capi"
    capi.mkdir(parents=True)
    (tmp_path / "onnxruntime" / "__init__.py").touch()
    for name in BESIDE:
        (capi / name).touch()
    monkeypatch.delitem(sys.modules, "onnxruntime", raising=False)
    monkeypatch.delenv("GIGASTT_ORT", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    return capi


@pytest.mark.parametrize(
    "name",
    [
        "libonnxruntime.so",
        "libonnxruntime.so.1",
        "libonnxruntime.so.1.24.1",
        "libonnxruntime.dylib",
        "libonnxruntime.1.24.1.dylib",
        "onnxruntime.dll",
    ],
)
def test_the_library_is_found_by_the_name_it_has_on_each_system(capi, name):
    assert _runtime.library() is None
    (capi / name).touch()
    assert _runtime.library() == capi / name


def test_the_variable_comes_first(capi, monkeypatch):
    (capi / "libonnxruntime.so").touch()
    monkeypatch.setenv("GIGASTT_ORT", "/own/library")
    assert _runtime.library() == Path("/own/library")


def test_it_reports_nothing(tmp_path):
    """It would queue what it reports under the home folder, and wait for the thread that sends it as a child ends."""
    program = "import os, signal, sys, gigastt; engine = gigastt.Engine(threads=1); child = os.fork()\n"
    program += "if child == 0: signal.alarm(60); sys.exit(7)\nsys.exit(os.waitpid(child, 0)[1] >> 8)"
    told = {"ORT_DISABLE_TELEMETRY", "XDG_CACHE_HOME"}
    variables = {name: value for name, value in os.environ.items() if name not in told}
    ended = subprocess.run([sys.executable, "-c", program], env={**variables, "HOME": str(tmp_path)}, timeout=300)
    assert ended.returncode == 7
    assert not (tmp_path / ".cache/Microsoft").exists()
