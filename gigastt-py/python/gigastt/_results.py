"""What comes out: words, partials, segments, events and transcripts. Plain values, which can be pickled."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeAlias

from gigastt import _native
from gigastt._errors import Error

if TYPE_CHECKING:
    import pandas

EndpointReason: TypeAlias = Literal["silence", "length", "forced", "finish", "shutdown", "session_cap", "idle"]

_RATE = 16_000


@dataclass(frozen=True, slots=True)
class Word:
    """A recognised word."""

    text: str
    """The word with the punctuation that belongs to it, without spaces."""
    start: float
    """Seconds from the start of the audio."""
    end: float
    """Seconds from the start of the audio."""
    confidence: float
    """0 to 1."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A finished utterance: as an event, the final text of what was spoken."""

    type: ClassVar[Literal["final"]] = "final"

    text: str
    words: tuple[Word, ...]
    span: tuple[int, int]
    """The samples that were encoded, at 16 kHz from the start: the first, and one past the last."""
    endpoint_reason: EndpointReason
    """Why it ended."""
    second_pass: bool
    """Whether the text comes from one full-context pass over exactly `span`."""

    @property
    def start(self) -> float:
        """Seconds from the start of the audio."""
        return self.span[0] / _RATE

    @property
    def end(self) -> float:
        """Seconds from the start of the audio."""
        return self.span[1] / _RATE


@dataclass(frozen=True, slots=True)
class Transcript:
    """The text of a recording, or of what was left of a stream when it was finished."""

    text: str
    """The texts of the segments, joined by spaces."""
    segments: tuple[Segment, ...]
    duration: float
    """Seconds of audio."""

    @property
    def words(self) -> tuple[Word, ...]:
        """The words of all segments."""
        return tuple(word for segment in self.segments for word in segment.words)

    @classmethod
    def join(cls, segments: tuple[Segment, ...] | list[Segment], duration: float) -> Transcript:
        """The transcript of finished utterances, in order."""
        text = " ".join(segment.text for segment in segments if segment.text)
        return cls(text, tuple(segments), duration)

    def to_srt(self) -> str:
        """The transcript as SubRip subtitles, made of the segments' words."""
        return _native.subtitles(self._cues(), "srt")

    def to_vtt(self) -> str:
        """The transcript as WebVTT subtitles, made of the segments' words."""
        return _native.subtitles(self._cues(), "vtt")

    def to_dict(self) -> dict[str, Any]:
        """The transcript as what `json.dumps` takes."""
        return {
            "text": self.text,
            "duration": self.duration,
            "words": [dataclasses.asdict(word) for word in self.words],
            "segments": [
                {
                    "text": segment.text,
                    "start": segment.start,
                    "end": segment.end,
                    "endpoint_reason": segment.endpoint_reason,
                    "second_pass": segment.second_pass,
                }
                for segment in self.segments
            ],
        }

    def to_dataframe(self) -> pandas.DataFrame:
        """A row for each word: `text`, `start`, `end`, `confidence`, `segment`. Needs `gigastt[pandas]`."""
        import pandas

        rows = [
            (word.text, word.start, word.end, word.confidence, number)
            for number, segment in enumerate(self.segments)
            for word in segment.words
        ]
        types = {"text": "str", "start": "float64", "end": "float64", "confidence": "float64", "segment": "int64"}
        # Without rows there is nothing that types are inferred from, and frames are concatenated.
        return pandas.DataFrame(rows, columns=list(types)).astype(types)

    def _cues(self) -> list[list[tuple[str, float, float]]]:
        return [[(word.text, word.start, word.end) for word in segment.words] for segment in self.segments]

    def _repr_html_(self) -> str:
        from gigastt._html import timeline

        return timeline(self.segments)

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Partial:
    """The newest state of the running utterance."""

    type: ClassVar[Literal["partial"]] = "partial"

    text: str
    """Everything recognised of the utterance so far: `committed` followed by `tentative`."""
    committed: str
    """The beginning of the text that never changes."""
    tentative: str
    """The rest of the text, which may still change."""
    stable: str
    """The beginning of the text on which consecutive hypotheses agree: a hint for displays."""
    revision: int
    """Grows whenever anything changed."""
    words: tuple[Word, ...]
    heard_ms: int
    """Milliseconds of audio taken, from the start of the stream."""
    decoded_ms: int
    """Milliseconds of audio, from the start of the stream, that the text accounts for."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Speech was detected."""

    type: ClassVar[Literal["speech_started"]] = "speech_started"

    at_ms: int
    """Milliseconds from the start of the stream."""


@dataclass(frozen=True, slots=True)
class End:
    """The end of a stream; nothing follows."""

    type: ClassVar[Literal["end"]] = "end"

    reason: Literal["finished", "cancelled", "failed"]
    error: Error | None
    """What the stream failed with."""


Event: TypeAlias = SpeechStarted | Partial | Segment | End
"""What a stream tells, in order: speech started, partials, a final (`Segment`), ..., and one end."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a transcription is."""

    done: float
    """Seconds of audio whose text is done."""
    total: float | None
    """Seconds of the whole recording, where it is known."""


@dataclass(frozen=True, slots=True)
class Download:
    """How much of a model's file is there."""

    file: str
    done: int
    """Bytes that are there, from earlier attempts too."""
    total: int | None
    """Bytes of the whole file, where that is known."""


@dataclass(frozen=True, slots=True)
class ModelInfo:
    """What a loaded model is."""

    name: str
    variant: str
    quantization: str | None
    vocab_size: int
    source: str
    """`embedded`, `memory` or a folder."""
    bytes: int
    """Size of its graphs."""
    optimized: str | None = None
    """The fast form that runs, `int8` or `fp32`; `None` when it runs as it is."""


@dataclass(frozen=True, slots=True)
class EngineStats:
    """What an engine has done and does."""

    sessions: int
    """Open streams."""
    queued: int
    """Windows that wait for a worker."""
    load: float
    """Share of the workers' time that live streams took in the last seconds, 0 to about 1."""
    encoder_s: float
    decoder_s: float
    encoded_s: float
    """Seconds of audio encoded; audio that is encoded again counts again."""
    windows: int
    calls: int


@dataclass(frozen=True, slots=True)
class RecognizerStats:
    """What a stream has done and holds."""

    heard_s: float
    """Seconds of audio taken."""
    settled_s: float
    """Seconds of audio, from the start, whose finals are out."""
    lag_ms: int
    """How far what is recognised trails what was heard; grows when the engine has too much to do."""
    windows: int
    """Windows that are queued or running."""
    revisions: int
    """How often the partial changed."""
    encoder_s: float
    """Seconds the encoder took for this stream; of a shared call its share."""
    front_end_s: float
    """Seconds spent on resampling, features and voice activity."""
    bytes: int
    """Bytes of audio features and of kept context held."""
