"""The exceptions: one class per kind of error, each with the code that every language of gigastt uses."""

import builtins
from typing import Any, ClassVar


class Error(Exception):
    """Something went wrong.

    `message` is a sentence for people, `subject` the file or value it is about, if one can be named.
    """

    code: ClassVar[str] = "internal"
    """A stable name of the kind, in `snake_case`."""

    message: str
    subject: str | None

    def __init__(self, message: str = "", subject: str | None = None) -> None:
        # Those that are OSError as well would take the two for its number and text.
        Exception.__init__(self, message, subject)
        self.message = message
        self.subject = subject

    def __str__(self) -> str:
        return f"{self.subject}: {self.message}" if self.subject else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        # That of OSError adds the file's name to the arguments.
        return type(self), (self.message, self.subject), self.__dict__


class InvalidArgumentError(Error, ValueError):
    """An option or argument is out of its range; the message names it and the range."""

    code = "invalid_argument"


class InvalidAudioError(Error, ValueError):
    """The audio cannot be used: a broken container, an unknown codec, samples that are no numbers."""

    code = "invalid_audio"


class IoError(Error, OSError):
    """A file could not be read or written. `filename` names it, too."""

    code = "io"

    def __init__(self, message: str = "", subject: str | None = None) -> None:
        super().__init__(message, subject)
        self.filename = subject


class ModelNotFoundError(Error, FileNotFoundError):
    """There is no model at the place that was named, which `filename` is, too."""

    code = "model_not_found"

    def __init__(self, message: str = "", subject: str | None = None) -> None:
        super().__init__(message, subject)
        self.filename = subject


class InvalidModelError(Error, ValueError):
    """Model files are there but are not what the contract of GigaAM v3 asks for."""

    code = "invalid_model"


class RuntimeLibraryError(Error, ImportError):
    """The library of ONNX Runtime is missing, broken or too old."""

    code = "runtime"


class ProviderError(Error):
    """The execution provider is not part of the ONNX Runtime that was loaded."""

    code = "provider"


class BusyError(Error):
    """The engine is full or overloaded; try again later."""

    code = "busy"


class CancelledError(Error):
    """The work was cancelled."""

    code = "cancelled"


class ClosedError(Error):
    """The stream or the engine was closed; it takes nothing more."""

    code = "closed"


class TimeoutError(Error, builtins.TimeoutError):
    """A wait reached its time limit."""

    code = "timeout"


class ForkedError(Error):
    """Another process made this engine: this is a forked child, which has to make its own."""

    code = "forked"


class InferenceError(Error):
    """The model failed while it ran. Other streams are not affected."""

    code = "inference"


class NetworkError(Error, ConnectionError):
    """A model could not be fetched: the hub cannot be reached, or does not give it."""

    code = "network"


class InternalError(Error):
    """A defect of this library."""

    code = "internal"
