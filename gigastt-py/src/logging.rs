//! The library's log records, handed to Python's `logging` under the logger `gigastt`.

use log::{LevelFilter, Log, Metadata, Record};
use pyo3::prelude::*;

use crate::gate;

struct PythonLogging;

/// Takes the records of this library. They stay off until [`set_log_level`].
pub(crate) fn install() {
    // It can only be installed already, which is as good.
    let _ = log::set_logger(&PythonLogging);
}

/// Lets records of this level of `logging` and above through.
#[pyfunction]
pub(crate) fn set_log_level(level: u32) {
    log::set_max_level(match level {
        0..10 => LevelFilter::Trace,
        10..20 => LevelFilter::Debug,
        20..30 => LevelFilter::Info,
        30..40 => LevelFilter::Warn,
        40..=50 => LevelFilter::Error,
        _ => LevelFilter::Off,
    });
}

impl Log for PythonLogging {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        // The decoders warn of what is no fault, such as the first bytes of every mp4.
        metadata.level() <= log::max_level() && !metadata.target().starts_with("symphonia")
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        // When the interpreter is ending there is nobody to tell.
        gate::attach(|py| {
            if let Err(error) = hand_over(py, record) {
                error.write_unraisable(py, None);
            }
        });
    }

    fn flush(&self) {}
}

fn hand_over(py: Python<'_>, record: &Record<'_>) -> PyResult<()> {
    let level = match record.level() {
        log::Level::Error => 40,
        log::Level::Warn => 30,
        log::Level::Info => 20,
        log::Level::Debug => 10,
        log::Level::Trace => 5,
    };
    let path = record.target().replace("::", ".");
    let name = match path.strip_prefix("gigastt_core") {
        Some(rest) => format!("gigastt{rest}"),
        None => format!("gigastt.{path}"),
    };
    let logger = py.import("logging")?.call_method1("getLogger", (name,))?;
    logger.call_method1("log", (level, "%s", record.args().to_string()))?;
    Ok(())
}
