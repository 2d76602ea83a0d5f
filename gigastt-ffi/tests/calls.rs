//! What the functions promise, over the scripted model.

#![allow(clippy::unwrap_used)] // A test stops where it fails.

mod support;

use std::ffi::c_void;
use std::ptr::{null, null_mut};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use gigastt_ffi::engine::*;
use gigastt_ffi::event::gigastt_event;
use gigastt_ffi::recognizer::*;
use gigastt_ffi::status::*;
use gigastt_ffi::transcribe::*;
use gigastt_ffi::transcript::*;
use support::*;

const LIMIT: Duration = Duration::from_millis(LONG_MS as u64);

/// A model call that lasts longer than any test.
const STUCK_MS: u32 = 600_000;

fn release(engine: *mut gigastt_engine, recognizer: *mut gigastt_recognizer) {
    // SAFETY: handles.
    unsafe {
        gigastt_recognizer_release(recognizer);
        gigastt_engine_release(engine);
    }
}

/// The next final of a stream; what comes before it is passed over.
fn next_final(recognizer: *mut gigastt_recognizer) -> serde_json::Value {
    std::iter::repeat_with(|| next(recognizer, LONG_MS).unwrap())
        .find(|event| event["type"] == "final")
        .unwrap()
}

#[test]
fn a_stream_is_transcribed() {
    let engine = engine(0);
    let recognizer = open(engine);
    assert_eq!(push(recognizer, &signal(&SPEECH)), GIGASTT_OK);
    assert_eq!(finish(recognizer).as_deref(), Ok(SPOKEN));
    assert_eq!(finish(recognizer), Err(GIGASTT_CLOSED));
    assert_eq!(push(recognizer, &[0.0]), GIGASTT_CLOSED);
    release(engine, recognizer);
}

#[test]
fn finish_has_the_finals_that_were_not_taken() {
    let engine = engine(0);
    let recognizer = open(engine);
    assert_eq!(push(recognizer, &signal(&SPEECH)), GIGASTT_OK);
    let first = next_final(recognizer);
    assert_eq!(first["text"], "w1 w3");
    assert_eq!(finish(recognizer).as_deref(), Ok("w5 w7"));
    release(engine, recognizer);
}

#[test]
fn events_come_in_order_and_end_once() {
    let engine = engine(0);
    let recognizer = open(engine);
    assert_eq!(push(recognizer, &signal(&SPEECH)), GIGASTT_OK);
    // SAFETY: a handle.
    assert_eq!(unsafe { gigastt_recognizer_close(recognizer, null_mut()) }, GIGASTT_OK);
    let mut told = Vec::new();
    let after = loop {
        match next(recognizer, LONG_MS) {
            Ok(event) if event["type"] == "partial" => {}
            Ok(event) => told.push(short(&event)),
            Err(status) => break status,
        }
    };
    assert_eq!(told, ["speech_started", "final w1 w3", "speech_started", "final w5 w7", "end ok"]);
    assert_eq!(after, GIGASTT_END);
    assert_eq!(next(recognizer, 0), Err(GIGASTT_END));
    release(engine, recognizer);
}

#[test]
fn a_stream_starts_over() {
    let engine = engine(0);
    let recognizer = open(engine);
    for _ in 0..2 {
        assert_eq!(push(recognizer, &signal(&SPEECH)), GIGASTT_OK);
        assert_eq!(finish(recognizer).as_deref(), Ok(SPOKEN));
        // SAFETY: a handle.
        assert_eq!(unsafe { gigastt_recognizer_reset(recognizer, null_mut()) }, GIGASTT_OK);
    }
    // SAFETY: a handle.
    assert_eq!(unsafe { gigastt_recognizer_cancel(recognizer, null_mut()) }, GIGASTT_OK);
    assert_eq!(push(recognizer, &[0.0]), GIGASTT_CANCELLED, "cancelling reaches the newest stream");
    release(engine, recognizer);
}

