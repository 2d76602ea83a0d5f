"""What comes out: plain values."""

import dataclasses
import io
import json
import pickle
import shutil

import pandas
import pytest
from samples import EMBEDDED, NAMES, SHORT, spoken, wav

import gigastt


def word(text, start, end, confidence=1.0):
    return gigastt.Word(text, start, end, confidence)


def segment(*words, span=(0, 16_000), reason="finish"):
    return gigastt.Segment(" ".join(w.text for w in words), tuple(words), span, reason, True)


TWO = gigastt.Transcript.join(
    [segment(word("Раз.", 0.04, 0.2, 0.98)), segment(), segment(word("<Два>", 1.2, 1.6), span=(16_000, 32_000))], 2.0
)


def test_a_transcript_is_its_segments():
    assert TWO.text == str(TWO) == "Раз. <Два>"
    assert [w.text for w in TWO.words] == ["Раз.", "<Два>"]
    assert (TWO.segments[2].start, TWO.segments[2].end) == (1.0, 2.0)
    assert pickle.loads(pickle.dumps(TWO)) == TWO
    with pytest.raises(dataclasses.FrozenInstanceError):
        TWO.text = ""
    assert "Раз." in repr(TWO)


def test_subtitles():
    times = ("00:00:00,040 --> 00:00:00,200", "00:00:01,200 --> 00:00:01,600")
    assert TWO.to_srt() == f"1\n{times[0]}\nРаз.\n\n2\n{times[1]}\n<Два>\n\n"
    times = tuple(time.replace(",", ".") for time in times)
    assert TWO.to_vtt() == f"WEBVTT\n\n{times[0]}\nРаз.\n\n{times[1]}\n&lt;Два&gt;\n\n"
    with pytest.raises(gigastt.InvalidArgumentError, match="srt or vtt"):
        gigastt._native.subtitles([], "ass")


def test_to_dict_is_json():
    record = json.loads(json.dumps(TWO.to_dict()))
    assert record["text"] == TWO.text
    assert record["duration"] == 2.0
    assert record["words"][0] == {"text": "Раз.", "start": 0.04, "end": 0.2, "confidence": 0.98}
    reason = {"endpoint_reason": "finish", "second_pass": True}
    assert record["segments"][2] == {"text": "<Два>", "start": 1.0, "end": 2.0, **reason}


def test_to_dataframe():
    frame = TWO.to_dataframe()
    assert frame.columns.tolist() == ["text", "start", "end", "confidence", "segment"]
    assert frame.values.tolist() == [["Раз.", 0.04, 0.2, 0.98, 0], ["<Два>", 1.2, 1.6, 1.0, 2]]
    nothing = gigastt.Transcript("", (), 0.0).to_dataframe()
    assert pandas.concat([nothing, frame]).dtypes.to_dict() == frame.dtypes.to_dict() == nothing.dtypes.to_dict()


def test_a_notebook_shows_the_words_on_a_timeline():
    html = TWO._repr_html_()
    assert "&lt;Два&gt;" in html and "<Два>" not in html
    assert "left:4px" in html and "left:18px" in html
    assert "1.00 to 2.00 s, finish" in html
    many = gigastt.Transcript.join([segment(word("да", 0, 1))] * 201, 1.0)._repr_html_()
    assert many.count("да</span>") == 200 and "1 more segments" in many


def test_long_recordings_have_segments_and_progress(engine):
    seen, segments = [], []
    result = engine.transcribe(wav("long_00"), progress=seen.append, on_segment=segments.append)
    assert result.segments == tuple(segments) and len(segments) > 1
    assert seen[-1].done == pytest.approx(seen[-1].total) == pytest.approx(result.duration)
    assert [state.done for state in seen] == sorted(state.done for state in seen)
    assert engine.transcribe(wav("long_00"), endpoint=gigastt.EndpointRule.profile("file")) == result


def test_a_bar_on_request(engine, capsys, monkeypatch):
    engine.transcribe(wav("sample_08"), progress=True)
    assert "100%" in capsys.readouterr().err
    monkeypatch.setitem(__import__("sys").modules, "tqdm.auto", None)
    with pytest.raises(gigastt.InvalidArgumentError, match=r"gigastt\[progress\]"):
        engine.transcribe(wav("sample_08"), progress=True)


