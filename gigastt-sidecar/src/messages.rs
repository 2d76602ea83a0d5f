//! What a live stream tells its reader, as JSON: `partial`, `final` and `error` objects.
//!
//! The same objects go over every wire: `gigastt listen --json`, the WebSocket and the event stream.
//! Times are seconds from the start of the stream; `timestamp` is Unix time.

use std::time::{SystemTime, UNIX_EPOCH};

use gigastt_core::{Error, ErrorKind, Event, Final, Partial, Span};
use serde::Serialize;

/// One object. Its first member, `type`, names the variant in `snake_case`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Message {
    /// The newest state of the running utterance.
    Partial(Said),
    /// A finished utterance.
    Final(Said),
    /// What went wrong.
    Error(Trouble),
}

/// What was said so far, or in the whole utterance.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Said {
    /// `committed` followed by `tentative`.
    pub text: String,
    /// The words of `text`.
    pub words: Vec<Word>,
    /// Whether the utterance is finished.
    pub is_final: bool,
    /// When the object was made, in seconds of Unix time.
    pub timestamp: f64,
    /// The prefix of `text` that never changes; of a final the whole text.
    pub committed: String,
    /// The rest of `text`, which may still change.
    pub tentative: String,
    /// The prefix of `text` on which consecutive hypotheses agree; at least `committed`.
    pub stable: String,
    /// Grows from object to object of a stream.
    pub revision: u64,
    /// What only finals have.
    #[serde(flatten)]
    pub ending: Option<Ending>,
}

/// What only finals have.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Ending {
    /// Why the utterance ended: `silence`, `length`, `forced`, `finish`, ...
    pub endpoint_reason: &'static str,
    /// Whether the text comes from one full-context pass over exactly `span`.
    pub second_pass: bool,
    /// The samples that were encoded.
    pub span: Samples,
}

/// Samples at 16 kHz from the start of the stream: `start` is the first, `end` one past the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Samples {
    /// The first.
    pub start: u64,
    /// One past the last.
    pub end: u64,
}

/// A word with its times in seconds and its probability, 0 to 1; to a thousandth.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Word {
    /// The word with its punctuation.
    pub word: String,
    /// When it starts, in seconds.
    pub start: f64,
    /// When it ends, in seconds.
    pub end: f64,
    /// 0 to 1.
    pub confidence: f64,
}

/// An error for people (`message`) and for programs (`code`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trouble {
    /// For people.
    pub message: String,
    /// For programs.
    pub code: &'static str,
    /// When another try may succeed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Trouble {
    /// An error that another try does not mend by itself.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { message: message.into(), code, retry_after_ms: None }
    }
}

/// Makes the objects of one stream; keeps their revisions growing.
#[derive(Debug, Default)]
pub struct Messages {
    revision: u64,
}

impl Messages {
    /// The object of an event at `timestamp` (see [`now`]). The start of speech and the end have none.
    pub fn event(&mut self, event: &Event, timestamp: f64) -> Option<Message> {
        match event {
            Event::Partial(partial) => Some(self.partial(partial, timestamp)),
            Event::Final(text) => Some(self.last(text, timestamp)),
            Event::SpeechStarted { .. } | Event::End(_) => None,
        }
    }

    /// The object of a partial.
    pub fn partial(&mut self, partial: &Partial, timestamp: f64) -> Message {
        self.revision = partial.revision.max(self.revision + 1);
        Message::Partial(Said {
            text: partial.text.clone(),
            words: partial.words.iter().map(Word::from).collect(),
            is_final: false,
            timestamp,
            committed: partial.committed().into(),
            tentative: partial.tentative().into(),
            stable: partial.stable().into(),
            revision: self.revision,
            ending: None,
        })
    }

    /// The object of a final.
    pub fn last(&mut self, text: &Final, timestamp: f64) -> Message {
        self.revision += 1;
        Message::Final(Said {
            text: text.text.clone(),
            words: text.words.iter().map(Word::from).collect(),
            is_final: true,
            timestamp,
            committed: text.text.clone(),
            tentative: String::new(),
            stable: text.text.clone(),
            revision: self.revision,
            ending: Some(Ending {
                endpoint_reason: text.endpoint_reason.code(),
                second_pass: text.second_pass,
                span: text.span.into(),
            }),
        })
    }
}

impl Message {
    /// The object, made at `timestamp`.
    #[must_use]
    pub fn at(mut self, timestamp: f64) -> Self {
        if let Self::Partial(said) | Self::Final(said) = &mut self {
            said.timestamp = timestamp;
        }
        self
    }

