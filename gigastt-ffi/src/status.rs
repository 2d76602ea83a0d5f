//! Statuses: what every fallible function returns.

use std::ffi::c_char;

use gigastt_core::ErrorKind;

/// What a fallible function returns: 0 for success, a negative number for an error, a positive one for
/// a normal answer without a result.
pub type gigastt_status = i32;

/// Done.
pub const GIGASTT_OK: gigastt_status = 0;
/// The recognizer is full and took nothing: take its events, or wait until it is writable.
pub const GIGASTT_WOULD_BLOCK: gigastt_status = 1;
/// Nothing new since the last call.
pub const GIGASTT_UNCHANGED: gigastt_status = 2;
/// The time limit was reached first.
pub const GIGASTT_TIMEOUT: gigastt_status = 3;
/// The stream has ended and its events were taken: nothing follows.
pub const GIGASTT_END: gigastt_status = 4;
/// An argument or option is NULL or out of its range.
pub const GIGASTT_INVALID_ARGUMENT: gigastt_status = -1;
/// The audio cannot be used: a broken container, an unsupported codec, samples that are no numbers.
pub const GIGASTT_INVALID_AUDIO: gigastt_status = -2;
/// A file could not be read or written.
pub const GIGASTT_IO: gigastt_status = -3;
/// No model at the place that was named.
pub const GIGASTT_MODEL_NOT_FOUND: gigastt_status = -4;
/// The model's files are not what they have to be.
pub const GIGASTT_INVALID_MODEL: gigastt_status = -5;
/// ONNX Runtime is missing, broken or too old.
pub const GIGASTT_RUNTIME: gigastt_status = -6;
/// The execution provider that was asked for is not there, or lacks a device, a library or memory.
pub const GIGASTT_PROVIDER: gigastt_status = -7;
/// The engine is full or overloaded: try again later.
pub const GIGASTT_BUSY: gigastt_status = -8;
/// The work was cancelled.
pub const GIGASTT_CANCELLED: gigastt_status = -9;
/// The stream was finished and takes nothing more.
pub const GIGASTT_CLOSED: gigastt_status = -10;
/// This is a forked child of the process that used the library. Nothing works here.
pub const GIGASTT_FORKED: gigastt_status = -11;
/// The model failed while it ran. Other streams are not affected.
pub const GIGASTT_INFERENCE: gigastt_status = -12;
/// A defect of this library; please report it.
pub const GIGASTT_INTERNAL: gigastt_status = -13;
/// The handle was released before, or never was one.
pub const GIGASTT_INVALID_HANDLE: gigastt_status = -14;
/// A defect of this library hit this handle in an earlier call: only releasing it is left.
pub const GIGASTT_POISONED: gigastt_status = -15;
/// A model could not be fetched: the hub cannot be reached, or does not give it.
pub const GIGASTT_NETWORK: gigastt_status = -16;

/// Every status with its name.
pub const ALL: [(gigastt_status, &std::ffi::CStr); 21] = [
    (GIGASTT_OK, c"ok"),
    (GIGASTT_WOULD_BLOCK, c"would_block"),
    (GIGASTT_UNCHANGED, c"unchanged"),
    (GIGASTT_TIMEOUT, c"timeout"),
    (GIGASTT_END, c"end"),
    (GIGASTT_INVALID_ARGUMENT, c"invalid_argument"),
    (GIGASTT_INVALID_AUDIO, c"invalid_audio"),
    (GIGASTT_IO, c"io"),
    (GIGASTT_MODEL_NOT_FOUND, c"model_not_found"),
    (GIGASTT_INVALID_MODEL, c"invalid_model"),
    (GIGASTT_RUNTIME, c"runtime"),
    (GIGASTT_PROVIDER, c"provider"),
    (GIGASTT_BUSY, c"busy"),
    (GIGASTT_CANCELLED, c"cancelled"),
    (GIGASTT_CLOSED, c"closed"),
    (GIGASTT_FORKED, c"forked"),
    (GIGASTT_INFERENCE, c"inference"),
    (GIGASTT_INTERNAL, c"internal"),
    (GIGASTT_INVALID_HANDLE, c"invalid_handle"),
    (GIGASTT_POISONED, c"poisoned"),
    (GIGASTT_NETWORK, c"network"),
];

/// The status of an error's kind. Exhaustive, so that a new kind does not compile without a status.
pub(crate) const fn of(kind: ErrorKind) -> gigastt_status {
    match kind {
        ErrorKind::InvalidArgument => GIGASTT_INVALID_ARGUMENT,
        ErrorKind::InvalidAudio => GIGASTT_INVALID_AUDIO,
        ErrorKind::Io => GIGASTT_IO,
        ErrorKind::ModelNotFound => GIGASTT_MODEL_NOT_FOUND,
        ErrorKind::InvalidModel => GIGASTT_INVALID_MODEL,
        ErrorKind::Runtime => GIGASTT_RUNTIME,
        ErrorKind::Provider => GIGASTT_PROVIDER,
        ErrorKind::Busy => GIGASTT_BUSY,
        ErrorKind::Cancelled => GIGASTT_CANCELLED,
        ErrorKind::Closed => GIGASTT_CLOSED,
        ErrorKind::Timeout => GIGASTT_TIMEOUT,
        ErrorKind::Forked => GIGASTT_FORKED,
        ErrorKind::Inference => GIGASTT_INFERENCE,
        ErrorKind::Network => GIGASTT_NETWORK,
        ErrorKind::Internal => GIGASTT_INTERNAL,
    }
}

/// The name of a status in lower case, as in `"would_block"`; `"unknown"` for other numbers. A constant
/// that is never released. Any thread.
#[unsafe(no_mangle)]
pub extern "C" fn gigastt_status_name(status: gigastt_status) -> *const c_char {
    let known = ALL.iter().find(|(known, _)| *known == status);
    known.map_or(c"unknown", |(_, name)| name).as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_kind_has_the_status_of_its_name() {
        for kind in ErrorKind::ALL {
            let name = ALL.iter().find(|(status, _)| *status == of(kind)).map(|(_, name)| *name);
            assert_eq!(name.and_then(|name| name.to_str().ok()), Some(kind.code()));
        }
    }
}
