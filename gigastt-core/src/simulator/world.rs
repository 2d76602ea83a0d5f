//! A world in virtual time: hosts that drive real sessions as the recognizer does, the real batcher,
//! and workers that take as long as a script says.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use super::script::{Action, Chunks, Ending, Front, Random, Reader, Script, Stream};
use crate::engine::batcher::{BATCH_MAX, Batcher, Entry, LIVE_PARTS, Spent, Ticket, joins};
use crate::fake::{self, FAILS, PANICS};
use crate::model::{Pasts, Vocab};
use crate::options::Class;
use crate::session::{Decoded, Full, Job, Purpose, Reply, Session};
use crate::{End, Error, ErrorKind, Event};

/// Samples that a recognizer gives to its session at a time.
const BLOCK: u64 = 512;
/// Utterances whose final is awaited: the session's bound, and what one tick can add to it.
const AWAITED_MAX: usize = 64 + 16;
/// What ending a running call takes.
const INTERRUPT: Duration = Duration::from_millis(5);
/// More than any world needs.
const STEPS_MAX: u64 = 10_000_000;

/// What came of a stream.
#[derive(Debug, Default)]
pub(super) struct Trace {
    pub events: Vec<(Duration, Event)>,
    /// Samples heard, and when.
    pub heard: Vec<(u64, Duration)>,
    pub finished: Option<Duration>,
    /// Refused when it was opened.
    pub refused: bool,
    /// Windows that were run.
    pub tentative: u64,
    pub commits: u64,
    /// Mel frames of second passes that were run.
    pub final_frames: u64,
    /// Mel frames of second passes that were run ahead of their endpoints.
    pub early_frames: u64,
}

/// What came of a world.
pub(super) struct Outcome {
    pub traces: Vec<Trace>,
    /// No window of a live and of a bulk stream may take longer than this, from being cut to its
    /// reply.
    pub patience: [Duration; 2],
}

struct World<'a> {
    script: &'a Script,
    now: Duration,
    /// How far the clock has jumped ahead.
    skew: Duration,
    due: BTreeMap<(Duration, u64), Step>,
    steps: u64,
    queue: Batcher<usize>,
    hosts: Vec<Host<'a>>,
    workers: Vec<Worker>,
    frames_max: usize,
    vocab: Arc<Vocab>,
    /// Fewer than there are streams.
    pasts: Arc<Pasts>,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Open(usize),
    /// The next chunk of a stream's audio is there.
    Arrive(usize),
    /// Something that a host may be waiting for happened.
    Wake(usize),
    Cancel(usize),
    /// A call ends, unless it was ended before.
    Return(usize, u64),
    Jump(Duration),
}

/// A stream and its host, with what the recognizer holds.
struct Host<'a> {
    stream: &'a Stream,
    signal: &'a [f32],
    session: Option<Session>,
    cancelled: bool,
    mailbox: Vec<(Ticket, Reply)>,
    out: Vec<Out>,
    /// Samples that have arrived, and that were pushed; actions done.
    arrived: u64,
    pushed: u64,
    acted: usize,
    /// Whether it waits for room.
    blocked: bool,
    deadline: Option<Duration>,
    done: bool,
    random: Random,
    trace: Trace,
}

/// A window that is queued or running.
struct Out {
    purpose: Purpose,
    ticket: Ticket,
    submitted: Duration,
}

type Batch = Vec<(Ticket, Entry<usize>)>;

#[derive(Default)]
struct Worker {
    call: Option<Batch>,
    /// The first window that the queue gave.
    first: Option<Ticket>,
    /// Windows of a call that failed, to be run alone.
    rest: VecDeque<(Ticket, Entry<usize>)>,
    calls: u64,
    started: Duration,
}

/// Runs a world to its end.
pub(super) fn run(script: &Script, signals: &[Vec<f32>], vocab: &Arc<Vocab>) -> Outcome {
    let mut world = World::new(script, signals, vocab);
    while let Some(((now, _), step)) = world.due.pop_first() {
        assert!(world.steps < STEPS_MAX, "the world does not come to an end");
        world.now = now;
        world.step(step);
        world.serve();
    }
    let patience = [Class::Live, Class::Bulk].map(|class| world.patience(class));
    Outcome { traces: world.hosts.into_iter().map(|h| h.trace).collect(), patience }
}

