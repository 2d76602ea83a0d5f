from collections.abc import Callable
from os import PathLike
from typing import Any, Final, final

from gigastt._options import EndpointRule
from gigastt._results import (
    Download,
    EngineStats,
    Event,
    ModelInfo,
    Partial,
    Progress,
    RecognizerStats,
    Segment,
    Transcript,
)
from gigastt._samples import Samples

__all__ = [
    "Canceller",
    "Engine",
    "Recognizer",
    "__version__",
    "endpoint_profile",
    "error_codes",
    "fetch",
    "set_log_level",
    "subtitles",
]
__version__: Final[str]

@final
class Canceller:
    def __new__(cls) -> Canceller: ...
    def cancel(self) -> None: ...

@final
class Engine:
    def __new__(
        cls,
        *,
        folder: str | PathLike[str] | None,
        files: dict[str, bytes | None] | None,
        pretrained: str | None,
        variant: str | None,
        quantization: str | None,
        threads: int | None,
        provider: str,
        sessions_max: int | None,
        runtime: str | PathLike[str] | None,
    ) -> Engine: ...
    @property
    def info(self) -> ModelInfo: ...
    @property
    def threads(self) -> int: ...
    def stats(self) -> EngineStats: ...
    def recognizer(self, options: dict[str, Any]) -> Recognizer: ...
    def transcribe_path(
        self,
        path: str | PathLike[str],
        options: dict[str, Any],
        progress: Callable[[Progress], object] | None,
        on_segment: Callable[[Segment], object] | None,
    ) -> Transcript: ...
    def transcribe_bytes(
        self,
        data: bytes,
        options: dict[str, Any],
        progress: Callable[[Progress], object] | None,
        on_segment: Callable[[Segment], object] | None,
    ) -> Transcript: ...
    def transcribe_file(
        self,
        file: Any,
        name: str,
        size: int | None,
        options: dict[str, Any],
        progress: Callable[[Progress], object] | None,
        on_segment: Callable[[Segment], object] | None,
    ) -> Transcript: ...
    def transcribe_samples(
        self,
        samples: Samples,
        sample_rate: int,
        options: dict[str, Any],
        progress: Callable[[Progress], object] | None,
        on_segment: Callable[[Segment], object] | None,
    ) -> Transcript: ...

@final
class Recognizer:
    def push_pcm(self, samples: Samples, block: bool, timeout: float | None) -> int: ...
    def gap(self, frames: int) -> int: ...
    def wait_writable(self, timeout: float | None) -> bool: ...
    def poll_partial(self) -> Partial | None: ...
    def next_event(self, timeout: float | None) -> tuple[Event | None, bool]: ...
    def close(self, again: bool) -> None: ...
    def hurry(self, left: float) -> bool: ...
    def force_endpoint(self) -> None: ...
    def set_endpoint(self, rule: EndpointRule) -> None: ...
    def set_partials(self, wanted: bool) -> None: ...
    def cancel(self) -> None: ...
    def stats(self) -> RecognizerStats: ...
    def set_callback(self, callback: Callable[[], object] | None) -> None: ...
    def rings(self) -> int: ...
    def arm(self, seen: int) -> bool: ...

def endpoint_profile(name: str) -> dict[str, Any]: ...
def error_codes() -> list[tuple[str, str]]: ...
def fetch(name: str, models: str | PathLike[str], progress: Callable[[Download], object] | None) -> None: ...
def set_log_level(level: int) -> None: ...
def subtitles(segments: list[list[tuple[str, float, float]]], format: str) -> str: ...
