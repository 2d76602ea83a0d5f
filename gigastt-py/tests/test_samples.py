"""What may be pushed: every way to hold samples, and clear errors for the rest."""

import array
import ctypes
import mmap

import numpy as np
import pytest
from samples import RATE, SPEECH, SPOKEN, STUCK_S, pcm, scripted

import gigastt

SAMPLES = pcm("sample_08")
FLOATS = SAMPLES.astype(np.float32) / 32_768


def heard(engine, pieces, **options):
    """The text of a stream, and how many leading items were taken of each piece."""
    with engine.recognizer(RATE, endpoint="manual", partials=False, **options) as rec:
        taken = [rec.push_pcm(piece) for piece in pieces]
        return rec.finish(), taken


def read_only():
    samples = SAMPLES.copy()
    samples.flags.writeable = False
    return samples


def in_memory_map():
    memory = mmap.mmap(-1, SAMPLES.nbytes)
    memory.write(SAMPLES.tobytes())
    return memory


def behind_a_byte(samples):
    """Not aligned, as samples are behind a header of one byte."""
    return np.frombuffer(b"!" + samples.tobytes(), samples.dtype, offset=1)


def of_ctypes(samples):
    return (ctypes.c_int16 * len(samples))(*samples.tolist())


@pytest.mark.parametrize(
    "samples",
    [
        SAMPLES,
        FLOATS,
        read_only(),
        SAMPLES.tobytes(),
        bytearray(SAMPLES.tobytes()),
        memoryview(SAMPLES.tobytes()),
        memoryview(SAMPLES),
        array.array("h", SAMPLES.tolist()),
        array.array("f", FLOATS.tolist()),
        in_memory_map(),
        np.repeat(SAMPLES, 2)[::2],
        SAMPLES[::-1].copy()[::-1],
        SAMPLES[:, None],
        np.asfortranarray(np.stack([SAMPLES, SAMPLES], 1))[:, :1],
        behind_a_byte(SAMPLES),
        behind_a_byte(FLOATS),
        behind_a_byte(SAMPLES.repeat(2))[::2],
        of_ctypes(SAMPLES),
        memoryview(of_ctypes(SAMPLES)),
    ],
    ids=[
        "int16", "float32", "read-only", "bytes", "bytearray", "memoryview of bytes", "memoryview", "array of h",
        "array of f", "mmap", "every second", "backwards", "one column", "a column of two",
        "int16 not aligned", "float32 not aligned", "every second not aligned", "ctypes", "memoryview of ctypes",
    ],
)  # fmt: skip
def test_every_way_to_hold_samples(engine, samples):
    expected, _ = heard(engine, [SAMPLES])
    assert expected.text == "Заведи будильник на завтра на три часа."
    result, taken = heard(engine, [samples])
    assert result == expected
    assert taken == [len(samples)]


def test_channels_are_columns_or_interleaved(engine):
    both = np.stack([SAMPLES, np.zeros_like(SAMPLES)], axis=1)
    left = heard(engine, [SAMPLES])[0]
    for samples in (both, both.reshape(-1), both.tobytes(), np.asfortranarray(both)):
        result, taken = heard(engine, [samples], channels=2, channel=0)
        assert result == left
        assert taken == [len(samples)]
    assert heard(engine, [both], channels=2, channel=1)[0].text == ""


