//! The log-mel front-end of GigaAM v3, sample by sample.
//!
//! Frame `t` depends on samples `160 t .. 160 t + 320` and on nothing else: a periodic Hann window,
//! a real FFT of 320 points, power, 64 HTK mel filters from 0 to 8000 Hz without normalisation, and
//! `ln(clamp(x, 1e-9, 1e9))`. There is no centring, dither, pre-emphasis or normalisation. `n`
//! samples give `(n - 320) / 160 + 1` frames, none below 320. Every frame is computed in the same
//! way, so the frames of a stream do not depend on how it was cut, bit for bit.
//!
//! The checkpoint stores the window and the filters in bfloat16. The tables are rounded likewise:
//! exact ones move the log-mel by up to 0.1.

use std::f64::consts::PI;
use std::fmt;
use std::sync::{Arc, LazyLock};

use realfft::num_complex::Complex32;
use realfft::{RealFftPlanner, RealToComplex};

use super::RATE;

/// Mel filters: the values of one frame.
pub const MELS: usize = 64;

/// Samples from the start of one frame to the next: 10 ms.
pub const HOP: usize = 160;

/// Samples under one frame: 20 ms.
pub const WINDOW: usize = 320;

/// Bins of the one-sided spectrum, 50 Hz apart.
const BINS: usize = WINDOW / 2 + 1;

const FLOOR: f32 = 1e-9;
const CEILING: f32 = 1e9;

/// Turns 16 kHz mono samples into log-mel frames as they come.
///
/// An instance holds the samples of the frame under way and the FFT's scratch space, 3 kB at most;
/// the tables are shared.
#[derive(Clone)]
pub struct LogMel {
    tables: &'static Tables,
    window: [f32; WINDOW],
    filled: usize,
    scratch: Vec<Complex32>,
}

impl fmt::Debug for LogMel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogMel").field("filled", &self.filled).finish_non_exhaustive()
    }
}

impl LogMel {
    /// A front-end at the start of a stream.
    pub fn new() -> Self {
        let tables: &'static Tables = &TABLES;
        Self { tables, window: [0.0; WINDOW], filled: 0, scratch: tables.fft.make_scratch_vec() }
    }

    /// Takes samples in [-1, 1) and appends the frames they complete to `frames`: [`MELS`] values
    /// in [-20.73, 20.73] each, frame after frame.
    ///
    /// Up to 319 samples wait for the next call; at the end of a stream they belong to no frame.
    /// A sample that is not finite spoils only the frames it lies under, and those stay in range.
    pub fn push(&mut self, mut samples: &[f32], frames: &mut Vec<f32>) {
        while !samples.is_empty() {
            let (now, later) = samples.split_at(samples.len().min(WINDOW - self.filled));
            self.window[self.filled..][..now.len()].copy_from_slice(now);
            self.filled += now.len();
            samples = later;
            if self.filled == WINDOW {
                self.tables.append_frame(&self.window, &mut self.scratch, frames);
                self.window.copy_within(HOP.., 0);
                self.filled = WINDOW - HOP;
            }
        }
    }

    /// Forgets the samples so far: the next one starts a new stream.
    pub fn reset(&mut self) {
        self.filled = 0;
    }
}

impl Default for LogMel {
    fn default() -> Self {
        Self::new()
    }
}

static TABLES: LazyLock<Tables> = LazyLock::new(Tables::new);

struct Tables {
    fft: Arc<dyn RealToComplex<f32>>,
    hann: [f32; WINDOW],
    filters: Vec<Filter>,
}

/// One mel filter without the zeros around it.
struct Filter {
    first_bin: usize,
    weights: Vec<f32>,
}

impl Tables {
    fn new() -> Self {
        Self {
            fft: RealFftPlanner::new().plan_fft_forward(WINDOW),
            hann: std::array::from_fn(|i| to_bf16(0.5 - 0.5 * (2.0 * PI * i as f64 / WINDOW as f64).cos())),
            filters: mel_filters(),
        }
    }

    fn append_frame(&self, window: &[f32; WINDOW], scratch: &mut [Complex32], frames: &mut Vec<f32>) {
        let mut windowed: [f32; WINDOW] = std::array::from_fn(|i| window[i] * self.hann[i]);
        let mut spectrum = [Complex32::ZERO; BINS];
        let done = self.fft.process_with_scratch(&mut windowed, &mut spectrum, scratch);
        debug_assert!(done.is_ok(), "the FFT refuses wrong lengths only, and these are constant");
        let power = spectrum.map(|bin| bin.norm_sqr());
        frames.extend(self.filters.iter().map(|filter| log_clamped(filter.apply(&power))));
    }
}

impl Filter {
    fn apply(&self, power: &[f32; BINS]) -> f32 {
        power[self.first_bin..].iter().zip(&self.weights).map(|(power, weight)| power * weight).sum()
    }
}

/// Not `f32::clamp`, which would let a NaN through.
fn log_clamped(energy: f32) -> f32 {
    if energy > FLOOR { energy.min(CEILING).ln() } else { FLOOR.ln() }
}

