"""Recordings, from everything that holds one."""

import io
import wave

import numpy as np
import pytest
from samples import RATE, pcm, resampled, spoken, wav


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


@pytest.mark.parametrize("rate", [8_000, 22_050, 44_100, 48_000])
def test_the_words_at_any_rate(engine, rate):
    """At 8 kHz the upper half of the voice is gone; these two stand that."""
    for name in ("sample_05", "sample_08"):
        samples = resampled(pcm(name), rate)
        file = io.BytesIO()
        with wave.open(file, "wb") as recording:
            recording.setparams((1, 2, rate, 0, "NONE", ""))
            recording.writeframes(samples.tobytes())
        assert engine.transcribe(file.getvalue()).text == spoken(name)
        assert engine.transcribe(samples, sample_rate=rate).text == spoken(name)
        for said in (samples, samples.astype(np.float32) / 32_768):
            with engine.recognizer(rate, endpoint="manual") as rec:
                for at in range(0, len(said), rate // 50):
                    rec.push_pcm(said[at : at + rate // 50])
                assert rec.finish().text == spoken(name)
