//! Recognizers.

use std::ffi::{c_char, c_int, c_void};
use std::sync::Arc;

use gigastt_core::Recognizer;
use gigastt_core::audio::pcm::Sample;

use crate::config::{CONFIGS, gigastt_config, live};
use crate::dispatch::{Callback, UserData, gigastt_destroy_fn, gigastt_event_fn};
use crate::engine::{ENGINES, gigastt_engine};
use crate::error::gigastt_error;
use crate::event::gigastt_event;
use crate::fence::{Answer, Failure, fence, limit, out, slice, string};
use crate::handles::Handles;
use crate::options::Key;
use crate::partial::gigastt_partial;
use crate::status::{
    GIGASTT_END, GIGASTT_OK, GIGASTT_TIMEOUT, GIGASTT_UNCHANGED, GIGASTT_WOULD_BLOCK, gigastt_status,
};
use crate::stream::{State, Stream};
use crate::structs::{Versioned, fill};
use crate::transcript::gigastt_transcript;

/// One speaker's stream. Every function on it may be called from any thread at any time, also while
/// another one waits in a call: pushing on an audio thread while a second thread waits for events is
/// what it is for. Calls take turns for microseconds; none holds up another while it waits.
pub struct gigastt_recognizer(());

static RECOGNIZERS: Handles<gigastt_recognizer, Stream> = Handles::new("recognizer");

/// Opens a recognizer into `*recognizer` for samples at `sample_rate` Hz, 8000 to 192000. `config` may be
/// NULL. Does not wait and does not copy the model. It keeps the engine. Release it with
/// `gigastt_recognizer_release`. Any thread.
/// Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `BUSY`, `CLOSED` after a drain, `POISONED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_recognizer_open(
    engine: *const gigastt_engine,
    config: *const gigastt_config,
    sample_rate: i32,
    recognizer: *mut *mut gigastt_recognizer,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        let place = out("recognizer", recognizer)?;
        let engine = ENGINES.find(engine)?;
        let config = CONFIGS.find_if_any(config)?;
        let made = RECOGNIZERS.insert(engine.open(live(config.as_deref(), sample_rate)?)?);
        // SAFETY: not NULL, and writable by the contract of the header.
        unsafe { place.write(made) };
        Ok(GIGASTT_OK)
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// Takes 16-bit samples: all `count`, or as many as there is room for, and puts how many into `*taken`.
/// With several channels they are interleaved, and `count` counts the samples of all. `WOULD_BLOCK` when
/// nothing was taken: push them again after `gigastt_recognizer_wait_writable`. Nothing is ever dropped.
/// Never waits for the model. `samples` may be NULL when `count` is 0. Any thread; but it computes features, takes a
/// lock and allocates where a result has come, so a real-time audio callback hands its samples to another thread.
/// Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `CLOSED`, `CANCELLED`, `INFERENCE`, `POISONED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_recognizer_push_pcm(
    recognizer: *mut gigastt_recognizer,
    samples: *const i16,
    count: usize,
    taken: *mut usize,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    // SAFETY: readable and writable by the contract of the header.
    unsafe { fence(error, || push(recognizer, samples, count, taken)) }
}

/// As `gigastt_recognizer_push_pcm`, with samples of full scale 1. Any thread.
/// Errors: `INVALID_AUDIO` when the first sample is no finite number; what comes before such a one is taken, so the
/// error follows when the rest is pushed. Else as `gigastt_recognizer_push_pcm`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_recognizer_push_pcm_f32(
    recognizer: *mut gigastt_recognizer,
    samples: *const f32,
    count: usize,
    taken: *mut usize,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    // SAFETY: readable and writable by the contract of the header.
    unsafe { fence(error, || push(recognizer, samples, count, taken)) }
}

/// # Safety
/// `samples` is readable for `count`, `taken` is NULL or writable.
unsafe fn push<S: Sample>(
    recognizer: *mut gigastt_recognizer,
    samples: *const S,
    count: usize,
    taken: *mut usize,
) -> Answer {
    let place = out("taken", taken)?;
    // SAFETY: by the contract of this function.
    let samples = unsafe { slice("samples", samples, count) }?;
    let stream = RECOGNIZERS.find(recognizer)?;
    let number = stream.change(|state| Ok(state.recognizer.push_pcm(samples)?))?;
    // SAFETY: not NULL, and writable by the contract of this function.
    unsafe { place.write(number) };
    Ok(if number == 0 && count > 0 { GIGASTT_WOULD_BLOCK } else { GIGASTT_OK })
}

