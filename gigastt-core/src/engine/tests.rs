//! Engines with real threads over the scripted model.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test stops where it fails.

use std::time::{Duration, Instant};

use super::*;
use crate::fake::{FAILS, FRAME, PANICS, Script, amplitude};
use crate::{End, EndpointReason, Event, Mode, Plan};

/// `words` as a signal: each word lasts its number of frames; word 0 is silence.
fn signal(words: &[(u32, usize)]) -> Vec<f32> {
    words.iter().flat_map(|(word, frames)| std::iter::repeat_n(amplitude(*word), frames * FRAME)).collect()
}

/// Nothing here takes long; a wait that reaches this has failed, however busy the machine is.
const PATIENCE: Option<Duration> = Some(Duration::from_secs(120));

fn engine() -> Engine {
    Engine::fake(Script::default(), 2).unwrap()
}

/// An engine whose calls last far longer than any test.
fn stuck() -> Engine {
    Engine::fake(Script { call: Duration::from_secs(600), ..Script::default() }, 2).unwrap()
}

fn push_all(recognizer: &mut Recognizer, mut pcm: &[f32]) {
    while !pcm.is_empty() {
        let taken = recognizer.push_pcm(pcm).unwrap();
        pcm = &pcm[taken..];
        if taken == 0 {
            assert!(recognizer.wait_writable(PATIENCE).unwrap(), "room in time");
        }
    }
}

/// Waits until a worker has the stream's window in its hands.
fn await_call(engine: &Engine) {
    while engine.stats().unwrap().queued > 0 {
        std::thread::yield_now();
    }
}

/// Waits for a partial that begins with `text`.
fn await_text(recognizer: &mut Recognizer, text: &str) {
    loop {
        match recognizer.next_event(PATIENCE).unwrap().expect("a partial in time") {
            Event::Partial(partial) if partial.text.starts_with(text) => return,
            Event::Partial(_) | Event::SpeechStarted { .. } => {}
            other => panic!("{other:?} before a partial with {text}"),
        }
    }
}

const SPEECH: [(u32, usize); 7] = [(0, 10), (1, 10), (2, 10), (0, 30), (5, 10), (6, 10), (0, 30)];
const SPOKEN: &str = "w1 w3 w5 w7";

/// Promise 2. Fails when the transcript leaves a final out.
#[test]
fn a_stream_is_transcribed() {
    let mut recognizer = engine().recognizer(Options::new(16_000)).unwrap();
    push_all(&mut recognizer, &signal(&SPEECH));
    let transcript = recognizer.finish().unwrap();
    assert_eq!(transcript.text, SPOKEN);
    assert_eq!(transcript.segments.len(), 2);
    assert!((transcript.duration - 110.0 * 0.04).abs() < 1e-9);
}

/// Exactly one end. Fails when the end is told again to who asks again.
#[test]
fn events_come_in_order_and_end_once() {
    let mut recognizer = engine().recognizer(Options::new(16_000)).unwrap();
    push_all(&mut recognizer, &signal(&SPEECH));
    recognizer.close(EndpointReason::Finish).unwrap();
    let mut told = String::new();
    while let Some(event) = recognizer.next_event(PATIENCE).unwrap() {
        match event {
            Event::SpeechStarted { .. } => told.push('s'),
            Event::Partial(_) => {}
            Event::Final(_) => told.push('f'),
            Event::End(end) => told.push_str(if end == End::Finished { "." } else { "!" }),
        }
    }
    assert_eq!(told, "sfsf.");
}

#[test]
fn a_recording_is_transcribed_like_a_stream() {
    let mut pieces = Vec::new();
    let mut done = Vec::new();
    let hooks = Hooks {
        progress: Some(&mut |p: Progress| done.push(p.done_s)),
        on_final: Some(&mut |text: &crate::Final| pieces.push(text.text.clone())),
        canceller: None,
    };
    let pcm = signal(&[(1, 450), (0, 30), (2, 450), (0, 30), (3, 200), (0, 20)]);
    let transcript = engine().transcribe_with(pcm.as_slice(), &Options::file(), hooks).unwrap();
    assert_eq!(transcript.text, "w1 w2 w3");
    assert_eq!(pieces, ["w1", "w2", "w3"]);
    assert!(done.is_sorted(), "progress never goes back: {done:?}");
    assert_eq!(done.last(), Some(&transcript.duration));
}

