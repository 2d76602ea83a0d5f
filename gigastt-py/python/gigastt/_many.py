"""Many recordings, side by side, in bounded memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sized
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from gigastt import _progress
from gigastt._errors import Error

if TYPE_CHECKING:
    from gigastt._results import Transcript

T = TypeVar("T")

AHEAD = 2
"""Recordings for each worker that are read ahead of the one whose result is wanted next."""

_running: set[Callable[[], object]] = set()
"""What cancels each iterator that is not at its end."""


def _cancel_all() -> None:
    for cancel in tuple(_running):
        cancel()


# Python waits for the pools' threads before it calls `atexit`, also for those of an iterator that somebody still holds.
# What runs before that is not documented; without it such a program ends when its recordings are done.
getattr(threading, "_register_atexit", lambda _: None)(_cancel_all)


def transcribe_many(
    audios: Iterable[T],
    transcribe: Callable[[T], Transcript],
    cancel: Callable[[], object],
    workers: int,
    progress: bool | Callable[[int], object],
) -> Iterator[tuple[T, Transcript | Error]]:
    """The results in the order of the recordings. Takes a recording when there is room for it.

    `cancel` ends the calls of `transcribe` that run when nobody wants their results any more.
    """
    rest = iter(audios)
    total = len(audios) if isinstance(audios, Sized) else None
    with _progress.counter(progress, total) as count, ThreadPoolExecutor(workers, "gigastt-many") as pool:
        waiting: deque[tuple[T, Future[Transcript]]] = deque()
        _running.add(cancel)
        try:
            for audio in rest:
                waiting.append((audio, pool.submit(transcribe, audio)))
                if len(waiting) > AHEAD * workers:
                    yield _next(waiting)
                    count()
            while waiting:
                yield _next(waiting)
                count()
        finally:
            for _, future in waiting:
                future.cancel()
            # The pool waits for those that run.
            cancel()
            _running.discard(cancel)


def _next(waiting: deque[tuple[T, Future[Transcript]]]) -> tuple[T, Transcript | Error]:
    audio, future = waiting.popleft()
    try:
        return audio, future.result()
    except Error as error:
        return audio, error