/// Waits until there is room for samples, for at most `timeout_ms`, or for ever if negative. `TIMEOUT`
/// when it was the limit. Any thread.
/// Errors: `BUSY` when it is finals that fill it, which must be taken; `INVALID_ARGUMENT`,
/// `INVALID_HANDLE`, `CLOSED`, `CANCELLED`, `INFERENCE`, `POISONED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_recognizer_wait_writable(
    recognizer: *mut gigastt_recognizer,
    timeout_ms: i64,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        let stream = RECOGNIZERS.find(recognizer)?;
        let now = Some(std::time::Duration::ZERO);
        let room = stream
            .wait(limit(timeout_ms), |state, _| Ok(state.recognizer.wait_writable(now)?.then_some(())))?;
        Ok(if room.is_some() { GIGASTT_OK } else { GIGASTT_TIMEOUT })
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// Stands for `frames` samples of each channel that the program lost: silence of that length keeps the
/// times right. Takes as many as there is room for and puts how many into `*taken`; `WOULD_BLOCK` for
/// none. Any thread. Errors: as `gigastt_recognizer_push_pcm`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_recognizer_gap(
    recognizer: *mut gigastt_recognizer,
    frames: u64,
    taken: *mut u64,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        let place = out("taken", taken)?;
        let stream = RECOGNIZERS.find(recognizer)?;
        let number = stream.change(|state| Ok(state.recognizer.gap(frames)?))?;
        // SAFETY: not NULL, and writable by the contract of the header.
        unsafe { place.write(number) };
        Ok(if number == 0 && frames > 0 { GIGASTT_WOULD_BLOCK } else { GIGASTT_OK })
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// Puts the newest state of the running utterance into `*partial`, if anything changed since the last
/// one was taken; else `UNCHANGED`, and `END` after the end. Never waits. Release it with
/// `gigastt_partial_release`. Any thread. Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `POISONED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_recognizer_poll_partial(
    recognizer: *mut gigastt_recognizer,
    partial: *mut *mut gigastt_partial,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        let place = out("partial", partial)?;
        let stream = RECOGNIZERS.find(recognizer)?;
        let found = stream.look(|state| Ok(found(state, Recognizer::poll_partial)))?;
        // SAFETY: not NULL, and writable by the contract of the header.
        Ok(found.give(|partial| unsafe { place.write(gigastt_partial::boxed(partial)) }, GIGASTT_UNCHANGED))
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// Puts the next event into `*event`, in order, waiting for at most `timeout_ms`, or for ever if negative.
/// Without one: `UNCHANGED` for a limit of 0, else `TIMEOUT`, and `END` after the end was taken. Release
/// it with `gigastt_event_release`. Any thread.
/// Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `POISONED`. A stream that failed or was cancelled says so
/// by its end.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_recognizer_poll_event(
    recognizer: *mut gigastt_recognizer,
    timeout_ms: i64,
    event: *mut *mut gigastt_event,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        let place = out("event", event)?;
        let stream = RECOGNIZERS.find(recognizer)?;
        let found = stream.wait(limit(timeout_ms), |state, _| {
            Ok(match found(state, Recognizer::poll_event) {
                Found::Nothing => None,
                found => Some(found),
            })
        })?;
        let none = if timeout_ms == 0 { GIGASTT_UNCHANGED } else { GIGASTT_TIMEOUT };
        // SAFETY: not NULL, and writable by the contract of the header.
        let give = |event| unsafe { place.write(Box::into_raw(Box::new(gigastt_event::new(event)))) };
        Ok(found.unwrap_or(Found::Nothing).give(give, none))
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// What a poll found.
enum Found<T> {
    Something(T),
    Nothing,
    /// Nothing follows.
    End,
}

fn found<T>(state: &mut State, poll: impl FnOnce(&mut Recognizer) -> Option<T>) -> Found<T> {
    match poll(&mut state.recognizer) {
        Some(something) => Found::Something(something),
        None if state.recognizer.ended().is_some() => Found::End,
        None => Found::Nothing,
    }
}