#[test]
fn one_window_on_request_and_not_more() {
    let whole = Options { segmentation: crate::Segmentation::Whole, ..Options::file() };
    let pcm = signal(&[(1, 300), (0, 30), (2, 290), (0, 5)]);
    let transcript = engine().transcribe(pcm.as_slice(), &whole).unwrap();
    assert_eq!((transcript.text.as_str(), transcript.segments.len()), ("w1 w3", 1));
    let error = engine().transcribe(signal(&[(1, 626)]).as_slice(), &whole).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    // The resampler holds back by how much this is too long until the end.
    let whole = Options { format: crate::audio::Format { sample_rate: 48_000, channels: 1 }, ..whole };
    let error = engine().transcribe(vec![0.1; 25_004 * 48].as_slice(), &whole).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidArgument);
}

#[test]
fn the_bound_on_untaken_finals_is_for_streams() {
    let options = Options { finals_max: 1, ..Options::file() };
    let pcm = signal(&[(1, 500), (0, 30)].repeat(6));
    assert_eq!(engine().transcribe(pcm.as_slice(), &options).unwrap().segments.len(), 6);
}

#[test]
fn samples_come_as_programs_have_them() {
    struct Once(Vec<f32>);
    impl crate::audio::Source for Once {
        fn format(&self) -> crate::audio::Format {
            crate::audio::Format { sample_rate: 16_000, channels: 1 }
        }
        fn duration_hint(&self) -> Option<f64> {
            None
        }
        fn read(&mut self, out: &mut Vec<f32>) -> Result<()> {
            out.clear();
            out.append(&mut self.0);
            Ok(())
        }
    }
    let (engine, floats) = (engine(), signal(&SPEECH));
    let shorts: Vec<i16> = floats.iter().map(|s| (s * 32_768.0) as i16).collect();
    let text = |audio: Audio<'_>| engine.transcribe(audio, &Options::file()).unwrap().text;
    let expected = text(floats.as_slice().into());
    assert!(expected.starts_with("w1 w3"), "{expected}");
    assert_eq!(text((&floats).into()), expected);
    assert_eq!(text((&shorts).into()), expected);
    assert_eq!(text(shorts.as_slice().into()), expected);
    assert_eq!(text((&[0_i16; 160]).into()), "");
    assert_eq!(text(Audio::source(Once(floats))), expected);
}

/// Engines are shared, recognizers move, futures are spawned, errors are kept and sent.
#[test]
fn what_crosses_threads_may() {
    fn shared<T: Send + Sync + Clone + fmt::Debug + 'static>() {}
    fn moves<T: Send + fmt::Debug>() {}
    shared::<Engine>();
    shared::<EngineBuilder>();
    shared::<Canceller>();
    shared::<Error>();
    shared::<Event>();
    shared::<crate::Transcript>();
    moves::<Recognizer>();
    moves::<Audio<'_>>();
    #[cfg(feature = "async")]
    moves::<Events<'_>>();
    #[cfg(feature = "async")]
    {
        fn spawned<F: Future + Send>(_: F) {}
        spawned(engine().recognizer(Options::new(16_000)).unwrap().finish_async());
    }
}

#[test]
fn finish_and_cancel_in_any_order() {
    let open = || engine().recognizer(Options::new(16_000)).unwrap();
    let kind = |result: Result<crate::Transcript>| result.unwrap_err().kind();

    let mut twice = open();
    assert_eq!(twice.finish().unwrap().text, "");
    assert_eq!(kind(twice.finish()), ErrorKind::Closed);
    assert_eq!(twice.push_pcm(&[0.0_f32]).unwrap_err().kind(), ErrorKind::Closed);

    let mut cancelled = open();
    cancelled.cancel();
    cancelled.cancel();
    assert_eq!(kind(cancelled.finish()), ErrorKind::Cancelled);
    assert_eq!(cancelled.poll_event(), Some(Event::End(End::Cancelled)));
    assert_eq!(cancelled.poll_event(), None);
    assert_eq!(cancelled.next_event(None).unwrap(), None, "a wait after the end returns at once");

    let mut again = open();
    let late = again.canceller();
    again.cancel();
    again.reset().unwrap();
    late.cancel();
    push_all(&mut again, &signal(&SPEECH));
    assert_eq!(again.finish().unwrap().text, SPOKEN);
}

