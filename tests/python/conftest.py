"""What the tests share: the program, the samples, and recordings made of them."""

import json
import os
import subprocess
import wave
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = sorted((ROOT / "tests" / "samples").glob("*.wav"))
EMBEDDED = ROOT / "gigastt-core" / "models" / "embedded"
RATE = 16_000


@pytest.fixture(scope="session")
def program():
    """The path of `gigastt`: what GIGASTT names, else the debug build."""
    path = ROOT / os.environ.get("GIGASTT", "target/debug/gigastt")
    assert path.exists(), f"{path} is missing; run `cargo build -p gigastt-sidecar`, or `make test-python`"
    return path


@pytest.fixture(scope="session")
def transcribe(program):
    """A function from files to the program's JSON records, tokens included, by the embedded model."""

    def run(files):
        command = [program, "transcribe", "--model", "embedded", "--format", "json", "--tokens", *files]
        result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        assert (result.returncode, result.stderr) == (0, "")
        return [json.loads(line) for line in result.stdout.splitlines()]

    return run


def read_wav(path):
    with wave.open(str(path)) as wav:
        assert (wav.getframerate(), wav.getnchannels(), wav.getsampwidth()) == (RATE, 1, 2), path
        return np.frombuffer(wav.readframes(wav.getnframes()), "<i2")


def resampled(samples, rate):
    """The samples of a recording as another rate has them: its spectrum, cut off or continued with nothing."""
    count = len(samples) * rate // RATE
    spectrum = np.fft.rfft(samples)[: count // 2 + 1]
    return np.round(np.fft.irfft(spectrum, count) * count / len(samples)).clip(-32_768, 32_767).astype("<i2")


def write_wav(path, samples):
    with wave.open(str(path), "wb") as wav:
        wav.setframerate(RATE)
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.writeframes(np.clip(np.round(samples), -32_768, 32_767).astype("<i2").tobytes())
