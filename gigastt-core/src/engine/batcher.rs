//! Which windows run next, and together: a queue ordered by due time, as a machine that is told
//! the time.
//!
//! Every window is due some time after it was submitted, by its purpose; the earliest due runs
//! first. Live windows are due sooner than bulk ones, which therefore wait, but never longer than
//! [`DUE_BULK`] past their turn. Whenever a worker is free and a window waits, one is handed out.
//! Tentative windows of equal length share an encoder call where that pays, and so do steps of an encoder
//! that keeps its past, the longer of which are shortened for that.

use std::collections::VecDeque;
use std::time::Duration;

use crate::options::Class;
use crate::session::{Job, Purpose};
use crate::{Error, ErrorKind, Result};

/// How long after its submission a window is due.
const DUE_TENTATIVE: Duration = Duration::from_millis(300);
const DUE_COMMIT: Duration = Duration::from_millis(300);
const DUE_FINAL: Duration = Duration::from_millis(200);
const DUE_BULK: Duration = Duration::from_secs(4);

/// The most windows in one encoder call.
pub(crate) const BATCH_MAX: usize = 8;
/// The longest window, in mel frames, that gains by sharing a call.
const BATCH_FRAMES_MAX: usize = 300;
/// What one shared call is planned to take at most.
const BATCH_TIME_MAX: Duration = Duration::from_millis(250);

/// Load is measured over this many slots of this length.
const LOAD_SLOTS: usize = 8;
const LOAD_SLOT: Duration = Duration::from_millis(500);
/// Share of the workers' time that live work may take before new streams are refused...
const LOAD_MAX: f64 = 0.95;
/// ... once live windows also wait this much longer than they should.
const LATE_MAX: Duration = Duration::from_millis(500);

/// Time since the engine was made.
pub(crate) type Instant = Duration;

/// A window in the queue: when it is due, and a number that keeps equal times apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket {
    due: Instant,
    number: u64,
}

/// A window with the stream it belongs to.
pub(crate) struct Entry<S> {
    pub stream: S,
    pub class: Class,
    pub job: Job,
}

/// What a worker reports of a call.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spent {
    pub class: Class,
    /// Mel frames of all windows of the call.
    pub frames: usize,
    pub encoder: Duration,
    pub decoder: Duration,
}

/// See the module. `S` names a stream.
pub(crate) struct Batcher<S> {
    /// Latest due first, so that the next one is at the end. A sorted vector, because it keeps its
    /// memory: queueing a window allocates nothing in the steady state.
    queue: Vec<(Ticket, Entry<S>)>,
    numbers: u64,
    workers: usize,
    /// Workers that run windows.
    busy: usize,
    speed: Speed,
    load: Load,
}

impl<S> Batcher<S> {
    /// An empty queue for `workers` workers.
    pub(crate) fn new(workers: usize) -> Self {
        Self {
            queue: Vec::new(),
            numbers: 0,
            workers,
            busy: 0,
            speed: Speed::default(),
            load: Load::default(),
        }
    }

    /// Queues a window.
    pub(crate) fn submit(&mut self, now: Instant, entry: Entry<S>) -> Ticket {
        let wait = match (entry.class, entry.job.purpose) {
            (Class::Bulk, _) => DUE_BULK,
            (Class::Live, Purpose::Tentative | Purpose::Early(_)) => DUE_TENTATIVE,
            (Class::Live, Purpose::Commit) => DUE_COMMIT,
            (Class::Live, Purpose::Final) => DUE_FINAL,
        };
        self.numbers += 1;
        let ticket = Ticket { due: now + wait, number: self.numbers };
        self.replace(ticket, entry);
        ticket
    }

    /// Takes a window out again, unless a worker has it already.
    pub(crate) fn withdraw(&mut self, ticket: Ticket) -> Option<Entry<S>> {
        self.find(ticket).ok().map(|at| self.queue.remove(at).1)
    }

    /// Puts a grown window in the place of one that was withdrawn.
    pub(crate) fn replace(&mut self, ticket: Ticket, entry: Entry<S>) {
        let at = self.find(ticket).unwrap_or_else(|at| at);
        self.queue.insert(at, (ticket, entry));
    }

    fn find(&self, ticket: Ticket) -> Result<usize, usize> {
        self.queue.binary_search_by(|(t, _)| ticket.cmp(t))
    }

    /// The windows that a free worker runs now, in one call; empty when none waits. Windows of
    /// streams that are not `alive` any more are dropped unseen.
    pub(crate) fn next(&mut self, alive: impl Fn(&S) -> bool) -> Vec<(Ticket, Entry<S>)> {
        while let Some((ticket, first)) = self.queue.pop() {
            if alive(&first.stream) {
                self.busy += 1;
                return self.join(ticket, first, alive);
            }
        }
        Vec::new()
    }

    /// `first` with the waiting windows that can share its call.
    fn join(
        &mut self,
        ticket: Ticket,
        first: Entry<S>,
        alive: impl Fn(&S) -> bool,
    ) -> Vec<(Ticket, Entry<S>)> {
        let frames = first.job.frames();
        let shared = joins(&first.job) && frames <= BATCH_FRAMES_MAX;
        let mut batch = vec![(ticket, first)];
        if !shared {
            return batch;
        }
        let affordable = BATCH_TIME_MAX.as_secs_f64() / self.speed.estimate(frames).as_secs_f64();
        let most = (affordable as usize).clamp(1, BATCH_MAX);
        let first = &batch[0].1.job;
        let (right, before) = (first.peek.len(), first.past.as_ref().map(|past| past.before()));
        let (mut shortest, mut longest) = (first.decode.len(), first.decode.len());
        for at in (0..self.queue.len()).rev() {
            if batch.len() == most {
                break;
            }
            let Entry { job, stream, .. } = &self.queue[at].1;
            let steps = (shortest.min(job.decode.len()), longest.max(job.decode.len()));
            let alike = match &job.past {
                None => before.is_none() && job.frames() == frames,
                Some(past) => before == Some(past.before()) && job.peek.len() == right && near(steps),
            };
            if joins(job) && alike && alive(stream) {
                (shortest, longest) = steps;
                batch.push(self.queue.remove(at));
            }
        }
        if before.is_some() {
            batch.iter_mut().for_each(|(_, entry)| entry.job.shorten(shortest));
        }
        batch
    }

