//! Cancelling from any thread.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};

use crate::sync::Mutex;

use super::mailbox::Mailbox;

/// Cancels the streams it is attached to. Clones are the same canceller. Every call is safe from
/// any thread at any time.
#[derive(Clone, Default)]
pub struct Canceller {
    inner: Arc<Inner>,
}

impl fmt::Debug for Canceller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Canceller").field("cancelled", &self.is_cancelled()).finish_non_exhaustive()
    }
}

struct Inner {
    /// The process it was made in.
    pid: u32,
    fired: AtomicBool,
    streams: Mutex<Vec<Weak<Mailbox>>>,
}

impl Default for Inner {
    fn default() -> Self {
        Self { pid: std::process::id(), fired: AtomicBool::default(), streams: Mutex::default() }
    }
}

impl Canceller {
    /// A canceller that is not attached to anything yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels: wakes every wait of the attached streams, drops their queued work and ends the model
    /// call that runs for one of them alone. Streams attached later are cancelled at once. Idempotent. Does
    /// nothing in a forked child, where the lock may be held by a thread that does not exist.
    pub fn cancel(&self) {
        if self.inner.pid != std::process::id() {
            return;
        }
        // Under the lock, so that no stream is attached between the flag and the loop.
        let streams = self.inner.streams.lock();
        self.inner.fired.store(true, Ordering::SeqCst);
        for mailbox in streams.iter().filter_map(Weak::upgrade) {
            mailbox.cancel();
        }
    }

    /// Whether `cancel` was called.
    pub fn is_cancelled(&self) -> bool {
        self.inner.fired.load(Ordering::SeqCst)
    }

    pub(crate) fn attach(&self, mailbox: &Arc<Mailbox>) {
        let mut streams = self.inner.streams.lock();
        streams.retain(|stream| stream.strong_count() > 0);
        streams.push(Arc::downgrade(mailbox));
        if self.is_cancelled() {
            mailbox.cancel();
        }
    }
}
