//! How a recognizer tells its host that something happened: to threads that wait in a call, to a file
//! descriptor in the host's loop, and to the thread that runs callbacks.

use std::io::{PipeReader, PipeWriter, Read as _, Write as _};
use std::sync::mpsc::Sender;
use std::sync::{Arc, Weak};
use std::task::Wake;
use std::time::Instant;

use gigastt_core::sync::{Condvar, Mutex};

use crate::dispatch::Message;
use crate::fence::Failure;
use crate::status::GIGASTT_IO;
use crate::stream::Stream;

/// See the module.
#[derive(Default)]
pub(crate) struct Signal {
    state: Mutex<State>,
    changed: Condvar,
    /// Held by the thread of the callbacks while it holds the stream, which a release waits for: so that thread
    /// never is the one who ends the engine after a release has returned.
    turn: Mutex<()>,
}

#[derive(Default)]
struct State {
    /// Grows with every change.
    generation: u64,
    /// There is an event to take: the descriptor is readable.
    raised: bool,
    pipe: Option<(PipeReader, PipeWriter)>,
    /// Where callbacks are run, and for whom.
    callbacks: Option<Callbacks>,
    /// A message of the stream waits there, whoever's callback it was sent for. So the queue never holds more than each
    /// stream once, and streams take turns.
    queued: bool,
}

struct Callbacks {
    queue: Sender<Message>,
    stream: Weak<Stream>,
    signal: Weak<Signal>,
}

impl Signal {
    /// What `wait` compares with.
    pub(crate) fn generation(&self) -> u64 {
        self.state.lock().generation
    }

    /// Waits for a change since `seen`; false when the deadline passed first.
    pub(crate) fn wait(&self, seen: u64, deadline: Option<Instant>) -> bool {
        let state = self.state.lock();
        let same = |state: &mut State| state.generation == seen;
        match deadline {
            None => {
                drop(self.changed.wait_while(state, same));
                true
            }
            Some(at) => {
                self.changed.wait_while_for(state, same, at.saturating_duration_since(Instant::now()))
            }
        }
    }

    /// Something changed: whoever waits in a call looks again.
    pub(crate) fn change(&self) {
        self.state.lock().generation += 1;
        self.changed.notify_all();
    }

    /// Tells the descriptor and the callbacks whether there is an event to take.
    pub(crate) fn show(&self, event: bool) {
        let mut state = self.state.lock();
        if event {
            state.raise();
        } else {
            state.lower();
        }
    }

    /// The descriptor that is readable while there are events; made when first asked for. Its pipe never
    /// holds more than one byte, so neither end ever blocks.
    pub(crate) fn pipe<T>(&self, reader: impl FnOnce(&PipeReader) -> T) -> Result<T, Failure> {
        let mut state = self.state.lock();
        if state.pipe.is_none() {
            let made = std::io::pipe().map_err(|e| Failure::new(GIGASTT_IO, format!("no pipe: {e}")))?;
            state.pipe = Some(made);
            if std::mem::take(&mut state.raised) {
                state.raise();
            }
        }
        let made = state.pipe.as_ref().ok_or_else(|| Failure::internal("the pipe was just made"));
        made.map(|(end, _)| reader(end))
    }

    /// Runs callbacks by this queue from here on, or no more.
    pub(crate) fn set_callbacks(self: &Arc<Self>, callbacks: Option<(Sender<Message>, Weak<Stream>)>) {
        let mut state = self.state.lock();
        let signal = Arc::downgrade(self);
        state.callbacks = callbacks.map(|(queue, stream)| Callbacks { queue, stream, signal });
        if state.raised {
            state.enqueue();
        }
    }

    /// Runs no more callbacks. After it the thread that runs them holds the stream no more.
    pub(crate) fn end_callbacks(self: &Arc<Self>) {
        self.set_callbacks(None);
        drop(self.turn.lock());
    }

    /// The stream's message was taken from the queue: what it has to tell from here on asks for another.
    pub(crate) fn dequeue(&self) {
        self.state.lock().queued = false;
    }

    /// Works on the stream in its turn, on the thread that runs callbacks, but not in a callback. `None` when it has
    /// no callbacks any more.
    pub(crate) fn turn<T>(&self, body: impl FnOnce(&Stream) -> Option<T>) -> Option<T> {
        let _turn = self.turn.lock();
        let stream = self.state.lock().callbacks.as_ref()?.stream.upgrade()?;
        body(&stream)
    }
}

impl State {
    fn raise(&mut self) {
        if !std::mem::replace(&mut self.raised, true)
            && let Some((_, end)) = &mut self.pipe
        {
            // It holds nothing, so one byte fits; the reading end is ours and open.
            let _ = end.write_all(&[0]);
        }
        self.enqueue();
    }

    fn lower(&mut self) {
        if std::mem::replace(&mut self.raised, false)
            && let Some((end, _)) = &mut self.pipe
        {
            let _ = end.read_exact(&mut [0]);
        }
    }

    fn enqueue(&mut self) {
        if let Some(Callbacks { queue, signal, .. }) = &self.callbacks
            && !self.queued
        {
            // Without its thread the engine is going away, and with it the streams.
            self.queued = queue.send(Message::Turn(Weak::clone(signal))).is_ok();
        }
    }
}

impl Wake for Signal {
    fn wake(self: Arc<Self>) {
        let mut state = self.state.lock();
        state.generation += 1;
        state.raise();
        drop(state);
        self.changed.notify_all();
    }
}
