//! Going away in order: one signal, one window from it, and everybody who is told.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;

/// Told to every task of a server. Clones are the same drain.
#[derive(Clone, Default)]
pub(crate) struct Drain {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    token: CancellationToken,
    /// When the window ends.
    end: OnceLock<Instant>,
    /// The conversations and requests that are waited for.
    tasks: TaskTracker,
    /// Requests that were not done when the window was about to end.
    given_up: AtomicUsize,
}

/// Part of the window that is kept for sending what is there, at most [`SENDING_MAX`].
const SENDING_PART: u32 = 4;
const SENDING_MAX: Duration = Duration::from_millis(1_500);

impl Drain {
    /// Begins; the window is `window` from now. Once.
    pub(crate) fn begin(&self, window: Duration) {
        if self.inner.end.set(Instant::now() + window).is_ok() {
            self.inner.token.cancel();
            self.inner.tasks.close();
        }
    }

    /// Whether it has begun.
    pub(crate) fn begun(&self) -> bool {
        self.inner.token.is_cancelled()
    }

    /// Until it begins.
    pub(crate) async fn signal(&self) {
        self.inner.token.cancelled().await;
    }

    /// When finals have to be there, so that they can still be sent. Only once it has begun.
    pub(crate) fn finals_by(&self) -> Instant {
        let end = self.end();
        let window = end.saturating_duration_since(Instant::now());
        end - (window / SENDING_PART).min(SENDING_MAX)
    }

    /// Until it has begun and answers have to be given.
    pub(crate) async fn due(&self) {
        self.signal().await;
        tokio::time::sleep_until(self.finals_by()).await;
    }

    /// Runs a task that the drain waits for.
    pub(crate) fn track<F: Future>(&self, task: F) -> impl Future<Output = F::Output> + use<F> {
        self.inner.tasks.track_future(task)
    }

    /// Something the drain waits for until it is dropped.
    pub(crate) fn token(&self) -> TaskTrackerToken {
        self.inner.tasks.token()
    }

    /// Counts a request that is answered without its result.
    pub(crate) fn gave_up(&self) {
        self.inner.given_up.fetch_add(1, Ordering::Relaxed);
    }

    /// The requests that were answered without their results.
    pub(crate) fn given_up(&self) -> usize {
        self.inner.given_up.load(Ordering::Relaxed)
    }

    /// Waits for the tasks until the window ends. The number of those that still run.
    pub(crate) async fn finish(&self) -> usize {
        let _ = tokio::time::timeout_at(self.end(), self.inner.tasks.wait()).await;
        self.inner.tasks.len()
    }

    fn end(&self) -> Instant {
        self.inner.end.get().copied().unwrap_or_else(Instant::now)
    }
}
