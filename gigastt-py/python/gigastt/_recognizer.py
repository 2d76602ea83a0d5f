"""Live streams, for threads and for event loops."""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NoReturn, TypeVar

from gigastt import _native
from gigastt._errors import CancelledError, Error, ForkedError
from gigastt._options import EndpointRule, Profile, endpoint_rule
from gigastt._results import End, Event, Partial, RecognizerStats, Segment, Transcript

if TYPE_CHECKING:
    import asyncio
    from types import TracebackType
    from typing import Self

    from gigastt._samples import Samples


class Recognizer:
    """One speaker's stream, from `Engine.recognizer`.

    May be used from several threads: one pushes while another waits for events; `cancel` takes effect at
    any time. As a context manager it is cancelled at the end unless it was finished. `async with` gives an
    `AsyncRecognizer` for event loops.
    """

    def __init__(self, native: _native.Recognizer) -> None:
        self._native = native
        self._finals = _Finals(native)
        self._entered: AsyncRecognizer | None = None

    def push_pcm(self, samples: Samples, *, block: bool = True, timeout: float | None = None) -> int:
        """Takes samples, in the rate and channels that the stream was opened with.

        Never runs the model. While the stream is full it waits, unless `block` is false, for at most
        `timeout` seconds.

        Args:
            samples: int16 or float32, of shape (n,), interleaved, or (n, channels), of any strides; or
                bytes of 16-bit samples, little-endian. Not copied as a whole.

        Returns:
            How many leading items were taken: `samples[taken:]` is what to push again.

        Raises:
            InvalidAudioError: A sample is not a finite number; what came before it was taken.
            InvalidArgumentError: Another type or shape.
            BusyError: `finals_max` finals wait to be taken, which waiting does not change.
            ClosedError, CancelledError, ForkedError, InferenceError: See there.
        """
        return self._native.push_pcm(samples, block, timeout)

    def wait_writable(self, timeout: float | None = None) -> bool:
        """Waits until `push_pcm` takes something. False when that took longer than `timeout` seconds."""
        return self._native.wait_writable(timeout)

    def gap(self, frames: int) -> int:
        """Stands for frames (samples of each channel) that were lost, so that times stay right.

        Takes as many as there is room for and returns how many.
        """
        return self._native.gap(frames)

    def poll_partial(self) -> Partial | None:
        """The newest state of the running utterance, if it changed since the last one taken. Never waits."""
        return self._native.poll_partial()

    def poll_event(self) -> Event | None:
        """The next event, if there is one. Never waits."""
        return self._native.next_event(0)[0]

    def next_event(self, timeout: float | None = None) -> Event | None:
        """Waits for the next event. None after `timeout` seconds, and after the end."""
        return self._native.next_event(timeout)[0]

    def events(self) -> Iterator[Event]:
        """The events, waiting for each, up to and with the end, whose `error` is what the stream failed with.

        What is not taken stays in the stream.
        """
        while event := self._native.next_event(None)[0]:
            yield event

    def close(self) -> None:
        """Says that no more audio comes. The remaining finals and the end follow as events. Idempotent."""
        self._native.close(True)

    def finish(self, timeout: float | None = None) -> Transcript:
        """Ends the stream and waits for its finals; those not taken as events are in the transcript.

        A final that would not be ready within `timeout` seconds, by measured speed, is the newest hypothesis
        instead and says so: `second_pass` is false. One that was interrupted, as by Ctrl-C, can be called again
        and goes on.

        Raises:
            ClosedError: It was finished or closed before.
            CancelledError, ForkedError, InferenceError: See there.
        """
        with self._finals.taken():
            deadline = _Deadline(timeout)
            while not self._finals.over:
                if not self._finals.take(deadline.slice):
                    self._native.hurry(deadline.left)
            return self._finals.transcript()

    def force_endpoint(self) -> None:
        """Ends the running utterance here; its final follows."""
        self._native.force_endpoint()

    def set_endpoint(self, endpoint: Profile | EndpointRule) -> None:
        """Changes when utterances end, from the next sample on."""
        self._native.set_endpoint(endpoint_rule(endpoint))

    def set_partials(self, wanted: bool) -> None:
        """Whether text is wanted while an utterance goes on, from the next window on."""
        self._native.set_partials(wanted)

    def cancel(self) -> None:
        """Ends the stream at once, from any thread. Everybody who waits for it is woken. Idempotent."""
        self._native.cancel()

    def stats(self) -> RecognizerStats:
        """What the stream has done and holds."""
        return self._native.stats()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()

    async def __aenter__(self) -> AsyncRecognizer:
        self._entered = AsyncRecognizer(self._native)
        return self._entered

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._leave()
        if self._entered is not None:
            self._entered._leave()

    def _leave(self) -> None:
        # A forked child leaves as well, perhaps with an exception of its own; the stream is its parent's.
        with suppress(ForkedError):
            self.cancel()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Recognizer cannot be pickled: it is a live stream; open one in each process")


T = TypeVar("T")


