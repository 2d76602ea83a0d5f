"""A bar while a recording is transcribed, for those who do not show one of their own."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

from gigastt._errors import InvalidArgumentError
from gigastt._results import Download, Progress

if TYPE_CHECKING:
    from tqdm import tqdm

Report = Callable[[Progress], object]


@contextmanager
def reporter(progress: bool | Report) -> Iterator[Report | None]:
    """What to call with the progress: nothing, the caller's function, or a bar of tqdm."""
    if callable(progress):
        yield progress
    elif progress:
        with _bar("s") as bar:

            def report(state: Progress) -> None:
                bar.total = state.total
                bar.update(state.done - bar.n)

            yield report
    else:
        yield None


@contextmanager
def downloads(progress: bool | Callable[[Download], object]) -> Iterator[Callable[[Download], object] | None]:
    """What to call while files come, as `reporter`; the bar is that of the file that comes."""
    if callable(progress):
        yield progress
    elif progress:
        with _bar("B") as bar:
            bar.unit_scale = True

            def report(state: Download) -> None:
                if bar.desc != f"{state.file}: ":
                    bar.reset(state.total)
                    bar.set_description(state.file)
                bar.total = state.total
                bar.update(state.done - bar.n)

            yield report
    else:
        yield None


@contextmanager
def counter(progress: bool | Callable[[int], object], total: int | None) -> Iterator[Callable[[], object]]:
    """What to call for each recording that is done."""
    if callable(progress):
        done = itertools.count(1)
        yield lambda: progress(next(done))
    elif progress:
        with _bar("file", total) as bar:
            yield bar.update
    else:
        yield lambda: None


def _bar(unit: str, total: int | None = None) -> tqdm[NoReturn]:
    try:
        from tqdm.auto import tqdm
    except ImportError:
        message = "expected tqdm for a bar: pip install 'gigastt[progress]', or pass a function"
        raise InvalidArgumentError(message, "progress") from None
    return tqdm(total=total, unit=unit)
