//! One WebSocket conversation as a machine: no socket, no recognizer, no clock.
//!
//! ```text
//!   frames of the client ──► heard(..) ─┐                  ┌─► next_frame()   what to send
//!   the recognizer's events ─► event(..)├──► Conn ─────────┼─► next_action()  what to do with the recognizer
//!   the time ──► tick(..)  shutdown(..)─┘                  └─► audio()        what to push into it
//! ```
//!
//! The driver in [`super::ws`] tells it what happens and does what it says. `now` is the time since the
//! connection was made, never less than before. Everything that waits is bounded: reading stops while audio
//! of the last frame waits or [`FRAMES_MAX`] frames are unsent, and every phase but an open microphone has
//! a time at which it ends. See [`Phase`].

mod endings;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;
use gigastt_core::{EndpointReason, EndpointRule, Error, ErrorKind, Event, Mode, Options};

use self::endings::Ending;
use super::wire::{Configure, PROTOCOL, RATES, Ready, Request};
use crate::messages::{Message, Messages, Trouble};

/// The most frames that wait to be sent; beyond it nothing is read and no event is taken.
pub(crate) const FRAMES_MAX: usize = 16;

/// How often the client is pinged.
pub(crate) const PING_EVERY: Duration = Duration::from_secs(20);

/// What our pings carry, so that their answers are told from frames that the client sends by itself.
pub(crate) const PING: &[u8] = b"gigastt";

/// How long the client's Close is awaited after ours.
pub(crate) const CLOSE_WAIT: Duration = Duration::from_secs(2);

/// The time for finals at the session cap; with the rest of the way it stays under 500 ms.
pub(crate) const CAP_FINALS: Duration = Duration::from_millis(250);

/// The time for finals of an idle client.
pub(crate) const IDLE_FINALS: Duration = Duration::from_secs(2);

/// How often a deadline for finals is compared with the work that is left.
const HURRY_EVERY: Duration = Duration::from_millis(50);

/// Time since the connection was made.
pub(crate) type Instant = Duration;

/// What a conversation is bound to.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Without a frame of the client it ends after this.
    pub idle: Duration,
    /// It ends after this in any case; `None`: never.
    pub session: Option<Duration>,
    /// After `stop`, finals take at most this.
    pub finish: Duration,
}

/// Why it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// By `stop`.
    Stopped,
    /// The service goes away.
    Shutdown,
    /// It reached the session cap.
    SessionCap,
    /// The client sent nothing for too long.
    Idle,
    /// The client left without `stop`.
    Client,
    /// Something failed, or the client broke a rule.
    Error,
    /// It was not admitted.
    Refused,
}

/// A frame for the client.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Frame {
    Ready(Ready),
    /// To be sent with the time of sending.
    Message(Message),
    Ping,
    Close(u16, &'static str),
}

/// What the driver is to do with the recognizer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Action {
    /// Open one with these options, in place of the one that is there; tell by `opened` or `refused`.
    Open(Box<Options>),
    /// End the running utterance.
    ForceEndpoint,
    /// Say that no more audio comes.
    Finish(EndpointReason),
    /// Finals have to be there within this.
    Hurry(Duration),
    /// Drop it: nobody waits for it any more.
    Cancel,
}

/// A frame of the client, or the end of them.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Heard {
    Text(String),
    Binary(Bytes),
    Ping,
    /// Whether it answers a ping of ours.
    Pong {
        ours: bool,
    },
    /// A frame beyond the limit; nothing can be read after it.
    TooLarge,
    /// Something that is not the protocol; nothing can be read after it.
    Malformed,
    /// The client closed, or is gone; nothing can be read after it.
    Left,
}

/// Where a conversation is. Each phase but `Open` ends by itself.
#[derive(Debug, Clone, PartialEq)]
enum Phase {
    /// A recognizer was asked for; the admission has a time limit of its own.
    Opening,
    /// The client speaks or may speak; ends by the client, idle, cap or shutdown.
    Open,
    /// The last finals are awaited; ends at `Ending::by`.
    Ending(Ending),
    /// Close was sent; ends at this time.
    Closing(Instant),
    Gone,
}

