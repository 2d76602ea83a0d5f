//! Live text beside the transcription of the same samples, on spoken dialogues: `make test-all`.
//!
//! `GIGASTT_DIALOGUES` is the folder in which `tests/bench/make_dialogues.py` made them.

use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicBool, Ordering};

use gigastt_core::{EndpointRule, Engine, Options, Recognizer, Segmentation, Transcript};
use serde_json::Value;

use crate::support::samples;

const RATE: usize = 16_000;
const HALF_AN_HOUR: usize = 30 * 60 * RATE;
/// Samples in a push; 0: all of them.
const CHUNKS: [usize; 5] = [1, 160, 441, 8_000, 0];
/// Sentences that are pushed in chunks of each size.
const SENTENCES: usize = 150;
/// Streams that speak beside the one that is looked at.
const BUSY: usize = 31;

static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::builder().threads(2).build().expect("an engine"));

/// A recording of some sentences, and the samples of each with a little of the pauses around it.
struct Dialogue {
    pcm: Vec<i16>,
    sentences: Vec<Vec<i16>>,
}

static DIALOGUES: LazyLock<Vec<Dialogue>> = LazyLock::new(|| {
    let folder = std::env::var("GIGASTT_DIALOGUES").expect("GIGASTT_DIALOGUES, which `make test-long` sets");
    let dialogue = |number: usize| Path::new(&folder).join(format!("{number:03}.wav"));
    (0..).map(dialogue).take_while(|path| path.exists()).map(|path| Dialogue::read(&path)).collect()
});

impl Dialogue {
    fn read(path: &Path) -> Self {
        let pcm: Vec<i16> = samples(path).as_chunks().0.iter().map(|b| i16::from_le_bytes(*b)).collect();
        let told = std::fs::read(path.with_extension("json")).expect("what is said");
        let told: Value = serde_json::from_slice(&told).expect("JSON");
        let sample = |seconds: &Value| (seconds.as_f64().expect("a time") * RATE as f64) as usize;
        let cut = |sentence: &Value| {
            let speech = sentence["speech"].as_array().expect("where it is");
            let (first, last) = (&speech[0][0], &speech[speech.len() - 1][1]);
            let start = sample(first).saturating_sub(RATE * 3 / 10);
            pcm[start..pcm.len().min(sample(last) + RATE * 3 / 10)].to_vec()
        };
        let sentences = told["sentences"].as_array().expect("sentences").iter().map(cut).collect();
        Self { pcm, sentences }
    }
}

fn sentences() -> Vec<&'static [i16]> {
    let all = DIALOGUES.iter().flat_map(|dialogue| dialogue.sentences.iter().map(Vec::as_slice));
    let sentences: Vec<_> = all.take(SENTENCES).collect();
    assert_eq!(sentences.len(), SENTENCES);
    sentences
}

fn transcribe(pcm: &[i16], options: &Options) -> Transcript {
    let samples: Vec<f32> = pcm.iter().map(|s| f32::from(*s) / 32_768.0).collect();
    ENGINE.transcribe(samples.as_slice(), options).expect("a transcript")
}

fn push_all(recognizer: &mut Recognizer, mut pcm: &[i16]) {
    while !pcm.is_empty() {
        let taken = recognizer.push_pcm(pcm).expect("an open stream");
        pcm = &pcm[taken..];
        if taken == 0 {
            recognizer.wait_writable(None).expect("an open stream");
        }
    }
}

fn open(rule: EndpointRule) -> Recognizer {
    ENGINE.recognizer(Options::new(RATE as u32).endpoint(rule)).expect("a stream")
}

/// What a live stream makes of `pcm` in chunks of this size.
fn live(mut recognizer: Recognizer, pcm: &[i16], chunk: usize) -> Transcript {
    for piece in pcm.chunks(if chunk == 0 { pcm.len() } else { chunk }) {
        push_all(&mut recognizer, piece);
        recognizer.poll_partial();
    }
    recognizer.finish().expect("a transcript")
}

/// Fails when the second pass misses a frame or does not start from a fresh decoder state.
#[test]
fn a_manual_stream_gives_the_text_of_the_file_in_chunks_of_every_size() {
    for (number, pcm) in sentences().into_iter().enumerate() {
        let file = transcribe(pcm, &Options::file()).text;
        for chunk in CHUNKS {
            let found = live(open(EndpointRule::manual()), pcm, chunk).text;
            assert_eq!(found, file, "sentence {number} in chunks of {chunk}");
        }
    }
}

/// Streams that speak until they are told to stop, each its own part of the dialogues, as fast as they are
/// served. Returns what they heard, in samples.
fn speak(stop: &AtomicBool) -> u64 {
    let open = |n: usize| {
        let parts = DIALOGUES.iter().cycle().skip(n).flat_map(|dialogue| dialogue.pcm.chunks(320));
        (ENGINE.recognizer(Options::new(RATE as u32)).expect("a stream"), parts)
    };
    let mut streams: Vec<_> = (0..BUSY).map(open).collect();
    let mut heard = 0;
    while !stop.load(Ordering::SeqCst) {
        for (recognizer, parts) in &mut streams {
            let part = parts.next().unwrap_or_default();
            // What does not fit is not said.
            heard += recognizer.push_pcm(part).expect("an open stream") as u64;
            while recognizer.poll_event().is_some() {}
        }
    }
    heard
}

/// Fails when windows of finals share a call with those of other streams.
#[test]
fn the_same_beside_31_busy_streams() {
    let sentences = sentences();
    let files: Vec<_> = sentences.iter().map(|pcm| transcribe(pcm, &Options::file()).text).collect();
    // Opened before the others speak: a saturated engine refuses new live streams.
    let streams: Vec<_> = sentences.iter().map(|_| open(EndpointRule::manual())).collect();
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let speaking = scope.spawn(|| speak(&stop));
        let found = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            for (number, ((pcm, file), stream)) in sentences.iter().zip(&files).zip(streams).enumerate() {
                let chunk = CHUNKS[number % CHUNKS.len()];
                let found = live(stream, pcm, chunk).text;
                assert_eq!(found, *file, "sentence {number} in chunks of {chunk}");
            }
        }));
        stop.store(true, Ordering::SeqCst);
        let heard = speaking.join().expect("they speak") / RATE as u64;
        println!("beside it {BUSY} streams heard {heard} s");
        assert!(found.is_ok() && heard > 60, "{heard} s");
    });
}

/// Fails when a span is not what was encoded.
#[test]
fn half_an_hour_span_by_span() {
    let pcm: Vec<i16> = DIALOGUES.iter().flat_map(|dialogue| &dialogue.pcm).copied().collect();
    assert!(pcm.len() > HALF_AN_HOUR, "{} s", pcm.len() / RATE);
    let whole = Options { segmentation: Segmentation::Whole, ..Options::file() };
    for rule in [EndpointRule::dictation(), EndpointRule::captions()] {
        let found = live(open(rule), &pcm[..HALF_AN_HOUR], 320);
        assert!(found.segments.len() > 300, "{} finals", found.segments.len());
        for segment in &found.segments {
            let span = segment.span.start as usize..segment.span.end as usize;
            assert!(segment.second_pass && segment.span.start % 640 == 0, "{:?}", segment.span);
            assert_eq!(segment.text, transcribe(&pcm[span.clone()], &whole).text, "samples {span:?}");
        }
    }
}
