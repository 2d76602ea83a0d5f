"""The service in a pipeline of Pipecat."""

import asyncio

from pipecat.frames.frames import ErrorFrame, InputAudioRawFrame, InterimTranscriptionFrame, TranscriptionFrame
from pipecat.pipeline.worker import PipelineParams
from pipecat.services.stt_service import STTService
from pipecat.tests.utils import run_test
from samples import FAILS, RATE, SPEECH, STUCK_S, pcm, scripted, signal, spoken

import gigastt
from gigastt.pipecat import GigasttSTTService


def run(service, samples, **options):
    """The frames that a pipeline gives downstream and upstream when somebody says `samples`."""
    pieces = (samples[at : at + 320].tobytes() for at in range(0, len(samples), 320))
    frames = [InputAudioRawFrame(piece, RATE, 1) for piece in pieces]
    parameters = PipelineParams(audio_in_sample_rate=RATE)
    return asyncio.run(
        run_test(service, frames_to_send=frames, pipeline_params=parameters, start_timeout=120.0, **options)
    )


def of(kind, frames):
    return [frame for frame in frames if isinstance(frame, kind)]


def test_what_was_said_comes_before_the_end(engine):
    service = GigasttSTTService(engine)
    assert service.can_generate_metrics()
    down, up = run(service, pcm("sample_08"))
    (final,) = of(TranscriptionFrame, down)
    assert (final.text, final.language, final.finalized) == (spoken("sample_08"), "ru", True)
    assert isinstance(final.result, gigastt.Segment)
    for interim in of(InterimTranscriptionFrame, down):
        assert isinstance(interim.result, gigastt.Partial) and interim.text
    assert of(ErrorFrame, up) == []
    assert engine.stats().sessions == 0


def test_a_failing_model_is_an_error_frame():
    samples = (signal((0, 5), (1_001, 20), (0, 60)) * 32_768).round().astype("<i2")
    down, up = run(GigasttSTTService(scripted()), samples)
    assert of(TranscriptionFrame, down) == []
    assert "gigastt:" in of(ErrorFrame, up)[0].error


def test_after_a_failing_model_another_stream_hears_the_rest(monkeypatch):
    async def main():
        service = GigasttSTTService(scripted())
        service._sample_rate = RATE
        service.create_task = asyncio.create_task
        errors, finals, stopped = [], [], []

        async def push_error(message, exception):
            errors.append(type(exception))

        async def push_frame(frame):
            if isinstance(frame, TranscriptionFrame):
                finals.append(frame.text)

        async def stop(self, frame):
            stopped.append(frame)

        async def hear(samples):
            async for _ in service.run_stt((samples * 32_768).round().astype("<i2").tobytes()):
                pass

        service.push_error, service.push_frame = push_error, push_frame
        monkeypatch.setattr(STTService, "stop", stop)
        await service._open()
        await hear(signal((0, 5), (FAILS, 20)))
        await service._telling
        assert set(errors) == {gigastt.InferenceError}
        errors.clear()
        for at in range(0, len(SPEECH), 320):
            await hear(SPEECH[at : at + 320])
        await service.stop("the end")
        assert (errors, finals, stopped) == ([], ["w1 w3", "w5 w7"], ["the end"])
        # One that fails and hears nothing more does not hold up the end.
        await service._open()
        await hear(signal((0, 5), (FAILS, 20)))
        await service._telling
        await service.stop("the end")
        assert len(stopped) == 2

    asyncio.run(main())


def test_an_error_of_the_caller_is_told_once():
    async def main():
        service = GigasttSTTService(scripted())
        service._sample_rate = RATE
        service.create_task = asyncio.create_task
        errors = []

        async def push_error(message, exception):
            errors.append(type(exception))

        service.push_error = push_error
        await service._open()
        for audio in (b"odd", b"odd", bytes(640), b"odd"):
            async for _ in service.run_stt(audio):
                pass
        await service._let_go()
        assert errors == [gigastt.InvalidArgumentError] * 2

    asyncio.run(main())


def test_letting_go_of_a_stream_ends_it():
    """Also while the model is busy with it."""

    async def main():
        engine = scripted(STUCK_S)
        service = GigasttSTTService(engine)
        service._recognizer = await engine.recognizer(endpoint="manual").__aenter__()
        service._telling = asyncio.create_task(service._tell(service._recognizer))
        async for _ in service.run_stt(bytes(64_000)):
            pass
        await service._let_go()
        assert service._recognizer is service._telling is None
        await service._let_go()
        async for _ in service.run_stt(bytes(640)):
            pass

    asyncio.run(main())


def test_an_engine_of_its_own():
    assert GigasttSTTService()._engine.info.source == "embedded"