/// See the module.
pub(crate) struct Conn {
    limits: Limits,
    ready: Option<Ready>,
    phase: Phase,
    options: Options,
    /// Whether there is a recognizer.
    opened: bool,
    /// Whether audio was sent, after which nothing can be configured.
    began: bool,
    /// The first half of a sample whose second half is to come.
    odd: Option<u8>,
    /// Samples of the last frame, and how many of them were pushed.
    audio: Vec<i16>,
    pushed: usize,
    frames: VecDeque<Frame>,
    actions: VecDeque<Action>,
    /// Whether frames can still be read.
    readable: bool,
    heard_at: Instant,
    ping_at: Instant,
    messages: Messages,
    outcome: Option<Outcome>,
}

impl Conn {
    /// A conversation that begins: asks for a recognizer with `options`, and greets with `ready`.
    pub(crate) fn new(limits: Limits, ready: Ready, options: Options) -> Self {
        Self {
            limits,
            ready: Some(ready),
            phase: Phase::Opening,
            actions: VecDeque::from([Action::Open(Box::new(options.clone()))]),
            options,
            opened: false,
            began: false,
            odd: None,
            audio: Vec::new(),
            pushed: 0,
            frames: VecDeque::new(),
            readable: true,
            heard_at: Duration::ZERO,
            ping_at: PING_EVERY,
            messages: Messages::default(),
            outcome: None,
        }
    }

    /// The recognizer that was asked for is there; it recognises with `model`.
    pub(crate) fn opened(&mut self, now: Instant, model: &str) {
        self.opened = true;
        if self.phase == Phase::Opening {
            self.phase = Phase::Open;
            self.heard_at = now;
            if let Some(mut ready) = self.ready.take() {
                ready.model = model.to_owned();
                self.frames.push_back(Frame::Ready(ready));
            }
        }
    }

    /// There is none.
    pub(crate) fn refused(&mut self, now: Instant, why: Trouble) {
        if self.phase == Phase::Opening {
            let (code, text, outcome) = match why.code {
                "internal" => (1011, "Internal error", Outcome::Error),
                _ => (1013, "Try again later", Outcome::Refused),
            };
            self.say(Message::Error(why));
            self.close(now, code, text, outcome);
        }
    }

    /// The client sent something, or will not any more.
    pub(crate) fn heard(&mut self, now: Instant, heard: Heard) {
        if matches!(heard, Heard::TooLarge | Heard::Malformed | Heard::Left) {
            self.readable = false;
        }
        if heard != (Heard::Pong { ours: true }) {
            self.heard_at = now;
        }
        match (&self.phase, heard) {
            (Phase::Gone, _) => {}
            (_, Heard::Left) => self.left(),
            (Phase::Opening | Phase::Open, heard) => self.hear(now, heard),
            (Phase::Ending(_) | Phase::Closing(_), Heard::TooLarge | Heard::Malformed) => {
                self.close(now, 1008, "Policy violation", Outcome::Error);
            }
            // What is said after the end is not listened to.
            (Phase::Ending(_) | Phase::Closing(_), _) => {}
        }
    }

    /// An event of the recognizer.
    pub(crate) fn event(&mut self, now: Instant, event: Event) {
        match (event, &mut self.phase) {
            (Event::Partial(partial), Phase::Open) => {
                let message = self.messages.partial(&partial, 0.0);
                self.say(message);
            }
            (Event::Final(utterance), Phase::Open) => {
                let message = self.messages.last(&utterance, 0.0);
                self.say(message);
            }
            (Event::Final(utterance), Phase::Ending(ending)) => ending.add(utterance),
            (Event::End(gigastt_core::End::Failed(error)), _) => self.failed(now, &error),
            (Event::End(_), Phase::Ending(_)) => self.farewell(now),
            (Event::End(_), Phase::Open) => {
                self.failed(now, &Error::new(ErrorKind::Internal, "it ended by itself"))
            }
            _ => {}
        }
    }

    /// The recognizer failed.
    pub(crate) fn failed(&mut self, now: Instant, error: &Error) {
        if matches!(self.phase, Phase::Closing(_) | Phase::Gone) {
            return;
        }
        let (code, message) = match error.kind() {
            ErrorKind::Inference => ("inference_error", "The model failed"),
            // Core says so of a call that panicked.
            ErrorKind::Internal if error.message().contains("panicked") => {
                ("inference_panic", "The model failed")
            }
            ErrorKind::InvalidArgument
            | ErrorKind::InvalidAudio
            | ErrorKind::Io
            | ErrorKind::ModelNotFound
            | ErrorKind::InvalidModel
            | ErrorKind::Runtime
            | ErrorKind::Provider
            | ErrorKind::Busy
            | ErrorKind::Cancelled
            | ErrorKind::Closed
            | ErrorKind::Timeout
            | ErrorKind::Forked
            | ErrorKind::Network
            | ErrorKind::Internal => ("internal", "Internal error"),
        };
        self.say(Message::Error(Trouble::new(code, message)));
        self.close(now, 1011, "Internal error", Outcome::Error);
    }

