//! How long a host waits, at its worst:
//! `cargo bench -p gigastt-core --features optimize --bench latency -- [FOLDER [QUANTIZATION]]`.
//!
//! Prints percentiles of
//! - the return of `cancel` and the wake of a host that waits, while a window of 22 s is encoded;
//! - the start of the worker's next job after it;
//! - the final of an utterance of 10 s, from the push of the sample that ends it, on an idle engine;
//! - `push_pcm` of 20 ms at 48 kHz, with events taken after each, while the worker is busy with them, and while it
//!   has only finals to make. The same audio comes again and again: the median of each piece is what its push takes
//!   by itself, and a computation as long shows what the machine adds to anything;
//!
//! and the memory of silent streams. Without a folder: the embedded model. A folder's fast form is run where the
//! feature `optimize` is on.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)] // A benchmark stops where it fails.

use std::hint::black_box;
use std::time::{Duration, Instant};

use gigastt_core::{Class, EndpointRule, Engine, Event, Model, Options, Plan, Recognizer};

const RATE: usize = 16_000;
const CANCELLATIONS: usize = 100;
const FINALS: usize = 40;
const SILENT: usize = 1_000;
const PUSHES: usize = 48_000;
const PAUSE: Duration = Duration::from_micros(400);

/// The speech of the long sample, again and again.
fn speech(seconds: usize) -> Vec<i16> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/samples/long_00.wav");
    let bytes = std::fs::read(path).unwrap();
    let data = bytes.windows(4).position(|w| w == b"data").unwrap() + 8;
    let pcm: Vec<i16> = bytes[data..].as_chunks().0.iter().map(|s| i16::from_le_bytes(*s)).collect();
    pcm.iter().copied().cycle().take(seconds * RATE).collect()
}

fn open(engine: &Engine) -> Recognizer {
    let options = Options { partials: None, class: Class::Live, ..Options::new(RATE as u32) };
    engine.recognizer(options.endpoint(EndpointRule::manual())).unwrap()
}

fn push_all(recognizer: &mut Recognizer, mut pcm: &[i16]) {
    while !pcm.is_empty() {
        let taken = recognizer.push_pcm(pcm).unwrap();
        pcm = &pcm[taken..];
    }
}

/// Prints percentiles. The median.
fn told(what: &str, mut times: Vec<Duration>) -> Duration {
    times.sort();
    let quantile = |share: f64| times[((times.len() - 1) as f64 * share).round() as usize];
    let at = |share: f64| quantile(share).as_secs_f64() * 1e3;
    println!(
        "{what:<28} p50 {:8.3} ms  p95 {:8.3} ms  p99 {:8.3} ms  p99.9 {:8.3} ms  max {:8.3} ms",
        at(0.5),
        at(0.95),
        at(0.99),
        at(0.999),
        at(1.0)
    );
    quantile(0.5)
}

/// Cancels a window of 22 s at ever different moments of its encoding, with another job queued.
fn cancellations(engine: &Engine) {
    let long = speech(22);
    let mut whole = open(engine);
    push_all(&mut whole, &long);
    let started = Instant::now();
    whole.finish().unwrap();
    let encoding = started.elapsed();
    println!("a window of 22 s takes           {:8.2} ms", encoding.as_secs_f64() * 1e3);

    let short = speech(1);
    let (mut returned, mut woken, mut next) = (Vec::new(), Vec::new(), Vec::new());
    for n in 0..CANCELLATIONS {
        let mut victim = open(engine);
        push_all(&mut victim, &long);
        victim.force_endpoint().unwrap();
        let mut other = open(engine);
        push_all(&mut other, &short);
        let canceller = victim.canceller();
        std::thread::scope(|scope| {
            let waiting = scope.spawn(move || {
                while !matches!(victim.next_event(None).unwrap(), Some(Event::End(_)) | None) {}
                Instant::now()
            });
            // Behind the window that is being encoded.
            let served = scope.spawn(move || {
                other.finish().unwrap();
                Instant::now()
            });
            std::thread::sleep(encoding.mul_f64(0.05 + 0.8 * n as f64 / CANCELLATIONS as f64));
            let at = Instant::now();
            canceller.cancel();
            returned.push(at.elapsed());
            woken.push(waiting.join().unwrap() - at);
            next.push(served.join().unwrap() - at);
        });
    }
    // What the job behind takes by itself.
    let alone = (0..20).map(|_| {
        let mut other = open(engine);
        push_all(&mut other, &short);
        let at = Instant::now();
        other.finish().unwrap();
        at.elapsed()
    });
    let mut alone: Vec<_> = alone.collect();
    alone.sort();
    let alone = alone[alone.len() / 2];
    told("cancel returns", returned);
    told("a waiting host wakes", woken);
    told("the next job starts", next.into_iter().map(|t| t.saturating_sub(alone)).collect());
}

