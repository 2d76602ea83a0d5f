"""Many recordings on a local Ray cluster."""

import json
import os
import shutil
import signal
import threading
from pathlib import Path

import pytest
import ray
from samples import SHORT, spoken, wav

import gigastt
import gigastt.ray

RECORDINGS = 200


@pytest.fixture(scope="module")
def cluster():
    # An actor takes one CPU and the reading of its input another.
    ray.init(num_cpus=3, include_dashboard=False, log_to_driver=False, configure_logging=False)
    yield
    ray.shutdown()


def recordings(folder):
    """198 good ones, one that is broken and one that is empty."""
    names = [SHORT[number % len(SHORT)] for number in range(RECORDINGS)]
    paths = [folder / f"{number:03}_{name}.wav" for number, name in enumerate(names)]
    for path, name in zip(paths, names, strict=True):
        shutil.copy(wav(name), path)
    paths[70].write_bytes(paths[70].read_bytes()[:5_000])
    paths[130].write_bytes(b"")
    return paths


def check_rows(rows, paths, engine):
    assert sorted(row["path"] for row in rows) == [str(path) for path in paths], "each once"
    errors = {row["path"]: row["error"] for row in rows if row["error"]}
    assert errors == {str(paths[70]): "invalid_audio", str(paths[130]): "invalid_audio"}
    words = {name: engine.transcribe(wav(name)).text for name in SHORT}
    for row in rows:
        if not row["error"]:
            assert row["text"] == words[Path(row["path"]).stem[4:]]
            assert json.loads(row["segments"])[0]["text"] == row["text"]
            assert row["duration"] > 0


def actors():
    """The processes of our actors."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            title = (process / "cmdline").read_bytes()
        except OSError:
            continue
        if title.startswith(b"ray::") and b"Transcriber" in title:
            found.append(int(process.name))
    return found


def test_two_hundred_recordings_with_a_worker_killed(cluster, engine, tmp_path):
    """Mutation: rows that are not kept in `output` are done again by the second run."""
    paths, output = recordings(tmp_path), tmp_path / "rows"
    killed = []

    def kill():
        """One of the actors, as soon as 40 recordings are done and one is seen."""
        while not killed and not over.wait(0.01):
            if len(list(output.glob("*.json"))) >= 40:
                for actor in actors()[:1]:
                    os.kill(actor, signal.SIGKILL)
                    killed.append(actor)

    over = threading.Event()
    killer = threading.Thread(target=kill)
    output.mkdir()
    killer.start()
    try:
        rows = gigastt.ray.transcribe_dataset(paths, output=output, actors=2).take_all()
    finally:
        over.set()
        killer.join()
    assert len(killed) == 1
    check_rows(rows, paths, engine)

    frame = gigastt.ray.results(output)
    check_rows(frame.to_dict("records"), paths, engine)
    # A second run reads what is there: it gives what was written, whatever became of the recordings.
    written = {place: place.stat().st_mtime_ns for place in output.glob("*.json")}
    for path in paths:
        path.unlink()
    again = gigastt.ray.transcribe_dataset([*paths, tmp_path / "new.wav"], output=output, actors=1).take_all()
    assert {row["path"]: row["error"] for row in again}[str(tmp_path / "new.wav")] == "io"
    check_rows([row for row in again if row["path"] != str(tmp_path / "new.wav")], paths, engine)
    assert {place: place.stat().st_mtime_ns for place in written} == written


def test_a_dataset_with_a_column_of_paths(cluster):
    dataset = ray.data.from_items([{"path": str(wav("sample_08"))}])
    (row,) = gigastt.ray.transcribe_dataset(dataset, batch_size=1).take_all()
    assert row["text"] == spoken("sample_08")


def test_arguments():
    for name in ("threads", "batch_size"):
        with pytest.raises(gigastt.InvalidArgumentError) as caught:
            gigastt.ray.transcribe_dataset([], **{name: 0})
        assert caught.value.subject == name


def test_what_an_actor_does(tmp_path):
    """In this process, where it is measured that every line was run."""
    actor = gigastt.ray.Transcriber("embedded", 1, str(tmp_path))
    batch = {"path": [str(wav("sample_08")), "missing.wav"]}
    columns = actor(batch)
    assert columns["text"] == [spoken("sample_08"), ""]
    assert columns["error"] == ["", "io"]
    assert len(list(tmp_path.iterdir())) == 2
    assert actor(batch) == columns
    assert gigastt.ray.Transcriber("embedded", 1, None)(batch) == columns
