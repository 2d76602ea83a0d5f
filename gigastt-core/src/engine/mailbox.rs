//! Where a stream's replies arrive, and where its owner waits for them.
//!
//! The only thing a stream shares with the workers and with its cancellers. Replies are bounded by
//! the windows that the session has out.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::task::Waker;
use std::time::Duration;

use crate::sync::{Condvar, Mutex};

use super::batcher::Ticket;
use crate::model::Interrupt;
use crate::session::Reply;

/// See the module.
#[derive(Default)]
pub(crate) struct Mailbox {
    state: Mutex<State>,
    changed: Condvar,
    /// Ends the model call that runs for this stream alone.
    pub interrupt: Interrupt,
}

#[derive(Default)]
struct State {
    replies: Vec<(Ticket, Reply)>,
    waker: Option<Waker>,
}

impl Mailbox {
    /// Hands over a reply and wakes the owner.
    pub(crate) fn put(&self, ticket: Ticket, reply: Reply) {
        let mut state = self.state.lock();
        state.replies.push((ticket, reply));
        let waker = state.waker.take();
        drop(state);
        self.wake(waker);
    }

    /// Moves the replies into `into`, which is empty.
    pub(crate) fn take(&self, into: &mut Vec<(Ticket, Reply)>) {
        std::mem::swap(&mut self.state.lock().replies, into);
    }

    /// Cancels: idempotent, from any thread. Ends the running call and wakes the owner.
    pub(crate) fn cancel(&self) {
        self.interrupt.fire();
        let waker = self.state.lock().waker.take();
        self.wake(waker);
    }

    /// Whether `cancel` was called.
    pub(crate) fn cancelled(&self) -> bool {
        self.interrupt.fired()
    }

    /// Waits until there is a reply, or until cancelled, or for `limit`. False when it was the limit.
    pub(crate) fn wait(&self, limit: Option<Duration>) -> bool {
        let state = self.state.lock();
        let idle = |state: &mut State| state.replies.is_empty() && !self.cancelled();
        match limit {
            None => {
                drop(self.changed.wait_while(state, idle));
                true
            }
            Some(limit) => self.changed.wait_while_for(state, idle, limit),
        }
    }

    /// Wakes `waker` at the next reply or cancellation. True when one is there already.
    #[cfg(feature = "async")]
    pub(crate) fn register(&self, waker: &Waker) -> bool {
        let mut state = self.state.lock();
        state.waker = Some(waker.clone());
        !state.replies.is_empty() || self.cancelled()
    }

    fn wake(&self, waker: Option<Waker>) {
        self.changed.notify_all();
        // A worker serves other streams, too, and whoever cancels may have more of them to cancel.
        if let Some(waker) = waker
            && catch_unwind(AssertUnwindSafe(|| waker.wake())).is_err()
        {
            log::error!("the waker of a stream panicked");
        }
    }
}