#[test]
fn without_events_a_poll_says_so() {
    let engine = engine(0);
    let recognizer = open(engine);
    assert_eq!(next(recognizer, 0), Err(GIGASTT_UNCHANGED));
    assert_eq!(next(recognizer, 1), Err(GIGASTT_TIMEOUT));
    let mut partial = null_mut();
    // SAFETY: the addresses are good.
    let status = unsafe { gigastt_recognizer_poll_partial(recognizer, &raw mut partial, null_mut()) };
    assert_eq!((status, partial.is_null()), (GIGASTT_UNCHANGED, true));
    release(engine, recognizer);
}

/// At its bound a stream takes nothing, waiting reaches its limit, and cancelling ends the wait.
#[test]
fn a_full_stream_blocks_until_cancelled() {
    let engine = engine(STUCK_MS);
    let recognizer = open(engine);
    let audio = signal(&[(1, 20), (0, 30)]);
    let (mut pushed, mut taken, mut status) = (0, 0, GIGASTT_OK);
    while status == GIGASTT_OK {
        // SAFETY: the addresses are good.
        status = unsafe {
            gigastt_recognizer_push_pcm_f32(
                recognizer,
                audio.as_ptr(),
                audio.len(),
                &raw mut taken,
                null_mut(),
            )
        };
        pushed += taken;
    }
    assert_eq!((status, taken), (GIGASTT_WOULD_BLOCK, 0));
    assert!(pushed >= 30 * 16_000, "30 s fit, as backlog_ms says; found {pushed} samples");
    // SAFETY: a handle.
    let wait = |limit| unsafe { gigastt_recognizer_wait_writable(recognizer, limit, null_mut()) };
    assert_eq!(wait(1), GIGASTT_TIMEOUT);
    let shared = Shared(recognizer);
    let waiter = std::thread::spawn(move || {
        // SAFETY: a handle.
        unsafe { gigastt_recognizer_wait_writable(shared.get(), -1, null_mut()) }
    });
    // SAFETY: a handle.
    assert_eq!(unsafe { gigastt_recognizer_cancel(recognizer, null_mut()) }, GIGASTT_OK);
    assert_eq!(waiter.join().unwrap(), GIGASTT_CANCELLED);
    assert_eq!(next(recognizer, 0).map(|event| short(&event)), Ok("end cancelled".into()));
    assert_eq!(finish(recognizer), Err(GIGASTT_CANCELLED));
    release(engine, recognizer);
}

/// While a thread waits for events, another pushes: nobody holds the recognizer while waiting. (With the lock
/// held in `Stream::wait`, the push below never returns.)
#[test]
fn a_wait_for_events_does_not_block_a_push() {
    let engine = engine(0);
    let recognizer = open(engine);
    let shared = Shared(recognizer);
    let waiter = std::thread::spawn(move || next(shared.get(), -1));
    // The first event is made by this push itself, and not by a worker.
    assert_eq!(push(recognizer, &signal(&[(0, 10), (1, 10), (0, 4)])), GIGASTT_OK);
    assert_eq!(waiter.join().unwrap().map(|event| short(&event)), Ok("speech_started".into()));
    release(engine, recognizer);
}

/// A release ends the calls that wait on other threads, and the handle is known no more.
#[test]
fn a_release_ends_waiting_calls() {
    let engine = engine(STUCK_MS);
    let recognizer = open(engine);
    assert_eq!(push(recognizer, &signal(&SPEECH)), GIGASTT_OK);
    let (started, entering) = channel();
    let shared = Shared(recognizer);
    let waiter = std::thread::spawn(move || {
        started.send(()).unwrap();
        finish(shared.get())
    });
    entering.recv().unwrap();
    // SAFETY: handles; the engine's last reference is in the call that waits.
    unsafe {
        gigastt_engine_release(engine);
        gigastt_recognizer_release(recognizer);
    }
    let status = waiter.join().unwrap().unwrap_err();
    assert!([GIGASTT_CANCELLED, GIGASTT_INVALID_HANDLE].contains(&status), "found {status}");
    assert_eq!(push(recognizer, &[0.0]), GIGASTT_INVALID_HANDLE);
}

