//! Engines.

use std::ffi::c_char;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Weak};
use std::time::Instant;

use gigastt_core::sync::Mutex;
use gigastt_core::{EndpointReason, Engine};

use crate::config::{CONFIGS, Config, gigastt_config};
use crate::dispatch::{Dispatcher, Message};
use crate::error::gigastt_error;
use crate::fence::{Answer, Failure, Poison, fence, limit, out};
use crate::handles::Handles;
use crate::status::{GIGASTT_CLOSED, GIGASTT_OK, GIGASTT_TIMEOUT, gigastt_status};
use crate::stream::Stream;
use crate::structs::{Versioned, fill};

/// A loaded model and its worker threads, shared by any number of recognizers and transcriptions.
/// Counted: `_open` and `_retain` each ask for one `_release`. Every function on it may be called from
/// any thread at any time.
pub struct gigastt_engine(());

pub(crate) static ENGINES: Handles<gigastt_engine, EngineObject> = Handles::new("engine");

/// What a handle of `gigastt_engine` stands for.
pub(crate) struct EngineObject {
    engine: Engine,
    poison: Poison,
    /// The thread for callbacks, once somebody sets one.
    dispatcher: Mutex<Option<Dispatcher>>,
    /// Recognizers that may be open, for `drain`.
    streams: Mutex<Vec<Weak<Stream>>>,
    draining: AtomicBool,
}

impl EngineObject {
    pub(crate) fn new(engine: Engine) -> Arc<Self> {
        Arc::new(Self {
            engine,
            poison: Poison::default(),
            dispatcher: Mutex::default(),
            streams: Mutex::default(),
            draining: AtomicBool::new(false),
        })
    }

    /// Works with the engine.
    pub(crate) fn with<T>(&self, body: impl FnOnce(&Engine) -> Result<T, Failure>) -> Result<T, Failure> {
        self.poison.guard(|| body(&self.engine))
    }

    /// Opens a stream.
    pub(crate) fn open(self: &Arc<Self>, options: gigastt_core::Options) -> Result<Arc<Stream>, Failure> {
        let rule = options.endpoint.clone();
        let recognizer = self.with(|engine| Ok(engine.recognizer(options)?))?;
        let stream = Stream::new(Arc::clone(self), recognizer, rule);
        let mut streams = self.streams.lock();
        // Under the lock, so that a drain sees every stream that was let in.
        if self.draining.load(Ordering::Acquire) {
            return Err(Failure::new(GIGASTT_CLOSED, "the engine was drained and opens no more recognizers"));
        }
        streams.retain(|stream| stream.strong_count() > 0);
        streams.push(Arc::downgrade(&stream));
        Ok(stream)
    }

    /// Where streams ask for their callbacks to be run.
    pub(crate) fn callbacks(&self) -> Result<Sender<Message>, Failure> {
        let mut dispatcher = self.dispatcher.lock();
        if dispatcher.is_none() {
            *dispatcher = Some(Dispatcher::start()?);
        }
        dispatcher
            .as_ref()
            .map(Dispatcher::queue)
            .ok_or_else(|| Failure::internal("the thread was just started"))
    }

    /// Whether this is the thread that runs callbacks.
    pub(crate) fn runs_callbacks_here(&self) -> bool {
        self.dispatcher.lock().as_ref().is_some_and(Dispatcher::is_here)
    }

    fn drain(&self, timeout_ms: i64) -> Answer {
        let deadline = limit(timeout_ms).and_then(|limit| Instant::now().checked_add(limit));
        let streams: Vec<_> = {
            let streams = self.streams.lock();
            self.draining.store(true, Ordering::Release);
            streams.iter().filter_map(Weak::upgrade).collect()
        };
        // One that failed or was cancelled has ended already.
        let live: Vec<_> = streams.iter().filter(|s| s.close(EndpointReason::Shutdown).is_ok()).collect();
        let mut all = true;
        for stream in live {
            let left = deadline.map(|at| at.saturating_duration_since(Instant::now()));
            all &= stream.wait_end(left).unwrap_or(true);
        }
        Ok(if all { GIGASTT_OK } else { GIGASTT_TIMEOUT })
    }
}

