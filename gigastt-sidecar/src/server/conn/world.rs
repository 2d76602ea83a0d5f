//! A conversation in virtual time: a scripted client, a scripted recognizer, a scripted network.

use std::time::Duration;

use bytes::Bytes;
use gigastt_core::{End, EndpointReason, Error, ErrorKind, Event, Final, Options, Partial, Span};

use super::{Action, Conn, FRAMES_MAX, Frame, Heard, Instant, Limits, Outcome};
use crate::messages::{Message, Trouble};
use crate::server::wire::{PROTOCOL, RATE_DEFAULT, RATES, Ready};

/// A number from a seed, and another one each time.
pub(super) struct Dice(pub u64);

impl Dice {
    pub(super) fn roll(&mut self, below: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % below
    }

    fn chance(&mut self, percent: u64) -> bool {
        self.roll(100) < percent
    }

    fn ms(&mut self, most: u64) -> Duration {
        Duration::from_millis(self.roll(most + 1))
    }
}

/// A conversation that has not begun.
pub(super) fn conn(idle_s: u64, session_s: Option<u64>) -> Conn {
    let limits = Limits {
        idle: Duration::from_secs(idle_s),
        session: session_s.map(Duration::from_secs),
        finish: Duration::from_secs(60),
    };
    let ready = Ready {
        model: String::new(),
        sample_rate: RATE_DEFAULT,
        version: PROTOCOL,
        supported_rates: RATES,
        diarization: false,
        min_protocol_version: PROTOCOL,
        max_session_secs: session_s.unwrap_or(0),
        idle_timeout_secs: idle_s,
    };
    Conn::new(limits, ready, Options::new(RATE_DEFAULT))
}

/// A final of the recognizer.
pub(super) fn utterance(text: &str, reason: EndpointReason) -> Final {
    Final {
        text: text.into(),
        words: Vec::new(),
        tokens: Vec::new(),
        span: Span::default(),
        endpoint_reason: reason,
        second_pass: true,
    }
}

/// The scripted recognizer: how long it takes, and what it says.
#[derive(Default)]
struct Ear {
    open: bool,
    /// Ready to take audio again at this time.
    free_at: Instant,
    finishes_at: Option<(Instant, EndpointReason)>,
    events: Vec<(Instant, Event)>,
    said: u64,
    revision: u64,
}

/// Everything around the conversation, and what was seen of it.
pub(super) struct World {
    dice: Dice,
    pub now: Instant,
    conn: Conn,
    ear: Ear,
    opening: Option<Instant>,
    script: Vec<(Duration, Heard)>,
    next_at: Instant,
    sink_at: Option<Instant>,
    reads: bool,
    slow_ms: u64,
    ear_ms: u64,
    shutdown_at: Option<(Instant, Instant)>,
    fails: bool,
    /// Bytes of audio that were heard before the end began, and samples that were pushed.
    heard: Vec<u8>,
    pushed: Vec<i16>,
    pub sent: Vec<Frame>,
    /// Frames that were sent or waited when the end began.
    sent_before_end: Option<usize>,
    /// Texts of the recognizer that the conversation was given.
    told: Vec<String>,
    failed: bool,
}

impl World {
    pub(super) fn new(seed: u64) -> Self {
        let mut dice = Dice(seed);
        let idle_s = 1 + dice.roll(40);
        let session_s = dice.chance(50).then(|| 1 + dice.roll(60));
        let shutdown_at = dice.chance(30).then(|| {
            let at = dice.ms(20_000);
            (at, at + Duration::from_millis(500) + dice.ms(8_000))
        });
        let script = script(&mut dice);
        let next_at = script.first().map_or(Duration::MAX, |(wait, _)| *wait);
        let reads = dice.chance(95);
        let (slow_ms, ear_ms) =
            ([0, 0, 5, 400][dice.roll(4) as usize], [0, 5, 100, 3_000][dice.roll(4) as usize]);
        let fails = dice.chance(5);
        Self {
            conn: conn(idle_s, session_s),
            now: Duration::ZERO,
            ear: Ear::default(),
            opening: None,
            script,
            next_at,
            sink_at: None,
            reads,
            slow_ms,
            ear_ms,
            shutdown_at,
            fails,
            heard: Vec::new(),
            pushed: Vec::new(),
            sent: Vec::new(),
            sent_before_end: None,
            told: Vec::new(),
            failed: false,
            dice,
        }
    }

