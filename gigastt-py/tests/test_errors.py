"""Every failure is an exception of its kind."""

import pickle

import numpy as np
import pytest
from samples import FAILS, RATE, STUCK_S, scripted, signal, wav

import gigastt
from gigastt import _native


def test_every_kind_has_its_class():
    codes = _native.error_codes()
    classes = {name: getattr(gigastt, name) for _, name in codes}
    assert len(codes) == len(classes) == 15
    for code, name in codes:
        assert issubclass(classes[name], gigastt.Error)
        assert classes[name].code == code
        assert name in gigastt.__all__
    subclasses = {cls.__name__ for cls in gigastt.Error.__subclasses__()}
    assert subclasses == set(classes)


def test_errors_say_what_and_where_and_can_be_pickled():
    for _, name in _native.error_codes():
        error = getattr(gigastt, name)("no frames", "a.wav")
        again = pickle.loads(pickle.dumps(error))
        assert (type(again), again.message, again.subject) == (type(error), "no frames", "a.wav")
        assert str(again) == "a.wav: no frames"
        assert str(type(error)("no frames")) == "no frames"


def test_errors_of_the_system_have_its_attributes():
    for kind in (gigastt.IoError, gigastt.ModelNotFoundError, gigastt.NetworkError, gigastt.TimeoutError):
        error = kind("no such file", "a.wav")
        for error in (error, pickle.loads(pickle.dumps(error))):
            assert isinstance(error, OSError)
            assert (error.errno, error.strerror) == (None, None)
            named = kind in (gigastt.IoError, gigastt.ModelNotFoundError)
            assert error.filename == ("a.wav" if named else None)


def check(kind, subject, call):
    with pytest.raises(gigastt.Error) as caught:
        call()
    assert (type(caught.value), caught.value.subject) == (kind, subject), caught.value
    assert caught.value.message
    return caught.value


def test_files_that_cannot_be_used(engine, tmp_path):
    missing, empty, noise = tmp_path / "missing.wav", tmp_path / "empty.wav", tmp_path / "noise.wav"
    empty.write_bytes(b"")
    noise.write_bytes(bytes(range(256)) * 16)
    error = check(gigastt.IoError, str(missing), lambda: engine.transcribe(missing))
    assert isinstance(error, OSError)
    check(gigastt.IoError, str(tmp_path), lambda: engine.transcribe(tmp_path))
    check(gigastt.InvalidAudioError, str(empty), lambda: engine.transcribe(empty))
    check(gigastt.InvalidAudioError, str(noise), lambda: engine.transcribe(noise))
    check(gigastt.InvalidAudioError, "bytes", lambda: engine.transcribe(b""))
    check(gigastt.InvalidAudioError, "bytes", lambda: engine.transcribe(wav("sample_00").read_bytes()[:5_000]))
    with noise.open("rb") as file:
        check(gigastt.InvalidAudioError, str(noise), lambda: engine.transcribe(file))


def test_models_that_cannot_be_used(tmp_path):
    check(gigastt.ModelNotFoundError, str(tmp_path / "none"), lambda: gigastt.Engine(tmp_path / "none"))
    for name in ("v3_ctc.onnx", "v3_vocab.txt"):
        (tmp_path / name).write_bytes(b"nonsense\n")
    with pytest.raises(gigastt.InvalidModelError):
        gigastt.Engine(tmp_path)


