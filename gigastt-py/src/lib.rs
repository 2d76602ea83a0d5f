//! The native part of the Python package `gigastt`: `gigastt._native`.
//!
//! It is thin. What people call is written in Python, in `gigastt-py/python/gigastt`; here is only what
//! needs the engine: audio in ([`samples`]), waiting that Python can interrupt ([`bell`], [`attended`]), results as
//! Python's own dataclasses ([`results`]), one exception class per kind of error ([`errors`]).
//!
//! # Locks and the interpreter
//!
//! No thread that holds a lock of the engine ever waits for the interpreter. Every call that may block
//! detaches from the interpreter first; what wakes an event loop goes through the [`bell`]'s own thread, and no thread of the engine is inside when the interpreter ends ([`gate`]).
#![forbid(unsafe_code)]

mod arguments;
mod attended;
mod bell;
mod engine;
mod errors;
mod gate;
mod logging;
mod recognizer;
mod results;
mod samples;
mod transcribe;

use pyo3::prelude::*;

#[pymodule(name = "_native")]
mod native {
    #[pymodule_export]
    use super::arguments::endpoint_profile;
    #[cfg(feature = "scripted")]
    #[pymodule_export]
    use super::engine::scripted;
    #[pymodule_export]
    use super::engine::{Engine, error_codes, fetch};
    #[pymodule_export]
    use super::logging::set_log_level;
    #[pymodule_export]
    use super::recognizer::Recognizer;
    #[pymodule_export]
    use super::results::subtitles;
    #[pymodule_export]
    use super::transcribe::Canceller;
    use super::*;

    #[pymodule_export]
    #[allow(non_upper_case_globals)] // Python's name for it.
    const __version__: &str = env!("CARGO_PKG_VERSION");

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        logging::install();
        let close = pyo3::wrap_pyfunction!(gate::close_gate, module)?;
        module.py().import("atexit")?.call_method1("register", (close,))?;
        Ok(())
    }
}