#[test]
fn handles_that_are_none_are_errors() {
    let engine = engine(0);
    let recognizer = open(engine);
    // SAFETY: any number is defined as a handle.
    unsafe {
        gigastt_recognizer_release(recognizer);
        gigastt_recognizer_release(recognizer);
        let wrong_kind = recognizer.cast::<gigastt_engine>();
        let (status, message) = failure(|error| gigastt_engine_retain(wrong_kind, error));
        assert_eq!(status, GIGASTT_INVALID_HANDLE);
        assert!(message.starts_with("engine: "), "{message}");
        let local = 0_u64;
        let address = (&raw const local).cast_mut().cast::<gigastt_recognizer>();
        assert_eq!(gigastt_recognizer_cancel(address, null_mut()), GIGASTT_INVALID_HANDLE);
        gigastt_engine_release(engine);
        assert_eq!(gigastt_engine_retain(engine, null_mut()), GIGASTT_INVALID_HANDLE);
    }
}

#[test]
fn an_engine_is_counted() {
    let engine = engine(0);
    // SAFETY: handles.
    unsafe {
        assert_eq!(gigastt_engine_retain(engine, null_mut()), GIGASTT_OK);
        gigastt_engine_release(engine);
        let recognizer = open(engine);
        gigastt_engine_release(engine);
        // The engine's handle is gone; the recognizer keeps what it needs.
        assert_eq!(push(recognizer, &signal(&SPEECH)), GIGASTT_OK);
        assert_eq!(finish(recognizer).as_deref(), Ok(SPOKEN));
        gigastt_recognizer_release(recognizer);
    }
}

/// A defect is a status, and its handle answers POISONED from then on; others are not affected.
#[test]
fn a_panic_poisons_its_handle_alone() {
    let engine = engine(0);
    let (recognizer, other) = (open(engine), open(engine));
    // SAFETY: handles and strings.
    unsafe {
        let panic = |error| gigastt_recognizer_set(recognizer, c"fake_panic".as_ptr(), c"oh".as_ptr(), error);
        let (status, message) = failure(panic);
        assert_eq!((status, message.as_str()), (GIGASTT_INTERNAL, "a defect of gigastt: oh"));
    }
    assert_eq!(push(recognizer, &[0.0]), GIGASTT_POISONED);
    assert_eq!(next(recognizer, -1), Err(GIGASTT_POISONED));
    assert_eq!(finish(recognizer), Err(GIGASTT_POISONED));
    assert_eq!(push(other, &signal(&SPEECH)), GIGASTT_OK);
    assert_eq!(finish(other).as_deref(), Ok(SPOKEN));
    // SAFETY: a handle.
    unsafe { gigastt_recognizer_release(other) };
    release(engine, recognizer);
}

#[test]
fn a_drained_engine_gives_every_stream_its_end() {
    let engine = engine(0);
    let streams = [open(engine), open(engine)];
    for stream in streams {
        assert_eq!(push(stream, &signal(&[(0, 10), (1, 10), (0, 4)])), GIGASTT_OK);
    }
    // SAFETY: a handle.
    assert_eq!(unsafe { gigastt_engine_drain(engine, -1, null_mut()) }, GIGASTT_OK);
    for stream in streams {
        let told: Vec<_> = std::iter::from_fn(|| next(stream, 0).ok()).collect();
        let last = told.iter().rev().take(2).map(short).collect::<Vec<_>>();
        assert_eq!(last, ["end ok", "final w1"]);
        assert_eq!(told[told.len() - 2]["endpoint_reason"], "shutdown");
    }
    let mut late = null_mut();
    // SAFETY: the addresses are good.
    unsafe {
        let status = gigastt_recognizer_open(engine, null(), 16_000, &raw mut late, null_mut());
        assert_eq!((status, late.is_null()), (GIGASTT_CLOSED, true));
        for stream in streams {
            gigastt_recognizer_release(stream);
        }
        gigastt_engine_release(engine);
    }
}

/// Deadlines hold although the model never answers: the finals are what is there.
#[test]
fn a_deadline_holds_with_a_model_that_never_answers() {
    let engine = engine(STUCK_MS);
    let streams = [open(engine), open(engine)];
    for stream in streams {
        assert_eq!(push(stream, &signal(&SPEECH)), GIGASTT_OK);
    }
    let mut transcript = null_mut();
    // SAFETY: the addresses are good, and what comes out is alive.
    unsafe {
        let status = gigastt_recognizer_finish(streams[0], 1, &raw mut transcript, null_mut());
        assert_eq!(status, GIGASTT_OK);
        assert_eq!(segments(transcript), ["", ""]);
        gigastt_transcript_release(transcript);
        assert_eq!(gigastt_engine_drain(engine, 1, null_mut()), GIGASTT_OK);
        for stream in streams {
            gigastt_recognizer_release(stream);
        }
        gigastt_engine_release(engine);
    }
}

