//! Threads and time: the only file that spawns the ones and reads the other.
//!
//! Each worker owns a lane of the model, takes windows from the batcher, and answers into the
//! mailboxes of their streams. A panic of the model ends one call, not the worker.

use std::cell::Cell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use crate::sync::{Condvar, Mutex};

use super::batcher::{Batcher, Entry, Spent, Ticket};
use super::mailbox::Mailbox;
use crate::model::{DecoderState, Encoded, Interrupt, Lane, Network, Step};
use crate::session::{Decoded, Job, Reply};
use crate::{Error, ErrorKind, Result};

pub(crate) type Queue = Batcher<Arc<Mailbox>>;

/// What the recognizers and the workers share.
pub(crate) struct Shared {
    state: Mutex<State>,
    work: Condvar,
    started: Instant,
}

struct State {
    queue: Queue,
    totals: Totals,
    stop: bool,
}

/// Sums over the life of an engine.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Totals {
    pub encoder: Duration,
    pub decoder: Duration,
    /// Of both: inside ONNX Runtime.
    pub runtime: Duration,
    pub windows: u64,
    pub calls: u64,
    pub panics: u64,
    /// Mel frames encoded.
    pub frames: u64,
}

impl Shared {
    /// Runs `with` on the queue, with the present time; wakes a worker for each window in it.
    pub(crate) fn queue<T>(&self, with: impl FnOnce(&mut Queue, Duration) -> T) -> T {
        let mut state = self.state.lock();
        let before = state.queue.queued();
        let result = with(&mut state.queue, self.started.elapsed());
        let after = state.queue.queued();
        // A worker that wakes finds the lock free, and who pushes does not have to wake it twice.
        drop(state);
        for _ in before..after {
            self.work.notify_one();
        }
        result
    }

    /// Sums over the life of the engine.
    pub(crate) fn totals(&self) -> Totals {
        self.state.lock().totals
    }
}

/// The worker threads of an engine.
pub(crate) struct Workers {
    pub shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Workers {
    /// Starts `count` workers, each with a lane of its own.
    ///
    /// # Errors
    /// Whatever making a lane fails with; `Internal` when the system gives no thread.
    pub(crate) fn start(network: &Arc<dyn Network>, count: usize) -> Result<Self> {
        let lanes = lanes(network, count)?;
        let state = State { queue: Batcher::new(count), totals: Totals::default(), stop: false };
        let shared =
            Arc::new(Shared { state: Mutex::new(state), work: Condvar::new(), started: Instant::now() });
        let mut workers = Self { shared, threads: Vec::with_capacity(count) };
        for (number, lane) in lanes.into_iter().enumerate() {
            let mut worker = Worker {
                shared: Arc::clone(&workers.shared),
                network: Arc::clone(network),
                lane: Some(lane),
            };
            let thread = thread::Builder::new().name(format!("gigastt-{number}")).spawn(move || worker.run());
            workers.threads.push(thread.map_err(no_thread)?);
        }
        Ok(workers)
    }

    /// Leaves threads that do not exist in this process alone: in a forked child.
    pub(crate) fn abandon(&mut self) {
        self.threads.clear();
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        if self.threads.is_empty() {
            return;
        }
        self.shared.state.lock().stop = true;
        self.shared.work.notify_all();
        // A worker that wakes the host may drop its last handle; it ends after that. A thread of the host's is not
        // asked who it is, for which it would have to remember something.
        let own = WORKS.get().then(|| thread::current().id());
        for thread in self.threads.drain(..).filter(|thread| Some(thread.thread().id()) != own) {
            // A worker catches what its calls panic with.
            let _ = thread.join();
        }
    }
}

/// So many lanes. The first finds out what the others go by; these are opened side by side where they share the
/// model, and else one after the other, since whoever reads a model takes more than it holds in the end.
fn lanes(network: &Arc<dyn Network>, count: usize) -> Result<Vec<Box<dyn Lane>>> {
    let mut lanes = vec![network.lane()?];
    let at_a_time = if network.copied_bytes() > 0 { 1 } else { super::cores() };
    while lanes.len() < count {
        let missing = at_a_time.min(count - lanes.len());
        let open = |_| {
            let network = Arc::clone(network);
            thread::Builder::new().spawn(move || network.lane()).map_err(no_thread)
        };
        let opening = (0..missing).map(open).collect::<Result<Vec<_>>>()?;
        for lane in opening {
            let panicked = |_| Err(Error::new(ErrorKind::Internal, "opening the model panicked"));
            lanes.push(lane.join().unwrap_or_else(panicked)?);
        }
    }
    Ok(lanes)
}

fn no_thread(error: io::Error) -> Error {
    Error::new(ErrorKind::Internal, format!("no worker thread: {error}"))
}

struct Worker {
    shared: Arc<Shared>,
    network: Arc<dyn Network>,
    /// Gone after a panic, until a new one could be made.
    lane: Option<Box<dyn Lane>>,
}

type Batch = Vec<(Ticket, Entry<Arc<Mailbox>>)>;

impl Worker {
    fn run(&mut self) {
        WORKS.set(true);
        while let Some(batch) = self.next() {
            let Some(first) = batch.first().map(|(ticket, _)| *ticket) else { continue };
            if batch.len() == 1 {
                self.serve(batch);
            } else {
                self.serve_together(batch);
            }
            self.shared.state.lock().queue.release(first);
        }
    }

