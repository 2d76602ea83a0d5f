"""Russian speech recognition in your process: GigaAM v3 on ONNX Runtime, on the processor.

    import gigastt

    engine = gigastt.Engine()                    # the small embedded model; Engine("folder") for GigaAM v3
    result = engine.transcribe("talk.ogg")
    print(result.text)

    with engine.recognizer(sample_rate=16_000, endpoint="assistant") as rec:
        rec.push_pcm(chunk)                      # bytes, or int16 or float32 samples
        partial = rec.poll_partial()             # the newest text, or None
        result = rec.finish()

An `Engine` may be used from any thread at any time, and so may a `Recognizer`, whose calls then come one
after another. Nothing here prints; logs go to the logger `gigastt`. After `fork` a child makes its own
engine: those of its parent raise `ForkedError` there.
"""

from gigastt._engine import Engine
from gigastt._errors import (
    BusyError,
    CancelledError,
    ClosedError,
    Error,
    ForkedError,
    InferenceError,
    InternalError,
    InvalidArgumentError,
    InvalidAudioError,
    InvalidModelError,
    IoError,
    ModelNotFoundError,
    NetworkError,
    ProviderError,
    RuntimeLibraryError,
    TimeoutError,
)
from gigastt._native import __version__
from gigastt._options import EndpointRule
from gigastt._recognizer import AsyncRecognizer, Recognizer
from gigastt._results import (
    Download,
    End,
    EngineStats,
    Event,
    ModelInfo,
    Partial,
    Progress,
    RecognizerStats,
    Segment,
    SpeechStarted,
    Transcript,
    Word,
)

__all__ = [
    "AsyncRecognizer",
    "BusyError",
    "CancelledError",
    "ClosedError",
    "Download",
    "End",
    "EndpointRule",
    "Engine",
    "EngineStats",
    "Error",
    "Event",
    "ForkedError",
    "InferenceError",
    "InternalError",
    "InvalidArgumentError",
    "InvalidAudioError",
    "InvalidModelError",
    "IoError",
    "ModelInfo",
    "ModelNotFoundError",
    "NetworkError",
    "Partial",
    "Progress",
    "ProviderError",
    "Recognizer",
    "RecognizerStats",
    "RuntimeLibraryError",
    "Segment",
    "SpeechStarted",
    "TimeoutError",
    "Transcript",
    "Word",
    "__version__",
]