impl<T> Found<T> {
    fn give(self, give: impl FnOnce(T), none: gigastt_status) -> gigastt_status {
        match self {
            Self::Something(something) => {
                give(something);
                GIGASTT_OK
            }
            Self::Nothing => none,
            Self::End => GIGASTT_END,
        }
    }
}

/// Changes a key from the next sample on: those of `gigastt_config_keys_json` with `while_running`.
/// `endpoint` sets all values of its profile. Any thread.
/// Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `CLOSED`, `CANCELLED`, `INFERENCE`, `POISONED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_recognizer_set(
    recognizer: *mut gigastt_recognizer,
    key: *const c_char,
    value: *const c_char,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        let stream = RECOGNIZERS.find(recognizer)?;
        // SAFETY: NULL or strings by the contract of the header.
        let (key, value) = unsafe { (string("key", key)?, string("value", value)?) };
        #[cfg(feature = "fake-model")]
        if key == "fake_panic" {
            return stream.change(|_| std::panic::panic_any(value.to_owned()));
        }
        let (_, key) = Key::find(key)?;
        stream.change(|state| {
            let mut rule = state.rule.clone();
            key.run(&mut rule, value)?;
            state.recognizer.set_endpoint(rule.clone())?;
            state.rule = rule;
            Ok(GIGASTT_OK)
        })
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// Ends the stream, waits for its finals and puts those that were not taken as events into `*transcript`.
/// Within `timeout_ms`, or for as long as it takes if negative: a final whose second pass does not fit the
/// time is the newest text instead and says so. With a callback every event goes to it and the
/// transcript is empty; `TIMEOUT` when the callback takes longer, and it may be called again. Release
/// the transcript with `gigastt_transcript_release`. Any thread, but not inside a callback.
/// Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `CLOSED` when called again, `CANCELLED`, `INFERENCE`,
/// `POISONED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_recognizer_finish(
    recognizer: *mut gigastt_recognizer,
    timeout_ms: i64,
    transcript: *mut *mut gigastt_transcript,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        let place = out("transcript", transcript)?;
        let Some(done) = RECOGNIZERS.find(recognizer)?.finish(limit(timeout_ms))? else {
            return Ok(GIGASTT_TIMEOUT);
        };
        // SAFETY: not NULL, and writable by the contract of the header.
        unsafe { place.write(gigastt_transcript::boxed(done)) };
        Ok(GIGASTT_OK)
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// Says that no more audio comes, and returns: the remaining finals and the end follow as events. For
/// programs that wait by a callback or a descriptor. Idempotent. Any thread.
/// Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `CANCELLED`, `INFERENCE`, `POISONED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_recognizer_close(
    recognizer: *mut gigastt_recognizer,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        RECOGNIZERS.find(recognizer)?.close(gigastt_core::EndpointReason::Finish)?;
        Ok(GIGASTT_OK)
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// Cancels the stream: what waits is dropped, every wait of its calls ends, and its end says
/// `CANCELLED`. Idempotent; never waits for anything. Any thread.
/// Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_recognizer_cancel(
    recognizer: *mut gigastt_recognizer,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        RECOGNIZERS.find(recognizer)?.cancel();
        Ok(GIGASTT_OK)
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// Ends the running utterance here; its final follows as an event. Any thread.
/// Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `CLOSED`, `CANCELLED`, `INFERENCE`, `POISONED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_recognizer_force_endpoint(
    recognizer: *mut gigastt_recognizer,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        RECOGNIZERS.find(recognizer)?.change(|state| Ok(state.recognizer.force_endpoint()?))?;
        Ok(GIGASTT_OK)
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// Starts over as a new stream of the configuration it was opened with: what was not taken is gone, and so are
/// the changes of `gigastt_recognizer_set`; callback and descriptor stay. Any thread.
/// Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `POISONED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_recognizer_reset(
    recognizer: *mut gigastt_recognizer,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        RECOGNIZERS.find(recognizer)?.reset()?;
        Ok(GIGASTT_OK)
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// What a stream has done and holds. Set `struct_size` to `sizeof(gigastt_recognizer_statistics)` before the
/// call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gigastt_recognizer_statistics {
    /// The size of this structure in bytes.
    pub struct_size: usize,
    /// Milliseconds of audio taken.
    pub heard_ms: i64,
    /// Milliseconds of audio, from the stream's start, whose finals are out.
    pub settled_ms: i64,
    /// Milliseconds by which what is recognised trails what was heard; grows when the engine has more to do
    /// than it can.
    pub lag_ms: i64,
    /// Windows of audio that wait for a worker or run.
    pub windows: u64,
    /// How often the partial changed.
    pub revisions: u64,
    /// Seconds the encoder took for this stream; of a shared call its share.
    pub encoder_s: f64,
    /// Seconds spent on resampling, features and voice activity, on the threads that push.
    pub front_end_s: f64,
    /// Bytes held: audio features, and the context that is kept of the running utterance.
    pub bytes: u64,
}

