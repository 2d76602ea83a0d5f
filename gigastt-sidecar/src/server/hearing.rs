//! A recording being recognised: pieces of audio in, events out.

use std::time::Duration;

use gigastt_core::{
    Class, EndpointReason, EndpointRule, Engine, ErrorKind, Event, Options, Plan, Recognizer,
};
use tokio::time::Instant;

use super::App;
use super::gauge::Gauge;
use super::reply::Refusal;
use super::upload::{Piece, Pieces};
use super::work::{Done, work};

/// How often a deadline for finals is compared with the work that is left.
const HURRY_EVERY: Duration = Duration::from_millis(50);

/// See the module. Dropping it cancels what is under way.
pub(crate) struct Hearing {
    recognizer: Recognizer,
    pieces: Pieces,
    samples: Vec<f32>,
    taken: usize,
    /// Whether no more audio is wanted.
    closed: bool,
    /// When finals have to be there.
    by: Option<Instant>,
    gauge: Gauge,
}

/// Whether somebody reads along.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Partials {
    Wanted,
    Unwanted,
}

impl Hearing {
    /// Waits for the recording to begin and to be admitted.
    ///
    /// # Errors
    /// What is wrong with the upload, `timeout` when it was not admitted.
    pub(crate) async fn begin(
        app: &App,
        mut pieces: Pieces,
        rule: EndpointRule,
        partials: Partials,
    ) -> Result<Self, Refusal> {
        let (checkout, sessions_max) = {
            let settings = app.settings.load();
            (settings.checkout, settings.max_sessions)
        };
        let format = match pieces.recv().await {
            Some(Ok(Piece::Format(format))) => format,
            Some(Err(refusal)) => return Err(refusal),
            Some(Ok(Piece::Samples(_))) | None => return Err(Refusal::internal()),
        };
        let engine = app.engine(checkout).await?;
        let options = Options { format, ..options(&engine, rule, partials) };
        let opened = app.admission.open(&engine, &options, checkout, sessions_max).await;
        let recognizer = opened.map_err(|error| {
            let busy = error.kind() == ErrorKind::Busy;
            app.metrics.pool_timeouts.inc_by(u64::from(busy));
            let retry_after = busy.then(|| checkout.max(Duration::from_secs(1)));
            Refusal { retry_after, ..error.into() }
        })?;
        Ok(Self {
            recognizer,
            pieces,
            samples: Vec::new(),
            taken: 0,
            closed: false,
            by: None,
            gauge: Gauge::new(app.metrics.clone()),
        })
    }

    /// The next event; after the end none. Loses nothing when it is dropped.
    ///
    /// # Errors
    /// What is wrong with the rest of the upload, or what recognition failed with.
    pub(crate) async fn next(&mut self) -> Result<Option<Event>, Refusal> {
        loop {
            if let (Some(by), true) = (self.by, self.closed) {
                self.recognizer.hurry(by.saturating_duration_since(Instant::now()))?;
            }
            let hungry = self.taken == self.samples.len() && !self.closed;
            let audio = if self.closed { &[] } else { &self.samples[self.taken..] };
            tokio::select! {
                biased;
                done = work(&mut self.recognizer, audio, true) => match done? {
                    Done::Event(Event::End(end)) => {
                        end.into_result()?;
                        return Ok(None);
                    }
                    Done::Event(event) => {
                        self.gauge.event(&event);
                        return Ok(Some(event));
                    }
                    Done::Took(samples) => {
                        self.taken += samples;
                        self.gauge.took(Some(&self.recognizer));
                    }
                },
                piece = self.pieces.recv(), if hungry => match piece {
                    Some(Ok(Piece::Samples(samples))) => (self.samples, self.taken) = (samples, 0),
                    Some(Ok(Piece::Format(_))) => {}
                    Some(Err(refusal)) => return Err(refusal),
                    None => self.close(EndpointReason::Finish)?,
                },
                () = tokio::time::sleep(HURRY_EVERY), if self.by.is_some() => {}
            }
            tokio::task::consume_budget().await;
        }
    }

    /// Takes no more audio; the finals of what was heard follow, by the newest hypotheses where their second
    /// pass does not fit the time.
    ///
    /// # Errors
    /// What recognition failed with.
    pub(crate) fn stop(&mut self, by: Instant) -> Result<(), Refusal> {
        self.by = Some(by);
        self.close(EndpointReason::Shutdown)
    }

    /// Seconds of audio heard.
    pub(crate) fn heard_s(&self) -> f64 {
        self.recognizer.stats().heard_s
    }

    fn close(&mut self, reason: EndpointReason) -> Result<(), Refusal> {
        self.closed = true;
        Ok(self.recognizer.close(reason)?)
    }
}

/// As the library transcribes a file: behind live streams, its segments side by side.
fn options(engine: &Engine, rule: EndpointRule, partials: Partials) -> Options {
    let segments = engine.threads() as u32 + 1;
    let backlog_ms = segments.saturating_mul(rule.utterance_max_ms).min(600_000);
    let partials = (partials == Partials::Wanted).then(Plan::default);
    Options { class: Class::Bulk, partials, backlog_ms, ..Options::file().endpoint(rule) }
}
