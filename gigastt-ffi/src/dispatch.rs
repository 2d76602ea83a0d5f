//! The thread of an engine that runs the callbacks of its recognizers, one at a time.

use std::cell::Cell;
use std::ffi::c_void;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Weak};
use std::thread::JoinHandle;
use std::time::Duration;

use gigastt_core::Event;
use gigastt_core::sync::{Condvar, Mutex};

use crate::event::gigastt_event;
use crate::fence::{Failure, fence_value};
use crate::signal::Signal;

/// What the thread is told.
pub(crate) enum Message {
    /// This stream has an event to take.
    Turn(Weak<Signal>),
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
    ended: Arc<Ended>,
}

/// Whether the thread runs no more callbacks. Waiting for it on a channel would leave memory with threads of the host,
/// as above.
#[derive(Default)]
struct Ended {
    yes: Mutex<bool>,
    changed: Condvar,
}

/// How long the last release waits for a callback that runs. Not for ever, because that callback may wait for the
/// thread that releases.
const CALLBACK_WAIT: Duration = Duration::from_secs(2);

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
        let ended = Arc::<Ended>::default();
        let tell = Arc::clone(&ended);
        let thread = std::thread::Builder::new()
            .name("gigastt-events".into())
            .spawn(move || {
                HERE.set(number);
                run(&turns);
                *tell.yes.lock() = true;
                tell.changed.notify_all();
            })
            .map_err(|e| Failure::internal(format!("no thread for callbacks: {e}")))?;
        Ok(Self { number, queue, thread: Some(thread), ended })
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
    while let Ok(Message::Turn(signal)) = turns.recv() {
        if let Some(signal) = signal.upgrade() {
            fence_value((), || turn(&signal));
        }
    }
}

/// Gives one event to a stream's callback. That may release the stream, which is held before and after it only.
fn turn(signal: &Signal) -> Option<()> {
    let (callback, event) = signal.turn(|stream| stream.next_for_callback())?;
    let end = matches!(event, Event::End(_));
    let event = gigastt_event::new(event);
    // SAFETY: the host's function with the host's data and an event that lives until it returns.
    unsafe { (callback.function)(callback.user.data(), &raw const event) };
    // Before the end is told: who waits for it may count what is left, and destroys the data with its release.
    drop((event, callback));
    signal.turn(|stream| {
        stream.told(end);
        None
    })
}

impl Ended {
    /// False when it was the limit.
    fn wait(&self, limit: Duration) -> bool {
        self.changed.wait_while_for(self.yes.lock(), |yes| !*yes, limit)
    }
}

impl Drop for Dispatcher {
    fn drop(&mut self) {
        let _ = self.queue.send(Message::Stop);
        // A callback may have released the engine: then this is the thread itself, which ends by the message.
        if !self.is_here()
            && let Some(thread) = self.thread.take()
            && !crate::fence::is_forked()
            && self.ended.wait(CALLBACK_WAIT)
        {
            let _ = thread.join();
        }
    }
}
