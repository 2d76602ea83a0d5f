"""Live streams, from threads."""

import dataclasses
import random
import threading

import pytest
from samples import NAMES, RATE, SHORT, SPEECH, SPOKEN, STUCK_S, pcm, scripted, signal, wav

import gigastt


@pytest.mark.parametrize("name", NAMES)
def test_a_finished_stream_gives_the_words_of_the_file(engine, name):
    """Promise 4: with the profile `manual`, however the audio was cut.

    Mutation: `push_pcm` that leaves out the last sample of a chunk.
    """
    samples = pcm(name)
    expected = engine.transcribe(wav(name), endpoint="manual")
    if name in SHORT:
        assert expected == engine.transcribe(wav(name))
    for seed in range(3):
        chance = random.Random(f"{name} {seed}")
        with engine.recognizer(sample_rate=RATE, endpoint="manual") as rec:
            at = 0
            while at < len(samples):
                step = chance.choice((1, 7, 160, 320, 4_097, 16_000))
                at += rec.push_pcm(samples[at : at + step])
            result = rec.finish()
        assert result == expected, f"seed {seed}"


def kinds(events):
    return [event.type for event in events]


def test_events_come_in_order_and_end_once():
    with scripted().recognizer(partials=False) as rec:
        rec.push_pcm(SPEECH)
        rec.close()
        rec.close()
        events = list(rec.events())
        assert kinds(events) == ["speech_started", "final", "speech_started", "final", "end"]
        assert [event.text for event in events if event.type == "final"] == ["w1 w3", "w5 w7"]
        assert events[-1] == gigastt.End("finished", None)
        assert rec.poll_event() is None
        assert rec.next_event() is None
        assert list(rec.events()) == []
        assert rec.poll_partial() is None


def test_partials_grow():
    """Each part of the speech is pushed when the one before it was recognised."""
    with scripted().recognizer() as rec:
        rec.push_pcm(signal((0, 10), (1, 60)))
        events = rec.events()
        assert next(events) == gigastt.SpeechStarted(next_start(rec))
        partial = next(event for event in events if event.type == "partial" and event.text)
        assert partial.text == partial.committed + partial.tentative == "w1"
        assert partial.text.startswith(partial.stable)
        assert partial.heard_ms == 2_800
        assert 0 < partial.decoded_ms <= partial.heard_ms
        assert partial.revision >= 1
        (word,) = partial.words
        assert (word.text, word.start) == ("w1", 0.4)
        rec.push_pcm(signal((2, 60)))
        newest = next(event for event in events if event.type == "partial" and event.text != partial.text)
        assert newest.revision > partial.revision
        stats = rec.stats()
        assert stats.heard_s == 5.2
        assert stats.revisions >= newest.revision - 1
        rec.set_partials(False)
        rec.force_endpoint()
        assert next(event for event in events if event.type == "final").text.startswith("w1 w3")
        assert rec.poll_partial() is None


def next_start(rec):
    """Where the scripted detector believes in speech that starts at 400 ms."""
    return 400 // 16 * 16


def test_incremental_mode_commits():
    with scripted().recognizer(mode="incremental") as rec:
        rec.push_pcm(signal((0, 10), (1, 30), (2, 30), (0, 60)))
        rec.close()
        events = list(rec.events())
        committed = [event.committed for event in events if event.type == "partial"]
        final = next(event for event in events if event.type == "final")
        assert all(final.text.startswith(text) for text in committed)
        assert final.second_pass is False
        with pytest.raises(gigastt.ClosedError):
            rec.set_partials(False)


def test_a_gap_keeps_the_times_right():
    with scripted().recognizer(partials=False) as rec:
        assert rec.gap(2 * RATE) == 2 * RATE
        rec.push_pcm(signal((1, 10), (0, 10)))
        (word,) = rec.finish().words
        assert word.start == 2.0


def test_the_host_can_end_an_utterance():
    with scripted().recognizer(endpoint="manual", partials=False) as rec:
        rec.push_pcm(signal((1, 20)))
        rec.force_endpoint()
        rec.push_pcm(signal((2, 20)))
        result = rec.finish()
        assert [segment.endpoint_reason for segment in result.segments] == ["forced", "finish"]
        assert [segment.span for segment in result.segments] == [(0, 12_800), (12_800, 25_600)]
        assert [(segment.start, segment.end) for segment in result.segments] == [(0.0, 0.8), (0.8, 1.6)]