    /// Leads the conversation to its end and checks what it promises.
    pub(super) fn run(mut self) -> Outcome {
        let mut steps = 0;
        loop {
            self.act();
            self.check_bounds();
            if self.conn.is_gone() {
                break;
            }
            let (open, frames) = (self.conn.state() != "ending", self.sent.len() + self.conn.frames.len());
            self.step();
            if open && self.conn.state() == "ending" {
                self.sent_before_end = Some(frames);
            }
            steps += 1;
            assert!(steps < 100_000, "it does not end");
        }
        self.check_end()
    }

    fn act(&mut self) {
        while let Some(action) = self.conn.next_action() {
            match action {
                Action::Open(_) => {
                    self.ear.open = false;
                    self.opening = Some(self.now + self.dice.ms(self.ear_ms));
                }
                Action::ForceEndpoint => {
                    let at = self.now + self.dice.ms(self.ear_ms);
                    self.speak(at, EndpointReason::Forced);
                }
                Action::Finish(reason) => {
                    assert!(self.ear.open && self.ear.finishes_at.is_none(), "once");
                    self.ear.finishes_at = Some((self.now + self.dice.ms(4 * self.ear_ms), reason));
                }
                Action::Hurry(left) => {
                    if let Some((at, _)) = &mut self.ear.finishes_at
                        && *at > self.now + left
                    {
                        *at = self.now;
                        for (at, _) in &mut self.ear.events {
                            *at = self.now;
                        }
                    }
                }
                Action::Cancel => (self.ear, self.opening) = (Ear::default(), None),
            }
        }
    }

    /// Lets the earliest thing happen.
    fn step(&mut self) {
        if self.sink_at.is_none() && self.conn.has_frame() && self.reads {
            self.sink_at = Some(self.now + self.dice.ms(self.slow_ms));
        }
        let never = Duration::MAX;
        let times = [
            self.shutdown_at.map_or(never, |(at, _)| at),
            self.conn.timeout().unwrap_or(never),
            self.sink_at.filter(|_| self.conn.has_frame()).unwrap_or(never),
            self.opening.unwrap_or(never),
            if self.ear.open { self.ear_at() } else { never },
            if self.conn.wants_read() { self.next_at } else { never },
        ];
        let (which, at) = times.into_iter().enumerate().min_by_key(|(_, at)| *at).expect("six");
        assert_ne!(at, never, "nothing will ever happen again in {:?}", self.conn.phase);
        self.now = self.now.max(at);
        match which {
            0 => {
                let (_, by) = self.shutdown_at.take().expect("a shutdown");
                self.conn.shutdown(self.now, by.max(self.now));
            }
            1 => self.conn.tick(self.now),
            2 => {
                self.sink_at = None;
                self.sent.extend(self.conn.next_frame());
            }
            3 => self.open(),
            4 => self.hear(),
            _ => self.client(),
        }
    }

    fn open(&mut self) {
        self.opening = None;
        if self.dice.chance(3) {
            self.conn.refused(self.now, Trouble::new("timeout", "busy"));
        } else {
            self.ear = Ear { open: true, free_at: self.now, ..Ear::default() };
            self.conn.opened(self.now, "model");
        }
    }

    /// When the recognizer does something next.
    fn ear_at(&self) -> Instant {
        let push = if self.conn.audio().is_empty() { Duration::MAX } else { self.ear.free_at };
        let event = self.ear.events.iter().map(|(at, _)| *at).min().unwrap_or(Duration::MAX);
        let finish = self.ear.finishes_at.map_or(Duration::MAX, |(at, _)| at);
        let said = if self.conn.wants_events() { event.min(finish) } else { Duration::MAX };
        push.min(said)
    }

