//! Voice activity: how much each 16 ms of audio sounds like speech.
//!
//! The detector is earshot's small recurrent network. Two things are put before it, because it
//! mistakes what follows digital silence, or the start of a stream, for speech: a hiss at -75 dBFS
//! under every sample, and a few frames of that hiss before the first. The hiss is the same in every
//! stream, so a score depends on the samples since the start and on nothing else.
//!
//! Measured with [`ON`] and [`OFF`] on the synthesised samples in `tests/samples` and on sounds made
//! by rule:
//!
//! | audio | reaction |
//! |---|---|
//! | speech at -27 dBFS, or 25 dB quieter, or 10 dB above white or pink noise | on 80 to 120 ms after its start (median), at most 260; off 50 to 210 ms after its end (median), at most 320 |
//! | 150 ms of speech | on for 220 ms (median), 99 % for 96 ms and more |
//! | pauses of 1 s between sentences, down to 5 dB above the noise | all found |
//! | silence, clicks, noise up to -20 dBFS, bursts of it, mains hum up to -25 dBFS | not on, but for white noise that begins near -35 dBFS out of silence: up to 1.4 s |
//! | music, a telephone's tones, lasting noise or hum above -20 dBFS | may be on throughout |
//! | speech more than 30 dB quieter | late, or in pieces |

use earshot::Detector;

/// Samples of one score: 16 ms.
pub(crate) const FRAME: usize = 256;

/// A score from here on starts speech.
pub(crate) const ON: f32 = 0.65;

/// A score below ends it.
pub(crate) const OFF: f32 = 0.45;

/// The largest sample of the hiss, which is uniform: -75 dBFS on average.
const HISS: f32 = 3.08e-4;

/// Fills the window and the context that the network looks back on.
const WARM_UP_FRAMES: usize = 4;

/// The detector of one stream: 8 kB.
pub(crate) struct Vad {
    detector: Box<Detector>,
    hiss: u32,
}

impl Default for Vad {
    fn default() -> Self {
        Self::new()
    }
}

impl Vad {
    /// A detector at the start of a stream.
    pub(crate) fn new() -> Self {
        let mut vad = Self { detector: Detector::default_boxed(), hiss: 0 };
        vad.reset();
        vad
    }

    /// The score in [0, 1] of the stream's next 16 ms at 16 kHz. Samples beyond full scale are
    /// clipped, and those that are not finite count as silence.
    pub(crate) fn score(&mut self, frame: &[f32; FRAME]) -> f32 {
        let heard = frame.map(|sample| {
            let sample = if sample.is_finite() { sample } else { 0.0 };
            (sample + self.next_hiss()).clamp(-1.0, 1.0)
        });
        self.detector.predict_f32(&heard)
    }

    /// Forgets the samples so far: the next frame starts a new stream.
    pub(crate) fn reset(&mut self) {
        self.detector.reset();
        self.hiss = 0;
        for _ in 0..WARM_UP_FRAMES {
            self.score(&[0.0; FRAME]);
        }
    }

    /// The upper bits of a linear congruential generator.
    fn next_hiss(&mut self) -> f32 {
        self.hiss = self.hiss.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        HISS * ((self.hiss >> 8) as f32 / (1 << 23) as f32 - 1.0)
    }
}

#[cfg(test)]
mod tests {
    use std::f32::consts::TAU;
    use std::path::Path;

    use super::*;

    const SAMPLES: [&str; 7] =
        ["sample_00", "sample_01", "sample_02", "sample_04", "sample_05", "sample_08", "long_00"];

    fn scores(samples: &[f32]) -> Vec<f32> {
        let mut vad = Vad::new();
        samples.as_chunks().0.iter().map(|frame| vad.score(frame)).collect()
    }

    /// The frames in which speech is on.
    fn gate(samples: &[f32]) -> Vec<bool> {
        let mut on = false;
        let step = |score| {
            on = score >= if on { OFF } else { ON };
            on
        };
        scores(samples).into_iter().map(step).collect()
    }

    #[test]
    fn speech_is_on() {
        fn check(name: &str, gain: f32) {
            let samples = wav(name, 1.0);
            let quiet: Vec<f32> = samples.iter().map(|sample| gain * sample).collect();
            let loud = samples.as_chunks().0.iter().map(is_loud);
            let on: Vec<bool> = loud.zip(gate(&quiet)).filter(|(loud, _)| *loud).map(|(_, on)| on).collect();
            let share = on.iter().filter(|on| **on).count() as f32 / on.len() as f32;
            assert!(share >= 0.85, "{name} times {gain}: on in {share} of {} loud frames", on.len());
        }
        for name in SAMPLES {
            check(name, 1.0);
            check(name, 0.1);
        }
    }