def test_what_was_taken_is_a_prefix():
    """Of a full stream the rest can be pushed again: `samples[taken:]`."""
    floats = np.concatenate([SPEECH] * 3)
    ints = np.round(floats * 32_768).astype(np.int16)
    takes = {}
    for name, samples in {"floats": floats, "ints": ints, "bytes": ints.tobytes(), "column": ints[:, None]}.items():
        with scripted(STUCK_S).recognizer(RATE, backlog_ms=1_000, partials=False) as rec:
            taken = rec.push_pcm(samples, block=False)
            assert rec.push_pcm(samples[taken:], block=False) == 0
            assert rec.push_pcm(samples[taken:], timeout=0.01) == 0
            assert not rec.wait_writable(timeout=0.01)
            takes[name] = taken
    assert 0 < takes["floats"] < len(floats)
    assert takes == {name: takes["floats"] * (2 if name == "bytes" else 1) for name in takes}
    with scripted().recognizer(RATE, backlog_ms=1_000, partials=False) as rec:
        at = 0
        while at < len(floats):
            at += rec.push_pcm(floats[at:], block=False)
            rec.wait_writable()
        assert rec.finish().text == " ".join([SPOKEN] * 3)


def check_refused(engine, samples, message, **options):
    with engine.recognizer(RATE, **options) as rec:
        with pytest.raises(gigastt.InvalidArgumentError, match=message) as caught:
            rec.push_pcm(samples)
        assert caught.value.subject == "samples"
        assert rec.stats().heard_s == 0
    if "channels" not in options and not isinstance(samples, str):
        with pytest.raises(gigastt.InvalidArgumentError, match=message):
            engine.transcribe(samples, sample_rate=RATE)


def test_other_types_and_shapes_are_refused(engine):
    zeros = np.zeros((4, 4))
    for dtype in (np.float64, np.float16, np.int32, np.uint16, np.uint8, np.int8, np.bool_, np.complex64, ">i2", ">f4"):
        check_refused(engine, zeros[0].astype(dtype), "int16 or float32")
    check_refused(engine, "text", "found str")
    check_refused(engine, [0, 1, 2], "found list")
    check_refused(engine, None, "found NoneType")
    check_refused(engine, np.array([object()]), "int16 or float32")
    check_refused(engine, np.zeros((2, 2, 2), np.int16), "shape")
    check_refused(engine, np.int16(1), "int16 or float32|shape")
    check_refused(engine, np.array(1, np.int16), "int16 or float32|shape")
    check_refused(engine, b"odd", "multiple of 2 bytes")
    check_refused(engine, np.zeros((4, 3), np.int16), "2 channels", channels=2)
    check_refused(engine, np.zeros(5, np.int16), "multiple of 2 interleaved", channels=2)
    check_refused(engine, bytes(6), "multiple of 4 bytes", channels=2)
    with pytest.raises(gigastt.InvalidArgumentError, match="channels"):
        engine.transcribe(np.zeros((4, 33), np.int16), sample_rate=RATE)
    with pytest.raises(gigastt.InvalidArgumentError):
        engine.transcribe(np.zeros((4, 0), np.int16), sample_rate=RATE)


def test_numbers_that_are_no_audio_are_refused(engine):
    for bad in (np.nan, np.inf, -np.inf, 1e30):
        samples = FLOATS.copy()
        samples[20_000] = bad
        with engine.recognizer(RATE, endpoint="manual") as rec:
            with pytest.raises(gigastt.InvalidAudioError):
                rec.push_pcm(samples)
            assert 0 < rec.stats().heard_s <= 20_000 / RATE
        with pytest.raises(gigastt.InvalidAudioError):
            engine.transcribe(samples, sample_rate=RATE)


def test_nothing_is_something_too(engine):
    for nothing in (b"", of_ctypes(SAMPLES[:0]), np.zeros(0, np.int16), np.zeros((0, 1), np.float32)):
        result, taken = heard(engine, [nothing])
        assert (result.text, result.duration, taken) == ("", 0.0, [0])
        assert engine.transcribe(nothing, sample_rate=RATE).text == ""


def test_an_array_is_not_copied(engine):
    """Ten minutes of float32 at 48 kHz are 115 MB; what is allocated meanwhile is far less."""
    import resource

    samples = np.zeros(48_000 * 60 * 10, np.float32)
    engine.transcribe(samples[:48_000], sample_rate=48_000)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    engine.transcribe(samples, sample_rate=48_000)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    assert grown_kib * 1_024 < samples.nbytes / 2
