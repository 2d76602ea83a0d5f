//! The thread of an engine that runs the callbacks of its recognizers, one at a time.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::Weak;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use crate::event::gigastt_event;
use crate::fence::{Failure, fence_value};
use crate::stream::Stream;

/// What the thread is told.
pub(crate) enum Message {
    /// This stream has an event to take.
    Turn(Weak<Stream>),
    /// The engine goes away.
    Stop,
}

thread_local! {
    /// The number of the dispatcher whose thread this is; 0 for other threads. Asking for the current thread
    /// would leave memory with threads of the host.
    static HERE: Cell<usize> = const { Cell::new(0) };
}

/// See the module.
pub(crate) struct Dispatcher {
    number: usize,
    queue: Sender<Message>,
    thread: Option<JoinHandle<()>>,
}

/// Receives the events of a recognizer, in order. `event` belongs to the library and is valid until the
/// callback returns. Runs on a thread of the engine, one callback at a time for all its recognizers, so
/// it should be short. It may call every function of the library except `gigastt_recognizer_finish` and
/// `gigastt_engine_drain`, also release its own recognizer. It must not throw and not jump out.
pub type gigastt_event_fn = Option<unsafe extern "C" fn(user: *mut c_void, event: *const gigastt_event)>;

/// Called once with the user data when no callback will use it any more. On any thread. May be NULL.
pub type gigastt_destroy_fn = Option<unsafe extern "C" fn(user: *mut c_void)>;

/// A host's data with the function that disposes of it.
pub(crate) struct UserData {
    data: *mut c_void,
    destroy: gigastt_destroy_fn,
}

// SAFETY: the header says that callbacks and destroy functions run on other threads; the host hands over
// data that may be used there.
unsafe impl Send for UserData {}
// SAFETY: as above.
unsafe impl Sync for UserData {}

impl UserData {
    pub(crate) fn new(data: *mut c_void, destroy: gigastt_destroy_fn) -> Self {
        Self { data, destroy }
    }

    pub(crate) fn data(&self) -> *mut c_void {
        self.data
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        if let Some(destroy) = self.destroy {
            // SAFETY: the host's function with the host's data, once.
            unsafe { destroy(self.data) };
        }
    }
}

/// The callback of a recognizer.
pub(crate) struct Callback {
    pub function: unsafe extern "C" fn(user: *mut c_void, event: *const gigastt_event),
    pub user: UserData,
}

impl Dispatcher {
    /// Starts the thread.
    pub(crate) fn start() -> Result<Self, Failure> {
        static NUMBERS: AtomicUsize = AtomicUsize::new(1);
        let number = NUMBERS.fetch_add(1, Ordering::Relaxed);
        let (queue, turns) = channel();
        let thread = std::thread::Builder::new()
            .name("gigastt-events".into())
            .spawn(move || {
                HERE.set(number);
                run(&turns);
            })
            .map_err(|e| Failure::internal(format!("no thread for callbacks: {e}")))?;
        Ok(Self { number, queue, thread: Some(thread) })
    }

    /// Where streams ask for a turn.
    pub(crate) fn queue(&self) -> Sender<Message> {
        self.queue.clone()
    }

    /// Whether this is the thread that runs callbacks.
    pub(crate) fn is_here(&self) -> bool {
        HERE.get() == self.number
    }
}

fn run(turns: &Receiver<Message>) {
    while let Ok(Message::Turn(stream)) = turns.recv() {
        if let Some(stream) = stream.upgrade() {
            fence_value((), || {
                stream.turn();
                None
            });
        }
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        let _ = self.queue.send(Message::Stop);
        // A callback may have released the engine: then this is the thread itself, which ends by the message.
        if !self.is_here()
            && let Some(thread) = self.thread.take()
            && !crate::fence::is_forked()
        {
            let _ = thread.join();
        }
    }
}
