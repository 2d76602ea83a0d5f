"""Many recordings on many machines, with Ray Data: `pip install 'gigastt[ray]'`.

    import gigastt.ray

    rows = gigastt.ray.transcribe_dataset(paths, model="folder with GigaAM v3", output="transcripts/")

Every recording becomes one row: `path`, `text`, `segments` (JSON), `duration`, `error` (its code, or empty) and
`message`. A recording that cannot be read is a row with an error. An actor holds one engine; what it was working on
when it died is done by another one. With `output` each row is written to a file of its own as soon as it is there,
and a second run does what is missing; a row comes once, whoever died.

Long recordings are cut at pauses inside of the actor, and their segments run side by side on its threads.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import ray
import ray.data

import gigastt

if TYPE_CHECKING:
    import numpy
    import pandas

Batch: TypeAlias = "dict[str, numpy.typing.NDArray[Any]]"
Row: TypeAlias = "dict[str, Any]"

COLUMNS = ("path", "text", "segments", "duration", "error", "message")

RESTARTS_MAX = 10
"""How often an actor that died, with its machine or without, is started again."""


class Transcriber:
    """What an actor is: one engine, and recordings to rows."""

    def __init__(self, model: str, threads: int, output: str | None) -> None:
        self._engine = gigastt.Engine(model, threads=threads)
        self._output = None if output is None else Path(output)

    def __call__(self, batch: Batch) -> dict[str, list[Any]]:
        rows = [self._row(str(path)) for path in batch["path"]]
        return {column: [row[column] for row in rows] for column in COLUMNS}

    def _row(self, path: str) -> Row:
        if self._output is None:
            return self._transcribe(path)
        place = self._output / place_of(path)
        if (row := _read(place)) is None:
            row = self._transcribe(path)
            _write(place, row)
        return row

    def _transcribe(self, path: str) -> Row:
        try:
            result = self._engine.transcribe(path)
        except gigastt.Error as error:
            return _row(path, error=error.code, message=str(error))
        segments = json.dumps(result.to_dict()["segments"], ensure_ascii=False)
        return _row(path, text=result.text, segments=segments, duration=result.duration)


def transcribe_dataset(
    recordings: Iterable[str | os.PathLike[str]] | ray.data.Dataset,
    *,
    model: str | os.PathLike[str] = "embedded",
    output: str | os.PathLike[str] | None = None,
    actors: int | tuple[int, int] = 1,
    threads: int = 1,
    batch_size: int = 4,
) -> ray.data.Dataset:
    """Transcribes recordings; returns a dataset with a row for each, which runs when it is read.

    Args:
        recordings: Paths that every machine can read, or a dataset with a column `path`.
        model: As for `gigastt.Engine`, on every machine.
        output: A folder on storage that all machines share; makes the run resumable by file.
        actors: How many engines, or the least and the most of them.
        threads: Threads of each, which is also the number of CPUs that Ray reserves for it. The machines must
            have them, or the run waits for ever.
        batch_size: Recordings that an actor takes at a time.
    """
    if threads < 1 or batch_size < 1:
        raise gigastt.InvalidArgumentError("expected 1 or more", "threads" if threads < 1 else "batch_size")
    if output is not None:
        Path(output).mkdir(parents=True, exist_ok=True)
    dataset = recordings if isinstance(recordings, ray.data.Dataset) else _dataset(recordings, batch_size)
    least, most = actors if isinstance(actors, tuple) else (actors, actors)
    return dataset.map_batches(
        Transcriber,
        fn_constructor_args=(os.fspath(model), threads, None if output is None else os.fspath(output)),
        batch_size=batch_size,
        compute=ray.data.ActorPoolStrategy(min_size=least, max_size=most),
        num_cpus=threads,
        max_restarts=RESTARTS_MAX,
        max_task_retries=RESTARTS_MAX,
    )


def results(output: str | os.PathLike[str]) -> pandas.DataFrame:
    """The rows that runs with this `output` have written."""
    import pandas

    rows = (_read(path) for path in sorted(Path(output).glob("*.json")))
    return pandas.DataFrame([row for row in rows if row is not None], columns=list(COLUMNS))


def place_of(path: str) -> str:
    """The name of a recording's file of results."""
    return hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:32] + ".json"


def _dataset(recordings: Iterable[str | os.PathLike[str]], batch_size: int) -> ray.data.Dataset:
    rows = [{"path": os.fspath(path)} for path in recordings]
    # A block is what is done again when an actor dies.
    blocks = max(1, -(-len(rows) // batch_size))
    return ray.data.from_items(rows, override_num_blocks=blocks)


def _row(path: str, *, text: str = "", segments: str = "[]", duration: float = 0.0, error: str = "", message: str = "") -> Row:
    return dict(zip(COLUMNS, (path, text, segments, duration, error, message), strict=True))


def _read(place: Path) -> Row | None:
    try:
        row: Row = json.loads(place.read_text("utf-8"))
    except FileNotFoundError:
        return None
    return row


def _write(place: Path, row: Row) -> None:
    """Appears whole or not at all."""
    part = place.with_suffix(f".{os.getpid()}.part")
    part.write_text(json.dumps(row, ensure_ascii=False), "utf-8")
    part.replace(place)
