//! The way from the engine's threads to the interpreter, which closes before the interpreter ends.
//!
//! While Python 3.13 and older ends, it terminates each other thread that asks for the interpreter,
//! wherever that thread is; for one with our frames on its stack that aborts the process. So the gate is
//! closed at exit, when who is inside has left, and nobody enters any more.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use gigastt_core::sync::{Condvar, Mutex};
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// How long the exit waits for those inside. Python code in a callback may take longer, and a forked
/// child may wait for threads that it does not have.
const LEAVE_WITHIN: Duration = Duration::from_secs(1);

static CLOSED: AtomicBool = AtomicBool::new(false);
static INSIDE: AtomicUsize = AtomicUsize::new(0);
static DOOR: Mutex<()> = Mutex::new(());
static LEFT: Condvar = Condvar::new();

/// Calls into Python; `None` when the interpreter is ending.
pub(crate) fn attach<T>(call: impl FnOnce(Python<'_>) -> T) -> Option<T> {
    let _visit = Visit::enter();
    if CLOSED.load(Ordering::SeqCst) { None } else { Python::try_attach(call) }
}

/// Calls into Python, which fails when the interpreter is ending.
pub(crate) fn inside<T>(call: impl FnOnce(Python<'_>) -> PyResult<T>) -> PyResult<T> {
    attach(call).unwrap_or_else(|| Err(PyRuntimeError::new_err("the interpreter is ending")))
}

/// Closes the gate; called by `atexit`.
#[pyfunction]
pub(crate) fn close_gate(py: Python<'_>) {
    py.detach(|| {
        CLOSED.store(true, Ordering::SeqCst);
        LEFT.wait_while_for(DOOR.lock(), |()| INSIDE.load(Ordering::SeqCst) > 0, LEAVE_WITHIN);
    });
}

struct Visit;

impl Visit {
    fn enter() -> Self {
        INSIDE.fetch_add(1, Ordering::SeqCst);
        Self
    }
}

impl Drop for Visit {
    fn drop(&mut self) {
        INSIDE.fetch_sub(1, Ordering::SeqCst);
        if CLOSED.load(Ordering::SeqCst) {
            let _door = DOOR.lock();
            LEFT.notify_all();
        }
    }
}
