//! The engine: a loaded model and its workers, shared by any number of streams.
//!
//! Capacity is compute, not slots: a stream holds audio and state, never a copy of the model.

pub(crate) mod batcher;
mod canceller;
mod mailbox;
mod recognizer;
#[cfg(all(test, feature = "fake-model"))]
mod tests;
mod transcribe;
mod worker;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

pub use self::canceller::Canceller;
#[cfg(feature = "download")]
pub(crate) use self::mailbox::Mailbox;
#[cfg(feature = "async")]
pub use self::recognizer::Events;
pub use self::recognizer::{Recognizer, RecognizerStats};
pub use self::transcribe::{Audio, Hooks, Progress};
use self::worker::Workers;
pub(crate) use self::worker::in_runtime;
use crate::model::{LoadOptions, Model, ModelInfo, Network, Pasts, Provider};
use crate::options::{Class, Options, Plan};
use crate::{Error, ErrorKind, Result};

/// What copies of the encoder's file may take together where nobody said how many workers there are to be.
const COPIES_BYTES_MAX: u64 = 4_000_000_000;
/// The most worker threads.
pub const THREADS_MAX: usize = 256;

/// A loaded model and its worker threads. Clones share them; every method may be called from any
/// thread. The last handle to go, recognizers included, ends the threads, and waits for the model call that
/// each of them is in.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (info, threads) = (self.info(), self.threads());
        f.debug_struct("Engine").field("info", info).field("threads", &threads).finish_non_exhaustive()
    }
}

struct Inner {
    /// Taken out only when this process is a forked child.
    parts: Option<Parts>,
    info: ModelInfo,
    sessions: AtomicUsize,
    sessions_max: usize,
    /// The process whose threads serve this engine.
    pid: u32,
}

struct Parts {
    workers: Workers,
    network: Arc<dyn Network>,
    pasts: Arc<Pasts>,
    count: usize,
}

impl Parts {
    /// The plan, of windows if the model's encoder keeps nothing.
    fn within_reach(&self, plan: Plan) -> Plan {
        if self.network.kept().is_some() { plan } else { plan.without_kept_context() }
    }
}

/// What an engine has done and does.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EngineStats {
    /// Open streams.
    pub sessions: usize,
    /// Windows that wait for a worker.
    pub queued: usize,
    /// Share of the workers' time that live streams took in the last seconds: 0 to about 1.
    pub load: f64,
    /// Seconds spent in the encoder, summed over the workers.
    pub encoder_s: f64,
    /// Seconds spent decoding, summed over the workers.
    pub decoder_s: f64,
    /// Of both, the seconds inside ONNX Runtime. What is left over went to the code around its calls.
    pub runtime_s: f64,
    /// Seconds of audio encoded; audio that is encoded again counts again.
    pub encoded_s: f64,
    /// Windows encoded.
    pub windows: u64,
    /// Encoder calls; a call may hold several windows.
    pub calls: u64,
    /// Model calls that panicked.
    pub panics: u64,
}

/// Settings of an engine that is to be made.
#[derive(Debug, Clone)]
pub struct EngineBuilder {
    model: Option<Model>,
    threads: Option<usize>,
    sessions_max: usize,
    load: LoadOptions,
}

impl EngineBuilder {
    /// The model; default: the embedded one.
    #[must_use]
    pub fn model(mut self, model: Model) -> Self {
        self.model = Some(model);
        self
    }

    /// Worker threads, 1 to 256; default: the machine's parallelism, or as many as hold copies of the encoder's file
    /// of 4 GB together. Of a model in its fast form there are no copies. Each runs one window at a time on one core,
    /// and there are no other threads.
    #[must_use]
    pub fn threads(mut self, threads: usize) -> Self {
        self.threads = Some(threads);
        self
    }

    /// Where the model runs; default: the CPU.
    #[must_use]
    pub fn provider(mut self, provider: Provider) -> Self {
        self.load.provider = provider;
        self
    }

    /// The ONNX Runtime library to load; default: it is searched for.
    #[must_use]
    pub fn runtime(mut self, library: impl Into<PathBuf>) -> Self {
        self.load.runtime = Some(library.into());
        self
    }

    /// One more folder to search for ONNX Runtime, before that of the program: for libraries over this one, the
    /// folder in which they lie.
    #[must_use]
    pub fn runtime_folder(mut self, folder: impl Into<PathBuf>) -> Self {
        self.load.runtime_folders.push(folder.into());
        self
    }

    /// The most symbols a transducer emits in one frame, 1 to 100; default 3.
    #[must_use]
    pub fn max_symbols(mut self, max_symbols: u32) -> Self {
        self.load.max_symbols = max_symbols;
        self
    }

    /// The most streams open at a time; default 4,096. A bound on memory, not on speed.
    #[must_use]
    pub fn sessions_max(mut self, sessions: usize) -> Self {
        self.sessions_max = sessions;
        self
    }

    /// Loads ONNX Runtime and the model and starts the workers.
    ///
    /// # Errors
    /// `InvalidArgument`, `Runtime`, `Provider`, `ModelNotFound`, `InvalidModel` or `Io`; `Network` when a
    /// published model is not installed and cannot be fetched.
    pub fn build(self) -> Result<Engine> {
        within("threads", self.threads.unwrap_or(1), THREADS_MAX)?;
        within("sessions_max", self.sessions_max, usize::MAX)?;
        within("max_symbols", self.load.max_symbols as usize, 100)?;
        let model = match self.model {
            Some(model) => model,
            #[cfg(feature = "embedded-model")]
            None => Model::embedded(),
            #[cfg(not(feature = "embedded-model"))]
            None => {
                let message = "no model was named and none is built in; use `model(Model::dir(..))`";
                return Err(Error::new(ErrorKind::ModelNotFound, message));
            }
        };
        let (network, info) = crate::model::load(&model, &self.load)?;
        let threads = self.threads.unwrap_or_else(|| default_threads(network.copied_bytes()));
        Engine::start(network, info, threads, self.sessions_max)
    }
}

