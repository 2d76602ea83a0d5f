"""What the tests share: recordings with the words that were spoken, and a model that does as it is told."""

import wave
from pathlib import Path

import numpy as np

import gigastt

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "tests" / "samples"
AUDIO = ROOT / "gigastt-core" / "tests" / "data" / "audio"
EMBEDDED = ROOT / "gigastt-core" / "models" / "embedded"
RATE = 16_000
NAMES = sorted(path.stem for path in SAMPLES.glob("*.wav"))
SHORT = [name for name in NAMES if name.startswith("sample")]


def wav(name):
    """The path of a sample."""
    return SAMPLES / f"{name}.wav"


def pcm(name):
    """The samples of a recording, int16."""
    with wave.open(str(wav(name))) as recording:
        assert (recording.getframerate(), recording.getnchannels(), recording.getsampwidth()) == (RATE, 1, 2)
        return np.frombuffer(recording.readframes(recording.getnframes()), "<i2")


def resampled(samples, rate):
    """The samples of a recording as another rate has them: its spectrum, cut off or continued with nothing."""
    count = len(samples) * rate // RATE
    spectrum = np.fft.rfft(samples)[: count // 2 + 1]
    return np.round(np.fft.irfft(spectrum, count) * count / len(samples)).clip(-32_768, 32_767).astype(np.int16)


def spoken(name):
    """What was said in it."""
    return (SAMPLES / f"{name}.txt").read_text().strip()


def scripted(call_s=0.0, threads=1):
    """An engine over the scripted model: a model call takes `call_s` seconds whatever it is given, and the
    signal says which words are heard (see `gigastt-core/src/model/fake.rs`)."""
    engine = gigastt.Engine.__new__(gigastt.Engine)
    engine._native = gigastt._native.scripted(threads, call_s)
    return engine


STUCK_S = 600.0
"""A model call that lasts longer than any test."""

FRAME = 640
FAILS = 1_001
STAYS = 1_003


def signal(*words):
    """A signal of (word, frames) pairs for the scripted model; word 0 is silence."""
    return np.concatenate([np.full(frames * FRAME, word / 1_024, np.float32) for word, frames in words])


SPEECH = signal((0, 10), (1, 10), (2, 10), (0, 30), (5, 10), (6, 10), (0, 30))
SPOKEN = "w1 w3 w5 w7"

LONGER = np.concatenate([SPEECH, signal((1, 10), (0, 5))])
LONGER_SPOKEN = f"{SPOKEN} w1"
"""The same, and a word after which the silence is not yet an end."""
