//! The embedded model from end to end: audio in, the right words out.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test stops where it fails.
#![cfg(feature = "embedded-model")]

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::LazyLock;

use gigastt_core::{Class, EndpointRule, Engine, Event, Mode, Options, Recognizer, Segmentation, Transcript};

static ENGINE: LazyLock<Engine> = LazyLock::new(|| Engine::builder().threads(2).build().unwrap());

/// The recordings of synthesised speech that the model transcribes without an error.
const EXACT: [&str; 6] = ["sample_00", "sample_01", "sample_02", "sample_04", "sample_05", "sample_08"];

fn sample(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/samples").join(name)
}

/// The samples of a 16 kHz, 16-bit, mono file: what follows the chunk header `data`.
fn pcm(name: &str) -> Vec<i16> {
    let bytes = std::fs::read(sample(&format!("{name}.wav"))).unwrap();
    let data = bytes.windows(4).position(|w| w == b"data").unwrap() + 8;
    bytes[data..].as_chunks().0.iter().map(|s| i16::from_le_bytes(*s)).collect()
}

fn spoken(name: &str) -> String {
    std::fs::read_to_string(sample(&format!("{name}.txt"))).unwrap().trim().to_owned()
}

fn push_all(recognizer: &mut Recognizer, mut samples: &[i16]) {
    while !samples.is_empty() {
        let taken = recognizer.push_pcm(samples).unwrap();
        samples = &samples[taken..];
        if taken == 0 {
            recognizer.wait_writable(None).unwrap();
        }
    }
}

fn stream(samples: &[i16], chunk: usize, options: Options) -> Transcript {
    let mut recognizer = ENGINE.recognizer(options).unwrap();
    for piece in samples.chunks(chunk) {
        push_all(&mut recognizer, piece);
        recognizer.poll_partial();
    }
    recognizer.finish().unwrap()
}

fn whole(samples: &[i16]) -> Transcript {
    let samples: Vec<f32> = samples.iter().map(|s| f32::from(*s) / 32_768.0).collect();
    let options = Options { segmentation: Segmentation::Whole, ..Options::file() };
    ENGINE.transcribe(samples.as_slice(), &options).unwrap()
}

#[test]
fn samples_are_transcribed_exactly() {
    for name in EXACT {
        let transcript = whole(&pcm(name));
        assert_eq!(transcript.text, spoken(name), "{name}");
        assert!(transcript.words().all(|w| w.start < w.end && w.confidence > 0.3), "{name}");
    }
}

#[test]
fn a_manual_stream_gives_the_text_of_the_whole_file() {
    for name in EXACT {
        let samples = pcm(name);
        for chunk in [1, 160, 441, 8_000, samples.len()] {
            let options = Options::new(16_000).endpoint(EndpointRule::manual());
            let live = stream(&samples, chunk, options);
            assert_eq!(live.text, spoken(name), "{name}, chunks of {chunk}");
        }
    }
}

#[test]
fn a_manual_stream_gives_the_text_of_the_whole_file_beside_31_busy_ones() {
    let options = || Options::new(16_000).endpoint(EndpointRule::manual());
    let crowd = pcm("long_00");
    let mut busy: Vec<_> = (0..31).map(|_| ENGINE.recognizer(Options::new(16_000)).unwrap()).collect();
    for (name, chunk) in EXACT.iter().zip([1, 160, 441, 8_000, usize::MAX, 8_000]) {
        let samples = pcm(name);
        let mut recognizer = ENGINE.recognizer(options()).unwrap();
        for (n, piece) in samples.chunks(chunk.min(samples.len())).enumerate() {
            push_all(&mut recognizer, piece);
            recognizer.poll_partial();
            // The others hear two seconds each, a fifth of a second at a time.
            if n * chunk.min(samples.len()) % 8_000 < chunk && n * chunk < 10 * 8_000 {
                for (at, other) in busy.iter_mut().enumerate() {
                    push_all(other, &crowd[at * 3_200..][..3_200]);
                    while other.poll_event().is_some() {}
                }
            }
        }
        assert_eq!(recognizer.finish().unwrap().text, spoken(name), "{name}, chunks of {chunk}");
    }
}