#[test]
fn a_stream_starts_over_with_other_options_in_its_place() {
    let engine = engine();
    let mut stream = engine.recognizer(Options::new(16_000)).unwrap();
    push_all(&mut stream, &signal(&SPEECH));
    let wrong = Options { partials: Some(Plan { step_max: 0, ..Plan::default() }), ..Options::new(16_000) };
    assert_eq!(stream.restart(wrong).unwrap_err().kind(), ErrorKind::InvalidArgument);
    stream.restart(Options { partials: None, ..Options::new(16_000) }).unwrap();
    assert_eq!(engine.stats().unwrap().sessions, 1);
    assert_eq!(stream.stats(), engine.recognizer(Options::new(16_000)).unwrap().stats());
    push_all(&mut stream, &signal(&SPEECH));
    assert_eq!(stream.finish().unwrap().text, SPOKEN);
}

/// Promise 7. Fails when cancelling leaves the running call alone.
#[test]
fn cancel_wakes_a_wait_and_frees_the_worker() {
    let engine = stuck();
    let mut recognizer = engine.recognizer(Options::new(16_000)).unwrap();
    push_all(&mut recognizer, &signal(&SPEECH));
    await_call(&engine);
    let canceller = recognizer.canceller();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || recognizer.finish().unwrap_err().kind());
        canceller.cancel();
        assert_eq!(waiting.join().unwrap(), ErrorKind::Cancelled);
    });
    // Dropping the engine joins its workers: they are not in a call of ten minutes any more.
    drop(engine);
}

/// Promise 7. Fails when cancelling wakes nobody.
#[test]
fn cancel_wakes_a_wait_for_nothing() {
    let engine = engine();
    let mut recognizer = engine.recognizer(Options::new(16_000)).unwrap();
    let canceller = recognizer.canceller();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || recognizer.next_event(None).unwrap());
        // So that the other thread waits already; should it not, this tests less and fails no more.
        std::thread::sleep(Duration::from_millis(50));
        canceller.cancel();
        assert_eq!(waiting.join().unwrap(), Some(Event::End(End::Cancelled)));
    });
}

#[test]
fn dropping_a_stream_in_the_middle_of_a_call_ends_the_call() {
    let engine = stuck();
    let mut recognizer = engine.recognizer(Options::new(16_000)).unwrap();
    push_all(&mut recognizer, &signal(&SPEECH));
    await_call(&engine);
    drop(recognizer);
    assert_eq!(engine.stats().unwrap().sessions, 0);
    drop(engine);
}

/// Promise 8. Fails when a panic of the model takes its worker along.
#[test]
fn a_failing_stream_ends_alone() {
    for (word, kind) in [(FAILS, ErrorKind::Inference), (PANICS, ErrorKind::Internal)] {
        let engine = engine();
        let mut broken = engine.recognizer(Options::new(16_000)).unwrap();
        let mut sound = engine.recognizer(Options::new(16_000)).unwrap();
        for chunk in signal(&[(word, 40), (0, 40)]).chunks(320) {
            // It may fail before everything was pushed.
            let _ = broken.push_pcm(chunk);
        }
        push_all(&mut sound, &signal(&SPEECH));
        assert_eq!(broken.finish().unwrap_err().kind(), kind);
        assert_eq!(broken.push_pcm(&[0.0_f32]).unwrap_err().kind(), kind, "and stays failed");
        assert_eq!(sound.finish().unwrap().text, SPOKEN);
    }
}

/// Promise 8, and that streams do not hear one another. Fails when a call that several share mixes them up, is
/// counted as theirs though it failed, or leaves them something else than a call of their own does.
#[test]
fn streams_that_share_calls_hear_their_own_words() {
    let script = Script { call: Duration::from_millis(4), ..Script::default() };
    let engine = Engine::fake(script, 1).unwrap();
    let started = Instant::now();
    let (mut shared, mut failed) = (false, false);
    while !(shared && failed) {
        assert!(started.elapsed() < PATIENCE.unwrap(), "calls are shared: {shared}, one failed: {failed}");
        let mut streams: Vec<Recognizer> =
            (0..4).map(|_| engine.recognizer(Options::new(16_000)).unwrap()).collect();
        // Each word is heard shifted by those before it.
        let first = |stream: usize| 100 * stream as u32 + 1;
        let heard =
            |stream| (0..9).map(|n| format!("w{}", first(stream) + 2 * n)).collect::<Vec<_>>().join(" ");
        let said = |stream: usize| {
            let mut words: Vec<(u32, usize)> = (0..9).map(|n| (first(stream) + n, 9)).collect();
            if stream == 3 {
                words[5].0 = FAILS;
            }
            words.insert(0, (0, 3 * stream));
            words.push((0, 6));
            signal(&words)
        };
        let pcm: Vec<Vec<f32>> = (0..4).map(said).collect();
        for at in (0..pcm[3].len()).step_by(FRAME) {
            for (stream, recognizer) in streams.iter_mut().enumerate() {
                // One of them fails on the way.
                let _ = recognizer.push_pcm(pcm[stream].get(at..at + FRAME).unwrap_or_default());
                while let Some(event) = recognizer.poll_event() {
                    if let Event::Partial(partial) = event {
                        assert!(heard(stream).starts_with(&partial.text), "{stream}: {}", partial.text);
                    }
                }
            }
            std::thread::yield_now();
        }
        let broken = streams.pop().unwrap().finish();
        assert_eq!(broken.unwrap_err().kind(), ErrorKind::Inference);
        let stats = engine.stats().unwrap();
        (shared, failed) = (stats.windows > stats.calls, true);
        for (stream, mut recognizer) in streams.into_iter().enumerate() {
            let text = recognizer.finish().unwrap().text;
            assert!(heard(stream).starts_with(&text) && text.len() > 20, "{stream}: {text}");
        }
    }
}

