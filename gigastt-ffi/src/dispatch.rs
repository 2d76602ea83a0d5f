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
    signal.dequeue();
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

#[cfg(test)]
#[allow(clippy::unwrap_used)] // A test stops where it fails.
mod tests {
    use gigastt_core::fake::{FRAME, Script, amplitude};
    use gigastt_core::{EndpointReason, Engine, Options};

    use super::*;
    use crate::engine::EngineObject;
    use crate::stream::Stream;

    const UTTERANCES: usize = 20;
    /// How many events one stream has told when the other has its first.
    const BEFORE: usize = 8;

    struct Turns {
        told: Sender<char>,
        heard: AtomicUsize,
        other: Weak<Stream>,
    }

    fn utterances(stream: &Stream, count: usize) {
        let words = [(0, 10), (1, 10), (0, 60)].into_iter().cycle().take(3 * count);
        let pcm: Vec<f32> =
            words.flat_map(|(word, frames)| std::iter::repeat_n(amplitude(word), frames * FRAME)).collect();
        let taken = stream.change(|state| Ok(state.recognizer.push_pcm(pcm.as_slice())?)).unwrap();
        assert_eq!(taken, pcm.len());
    }

    unsafe extern "C" fn full(user: *mut c_void, _: *const gigastt_event) {
        // SAFETY: the data of the test, until it is destroyed.
        let turns = unsafe { &*user.cast::<Turns>() };
        turns.told.send('a').unwrap();
        if turns.heard.fetch_add(1, Ordering::Relaxed) + 1 == BEFORE {
            utterances(&turns.other.upgrade().unwrap(), 1);
        }
    }

    unsafe extern "C" fn late(user: *mut c_void, _: *const gigastt_event) {
        // SAFETY: the data of the test, until it is destroyed.
        let told = unsafe { &*user.cast::<Sender<char>>() };
        let _ = told.send('b');
    }

    unsafe extern "C" fn destroy<T>(user: *mut c_void) {
        // SAFETY: made by `Box::into_raw` and given here once.
        drop(unsafe { Box::from_raw(user.cast::<T>()) });
    }

    /// Fails when a stream asks for a second turn while its first is waiting: one with much to tell is then heard ever
    /// more often.
    #[test]
    fn streams_take_turns() {
        let engine = EngineObject::new(Engine::fake(Script::default(), 1).unwrap());
        let options = || Options { partials: None, backlog_ms: 600_000, ..Options::new(16_000) };
        let (a, b) = (engine.open(options()).unwrap(), engine.open(options()).unwrap());
        utterances(&a, UTTERANCES);
        a.close(EndpointReason::Finish).unwrap();
        assert!(a.wait_end(Some(Duration::from_secs(60))).unwrap());

        let (told, turns) = channel();
        let user = Box::into_raw(Box::new(told.clone())).cast();
        let user = UserData::new(user, Some(destroy::<Sender<char>>));
        b.set_callback(Some(Callback { function: late, user })).unwrap();
        let turns_of_a = Turns { told, heard: AtomicUsize::new(0), other: Arc::downgrade(&b) };
        let user = UserData::new(Box::into_raw(Box::new(turns_of_a)).cast(), Some(destroy::<Turns>));
        a.set_callback(Some(Callback { function: full, user })).unwrap();

        let before = turns.iter().take_while(|stream| *stream == 'a').count();
        assert!((BEFORE..=BEFORE + 2).contains(&before), "b is heard after {before} events of a");
        a.shut();
        b.shut();
    }
}