    fn hear(&mut self) {
        let due = self.ear.events.iter().position(|(at, _)| *at <= self.now);
        if self.conn.wants_events()
            && let Some(at) = due
        {
            let (_, event) = self.ear.events.remove(at);
            return self.tell(event);
        }
        if self.conn.wants_events()
            && let Some((at, reason)) = self.ear.finishes_at
            && at <= self.now
        {
            if let Some((_, event)) = (!self.ear.events.is_empty()).then(|| self.ear.events.remove(0)) {
                return self.tell(event);
            }
            if self.ear.said < 1_000 {
                self.ear.said += 1_000;
                if self.dice.chance(70) {
                    return self.tell(Event::Final(utterance(&format!("end{}", self.ear.said), reason)));
                }
            }
            return self.tell(Event::End(End::Finished));
        }
        let audio = self.conn.audio();
        if audio.is_empty() {
            return;
        }
        let taken = 1 + self.dice.roll(audio.len() as u64) as usize;
        self.pushed.extend_from_slice(&audio[..taken]);
        self.ear.free_at = self.now + self.dice.ms(self.ear_ms);
        self.conn.took(self.now, taken);
        if self.fails && self.dice.chance(20) {
            let kind = [ErrorKind::Inference, ErrorKind::Internal][self.dice.roll(2) as usize];
            self.failed = true;
            self.conn.failed(self.now, &Error::new(kind, "the call panicked"));
        } else if self.dice.chance(30) && self.ear.finishes_at.is_none() {
            let at = self.now + self.dice.ms(self.ear_ms);
            self.speak(at, EndpointReason::Silence);
        }
    }

    /// The recognizer will say something: a partial, and perhaps a final.
    fn speak(&mut self, at: Instant, reason: EndpointReason) {
        self.ear.revision += 1;
        let revision = self.ear.revision;
        self.ear.events.push((at, Event::Partial(Partial { revision, ..Partial::default() })));
        if self.dice.chance(50) {
            self.ear.said += 1;
            let text = format!("w{}", self.ear.said);
            self.ear.events.push((at, Event::Final(utterance(&text, reason))));
        }
        // In order, as the library tells them.
        let last = self.ear.events.iter().map(|(at, _)| *at).max().unwrap_or(at);
        if let Some((at, _)) = self.ear.events.last_mut() {
            *at = last;
        }
        self.ear.events.sort_by_key(|(at, _)| *at);
    }

    fn tell(&mut self, event: Event) {
        if let Event::Final(utterance) = &event {
            self.told.push(utterance.text.clone());
        }
        self.conn.event(self.now, event);
    }

    fn client(&mut self) {
        let (_, heard) = self.script.remove(0);
        self.next_at = self.script.first().map_or(Duration::MAX, |(wait, _)| self.now + *wait);
        let open = self.conn.state() == "open";
        if let (Heard::Binary(bytes), true) = (&heard, open) {
            self.heard.extend_from_slice(bytes);
        }
        self.conn.heard(self.now, heard);
    }

    fn check_bounds(&self) {
        // What one call may add to a full queue: an error, a final and Close.
        assert!(self.conn.frames.len() <= FRAMES_MAX + 3, "{} frames wait", self.conn.frames.len());
        assert!(self.conn.audio.len() <= FRAME_BYTES_MAX / 2 + 1);
    }