    /// The service goes away: finals by `finals_by`.
    pub(crate) fn shutdown(&mut self, now: Instant, finals_by: Instant) {
        match &mut self.phase {
            Phase::Opening | Phase::Open => self.end(now, EndpointReason::Shutdown, finals_by),
            Phase::Ending(ending) => ending.by = ending.by.min(finals_by),
            Phase::Closing(_) | Phase::Gone => {}
        }
    }

    /// Time has passed. To be called at [`timeout`](Self::timeout).
    pub(crate) fn tick(&mut self, now: Instant) {
        if self.cap_due().is_some_and(|due| now >= due) {
            self.cap(now);
        }
        let unheard = self.waits_for_room();
        match &mut self.phase {
            Phase::Open if now >= self.heard_at + self.limits.idle && !unheard => {
                self.say(Message::Error(Trouble::new("idle_timeout", "No frame for too long")));
                self.end(now, EndpointReason::Idle, now + IDLE_FINALS);
            }
            Phase::Open if now >= self.ping_at => {
                self.ping_at = now + PING_EVERY;
                if self.frames.len() < FRAMES_MAX {
                    self.frames.push_back(Frame::Ping);
                }
            }
            Phase::Ending(ending) if now >= ending.by + HURRY_EVERY => self.farewell(now),
            Phase::Ending(_) => self.press(now),
            Phase::Closing(until) if now >= *until => self.gone(),
            _ => {}
        }
    }

    /// When `tick` is to be called; changes with every other call. `None`: not by itself.
    pub(crate) fn timeout(&self) -> Option<Instant> {
        let due = match &self.phase {
            Phase::Opening | Phase::Gone => None,
            Phase::Open if self.waits_for_room() => Some(self.ping_at),
            Phase::Open => Some(self.ping_at.min(self.heard_at + self.limits.idle)),
            Phase::Ending(ending) => Some(ending.press_at.min(ending.by + HURRY_EVERY)),
            Phase::Closing(until) => Some(*until),
        };
        [due, self.cap_due()].into_iter().flatten().min()
    }

    /// The next thing to do with the recognizer.
    pub(crate) fn next_action(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Whether there is a frame to send.
    pub(crate) fn has_frame(&self) -> bool {
        !self.frames.is_empty()
    }

    /// The next frame to send.
    pub(crate) fn next_frame(&mut self) -> Option<Frame> {
        self.frames.pop_front()
    }

    /// Samples to push into the recognizer; what was taken is told by `took`.
    pub(crate) fn audio(&self) -> &[i16] {
        match &self.phase {
            Phase::Open => &self.audio[self.pushed..],
            Phase::Ending(ending) if !ending.finished => &self.audio[self.pushed..],
            _ => &[],
        }
    }

    /// The recognizer took samples.
    pub(crate) fn took(&mut self, now: Instant, samples: usize) {
        self.pushed += samples;
        if self.pushed == self.audio.len() {
            self.audio.clear();
            self.pushed = 0;
            self.heard_at = now;
            self.press(now);
        }
    }

    /// Whether the client's frames are to be read.
    pub(crate) fn wants_read(&self) -> bool {
        let room = self.audio.is_empty() && self.frames.len() < FRAMES_MAX;
        self.readable
            && match self.phase {
                Phase::Open => room,
                Phase::Ending(_) | Phase::Closing(_) => true,
                Phase::Opening | Phase::Gone => false,
            }
    }

    /// Whether events of the recognizer are to be taken.
    pub(crate) fn wants_events(&self) -> bool {
        match self.phase {
            Phase::Open => self.frames.len() < FRAMES_MAX,
            Phase::Ending(_) => true,
            _ => false,
        }
    }

    /// Whether nothing is left to do.
    pub(crate) fn is_gone(&self) -> bool {
        // After a frame that cannot be read the client's Close cannot be awaited.
        self.phase == Phase::Gone
            || (matches!(self.phase, Phase::Closing(_)) && !self.readable && self.frames.is_empty())
    }

    /// Why it ended, once it does.
    pub(crate) fn outcome(&self) -> Option<Outcome> {
        self.outcome
    }

    /// What it is doing, for metrics.
    pub(crate) fn state(&self) -> &'static str {
        match self.phase {
            Phase::Opening => "opening",
            Phase::Open => "open",
            Phase::Ending(_) | Phase::Closing(_) | Phase::Gone => "ending",
        }
    }

