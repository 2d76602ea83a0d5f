//! Pushing audio allocates nothing in the steady state.
//!
//! Fails when windows are cut into fresh vectors instead of those that came back.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test stops where it fails.
#![cfg(feature = "fake-model")]

use std::time::{Duration, Instant};

use gigastt_core::fake::{FRAME, Script, amplitude};
use gigastt_core::{Class, Engine, Mode, Options, Recognizer};

/// Utterances of 4 s with pauses between them, at 48 kHz.
fn dialogue(utterances: usize) -> Vec<i16> {
    let words = (0..utterances).flat_map(|_| (1..=10).map(|w| (w, 10)).chain([(0, 40)]));
    words
        .flat_map(|(word, frames)| {
            std::iter::repeat_n((amplitude(word) * 32_768.0) as i16, frames * FRAME * 3)
        })
        .collect()
}

fn push(recognizer: &mut Recognizer, chunk: &[i16]) -> u64 {
    let mut taken = 0;
    let info = allocation_counter::measure(|| taken = recognizer.push_pcm(chunk).unwrap());
    assert_eq!(taken, chunk.len(), "the scripted model keeps up");
    info.count_total
}

/// Takes events until no window is with a worker, as between the pushes of live audio.
fn settle(recognizer: &mut Recognizer) {
    let started = Instant::now();
    while recognizer.poll_event().is_some() || recognizer.stats().windows > 0 {
        assert!(started.elapsed() < Duration::from_secs(60), "the scripted model answers");
        std::thread::yield_now();
    }
}

#[test]
fn pushing_allocates_nothing_in_the_steady_state() {
    let engine = Engine::fake(Script::default(), 1).unwrap();
    for mode in [Mode::TwoPass, Mode::Incremental] {
        let options = Options { class: Class::Live, ..Options::new(48_000).mode(mode) };
        let mut recognizer = engine.recognizer(options).unwrap();
        let chunk = 960;
        let mut allocations = Vec::new();
        for piece in dialogue(20).chunks(chunk) {
            allocations.push(push(&mut recognizer, piece));
            settle(&mut recognizer);
        }
        let steady = &allocations[allocations.len() / 2..];
        let count: u64 = steady.iter().sum();
        assert_eq!(count, 0, "{mode:?}: {count} in {} pushes of 20 ms", steady.len());
    }
}
