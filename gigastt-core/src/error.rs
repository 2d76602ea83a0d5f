//! The one error type of the library: what happened, whose move is next, and where.

use std::fmt;
use std::path::Path;

/// What went wrong, in the terms a program acts on.
///
/// Exhaustive on purpose: every skin over this library (C status, Python class, HTTP code) matches
/// on it without a wildcard, so a new kind does not compile until each skin says what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// An option or argument is out of its range; the message names it and the range.
    InvalidArgument,
    /// The audio cannot be used: a broken container, an unsupported codec, samples that are not
    /// finite numbers.
    InvalidAudio,
    /// A file could not be read or written.
    Io,
    /// No model at the place that was named.
    ModelNotFound,
    /// Model files are there but are not what the contract of GigaAM v3 asks for.
    InvalidModel,
    /// ONNX Runtime is missing, broken or too old; the message lists the places searched.
    Runtime,
    /// The execution provider that was asked for is not part of the loaded ONNX Runtime, lacks a device or
    /// a library, or has too little memory.
    Provider,
    /// The engine is full or overloaded; try again later.
    Busy,
    /// The work was cancelled.
    Cancelled,
    /// The stream has ended; it takes no more audio.
    Closed,
    /// A wait reached its time limit.
    Timeout,
    /// The engine was created by another process: this is a forked child.
    Forked,
    /// The model failed while it ran. Other streams are not affected.
    Inference,
    /// A model could not be fetched: the hub cannot be reached, or does not give it.
    Network,
    /// A defect of this library.
    Internal,
}

/// Who can mend an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The calling program: it passed something wrong or called in the wrong order.
    Caller,
    /// The audio or model file.
    Input,
    /// The machine's installation: a missing library, model or permission.
    Setup,
    /// Nobody: too much work at this time, or a cancellation that was asked for.
    Moment,
    /// This library.
    Library,
}

impl ErrorKind {
    /// Every kind, for tables and tests of the skins.
    pub const ALL: [Self; 15] = [
        Self::InvalidArgument,
        Self::InvalidAudio,
        Self::Io,
        Self::ModelNotFound,
        Self::InvalidModel,
        Self::Runtime,
        Self::Provider,
        Self::Busy,
        Self::Cancelled,
        Self::Closed,
        Self::Timeout,
        Self::Forked,
        Self::Inference,
        Self::Network,
        Self::Internal,
    ];

    /// A stable name in `snake_case`, for logs and protocols.
    pub const fn code(self) -> &'static str {
        match self {
            Self::InvalidArgument => "invalid_argument",
            Self::InvalidAudio => "invalid_audio",
            Self::Io => "io",
            Self::ModelNotFound => "model_not_found",
            Self::InvalidModel => "invalid_model",
            Self::Runtime => "runtime",
            Self::Provider => "provider",
            Self::Busy => "busy",
            Self::Cancelled => "cancelled",
            Self::Closed => "closed",
            Self::Timeout => "timeout",
            Self::Forked => "forked",
            Self::Inference => "inference",
            Self::Network => "network",
            Self::Internal => "internal",
        }
    }

    /// Who can mend it.
    pub const fn fault(self) -> Fault {
        match self {
            Self::InvalidArgument | Self::Closed | Self::Forked => Fault::Caller,
            Self::InvalidAudio | Self::InvalidModel => Fault::Input,
            Self::Io | Self::ModelNotFound | Self::Runtime | Self::Provider | Self::Network => Fault::Setup,
            Self::Busy | Self::Cancelled | Self::Timeout => Fault::Moment,
            Self::Inference | Self::Internal => Fault::Library,
        }
    }
}

/// An error: its kind, a sentence for people, and the file or value it is about.
#[derive(Clone, thiserror::Error)]
pub struct Error {
    kind: ErrorKind,
    message: String,
    subject: Option<String>,
}

/// The result of every fallible function of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// An error of `kind`; `message` says what was expected and what was found.
    pub fn new(kind: ErrorKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), subject: None }
    }

    /// Names the file or value the error is about, unless a deeper layer already did.
    #[must_use]
    pub fn about(mut self, subject: impl Into<String>) -> Self {
        self.subject.get_or_insert_with(|| subject.into());
        self
    }

    /// Names the file the error is about, unless a deeper layer already did.
    #[must_use]
    pub fn in_file(self, path: &Path) -> Self {
        self.about(path.display().to_string())
    }

    /// A file could not be read or written.
    pub fn io(path: &Path, source: &std::io::Error) -> Self {
        Self::new(ErrorKind::Io, source.to_string()).in_file(path)
    }

    /// What went wrong, in the terms a program acts on.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The sentence for people, without the subject.
    pub fn message(&self) -> &str {
        &self.message
    }

    /// The file or value the error is about.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subject {
            Some(subject) => write!(f, "{subject}: {}", self.message),
            None => f.write_str(&self.message),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({}: {self})", self.kind.code())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_are_distinct_and_complete() {
        let codes: std::collections::BTreeSet<_> = ErrorKind::ALL.iter().map(|k| k.code()).collect();
        assert_eq!(codes.len(), ErrorKind::ALL.len());
    }

    #[test]
    fn the_deepest_subject_wins() {
        let error = Error::new(ErrorKind::InvalidAudio, "no frames").about("a.wav").about("b.wav");
        assert_eq!(error.to_string(), "a.wav: no frames");
    }
}