#[test]
fn the_rule_changes_while_the_stream_runs() {
    let engine = engine(0);
    let recognizer = open(engine);
    let set = |key: &std::ffi::CStr, value: &std::ffi::CStr, error| {
        // SAFETY: a handle and strings.
        unsafe { gigastt_recognizer_set(recognizer, key.as_ptr(), value.as_ptr(), error) }
    };
    assert_eq!(set(c"endpoint", c"manual", null_mut()), GIGASTT_OK);
    assert_eq!(set(c"silence_ms", c"none", null_mut()), GIGASTT_OK);
    let wrong = [
        (c"silence_ms", c"much", "silence_ms: expected post_roll_ms to 60000, or none, found \"much\""),
        (c"utterance_max_ms", c"25001", "utterance_max_ms: expected 1000 to 25000, found 25001"),
        (c"threads", c"1", "threads: this cannot be changed while the stream runs"),
    ];
    for (key, value, expected) in wrong {
        let (status, message) = failure(|error| set(key, value, error));
        assert_eq!((status, message.as_str()), (GIGASTT_INVALID_ARGUMENT, expected));
    }
    assert_eq!(push(recognizer, &signal(&SPEECH)), GIGASTT_OK);
    // SAFETY: a handle.
    assert_eq!(unsafe { gigastt_recognizer_force_endpoint(recognizer, null_mut()) }, GIGASTT_OK);
    let last = next_final(recognizer);
    assert_eq!((&last["text"], &last["endpoint_reason"]), (&"w1 w3 w7 w9".into(), &"forced".into()));
    release(engine, recognizer);
}

/// A change after a reset is one of the rule that the stream was opened with, and not of the one before the reset.
#[test]
fn a_reset_undoes_what_was_set() {
    let engine = engine(0);
    let recognizer = open(engine);
    let set = |key: &std::ffi::CStr, value: &std::ffi::CStr| {
        // SAFETY: a handle and strings.
        let status = unsafe { gigastt_recognizer_set(recognizer, key.as_ptr(), value.as_ptr(), null_mut()) };
        assert_eq!(status, GIGASTT_OK);
    };
    set(c"endpoint", c"manual");
    // SAFETY: a handle.
    assert_eq!(unsafe { gigastt_recognizer_reset(recognizer, null_mut()) }, GIGASTT_OK);
    set(c"utterance_max_ms", c"20000");
    assert_eq!(push(recognizer, &signal(&SPEECH)), GIGASTT_OK);
    let first = next_final(recognizer);
    assert_eq!((&first["text"], &first["endpoint_reason"]), (&"w1 w3".into(), &"silence".into()));
    release(engine, recognizer);
}

/// What a callback was given, and whether its data was destroyed.
struct Heard {
    events: Sender<String>,
    destroyed: Sender<()>,
}

unsafe extern "C" fn hear(user: *mut c_void, event: *const gigastt_event) {
    // SAFETY: the data of the test, until it is destroyed.
    let heard = unsafe { &*user.cast::<Heard>() };
    let event = json_of(event);
    if event["type"] != "partial" {
        heard.events.send(short(&event)).unwrap();
    }
}

unsafe extern "C" fn destroy(user: *mut c_void) {
    // SAFETY: made by `Box::into_raw` and given here once.
    let heard = unsafe { Box::from_raw(user.cast::<Heard>()) };
    heard.destroyed.send(()).unwrap();
}

fn listen(recognizer: *mut gigastt_recognizer) -> (Receiver<String>, Receiver<()>) {
    let ((events, heard), (destroyed, gone)) = (channel(), channel());
    let user = Box::into_raw(Box::new(Heard { events, destroyed })).cast();
    // SAFETY: functions and data of the test.
    let status =
        unsafe { gigastt_recognizer_set_callback(recognizer, Some(hear), user, Some(destroy), null_mut()) };
    assert_eq!(status, GIGASTT_OK);
    (heard, gone)
}

