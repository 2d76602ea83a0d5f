//! Where the time of a recording goes: front-end, encoder and decoder, on the embedded model.
//!
//! `cargo bench --bench stages`. Milliseconds, medians of the runs, one worker.

#![allow(clippy::print_stdout, clippy::unwrap_used)]

use gigastt_core::{Engine, Hooks, Options, Progress};

const RUNS: usize = 15;

fn main() {
    let samples = speech();
    println!("{:>9} {:>10} {:>10} {:>10}   of {RUNS} runs", "seconds", "front-end", "encoder", "decoder");
    for seconds in [1, 2, 4, 8, 22] {
        let window = &samples[..seconds * 16_000];
        let mut runs: Vec<[f64; 3]> = (0..RUNS).map(|_| run(window)).collect();
        let medians = [0, 1, 2].map(|stage| {
            runs.sort_by(|a, b| a[stage].total_cmp(&b[stage]));
            1_000.0 * runs[RUNS / 2][stage]
        });
        println!("{seconds:>9} {:>10.2} {:>10.2} {:>10.2}", medians[0], medians[1], medians[2]);
    }
}

/// Seconds of front-end, encoder and decoder. Each run has an engine of its own, because its sums do.
fn run(window: &[f32]) -> [f64; 3] {
    let engine = Engine::builder().threads(1).build().unwrap();
    engine.transcribe(window, &Options::file()).unwrap();
    let before = engine.stats().unwrap();
    let mut front_end = 0.0;
    let hooks = Hooks { progress: Some(&mut |p: Progress| front_end = p.front_end_s), ..Hooks::default() };
    engine.transcribe_with(window, &Options::file(), hooks).unwrap();
    let after = engine.stats().unwrap();
    [front_end, after.encoder_s - before.encoder_s, after.decoder_s - before.decoder_s]
}

/// The long sample, at 16 kHz.
fn speech() -> Vec<f32> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/samples/long_00.wav");
    let mut source = gigastt_core::audio::file::FileSource::open(path.as_ref()).unwrap();
    let (mut samples, mut piece) = (Vec::new(), Vec::new());
    loop {
        gigastt_core::audio::Source::read(&mut source, &mut piece).unwrap();
        if piece.is_empty() {
            return samples;
        }
        samples.extend_from_slice(&piece);
    }
}
