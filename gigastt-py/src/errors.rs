//! The library's errors as Python exceptions: a class per kind, defined in `gigastt/_errors.py`.

use gigastt_core::{Error, ErrorKind};
use pyo3::prelude::*;
use pyo3::types::PyType;

/// The name of the class for `kind`.
fn class_name(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::InvalidArgument => "InvalidArgumentError",
        ErrorKind::InvalidAudio => "InvalidAudioError",
        ErrorKind::Io => "IoError",
        ErrorKind::ModelNotFound => "ModelNotFoundError",
        ErrorKind::InvalidModel => "InvalidModelError",
        ErrorKind::Runtime => "RuntimeLibraryError",
        ErrorKind::Provider => "ProviderError",
        ErrorKind::Busy => "BusyError",
        ErrorKind::Cancelled => "CancelledError",
        ErrorKind::Closed => "ClosedError",
        ErrorKind::Timeout => "TimeoutError",
        ErrorKind::Forked => "ForkedError",
        ErrorKind::Inference => "InferenceError",
        ErrorKind::Network => "NetworkError",
        ErrorKind::Internal => "InternalError",
    }
}

/// Every code with the name of its class, so that a test can see that Python has them all.
pub(crate) fn codes() -> Vec<(&'static str, &'static str)> {
    ErrorKind::ALL.iter().map(|kind| (kind.code(), class_name(*kind))).collect()
}

/// The error as an instance of its class.
pub(crate) fn exception<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    let class = py.import("gigastt._errors")?.getattr(class_name(error.kind()))?;
    class.cast::<PyType>()?.call1((error.message(), error.subject()))
}

/// The error as what Python raises.
pub(crate) fn raise(py: Python<'_>, error: &Error) -> PyErr {
    exception(py, error).map_or_else(|failure| failure, PyErr::from_value)
}

/// Whether the next call on a stream raises it again: an error of the stream itself, neither what Python raised, as
/// in a signal's handler, nor what is wrong with one sample.
pub(crate) fn comes_again(py: Python<'_>, error: &PyErr) -> PyResult<bool> {
    let errors = py.import("gigastt._errors")?;
    let is = |name: &str| error.value(py).is_instance(&errors.getattr(name)?);
    Ok(is("Error")? && !is(class_name(ErrorKind::InvalidAudio))?)
}

/// An argument that cannot be used.
pub(crate) fn invalid(py: Python<'_>, name: &str, message: impl Into<String>) -> PyErr {
    raise(py, &Error::new(ErrorKind::InvalidArgument, message).about(name))
}

/// Raises what the engine returned as an error.
pub(crate) trait OrRaise<T> {
    /// See the trait.
    fn or_raise(self, py: Python<'_>) -> PyResult<T>;
}

impl<T> OrRaise<T> for gigastt_core::Result<T> {
    fn or_raise(self, py: Python<'_>) -> PyResult<T> {
        self.map_err(|error| raise(py, &error))
    }
}
