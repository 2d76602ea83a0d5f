//! Arguments from Python: numbers in range, endpoint rules, time limits.

use std::time::Duration;

use gigastt_core::audio::Channels;
use gigastt_core::{Canceller, EndpointRule, Mode, Options, Segmentation};
use pyo3::prelude::*;
use pyo3::types::PyDict;

use crate::errors::{OrRaise, invalid};

/// The longest time limit, in seconds: a year. Longer ones are as good as none.
const LIMIT_MAX_S: f64 = 31_536_000.0;

/// The attributes of Python's `EndpointRule`.
#[derive(FromPyObject)]
pub(crate) struct Rule {
    gate: bool,
    whole_if_short: bool,
    speech_ms: i64,
    pre_roll_ms: i64,
    post_roll_ms: i64,
    silence_ms: Option<i64>,
    utterance_max_ms: i64,
    cut_from_ms: i64,
    tail_min_ms: i64,
}

impl Rule {
    pub(crate) fn rule(&self, py: Python<'_>) -> PyResult<EndpointRule> {
        let silence_ms = self.silence_ms.map(|silence_ms| count(py, "silence_ms", silence_ms));
        Ok(EndpointRule {
            gate: self.gate,
            whole_if_short: self.whole_if_short,
            speech_ms: count(py, "speech_ms", self.speech_ms)?,
            pre_roll_ms: count(py, "pre_roll_ms", self.pre_roll_ms)?,
            post_roll_ms: count(py, "post_roll_ms", self.post_roll_ms)?,
            silence_ms: silence_ms.transpose()?,
            utterance_max_ms: count(py, "utterance_max_ms", self.utterance_max_ms)?,
            cut_from_ms: count(py, "cut_from_ms", self.cut_from_ms)?,
            tail_min_ms: count(py, "tail_min_ms", self.tail_min_ms)?,
        })
    }
}

/// The fields of a profile's rule, by name.
#[pyfunction]
pub(crate) fn endpoint_profile<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyDict>> {
    let rule = EndpointRule::profile(name).or_raise(py)?;
    let fields = PyDict::new(py);
    fields.set_item("gate", rule.gate)?;
    fields.set_item("whole_if_short", rule.whole_if_short)?;
    fields.set_item("speech_ms", rule.speech_ms)?;
    fields.set_item("pre_roll_ms", rule.pre_roll_ms)?;
    fields.set_item("post_roll_ms", rule.post_roll_ms)?;
    fields.set_item("silence_ms", rule.silence_ms)?;
    fields.set_item("utterance_max_ms", rule.utterance_max_ms)?;
    fields.set_item("cut_from_ms", rule.cut_from_ms)?;
    fields.set_item("tail_min_ms", rule.tail_min_ms)?;
    Ok(fields)
}

/// What a live stream is opened with.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Live {
    sample_rate: i64,
    channels: i64,
    channel: Option<i64>,
    endpoint: Rule,
    mode: String,
    partials: bool,
    backlog_ms: i64,
    finals_max: i64,
}

impl Live {
    /// The options. What is out of its range is found when the stream is opened.
    pub(crate) fn options(&self, py: Python<'_>) -> PyResult<Options> {
        let mut options = Options::new(count(py, "sample_rate", self.sample_rate)?);
        options.endpoint = self.endpoint.rule(py)?;
        options.format.channels = count(py, "channels", self.channels)?;
        options.channels = picked(py, self.channel)?;
        options.mode = match self.mode.as_str() {
            "two_pass" => Mode::TwoPass,
            "incremental" => Mode::Incremental,
            other => {
                return Err(invalid(py, "mode", format!("expected two_pass or incremental, found {other}")));
            }
        };
        if !self.partials {
            options.partials = None;
        }
        options.backlog_ms = count(py, "backlog_ms", self.backlog_ms)?;
        options.finals_max = count(py, "finals_max", self.finals_max)?;
        Ok(options)
    }
}

/// What a recording is transcribed with.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct Recording {
    channel: Option<i64>,
    endpoint: Rule,
    segmentation: String,
    canceller: Option<Py<crate::transcribe::Canceller>>,
}

impl Recording {
    /// What ends the work beside signals; a new one unless one was given.
    pub(crate) fn canceller(&self) -> Canceller {
        self.canceller.as_ref().map_or_else(Canceller::new, |canceller| canceller.get().canceller())
    }

    /// The options. The recording's own format replaces theirs.
    pub(crate) fn options(&self, py: Python<'_>) -> PyResult<Options> {
        let mut options = Options::file().endpoint(self.endpoint.rule(py)?);
        options.channels = picked(py, self.channel)?;
        options.segmentation = match self.segmentation.as_str() {
            "auto" => Segmentation::Auto,
            "whole" => Segmentation::Whole,
            other => {
                return Err(invalid(py, "segmentation", format!("expected auto or whole, found {other}")));
            }
        };
        Ok(options)
    }
}

fn picked(py: Python<'_>, channel: Option<i64>) -> PyResult<Channels> {
    channel.map_or(Ok(Channels::Mix), |channel| Ok(Channels::Pick(count(py, "channel", channel)?)))
}

/// A whole number that its type can hold.
pub(crate) fn count<T: TryFrom<i64>>(py: Python<'_>, name: &str, number: i64) -> PyResult<T> {
    T::try_from(number).map_err(|_| invalid(py, name, format!("{number} is out of range")))
}

/// A time limit in seconds; `None` waits for ever.
pub(crate) fn limit(py: Python<'_>, seconds: Option<f64>) -> PyResult<Option<Duration>> {
    match seconds {
        None => Ok(None),
        Some(seconds) if seconds >= 0.0 => Ok(Some(Duration::from_secs_f64(seconds.min(LIMIT_MAX_S)))),
        Some(seconds) => {
            Err(invalid(py, "timeout", format!("expected seconds of 0 or more, found {seconds}")))
        }
    }
}
