"""Recordings, from everything that holds one."""

import io

import numpy as np
from samples import RATE, pcm, spoken, wav


def test_the_words_that_were_spoken(engine):
    for name in ("sample_00", "sample_01", "sample_04", "sample_08"):
        assert engine.transcribe(wav(name)).text == spoken(name)


def test_everything_that_holds_a_recording_gives_the_same(engine):
    path, samples = wav("sample_08"), pcm("sample_08")
    expected = engine.transcribe(path)
    floats = samples.astype(np.float32) / 32_768
    assert engine.transcribe(str(path)) == expected
    assert engine.transcribe(path.read_bytes()) == expected
    assert engine.transcribe(bytearray(path.read_bytes())) == expected
    assert engine.transcribe(io.BytesIO(path.read_bytes())) == expected
    with path.open("rb") as file:
        assert engine.transcribe(file) == expected
    assert engine.transcribe(samples, sample_rate=RATE) == expected
    assert engine.transcribe(floats, sample_rate=RATE) == expected
    assert engine.transcribe(samples.tobytes(), sample_rate=RATE) == expected
    assert engine.transcribe(memoryview(samples), sample_rate=RATE) == expected
    assert engine.transcribe(np.stack([samples, samples], axis=1), sample_rate=RATE) == expected
