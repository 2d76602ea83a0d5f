//! Threads that call every function in any order on handles that they share. Nothing may crash, hang or leak, and a
//! stream that nobody disturbs is transcribed as if it were alone.
//!
//! `GIGASTT_STRESS_STEPS` makes it longer, `GIGASTT_STRESS_SEED` repeats a run. Runs under ThreadSanitizer in
//! `make test-all`.

#![allow(clippy::unwrap_used)] // A test stops where it fails.

mod support;

use gigastt_ffi::handles::gigastt_live_objects;
use gigastt_ffi::recognizer::gigastt_recognizer_release;
use gigastt_ffi::status::*;
use support::steps::{Results, World};
use support::*;

const THREADS: u64 = 8;

/// A small generator (xorshift64*), so that a seed says everything.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }
}

fn variable(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).map_or(otherwise, |value| value.parse().unwrap())
}

#[test]
fn any_calls_from_any_threads() {
    let steps = variable("GIGASTT_STRESS_STEPS", 400);
    let seed = variable("GIGASTT_STRESS_SEED", 1);
    let before = gigastt_live_objects();
    let engine = engine(0);
    let world = World::new(engine, signal(&[SPEECH, SPEECH, SPEECH].concat()));
    let engine = Shared(engine);
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                let world = &world;
                scope.spawn(move || {
                    let mut random = Random(seed * 1_000 + thread + 1);
                    let mut results = Results::default();
                    for _ in 0..steps {
                        world.step(&mut |bound| random.below(bound), &mut results);
                    }
                })
            })
            .collect();
        // In the middle of it, a stream of its own: what the others do does not show in it.
        for _ in 0..steps / 40 {
            let stream = open(engine.get());
            assert_eq!(push(stream, &signal(&SPEECH)), GIGASTT_OK, "seed {seed}");
            assert_eq!(finish(stream).as_deref(), Ok(SPOKEN), "seed {seed}");
            // SAFETY: a handle.
            unsafe { gigastt_recognizer_release(stream) };
        }
        // What joins is seen by ThreadSanitizer; that the scope waits is not.
        threads.into_iter().for_each(|thread| thread.join().unwrap());
    });
    world.release();
    assert_eq!(gigastt_live_objects(), before, "seed {seed}: everything was released");
}

/// What no sequence of steps holds, and why.
const NO_STEPS: [(&str, &str); 0] = [];

#[test]
fn every_function_is_in_a_step() {
    let steps = include_str!("support/steps.rs");
    for name in include_str!("../abi/exports.txt").lines() {
        let called =
            steps.match_indices(name).any(|(at, _)| steps[at + name.len()..].starts_with(['(', ',', ']']));
        let excused = NO_STEPS.iter().any(|(excused, _)| *excused == name);
        assert!(called != excused, "{name}: neither in support/steps.rs nor excused, or both");
    }
}