    fn next(&self) -> Option<Batch> {
        let mut state = self.shared.state.lock();
        loop {
            if state.stop {
                return None;
            }
            let batch = state.queue.next(self.shared.started.elapsed(), |mailbox| !mailbox.cancelled());
            if !batch.is_empty() {
                return Some(batch);
            }
            state = self.shared.work.wait(state);
        }
    }

    /// Windows of several streams in one call. Should it fail, each is run alone, so that the
    /// failure stays with the stream that causes it.
    fn serve_together(&mut self, mut batch: Batch) {
        let started = Instant::now();
        let never = Interrupt::default();
        let encoded = self.encode(&mut batch, &never);
        let Ok(encoded) = encoded else {
            for one in batch {
                self.serve(vec![one]);
            }
            return;
        };
        self.answer(batch, &encoded, started);
    }

    fn serve(&mut self, mut batch: Batch) {
        let started = Instant::now();
        let Some(mailbox) = batch.first().map(|(_, e)| Arc::clone(&e.stream)) else { return };
        match self.encode(&mut batch, &mailbox.interrupt) {
            Ok(encoded) => self.answer(batch, &encoded, started),
            Err(error) => {
                for (ticket, entry) in batch {
                    let (job, result) = (entry.job, Err(error.clone()));
                    mailbox.put(ticket, Reply { job, result, encoder: Duration::ZERO });
                }
            }
        }
    }

    fn encode(&mut self, batch: &mut Batch, interrupt: &Interrupt) -> Result<Encoded> {
        let mels: Vec<Vec<f32>> = batch.iter().map(|(_, e)| e.job.mel.to_vec()).collect();
        let jobs = batch.iter_mut().map(|(_, entry)| &mut entry.job).zip(&mels);
        let mut steps: Vec<Step<'_>> = jobs.filter_map(|(job, mel)| job.step(mel)).collect();
        if !steps.is_empty() {
            return self.guarded(|lane| lane.step(&mut steps, interrupt));
        }
        let windows: Vec<&[f32]> = mels.iter().map(Vec::as_slice).collect();
        self.guarded(|lane| lane.encode(&windows, interrupt))
    }