def test_the_endpoint_rule_is_data():
    patient = dataclasses.replace(gigastt.EndpointRule.profile("dictation"), silence_ms=5_000)
    for endpoint, finals in (("dictation", 2), (patient, 1), ("manual", 1)):
        with scripted().recognizer(endpoint=endpoint, partials=False) as rec:
            rec.push_pcm(SPEECH)
            assert len(rec.finish().segments) == finals
    with scripted().recognizer(endpoint="dictation", partials=False) as rec:
        rec.set_endpoint(patient)
        rec.push_pcm(SPEECH)
        assert len(rec.finish().segments) == 1
    with pytest.raises(gigastt.InvalidArgumentError) as caught:
        scripted().recognizer(endpoint=dataclasses.replace(patient, speech_ms=-1))
    assert caught.value.subject == "speech_ms"


def test_finals_that_nobody_takes_are_bounded():
    with scripted().recognizer(partials=False, finals_max=1) as rec:
        with pytest.raises(gigastt.BusyError) as caught:
            at = 0
            while True:
                at += rec.push_pcm(SPEECH[at : at + 320])
                rec.wait_writable()
        assert caught.value.subject == "finals_max"
        assert kinds([rec.poll_event(), rec.poll_event()]) == ["speech_started", "final"]
        rec.push_pcm(SPEECH[at:])
        assert rec.finish().text == "w5 w7"


def test_a_final_that_does_not_fit_the_time_is_the_newest_hypothesis():
    with scripted(STUCK_S).recognizer(endpoint="manual") as rec:
        rec.push_pcm(SPEECH)
        (segment,) = rec.finish(timeout=0.05).segments
        assert segment.second_pass is False
    with scripted().recognizer(partials=False) as rec:
        rec.push_pcm(SPEECH)
        assert rec.finish(timeout=600).text == SPOKEN


@pytest.mark.parametrize("wait", ["next_event", "finish", "wait_writable", "push_pcm", "events"])
def test_cancel_from_another_thread_ends_every_wait(wait):
    with scripted(STUCK_S).recognizer(partials=False, backlog_ms=1_000) as rec:
        while rec.push_pcm(SPEECH, block=False):
            pass
        waits = {
            "next_event": lambda: [rec.next_event() for _ in range(3)],
            "finish": rec.finish,
            "wait_writable": rec.wait_writable,
            "push_pcm": lambda: rec.push_pcm(SPEECH),
            "events": lambda: list(rec.events()),
        }
        timer = threading.Timer(0.02, rec.cancel)
        timer.start()
        if wait in ("next_event", "events"):
            events = waits[wait]()
            assert events[-1] is None or events[-1] == gigastt.End("cancelled", None)
            assert gigastt.End("cancelled", None) in events
        else:
            with pytest.raises(gigastt.CancelledError):
                waits[wait]()
        timer.join()


def test_one_thread_pushes_while_another_takes_events():
    with scripted().recognizer(backlog_ms=1_000) as rec:
        events = []
        reader = threading.Thread(target=lambda: events.extend(rec.events()))
        reader.start()
        for _ in range(20):
            assert rec.push_pcm(SPEECH) == len(SPEECH)
        rec.close()
        reader.join()
        assert [event.text for event in events if event.type == "final"] == ["w1 w3", "w5 w7"] * 20
        assert kinds(events).count("end") == 1


def test_many_threads_share_an_engine_and_a_stream(engine):
    """Nothing is lost, twice or in the wrong stream, whoever calls what meanwhile."""
    expected = {name: engine.transcribe(wav(name)).text for name in SHORT}
    shared = engine.recognizer(endpoint="manual")
    failures = []

    def stream(name):
        with engine.recognizer(endpoint="manual") as rec:
            samples = pcm(name)
            for at in range(0, len(samples), 1_600):
                rec.push_pcm(samples[at : at + 1_600])
                rec.poll_partial()
                shared.push_pcm(samples[at : at + 1_600])
                shared.poll_event()
                engine.stats()
            if (text := rec.finish().text) != expected[name]:
                failures.append((name, text))
        if engine.transcribe(wav(name)).text != expected[name]:
            failures.append(name)

    threads = [threading.Thread(target=stream, args=(name,)) for name in SHORT * 2]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    heard = 2 * sum(len(pcm(name)) for name in SHORT) / RATE
    assert shared.stats().heard_s == pytest.approx(heard)
    shared.cancel()
