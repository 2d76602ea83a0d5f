//! Who may begin: by what the model can still do, in the order of arrival.

use std::time::Duration;

use gigastt_core::{Engine, Error, ErrorKind, Options, Recognizer, Result};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until, timeout_at};

use super::metrics::Metrics;
use crate::messages::Trouble;

/// How often the first in the line asks again. Load is an average that falls as time passes, so nobody could
/// wake him.
const ASK_EVERY: Duration = Duration::from_millis(50);

/// The line before the engine. Fair: [`Mutex`] serves in order, and who gives up leaves the line.
pub(crate) struct Admission {
    line: Mutex<()>,
    metrics: Metrics,
}

impl Admission {
    pub(crate) fn new(metrics: Metrics) -> Self {
        Self { line: Mutex::new(()), metrics }
    }

    /// Opens a stream as soon as the engine has time for one more and fewer than `sessions_max` are open, at
    /// the latest after `limit`. Recordings wait as live streams do; the engine itself would queue them without
    /// end.
    ///
    /// # Errors
    /// `Busy` when that did not happen; else what opening fails with.
    pub(crate) async fn open(
        &self,
        engine: &Engine,
        options: &Options,
        limit: Duration,
        sessions_max: usize,
    ) -> Result<Recognizer> {
        let begun = Instant::now();
        let deadline = begun + limit;
        let opened = match timeout_at(deadline, self.line.lock()).await {
            Ok(_turn) => loop {
                match open(engine, options, sessions_max) {
                    Err(error) if error.kind() == ErrorKind::Busy && Instant::now() < deadline => {
                        sleep_until(deadline.min(Instant::now() + ASK_EVERY)).await;
                    }
                    other => break other,
                }
            },
            Err(_) => Err(Error::new(ErrorKind::Busy, "others wait before this one")),
        };
        self.metrics.pool_checkout.observe(begun.elapsed().as_secs_f64());
        opened
    }
}

fn open(engine: &Engine, options: &Options, sessions_max: usize) -> Result<Recognizer> {
    room(engine, sessions_max)?;
    engine.recognizer(options.clone())
}

/// Whether there is room for one more stream.
///
/// # Errors
/// `Busy` when there is none; `Forked`.
pub(crate) fn room(engine: &Engine, sessions_max: usize) -> Result<()> {
    engine.admit()?;
    let open = engine.stats()?.sessions;
    if open >= sessions_max {
        return Err(Error::new(ErrorKind::Busy, format!("{open} streams are open, as many as allowed")));
    }
    Ok(())
}

/// How a refusal is told.
pub(crate) fn trouble(kind: ErrorKind, retry_after: Duration) -> Trouble {
    let retry_after_ms = Some(u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX));
    match kind {
        ErrorKind::Busy | ErrorKind::Timeout => Trouble {
            retry_after_ms,
            ..Trouble::new("timeout", "The service is at its capacity; try again later")
        },
        ErrorKind::Closed | ErrorKind::Cancelled | ErrorKind::Forked => {
            Trouble::new("pool_closed", "The service takes no work any more")
        }
        _ => Trouble::new("internal", "Internal error"),
    }
}
