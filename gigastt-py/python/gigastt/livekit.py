"""Speech to text for LiveKit Agents, in the agent's own process: `pip install 'gigastt[livekit]'`.

    from gigastt.livekit import STT

    session = AgentSession(stt=STT(gigastt.Engine("folder with GigaAM v3")), ...)

One engine serves every session of the process. What a speaker says is recognised as it is spoken; the end of an
utterance is found by the endpoint rule.
"""

from __future__ import annotations

import asyncio

from livekit import rtc
from livekit.agents import APIConnectOptions, APIError, stt
from livekit.agents.language import LanguageCode
from livekit.agents.types import DEFAULT_API_CONNECT_OPTIONS, NOT_GIVEN, NotGivenOr, TimedString
from livekit.agents.utils import AudioBuffer

import gigastt
from gigastt._options import Profile

RUSSIAN = LanguageCode("ru")


class STT(stt.STT):
    """Recognition of recordings and of live speech.

    Args:
        engine: Shared by all sessions; default: a new one with the embedded model.
        endpoint: When an utterance ends: a profile's name or a rule.
    """

    def __init__(
        self, engine: gigastt.Engine | None = None, *, endpoint: Profile | gigastt.EndpointRule = "assistant"
    ) -> None:
        capabilities = stt.STTCapabilities(streaming=True, interim_results=True, aligned_transcript="word")
        super().__init__(capabilities=capabilities)
        self._engine = engine if engine is not None else gigastt.Engine()
        self._endpoint: Profile | gigastt.EndpointRule = endpoint

    @property
    def model(self) -> str:
        return self._engine.info.name

    @property
    def provider(self) -> str:
        return "gigastt"

    async def _recognize_impl(
        self, buffer: AudioBuffer, *, language: NotGivenOr[str] = NOT_GIVEN, conn_options: APIConnectOptions
    ) -> stt.SpeechEvent:
        frame = rtc.combine_audio_frames(buffer)
        samples = memoryview(frame.data).cast("B").cast("h", (frame.samples_per_channel, frame.num_channels))
        try:
            result = await self._engine.transcribe_async(samples, sample_rate=frame.sample_rate)
        except gigastt.Error as error:
            raise _api_error(error) from error
        data = _data(result.text, result.words, 0.0)
        return stt.SpeechEvent(stt.SpeechEventType.FINAL_TRANSCRIPT, alternatives=[data])

    def stream(
        self,
        *,
        language: NotGivenOr[str] = NOT_GIVEN,
        conn_options: APIConnectOptions = DEFAULT_API_CONNECT_OPTIONS,
    ) -> SpeechStream:
        return SpeechStream(self, self._engine, self._endpoint, conn_options)


class SpeechStream(stt.RecognizeStream):
    """One speaker's stream, in the rate and channels of its first frame."""

    def __init__(
        self,
        owner: STT,
        engine: gigastt.Engine,
        endpoint: Profile | gigastt.EndpointRule,
        conn_options: APIConnectOptions,
    ) -> None:
        super().__init__(stt=owner, conn_options=conn_options)
        self._engine = engine
        self._endpoint: Profile | gigastt.EndpointRule = endpoint

    async def _run(self) -> None:
        first = await anext((item async for item in self._input_ch if isinstance(item, rtc.AudioFrame)), None)
        if first is None:
            return
        try:
            recognizer = self._engine.recognizer(
                first.sample_rate, channels=first.num_channels, endpoint=self._endpoint
            )
            async with recognizer as rec, asyncio.TaskGroup() as tasks:
                tasks.create_task(self._listen(rec, first))
                tasks.create_task(self._tell(rec))
        except* gigastt.Error as errors:
            error = errors.exceptions[0]
            assert isinstance(error, gigastt.Error)
            raise _api_error(error) from error

    async def _listen(self, rec: gigastt.AsyncRecognizer, first: rtc.AudioFrame) -> None:
        await rec.push_pcm(first.data)
        async for item in self._input_ch:
            if isinstance(item, rtc.AudioFrame):
                await rec.push_pcm(item.data)
            else:
                rec.force_endpoint()
        rec.close()

    async def _tell(self, rec: gigastt.AsyncRecognizer) -> None:
        async for event in rec.events():
            match event:
                case gigastt.SpeechStarted():
                    self._send(stt.SpeechEventType.START_OF_SPEECH)
                case gigastt.Partial() if event.text:
                    data = _data(event.text, event.words, self.start_time_offset)
                    self._send(stt.SpeechEventType.INTERIM_TRANSCRIPT, data)
                case gigastt.Segment():
                    self._final(event)
                case gigastt.End(error=error) if error is not None:
                    raise error

    def _final(self, segment: gigastt.Segment) -> None:
        if segment.text:
            data = _data(segment.text, segment.words, self.start_time_offset)
            self._send(stt.SpeechEventType.FINAL_TRANSCRIPT, data)
        # An utterance that was cut because it grew long goes on.
        if segment.endpoint_reason != "length":
            self._send(stt.SpeechEventType.END_OF_SPEECH)
        usage = stt.RecognitionUsage(audio_duration=segment.end - segment.start)
        self._event_ch.send_nowait(
            stt.SpeechEvent(stt.SpeechEventType.RECOGNITION_USAGE, recognition_usage=usage)
        )

    def _send(self, kind: stt.SpeechEventType, *data: stt.SpeechData) -> None:
        self._event_ch.send_nowait(stt.SpeechEvent(kind, alternatives=list(data)))


def _data(text: str, words: tuple[gigastt.Word, ...], offset: float) -> stt.SpeechData:
    timed = [
        TimedString(
            word.text,
            start_time=word.start + offset,
            end_time=word.end + offset,
            confidence=word.confidence,
            start_time_offset=offset,
        )
        for word in words
    ]
    return stt.SpeechData(
        RUSSIAN,
        text,
        start_time=words[0].start + offset if words else 0.0,
        end_time=words[-1].end + offset if words else 0.0,
        confidence=min((word.confidence for word in words), default=0.0),
        words=list(timed),
    )


def _api_error(error: gigastt.Error) -> APIError:
    return APIError(str(error), body={"code": error.code}, retryable=isinstance(error, gigastt.BusyError))