#[test]
fn a_callback_hears_every_event_before_finish_returns() {
    let engine = engine(1);
    let recognizer = open(engine);
    let (heard, gone) = listen(recognizer);
    assert_eq!(push(recognizer, &signal(&SPEECH)), GIGASTT_OK);
    assert_eq!(finish(recognizer).as_deref(), Ok(""));
    let told: Vec<_> = heard.try_iter().collect();
    assert_eq!(told, ["speech_started", "final w1 w3", "speech_started", "final w5 w7", "end ok"]);
    assert!(gone.try_recv().is_err(), "the data lives while the callback is set");
    // SAFETY: handles.
    unsafe { gigastt_recognizer_release(recognizer) };
    gone.try_recv().unwrap();
    assert!(gone.recv().is_err(), "destroyed once");
    // SAFETY: handles.
    unsafe { gigastt_engine_release(engine) };
}

/// A callback that a test holds up: it tells that it runs, and goes on when the test lets it.
struct Held {
    runs: Sender<()>,
    go_on: Receiver<()>,
    destroyed: Sender<()>,
}

unsafe extern "C" fn hold(user: *mut c_void, _: *const gigastt_event) {
    // SAFETY: the data of the test, until it is destroyed.
    let held = unsafe { &*user.cast::<Held>() };
    held.runs.send(()).unwrap();
    let _ = held.go_on.recv();
}

unsafe extern "C" fn destroy_held(user: *mut c_void) {
    // SAFETY: made by `Box::into_raw` and given here once.
    let held = unsafe { Box::from_raw(user.cast::<Held>()) };
    held.destroyed.send(()).unwrap();
}

/// A stream whose callback runs until the sender is used or gone; the receiver tells that its data was destroyed.
fn held(engine: *mut gigastt_engine) -> (*mut gigastt_recognizer, Sender<()>, Receiver<()>) {
    let recognizer = open(engine);
    let ((runs, running), (wave, go_on), (destroyed, gone)) = (channel(), channel(), channel());
    let user = Box::into_raw(Box::new(Held { runs, go_on, destroyed })).cast();
    // SAFETY: functions and data of the test.
    let status = unsafe {
        gigastt_recognizer_set_callback(recognizer, Some(hold), user, Some(destroy_held), null_mut())
    };
    assert_eq!(status, GIGASTT_OK);
    assert_eq!(push(recognizer, &signal(&[(0, 10), (1, 10), (0, 4)])), GIGASTT_OK);
    running.recv_timeout(LIMIT).unwrap();
    (recognizer, wave, gone)
}

#[test]
fn the_last_release_waits_for_a_callback_that_runs() {
    let engine = engine(0);
    let (recognizer, wave, gone) = held(engine);
    std::thread::scope(|scope| {
        scope.spawn(move || {
            // So that the release below is waiting; without this wait the test is right as well.
            std::thread::sleep(Duration::from_millis(50));
            drop(wave);
        });
        // SAFETY: handles.
        unsafe {
            gigastt_recognizer_release(recognizer);
            assert!(gone.try_recv().is_err(), "a recognizer's release waits for nothing");
            gigastt_engine_release(engine);
        }
        gone.try_recv().unwrap();
    });
}

/// It may be a callback that waits for the thread which releases.
#[test]
fn the_last_release_does_not_wait_for_ever() {
    let engine = engine(0);
    let (recognizer, wave, gone) = held(engine);
    release(engine, recognizer);
    assert!(gone.try_recv().is_err(), "the callback still runs, and has its data");
    drop(wave);
    gone.recv_timeout(LIMIT).unwrap();
}

/// The callback hears no end any more, and who waits for that is not forgotten.
#[test]
fn a_release_ends_a_finish_that_waits_for_a_callback() {
    let engine = engine(STUCK_MS);
    let (recognizer, wave, gone) = held(engine);
    let shared = Shared(recognizer);
    let waiter = std::thread::spawn(move || finish(shared.get()));
    // In the call once the stream takes nothing more.
    while push(recognizer, &[0.0]) == GIGASTT_OK {
        std::thread::yield_now();
    }
    // SAFETY: a handle.
    unsafe { gigastt_recognizer_release(recognizer) };
    assert_eq!(waiter.join().unwrap(), Err(GIGASTT_CANCELLED));
    drop(wave);
    // SAFETY: a handle.
    unsafe { gigastt_engine_release(engine) };
    gone.try_recv().unwrap();
}