/// Promise 4. Fails when a deadline is not compared with the measured speed.
#[test]
fn a_final_whose_second_pass_does_not_fit_is_the_newest_hypothesis() {
    let engine = Engine::fake(Script { frame: Duration::from_millis(2), ..Script::default() }, 1).unwrap();
    let mut recognizer = engine.recognizer(Options::new(16_000)).unwrap();
    push_all(&mut recognizer, &signal(&[(0, 10), (1, 60), (2, 60)]));
    await_text(&mut recognizer, "w1");
    let transcript = recognizer.finish_within(Duration::from_millis(50), EndpointReason::Shutdown).unwrap();
    let last = transcript.segments.last().unwrap();
    assert_eq!((last.second_pass, last.endpoint_reason), (false, EndpointReason::Shutdown));
    assert!(last.text.starts_with("w1"), "{}", last.text);
}

/// Promise 4. A second pass that is under way has less to go from press to press. Fails when what it has
/// done already is asked for again.
#[test]
fn a_second_pass_that_is_under_way_and_fits_is_waited_for() {
    let engine = Engine::fake(Script { frame: Duration::from_millis(2), ..Script::default() }, 1).unwrap();
    let mut recognizer = engine.recognizer(Options { partials: None, ..Options::new(16_000) }).unwrap();
    // A first one tells how long they take.
    push_all(&mut recognizer, &signal(&[(0, 10), (1, 120), (0, 40)]));
    while !matches!(recognizer.next_event(PATIENCE).unwrap(), Some(Event::Final(_))) {}
    push_all(&mut recognizer, &signal(&[(0, 10), (1, 120)]));
    recognizer.close(EndpointReason::Idle).unwrap();
    let whole = recognizer.estimate();
    await_call(&engine);
    std::thread::sleep(whole / 2);
    assert!(recognizer.estimate() < whole.mul_f64(0.6), "half of {whole:?} is over");
    assert!(!recognizer.hurry(whole.mul_f64(0.7)).unwrap(), "what is left fits");
    let events = std::iter::from_fn(|| recognizer.next_event(PATIENCE).unwrap());
    let passes: Vec<bool> = events
        .filter_map(|event| match event {
            Event::Final(text) => Some(text.second_pass),
            _ => None,
        })
        .collect();
    assert_eq!(passes, [true]);
}

/// Promises 5 and 6. Fails when the backlog has no bound, and when pushing waits for the model.
#[test]
fn a_full_backlog_takes_nothing_and_loses_nothing() {
    let engine = stuck();
    let options = Options { backlog_ms: 1_000, partials: None, ..Options::new(16_000) };
    let mut recognizer = engine.recognizer(options).unwrap();
    let pcm = signal(&[SPEECH, SPEECH, SPEECH].concat());
    let mut taken = 0;
    for chunk in pcm.chunks(320) {
        let now = recognizer.push_pcm(chunk).unwrap();
        taken += now;
        if now == 0 {
            break;
        }
    }
    assert!(taken < pcm.len() / 2, "{taken} of {}", pcm.len());
    assert!(!recognizer.wait_writable(Some(Duration::from_millis(20))).unwrap());
}

