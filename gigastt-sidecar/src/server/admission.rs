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
    let retry_after = retry_after.max(Duration::from_secs(1));
    let retry_after_ms = Some(u64::try_from(retry_after.as_millis()).unwrap_or(u64::MAX));
    match kind {
        ErrorKind::Busy | ErrorKind::Timeout => Trouble {
            retry_after_ms,
            ..Trouble::new("timeout", "The service is at its capacity; try again later")
        },
        ErrorKind::Closed | ErrorKind::Cancelled | ErrorKind::Forked => {
            Trouble::new("pool_closed", "The service takes no work any more")
        }
        ErrorKind::InvalidArgument
        | ErrorKind::InvalidAudio
        | ErrorKind::Io
        | ErrorKind::ModelNotFound
        | ErrorKind::InvalidModel
        | ErrorKind::Runtime
        | ErrorKind::Provider
        | ErrorKind::Inference
        | ErrorKind::Network
        | ErrorKind::Internal => Trouble::new("internal", "Internal error"),
    }
}

#[cfg(test)]
mod tests {
    use futures_util::poll;
    use gigastt_core::fake::Script;

    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    /// Nobody wakes the first in the line, so time passes until he asks again.
    async fn later() {
        tokio::time::advance(2 * ASK_EVERY).await;
    }

    #[test]
    fn a_refusal_has_a_hint_also_where_nobody_waits() {
        assert_eq!(trouble(ErrorKind::Busy, Duration::ZERO).retry_after_ms, Some(1_000));
        assert_eq!(trouble(ErrorKind::Busy, LONG).retry_after_ms, Some(60_000));
    }

    #[tokio::test(start_paused = true)]
    async fn who_waits_is_admitted_in_the_order_of_arrival() {
        let admission = Admission::new(Metrics::new().expect("metrics"));
        let engine = Engine::fake(Script::default(), 1).expect("the scripted model");
        let options = Options::new(16_000);
        let open = |limit| Box::pin(admission.open(&engine, &options, limit, 1));
        let first = open(LONG).await.expect("room for one");
        let (mut second, mut third, mut fourth, mut fifth) =
            (open(LONG), open(ASK_EVERY), open(LONG), open(LONG));
        for waiting in [&mut second, &mut third, &mut fourth, &mut fifth] {
            assert!(poll!(waiting).is_pending());
        }
        later().await;
        let refused = third.await.expect_err("its time is over");
        assert_eq!(refused.kind(), ErrorKind::Busy);
        assert!(poll!(&mut second).is_pending(), "there is no room yet");
        drop(first);
        later().await;
        assert!(poll!(&mut fifth).is_pending() && poll!(&mut fourth).is_pending());
        let second = second.await.expect("its turn");
        // The client of the fourth leaves while he waits: his turn is the fifth's.
        assert!(poll!(&mut fourth).is_pending() && poll!(&mut fifth).is_pending());
        drop((fourth, second));
        later().await;
        fifth.await.expect("its turn");
    }
}