/// The final of an utterance of 10 s after it was spoken.
fn finals(engine: &Engine) {
    let pcm = speech(10 + FINALS);
    let mut times = Vec::new();
    for n in 0..FINALS {
        let mut recognizer = open(engine);
        push_all(&mut recognizer, &pcm[n * RATE..][..10 * RATE]);
        let at = Instant::now();
        recognizer.force_endpoint().unwrap();
        while !matches!(recognizer.next_event(None).unwrap().unwrap(), Event::Final(_)) {}
        times.push(at.elapsed());
    }
    told("the final of 10 s", times);
}

/// Pushing as a microphone does, 50 times as fast as it. The median.
fn pushes(engine: &Engine, what: &str, partials: Option<Plan>) -> Duration {
    const RATE: usize = 48_000;
    let speech = speech(30).into_iter().flat_map(|sample| [sample; 3]);
    let pcm: Vec<i16> = speech.chain(std::iter::repeat_n(0, 2 * RATE)).collect();
    let options = Options { class: Class::Live, partials, ..Options::new(RATE as u32) };
    let mut recognizer = engine.recognizer(options).unwrap();
    let mut times = Vec::new();
    for piece in pcm.chunks(RATE / 50).cycle().take(PUSHES) {
        let at = Instant::now();
        let taken = recognizer.push_pcm(piece).unwrap();
        times.push(at.elapsed());
        if taken < piece.len() {
            recognizer.wait_writable(None).unwrap();
        }
        while recognizer.poll_event().is_some() {}
        std::thread::sleep(PAUSE);
    }
    let pieces = pcm.len().div_ceil(RATE / 50);
    let by_itself = |piece: usize| {
        let mut again: Vec<_> = times.iter().skip(piece).step_by(pieces).collect();
        again.sort();
        *again[again.len() / 2]
    };
    let by_themselves = (0..pieces).map(by_itself).collect();
    let median = told(what, times);
    told("... each piece's median", by_themselves);
    median
}

/// What the machine makes of a computation that takes as long as a push, without memory, locks or calls.
fn machine(length: Duration) {
    let compute = |rounds: u64| {
        let at = Instant::now();
        black_box((0..rounds).fold(1, |sum: u64, round| black_box(sum.wrapping_mul(3) ^ round)));
        at.elapsed()
    };
    const TRIAL: u64 = 1_000_000;
    let trial = (0..20).map(|_| compute(TRIAL)).min().unwrap();
    let rounds = (TRIAL as f64 * length.as_secs_f64() / trial.as_secs_f64()) as u64;
    let time = |_| {
        std::thread::sleep(PAUSE);
        compute(rounds)
    };
    told("a computation as long", (0..PUSHES).map(time).collect());
}

fn resident() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let kb = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.trim().strip_suffix(" kB"));
    kb.and_then(|kb| kb.trim().parse().ok()).unwrap_or(0)
}

/// What open streams hold that hear silence.
fn silence(engine: &Engine) {
    let pcm = vec![0_i16; 5 * RATE];
    let before = resident();
    let mut open: Vec<_> =
        (0..SILENT).map(|_| engine.recognizer(Options::new(RATE as u32)).unwrap()).collect();
    let opened = resident();
    for recognizer in &mut open {
        push_all(recognizer, &pcm);
    }
    let heard = resident();
    let each = |kb: usize| kb.saturating_sub(before) as f64 / SILENT as f64;
    println!("a stream that was opened     {:8.1} kB", each(opened));
    println!("... and has heard 5 s silence{:8.1} kB", each(heard));
}

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let model = match arguments.next() {
        Some(folder) => match arguments.next() {
            Some(quantization) => Model::dir(folder).quantization(quantization),
            None => Model::dir(folder),
        },
        None => Model::embedded(),
    };
    let engine = Engine::builder().model(model).threads(1).build().unwrap();
    println!("{}, one worker", engine.info().name);
    silence(&engine);
    pushes(&engine, "a push of 20 ms at 48 kHz", Some(Plan::default()));
    machine(pushes(&engine, "... of a stream without text", None));
    finals(&engine);
    cancellations(&engine);
}
