//! Waiting for a stream, from Python threads and from event loops.
//!
//! A stream has one [`Bell`]. It rings when the engine has a reply, when the stream is cancelled, and
//! when another thread changed the stream. Threads wait for it in slices, so that Python's signal
//! handlers run; event loops get one call of their callback, made by a [`Courier`], for who rings may
//! hold a lock of the engine and must not wait for the interpreter.

use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, OnceLock};
use std::task::Wake;
use std::time::Duration;

use gigastt_core::sync::{Condvar, Mutex};
use pyo3::prelude::*;

use crate::gate;

/// How long a wait goes on before Python's signal handlers run.
pub(crate) const SIGNALS_EVERY: Duration = Duration::from_millis(50);

/// See the module.
pub(crate) struct Bell {
    state: Mutex<State>,
    rung: Condvar,
    courier: Sender<Arc<Bell>>,
}

#[derive(Default)]
struct State {
    rings: u64,
    /// What the courier calls, and whether it is to do so at the next ring.
    callback: Option<Arc<Py<PyAny>>>,
    armed: bool,
}

impl Bell {
    pub(crate) fn new(courier: &Courier) -> Arc<Self> {
        Arc::new(Self { state: Mutex::default(), rung: Condvar::new(), courier: courier.sender() })
    }

    /// How often it has rung.
    pub(crate) fn rings(&self) -> u64 {
        self.state.lock().rings
    }

    /// Wakes everybody who waits.
    pub(crate) fn ring(self: &Arc<Self>) {
        let mut state = self.state.lock();
        state.rings += 1;
        self.rung.notify_all();
        if std::mem::take(&mut state.armed) {
            // The courier ends with the interpreter; nobody waits then.
            let _ = self.courier.send(Arc::clone(self));
        }
    }

    /// Waits until it has rung more than `seen` times, for at most `limit`.
    pub(crate) fn wait(&self, seen: u64, limit: Duration) {
        self.rung.wait_while_for(self.state.lock(), |state| state.rings == seen, limit);
    }

    /// Sets what is called after [`arm`](Self::arm).
    pub(crate) fn set_callback(&self, callback: Option<Py<PyAny>>) {
        self.state.lock().callback = callback.map(Arc::new);
    }

    /// Asks for one call of the callback at the next ring. False when it has rung since `seen`.
    pub(crate) fn arm(&self, seen: u64) -> bool {
        let mut state = self.state.lock();
        state.armed = state.rings == seen;
        state.armed
    }

    fn callback(&self) -> Option<Arc<Py<PyAny>>> {
        self.state.lock().callback.clone()
    }
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.ring();
    }
}

/// The thread of an engine that calls into event loops. Starts with the first stream, ends with the
/// last one. A stream has at most one message under way, which bounds the queue.
#[derive(Default)]
pub(crate) struct Courier {
    sender: OnceLock<Sender<Arc<Bell>>>,
}

impl Courier {
    fn sender(&self) -> Sender<Arc<Bell>> {
        let start = || {
            let (sender, receiver) = channel();
            // Without a thread nobody is called, and who awaits finds out by polling.
            let _ = std::thread::Builder::new().name("gigastt-events".into()).spawn(|| deliver(receiver));
            sender
        };
        self.sender.get_or_init(start).clone()
    }
}

fn deliver(receiver: Receiver<Arc<Bell>>) {
    for bell in receiver {
        let Some(callback) = bell.callback() else { continue };
        let called = gate::attach(|py| {
            if let Err(error) = callback.call0(py) {
                error.write_unraisable(py, Some(callback.bind(py)));
            }
        });
        if called.is_none() {
            return;
        }
    }
}