#[test]
fn untaken_finals_are_bounded_and_the_reason_is_told() {
    let options = Options { finals_max: 1, partials: None, ..Options::new(16_000) };
    let mut recognizer = engine().recognizer(options).unwrap();
    let pcm = signal(&SPEECH);
    let mut rest = pcm.as_slice();
    let error = loop {
        let taken = recognizer.push_pcm(&rest[..rest.len().min(320)]).unwrap();
        rest = &rest[taken..];
        if let Err(error) = recognizer.wait_writable(None) {
            break error;
        }
    };
    assert_eq!((error.kind(), error.subject()), (ErrorKind::Busy, Some("finals_max")));
    assert!(matches!(recognizer.poll_event(), Some(Event::SpeechStarted { .. })));
    assert!(matches!(recognizer.poll_event(), Some(Event::Final(_))));
    // Without most of the last pause, in which the next final may come and fill it again.
    push_all(&mut recognizer, &rest[..rest.len().saturating_sub(25 * FRAME)]);
    assert_eq!(recognizer.finish().unwrap().text, "w5 w7");
}

#[test]
fn streams_are_bounded() {
    let engine = Engine::fake(Script::default(), 1).unwrap();
    let open: Vec<_> = (0..4_096).map(|_| engine.recognizer(Options::new(16_000)).unwrap()).collect();
    let error = engine.recognizer(Options::new(16_000)).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Busy);
    drop(open);
    assert!(engine.recognizer(Options::new(16_000)).is_ok());
}

#[test]
fn bad_options_and_samples_are_refused() {
    let engine = engine();
    let rates = [0, 1, 7_999, 192_001, 1_000_000];
    for rate in rates {
        let error = engine.recognizer(Options::new(rate)).unwrap_err();
        assert_eq!(
            (error.kind(), error.subject()),
            (ErrorKind::InvalidArgument, Some("sample_rate")),
            "{rate}"
        );
    }
    let plan = Plan { left: 1, ..Plan::default() };
    let options = Options { partials: Some(plan), ..Options::new(16_000) };
    assert_eq!(engine.recognizer(options).unwrap_err().subject(), Some("left"));

    let mut recognizer = engine.recognizer(Options::new(16_000)).unwrap();
    let mut pcm = vec![0.0_f32; 4_000];
    pcm[2_000] = f32::NAN;
    let taken = recognizer.push_pcm(&pcm).unwrap();
    assert_eq!(taken, 2_000, "what comes before the bad sample is taken");
    let error = recognizer.push_pcm(&pcm[taken..]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidAudio);
    assert_eq!(recognizer.push_pcm(&[0.0_f32; 100]).unwrap(), 100, "the stream goes on");
}

#[test]
fn a_gap_keeps_the_times_right() {
    let mut recognizer = engine().recognizer(Options::new(16_000)).unwrap();
    assert_eq!(recognizer.gap(32_000).unwrap(), 32_000);
    push_all(&mut recognizer, &signal(&[(1, 10), (0, 10)]));
    let transcript = recognizer.finish().unwrap();
    let word = transcript.words().next().unwrap();
    assert!((word.start - 2.0).abs() < 1e-9, "{}", word.start);
}

/// Promise 7. Fails when a gap goes on as long as there is room, which in silence is for ever.
#[test]
fn cancel_ends_a_gap() {
    let mut recognizer = engine().recognizer(Options::new(8_000)).unwrap();
    let canceller = recognizer.canceller();
    let (sender, ended) = std::sync::mpsc::channel();
    std::thread::spawn(move || sender.send((recognizer.gap(u64::MAX), recognizer.gap(1))));
    // So that the gap is under way; should it not be, this tests less and fails no more.
    std::thread::sleep(Duration::from_millis(50));
    canceller.cancel();
    let (_, next) = ended.recv_timeout(PATIENCE.unwrap()).expect("an end in time");
    assert_eq!(next.unwrap_err().kind(), ErrorKind::Cancelled);
}

#[test]
fn partials_are_changed_while_a_stream_runs() {
    let mut recognizer = engine().recognizer(Options::new(16_000)).unwrap();
    recognizer.set_partials(None).unwrap();
    push_all(&mut recognizer, &signal(&[(0, 10), (1, 60)]));
    assert_eq!(recognizer.stats().windows, 0, "no window for partials that nobody wants");

    let slow = Plan { step_min: 32, ..Plan::default() };
    recognizer.set_partials(Some(slow)).unwrap();
    let error = recognizer.set_partials(Some(Plan { step_min: 1, ..slow })).unwrap_err();
    assert_eq!((error.kind(), error.subject()), (ErrorKind::InvalidArgument, Some("step_min")));
    push_all(&mut recognizer, &signal(&[(2, 60), (0, 10)]));
    let partial = loop {
        match recognizer.next_event(PATIENCE).unwrap().unwrap() {
            Event::Partial(partial) => break partial,
            other => assert!(matches!(other, Event::SpeechStarted { .. }), "{other:?}"),
        }
    };
    assert!(partial.text.starts_with("w1"), "{}", partial.text);
    assert_eq!(recognizer.finish().unwrap().text, "w1 w3");

    let mut captions = engine().recognizer(Options::new(16_000).mode(Mode::Incremental)).unwrap();
    let error = captions.set_partials(Some(slow)).unwrap_err();
    assert_eq!((error.kind(), error.subject()), (ErrorKind::InvalidArgument, Some("partials")));
}