#[test]
fn the_data_of_a_replaced_callback_is_destroyed() {
    let engine = engine(0);
    let recognizer = open(engine);
    let (_, first_gone) = listen(recognizer);
    let (heard, second_gone) = listen(recognizer);
    first_gone.recv_timeout(LIMIT).unwrap();
    assert_eq!(push(recognizer, &signal(&[(0, 10), (1, 10), (0, 4)])), GIGASTT_OK);
    assert_eq!(heard.recv_timeout(LIMIT).unwrap(), "speech_started");
    // SAFETY: a handle.
    let status = unsafe { gigastt_recognizer_set_callback(recognizer, None, null_mut(), None, null_mut()) };
    assert_eq!(status, GIGASTT_OK);
    second_gone.recv_timeout(LIMIT).unwrap();
    assert_eq!(finish(recognizer).as_deref(), Ok("w1"), "events wait to be polled again");
    release(engine, recognizer);
}

/// A callback may release its recognizer and the engine, and learns that it cannot wait for itself.
#[test]
fn a_callback_may_release_everything() {
    struct Parts {
        engine: *mut gigastt_engine,
        recognizer: *mut gigastt_recognizer,
        done: Sender<gigastt_status>,
    }
    unsafe extern "C" fn end(user: *mut c_void, _: *const gigastt_event) {
        // SAFETY: the data of the test, until it is destroyed.
        let parts = unsafe { &*user.cast::<Parts>() };
        let status = finish(parts.recognizer).unwrap_err();
        release(parts.engine, parts.recognizer);
        parts.done.send(status).unwrap();
    }
    unsafe extern "C" fn free(user: *mut c_void) {
        // SAFETY: made by `Box::into_raw` and given here once.
        drop(unsafe { Box::from_raw(user.cast::<Parts>()) });
    }
    let engine = engine(0);
    let recognizer = open(engine);
    let (done, told) = channel();
    let user = Box::into_raw(Box::new(Parts { engine, recognizer, done })).cast();
    // SAFETY: functions and data of the test.
    let status =
        unsafe { gigastt_recognizer_set_callback(recognizer, Some(end), user, Some(free), null_mut()) };
    assert_eq!(status, GIGASTT_OK);
    assert_eq!(push(recognizer, &signal(&[(0, 10), (1, 10), (0, 4)])), GIGASTT_OK);
    assert_eq!(told.recv_timeout(LIMIT).unwrap(), GIGASTT_INVALID_ARGUMENT);
    assert!(told.recv().is_err(), "the data was destroyed");
}

/// The descriptor is readable exactly while there are events.
#[test]
fn a_descriptor_tells_of_events() {
    let engine = engine(0);
    let recognizer = open(engine);
    let mut fd = -1;
    // SAFETY: the addresses are good.
    assert_eq!(unsafe { gigastt_recognizer_wait_fd(recognizer, &raw mut fd, null_mut()) }, GIGASTT_OK);
    let readable = |timeout_ms| {
        let mut poll = libc::pollfd { fd, events: libc::POLLIN, revents: 0 };
        // SAFETY: one descriptor.
        unsafe { libc::poll(&raw mut poll, 1, timeout_ms) == 1 }
    };
    assert!(!readable(0), "nothing happened yet");
    assert_eq!(push(recognizer, &signal(&SPEECH)), GIGASTT_OK);
    // SAFETY: a handle.
    assert_eq!(unsafe { gigastt_recognizer_close(recognizer, null_mut()) }, GIGASTT_OK);
    let mut told = Vec::new();
    while told.last().is_none_or(|last| last != "end ok") {
        assert!(readable(LONG_MS as i32), "after {told:?}");
        while let Ok(event) = next(recognizer, 0) {
            told.push(short(&event));
        }
    }
    assert!(!readable(0), "everything was taken");
    release(engine, recognizer);
    // The descriptor was closed with its recognizer, so that nothing leaks.
    // SAFETY: a number.
    let closed = unsafe { libc::fcntl(fd, libc::F_GETFD) } == -1 || !readable(0);
    assert!(closed);
}

