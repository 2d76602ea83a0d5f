"""Speech to text for Pipecat, in the pipeline's own process: `pip install 'gigastt[pipecat]'`.

    from gigastt.pipecat import GigasttSTTService

    pipeline = Pipeline([transport.input(), GigasttSTTService(gigastt.Engine("folder with GigaAM v3")), ...])

One engine serves every pipeline of the process. Partial texts are `InterimTranscriptionFrame`s, finished utterances
`TranscriptionFrame`s, whose `result` is the partial or the segment with its words and times.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

from pipecat.frames.frames import CancelFrame, EndFrame, Frame, InterimTranscriptionFrame, TranscriptionFrame
from pipecat.processors.frame_processor import FrameProcessorSetup
from pipecat.services.stt_service import STTService
from pipecat.transcriptions.language import Language
from pipecat.utils.time import time_now_iso8601

import gigastt
from gigastt._options import Profile


class GigasttSTTService(STTService):
    """Recognises 16-bit mono audio as it is spoken.

    Args:
        engine: Shared by all pipelines; default: a new one with the embedded model.
        endpoint: When an utterance ends: a profile's name or a rule.
    """

    def __init__(
        self,
        engine: gigastt.Engine | None = None,
        *,
        endpoint: Profile | gigastt.EndpointRule = "assistant",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._engine = engine if engine is not None else gigastt.Engine()
        self._endpoint: Profile | gigastt.EndpointRule = endpoint
        self._recognizer: gigastt.AsyncRecognizer | None = None
        self._telling: asyncio.Task[None] | None = None
        self._complaint: str | None = None

    def can_generate_metrics(self) -> bool:
        return True

    async def setup(self, setup: FrameProcessorSetup) -> None:
        await super().setup(setup)
        await self._open()

    async def run_stt(self, audio: bytes) -> AsyncGenerator[Frame | None, None]:
        """Takes audio; the texts are pushed as they come."""
        try:
            await self._hear(audio)
            self._complaint = None
        except gigastt.Error as error:
            # Once, and not for each piece of audio.
            if self._complaint != str(error):
                self._complaint = str(error)
                await self.push_error(f"gigastt: {error}", exception=error)
        yield None

    async def stop(self, frame: EndFrame) -> None:
        if self._recognizer is not None and self._telling is not None:
            # That a stream failed is told by `_tell`.
            with suppress(gigastt.Error):
                self._recognizer.close()
            await self._telling
        await super().stop(frame)

    async def cancel(self, frame: CancelFrame) -> None:
        await self._let_go()
        await super().cancel(frame)

    async def cleanup(self) -> None:
        await self._let_go()
        await super().cleanup()

    async def _open(self) -> None:
        recognizer = self._engine.recognizer(self.sample_rate, endpoint=self._endpoint)
        self._recognizer = await recognizer.__aenter__()
        self._telling = self.create_task(self._tell(self._recognizer))

    async def _hear(self, audio: bytes) -> None:
        if self._recognizer is None or self._telling is None:
            return
        try:
            await self._recognizer.push_pcm(audio)
        except gigastt.InferenceError:
            # That the stream failed is told by `_tell`; what is said from now on is for another one.
            await self._telling
            await self._open()
            await self._recognizer.push_pcm(audio)

    async def _let_go(self) -> None:
        if self._recognizer is not None:
            self._recognizer.cancel()
        if self._telling is not None:
            await self._telling
        self._recognizer = self._telling = None

    async def _tell(self, rec: gigastt.AsyncRecognizer) -> None:
        async for event in rec.events():
            match event:
                case gigastt.Partial() if event.text:
                    await self.push_frame(self._frame(InterimTranscriptionFrame, event))
                case gigastt.Segment() if event.text:
                    await self.push_frame(self._frame(TranscriptionFrame, event, finalized=True))
                case gigastt.End(error=error) if error is not None:
                    await self.push_error(f"gigastt: {error}", exception=error)

    def _frame(self, kind: type[Any], event: gigastt.Partial | gigastt.Segment, **more: Any) -> Any:
        return kind(event.text, self._user_id, time_now_iso8601(), language=Language.RU, result=event, **more)