class AsyncRecognizer:
    """A stream in an event loop, from `async with engine.recognizer(..)`.

    Belongs to the loop that entered it; `cancel` may be called from anywhere. No thread waits for it: the
    engine calls the loop when there is news.
    """

    def __init__(self, native: _native.Recognizer) -> None:
        import asyncio

        self._native = native
        self._finals = _Finals(native)
        self._loop = asyncio.get_running_loop()
        self._waiting: set[asyncio.Future[None]] = set()
        self._ring = _Ring(self._loop, self._waiting)
        native.set_callback(self._ring)

    async def push_pcm(self, samples: Samples, *, block: bool = True) -> int:
        """Takes samples, as `Recognizer.push_pcm`; while the stream is full it waits, unless `block` is false.

        Returns how many leading items were taken. One that is cancelled while it waits, as by `asyncio.timeout`, took a
        part and does not say which: with a time limit use `wait_writable`, and push with `block=False`.
        """
        taken = self._native.push_pcm(samples, False, None)
        view = memoryview(samples)  # type: ignore[arg-type] # See `Samples`.
        while block and taken < len(view):
            await self.wait_writable()
            taken += self._native.push_pcm(view[taken:], False, None)
        return taken

    async def wait_writable(self) -> None:
        """Waits until `push_pcm` takes something."""
        await self._until(lambda: True if self._native.wait_writable(0) else None)

    def gap(self, frames: int) -> int:
        """As `Recognizer.gap`."""
        return self._native.gap(frames)

    def poll_partial(self) -> Partial | None:
        """The newest state of the running utterance, if it changed since the last one taken."""
        return self._native.poll_partial()

    async def next_event(self) -> Event | None:
        """Waits for the next event. None after the end."""
        event, _ = await self._until(self._take_event)
        return event

    async def events(self) -> AsyncIterator[Event]:
        """The events, up to and with the end, as `Recognizer.events`."""
        while event := await self.next_event():
            yield event

    def close(self) -> None:
        """Says that no more audio comes. The remaining finals and the end follow as events. Idempotent."""
        self._native.close(True)

    async def finish(self, timeout: float | None = None) -> Transcript:
        """Ends the stream and waits for its finals, as `Recognizer.finish`.

        After one that was cancelled, as by `asyncio.timeout`, another one goes on.
        """
        import asyncio

        with self._finals.taken():
            deadline = _Deadline(timeout)
            while not self._finals.over:
                try:
                    async with asyncio.timeout(deadline.slice):
                        await self._until(lambda: self._finals.take(0) or None)
                except TimeoutError:
                    self._native.hurry(deadline.left)
            return self._finals.transcript()

    def force_endpoint(self) -> None:
        """Ends the running utterance here; its final follows."""
        self._native.force_endpoint()

    def set_endpoint(self, endpoint: Profile | EndpointRule) -> None:
        """Changes when utterances end, from the next sample on."""
        self._native.set_endpoint(endpoint_rule(endpoint))

    def set_partials(self, wanted: bool) -> None:
        """Whether text is wanted while an utterance goes on, from the next window on."""
        self._native.set_partials(wanted)

    def cancel(self) -> None:
        """Ends the stream at once, from any thread. Everybody who waits for it is woken. Idempotent."""
        self._native.cancel()

    def stats(self) -> RecognizerStats:
        """What the stream has done and holds."""
        return self._native.stats()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a recognizer cannot be pickled: it is a live stream; open one in each process")

    def _leave(self) -> None:
        """The engine calls no more; tasks that still wait find the stream at its end."""
        self._native.set_callback(None)
        self._ring.wake()

    def _take_event(self) -> tuple[Event | None, bool] | None:
        event, over = self._native.next_event(0)
        return (event, over) if event is not None or over else None

    async def _until(self, ready: Callable[[], T | None]) -> T:
        while True:
            seen = self._native.rings()
            if (value := ready()) is not None:
                return value
            news = self._loop.create_future()
            self._waiting.add(news)
            try:
                if self._native.arm(seen):
                    await news
            finally:
                self._waiting.discard(news)


class _Ring:
    """What the engine calls, from its own thread, when there is news. Does not keep the stream alive."""

    def __init__(self, loop: asyncio.AbstractEventLoop, waiting: set[asyncio.Future[None]]) -> None:
        self._loop = loop
        self._waiting = waiting

    def __call__(self) -> None:
        try:
            self._loop.call_soon_threadsafe(self.wake)
        except RuntimeError:
            if not self._loop.is_closed():
                raise

    def wake(self) -> None:
        """Lets all tasks that wait look again; called in the loop."""
        for news in tuple(self._waiting):
            if not news.done():
                news.set_result(None)


class _Deadline:
    """The time that is left of a limit in seconds, if there is one."""

    _HURRY_EVERY = 0.05
    """Seconds after which it is asked again whether what is awaited fits the time."""

    def __init__(self, timeout: float | None) -> None:
        self._end = None if timeout is None else time.monotonic() + timeout

    @property
    def left(self) -> float:
        return math.inf if self._end is None else max(0.0, self._end - time.monotonic())

    @property
    def slice(self) -> float | None:
        return None if self._end is None else min(self.left, self._HURRY_EVERY)


class _Finals:
    """What `finish` takes. It stays here when `finish` is interrupted, and the next one goes on."""

    def __init__(self, native: _native.Recognizer) -> None:
        self._native = native
        self._taken: list[tuple[Event | None, bool]] = []
        self._interrupted = False
        self.over = False

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Says that no more audio comes, which raises when that was said before, unless the block after that was
        interrupted. It is, by whatever is no error of the stream.
        """
        try:
            again, self._interrupted = self._interrupted, False
            self._native.close(again)
            yield
        except Error:
            raise
        except BaseException:
            self._interrupted = True
            raise

    def take(self, timeout: float | None) -> bool:
        """Takes the next event; false when none came in time."""
        # One call, so that a signal's handler raises before the event was taken or after it was kept.
        self._taken.extend(map(self._native.next_event, (timeout,)))
        event, self.over = self._taken[-1]
        return event is not None or self.over

    def transcript(self) -> Transcript:
        """The finals, joined; raises when the stream did not end well."""
        segments: list[Segment] = []
        for event, _ in self._taken:
            match event:
                case Segment():
                    segments.append(event)
                case End(reason="cancelled"):
                    raise CancelledError("the stream was cancelled")
                case End(reason="failed", error=error) if error is not None:
                    raise error
        return Transcript.join(segments, self._native.stats().heard_s)