// SAFETY: `#[repr(C)]`, its size first, numbers only.
unsafe impl Versioned for gigastt_recognizer_statistics {
    const FIRST: usize = 72;
}

/// Fills `*stats`. Any thread. Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `POISONED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_recognizer_stats(
    recognizer: *const gigastt_recognizer,
    stats: *mut gigastt_recognizer_statistics,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        let now = RECOGNIZERS.find(recognizer)?.look(|state| Ok(state.recognizer.stats()))?;
        let value = gigastt_recognizer_statistics {
            struct_size: size_of::<gigastt_recognizer_statistics>(),
            heard_ms: crate::json::milliseconds(now.heard_s),
            settled_ms: crate::json::milliseconds(now.settled_s),
            lag_ms: now.lag_ms as i64,
            windows: now.windows as u64,
            revisions: now.revisions,
            encoder_s: now.encoder_s,
            front_end_s: now.front_end_s,
            bytes: now.bytes as u64,
        };
        // SAFETY: NULL or writable by the contract of the header.
        unsafe { fill(stats, "stats", &value) }?;
        Ok(GIGASTT_OK)
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// Has every event given to `callback` with `user`, or to nobody if `callback` is NULL; events then wait to
/// be polled. `destroy`, if not NULL, is called once with `user`: when another callback is set or the
/// recognizer is released, after the last callback with it returned; also when this call fails. Do not
/// poll events beside it. Any thread.
/// Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `INTERNAL`, `POISONED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_recognizer_set_callback(
    recognizer: *mut gigastt_recognizer,
    callback: gigastt_event_fn,
    user: *mut c_void,
    destroy: gigastt_destroy_fn,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        let user = UserData::new(user, destroy);
        let callback = callback.map(|function| Callback { function, user });
        RECOGNIZERS.find(recognizer)?.set_callback(callback)?;
        Ok(GIGASTT_OK)
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// Puts a file descriptor into `*fd` that is readable, for `poll`, `epoll`, `kqueue` or a dispatch source,
/// while there is an event to take, and when there may be room again. Do not read it: each time it is
/// readable, call `gigastt_recognizer_poll_event` until it returns `UNCHANGED`. It belongs to the
/// recognizer, which closes it when it is released: stop watching it before. Not on Windows. Any thread.
/// Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `IO` without descriptors left, `POISONED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_recognizer_wait_fd(
    recognizer: *mut gigastt_recognizer,
    fd: *mut c_int,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        let place = out("fd", fd)?;
        let stream = RECOGNIZERS.find(recognizer)?;
        let descriptor = descriptor(&stream)?;
        stream.look(|_| Ok(()))?;
        // SAFETY: not NULL, and writable by the contract of the header.
        unsafe { place.write(descriptor) };
        Ok(GIGASTT_OK)
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

#[cfg(unix)]
fn descriptor(stream: &Arc<Stream>) -> Result<c_int, Failure> {
    stream.signal().pipe(std::os::fd::AsRawFd::as_raw_fd)
}

#[cfg(not(unix))]
fn descriptor(_stream: &Arc<Stream>) -> Result<c_int, Failure> {
    Err(Failure::argument("wait_fd: this system has no descriptors that can be waited for; use a callback"))
}

/// Releases a recognizer and cancels its stream. Calls on other threads that wait for it end as
/// cancelled, and later ones get `INVALID_HANDLE`. No callback starts after it; one that runs is not waited for,
/// unless the engine goes with it: see `gigastt_engine_release`. NULL is nothing to do. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_recognizer_release(recognizer: *mut gigastt_recognizer) {
    crate::handles::release(&RECOGNIZERS, recognizer, |stream| stream.shut());
}
