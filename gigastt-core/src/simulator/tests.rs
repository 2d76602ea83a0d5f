//! Many worlds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::script::Script;
use super::{promises, world};
use crate::fake;
use crate::model::Vocab;
use crate::options::Class;

/// Worlds of each run of the tests.
const WORLDS: u64 = 10_000;
/// Worlds that broke a promise once: text was committed beyond an utterance's end; a speech's onset went
/// untold; a hurried final had a word more than its span.
const BROKEN: [u64; 5] = [1_004_530, 1_065_322, 1_105_025, 1_043_272, 1_022_145];

/// Runs the world of a seed and checks everything.
fn check(seed: u64, vocab: &Arc<Vocab>) {
    let script = Script::of(seed);
    let signals: Vec<Vec<f32>> = script.streams.iter().map(|s| s.signal()).collect();
    let outcome = world::run(&script, &signals, vocab);
    for (n, ((stream, signal), trace)) in script.streams.iter().zip(&signals).zip(&outcome.traces).enumerate()
    {
        let alone = world::alone(stream, signal, vocab);
        let patience = outcome.patience[usize::from(stream.options.class == Class::Bulk)];
        let checked =
            catch_unwind(AssertUnwindSafe(|| promises::check(stream, signal, trace, &alone, patience)));
        assert!(checked.is_ok(), "stream {n}");
    }
}

/// Fails when
/// - text of the right context is called committed (promise 1);
/// - a final is left out or told twice (2);
/// - commits take whatever audio is there, or windows that decide a final share a call (3);
/// - a second pass starts from the decoder state of the partials, or misses its last frame (4);
/// - the backlog has no bound (5), or more finals wait than may (6);
/// - the windows of a cancelled stream are still run, or its end is not told (7);
/// - the failure of one window in a call reaches the others (8).
#[test]
fn worlds_keep_the_promises() {
    let vocab = fake::vocab();
    let number = |name: &str| std::env::var(name).ok().and_then(|value| value.parse::<u64>().ok());
    if let Some(seed) = number("GIGASTT_SEED") {
        println!("{:#?}", Script::of(seed));
        return check(seed, &vocab);
    }
    let soak = number("GIGASTT_SOAK_SECONDS").map(Duration::from_secs);
    let started = Instant::now();
    let first = match soak {
        Some(_) => std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), 0) >> 16,
        None => 0,
    };
    let next = AtomicU64::new(first);
    let more = |seed| soak.map_or(seed < first + WORLDS, |time| started.elapsed() < time);
    let broken = AtomicBool::new(false);
    let keeps_them = |seed| {
        if catch_unwind(AssertUnwindSafe(|| check(seed, &vocab))).is_err() {
            broken.store(true, Ordering::Relaxed);
            panic!(
                "world {seed} breaks a promise; alone: \
                 GIGASTT_SEED={seed} cargo test -p gigastt-core --features fake-model simulator"
            );
        }
    };
    BROKEN.into_iter().for_each(keeps_them);
    let work = || {
        while !broken.load(Ordering::Relaxed) {
            let seed = next.fetch_add(1, Ordering::Relaxed);
            if !more(seed) {
                return;
            }
            keeps_them(seed);
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(work);
        work();
    });
    println!("{} worlds in {:.1} s", next.load(Ordering::Relaxed) - first, started.elapsed().as_secs_f64());
}
