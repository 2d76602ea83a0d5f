//! What one stream adds to the metrics, and takes away when it ends.

use std::collections::VecDeque;
use std::time::Instant;

use gigastt_core::{Event, Recognizer};

use super::metrics::Metrics;

/// Pushes whose times are remembered, for the latency of partials.
const MARKS_MAX: usize = 256;

/// See the module.
pub(crate) struct Gauge {
    metrics: Metrics,
    state: Option<&'static str>,
    heard_s: f64,
    buffered_s: f64,
    front_end_s: f64,
    /// Up to which millisecond of audio was pushed, and when.
    marks: VecDeque<(u64, Instant)>,
    ending: Option<Instant>,
}

impl Gauge {
    pub(crate) fn new(metrics: Metrics) -> Self {
        let marks = VecDeque::new();
        Self { metrics, state: None, heard_s: 0.0, buffered_s: 0.0, front_end_s: 0.0, marks, ending: None }
    }

    /// Counts the live stream in its state, and what of its audio is in no final yet.
    pub(crate) fn look(&mut self, state: &'static str, recognizer: Option<&Recognizer>) {
        if self.state != Some(state) {
            self.leave();
            self.metrics.sessions.with_label_values(&[state]).inc();
            self.state = Some(state);
            if state == "ending" {
                self.ending = Some(Instant::now());
            }
        }
        // Here and not when audio is taken: a final settles it as well. What a recording has in hand is its share
        // of work, not lag, and nobody calls this for one.
        self.buffer(recognizer.map(Recognizer::stats).map_or(0.0, |stats| stats.heard_s - stats.settled_s));
    }

    /// The recognizer took audio.
    pub(crate) fn took(&mut self, recognizer: Option<&Recognizer>) {
        let Some(stats) = recognizer.map(Recognizer::stats) else { return };
        self.metrics.audio_seconds.inc_by((stats.heard_s - self.heard_s).max(0.0));
        self.metrics
            .inference_seconds
            .with_label_values(&["features"])
            .inc_by((stats.front_end_s - self.front_end_s).max(0.0));
        (self.heard_s, self.front_end_s) = (stats.heard_s, stats.front_end_s);
        if self.marks.len() == MARKS_MAX {
            self.marks.pop_front();
        }
        self.marks.push_back(((stats.heard_s * 1000.0) as u64, Instant::now()));
    }

    /// The recognizer told something.
    pub(crate) fn event(&mut self, event: &Event) {
        match event {
            Event::Partial(partial) => {
                while self.marks.front().is_some_and(|(heard_ms, _)| *heard_ms < partial.decoded_ms) {
                    self.marks.pop_front();
                }
                if let Some((_, pushed)) = self.marks.front() {
                    self.metrics.partial_latency.observe(pushed.elapsed().as_secs_f64());
                }
            }
            Event::Final(_) => {
                if let Some(since) = self.ending.take() {
                    let stage = self.metrics.inference_seconds.with_label_values(&["final"]);
                    stage.inc_by(since.elapsed().as_secs_f64());
                }
            }
            Event::SpeechStarted { .. } | Event::End(_) => {}
        }
    }

    fn buffer(&mut self, seconds: f64) {
        self.metrics.audio_buffer.add(seconds - self.buffered_s);
        self.buffered_s = seconds;
    }

    fn leave(&self) {
        if let Some(state) = self.state {
            self.metrics.sessions.with_label_values(&[state]).dec();
        }
    }
}

impl Drop for Gauge {
    fn drop(&mut self) {
        self.leave();
        self.buffer(0.0);
    }
}
