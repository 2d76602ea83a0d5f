//! Many worlds.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::script::{Chunks, Cost, Ending, Piece, Reader, Script, Stream};
use super::{promises, world};
use crate::fake;
use crate::model::Vocab;
use crate::options::{Class, Options};
use crate::{End, Event};

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

/// Forty recordings, which keep two workers of the full-size model busy for 48 s, do not hold up who speaks
/// beside them, and end. Fails when what is due first runs first, whatever it is.
#[test]
fn recordings_do_not_hold_up_who_speaks() {
    let says = |word, seconds| {
        [(word, 8, seconds), (0, 0, 1)].map(|(word, level, seconds)| Piece {
            word,
            level,
            samples: seconds * 16_000,
        })
    };
    let stream = |options: Options, pieces: Vec<Piece>, pace| Stream {
        options,
        pieces,
        actions: Vec::new(),
        chunks: Chunks::Of(320),
        opens: Duration::ZERO,
        pace,
        jitter: Duration::ZERO,
        reader: Reader::Eager,
        ending: Ending::Finish,
        cancelled: None,
        seed: 0,
    };
    let recording = Options { class: Class::Bulk, partials: None, backlog_ms: 60_000, ..Options::file() };
    let speaker = stream(Options::new(16_000), (1..20).flat_map(|word| says(word, 2)).collect(), 1.0);
    let recordings =
        (0..40).map(|_| stream(recording.clone(), (1..6).flat_map(|word| says(word, 20)).collect(), 0.0));
    let script = Script {
        streams: std::iter::once(speaker).chain(recordings).collect(),
        workers: 2,
        cost: Cost::Full,
        jumps: Vec::new(),
    };
    let signals: Vec<Vec<f32>> = script.streams.iter().map(Stream::signal).collect();
    let traces = world::run(&script, &signals, &fake::vocab()).traces;

    let finals = traces[0].events.iter().filter(|(_, e)| matches!(e, Event::Final(_))).map(|(at, _)| *at);
    let endpoints = (0..).map(|said| Duration::from_millis(3_000 * said + 2_800));
    let late: Vec<Duration> = finals.zip(endpoints).map(|(at, due)| at.saturating_sub(due)).collect();
    assert_eq!(late.len(), 19);
    assert!(late.iter().all(|late| *late < Duration::from_secs(1)), "finals are late: {late:?}");
    for recording in &traces[1..] {
        let finals = recording.events.iter().filter(|(_, e)| matches!(e, Event::Final(_))).count();
        assert!(finals >= 5 && matches!(recording.events.last(), Some((_, Event::End(End::Finished)))));
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
