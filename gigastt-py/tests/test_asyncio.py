"""Live streams in an event loop."""

import asyncio
import threading

import pytest
from samples import LONGER, LONGER_SPOKEN, RATE, SHORT, SPEECH, SPOKEN, STUCK_S, pcm, scripted, signal, wav

import gigastt


def texts(events):
    return [event.text for event in events if event.type == "final"]


def test_one_task_pushes_while_another_takes_events():
    async def main():
        async with scripted().recognizer(backlog_ms=1_000) as rec:

            async def push():
                for _ in range(20):
                    await rec.push_pcm(SPEECH)
                rec.close()

            pushing = asyncio.create_task(push())
            events = [event async for event in rec.events()]
            await pushing
            assert texts(events) == ["w1 w3", "w5 w7"] * 20
            assert events[-1] == gigastt.End("finished", None)
            assert await rec.next_event() is None

    asyncio.run(main())


def test_finish_gives_what_was_not_taken():
    async def main():
        async with scripted().recognizer(partials=False) as rec:
            await rec.push_pcm(SPEECH.tobytes()[:0])
            await rec.push_pcm(SPEECH[:, None])
            assert (await rec.next_event()).type == "speech_started"
            assert (await rec.finish()).text == SPOKEN
            with pytest.raises(gigastt.ClosedError):
                await rec.finish()
        async with scripted(STUCK_S).recognizer(endpoint="manual") as rec:
            await rec.push_pcm(SPEECH)
            (segment,) = (await rec.finish(timeout=0.05)).segments
            assert segment.second_pass is False
        async with scripted().recognizer(partials=False) as rec:
            await rec.push_pcm(SPEECH)
            assert (await rec.finish(timeout=600)).text == SPOKEN

    asyncio.run(main())


def test_all_calls_are_those_of_a_recognizer():
    async def main():
        async with scripted().recognizer(endpoint="manual") as rec:
            assert rec.gap(RATE) == RATE
            rec.set_endpoint("dictation")
            rec.set_endpoint("manual")
            await rec.push_pcm(signal((1, 40), (0, 10)))
            while (partial := rec.poll_partial()) is None or not partial.text:
                await asyncio.sleep(0)
            rec.set_partials(False)
            rec.force_endpoint()
            assert (await rec.finish()).text == "w1"
            assert rec.stats().heard_s == 3.0
            with pytest.raises(TypeError, match="cannot be pickled"):
                rec.__reduce__()

    asyncio.run(main())


def test_cancel_from_another_thread_wakes_every_task():
    async def main():
        async with scripted(STUCK_S).recognizer(partials=False, backlog_ms=1_000) as rec:
            pushing = asyncio.create_task(rec.push_pcm(SPEECH.repeat(2)))
            while rec.stats().heard_s == 0:
                await asyncio.sleep(0)
            taking = asyncio.create_task(anext(aiter(e async for e in rec.events() if e.type == "end")))
            await asyncio.sleep(0)
            threading.Thread(target=rec.cancel).start()
            assert await taking == gigastt.End("cancelled", None)
            with pytest.raises(gigastt.CancelledError):
                await pushing
            with pytest.raises(gigastt.CancelledError):
                await rec.finish()

    asyncio.run(main())


def test_tasks_that_still_wait_are_told_when_the_stream_is_left():
    async def main():
        async with scripted(STUCK_S).recognizer(partials=False, backlog_ms=1_000) as rec:
            await rec.push_pcm(SPEECH, block=False)
            assert (await rec.next_event()).type == "speech_started"
            taking, writable = asyncio.create_task(rec.next_event()), asyncio.create_task(rec.wait_writable())
            await asyncio.sleep(0)
        async with asyncio.timeout(60):
            assert await taking == gigastt.End("cancelled", None)
            with pytest.raises(gigastt.CancelledError):
                await writable

    # Whether the engine's call comes in time is chance.
    for _ in range(20):
        asyncio.run(main())


def test_a_push_need_not_wait():
    async def main():
        async with scripted(STUCK_S).recognizer(partials=False, backlog_ms=1_000) as rec:
            taken = await rec.push_pcm(SPEECH, block=False)
            assert 0 < taken < len(SPEECH)
            assert await rec.push_pcm(SPEECH[taken:], block=False) == 0
            assert rec.stats().heard_s == taken / RATE
        async with scripted().recognizer(partials=False, backlog_ms=1_000) as rec:
            assert await rec.push_pcm(SPEECH) == len(SPEECH)

    asyncio.run(main())


def test_a_cancelled_task_leaves_the_stream_usable():
    async def main():
        async with scripted().recognizer(partials=False) as rec:
            waiting = asyncio.create_task(rec.next_event())
            await asyncio.sleep(0)
            waiting.cancel()
            with pytest.raises(asyncio.CancelledError):
                await waiting
            assert rec._waiting == set()
            await rec.push_pcm(SPEECH)
            assert (await rec.finish()).text == SPOKEN

    asyncio.run(main())


def test_finish_goes_on_after_a_timeout():
    """Two finals are there; the third takes longer than the timeout."""

    async def main():
        async with scripted(0.2).recognizer(partials=False) as rec:
            await rec.push_pcm(LONGER)
            while rec.stats().windows:
                # Takes what came from the model.
                await rec.push_pcm(LONGER[:0])
                await asyncio.sleep(0.001)
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):
                    await rec.finish()
            assert (await rec.finish()).text == LONGER_SPOKEN
            with pytest.raises(gigastt.ClosedError):
                await rec.finish()

    asyncio.run(main())


def test_cancelling_finish_is_told():
    async def main():
        async with scripted(STUCK_S).recognizer(partials=False) as rec:
            await rec.push_pcm(SPEECH)
            asyncio.get_running_loop().call_soon(rec.cancel)
            with pytest.raises(gigastt.CancelledError):
                await rec.finish()

    asyncio.run(main())


def test_sixteen_streams_in_one_loop_take_no_thread_each(engine):
    """All at once, and each gives the words of its file. How fast is measured by the benchmark."""
    names = (SHORT * 3)[:16]
    expected = [engine.transcribe(wav(name)) for name in names]

    async def listen(name):
        async with engine.recognizer(RATE, endpoint="manual") as rec:
            samples = pcm(name)
            for at in range(0, len(samples), 320):
                await rec.push_pcm(samples[at : at + 320])
                await asyncio.sleep(0)
            return await rec.finish()

    async def main():
        async with engine.recognizer() as rec:
            await rec.push_pcm(pcm(SHORT[0])[:320])
            before = threads()
            streams = [asyncio.create_task(listen(name)) for name in names]
            while engine.stats().sessions < 17:
                await asyncio.sleep(0)
            assert threads() <= before
            return await asyncio.gather(*streams)

    assert asyncio.run(main()) == expected


def threads():
    """Threads of the process, native ones included."""
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("Threads:"))


def test_a_loop_that_is_gone_is_left_alone(engine):
    """News that comes after the loop was closed reaches nobody, and says nothing."""
    rec = scripted().recognizer(partials=False)
    loop = asyncio.new_event_loop()
    stream = loop.run_until_complete(rec.__aenter__())
    assert stream._native.arm(stream._native.rings())
    loop.close()
    rec.push_pcm(SPEECH)
    assert rec.finish().text == SPOKEN