impl Engine {
    /// Settings to make an engine from.
    pub fn builder() -> EngineBuilder {
        let load = LoadOptions { keeping: true, ..LoadOptions::default() };
        EngineBuilder { model: None, threads: None, sessions_max: 4_096, load }
    }

    fn start(network: Arc<dyn Network>, info: ModelInfo, count: usize, sessions_max: usize) -> Result<Self> {
        let workers = Workers::start(&network, count)?;
        let pasts = Pasts::for_workers(count, network.kept().unwrap_or(0));
        let inner = Inner {
            parts: Some(Parts { workers, network, pasts, count }),
            info,
            sessions: AtomicUsize::new(0),
            sessions_max,
            pid: std::process::id(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    /// An engine over the scripted model, for tests.
    ///
    /// # Errors
    /// Whatever the script fails with.
    #[cfg(feature = "fake-model")]
    pub fn fake(script: crate::fake::Script, threads: usize) -> Result<Self> {
        let network: Arc<dyn Network> = Arc::new(crate::fake::FakeNetwork::new(script));
        Self::start(network, ModelInfo::fake(), threads, 4_096)
    }

    /// Opens a stream. Does not wait and does not copy the model.
    ///
    /// # Errors
    /// `InvalidArgument` for options out of range; `Busy` when the engine is saturated or as many
    /// streams are open as it was allowed; `Forked`.
    pub fn recognizer(&self, options: Options) -> Result<Recognizer> {
        options.validate()?;
        if options.class == Class::Live {
            self.admit()?;
        }
        Recognizer::open(Arc::clone(&self.inner), options)
    }

    /// Whether the workers could serve one more live stream now. For services that answer this without
    /// opening one.
    ///
    /// # Errors
    /// `Busy` when they are saturated; `Forked`.
    pub fn admit(&self) -> Result<()> {
        let parts = self.inner.parts()?;
        if parts.pasts.full() {
            let message = format!("{} streams speak, of as many as context may be kept", parts.pasts.lent());
            return Err(Error::new(ErrorKind::Busy, message));
        }
        parts.workers.shared.queue(|queue, now| queue.admit(now))
    }

    /// What is known of the model.
    pub fn info(&self) -> &ModelInfo {
        &self.inner.info
    }

    /// Worker threads.
    pub fn threads(&self) -> usize {
        self.inner.parts.as_ref().map_or(0, |parts| parts.count)
    }

    /// What the engine has done and does.
    ///
    /// # Errors
    /// `Forked`.
    pub fn stats(&self) -> Result<EngineStats> {
        let shared = &self.inner.parts()?.workers.shared;
        let (queued, load) = shared.queue(|queue, now| (queue.queued(), queue.load(now)));
        let totals = shared.totals();
        Ok(EngineStats {
            sessions: self.inner.sessions.load(Ordering::Relaxed),
            queued,
            load,
            encoder_s: totals.encoder.as_secs_f64(),
            decoder_s: totals.decoder.as_secs_f64(),
            runtime_s: totals.runtime.as_secs_f64(),
            encoded_s: totals.frames as f64 / 100.0,
            windows: totals.windows,
            calls: totals.calls,
            panics: totals.panics,
        })
    }
}

impl Inner {
    /// The workers and the model, unless this process is a forked child, where neither works.
    fn parts(&self) -> Result<&Parts> {
        self.check_process()?;
        self.parts.as_ref().ok_or_else(|| Error::new(ErrorKind::Internal, "the engine was taken apart"))
    }

    fn check_process(&self) -> Result<()> {
        if self.pid == std::process::id() {
            return Ok(());
        }
        let message = format!("process {} made this engine; make a new one after fork", self.pid);
        Err(Error::new(ErrorKind::Forked, message))
    }

    /// Counts a stream in.
    fn enter(&self) -> Result<()> {
        let count = |open: usize| (open < self.sessions_max).then_some(open + 1);
        match self.sessions.fetch_update(Ordering::Relaxed, Ordering::Relaxed, count) {
            Ok(_) => Ok(()),
            Err(open) => {
                Err(Error::new(ErrorKind::Busy, format!("{open} streams are open, as many as allowed")))
            }
        }
    }

    fn leave(&self) {
        self.sessions.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        if self.check_process().is_err()
            && let Some(mut parts) = self.parts.take()
        {
            // A forked child has the memory but not the threads: freeing the model would wait for
            // threads that do not exist here.
            parts.workers.abandon();
            std::mem::forget(parts);
        }
    }
}

/// The machine's parallelism.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(THREADS_MAX)
}

/// As many workers as the machine has cores, or as may each hold a copy of so many bytes.
fn default_threads(copied_bytes: u64) -> usize {
    let cores = cores();
    let copies = COPIES_BYTES_MAX.checked_div(copied_bytes);
    let threads = copies.map_or(cores, |copies| usize::try_from(copies).unwrap_or(cores).clamp(1, cores));
    if threads < cores {
        log::warn!(
            "{threads} workers for {cores} cores, since each holds a copy of {} MB; on the processor all share the form \
             that `gigastt optimize` makes, and a number of workers that is given is taken as it is",
            copied_bytes / 1_000_000
        );
    }
    threads
}

fn within(name: &str, value: usize, high: usize) -> Result<()> {
    if (1..=high).contains(&value) {
        return Ok(());
    }
    let message = format!("expected 1 to {high}, found {value}");
    Err(Error::new(ErrorKind::InvalidArgument, message).about(name))
}