/// A stream alone, its audio pushed at once, each window served at once.
pub(super) fn alone(stream: &Stream, signal: &[f32], vocab: &Arc<Vocab>) -> Vec<Event> {
    let mut session =
        Session::new(stream.options.clone(), Arc::clone(vocab), Box::<Front>::default(), Pasts::new(256), 1);
    let mut events = Vec::new();
    let mut pushed = 0;
    let ends = stream.actions.iter().map(|(at, action)| (*at, Some(action)));
    for (at, action) in ends.chain([(signal.len() as u64, None)]) {
        session.push(&signal[pushed as usize..at as usize]);
        pushed = at;
        match action {
            Some(Action::Force) => session.force_endpoint(),
            Some(Action::Set(rule)) => session.set_endpoint(rule.clone()),
            None => session.finish(stream.reason()),
        }
    }
    while let Some(job) = session.next_job() {
        session.accept(serve(job, false));
    }
    while let Some(event) = session.next_event() {
        events.push(event);
    }
    events
}

impl<'a> World<'a> {
    fn new(script: &'a Script, signals: &'a [Vec<f32>], vocab: &Arc<Vocab>) -> Self {
        let hosts = script.streams.iter().zip(signals).map(|(stream, signal)| Host {
            stream,
            signal,
            session: None,
            cancelled: false,
            mailbox: Vec::new(),
            out: Vec::new(),
            arrived: 0,
            pushed: 0,
            acted: 0,
            blocked: false,
            deadline: None,
            done: false,
            random: Random(stream.seed),
            trace: Trace::default(),
        });
        let mut world = Self {
            script,
            now: Duration::ZERO,
            skew: Duration::ZERO,
            due: BTreeMap::new(),
            steps: 0,
            queue: Batcher::new(script.workers),
            hosts: hosts.collect(),
            workers: (0..script.workers).map(|_| Worker::default()).collect(),
            frames_max: 0,
            vocab: Arc::clone(vocab),
            pasts: Pasts::new(60),
        };
        for (index, stream) in script.streams.iter().enumerate() {
            world.at(stream.opens, Step::Open(index));
            if let Some(cancelled) = stream.cancelled {
                world.at(cancelled, Step::Cancel(index));
            }
        }
        for (at, by) in &script.jumps {
            world.at(*at, Step::Jump(*by));
        }
        world
    }

    fn at(&mut self, when: Duration, step: Step) {
        self.steps += 1;
        self.due.insert((when, self.steps), step);
    }

