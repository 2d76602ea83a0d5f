//! How a conversation ends: every way but the client's leaving has its `final` and its Close.

use gigastt_core::{EndpointReason, Final};

use super::{Action, CAP_FINALS, CLOSE_WAIT, Conn, Frame, HURRY_EVERY, Instant, Outcome, Phase};
use crate::messages::{Message, Trouble};
use crate::server::wire::silence;

/// An end whose finals are awaited.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ending {
    pub reason: EndpointReason,
    outcome: Outcome,
    /// When the finals have to be there.
    pub by: Instant,
    /// Audio that the recognizer has no room for is given up at this time.
    audio_by: Instant,
    /// When the work that is left is compared with the time that is left.
    pub press_at: Instant,
    /// Whether the recognizer was told that no more audio comes.
    pub finished: bool,
    /// What was recognised since.
    last: Option<Final>,
}

impl Ending {
    /// Adds an utterance to the one `final` of the end, so that a client that awaits one gets all.
    pub(super) fn add(&mut self, utterance: Final) {
        self.last = Some(match self.last.take() {
            Some(before) => join(before, utterance),
            None => utterance,
        });
    }
}

/// Two utterances as one. Its text is not that of one pass over its span, which `second_pass` says.
fn join(mut before: Final, after: Final) -> Final {
    if after.text.is_empty() {
        before.endpoint_reason = after.endpoint_reason;
        return before;
    }
    if before.text.is_empty() {
        return after;
    }
    before.text = format!("{} {}", before.text, after.text);
    before.words.extend(after.words);
    before.span.end = after.span.end;
    before.endpoint_reason = after.endpoint_reason;
    before.second_pass = false;
    before
}

impl Conn {
    /// Begins the end: the recognizer gets the audio that is left, the finals follow.
    pub(super) fn end(&mut self, now: Instant, reason: EndpointReason, by: Instant) {
        let outcome = match reason {
            EndpointReason::Shutdown => Outcome::Shutdown,
            EndpointReason::SessionCap => Outcome::SessionCap,
            EndpointReason::Idle => Outcome::Idle,
            EndpointReason::Silence
            | EndpointReason::Length
            | EndpointReason::Forced
            | EndpointReason::Finish => Outcome::Stopped,
        };
        let audio_by = now + by.saturating_sub(now) / 2;
        let ending = Ending { reason, outcome, by, audio_by, press_at: now, finished: false, last: None };
        self.phase = Phase::Ending(ending);
        if self.opened {
            self.press(now);
        } else {
            self.farewell(now);
        }
    }

    /// When the session cap is due, unless it was reached or the conversation is over.
    pub(super) fn cap_due(&self) -> Option<Instant> {
        let over = match &self.phase {
            Phase::Opening | Phase::Open => false,
            Phase::Ending(ending) => ending.outcome == Outcome::SessionCap,
            Phase::Closing(_) | Phase::Gone => true,
        };
        self.limits.session.filter(|_| !over)
    }

    /// The session cap is reached, whatever is going on.
    pub(super) fn cap(&mut self, now: Instant) {
        let message = "Maximum session duration exceeded";
        self.say(Message::Error(Trouble::new("max_session_duration_exceeded", message)));
        match &mut self.phase {
            Phase::Ending(ending) => {
                ending.outcome = Outcome::SessionCap;
                ending.by = ending.by.min(now + CAP_FINALS);
                ending.audio_by = ending.audio_by.min(now + CAP_FINALS / 2);
            }
            _ => self.end(now, EndpointReason::SessionCap, now + CAP_FINALS),
        }
    }

    /// Brings an end on: tells the recognizer that no more audio comes, once that is so, and how long its
    /// finals may take.
    pub(super) fn press(&mut self, now: Instant) {
        let waits = self.waits_for_room();
        let Phase::Ending(ending) = &mut self.phase else { return };
        ending.press_at = now + HURRY_EVERY;
        if !ending.finished && waits && now < ending.audio_by {
            return;
        }
        if !ending.finished {
            ending.finished = true;
            self.actions.push_back(Action::Finish(ending.reason));
        }
        self.actions.push_back(Action::Hurry(ending.by.saturating_sub(now)));
    }

    /// The last `final` and Close.
    pub(super) fn farewell(&mut self, now: Instant) {
        let Phase::Ending(ending) = &mut self.phase else { return };
        let mut last = ending.last.take().unwrap_or_else(|| silence(ending.reason));
        last.endpoint_reason = ending.reason;
        let outcome = ending.outcome;
        let message = self.messages.last(&last, 0.0);
        self.say(message);
        let (code, text) = match outcome {
            Outcome::Shutdown => (1001, "Going away"),
            Outcome::SessionCap => (1008, "Maximum session duration exceeded"),
            Outcome::Idle => (1000, "Idle"),
            Outcome::Stopped | Outcome::Client | Outcome::Error | Outcome::Refused => (1000, "Done"),
        };
        self.close(now, code, text, outcome);
    }

    /// Sends Close and awaits the client's for a while.
    pub(super) fn close(&mut self, now: Instant, code: u16, text: &'static str, outcome: Outcome) {
        if matches!(self.phase, Phase::Closing(_) | Phase::Gone) {
            return;
        }
        self.frames.push_back(Frame::Close(code, text));
        self.actions.push_back(Action::Cancel);
        self.phase = Phase::Closing(now + CLOSE_WAIT);
        self.outcome.get_or_insert(outcome);
    }

    /// The client closed or is gone.
    pub(super) fn left(&mut self) {
        self.outcome.get_or_insert(match &self.phase {
            Phase::Ending(ending) => ending.outcome,
            _ => Outcome::Client,
        });
        self.gone();
    }

    pub(super) fn gone(&mut self) {
        self.phase = Phase::Gone;
        self.frames.clear();
        self.actions.push_back(Action::Cancel);
    }
}
