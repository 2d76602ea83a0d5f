//! Speakers whose streams are fed in real time, as a host feeds them: one thread, woken by the clock for
//! each piece of audio and by each stream that has news.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::task::{Wake, Waker};
use std::time::{Duration, Instant};

use gigastt_core::audio::RATE;
use gigastt_core::{Engine, EngineStats, Options, Recognizer, Result};

use super::lateness::{Schedule, Seen, Witness};
use super::speech::{Said, Sentence, Talk};
use crate::interrupt::Interrupt;
use crate::system::{cpu_s, memory_mb};

/// Samples of a piece of audio, and the time between two of them.
const PIECE: usize = 320;
const PIECE_TIME: Duration = Duration::from_millis(20);
/// Not counted, until the engine has measured its speed and the speakers are out of step.
const WARM_UP: Duration = Duration::from_secs(5);
/// How long is waited for what is still to come at the end.
const GRACE: Duration = Duration::from_secs(10);
/// Tenths of a second of silence that an idle stream has heard, and for how long its processor time is
/// measured.
const SILENCE_TENTHS: usize = 30;
const IDLE_TIME: Duration = Duration::from_secs(2);

/// Who speaks, and for how long is measured.
pub(super) struct Crowd<'a> {
    pub sessions: usize,
    pub sentences: &'a [Sentence],
    pub share: f64,
    pub options: &'a Options,
    pub time: Duration,
}

/// What was measured.
pub(super) struct Measured {
    pub seen: Seen,
    /// Microseconds that `push_pcm` took, for each piece.
    pub pushes: Vec<f64>,
    /// Seconds of audio that were due, and of those whose finals came or that held no speech.
    pub due_s: f64,
    pub settled_s: f64,
    pub encoder_s: f64,
    pub decoder_s: f64,
    /// Processor time of everything, where the system tells.
    pub cpu_s: Option<f64>,
    /// Resident memory that the streams added, in MB.
    pub memory_mb: Option<f64>,
}

/// Says that a stream has news.
struct Bell {
    number: usize,
    rings: Sender<usize>,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        // Nobody listens any more once the crowd has gone.
        let _ = self.rings.send(self.number);
    }
}

struct Speaker<'a> {
    recognizer: Recognizer,
    talk: Talk<'a>,
    schedule: Schedule,
    witness: Witness,
    waker: Waker,
    /// Pieces that were due, and of their samples those that were not taken yet.
    pieces: u64,
    waiting: Vec<i16>,
    piece: Vec<i16>,
    said: Vec<Said>,
}

/// Lets the crowd speak. `None` when the user wants to end.
///
/// # Errors
/// `Busy` when the engine does not take so many streams, or what one of them fails with.
pub(super) fn listen(engine: &Engine, crowd: &Crowd<'_>, interrupt: &Interrupt) -> Result<Option<Measured>> {
    let memory_before = memory_mb();
    let counted = WARM_UP..WARM_UP + crowd.time;
    let mut room = Room::open(engine, crowd, &counted)?;
    let never = |_: &Room<'_>| false;
    if !room.until(counted.start, interrupt, never)? {
        return Ok(None);
    }
    let before = Snapshot::of(engine, &room)?;
    room.pushes.clear();
    if !room.until(counted.end, interrupt, never)? {
        return Ok(None);
    }
    let after = Snapshot::of(engine, &room)?;
    let memory_mb = memory_mb().zip(memory_before).map(|(after, before)| after - before);
    let pushes = std::mem::take(&mut room.pushes);
    let all_heard = |room: &Room<'_>| !room.speakers.iter().any(|speaker| speaker.witness.waits());
    if !room.until(counted.end + GRACE, interrupt, all_heard)? {
        return Ok(None);
    }
    let (now, mut seen) = (room.started.elapsed(), Seen::default());
    for speaker in room.speakers {
        seen.add(speaker.witness.seen(now));
    }
    Ok(Some(Measured {
        seen,
        pushes,
        due_s: crowd.time.as_secs_f64() * crowd.sessions as f64,
        settled_s: after.settled_s - before.settled_s,
        encoder_s: after.engine.encoder_s - before.engine.encoder_s,
        decoder_s: after.engine.decoder_s - before.engine.decoder_s,
        cpu_s: after.cpu_s.zip(before.cpu_s).map(|(after, before)| after - before),
        memory_mb,
    }))
}

/// Where everything stands at a moment.
struct Snapshot {
    engine: EngineStats,
    settled_s: f64,
    cpu_s: Option<f64>,
}

impl Snapshot {
    fn of(engine: &Engine, room: &Room<'_>) -> Result<Self> {
        let settled_s = room.speakers.iter().map(|speaker| speaker.recognizer.stats().settled_s).sum();
        Ok(Self { engine: engine.stats()?, settled_s, cpu_s: cpu_s() })
    }
}

