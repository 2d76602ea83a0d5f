//! Which windows run next, and together: a queue ordered by due time, as a machine that is told
//! the time.
//!
//! Every window is due some time after it was submitted, by its purpose; the earliest due runs
//! first. Live windows are due sooner than bulk ones, which therefore wait. Bulk windows that are due
//! first get one part of the workers' time beside [`LIVE_PARTS`] of live ones, so that neither many
//! recordings hold up who speaks nor many speakers a recording for ever. Whenever a worker is free and
//! a window waits, one is handed out.
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

/// After a bulk window, live ones that wait go first until they had so many times what it takes.
pub(crate) const LIVE_PARTS: u32 = 3;

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

/// What a call that takes longer than was expected is expected to take yet.
const MOMENT: Duration = Duration::from_millis(1);

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

/// What a worker runs.
struct Call {
    /// Of the first window.
    ticket: Ticket,
    /// Mel frames of all windows.
    frames: usize,
    started: Instant,
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
    /// What workers run.
    calls: Vec<Call>,
    /// Time that live windows are to have before the next bulk one.
    owed: Duration,
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
            calls: Vec::with_capacity(workers),
            owed: Duration::ZERO,
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
    pub(crate) fn next(&mut self, now: Instant, alive: impl Fn(&S) -> bool) -> Vec<(Ticket, Entry<S>)> {
        while let Some(at) = self.first() {
            let (ticket, first) = self.queue.remove(at);
            if alive(&first.stream) {
                let class = first.class;
                let batch = self.join(ticket, first, alive);
                let frames = batch.iter().map(|(_, entry)| entry.job.frames()).sum();
                self.calls.push(Call { ticket, frames, started: now });
                let takes = self.speed.estimate(frames);
                self.owed = match class {
                    Class::Bulk => LIVE_PARTS * takes,
                    Class::Live => self.owed.saturating_sub(takes),
                };
                return batch;
            }
        }
        Vec::new()
    }

    /// The place of the window that runs next.
    fn first(&self) -> Option<usize> {
        let live = || self.queue.iter().rposition(|(_, entry)| entry.class == Class::Live);
        let owed = if self.owed.is_zero() { None } else { live() };
        owed.or(self.queue.len().checked_sub(1))
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

    /// A worker is done with the windows that `next` gave it, of which this was the first.
    pub(crate) fn release(&mut self, first: Ticket) {
        self.calls.retain(|call| call.ticket != first);
    }

    /// Whether a worker has nothing to do.
    pub(crate) fn idle(&self) -> bool {
        self.queue.is_empty() && self.calls.len() < self.workers
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

    /// How long it is expected to take until windows of a stream are done. Of those that were submitted
    /// their tickets, of those that were not cut yet their mel frames.
    pub(crate) fn done_in(
        &self,
        now: Instant,
        submitted: impl Iterator<Item = Ticket>,
        due: impl Iterator<Item = usize>,
    ) -> Duration {
        let left =
            |call: &Call| (call.started + self.speed.estimate(call.frames)).saturating_sub(now).max(MOMENT);
        let (mut running, mut last) = (Duration::ZERO, None);
        let (mut longest, mut all) = (Duration::ZERO, Duration::ZERO);
        for ticket in submitted {
            if let Ok(at) = self.find(ticket) {
                last = last.max(Some(ticket));
                longest = longest.max(self.speed.estimate(self.queue[at].1.job.frames()));
            } else if let Some(call) = self.calls.iter().find(|call| call.ticket == ticket) {
                running = running.max(left(call));
            }
        }
        for takes in due.map(|frames| self.speed.estimate(frames)) {
            longest = longest.max(takes);
            all += takes;
        }
        if longest.is_zero() {
            return running;
        }
        // One window runs on one worker; what is before it is shared among all.
        all +=
            self.calls.iter().map(left).sum::<Duration>() + last.map_or(Duration::ZERO, |t| self.ahead_of(t));
        running.max(longest + all.saturating_sub(longest) / self.workers as u32)
    }

    /// What the waiting windows up to and with `ticket` are expected to take on one worker.
    fn ahead_of(&self, ticket: Ticket) -> Duration {
        let ahead = |class| {
            let of_class = self.queue.iter().filter(move |(t, e)| *t <= ticket && e.class == class);
            of_class.map(|(_, e)| self.speed.estimate(e.job.frames())).sum::<Duration>()
        };
        let (live, bulk) = (ahead(Class::Live), ahead(Class::Bulk));
        let is_live = self.find(ticket).is_ok_and(|at| self.queue[at].1.class == Class::Live);
        live + if is_live { bulk.min(live / LIVE_PARTS) } else { bulk }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Promise 4. Fails when one window is thought to be shared among the workers.
    #[test]
    fn one_window_takes_as_long_on_any_number_of_workers() {
        let due = |workers, windows| {
            let queue = Batcher::<()>::new(workers);
            queue.done_in(Instant::ZERO, std::iter::empty(), std::iter::repeat_n(800, windows))
        };
        assert_eq!(due(8, 1), due(1, 1));
        assert_eq!(due(1, 5), 5 * due(1, 1));
        assert_eq!(due(4, 5), 2 * due(1, 1));
    }
}