    #[test]
    fn pauses_between_sentences_are_off() {
        fn check(what: &str, background: &[f32]) {
            let samples: Vec<f32> = wav("long_00", 1.0).iter().zip(background).map(|(a, b)| a + b).collect();
            let on = runs(&gate(&samples));
            let pauses = on.windows(2).map(|pair| ms(pair[1].0 - pair[0].1)).filter(|&pause| pause >= 500);
            assert_eq!(pauses.count(), 9, "{what}: {on:?}");
        }
        let len = 40 * 16_000;
        check("clean", &vec![0.0; len]);
        check("hum", &tone(50.0, -30.0, len));
        check("noise 13 dB below", &noise(1, -40.0, len));
    }

    #[test]
    fn what_is_not_speech_is_off() {
        fn check(what: &str, sound: &[f32]) {
            let silence = vec![0.0; 16_000];
            for (place, samples) in
                [("at the start", sound), ("after silence", &[&silence, sound, &silence].concat())]
            {
                let on = runs(&gate(samples));
                assert!(on.is_empty(), "{what} {place}: on in frames {on:?}");
            }
        }
        check("silence", &[0.0; 64_000]);
        for seed in 0..4 {
            for dbfs in [-60.0, -50.0, -30.0, -20.0] {
                check(&format!("noise of {dbfs} dBFS, seed {seed}"), &noise(seed, dbfs, 48_000));
            }
            for (len_ms, dbfs) in [(20, -10.0), (50, -10.0), (50, -30.0), (100, -20.0), (100, -30.0)] {
                let what = format!("{len_ms} ms of noise of {dbfs} dBFS, seed {seed}");
                check(&what, &noise(seed, dbfs, len_ms * 16));
            }
        }
        for (hz, dbfs) in [(50.0, -6.0), (50.0, -20.0), (100.0, -20.0), (3_000.0, -20.0)] {
            check(&format!("{hz} Hz at {dbfs} dBFS"), &tone(hz, dbfs, 48_000));
        }
        let clicks: Vec<f32> = (0..48_000).map(|i| if i % 8_000 == 0 { 0.9 } else { 0.0 }).collect();
        check("clicks", &clicks);
    }

    #[test]
    fn any_sample_is_taken() {
        let speech = wav("sample_00", 1.0);
        for odd in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, f32::MAX, f32::MIN_POSITIVE, -1.5, 40_000.0] {
            let samples = [&[odd; 4_096], &speech[..], &[odd; 4_096]].concat();
            let scores = scores(&samples);
            assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)), "{odd}: {scores:?}");
            assert!(scores.iter().any(|&score| score > ON), "{odd}: deaf afterwards, {scores:?}");
        }
    }

    #[test]
    fn reset_starts_a_new_stream() {
        let speech = wav("sample_01", 1.0);
        let mut vad = Vad::new();
        let mut pass = || -> Vec<f32> {
            vad.reset();
            speech.as_chunks().0.iter().map(|frame| vad.score(frame)).collect()
        };
        assert_eq!(pass(), scores(&speech));
        assert_eq!(pass(), scores(&speech));
    }

    /// Where speech is on, in frames: first, and last + 1.
    fn runs(on: &[bool]) -> Vec<(usize, usize)> {
        let mut runs: Vec<(usize, usize)> = Vec::new();
        for (i, _) in on.iter().enumerate().filter(|(_, on)| **on) {
            match runs.last_mut() {
                Some(run) if run.1 == i => run.1 = i + 1,
                _ => runs.push((i, i + 1)),
            }
        }
        runs
    }

    fn wav(name: &str, gain: f32) -> Vec<f32> {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/samples").join(name);
        let wav = std::fs::read(path.with_extension("wav")).unwrap();
        let samples = wav[44..].as_chunks::<2>().0.iter();
        samples.map(|&bytes| gain * f32::from(i16::from_le_bytes(bytes)) / 32_768.0).collect()
    }

    /// Uniform white noise of an average level in dBFS.
    fn noise(seed: u64, dbfs: f32, len: usize) -> Vec<f32> {
        let peak = 3f32.sqrt() * 10f32.powf(dbfs / 20.0);
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 40) as f32 / (1u32 << 23) as f32 - 1.0
        };
        (0..len).map(|_| peak * next()).collect()
    }

    fn tone(hz: f32, dbfs: f32, len: usize) -> Vec<f32> {
        let peak = 2f32.sqrt() * 10f32.powf(dbfs / 20.0);
        (0..len).map(|i| peak * (TAU * hz * i as f32 / 16_000.0).sin()).collect()
    }

    /// Above -40 dBFS.
    fn is_loud(frame: &[f32; FRAME]) -> bool {
        frame.iter().map(|x| x * x).sum::<f32>() / FRAME as f32 > 1e-4
    }

    fn ms(frames: usize) -> usize {
        frames * FRAME * 1_000 / 16_000
    }
}
