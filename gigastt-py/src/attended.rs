//! Work on a thread of its own, so that the calling thread stays Python's: it runs signal handlers and callbacks.
//!
//! When one of them raises, the work is cancelled. Work that cannot heed that, in the look-up of a name, in `read` of a
//! Python file or in the loading of a model, is left to itself.

use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;

use gigastt_core::{Canceller, Error, ErrorKind, Result};
use pyo3::prelude::*;

use crate::bell::SIGNALS_EVERY;
use crate::errors::raise;
use crate::gate::inside;

/// Notes that wait for the calling thread; at this bound the work waits for it.
const NOTES: usize = 64;

/// How long work that was cancelled may take to end before it is left to itself.
const LEAVE_WITHIN: Duration = Duration::from_millis(500);

/// Runs `work` on a thread called `name`, and `tell` here with each of its notes. An error outside is what Python
/// raised, one inside that of the work.
pub(crate) fn attended<T: Send + 'static, N: Send + 'static>(
    py: Python<'_>,
    name: &str,
    canceller: &Canceller,
    work: impl FnOnce(&SyncSender<N>) -> Result<T> + Send + 'static,
    tell: impl FnMut(Python<'_>, N) -> PyResult<()> + Send,
) -> PyResult<Result<T>> {
    let (notes, told) = sync_channel(NOTES);
    let (done, ends) = sync_channel(1);
    // Who listens gets the result before the notes end; who has left gets nothing.
    let work = move || drop((done.send(work(&notes)), notes));
    let internal = |message: String| Error::new(ErrorKind::Internal, message);
    std::thread::Builder::new()
        .name(name.into())
        .spawn(work)
        .map_err(|error| raise(py, &internal(error.to_string())))?;
    py.detach(move || {
        let heard = listen(&told, tell, canceller);
        if heard.is_err() {
            canceller.cancel();
        }
        drop(told);
        let result = ends.recv_timeout(LEAVE_WITHIN).unwrap_or_else(|ended| match ended {
            RecvTimeoutError::Timeout => Err(Error::new(ErrorKind::Cancelled, "the work was cancelled")),
            RecvTimeoutError::Disconnected => Err(internal(format!("a panic in the thread {name}"))),
        });
        heard.map(|()| result)
    })
}

/// Tells until the work is done or cancelled, or until what is told or a signal raises.
fn listen<N>(
    notes: &Receiver<N>,
    mut tell: impl FnMut(Python<'_>, N) -> PyResult<()>,
    canceller: &Canceller,
) -> PyResult<()> {
    loop {
        match notes.recv_timeout(SIGNALS_EVERY) {
            Ok(note) => inside(|py| py.check_signals().and_then(|()| tell(py, note)))?,
            Err(RecvTimeoutError::Timeout) => inside(|py| py.check_signals())?,
            Err(RecvTimeoutError::Disconnected) => return Ok(()),
        }
        if canceller.is_cancelled() {
            return Ok(());
        }
    }
}
