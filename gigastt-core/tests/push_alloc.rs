//! Pushing audio allocates nothing in the steady state.
//!
//! Fails when windows are cut into fresh memory instead of what came back.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test stops where it fails.
#![cfg(feature = "fake-model")]

use std::time::{Duration, Instant};

use gigastt_core::fake::{FRAME, Script, amplitude};
use gigastt_core::{Class, Engine, Mode, Options, Recognizer};

/// An utterance of 4 s and the pause after it, at 48 kHz.
fn utterance() -> Vec<i16> {
    let words = (1..=10).map(|word| (word, 10)).chain([(0, 40)]);
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

/// Utterances in a row in which no push allocates.
const STEADY: usize = 6;
/// Utterances until then at most. Memory grows to what is out at the same time, which a busy machine may
/// find out late: each of the few buffers is then allocated once.
const UTTERANCES_MAX: usize = 40;

#[test]
fn pushing_allocates_nothing_in_the_steady_state() {
    let engine = Engine::fake(Script::default(), 1).unwrap();
    for mode in [Mode::TwoPass, Mode::Incremental] {
        let options = Options { class: Class::Live, ..Options::new(48_000).mode(mode) };
        let mut recognizer = engine.recognizer(options).unwrap();
        let utterance = utterance();
        let mut allocations = Vec::new();
        while !allocations.ends_with(&[0; STEADY]) {
            assert!(
                allocations.len() < UTTERANCES_MAX,
                "{mode:?}: allocations by utterance: {allocations:?}"
            );
            let mut count = 0;
            for piece in utterance.chunks(960) {
                count += push(&mut recognizer, piece);
                settle(&mut recognizer);
            }
            allocations.push(count);
        }
    }
}
