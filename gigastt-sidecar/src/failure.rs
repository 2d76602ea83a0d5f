//! Exit codes, and how a failure is told.

use std::process::ExitCode;

use gigastt_core::{Error, ErrorKind};

use crate::output;

/// How the process ends. Listed in `--help` and in `docs/cli.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Everything was done.
    Done = 0,
    /// Some files failed; the others were done. Of `health`: the service is not well.
    SomeFailed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// No ONNX Runtime or no usable model.
    Setup = 3,
    /// Ctrl-C, or a request to terminate.
    Interrupted = 130,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl Exit {
    /// Ends the process at once, whatever its threads do. Nothing is torn down: a thread inside ONNX Runtime
    /// would use what the library's destructors have freed.
    pub(crate) fn now(self) -> ! {
        signal_hook::low_level::exit(self as i32)
    }

    /// How the process ends when the engine cannot be made.
    pub(crate) fn without_engine(error: &Error) -> Self {
        match error.kind() {
            ErrorKind::InvalidArgument => Self::Usage,
            ErrorKind::InvalidAudio
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
            | ErrorKind::Inference
            | ErrorKind::Network
            | ErrorKind::Internal => Self::Setup,
        }
    }
}

/// Tells an error and, where one is known, the next step.
pub(crate) fn tell(error: &Error) {
    output::complain(&error.to_string(), advice(error.kind()));
}

/// What to do next. The message of other kinds says it already.
pub(crate) fn advice(kind: ErrorKind) -> Option<&'static str> {
    match kind {
        ErrorKind::InvalidAudio => {
            Some("see whether it plays; convert it by: ffmpeg -i FILE -ar 16000 -ac 1 OUT.wav")
        }
        ErrorKind::Io => Some("look at the path, its permissions and the room on its disk"),
        ErrorKind::ModelNotFound => Some("`gigastt models` lists the models that are there"),
        ErrorKind::Network => Some("look at the network, HTTPS_PROXY and GIGASTT_HUB, and run it again"),
        ErrorKind::InvalidModel => Some("fetch the model's files again, all of one release"),
        ErrorKind::Provider => Some(
            "leave out --provider, or install what it needs: a device, an ONNX Runtime that has it, and the \
             libraries that this one loads (docs/deployment.md)",
        ),
        ErrorKind::Busy | ErrorKind::Timeout => Some("try again later"),
        ErrorKind::Inference | ErrorKind::Internal => {
            Some("repeat with --log-level debug and report what it says")
        }
        ErrorKind::Runtime => Some("name a library by --runtime, or install one: pip install onnxruntime"),
        ErrorKind::InvalidArgument | ErrorKind::Cancelled | ErrorKind::Closed | ErrorKind::Forked => None,
    }
}