#[test]
fn stats_tell_how_far_the_text_trails() {
    let stuck = stuck();
    let mut recognizer = stuck.recognizer(Options::new(16_000)).unwrap();
    push_all(&mut recognizer, &signal(&[(0, 20)]));
    assert_eq!(recognizer.stats().lag_ms, 0, "silence waits for nothing");
    push_all(&mut recognizer, &signal(&[(1, 100)]));
    let speaking = recognizer.stats().lag_ms;
    assert!((3_000..=4_400).contains(&speaking), "{speaking} ms of speech and its pre-roll");
    push_all(&mut recognizer, &signal(&[(0, 100)]));
    let ended = recognizer.stats().lag_ms;
    assert!((3_000..=4_000).contains(&ended), "{ended} ms since the endpoint");

    let mut quick = engine().recognizer(Options::new(16_000)).unwrap();
    push_all(&mut quick, &signal(&SPEECH));
    quick.finish().unwrap();
    let stats = quick.stats();
    assert_eq!((stats.lag_ms, stats.heard_s), (0, stats.settled_s));
    assert!(stats.encoder_s > 0.0 && stats.revisions > 0, "{stats:?}");
}

#[cfg(feature = "async")]
#[test]
fn events_are_a_stream() {
    use futures::StreamExt as _;
    let mut recognizer = engine().recognizer(Options::new(16_000)).unwrap();
    push_all(&mut recognizer, &signal(&SPEECH));
    recognizer.close(EndpointReason::Finish).unwrap();
    let events: Vec<Event> = futures::executor::block_on(recognizer.events().collect());
    let finals = events.iter().filter(|e| matches!(e, Event::Final(_))).count();
    assert_eq!(finals, 2);
    assert_eq!(events.last(), Some(&Event::End(End::Finished)));
}

#[test]
fn a_task_with_a_deadline_hurries_its_finals() {
    let engine = Engine::fake(Script { frame: Duration::from_millis(2), ..Script::default() }, 1).unwrap();
    let mut recognizer = engine.recognizer(Options::new(16_000)).unwrap();
    push_all(&mut recognizer, &signal(&[(0, 10), (1, 60), (2, 60)]));
    await_text(&mut recognizer, "w1");
    assert!(!recognizer.hurry(Duration::ZERO).unwrap(), "nothing was closed");
    recognizer.close(EndpointReason::Idle).unwrap();
    assert!(!recognizer.hurry(Duration::from_secs(600)).unwrap(), "there is time");
    assert!(recognizer.hurry(Duration::from_millis(50)).unwrap());
    let finals = std::iter::from_fn(|| recognizer.poll_event()).filter_map(|event| match event {
        Event::Final(text) => Some(text),
        _ => None,
    });
    let last = finals.last().unwrap();
    assert_eq!((last.second_pass, last.endpoint_reason), (false, EndpointReason::Idle));
    assert!(last.text.starts_with("w1"), "{}", last.text);
}

#[cfg(feature = "async")]
#[test]
fn a_task_waits_for_room() {
    use futures::executor::block_on;
    use std::future::poll_fn;
    let options = Options { backlog_ms: 1_000, partials: None, ..Options::new(16_000) };
    let pcm = signal(&[SPEECH, SPEECH, SPEECH].concat());

    let mut recognizer = engine().recognizer(options.clone()).unwrap();
    let mut rest = pcm.as_slice();
    while !rest.is_empty() {
        block_on(poll_fn(|context| recognizer.poll_writable(context))).unwrap();
        rest = &rest[recognizer.push_pcm(&rest[..rest.len().min(320)]).unwrap()..];
    }
    assert_eq!(recognizer.finish().unwrap().text, [SPOKEN; 3].join(" "));

    let mut recognizer = stuck().recognizer(options).unwrap();
    while recognizer.push_pcm(&pcm).unwrap() > 0 {}
    let canceller = recognizer.canceller();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || block_on(poll_fn(|context| recognizer.poll_writable(context))));
        canceller.cancel();
        assert_eq!(waiting.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    });
}

