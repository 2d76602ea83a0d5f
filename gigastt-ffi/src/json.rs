//! Results as JSON, in the words of the program `gigastt`.

use gigastt_core::{Engine, Final, Form, Partial, Transcript, Word};
use serde_json::{Value, json};

/// Seconds as whole milliseconds.
pub(crate) fn milliseconds(seconds: f64) -> i64 {
    (seconds * 1000.0).round() as i64
}

/// More digits would be noise.
fn thousandths(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}

fn words<'a>(words: impl IntoIterator<Item = &'a Word>) -> Value {
    let word = |word: &Word| {
        json!({
            "word": word.text, "start": thousandths(word.start), "end": thousandths(word.end),
            "confidence": thousandths(word.confidence.into()),
        })
    };
    words.into_iter().map(word).collect()
}

pub(crate) fn partial(partial: &Partial) -> Value {
    json!({
        "text": partial.text, "committed": partial.committed(), "tentative": partial.tentative(),
        "stable": partial.stable(), "revision": partial.revision, "words": words(&partial.words),
        "audio_ms": partial.heard_ms, "decoded_ms": partial.decoded_ms,
    })
}

pub(crate) fn utterance(text: &Final) -> Value {
    let seconds = |sample: u64| thousandths(sample as f64 / f64::from(gigastt_core::audio::RATE));
    json!({
        "text": text.text, "start": seconds(text.span.start), "end": seconds(text.span.end),
        "span": [text.span.start, text.span.end], "endpoint_reason": text.endpoint_reason.code(),
        "second_pass": text.second_pass, "words": words(&text.words),
    })
}

pub(crate) fn transcript(transcript: &Transcript) -> Value {
    json!({
        "text": transcript.text, "duration": thousandths(transcript.duration), "words": words(transcript.words()),
        "segments": transcript.segments.iter().map(utterance).collect::<Value>(),
    })
}

pub(crate) fn info(engine: &Engine) -> String {
    let info = engine.info();
    let value = json!({
        "name": info.name, "variant": info.variant.code(), "quantization": info.quantization,
        "vocab_size": info.vocab_size, "source": info.source, "bytes": info.bytes,
        "optimized": info.optimized.map(Form::code),
        "threads": engine.threads(), "sample_rate": gigastt_core::audio::RATE,
    });
    value.to_string()
}