    /// What the clock says.
    fn clock(&self) -> Duration {
        self.now + self.skew
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Open(index) => self.open(index),
            Step::Arrive(index) => self.arrive(index),
            Step::Wake(index) if self.hosts[index].waits() => self.act(index),
            Step::Wake(_) => {}
            Step::Cancel(index) => self.cancel(index),
            Step::Return(worker, call) if self.workers[worker].calls == call => self.ends(worker),
            Step::Return(..) => {}
            Step::Jump(by) => self.skew += by,
        }
    }

    fn open(&mut self, index: usize) {
        let now = self.clock();
        let host = &mut self.hosts[index];
        let options = host.stream.options.clone();
        if options.class == Class::Live && self.queue.admit(now).is_err() {
            (host.trace.refused, host.done) = (true, true);
            return;
        }
        let vocab = Arc::clone(&self.vocab);
        host.session = Some(Session::new(
            options,
            vocab,
            Box::<Front>::default(),
            Arc::clone(&self.pasts),
            self.script.workers,
        ));
        self.at(self.now, Step::Arrive(index));
    }

    /// A chunk arrives, and the time of the next one is drawn.
    fn arrive(&mut self, index: usize) {
        let now = self.now;
        let host = &mut self.hosts[index];
        let total = host.signal.len() as u64;
        let chunk = match host.stream.chunks {
            Chunks::Whole => total,
            Chunks::Of(samples) => samples as u64,
            Chunks::UpTo(samples) => host.random.within(1, samples as u64),
        };
        host.arrived = (host.arrived + chunk).min(total);
        if host.arrived < total {
            let spoken = host.arrived as f64 / 16_000.0 * host.stream.pace;
            let late = host.stream.jitter.mul_f64(host.random.within(0, 1_000) as f64 / 1_000.0);
            let next = host.stream.opens + Duration::from_secs_f64(spoken) + late;
            self.at(next.max(now), Step::Arrive(index));
        }
        self.act(index);
    }

    fn cancel(&mut self, index: usize) {
        if self.hosts[index].done {
            return;
        }
        self.hosts[index].cancelled = true;
        self.interrupt(index);
        self.at(self.now, Step::Wake(index));
    }

    /// Ends the call that runs for a stream alone.
    fn interrupt(&mut self, index: usize) {
        for worker in 0..self.workers.len() {
            let call = self.workers[worker].call.as_ref();
            if call.is_some_and(|batch| batch.len() == 1 && batch[0].1.stream == index) {
                self.workers[worker].calls += 1;
                self.at(self.now + INTERRUPT, Step::Return(worker, self.workers[worker].calls));
            }
        }
    }

    /// A host does what it can do now.
    fn act(&mut self, index: usize) {
        if self.hosts[index].done || self.hosts[index].session.is_none() {
            return;
        }
        self.turn(index);
        while !self.hosts[index].over() && self.push(index) {}
        if self.hosts[index].over() {
            return self.await_end(index);
        }
        match self.hosts[index].stream.reader {
            Reader::Eager | Reader::Polls => self.take(index),
            Reader::Partials => {
                self.turn(index);
                let now = self.now;
                let host = &mut self.hosts[index];
                let partial = host.session.as_mut().and_then(Session::partial);
                host.trace.events.extend(partial.map(|p| (now, Event::Partial(p))));
            }
            Reader::Slow => {}
        }
    }

    /// Pushes what has arrived up to the next action, or does that. False when nothing is left or
    /// there is no room.
    fn push(&mut self, index: usize) -> bool {
        let now = self.now;
        let host = &mut self.hosts[index];
        let Some(session) = &mut host.session else { return false };
        let action = host.stream.actions.get(host.acted);
        match action {
            Some((at, action)) if *at == host.pushed => {
                match action {
                    Action::Force => session.force_endpoint(),
                    Action::Set(rule) => session.set_endpoint(rule.clone()),
                }
                host.acted += 1;
                self.turn(index);
                return true;
            }
            _ => {}
        }
        if host.pushed == host.signal.len() as u64 {
            return self.finish(index);
        }
        let until = action.map_or(u64::MAX, |(at, _)| *at).min(host.arrived);
        let before = host.pushed;
        while host.pushed < until && session.room() > 0 {
            let next = until.min(host.pushed + BLOCK);
            session.push(&host.signal[host.pushed as usize..next as usize]);
            host.pushed = next;
        }
        host.trace.heard.push((host.pushed, now));
        host.blocked = false;
        if host.pushed == until && before < until {
            self.turn(index);
            return true;
        }
        if host.pushed == until {
            return false;
        }
        self.turn(index);
        self.wait_writable(index)
    }

    /// Whether there is room at once.
    fn wait_writable(&mut self, index: usize) -> bool {
        let full = |host: &Host<'_>| host.session.as_ref().and_then(Session::full);
        if full(&self.hosts[index]) == Some(Full::Finals) {
            self.take(index);
        }
        match full(&self.hosts[index]) {
            Some(Full::Backlog) => {
                self.hosts[index].blocked = true;
                false
            }
            Some(Full::Finals) | None => true,
        }
    }

    fn finish(&mut self, index: usize) -> bool {
        let (now, clock) = (self.now, self.clock());
        let host = &mut self.hosts[index];
        let Some(session) = &mut host.session else { return false };
        session.finish(host.stream.reason());
        host.trace.finished = Some(now);
        if let Ending::Within(limit, _) = host.stream.ending {
            host.deadline = Some(clock + limit);
            self.at(now + limit, Step::Wake(index));
        }
        self.turn(index);
        true
    }

    /// Takes events until the end, under the deadline if there is one.
    fn await_end(&mut self, index: usize) {
        loop {
            self.take(index);
            let left = self.hosts[index].deadline.map(|at| at.saturating_sub(self.clock()));
            if self.hosts[index].done || left.is_none_or(|left| left >= self.estimate(index)) {
                return;
            }
            if let Some(session) = &mut self.hosts[index].session {
                session.settle();
            }
            self.withdraw(index);
        }
    }

    fn estimate(&self, index: usize) -> Duration {
        let host = &self.hosts[index];
        let Some(session) = &host.session else { return Duration::ZERO };
        let awaited = host.out.iter().filter(|out| session.awaits(out.purpose)).map(|out| out.ticket);
        self.queue.done_in(self.clock(), awaited, session.due_frames())
    }

    /// Takes all events there are.
    fn take(&mut self, index: usize) {
        let mut finals = 0;
        loop {
            self.turn(index);
            let now = self.now;
            let host = &mut self.hosts[index];
            let Some(event) = host.session.as_mut().and_then(Session::next_event) else { break };
            finals += usize::from(matches!(event, Event::Final(_)));
            host.done |= matches!(event, Event::End(_));
            host.trace.events.push((now, event));
        }
        let most = self.hosts[index].stream.options.finals_max as usize + AWAITED_MAX;
        assert!(finals <= most, "stream {index}: {finals} finals waited, at most {most} may");
        if self.hosts[index].done {
            // The host lets go of it.
            self.hosts[index].cancelled = true;
            self.withdraw(index);
            self.interrupt(index);
        }
    }

    /// `Recognizer::turn`.
    fn turn(&mut self, index: usize) {
        let host = &mut self.hosts[index];
        let Some(session) = &mut host.session else { return };
        if host.cancelled {
            session.end(End::Cancelled);
        }
        for (ticket, reply) in std::mem::take(&mut host.mailbox) {
            host.out.retain(|out| out.ticket != ticket);
            session.accept(reply);
        }
        let mut place = self.recut(index);
        while let Some(job) = self.hosts[index].session.as_mut().and_then(Session::next_job) {
            let place = if job.purpose == Purpose::Tentative { place.take() } else { None };
            self.submit(index, job, place);
        }
        self.run_ahead(index);
        let host = &self.hosts[index];
        if host.session.as_ref().is_some_and(|s| s.ended().is_some()) && !host.out.is_empty() {
            self.withdraw(index);
        }
        self.check_bounds(index);
    }

    fn run_ahead(&mut self, index: usize) {
        let Some(session) = &mut self.hosts[index].session else { return };
        let Some((frames, left)) = session.foreseen() else { return };
        if self.queue.idle() && self.queue.estimate(frames) >= left {
            let job = session.early();
            job.into_iter().for_each(|job| self.submit(index, job, None));
        }
    }

    fn recut(&mut self, index: usize) -> Option<(Ticket, Duration)> {
        let host = &mut self.hosts[index];
        let session = host.session.as_mut().filter(|s| s.outgrown())?;
        let at = host.out.iter().position(|out| out.purpose == Purpose::Tentative)?;
        let entry = self.queue.withdraw(host.out[at].ticket)?;
        let out = host.out.swap_remove(at);
        session.take_back(entry.job);
        Some((out.ticket, out.submitted))
    }

    fn submit(&mut self, index: usize, job: Job, place: Option<(Ticket, Duration)>) {
        let now = self.clock();
        let host = &mut self.hosts[index];
        let purpose = job.purpose;
        self.frames_max = self.frames_max.max(job.frames());
        let entry = Entry { stream: index, class: host.stream.options.class, job };
        let (ticket, submitted) = match place {
            Some(place) => {
                self.queue.replace(place.0, entry);
                place
            }
            None => (self.queue.submit(now, entry), self.now),
        };
        host.out.push(Out { purpose, ticket, submitted });
    }

    fn withdraw(&mut self, index: usize) {
        let queue = &mut self.queue;
        self.hosts[index].out.retain(|out| queue.withdraw(out.ticket).is_none());
    }

    fn check_bounds(&self, index: usize) {
        let host = &self.hosts[index];
        let Some(session) = &host.session else { return };
        let passes = host.out.iter().filter(|out| out.purpose == Purpose::Final).count();
        let early = host.out.iter().filter(|out| matches!(out.purpose, Purpose::Early(_))).count();
        let others = host.out.len() - passes - early;
        assert!(early <= 1, "stream {index}: {early} early second passes are out");
        assert!(others <= 1, "stream {index}: {others} windows are out that decide no final");
        assert!(passes <= self.script.workers, "stream {index}: {passes} second passes are out");
        let queued = self.queue.queued();
        let most = self.hosts.len() * (self.script.workers + 2);
        assert!(queued <= most, "{queued} windows are queued, at most {most} may be");
        let Bounds { awaited, bytes } = Bounds::of(host.stream);
        let waiting = session.awaited_frames();
        let (count, frames) = waiting.fold((0, 0), |(count, sum), frames| (count + 1, sum + frames));
        assert!(count <= AWAITED_MAX, "stream {index}: {count} finals are awaited");
        assert!(frames <= awaited, "stream {index}: {frames} mel frames await finals, at most {awaited} may");
        let held = session.bytes();
        assert!(held <= bytes, "stream {index}: {held} bytes are held, at most {bytes} may be");
    }

    /// Gives work to idle workers.
    fn serve(&mut self) {
        for worker in 0..self.workers.len() {
            while self.workers[worker].call.is_none() {
                let Some(batch) = self.next(worker) else { break };
                self.begin(worker, batch);
            }
        }
        let idle = self.workers.iter().any(|w| w.call.is_none());
        assert!(
            !idle || self.queue.queued() == 0,
            "a worker is idle and {} windows wait",
            self.queue.queued()
        );
    }

    fn next(&mut self, worker: usize) -> Option<Batch> {
        if let Some(one) = self.workers[worker].rest.pop_front() {
            return Some(vec![one]);
        }
        let hosts = &self.hosts;
        let batch = self.queue.next(self.now + self.skew, |stream| !hosts[*stream].cancelled);
        let (ticket, first) = batch.first()?;
        self.workers[worker].first = Some(*ticket);
        let left = batch.iter().find(|(_, e)| hosts[e.stream].cancelled);
        assert!(left.is_none(), "a window of a stream that was cancelled is run");
        let purpose = first.job.purpose;
        let shape =
            |job: &Job| (job.frames(), job.past.as_ref().map(|past| (past.before(), job.decode.len())));
        let alike = |e: &Entry<usize>| shape(&e.job) == shape(&first.job) && joins(&e.job);
        assert!(batch.len() == 1 || batch.iter().all(|(_, e)| alike(e)), "{purpose:?} windows share a call");
        assert!(batch.len() <= BATCH_MAX, "{} windows share a call", batch.len());
        for (ticket, entry) in &batch {
            self.check_wait(*ticket, entry);
        }
        Some(batch)
    }

    fn check_wait(&self, ticket: Ticket, entry: &Entry<usize>) {
        let host = &self.hosts[entry.stream];
        let Some(out) = host.out.iter().find(|out| out.ticket == ticket) else { return };
        let (waited, most) = (self.now - out.submitted, self.patience(entry.class));
        assert!(
            waited <= most,
            "stream {}: {:?} waited {waited:?}, at most {most:?}",
            entry.stream,
            out.purpose
        );
    }

    /// The longest that a window may take: until it is due others may be taken first; then all that
    /// are due before it, which are at most what all streams of its class may have out, on all workers,
    /// and what the other class is given between them.
    fn patience(&self, class: Class) -> Duration {
        let due = Duration::from_millis(if class == Class::Live { 300 } else { 4_000 });
        let windows = |class| {
            let streams = self.hosts.iter().filter(|host| host.stream.options.class == class).count();
            streams * (self.script.workers + 2)
        };
        let (live, bulk) = (windows(Class::Live), windows(Class::Bulk));
        let windows = match class {
            // At most one of a recording before each of them.
            Class::Live => (2 * live).min(live + bulk),
            // Speed is measured: what was expected to take so much may have taken twice that.
            Class::Bulk => live + bulk * (1 + 2 * LIVE_PARTS as usize),
        };
        // A call that fails is made again, window by window.
        let one = 2 * self.script.cost.of(1, self.frames_max);
        due + one * windows as u32 / self.script.workers as u32 + one * BATCH_MAX as u32
    }

    fn begin(&mut self, worker: usize, batch: Batch) {
        let (first, windows) = (&batch[0].1, batch.len());
        let frames = first.job.frames();
        let stopped = windows == 1 && self.hosts[first.stream].cancelled;
        let takes = if stopped { Duration::ZERO } else { self.script.cost.of(windows, frames) };
        for (_, entry) in &batch {
            let trace = &mut self.hosts[entry.stream].trace;
            match entry.job.purpose {
                Purpose::Final => trace.final_frames += frames as u64,
                Purpose::Early(_) => trace.early_frames += frames as u64,
                Purpose::Commit => trace.commits += 1,
                Purpose::Tentative => trace.tentative += 1,
            }
        }
        let to = &mut self.workers[worker];
        to.calls += 1;
        to.call = Some(batch);
        to.started = self.now;
        let call = to.calls;
        self.at(self.now + takes, Step::Return(worker, call));
    }

    /// `Worker::serve` and `serve_together`, at their end.
    fn ends(&mut self, worker: usize) {
        let Some(batch) = self.workers[worker].call.take() else { return };
        if batch.len() > 1 && batch.iter().any(|(_, e)| broken(&fake::hear(&e.job.mel.to_vec())).is_some()) {
            self.workers[worker].rest = batch.into();
            return;
        }
        if self.workers[worker].rest.is_empty()
            && let Some(first) = self.workers[worker].first.take()
        {
            self.queue.release(first);
        }
        let took = self.now - self.workers[worker].started;
        let (class, frames) = (batch[0].1.class, batch.iter().map(|(_, e)| e.job.frames()).sum());
        let mut worked = true;
        for (ticket, entry) in batch {
            let host = &mut self.hosts[entry.stream];
            let reply = serve(entry.job, host.cancelled);
            worked &= reply.result.is_ok();
            host.mailbox.push((ticket, reply));
            self.at(self.now, Step::Wake(entry.stream));
        }
        if worked {
            let spent = Spent { class, frames, encoder: took, decoder: Duration::ZERO };
            self.queue.spent(self.clock(), spent);
        }
    }
}