/// A future that is dropped takes no final along. Fails when finals are taken while the end is awaited.
#[cfg(feature = "async")]
#[test]
fn a_task_finishes() {
    use futures::executor::block_on;
    use std::task::{Context, Poll, Waker};
    let engine = Engine::fake(Script { call: Duration::from_millis(100), ..Script::default() }, 1).unwrap();
    let mut recognizer = engine.recognizer(Options::new(16_000)).unwrap();
    push_all(&mut recognizer, &signal(&SPEECH[..4]));
    while recognizer.stats().settled_s == 0.0 {
        recognizer.poll_partial();
        std::thread::yield_now();
    }
    push_all(&mut recognizer, &signal(&SPEECH[4..]));
    let early = std::pin::pin!(recognizer.finish_async()).poll(&mut Context::from_waker(Waker::noop()));
    let transcript = match early {
        Poll::Ready(transcript) => transcript,
        Poll::Pending => block_on(recognizer.finish_async()),
    };
    assert_eq!(transcript.unwrap().text, SPOKEN);
    assert_eq!(block_on(recognizer.finish_async()).unwrap_err().kind(), ErrorKind::Closed);

    let mut recognizer = stuck().recognizer(Options::new(16_000)).unwrap();
    push_all(&mut recognizer, &signal(&SPEECH));
    let canceller = recognizer.canceller();
    std::thread::scope(|scope| {
        let waiting = scope.spawn(move || block_on(recognizer.finish_async()));
        canceller.cancel();
        assert_eq!(waiting.join().unwrap().unwrap_err().kind(), ErrorKind::Cancelled);
    });
}

#[cfg(feature = "async")]
#[test]
fn a_waker_is_told_of_a_reply_and_of_a_cancellation() {
    let (waker, woken) = flag();
    let mut recognizer = stuck().recognizer(Options::new(16_000)).unwrap();
    assert!(!recognizer.wake_by(&waker), "nothing has happened yet");
    recognizer.canceller().cancel();
    assert!(woken.load(Ordering::SeqCst));
    assert!(recognizer.wake_by(&waker), "the cancellation is news that is there already");

    let (waker, woken) = flag();
    recognizer = engine().recognizer(Options::new(16_000)).unwrap();
    assert!(!recognizer.wake_by(&waker));
    push_all(&mut recognizer, &signal(&SPEECH));
    while recognizer.next_event(None).unwrap().is_none_or(|event| !matches!(event, Event::Final(_))) {}
    // The reply is there a moment before its worker wakes anybody.
    let started = Instant::now();
    while !woken.load(Ordering::SeqCst) {
        assert!(started.elapsed() < PATIENCE.unwrap(), "the reply woke nobody");
        std::thread::yield_now();
    }
}

/// Promise 8. Fails when a panic of a host's waker takes its worker along.
#[cfg(feature = "async")]
#[test]
fn a_waker_that_panics_harms_no_stream() {
    struct Broken;
    impl std::task::Wake for Broken {
        fn wake(self: Arc<Self>) {
            panic!("the event loop is gone");
        }
    }
    let engine = Engine::fake(Script::default(), 1).unwrap();
    let open = || engine.recognizer(Options::new(16_000)).unwrap();
    let (mut broken, mut sound) = (open(), open());
    assert!(!broken.wake_by(&Arc::new(Broken).into()));
    push_all(&mut broken, &signal(&[(1, 60)]));
    assert!(broken.next_event(PATIENCE).unwrap().is_some());
    push_all(&mut sound, &signal(&SPEECH));
    sound.close(EndpointReason::Finish).unwrap();
    while sound.next_event(PATIENCE).unwrap().expect("an event in time") != Event::End(End::Finished) {}
    broken.wake_by(&Arc::new(Broken).into());
    broken.canceller().cancel();
}

