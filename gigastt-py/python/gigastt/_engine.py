"""The engine: a loaded model and its workers."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeAlias, TypeVar, runtime_checkable

from gigastt import _many, _models, _native, _progress, _runtime
from gigastt._errors import ClosedError, Error, InvalidArgumentError, IoError
from gigastt._options import EndpointRule, Mode, Profile, Segmentation, endpoint_rule
from gigastt._recognizer import Recognizer
from gigastt._results import Download, EngineStats, ModelInfo, Progress, Segment, Transcript

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

    from gigastt._samples import Samples


@runtime_checkable
class Readable(Protocol):
    """An open binary file."""

    def read(self, size: int, /) -> bytes:
        """The next bytes, at most `size`; none at the end."""
        ...


Audio: TypeAlias = "str | os.PathLike[str] | Samples | Readable"
"""A recording: the path of a file, its bytes, an open binary file, or samples (with `sample_rate`)."""

AnyAudio = TypeVar("AnyAudio", bound=Audio)

EMBEDDED = "embedded"

WORKERS_MAX = 256
"""The most recordings that are transcribed at a time."""


class Engine:
    """A loaded model and its worker threads, shared by any number of streams.

    Every method may be called from any thread at any time. Use it as a context manager, or `close` it, to
    give its memory back at a certain moment; without that it goes with the last reference. Ctrl-C ends the wait for a
    model that is being loaded.

    Args:
        model: A folder with the files of GigaAM v3, or `embedded`: a small model for tests and
            demonstrations, which understands synthesised speech and not people.
        threads: Worker threads, 1 to 256; default: the machine's cores, or fewer where their copies of a model that is
            not in its fast form would take more than 4 GB.
        provider: `cpu`, `cuda`, `coreml` or `openvino`.
        variant: Of several in the folder, this one: `e2e_rnnt`, `rnnt`, `e2e_ctc`, `ctc`.
        quantization: Of several files this suffix (`int8`); an empty one stands for the plain files.
        sessions_max: The most streams open at a time; default 4,096.
        runtime: The library of ONNX Runtime; default: `GIGASTT_ORT`, else the package `onnxruntime`.

    Raises:
        ModelNotFoundError, InvalidModelError, IoError: There is no usable model.
        RuntimeLibraryError, ProviderError: There is no usable ONNX Runtime.
        InvalidArgumentError: An argument is out of its range.
    """

    def __init__(
        self,
        model: str | os.PathLike[str] = EMBEDDED,
        *,
        threads: int | None = None,
        provider: str = "cpu",
        variant: str | None = None,
        quantization: str | None = None,
        sessions_max: int | None = None,
        runtime: str | os.PathLike[str] | None = None,
    ) -> None:
        folder = None if model == EMBEDDED else os.fspath(model)
        self._open(folder, None, threads, provider, variant, quantization, sessions_max, runtime)

    @classmethod
    def from_pretrained(
        cls,
        name: str = "gigaam-v3-e2e-rnnt",
        *,
        models: str | os.PathLike[str] | None = None,
        progress: bool | Callable[[Download], object] = False,
        threads: int | None = None,
        provider: str = "cpu",
        quantization: str | None = None,
        sessions_max: int | None = None,
        runtime: str | os.PathLike[str] | None = None,
    ) -> Self:
        """An engine with a published model: `gigaam-v3-e2e-rnnt`, `-rnnt`, `-e2e-ctc` or `-ctc`.

        It is fetched, verified and made fast for this machine unless it is installed already, which takes as
        long as that does: it may be hundreds of megabytes. What an attempt brought is kept for the next one.
        `GIGASTT_OFFLINE=1` forbids to fetch, `GIGASTT_HUB` names a mirror, proxies are those of `HTTPS_PROXY`.

        `models` is the folder that models are installed in, a folder for each; default:
        `GIGASTT_MODEL_DIR`, else `gigastt/models` in the user's data folder.

        `progress=True` shows a bar while files come (tqdm, `gigastt[progress]`); a function is called with
        `Download`.

        Raises:
            NetworkError: It is not installed and cannot be fetched.
            ModelNotFoundError: It is not installed and may not be fetched.
            InvalidModelError: What the hub gives is not what was published.
            InvalidArgumentError: There is no such model.
            Exception: What `progress` raised, after the download was ended.
        """
        folder = Path(models) if models is not None else _models.folder()
        _heed_log_level()
        with _progress.downloads(progress) as report:
            _native.fetch(name, folder, report)
        self = cls.__new__(cls)
        self._open(str(folder), None, threads, provider, None, quantization, sessions_max, runtime, name)
        return self

    @classmethod
    def from_bytes(
        cls,
        *,
        variant: str,
        encoder: bytes,
        vocab: bytes,
        decoder: bytes | None = None,
        joint: bytes | None = None,
        threads: int | None = None,
        provider: str = "cpu",
        sessions_max: int | None = None,
        runtime: str | os.PathLike[str] | None = None,
    ) -> Self:
        """An engine with a model whose files are in memory. CTC variants have neither decoder nor joint."""
        files = {"encoder": encoder, "decoder": decoder, "joint": joint, "vocab": vocab}
        self = cls.__new__(cls)
        self._open(None, files, threads, provider, variant, None, sessions_max, runtime)
        return self

    def _open(
        self,
        folder: str | None,
        files: dict[str, bytes | None] | None,
        threads: int | None,
        provider: str,
        variant: str | None,
        quantization: str | None,
        sessions_max: int | None,
        runtime: str | os.PathLike[str] | None,
        pretrained: str | None = None,
    ) -> None:
        _heed_log_level()
        self._native: _native.Engine | None = _native.Engine(
            folder=folder,
            files=files,
            pretrained=pretrained,
            variant=variant,
            quantization=quantization,
            threads=threads,
            provider=provider,
            sessions_max=sessions_max,
            runtime=runtime if runtime is not None else _runtime.library(),
        )

    @property
    def info(self) -> ModelInfo:
        """What the model is."""
        return self._handle().info

    @property
    def threads(self) -> int:
        """Worker threads."""
        return self._handle().threads

    def stats(self) -> EngineStats:
        """What the engine has done and does."""
        return self._handle().stats()

    def transcribe(
        self,
        audio: Audio,
        *,
        sample_rate: int | None = None,
        channel: int | None = None,
        endpoint: Profile | EndpointRule = "file",
        segmentation: Segmentation = "auto",
        progress: bool | Callable[[Progress], object] = False,
        on_segment: Callable[[Segment], object] | None = None,
    ) -> Transcript:
        """Transcribes a recording of any length in constant memory, apart from the text.

        Releases the interpreter while it works; Ctrl-C ends it.

        Args:
            audio: The path of a file (wav, flac, mp3, ogg, opus, m4a, aac, webm, aiff, caf), the bytes of such a
                file, an open binary file, or samples: an array of int16 or float32 of shape (n,) or
                (n, channels), which is not copied as a whole.
            sample_rate: Of samples, in Hz, 8,000 to 192,000. Files know theirs.
            channel: Take this channel, counted from 0; default: the mean of all.
            endpoint: How a recording longer than 22 s is cut: a profile's name or a rule.
            segmentation: `whole` makes one window of it all; at most 25 s.
            progress: True shows a bar (tqdm, `gigastt[progress]`); a function is called with `Progress`.
            on_segment: Called with each finished segment, in order, as soon as it is there.

        Raises:
            InvalidAudioError, IoError: The recording cannot be read.
            InvalidArgumentError: An argument is out of its range.
            InferenceError, BusyError, ForkedError, ClosedError: See there.
            Exception: What a callback raised, after the work was cancelled.
        """
        options = _recording(channel, endpoint, segmentation)
        return self._transcribe(audio, sample_rate, options, progress, on_segment)

    async def transcribe_async(
        self,
        audio: Audio,
        *,
        sample_rate: int | None = None,
        channel: int | None = None,
        endpoint: Profile | EndpointRule = "file",
        segmentation: Segmentation = "auto",
    ) -> Transcript:
        """As `transcribe`, in an event loop: in a thread of its default executor.

        Cancelling the task, as `asyncio.timeout` does, ends the work.
        """
        import asyncio

        canceller = _native.Canceller()
        options = _recording(channel, endpoint, segmentation, canceller)
        try:
            return await asyncio.to_thread(self._transcribe, audio, sample_rate, options)
        finally:
            # The thread of a task that was cancelled goes on, and `asyncio.run` waits for it.
            canceller.cancel()

    def _transcribe(
        self,
        audio: Audio,
        sample_rate: int | None,
        options: dict[str, Any],
        progress: bool | Callable[[Progress], object] = False,
        on_segment: Callable[[Segment], object] | None = None,
    ) -> Transcript:
        native = self._handle()
        with _progress.reporter(progress) as report:
            if isinstance(audio, (str, os.PathLike)):
                _no_rate(sample_rate)
                return native.transcribe_path(os.fspath(audio), options, report, on_segment)
            if isinstance(audio, Readable):
                _no_rate(sample_rate)
                return native.transcribe_file(audio, _file_name(audio), _size(audio), options, report, on_segment)
            if sample_rate is not None:
                return native.transcribe_samples(audio, sample_rate, options, report, on_segment)
            if isinstance(audio, (bytes, bytearray, memoryview)):
                return native.transcribe_bytes(bytes(audio), options, report, on_segment)
        message = "expected a number of Hz with samples; without it audio is a path, bytes or an open file"
        raise InvalidArgumentError(message, "sample_rate")

    def transcribe_many(
        self,
        audios: Iterable[AnyAudio],
        *,
        workers: int | None = None,
        sample_rate: int | None = None,
        channel: int | None = None,
        endpoint: Profile | EndpointRule = "file",
        segmentation: Segmentation = "auto",
        progress: bool | Callable[[int], object] = False,
    ) -> Iterator[tuple[AnyAudio, Transcript | Error]]:
        """Transcribes recordings side by side and gives each with its result, in their order.

        A recording that fails gives its error in place of a transcript, and the others go on; what an open file
        raised is the cause of an `IoError`. Recordings are taken from the iterable as there is room for them: at
        most two for each worker wait, so an iterable of arrays that are read as they are asked for needs little
        memory. Ctrl-C, leaving the loop early, and the end of the program end those that are under way.

        Args:
            audios: Recordings as `transcribe` takes them.
            workers: Recordings at a time, 1 to 256; default: the engine's threads. A long recording uses
                several threads by itself.
            progress: True shows a bar (tqdm, `gigastt[progress]`); a function is called with how many are done.
        """
        workers = self.threads if workers is None else workers
        if not 1 <= workers <= WORKERS_MAX:
            raise InvalidArgumentError(f"expected 1 to {WORKERS_MAX}, found {workers}", "workers")

        if isinstance(audios, (str, bytes, bytearray, memoryview, os.PathLike, Readable)):
            raise InvalidArgumentError("expected an iterable of recordings, found one: put it into a list", "audios")

        canceller = _native.Canceller()
        options = _recording(channel, endpoint, segmentation, canceller)

        def transcribe(audio: AnyAudio) -> Transcript:
            try:
                return self._transcribe(audio, sample_rate, options)
            except Error:
                raise
            except Exception as error:
                if not isinstance(audio, Readable):
                    raise
                # What this file raised, which concerns no other recording.
                raise IoError(str(error) or repr(error), _file_name(audio)) from error

        return _many.transcribe_many(audios, transcribe, canceller.cancel, workers, progress)

    def recognizer(
        self,
        sample_rate: int = 16_000,
        *,
        channels: int = 1,
        channel: int | None = None,
        endpoint: Profile | EndpointRule = "dictation",
        mode: Mode = "two_pass",
        partials: bool = True,
        backlog_ms: int = 30_000,
        finals_max: int = 1_024,
    ) -> Recognizer:
        """Opens a stream. Cheap: does not wait and does not copy the model.

        Args:
            sample_rate: Of what will be pushed, in Hz, 8,000 to 192,000.
            channels: Interleaved channels, 1 to 32.
            channel: Take this channel, counted from 0; default: the mean of all.
            endpoint: When an utterance ends: a profile's name or a rule.
            mode: `two_pass` encodes an utterance once more when it ended; `incremental` commits text that
                never changes, for captions.
            partials: Whether text is wanted while an utterance goes on.
            backlog_ms: The most audio that waits for its final; 1,000 to 600,000.
            finals_max: The most finals that wait to be taken; 1 to 65,536.

        Raises:
            InvalidArgumentError: An argument is out of its range.
            BusyError: The engine is overloaded, or as many streams are open as it was allowed.
            ForkedError, ClosedError: See there.
        """
        options = {
            "sample_rate": sample_rate,
            "channels": channels,
            "channel": channel,
            "endpoint": endpoint_rule(endpoint),
            "mode": mode,
            "partials": partials,
            "backlog_ms": backlog_ms,
            "finals_max": finals_max,
        }
        return Recognizer(self._handle().recognizer(options))

    def close(self) -> None:
        """Lets go of the model. Streams that are open keep it until they end. Idempotent."""
        self._native = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("an Engine cannot be pickled: it has threads and a loaded model; make one in each process")

    def __repr__(self) -> str:
        if self._native is None:
            return "<gigastt.Engine, closed>"
        info = self._native.info
        return f"<gigastt.Engine {info.name}, {info.source}, {self._native.threads} threads>"

    def _handle(self) -> _native.Engine:
        if self._native is None:
            raise ClosedError("the engine was closed")
        return self._native


def _recording(
    channel: int | None,
    endpoint: Profile | EndpointRule,
    segmentation: Segmentation,
    canceller: _native.Canceller | None = None,
) -> dict[str, Any]:
    """What a recording is transcribed with, as the native part takes it."""
    return {
        "channel": channel,
        "endpoint": endpoint_rule(endpoint),
        "segmentation": segmentation,
        "canceller": canceller,
    }


def _heed_log_level() -> None:
    _native.set_log_level(logging.getLogger("gigastt").getEffectiveLevel())


def _file_name(file: object) -> str:
    name = getattr(file, "name", None)
    return name if isinstance(name, str) else "file"


def _no_rate(sample_rate: int | None) -> None:
    if sample_rate is not None:
        raise InvalidArgumentError("expected none: a file knows its own", "sample_rate")


def _size(file: object) -> int | None:
    """The size of an open file that can seek, which then stands at its start; None for a pipe.

    Reading starts where the file stands, so one that was read from is taken as a pipe.
    """
    seekable = getattr(file, "seekable", None)
    if seekable is None or not seekable() or file.tell() != 0:  # type: ignore[attr-defined]
        return None
    size: int = file.seek(0, os.SEEK_END)  # type: ignore[attr-defined]
    file.seek(0)  # type: ignore[attr-defined]
    return size
