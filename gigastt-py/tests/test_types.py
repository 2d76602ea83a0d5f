"""The types: the package and the examples are checked strictly, the stubs against what is there."""

import subprocess
import sys
from pathlib import Path

from samples import ROOT


def check(*command, folder):
    run = subprocess.run([sys.executable, *command], cwd=folder, capture_output=True, text=True)
    assert run.returncode == 0, run.stdout + run.stderr


ARRAYS = """
import array

import numpy as np

import gigastt

samples = np.zeros(16_000, np.int16)
engine = gigastt.Engine()
engine.transcribe(samples, sample_rate=16_000)
for _, result in engine.transcribe_many([samples, samples.reshape(-1, 2)], sample_rate=8_000):
    print(result)
with engine.recognizer() as rec:
    rec.push_pcm(samples)
    rec.push_pcm(samples.tobytes())
    rec.push_pcm(array.array("h"))
"""


def test_mypy_is_content(tmp_path):
    """With the package as it is installed, so that `py.typed` counts. Arrays of numpy have no buffer in 3.11."""
    arrays = tmp_path / "arrays.py"
    arrays.write_text(ARRAYS)
    examples = map(str, sorted((ROOT / "examples" / "python").glob("*.py")))
    options = ("--strict", "--config-file", str(ROOT / "gigastt-py" / "pyproject.toml"), "--cache-dir", str(tmp_path))
    check("-m", "mypy", "--python-version", "3.11", *options, *examples, str(arrays), folder=tmp_path)
    check("-m", "mypy", *options, "-p", "gigastt", folder=tmp_path)


def test_the_stubs_say_what_is_there(tmp_path):
    allowed = Path(__file__).with_name("stubtest.allow")
    check("-m", "mypy.stubtest", "gigastt", "--allowlist", str(allowed), "--mypy-config-file", str(ROOT / "gigastt-py" / "pyproject.toml"), folder=tmp_path)
