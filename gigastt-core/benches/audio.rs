//! Cost of the audio front-end on one core: `cargo bench -p gigastt-core --bench audio`.
//!
//! The item of a throughput is a sample at 16 kHz: 16 Mitem/s is a thousand times real time.

use divan::counter::ItemsCount;
use divan::{Bencher, black_box};
use gigastt_core::audio::mel::{HOP, LogMel, MELS};
use gigastt_core::audio::resample::Resampler;
use gigastt_core::audio::{Channels, Format};

const RATE: usize = 16_000;
const HOUR: usize = 3_600 * RATE;

fn main() {
    divan::main();
}

/// An hour of audio as a live stream brings it, in pieces of so many milliseconds.
#[divan::bench(args = [10, 20, 1_000], sample_count = 5, sample_size = 1)]
fn mel_of_an_hour(bencher: Bencher<'_, '_>, piece_ms: usize) {
    let minute = noise(60 * RATE);
    bencher.counter(ItemsCount::new(HOUR)).bench_local(|| {
        let (mut mel, mut frames) = (LogMel::new(), Vec::with_capacity(60 * RATE / HOP * MELS));
        for _ in 0..60 {
            frames.clear();
            for piece in minute.chunks(piece_ms * RATE / 1_000) {
                mel.push(black_box(piece), &mut frames);
            }
        }
        frames
    });
}

/// The start of a stream.
#[divan::bench]
fn mel_new() -> LogMel {
    LogMel::new()
}

/// A minute through the network behind the voice activity track.
#[divan::bench(sample_count = 20, sample_size = 1)]
fn vad_of_a_minute(bencher: Bencher<'_, '_>) {
    let minute = noise(60 * RATE);
    bencher.counter(ItemsCount::new(minute.len())).bench_local(|| {
        let mut detector = earshot::Detector::default_boxed();
        minute.chunks_exact(256).map(|frame| detector.predict_f32(black_box(frame))).sum::<f32>()
    });
}

/// A minute of mono at this rate in pieces of 20 ms. The items are samples after resampling.
#[divan::bench(args = [8_000, 11_025, 44_100, 48_000], sample_count = 10, sample_size = 1)]
fn resample_of_a_minute(bencher: Bencher<'_, '_>, sample_rate: u32) {
    let format = Format { sample_rate, channels: 1 };
    let input = noise(60 * sample_rate as usize);
    let run = || -> gigastt_core::Result<usize> {
        let mut resampler = Resampler::new(format, Channels::Mix)?;
        let mut out = Vec::with_capacity(61 * RATE);
        for piece in input.chunks(sample_rate as usize / 50) {
            resampler.push(black_box(piece), &mut out)?;
        }
        resampler.finish(&mut out)?;
        Ok(out.len())
    };
    assert_eq!(run().ok(), Some(60 * RATE), "an error would be quick");
    bencher.counter(ItemsCount::new(60 * RATE)).bench_local(run);
}

/// Noise at -30 dBFS.
fn noise(len: usize) -> Vec<f32> {
    let mut state = 1u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        0.05 * ((state >> 8) as f32 / (1 << 23) as f32 - 1.0)
    };
    (0..len).map(|_| next()).collect()
}