/// Half an hour of sentences with pauses of 0.1 to 2.5 s between them and noise under everything.
fn dialogue() -> Vec<i16> {
    let sentences = EXACT.map(pcm);
    let mut seed = 7_u32;
    let mut random = move || {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        seed >> 8
    };
    let mut samples = Vec::new();
    while samples.len() < 30 * 60 * 16_000 {
        samples.extend_from_slice(&sentences[random() as usize % sentences.len()]);
        samples.resize(samples.len() + 1_600 + random() as usize % 38_400, 0);
    }
    for sample in &mut samples {
        *sample = sample.saturating_add((random() % 61) as i16 - 30);
    }
    samples
}

fn check_spans(samples: &[i16], rule: EndpointRule) -> usize {
    let live = stream(samples, 320, Options::new(16_000).endpoint(rule));
    for segment in &live.segments {
        let span = segment.span.start as usize..segment.span.end as usize;
        assert!(segment.second_pass);
        assert_eq!(segment.span.start % 640, 0);
        assert_eq!(segment.text, whole(&samples[span]).text, "{:?}", segment.span);
    }
    live.segments.len()
}

#[test]
fn every_final_is_the_transcription_of_its_span() {
    let samples = pcm("long_00");
    for rule in [EndpointRule::dictation(), EndpointRule::assistant(), EndpointRule::captions()] {
        let finals = check_spans(&samples, rule);
        assert!(finals > 2, "{finals} finals");
    }
}

#[test]
fn every_final_of_half_an_hour_is_the_transcription_of_its_span() {
    let finals = check_spans(&dialogue(), EndpointRule::dictation());
    assert!(finals > 100, "{finals} finals");
}

#[test]
fn incremental_text_is_committed_and_kept() {
    let samples = pcm("long_00");
    let mut recognizer = ENGINE.recognizer(Options::new(16_000).mode(Mode::Incremental)).unwrap();
    let mut committed = String::new();
    let mut check = |event: Event| match event {
        Event::Partial(partial) => {
            assert!(partial.committed().starts_with(&committed), "{committed} | {}", partial.committed());
            committed = partial.committed().to_owned();
        }
        Event::Final(text) => {
            assert!(text.text.starts_with(&committed), "{committed} | {}", text.text);
            committed.clear();
        }
        Event::SpeechStarted { .. } | Event::End(_) => {}
    };
    for piece in samples.chunks(320) {
        push_all(&mut recognizer, piece);
        while let Some(event) = recognizer.poll_event() {
            check(event);
        }
    }
    recognizer.close(gigastt_core::EndpointReason::Finish).unwrap();
    while let Some(event) = recognizer.next_event(None).unwrap() {
        check(event);
    }
}

#[test]
fn a_file_is_one_window_whatever_its_class() {
    let options = Options { class: Class::Live, ..Options::file() };
    let samples: Vec<f32> = pcm("sample_04").iter().map(|s| f32::from(*s) / 32_768.0).collect();
    let transcript = ENGINE.transcribe(samples.as_slice(), &options).unwrap();
    assert_eq!(transcript.segments.len(), 1);
    assert_eq!(transcript.text, spoken("sample_04"));
}

/// What a program of `examples/rust` writes for this input.
fn example(name: &str, arguments: &[PathBuf], input: &[u8]) -> String {
    let tests = std::env::current_exe().unwrap();
    let program = tests.parent().and_then(Path::parent).unwrap().join("examples").join(name);
    assert!(
        program.is_file(),
        "`cargo test` without `--test`, or `cargo build --examples`, builds {program:?}"
    );
    let piped = || Stdio::piped();
    let mut child = Command::new(program).args(arguments).stdin(piped()).stdout(piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{name}: {}", output.status);
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_examples_write_what_is_said() {
    let said = spoken("sample_08");
    let transcribed = example("transcribe", &[sample("sample_08.wav")], &[]);
    assert_eq!(transcribed.lines().last(), Some(said.as_str()));
    let samples: Vec<u8> = pcm("sample_08").iter().flat_map(|s| s.to_le_bytes()).collect();
    let live = example("stream", &[], &samples);
    assert_eq!(live.rsplit('\r').next().map(str::trim), Some(said.as_str()), "{live}");
}