def test_arguments_out_of_range(engine):
    def check_argument(subject, call):
        assert isinstance(check(gigastt.InvalidArgumentError, subject, call), ValueError)

    check_argument("threads", lambda: gigastt.Engine(threads=0))
    check_argument("threads", lambda: gigastt.Engine(threads=-1))
    check_argument("sessions_max", lambda: gigastt.Engine(sessions_max=-1))
    check_argument("provider", lambda: gigastt.Engine(provider="abacus"))
    check_argument("variant", lambda: gigastt.Engine(variant="ctx"))
    for rate in (-1, 0, 7_999, 192_001, 1 << 40):
        check_argument("sample_rate", lambda rate=rate: engine.recognizer(rate))
        samples = np.zeros(100, np.int16)
        check_argument("sample_rate", lambda rate=rate: engine.transcribe(samples, sample_rate=rate))
    check_argument("channels", lambda: engine.recognizer(channels=0))
    check_argument("channels", lambda: engine.recognizer(channels=1 << 20))
    check_argument("channel", lambda: engine.recognizer(channels=2, channel=2))
    check_argument("endpoint", lambda: engine.recognizer(endpoint="soon"))
    check_argument("mode", lambda: engine.recognizer(mode="fast"))
    check_argument("partials", lambda: engine.recognizer(mode="incremental", partials=False))
    check_argument("backlog_ms", lambda: engine.recognizer(backlog_ms=-5))
    check_argument("finals_max", lambda: engine.recognizer(finals_max=0))
    check_argument("segmentation", lambda: engine.transcribe(wav("sample_00"), segmentation="half"))
    check_argument("segmentation", lambda: engine.transcribe(wav("long_00"), segmentation="whole"))
    check_argument("sample_rate", lambda: engine.transcribe(np.zeros(100, np.int16)))
    check_argument("sample_rate", lambda: engine.transcribe(wav("sample_00"), sample_rate=RATE))
    with engine.recognizer() as rec:
        check_argument("timeout", lambda: rec.next_event(timeout=-1))
        check_argument("timeout", lambda: rec.push_pcm(b"", timeout=float("nan")))
        check_argument("frames", lambda: rec.gap(-1))
        check_argument("endpoint", lambda: rec.set_endpoint("soon"))


def test_a_failing_model_ends_one_stream():
    engine = scripted()
    with engine.recognizer(endpoint="manual", partials=False) as rec:
        rec.push_pcm(signal((FAILS, 20)))
        with pytest.raises(gigastt.InferenceError):
            rec.finish()
    with engine.recognizer(endpoint="manual", partials=False) as rec:
        rec.push_pcm(signal((FAILS, 20)))
        rec.close()
        *_, end = rec.events()
        assert (end.reason, type(end.error)) == ("failed", gigastt.InferenceError)
        assert rec.next_event() is None
    with engine.recognizer(endpoint="manual") as rec:
        assert rec.finish().text == ""


def test_as_many_streams_as_allowed():
    engine = gigastt.Engine(threads=1, sessions_max=1)
    with engine.recognizer():
        with pytest.raises(gigastt.BusyError):
            engine.recognizer()
    del engine


def test_closed():
    with gigastt.Engine(threads=1) as engine:
        rec = engine.recognizer(endpoint="manual")
    for call in (engine.stats, engine.recognizer, lambda: engine.info, lambda: engine.transcribe(b"")):
        check(gigastt.ClosedError, None, call)
    assert repr(engine) == "<gigastt.Engine, closed>"
    # The stream keeps the model.
    assert rec.finish().text == ""
    for call in (rec.finish, lambda: rec.push_pcm(b""), lambda: rec.gap(1), rec.force_endpoint, rec.wait_writable):
        check(gigastt.ClosedError, None, call)
    rec.close()
    rec.cancel()
    rec.cancel()
    for call in (rec.finish, lambda: rec.push_pcm(b""), rec.force_endpoint, rec.close):
        check(gigastt.CancelledError, None, call)


def test_nothing_live_can_be_pickled(engine):
    with engine.recognizer() as rec:
        for live in (engine, rec):
            with pytest.raises(TypeError, match="cannot be pickled"):
                pickle.dumps(live)


def test_an_exception_in_a_callback_is_the_callers(engine):
    def refuse(_):
        raise KeyError("mine")

    for hooks in ({"progress": refuse}, {"on_segment": refuse}):
        with pytest.raises(KeyError, match="mine"):
            engine.transcribe(wav("long_00"), **hooks)
    stuck = scripted(STUCK_S)
    with pytest.raises(KeyError, match="mine"):
        stuck.transcribe(signal((1, 600)), sample_rate=RATE, progress=refuse)


def test_an_exception_of_a_file_object_is_the_callers(engine):
    class Torn:
        def __init__(self, good):
            self.left = good

        def read(self, size):
            if not self.left:
                raise ConnectionError("the line is dead")
            data, self.left = self.left[:size], self.left[size:]
            return data

    for good in (b"", wav("sample_08").read_bytes()[:60_000]):
        with pytest.raises(ConnectionError, match="the line is dead"):
            engine.transcribe(Torn(good))

    class Greedy:
        def read(self, size):
            return bytes(size + 1)

    with pytest.raises(gigastt.InvalidArgumentError):
        engine.transcribe(Greedy())

    class Wordy:
        def read(self, size):
            return "text"

    with pytest.raises(TypeError):
        engine.transcribe(Wordy())