/// The speakers, the clock, and what the streams ring.
struct Room<'a> {
    speakers: Vec<Speaker<'a>>,
    started: Instant,
    news: Receiver<usize>,
    /// Microseconds of each push.
    pushes: Vec<f64>,
}

impl<'a> Room<'a> {
    fn open(engine: &Engine, crowd: &Crowd<'a>, counted: &Range<Duration>) -> Result<Self> {
        let (rings, news) = channel();
        let speaker = |number: usize| {
            // One after the other, as they come on a network.
            let first = PIECE_TIME.mul_f64(number as f64 / crowd.sessions as f64);
            let schedule = Schedule { first, piece: PIECE as u64 };
            Ok(Speaker {
                recognizer: engine.recognizer(crowd.options.clone())?,
                talk: Talk::new(crowd.sentences, crowd.share, number as u64 + 1),
                schedule,
                witness: Witness::new(schedule, counted.clone(), &crowd.options.endpoint),
                waker: Waker::from(Arc::new(Bell { number, rings: rings.clone() })),
                pieces: 0,
                waiting: Vec::new(),
                piece: Vec::new(),
                said: Vec::new(),
            })
        };
        let speakers = (0..crowd.sessions).map(speaker).collect::<Result<Vec<_>>>()?;
        Ok(Self { speakers, started: Instant::now(), news, pushes: Vec::new() })
    }

    /// Feeds and listens until `end`, or until `done` after a piece of each. False when interrupted.
    fn until(&mut self, end: Duration, interrupt: &Interrupt, done: impl Fn(&Self) -> bool) -> Result<bool> {
        loop {
            for number in 0..self.speakers.len() {
                self.hear(self.speakers[number].due());
                let speaker = &mut self.speakers[number];
                let took = speaker.speak()?;
                self.pushes.push(took.as_secs_f64() * 1e6);
                speaker.watch(self.started);
            }
            if interrupt.fired() {
                return Ok(false);
            }
            if self.started.elapsed() >= end || done(self) {
                return Ok(true);
            }
        }
    }

    /// Looks at the streams that ring, until the clock says `due`.
    fn hear(&mut self, due: Duration) {
        loop {
            let left = due.saturating_sub(self.started.elapsed());
            if left.is_zero() {
                return;
            }
            if let Ok(number) = self.news.recv_timeout(left) {
                self.speakers[number].watch(self.started);
            }
        }
    }
}

impl Speaker<'_> {
    fn due(&self) -> Duration {
        self.schedule.due(self.pieces * PIECE as u64)
    }

    /// Pushes the next piece, and what was not taken of those before. Returns how long the push took.
    fn speak(&mut self) -> Result<Duration> {
        self.talk.fill(PIECE, &mut self.piece, &mut self.said);
        self.said.drain(..).for_each(|said| self.witness.said(&said));
        self.waiting.extend_from_slice(&self.piece);
        self.pieces += 1;
        let started = Instant::now();
        let taken = self.recognizer.push_pcm(&self.waiting)?;
        let took = started.elapsed();
        self.waiting.drain(..taken);
        Ok(took)
    }

    /// Takes the events that are there, and has itself told of the next ones.
    fn watch(&mut self, started: Instant) {
        loop {
            while let Some(event) = self.recognizer.poll_event() {
                self.witness.saw(started.elapsed(), &event);
            }
            if !self.recognizer.wake_by(&self.waker) {
                return;
            }
        }
    }
}

/// Streams that are open and hear silence, and what they take.
pub(super) struct Idle {
    /// They stay open.
    pub streams: Vec<Recognizer>,
    /// Resident kilobytes of each, where the system tells.
    pub kb: Option<f64>,
    /// Share of one core that all of them take while nothing is pushed.
    pub cpu: Option<f64>,
}

/// Opens streams that hear a little silence and wait.
///
/// # Errors
/// `Busy` when the engine does not take so many streams.
pub(super) fn idle(engine: &Engine, sessions: usize, options: &Options) -> Result<Idle> {
    let memory_before = memory_mb();
    let silence = vec![0_i16; RATE as usize / 10];
    let mut streams =
        (0..sessions).map(|_| engine.recognizer(options.clone())).collect::<Result<Vec<_>>>()?;
    for stream in &mut streams {
        for _ in 0..SILENCE_TENTHS {
            stream.push_pcm(&silence)?;
        }
    }
    let each = |(after, before): (f64, f64)| (after - before) * 1_000.0 / sessions.max(1) as f64;
    let kb = memory_mb().zip(memory_before).map(each);
    let cpu_before = cpu_s();
    std::thread::sleep(IDLE_TIME);
    let cpu = cpu_s().zip(cpu_before).map(|(after, before)| (after - before) / IDLE_TIME.as_secs_f64());
    Ok(Idle { streams, kb, cpu })
}