    fn hear(&mut self, now: Instant, heard: Heard) {
        match heard {
            Heard::Text(text) => self.request(now, &text),
            Heard::Binary(bytes) => self.take_audio(&bytes),
            Heard::Ping | Heard::Pong { .. } | Heard::Left => {}
            Heard::TooLarge => {
                self.say(Message::Error(Trouble::new("payload_too_large", "The frame is too large")));
                self.close(now, 1009, "Message too big", Outcome::Error);
            }
            Heard::Malformed => self.violation(now, "policy_violation", "The frame is not valid"),
        }
    }

    fn request(&mut self, now: Instant, text: &str) {
        match Request::parse(text) {
            Request::Stop => self.end(now, EndpointReason::Finish, now.saturating_add(self.limits.finish)),
            Request::ForceEndpoint if self.opened => self.actions.push_back(Action::ForceEndpoint),
            Request::Configure(_) if self.began => {
                self.complain("configure_too_late", "configure has to come before the first audio");
            }
            Request::Configure(wishes) => self.configure(now, &wishes),
            Request::ForceEndpoint | Request::Nothing => {}
        }
    }

    /// Takes wishes over: all, or with a wrong one none.
    fn configure(&mut self, now: Instant, wishes: &Configure) {
        if wishes.protocol_version.as_ref().is_some_and(|version| version != PROTOCOL) {
            self.violation(now, "unsupported_protocol_version", "This service speaks protocol 1.0");
            return;
        }
        match options(&self.options, wishes) {
            Ok(options) if options == self.options => {}
            Ok(options) => {
                self.options = options.clone();
                self.phase = Phase::Opening;
                self.opened = false;
                self.actions.push_back(Action::Open(Box::new(options)));
            }
            Err(trouble) => self.say(Message::Error(trouble)),
        }
    }

    fn take_audio(&mut self, bytes: &[u8]) {
        let mut bytes = bytes.iter().copied();
        let Some(first) = bytes.next() else { return };
        self.began = true;
        let mut low = match self.odd.take() {
            Some(low) => {
                self.audio.push(i16::from_le_bytes([low, first]));
                bytes.next()
            }
            None => Some(first),
        };
        while let Some(byte) = low {
            let Some(high) = bytes.next() else {
                self.odd = Some(byte);
                return;
            };
            self.audio.push(i16::from_le_bytes([byte, high]));
            low = bytes.next();
        }
    }

    fn complain(&mut self, code: &'static str, message: &str) {
        self.say(Message::Error(Trouble::new(code, message)));
    }

    /// The client broke a rule after which there is no conversation.
    fn violation(&mut self, now: Instant, code: &'static str, message: &str) {
        self.complain(code, message);
        self.close(now, 1008, "Policy violation", Outcome::Error);
    }

    fn say(&mut self, message: Message) {
        self.frames.push_back(Frame::Message(message));
    }

    /// Whether audio of the last frame waits for the recognizer: then the client is not silent but unheard.
    fn waits_for_room(&self) -> bool {
        !self.audio.is_empty()
    }
}

/// The options after the wishes.
fn options(options: &Options, wishes: &Configure) -> Result<Options, Trouble> {
    let mut options = options.clone();
    if let Some(rate) = &wishes.sample_rate {
        // Some languages write every number as 16000.0, which JSON holds for the same.
        let known = rate.as_f64().and_then(|rate| RATES.into_iter().find(|known| f64::from(*known) == rate));
        options.format.sample_rate = known.ok_or_else(|| {
            Trouble::new("invalid_sample_rate", "sample_rate has to be 8000, 16000, 24000, 44100 or 48000")
        })?;
    }
    if let Some(name) = &wishes.endpoint {
        let rule = name.as_str().and_then(|name| EndpointRule::profile(name).ok());
        let names = EndpointRule::PROFILES.join(", ");
        options.endpoint = rule
            .ok_or_else(|| Trouble::new("policy_violation", format!("endpoint has to be one of {names}")))?;
    }
    if let Some(mode) = &wishes.mode {
        options.mode = match mode.as_str() {
            Some("two_pass") => Mode::TwoPass,
            Some("incremental") => Mode::Incremental,
            _ => return Err(Trouble::new("policy_violation", "mode has to be two_pass or incremental")),
        };
    }
    Ok(options)
}