#[test]
fn a_recording_is_transcribed_and_cancelled() {
    unsafe extern "C" fn progress(user: *mut c_void, done_ms: i64, total_ms: i64) {
        // SAFETY: the vector of the test, in the call it is passed to.
        unsafe { &mut *user.cast::<Vec<(i64, i64)>>() }.push((done_ms, total_ms));
    }
    let engine = engine(0);
    let samples: Vec<i16> =
        signal(&[(1, 450), (0, 30), (2, 450), (0, 30)]).iter().map(|s| (s * 32_768.0) as i16).collect();
    let mut heard: Vec<(i64, i64)> = Vec::new();
    let mut transcript = null_mut();
    let mut canceller = null_mut();
    let mut transcribe = |canceller, transcript: *mut *mut gigastt_transcript| {
        let user = (&raw mut heard).cast();
        let (data, count) = (samples.as_ptr(), samples.len());
        // SAFETY: the addresses are good.
        unsafe {
            gigastt_transcribe_pcm(
                engine,
                null(),
                data,
                count,
                16_000,
                canceller,
                Some(progress),
                user,
                transcript,
                null_mut(),
            )
        }
    };
    // SAFETY: the addresses are good, and what comes out is alive.
    unsafe {
        assert_eq!(transcribe(null(), &raw mut transcript), GIGASTT_OK);
        assert_eq!(segments(transcript), ["w1", "w2"]);
        assert_eq!(gigastt_transcript_duration_ms(transcript), 960 * 40);
        gigastt_transcript_release(transcript);
        assert_eq!(gigastt_canceller_new(&raw mut canceller, null_mut()), GIGASTT_OK);
        assert_eq!(gigastt_canceller_cancel(canceller, null_mut()), GIGASTT_OK);
        assert_eq!(transcribe(canceller, &raw mut transcript), GIGASTT_CANCELLED);
        gigastt_canceller_release(canceller);
        gigastt_engine_release(engine);
    }
    assert!(heard.is_sorted());
    assert_eq!(heard.last(), Some(&(960 * 40, 960 * 40)));
}

/// A structure of an older header is filled as far as it goes, and of none is refused.
#[test]
fn structures_tell_their_size() {
    let engine = engine(0);
    let mut stats = [0_u64; 32];
    // SAFETY: longer than the structure.
    let mut fill = |size: u64| unsafe {
        stats = [u64::MAX; 32];
        stats[0] = size;
        (gigastt_engine_stats(engine, stats.as_mut_ptr().cast(), null_mut()), stats)
    };
    let full = size_of::<gigastt_engine_statistics>();
    assert_eq!(fill(0).0, GIGASTT_INVALID_ARGUMENT);
    assert_eq!(fill(full as u64 - 1).0, GIGASTT_INVALID_ARGUMENT);
    let (status, newer) = fill(256);
    assert_eq!((status, newer[0], newer[1]), (GIGASTT_OK, 256, 0));
    assert!(
        newer[full / 8..].iter().all(|field| *field == u64::MAX),
        "what the library does not know is left"
    );
    // SAFETY: a handle.
    unsafe { gigastt_engine_release(engine) };
}

#[test]
fn samples_that_are_no_numbers_are_refused() {
    let engine = engine(0);
    let recognizer = open(engine);
    let mut taken = 77;
    let mut push = |samples: &[f32], error| {
        let (data, count) = (samples.as_ptr(), samples.len());
        // SAFETY: the addresses are good.
        let status =
            unsafe { gigastt_recognizer_push_pcm_f32(recognizer, data, count, &raw mut taken, error) };
        (status, taken)
    };
    let samples = [0.0, f32::NAN];
    assert_eq!(push(&samples, null_mut()), (GIGASTT_OK, 1), "what is before them is taken");
    let (status, message) = failure(|error| push(&samples[1..], error).0);
    assert_eq!(status, GIGASTT_INVALID_AUDIO, "{message}");
    assert!(message.contains('0'), "its place is named: {message}");
    assert_eq!(push(&[f32::INFINITY], null_mut()), (GIGASTT_INVALID_AUDIO, 1), "and no output is written");
    release(engine, recognizer);
}