    /// The object of an error, whose message is for whoever runs this program: it may name files.
    pub fn error(error: &Error) -> Self {
        let (message, code) = (error.to_string(), code(error.kind()));
        Self::Error(Trouble { message, code, retry_after_ms: None })
    }
}

/// The protocol's name of a kind of error.
pub fn code(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::Inference => "inference_error",
        ErrorKind::Busy | ErrorKind::Timeout => "timeout",
        ErrorKind::InvalidAudio => "invalid_audio",
        ErrorKind::InvalidArgument => "policy_violation",
        ErrorKind::Closed | ErrorKind::Cancelled => "pool_closed",
        ErrorKind::Io
        | ErrorKind::ModelNotFound
        | ErrorKind::InvalidModel
        | ErrorKind::Runtime
        | ErrorKind::Provider
        | ErrorKind::Forked
        | ErrorKind::Network
        | ErrorKind::Internal => "internal",
    }
}

/// Unix time in seconds, to a thousandth.
pub fn now() -> f64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    thousandths(since.unwrap_or_default().as_secs_f64())
}

impl From<&gigastt_core::Word> for Word {
    fn from(word: &gigastt_core::Word) -> Self {
        Self {
            word: word.text.clone(),
            start: thousandths(word.start),
            end: thousandths(word.end),
            confidence: thousandths(word.confidence.into()),
        }
    }
}

impl From<Span> for Samples {
    fn from(span: Span) -> Self {
        Self { start: span.start, end: span.end }
    }
}

/// More digits would be noise.
pub fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

#[cfg(test)]
mod tests {
    use gigastt_core::{End, EndpointReason};

    use super::*;

    fn partial(revision: u64) -> Event {
        let word = |text: &str, start| gigastt_core::Word {
            text: text.into(),
            start,
            end: start + 0.2,
            confidence: 0.98765,
        };
        Event::Partial(Partial {
            text: "Раз два".into(),
            committed_bytes: 0,
            stable_bytes: "Раз".len(),
            revision,
            words: vec![word("Раз", 0.04), word("два", 0.4)],
            heard_ms: 800,
            decoded_ms: 640,
        })
    }

    fn last() -> Event {
        Event::Final(Final {
            text: "Раз.".into(),
            words: Vec::new(),
            tokens: Vec::new(),
            span: Span { start: 640, end: 16_000 },
            endpoint_reason: EndpointReason::Silence,
            second_pass: true,
        })
    }

    fn json(message: Option<Message>) -> String {
        serde_json::to_string(&message.expect("an object")).expect("JSON")
    }

    #[test]
    fn the_objects_are_those_of_the_protocol() {
        let mut messages = Messages::default();
        assert_eq!(
            json(messages.event(&partial(4), 1.5)),
            r#"{"type":"partial","text":"Раз два","words":[{"word":"Раз","start":0.04,"end":0.24,"confidence":0.988},{"word":"два","start":0.4,"end":0.6,"confidence":0.988}],"is_final":false,"timestamp":1.5,"committed":"","tentative":"Раз два","stable":"Раз","revision":4}"#
        );
        assert_eq!(
            json(messages.event(&last(), 2.0)),
            r#"{"type":"final","text":"Раз.","words":[],"is_final":true,"timestamp":2.0,"committed":"Раз.","tentative":"","stable":"Раз.","revision":5,"endpoint_reason":"silence","second_pass":true,"span":{"start":640,"end":16000}}"#
        );
        let error = Error::new(ErrorKind::Inference, "out of memory").about("encoder");
        assert_eq!(
            json(Some(Message::error(&error))),
            r#"{"type":"error","message":"encoder: out of memory","code":"inference_error"}"#
        );
        let busy = Trouble { message: "busy".into(), code: "timeout", retry_after_ms: Some(500) };
        assert_eq!(
            json(Some(Message::Error(busy))),
            r#"{"type":"error","message":"busy","code":"timeout","retry_after_ms":500}"#
        );
    }

    #[test]
    fn events_without_text_have_no_object() {
        let mut messages = Messages::default();
        assert_eq!(messages.event(&Event::SpeechStarted { at_ms: 7 }, 0.0), None);
        assert_eq!(messages.event(&Event::End(End::Finished), 0.0), None);
    }

    #[test]
    fn revisions_grow_over_finals_and_partials() {
        let mut messages = Messages::default();
        let events = [partial(3), last(), last(), partial(4), partial(9)];
        let revisions = events.map(|event| match messages.event(&event, 0.0) {
            Some(Message::Partial(said) | Message::Final(said)) => said.revision,
            other => panic!("{other:?}"),
        });
        assert_eq!(revisions, [3, 4, 5, 6, 9]);
    }
}