def test_many_recordings(engine, tmp_path, capsys):
    empty = tmp_path / "empty.wav"
    empty.write_bytes(b"")
    paths = [wav(name) for name in SHORT]
    paths.insert(2, empty)
    done = []
    results = list(engine.transcribe_many(paths, progress=done.append))
    assert [path for path, _ in results] == paths
    assert isinstance(results.pop(2)[1], gigastt.InvalidAudioError)
    assert [result for _, result in results] == [engine.transcribe(wav(name)) for name in SHORT]
    assert done == list(range(1, len(paths) + 1))
    assert len(list(engine.transcribe_many(iter(paths), progress=True, workers=1))) == len(paths)
    assert "7file" in capsys.readouterr().err
    for workers in (0, 257):
        with pytest.raises(gigastt.InvalidArgumentError, match="1 to 256"):
            engine.transcribe_many([], workers=workers)
    for one in (str(paths[0]), paths[0], paths[0].read_bytes(), io.BytesIO()):
        with pytest.raises(gigastt.InvalidArgumentError, match="put it into a list"):
            engine.transcribe_many(one)


def test_a_file_that_raises_fails_alone(engine):
    class Broken(io.BytesIO):
        name = "broken.wav"

        def read(self, size):
            raise OverflowError("the tape is torn")

    torn, closed = Broken(), io.BytesIO()
    closed.close()
    results = engine.transcribe_many([torn, closed, wav("sample_08")])
    errors, (_, transcript) = [next(results)[1], next(results)[1]], next(results)
    assert transcript.text == spoken("sample_08")
    assert [type(error) for error in errors] == [gigastt.IoError] * 2
    assert [error.subject for error in errors] == ["broken.wav", "file"]
    assert [type(error.__cause__) for error in errors] == [OverflowError, ValueError]
    assert errors[0].message == "the tape is torn"


def test_many_recordings_are_taken_as_there_is_room(engine):
    """Two workers: three results ahead of the one that is wanted, for each, at most."""
    taken = []

    def recordings():
        for _ in range(20):
            taken.append(None)
            yield wav("sample_08")

    results = engine.transcribe_many(recordings(), workers=2)
    assert taken == []
    for number in range(1, 5):
        next(results)
        assert len(taken) == 4 + number
    results.close()
    assert len(taken) == 8


def test_models(tmp_path, monkeypatch):
    files = {part: (EMBEDDED / f"v3_e2e_rnnt_{part}.int8w.onnx").read_bytes() for part in ("encoder", "decoder", "joint")}
    vocab = (EMBEDDED / "v3_e2e_rnnt_vocab.txt").read_bytes()
    engines = {
        "embedded": gigastt.Engine(threads=1),
        str(EMBEDDED): gigastt.Engine(EMBEDDED, threads=1, quantization="int8w", variant="e2e_rnnt"),
        "memory": gigastt.Engine.from_bytes(variant="e2e_rnnt", vocab=vocab, threads=1, **files),
    }
    for source, engine in engines.items():
        assert engine.info.source == source
        assert engine.info.name == "gigaam-v3-e2e-rnnt"
        assert engine.threads == 1
        assert "gigaam-v3-e2e-rnnt" in repr(engine)
        assert engine.transcribe(wav("sample_08")).text == spoken("sample_08")
        assert (engine.stats().sessions, engine.stats().queued) == (0, 0)
    with pytest.raises(gigastt.InvalidArgumentError, match="vocab"):
        gigastt.Engine.from_bytes(variant="ctc", encoder=b"", vocab=None)
    with pytest.raises(gigastt.InvalidArgumentError, match="variant"):
        gigastt.Engine.from_bytes(variant=None, encoder=b"", vocab=b"")

    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "empty").mkdir()
    # A copy: a fast form is made beside it.
    shutil.copytree(EMBEDDED, tmp_path / "small")
    assert gigastt.Engine.from_pretrained(models=tmp_path, threads=1).info.source == str(tmp_path / "small")
    monkeypatch.setenv("GIGASTT_MODEL_DIR", str(tmp_path))
    assert gigastt.Engine.from_pretrained("gigaam-v3-e2e-rnnt", threads=1).threads == 1
    monkeypatch.setenv("GIGASTT_OFFLINE", "1")
    for models in (tmp_path, tmp_path / "missing"):
        with pytest.raises(gigastt.ModelNotFoundError, match="it is not installed in") as caught:
            gigastt.Engine.from_pretrained("gigaam-v3-ctc", models=models)
        assert caught.value.subject == "gigaam-v3-ctc"


@pytest.mark.parametrize(
    ("platform", "expected"),
    [
        ("linux", "home/.local/share/gigastt/models"),
        ("darwin", "home/Library/Application Support/gigastt/models"),
        ("win32", "home/gigastt/data/models"),
    ],
)
def test_where_models_are_installed(platform, expected, monkeypatch, tmp_path):
    from gigastt import _models

    for name in ("GIGASTT_MODEL_DIR", "XDG_DATA_HOME", "APPDATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("sys.platform", platform)
    monkeypatch.setattr("pathlib.Path.home", lambda: tmp_path / "home")
    assert _models.folder() == tmp_path / expected


def test_every_name_is_there():
    for name in gigastt.__all__:
        assert getattr(gigastt, name) is not None
    assert NAMES