/// Opens an engine into `*engine`: loads ONNX Runtime and the model and starts the workers. `config` may
/// be NULL: the embedded model, one worker for each core. Takes as long as reading the model does.
/// Release it with `gigastt_engine_release`. Any thread.
/// The first sets the environment variable `ORT_DISABLE_TELEMETRY` to 1, unless it is set, so that ONNX Runtime
/// reports nothing about the program to its maker. Who has threads that read the environment meanwhile sets it before.
/// Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `RUNTIME`, `PROVIDER`, `MODEL_NOT_FOUND`, `INVALID_MODEL`, `IO`;
/// of a published model also `NETWORK`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_engine_open(
    config: *const gigastt_config,
    engine: *mut *mut gigastt_engine,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        let place = out("engine", engine)?;
        let config = CONFIGS.find_if_any(config)?;
        #[cfg(feature = "ort-link")]
        crate::library::link_runtime()?;
        let opened = Config::settings(config.as_deref()).engine()?;
        let made = ENGINES.insert(EngineObject::new(opened));
        // SAFETY: not NULL, and writable by the contract of the header.
        unsafe { place.write(made) };
        Ok(GIGASTT_OK)
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// Counts one more owner, who releases the engine as well. Any thread.
/// Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_engine_retain(
    engine: *mut gigastt_engine,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        ENGINES.find(engine)?;
        ENGINES.retain(engine)?;
        Ok(GIGASTT_OK)
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// Releases an engine. After the last release the handle is invalid; recognizers that are open, and calls
/// in progress, keep the model until they are gone. Who is last waits for the model calls that run, and at most
/// 2 s for a callback that runs: then no thread of the engine is left, and no user data. Inside a callback nothing
/// is waited for, and its thread ends after it. NULL is nothing to do. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_engine_release(engine: *mut gigastt_engine) {
    crate::handles::release(&ENGINES, engine, drop);
}

/// Puts what is known of the model into `*json`: an object with `name`, `variant`, `quantization`,
/// `vocab_size`, `source`, `bytes`, `optimized` (the fast form that runs: `int8`, `fp32`, or null),
/// `threads`, `sample_rate`. Release the string with `gigastt_string_release`. Any thread. Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `POISONED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_engine_info_json(
    engine: *const gigastt_engine,
    json: *mut *mut c_char,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        let place = out("json", json)?;
        let text = ENGINES.find(engine)?.with(|engine| Ok(crate::json::info(engine)))?;
        // SAFETY: not NULL, and writable by the contract of the header.
        unsafe { crate::text::give(place, text) }?;
        Ok(GIGASTT_OK)
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// What an engine has done and does. Set `struct_size` to `sizeof(gigastt_engine_statistics)` before the call.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct gigastt_engine_statistics {
    /// The size of this structure in bytes.
    pub struct_size: usize,
    /// Streams that are open, transcriptions included.
    pub sessions: u64,
    /// Windows of audio that wait for a worker.
    pub queued: u64,
    /// Share of the workers' time that live streams took in the last seconds: 0 to about 1.
    pub load: f64,
    /// Seconds spent in the encoder, summed over the workers.
    pub encoder_s: f64,
    /// Seconds spent decoding, summed over the workers.
    pub decoder_s: f64,
    /// Seconds of audio encoded; what is encoded again counts again.
    pub encoded_s: f64,
    /// Windows encoded.
    pub windows: u64,
    /// Encoder calls; a call may hold several windows.
    pub calls: u64,
    /// Model calls that hit a defect.
    pub panics: u64,
}

// SAFETY: `#[repr(C)]`, its size first, numbers only.
unsafe impl Versioned for gigastt_engine_statistics {
    const FIRST: usize = 80;
}

/// Fills `*stats`. Any thread. Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `POISONED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_engine_stats(
    engine: *const gigastt_engine,
    stats: *mut gigastt_engine_statistics,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        let now = ENGINES.find(engine)?.with(|engine| Ok(engine.stats()?))?;
        let value = gigastt_engine_statistics {
            struct_size: size_of::<gigastt_engine_statistics>(),
            sessions: now.sessions as u64,
            queued: now.queued as u64,
            load: now.load,
            encoder_s: now.encoder_s,
            decoder_s: now.decoder_s,
            encoded_s: now.encoded_s,
            windows: now.windows,
            calls: now.calls,
            panics: now.panics,
        };
        // SAFETY: NULL or writable by the contract of the header.
        unsafe { fill(stats, "stats", &value) }?;
        Ok(GIGASTT_OK)
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// Before a program ends: opens no more recognizers, ends every open one as `gigastt_recognizer_finish`
/// does, with the reason `shutdown`, and waits until they have ended, for at most `timeout_ms`, or for ever
/// if negative. Their finals and ends wait to be taken. Finals whose second pass does not fit the time
/// are the newest text instead. `TIMEOUT`: some have not ended. Any thread, but not inside a callback.
/// Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_engine_drain(
    engine: *mut gigastt_engine,
    timeout_ms: i64,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, || ENGINES.find(engine)?.drain(timeout_ms)) }
}