/// Triangles between points that are equally far apart on the HTK mel scale, with a peak of 1.
fn mel_filters() -> Vec<Filter> {
    let nyquist_hz = f64::from(RATE) / 2.0;
    let top_mel = 2595.0 * (1.0 + nyquist_hz / 700.0).log10();
    let corner_hz = |i: usize| {
        let mel = top_mel * i as f64 / (MELS + 1) as f64;
        700.0 * (10f64.powf(mel / 2595.0) - 1.0)
    };
    let filter = |i: usize| {
        let (low, peak, high) = (corner_hz(i), corner_hz(i + 1), corner_hz(i + 2));
        let weights: Vec<f32> = (0..BINS)
            .map(|bin| nyquist_hz * bin as f64 / (BINS - 1) as f64)
            .map(|hz| ((hz - low) / (peak - low)).min((high - hz) / (high - peak)))
            .map(|weight| to_bf16(weight.max(0.0)))
            .collect();
        let first_bin = weights.iter().position(|&weight| weight > 0.0).unwrap_or(BINS);
        let weights = weights.into_iter().skip(first_bin).take_while(|&weight| weight > 0.0);
        Filter { first_bin, weights: weights.collect() }
    };
    (0..MELS).map(filter).collect()
}

/// Rounds to `f32`, then to the nearest bfloat16, ties to even. For finite values.
fn to_bf16(value: f64) -> f32 {
    let bits = (value as f32).to_bits();
    let half = 0x7FFF + (bits >> 16 & 1);
    f32::from_bits(bits.wrapping_add(half) & 0xFFFF_0000)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames_of(chunks: &[&[f32]]) -> Vec<f32> {
        let (mut mel, mut frames) = (LogMel::new(), Vec::new());
        for chunk in chunks {
            mel.push(chunk, &mut frames);
        }
        frames
    }

    /// Noise from a linear congruential generator, in [-0.5, 0.5).
    fn noise(seed: u32, len: usize) -> Vec<f32> {
        let mut state = seed;
        let mut next = || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..len).map(|_| next()).collect()
    }

    #[test]
    fn the_number_of_frames_follows_the_number_of_samples() {
        fn check(samples: usize, frames: usize) {
            assert_eq!(frames_of(&[&vec![0.1; samples]]).len(), frames * MELS, "{samples} samples");
        }
        check(0, 0);
        check(1, 0);
        check(319, 0);
        check(320, 1);
        check(479, 1);
        check(480, 2);
        check(16_000, 99);
    }

    #[test]
    fn chunking_changes_no_bit() {
        let samples = noise(1, 5_000);
        let whole = frames_of(&[&samples]);
        for size in [1, 7, 159, 160, 161, 319, 320, 321, 1_000, 4_999] {
            let chunks: Vec<&[f32]> = samples.chunks(size).collect();
            assert_eq!(frames_of(&chunks), whole, "chunks of {size}");
        }
        assert_eq!(frames_of(&[&[], &samples, &[]]), whole, "empty chunks");
    }

    #[test]
    fn a_frame_depends_on_its_own_samples_only() {
        let samples = noise(2, 3_200);
        let whole = frames_of(&[&samples]);
        for (t, frame) in whole.chunks(MELS).enumerate() {
            assert_eq!(frames_of(&[&samples[t * HOP..][..WINDOW]]), frame, "frame {t}");
        }
    }

    #[test]
    fn reset_starts_a_new_stream() {
        let (samples, mut mel) = (noise(3, 1_000), LogMel::new());
        mel.push(&samples[..777], &mut Vec::new());
        mel.reset();
        let mut frames = Vec::new();
        mel.push(&samples, &mut frames);
        assert_eq!(frames, frames_of(&[&samples]));
    }

    #[test]
    fn samples_out_of_range_stay_in_range_and_pass_by() {
        let clean = noise(4, 4_000);
        let whole = frames_of(&[&clean]);
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, 1e6] {
            let mut samples = clean.clone();
            samples[2_000] = bad;
            let frames = frames_of(&[&samples]);
            for (t, frame) in frames.chunks(MELS).enumerate() {
                assert!(frame.iter().all(|v| v.abs() < 20.73), "{bad}: frame {t} {frame:?}");
                let hit = (t * HOP..t * HOP + WINDOW).contains(&2_000);
                assert!(hit || frame == &whole[t * MELS..][..MELS], "{bad}: frame {t} changed");
            }
        }
    }

    #[test]
    fn a_tone_lands_in_its_filter() {
        fn check(hz: f64, mel: usize) {
            let step = 2.0 * PI * hz / f64::from(RATE);
            let tone: Vec<f32> = (0..WINDOW).map(|i| (step * i as f64).sin() as f32).collect();
            let frame = frames_of(&[&tone]);
            let loudest = (0..MELS).max_by(|&a, &b| frame[a].total_cmp(&frame[b]));
            assert_eq!(loudest, Some(mel), "{hz} Hz");
        }
        // 2595 log10(1 + hz / 700) mel, 43.7 mel from peak to peak, the first peak at 43.7.
        check(200.0, 5);
        check(1_000.0, 22);
        check(4_000.0, 48);
        check(7_000.0, 61);
    }
}