    fn check_end(self) -> Outcome {
        let outcome = self.conn.outcome().expect("an outcome");
        let closes = self.sent.iter().filter(|frame| matches!(frame, Frame::Close(..))).count();
        let complete = closes == 1;
        assert!(
            closes <= 1 && (closes == 0 || matches!(self.sent.last(), Some(Frame::Close(..)))),
            "{:?}",
            self.sent
        );
        self.check_audio(outcome);
        if !complete {
            // Nobody read it: the client left, or does not read.
            return outcome;
        }
        let expected = match outcome {
            Outcome::Stopped | Outcome::Idle => &[1000][..],
            Outcome::Shutdown => &[1001],
            Outcome::SessionCap => &[1008],
            Outcome::Refused => &[1013],
            Outcome::Error => &[1008, 1009, 1011],
            Outcome::Client => &[],
        };
        let Some(Frame::Close(code, _)) = self.sent.last() else { panic!("no Close") };
        assert!(expected.contains(code), "{outcome:?} {code}");
        let messages: Vec<_> = self.sent.iter().filter(|frame| matches!(frame, Frame::Message(_))).collect();
        if matches!(outcome, Outcome::Stopped | Outcome::Shutdown | Outcome::SessionCap | Outcome::Idle) {
            assert!(matches!(messages.last(), Some(Frame::Message(Message::Final(_)))), "{:?}", self.sent);
            let from = self.sent_before_end.expect("it ended");
            let finals = |frame: &&Frame| matches!(frame, Frame::Message(Message::Final(_)));
            assert_eq!(self.sent[from..].iter().filter(finals).count(), 1, "{:?}", &self.sent[from..]);
            let texts: Vec<_> =
                self.sent.iter().filter_map(final_text).filter(|text| !text.is_empty()).collect();
            assert_eq!(texts.join(" "), self.told.join(" "), "no final is lost, none is told twice");
        }
        if let Some(first) = self.sent.first()
            && outcome != Outcome::Refused
            && code != &1001
            && code != &1008
        {
            assert!(matches!(first, Frame::Ready(_)), "{first:?}");
        }
        outcome
    }

    /// An oracle of its own: all bytes in a row, two by two.
    fn check_audio(&self, outcome: Outcome) {
        let samples: Vec<_> =
            self.heard.as_chunks::<2>().0.iter().map(|two| i16::from_le_bytes(*two)).collect();
        assert!(samples.starts_with(&self.pushed), "pushed is what was heard, from its beginning");
        if outcome == Outcome::Stopped && !self.failed && self.ear_ms < 3_000 {
            assert_eq!(samples.len(), self.pushed.len(), "what was heard before stop is recognised");
        }
    }
}

fn final_text(frame: &Frame) -> Option<&str> {
    match frame {
        Frame::Message(Message::Final(said)) => Some(&said.text),
        _ => None,
    }
}

/// The largest frame of the scripts.
const FRAME_BYTES_MAX: usize = 2_000;

/// What the client sends, and how long it waits before each.
fn script(dice: &mut Dice) -> Vec<(Duration, Heard)> {
    let mut script = Vec::new();
    let pace = [1, 20, 500, 20_000][dice.roll(4) as usize];
    for _ in 0..dice.roll(40) {
        let heard = match dice.roll(20) {
            0 => text(r#"{"type":"configure","sample_rate":16000}"#),
            1 => text(r#"{"type":"configure","sample_rate":1}"#),
            2 => text(r#"{"type":"configure","endpoint":"manual","mode":"incremental"}"#),
            3 => text("nonsense"),
            4 => text(r#"{"type":"Finalize"}"#),
            5 => Heard::Ping,
            6 => Heard::Pong { ours: dice.chance(50) },
            7 => Heard::Binary(Bytes::new()),
            _ => {
                let length = 1 + dice.roll(FRAME_BYTES_MAX as u64) as usize;
                Heard::Binary((0..length).map(|_| dice.roll(256) as u8).collect())
            }
        };
        script.push((dice.ms(pace), heard));
    }
    let last = match dice.roll(10) {
        0 => Some(Heard::TooLarge),
        1 => Some(Heard::Malformed),
        2 => Some(text(r#"{"type":"configure","protocol_version":"9"}"#)),
        3 | 4 => Some(Heard::Left),
        5 => None,
        _ => Some(text(r#"{"type":"stop"}"#)),
    };
    script.extend(last.map(|heard| (dice.ms(pace), heard)));
    for _ in 0..dice.roll(5) {
        script.push((dice.ms(pace), Heard::Binary(Bytes::from_static(b"after"))));
    }
    // Whoever was closed closes as well, or is gone some time later.
    script.push((dice.ms(60_000), Heard::Left));
    if script.len() > 1 && dice.chance(10) {
        script.pop();
    }
    script
}

pub(super) fn text(text: &str) -> Heard {
    Heard::Text(text.into())
}