/// Fails when a worker that drops the last handle waits for itself.
#[cfg(feature = "async")]
#[test]
fn a_worker_may_be_the_last_who_holds_its_engine() {
    use std::sync::mpsc;
    /// The state of a program that is its own waker.
    struct App {
        recognizer: crate::sync::Mutex<Option<Recognizer>>,
        _gone: Gone,
    }
    struct Gone(mpsc::Sender<bool>);
    impl std::task::Wake for App {
        fn wake(self: Arc<Self>) {}
    }
    impl Drop for Gone {
        fn drop(&mut self) {
            self.0.send(std::thread::panicking()).unwrap();
        }
    }
    let engine = Engine::fake(Script { call: Duration::from_millis(200), ..Script::default() }, 2).unwrap();
    let (sender, gone) = mpsc::channel();
    let app = Arc::new(App { recognizer: crate::sync::Mutex::default(), _gone: Gone(sender) });
    let mut recognizer = engine.recognizer(Options::new(16_000)).unwrap();
    push_all(&mut recognizer, &signal(&[(1, 60)]));
    assert!(!recognizer.wake_by(&Arc::clone(&app).into()), "the call lasts longer than that");
    *app.recognizer.lock() = Some(recognizer);
    drop((engine, app));
    assert_eq!(gone.recv_timeout(PATIENCE.unwrap()), Ok(false), "a panic in a drop");
}

#[cfg(feature = "async")]
fn flag() -> (std::task::Waker, Arc<std::sync::atomic::AtomicBool>) {
    struct Flag(Arc<std::sync::atomic::AtomicBool>);
    impl std::task::Wake for Flag {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::SeqCst);
        }
    }
    let woken = Arc::default();
    (Arc::new(Flag(Arc::clone(&woken))).into(), woken)
}

/// Fails when a machine of many cores loads as many copies of a large model.
#[test]
fn copies_of_a_model_bound_the_workers_that_nobody_asked_for() {
    let cores = cores();
    let expected =
        [(0, cores), (1, cores), (COPIES_BYTES_MAX, 1), (u64::MAX, 1), (COPIES_BYTES_MAX / 2, cores.min(2))];
    for (copied, workers) in expected {
        assert_eq!(default_threads(copied), workers, "{copied} bytes");
    }
}

/// A network whose lanes after the first wait for each other.
struct Meeting {
    inner: crate::model::fake::FakeNetwork,
    copied_bytes: u64,
    opened: AtomicUsize,
    /// The number of the lane that cannot be opened.
    fails: usize,
    inside: std::sync::Mutex<[usize; 2]>,
    met: std::sync::Condvar,
}

impl Meeting {
    fn of(copied_bytes: u64, fails: usize) -> Arc<Self> {
        let (inner, opened) = (crate::model::fake::FakeNetwork::new(Script::default()), AtomicUsize::new(0));
        Arc::new(Self {
            inner,
            copied_bytes,
            opened,
            fails,
            inside: Default::default(),
            met: Default::default(),
        })
    }

    /// The most that were opened at a time, of `count`.
    fn open(self: &Arc<Self>, count: usize) -> Result<usize> {
        let network: Arc<dyn Network> = Arc::clone(self) as _;
        let workers = Workers::start(&network, count)?;
        drop(workers);
        Ok(self.inside.lock().unwrap()[1])
    }
}

impl Network for Meeting {
    fn vocab(&self) -> Arc<crate::model::Vocab> {
        self.inner.vocab()
    }

    fn kept(&self) -> Option<usize> {
        None
    }

    fn copied_bytes(&self) -> u64 {
        self.copied_bytes
    }

    fn lane(&self) -> Result<Box<dyn crate::model::Lane>> {
        let number = self.opened.fetch_add(1, Ordering::SeqCst);
        let mut inside = self.inside.lock().unwrap();
        inside[0] += 1;
        inside[1] = inside[0].max(inside[1]);
        self.met.notify_all();
        // The second waits for company as long as some may come.
        if number == 1 && self.copied_bytes == 0 && cores() > 1 {
            let patience = Duration::from_secs(20);
            inside = self.met.wait_timeout_while(inside, patience, |inside| inside[1] < 2).unwrap().0;
        }
        inside[0] -= 1;
        drop(inside);
        if number == self.fails {
            return Err(Error::new(ErrorKind::InvalidModel, "this one"));
        }
        self.inner.lane()
    }
}

/// Fails when workers of one mapped model are made one after the other, or copies of a model side by side.
#[test]
fn lanes_that_share_a_model_are_opened_side_by_side() {
    assert_eq!(Meeting::of(0, 9).open(1).unwrap(), 1);
    let shared = Meeting::of(0, 9).open(4).unwrap();
    assert!((cores().min(2)..=cores()).contains(&shared), "{shared} at a time");
    assert_eq!(Meeting::of(1, 9).open(4).unwrap(), 1);
    for fails in [0, 1, 3] {
        assert_eq!(Meeting::of(0, fails).open(4).unwrap_err().kind(), ErrorKind::InvalidModel, "{fails}");
    }
}