impl Host<'_> {
    /// Whether the host waits for replies.
    fn waits(&self) -> bool {
        !self.done && (self.blocked || self.over() || self.stream.reader == Reader::Eager)
    }

    /// Whether nothing is left to push.
    fn over(&self) -> bool {
        self.session.as_ref().is_some_and(Session::is_finishing)
    }
}

/// What a stream may hold.
struct Bounds {
    /// Mel frames that await finals.
    awaited: usize,
    bytes: usize,
}

impl Bounds {
    fn of(stream: &Stream) -> Self {
        let later = stream.actions.iter().filter_map(|(_, action)| match action {
            Action::Set(rule) => Some(rule),
            Action::Force => None,
        });
        let rules = || later.clone().chain([&stream.options.endpoint]);
        let most = |ms: fn(&crate::EndpointRule) -> u32| rules().map(ms).max().unwrap_or(0) as usize / 10;
        let utterance = most(|r| r.utterance_max_ms + r.tail_min_ms);
        let before = most(|r| r.speech_ms + r.pre_roll_ms);
        let backlog = stream.options.backlog_ms as usize / 10;
        let awaited = backlog + utterance + before + 100;
        // The running utterance, what waits for its final, three buffers to use again; a buffer's
        // memory is up to twice its content, and 64 frames are dropped at a time.
        let frames = 2 * (awaited + 4 * (utterance + before + 100) + 64);
        Self { awaited, bytes: frames * 64 * size_of::<f32>() }
    }
}

/// The result of a window, as a lane and a worker make it.
fn serve(mut job: Job, cancelled: bool) -> Reply {
    let heard = match &mut job.past {
        Some(past) => fake::hear_step(&job.mel.to_vec(), job.decode.len(), past),
        None => fake::hear(&job.mel.to_vec()),
    };
    if let Some(kind) = broken(&heard).or(cancelled.then_some(ErrorKind::Cancelled)) {
        return Reply { job, result: Err(Error::new(kind, "the script says so")), encoder: Duration::ZERO };
    }
    let mut decoded = Decoded::default();
    let mut state = (*job.state).clone();
    fake::decode(&heard, job.decode.clone(), &mut state, &mut decoded.tokens);
    fake::decode(&heard, job.peek.clone(), &mut state.clone(), &mut decoded.peeked);
    job.state = Arc::new(state);
    Reply { job, result: Ok(decoded), encoder: Duration::ZERO }
}

fn broken(heard: &[f32]) -> Option<ErrorKind> {
    let kind = |word: &f32| match *word as u32 {
        FAILS => Some(ErrorKind::Inference),
        PANICS => Some(ErrorKind::Internal),
        _ => None,
    };
    heard.iter().find_map(kind)
}