    /// Decodes each window of the call and answers it. Who has an answer finds its work in the totals.
    fn answer(&mut self, batch: Batch, encoded: &Encoded, started: Instant) {
        let encoder = started.elapsed();
        let class = batch.first().map(|(_, e)| e.class).unwrap_or_default();
        let frames: usize = batch.iter().map(|(_, e)| e.job.frames()).sum();
        let windows = batch.len() as u64;
        self.count(|totals| {
            totals.encoder += encoder;
            totals.runtime += IN_RUNTIME.take();
            totals.windows += windows;
            totals.calls += 1;
            totals.frames += frames as u64;
        });
        for (item, (ticket, entry)) in batch.into_iter().enumerate() {
            let Entry { stream, mut job, .. } = entry;
            let mut decoder = Duration::ZERO;
            let decoded = timed(&mut decoder, || {
                self.guarded(|lane| decode(lane, encoded, item, &job, &stream.interrupt))
            });
            self.count(|totals| {
                totals.decoder += decoder;
                totals.runtime += IN_RUNTIME.take();
            });
            let result = decoded.map(|(decoded, state)| {
                job.state = Arc::new(state);
                decoded
            });
            stream.put(ticket, Reply { job, result, encoder: encoder / windows as u32 });
        }
        let spent = Spent { class, frames, encoder, decoder: started.elapsed() - encoder };
        let mut state = self.shared.state.lock();
        state.queue.spent(self.shared.started.elapsed(), spent);
    }

    fn count(&self, add: impl FnOnce(&mut Totals)) {
        add(&mut self.shared.state.lock().totals);
    }

    /// Runs `call` on the lane. A panic costs the lane, and the next call starts with a new one.
    fn guarded<T>(&mut self, call: impl FnOnce(&mut dyn Lane) -> Result<T>) -> Result<T> {
        let mut lane = match self.lane.take() {
            Some(lane) => lane,
            None => self.network.lane()?,
        };
        let result = catch_unwind(AssertUnwindSafe(|| call(lane.as_mut())));
        match result {
            Ok(result) => {
                self.lane = Some(lane);
                result
            }
            Err(_) => {
                self.shared.state.lock().totals.panics += 1;
                Err(Error::new(ErrorKind::Internal, "the model call panicked; please report this"))
            }
        }
    }
}

/// The tokens of a window's step and right context, and the decoder's state after the step.
fn decode(
    lane: &mut dyn Lane,
    encoded: &Encoded,
    item: usize,
    job: &Job,
    interrupt: &Interrupt,
) -> Result<(Decoded, DecoderState)> {
    let mut state = (*job.state).clone();
    let mut decoded = Decoded::default();
    lane.decode(encoded, item, job.decode.clone(), &mut state, &mut decoded.tokens, interrupt)?;
    if !job.peek.is_empty() {
        let mut fork = state.clone();
        lane.decode(encoded, item, job.peek.clone(), &mut fork, &mut decoded.peeked, interrupt)?;
    }
    Ok((decoded, state))
}

/// A moment by which a wait ends; never, without a limit.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadline(Option<Instant>);

impl Deadline {
    /// `limit` from now.
    pub(crate) fn after(limit: Option<Duration>) -> Self {
        Self(limit.and_then(|limit| Instant::now().checked_add(limit)))
    }

    /// What is left of it; `None` without a limit.
    pub(crate) fn left(self) -> Option<Duration> {
        self.0.map(|at| at.saturating_duration_since(Instant::now()))
    }

    /// Whether it has passed.
    pub(crate) fn passed(self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }
}

thread_local! {
    /// How long this thread was inside ONNX Runtime since it last gave an answer.
    static IN_RUNTIME: Cell<Duration> = const { Cell::new(Duration::ZERO) };
    /// Whether this thread is a worker's.
    static WORKS: Cell<bool> = const { Cell::new(false) };
}

/// Runs a call of ONNX Runtime, whose time is counted apart from that of the code around it.
pub(crate) fn in_runtime<T>(call: impl FnOnce() -> T) -> T {
    let mut spent = IN_RUNTIME.get();
    let result = timed(&mut spent, call);
    IN_RUNTIME.set(spent);
    result
}

/// Adds the time that `work` takes to `sum`.
pub(crate) fn timed<T>(sum: &mut Duration, work: impl FnOnce() -> T) -> T {
    let started = Instant::now();
    let result = work();
    *sum += started.elapsed();
    result
}
