//! Results as instances of the dataclasses in `gigastt/_results.py`.

use gigastt_core::{
    End, EndpointReason, EngineStats, Event, Final, Form, ModelInfo, Partial, Progress, RecognizerStats,
    Span, Transcript, Word,
};
use pyo3::call::PyCallArgs;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyTuple, PyType};

use crate::errors::{exception, invalid};

/// A class of `gigastt._results`, looked up once. The look-up runs Python code, which may let another
/// thread fork: nothing may be locked meanwhile, or the child would wait for a thread that it lacks.
struct Class {
    name: &'static str,
    class: PyOnceLock<Py<PyType>>,
}

impl Class {
    const fn new(name: &'static str) -> Self {
        Self { name, class: PyOnceLock::new() }
    }

    fn make<'py>(&self, py: Python<'py>, fields: impl PyCallArgs<'py>) -> Made<'py> {
        if let Some(class) = self.class.get(py) {
            return class.bind(py).call1(fields);
        }
        let class = py.import("gigastt._results")?.getattr(self.name)?.cast_into::<PyType>()?;
        // Another thread may have been first, with the same class.
        let _ = self.class.set(py, class.clone().unbind());
        class.call1(fields)
    }
}

type Made<'py> = PyResult<Bound<'py, PyAny>>;

static WORD: Class = Class::new("Word");
static SEGMENT: Class = Class::new("Segment");
static TRANSCRIPT: Class = Class::new("Transcript");
static PARTIAL: Class = Class::new("Partial");
static SPEECH_STARTED: Class = Class::new("SpeechStarted");
static END: Class = Class::new("End");
static PROGRESS: Class = Class::new("Progress");
static DOWNLOAD: Class = Class::new("Download");
static MODEL_INFO: Class = Class::new("ModelInfo");
static ENGINE_STATS: Class = Class::new("EngineStats");
static RECOGNIZER_STATS: Class = Class::new("RecognizerStats");

fn words<'py>(py: Python<'py>, words: &[Word]) -> PyResult<Bound<'py, PyTuple>> {
    let one = |word: &Word| WORD.make(py, (&word.text, word.start, word.end, word.confidence));
    PyTuple::new(py, words.iter().map(one).collect::<PyResult<Vec<_>>>()?)
}

pub(crate) fn segment<'py>(py: Python<'py>, text: &Final) -> Made<'py> {
    let words = words(py, &text.words)?;
    let span = (text.span.start, text.span.end);
    SEGMENT.make(py, (&text.text, words, span, text.endpoint_reason.code(), text.second_pass))
}

pub(crate) fn transcript<'py>(py: Python<'py>, transcript: &Transcript) -> Made<'py> {
    let segments = transcript.segments.iter().map(|text| segment(py, text)).collect::<PyResult<Vec<_>>>()?;
    TRANSCRIPT.make(py, (&transcript.text, PyTuple::new(py, segments)?, transcript.duration))
}

pub(crate) fn partial<'py>(py: Python<'py>, partial: &Partial) -> Made<'py> {
    let words = words(py, &partial.words)?;
    let (committed, tentative, stable) = (partial.committed(), partial.tentative(), partial.stable());
    let (heard, decoded) = (partial.heard_ms, partial.decoded_ms);
    PARTIAL.make(py, (&partial.text, committed, tentative, stable, partial.revision, words, heard, decoded))
}

pub(crate) fn event<'py>(py: Python<'py>, event: &Event) -> Made<'py> {
    match event {
        Event::SpeechStarted { at_ms } => SPEECH_STARTED.make(py, (at_ms,)),
        Event::Partial(text) => partial(py, text),
        Event::Final(text) => segment(py, text),
        Event::End(End::Finished) => END.make(py, ("finished", py.None())),
        Event::End(End::Cancelled) => END.make(py, ("cancelled", py.None())),
        Event::End(End::Failed(error)) => END.make(py, ("failed", exception(py, error)?)),
    }
}

pub(crate) fn progress<'py>(py: Python<'py>, progress: Progress) -> Made<'py> {
    PROGRESS.make(py, (progress.done_s, progress.total_s))
}

pub(crate) fn download<'py>(py: Python<'py>, file: &str, done: u64, total: Option<u64>) -> Made<'py> {
    DOWNLOAD.make(py, (file, done, total))
}

pub(crate) fn model_info<'py>(py: Python<'py>, info: &ModelInfo) -> Made<'py> {
    let ModelInfo { name, variant, quantization, vocab_size, encoder_width: _, source, bytes, optimized } =
        info;
    MODEL_INFO.make(
        py,
        (name, variant.code(), quantization.as_deref(), vocab_size, source, bytes, optimized.map(Form::code)),
    )
}

pub(crate) fn engine_stats<'py>(py: Python<'py>, s: &EngineStats) -> Made<'py> {
    let counts = (s.sessions, s.queued, s.load, s.encoder_s, s.decoder_s, s.encoded_s, s.windows, s.calls);
    ENGINE_STATS.make(py, counts)
}

pub(crate) fn recognizer_stats<'py>(py: Python<'py>, s: &RecognizerStats) -> Made<'py> {
    let RecognizerStats { heard_s, settled_s, lag_ms, windows, revisions, encoder_s, front_end_s, bytes } = s;
    RECOGNIZER_STATS.make(py, (heard_s, settled_s, lag_ms, windows, revisions, encoder_s, front_end_s, bytes))
}

/// Subtitles, `srt` or `vtt`, of segments, each a list of words `(text, start, end)`.
#[pyfunction]
pub(crate) fn subtitles(
    py: Python<'_>,
    segments: Vec<Vec<(String, f64, f64)>>,
    format: &str,
) -> PyResult<String> {
    let word = |(text, start, end)| Word { text, start, end, confidence: 1.0 };
    let segments = segments.into_iter().map(|words| Final {
        text: String::new(),
        words: words.into_iter().map(word).collect(),
        tokens: Vec::new(),
        span: Span::default(),
        endpoint_reason: EndpointReason::Finish,
        second_pass: true,
    });
    let transcript = Transcript::new(segments.collect(), 0.0);
    match format {
        "srt" => Ok(transcript.to_srt()),
        "vtt" => Ok(transcript.to_vtt()),
        other => Err(invalid(py, "format", format!("expected srt or vtt, found {other}"))),
    }
}
