"""The plugin in LiveKit Agents' own interface."""

import asyncio

import pytest
from livekit import rtc
from livekit.agents import APIError
from livekit.agents.stt import SpeechEventType
from samples import RATE, SPEECH, pcm, scripted, signal, spoken

import gigastt
from gigastt.livekit import STT


def frames(samples, channels=1, step=320):
    samples = samples.reshape(-1, channels)
    for at in range(0, len(samples), step):
        part = samples[at : at + step]
        yield rtc.AudioFrame(part.tobytes(), RATE, channels, len(part))


def ints(samples):
    return (samples * 32_768).round().astype("<i2")


def listen(engine, samples, channels=1, flush_at=()):
    """The events of a stream, without those about usage, and the seconds that were used."""

    async def main():
        async with STT(engine).stream() as stream:
            for number, frame in enumerate(frames(samples, channels)):
                if number in flush_at:
                    stream.flush()
                stream.push_frame(frame)
            stream.end_input()
            return [event async for event in stream]

    events = asyncio.run(main())
    used = [event.recognition_usage.audio_duration for event in events if event.recognition_usage]
    return [event for event in events if not event.recognition_usage], sum(used)


def finals(events):
    return [event.alternatives[0] for event in events if event.type == SpeechEventType.FINAL_TRANSCRIPT]


def test_a_stream(engine):
    events, used = listen(engine, pcm("sample_08"))
    (final,) = finals(events)
    assert final.text == spoken("sample_08")
    assert [str(word) for word in final.words] == final.text.split()
    assert (final.language, 0 < final.confidence <= 1) == ("ru", True)
    assert 0 < final.start_time == final.words[0].start_time < final.words[-1].end_time == final.end_time
    kinds = [event.type for event in events]
    assert kinds[0] == SpeechEventType.START_OF_SPEECH
    assert kinds[-2:] == [SpeechEventType.FINAL_TRANSCRIPT, SpeechEventType.END_OF_SPEECH]
    assert set(kinds[1:-2]) <= {SpeechEventType.INTERIM_TRANSCRIPT}
    assert 0 < used <= len(pcm("sample_08")) / RATE


def test_flush_ends_an_utterance():
    events, _ = listen(scripted(), ints(signal((0, 10), (1, 20), (2, 20), (0, 10))), flush_at=[60])
    assert len(finals(events)) == 2


def test_an_utterance_that_grew_long_goes_on():
    engine = scripted()
    events, _ = listen(engine, ints(signal(*[(word, 20) for word in range(1, 40)], (0, 40))))
    ends = [event.type for event in events].count(SpeechEventType.END_OF_SPEECH)
    assert (len(finals(events)), ends) == (2, 1)


def test_two_channels():
    both = ints(SPEECH).repeat(2)
    assert [data.text for data in finals(listen(scripted(), both, channels=2)[0])] == ["w1 w3", "w5 w7"]


def test_nothing_was_said(engine):
    assert listen(engine, pcm("sample_08")[:0]) == ([], 0)


def test_a_recording(engine):
    async def main():
        plugin = STT(engine)
        assert (plugin.model, plugin.provider) == ("gigaam-v3-e2e-rnnt", "gigastt")
        event = await plugin.recognize(list(frames(pcm("sample_08"))))
        assert event.alternatives[0].text == spoken("sample_08")
        assert STT().model == plugin.model

    asyncio.run(main())


def test_errors_are_theirs():
    engine = gigastt.Engine(threads=1)
    engine.close()

    async def main():
        from livekit.agents import APIConnectOptions

        once = APIConnectOptions(max_retry=0)
        plugin = STT(engine)
        with pytest.raises(APIError) as caught:
            await plugin.recognize(next(frames(pcm("sample_08"))), conn_options=once)
        assert (caught.value.body, caught.value.retryable) == ({"code": "closed"}, False)
        async with plugin.stream(conn_options=once) as stream:
            stream.push_frame(next(frames(pcm("sample_08"))))
            with pytest.raises(APIError):
                await anext(stream)
        async with STT(scripted()).stream(conn_options=once) as stream:
            for frame in frames(ints(signal((1_001, 20)))):
                stream.push_frame(frame)
            stream.end_input()
            with pytest.raises(APIError) as caught:
                [event async for event in stream]
            assert caught.value.body == {"code": "inference"}

    asyncio.run(main())