    /// A worker is done with the windows that `next` gave it.
    pub(crate) fn release(&mut self) {
        self.busy -= 1;
    }

    /// Whether a worker has nothing to do.
    pub(crate) fn idle(&self) -> bool {
        self.queue.is_empty() && self.busy < self.workers
    }

    /// Takes note of a finished call.
    pub(crate) fn spent(&mut self, now: Instant, spent: Spent) {
        self.speed.learn(spent.frames, spent.encoder + spent.decoder);
        if spent.class == Class::Live {
            self.load.add(now, spent.encoder + spent.decoder);
        }
    }

    /// Share of the workers' time that live work took lately: 0 to about 1.
    pub(crate) fn load(&self, now: Instant) -> f64 {
        self.load.share(now) / self.workers as f64
    }

    /// Whether a new live stream can be served.
    ///
    /// # Errors
    /// `Busy`: the workers are saturated with live work and windows wait too long already.
    pub(crate) fn admit(&self, now: Instant) -> Result<()> {
        let load = self.load(now);
        let first = self.queue.iter().rev().find(|(_, e)| e.class == Class::Live);
        let late = first.map_or(Duration::ZERO, |(t, _)| now.saturating_sub(t.due));
        if load < LOAD_MAX || late < LATE_MAX {
            return Ok(());
        }
        let (load, late) = ((load * 100.0).round(), late.as_millis());
        let message = format!("live streams take {load} % of the workers and wait {late} ms too long");
        Err(Error::new(ErrorKind::Busy, message))
    }

    /// What one window of `frames` mel frames is expected to take on one worker.
    pub(crate) fn estimate(&self, frames: usize) -> Duration {
        self.speed.estimate(frames)
    }

    /// What the waiting windows up to and with `ticket` are expected to take on one worker.
    pub(crate) fn ahead_of(&self, ticket: Ticket) -> Duration {
        let before = self.queue.iter().filter(|(t, _)| *t <= ticket);
        before.map(|(_, e)| self.speed.estimate(e.job.frames())).sum()
    }

    /// Windows that wait.
    pub(crate) fn queued(&self) -> usize {
        self.queue.len()
    }
}

/// Whether the window may share a call. Where activations are rounded to 8 bits, what it gives then depends
/// on the others a little, so none does that decides what is committed.
pub(crate) fn joins(job: &Job) -> bool {
    job.purpose == Purpose::Tentative
}

/// Whether the longest step loses little if it becomes as short as the shortest: at most a quarter.
fn near((shortest, longest): (usize, usize)) -> bool {
    4 * shortest >= 3 * longest
}

/// Measured seconds per mel frame, apart for short and long windows, because attention makes long
/// ones dearer and the overhead of a call short ones.
#[derive(Default)]
struct Speed {
    classes: [Option<f64>; 4],
}

impl Speed {
    /// Before anything was measured: a small model on a slow core.
    const UNKNOWN: f64 = 0.000_5;
    /// Weight of a new measurement.
    const WEIGHT: f64 = 0.2;

    fn class(frames: usize) -> usize {
        [150, 400, 1_000].iter().position(|limit| frames <= *limit).unwrap_or(3)
    }

    fn learn(&mut self, frames: usize, took: Duration) {
        let new = took.as_secs_f64() / frames.max(1) as f64;
        let slot = &mut self.classes[Self::class(frames)];
        *slot = Some(slot.map_or(new, |old| old + Self::WEIGHT * (new - old)));
    }

    fn estimate(&self, frames: usize) -> Duration {
        let class = Self::class(frames);
        let known = |c: &usize| self.classes.get(*c).copied().flatten();
        let nearest = [class, class.wrapping_sub(1), class + 1, class.wrapping_sub(2), class + 2, class + 3];
        let rate = nearest.iter().find_map(known).unwrap_or(Self::UNKNOWN);
        Duration::from_secs_f64(rate * frames as f64)
    }
}

/// Busy time by slot, newest last.
#[derive(Default)]
struct Load {
    slots: VecDeque<(u128, Duration)>,
}

impl Load {
    fn add(&mut self, now: Instant, busy: Duration) {
        let slot = now.as_nanos() / LOAD_SLOT.as_nanos();
        match self.slots.back_mut() {
            Some((last, sum)) if *last >= slot => *sum += busy,
            _ => self.slots.push_back((slot, busy)),
        }
        while self.slots.len() > LOAD_SLOTS {
            self.slots.pop_front();
        }
    }

    fn share(&self, now: Instant) -> f64 {
        let oldest = (now.as_nanos() / LOAD_SLOT.as_nanos()).saturating_sub(LOAD_SLOTS as u128 - 1);
        let busy: Duration = self.slots.iter().filter(|(slot, _)| *slot >= oldest).map(|(_, b)| *b).sum();
        let measured = (LOAD_SLOT * (LOAD_SLOTS as u32)).min(now.max(LOAD_SLOT));
        busy.as_secs_f64() / measured.as_secs_f64()
    }
}
