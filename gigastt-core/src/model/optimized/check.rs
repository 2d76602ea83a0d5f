//! Whether a graph still computes what it was made from: a fixed window, and how far two outputs lie apart.

use super::Form;
use crate::model::ort::OrtNetwork;
use crate::model::{Interrupt, MELS};
use crate::{Error, ErrorKind, Result};

/// Mel frames of the window.
const FRAMES: usize = 197;

impl Form {
    /// How far the output for the fixed window may be from the source's, see `deviation`.
    pub const fn deviation_max(self) -> f64 {
        match self {
            Self::Int8 => 0.2,
            Self::Fp32 => 1e-5,
        }
    }
}

/// Log-mel frames, `[T][64]`, that rise and fall as those of speech: syllables with moving formants over a
/// quiet ground, a pause between.
fn window() -> Vec<f32> {
    let value = |frame: usize, channel: usize| {
        let (t, c) = (frame as f32, channel as f32);
        let loud = if (90..110).contains(&frame) { 0.0 } else { (t * 0.17).sin().abs() };
        let formant = |centre: f32, width: f32, height: f32| height * (-((c - centre) / width).powi(2)).exp();
        let voice = formant(9.0 + 4.0 * (t * 0.05).sin(), 5.0, 11.0)
            + formant(27.0 + 8.0 * (t * 0.031).cos(), 6.0, 9.0)
            + formant(47.0, 9.0, 6.0);
        let ground = -12.5 + 0.6 * (t * 12.9 + c * 78.2).sin();
        ground + loud * (voice + 0.8 * (c * 1.9).sin())
    };
    (0..FRAMES).flat_map(|frame| (0..MELS).map(move |channel| value(frame, channel))).collect()
}

/// What `network` gives for the fixed window.
///
/// # Errors
/// `Inference` when it fails, `Runtime`.
pub(super) fn output(network: &OrtNetwork) -> Result<Vec<f32>> {
    network.try_out(|lane| Ok(lane.encode(&[&window()], &Interrupt::default())?.data))
}

/// The norm of the difference in norms of `expected`. Infinite when they cannot be compared.
pub(super) fn deviation(found: &[f32], expected: &[f32]) -> f64 {
    let norm = |values: &mut dyn Iterator<Item = f64>| values.map(|value| value * value).sum::<f64>().sqrt();
    let pairs = found.iter().zip(expected);
    let difference = norm(&mut pairs.map(|(&found, &expected)| f64::from(found) - f64::from(expected)));
    let deviation = difference / norm(&mut expected.iter().map(|&value| f64::from(value)));
    if found.len() == expected.len() && deviation.is_finite() { deviation } else { f64::INFINITY }
}

/// Checks what `network` gives against `expected`.
///
/// # Errors
/// `Inference` when it is too far off, or fails.
pub(super) fn holds(network: &OrtNetwork, form: Form, expected: &[f32]) -> Result<f64> {
    let (found, limit) = (deviation(&output(network)?, expected), form.deviation_max());
    if found <= limit {
        return Ok(found);
    }
    let message = format!(
        "the {} form deviates from its source by {found:.2e} on this processor, more than {limit:.0e}",
        form.code()
    );
    Err(Error::new(ErrorKind::Inference, message))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deviation_is_a_share_of_what_was_expected() {
        let check = |found: &[f32], expected: f64| {
            assert!((deviation(found, &[3.0, 4.0]) - expected).abs() < 1e-12, "{found:?}");
        };
        check(&[3.0, 4.0], 0.0);
        check(&[3.0, 4.5], 0.1);
        check(&[0.0, 0.0], 1.0);
        for broken in [&[3.0][..], &[3.0, f32::NAN], &[]] {
            assert_eq!(deviation(broken, &[3.0, 4.0]), f64::INFINITY);
        }
        assert_eq!(deviation(&[0.0], &[0.0]), f64::INFINITY);
    }

    #[test]
    fn the_window_is_as_loud_as_speech() {
        let window = window();
        let [low, high] = [f32::min, f32::max].map(|f| window.iter().copied().reduce(f).unwrap());
        assert!(low > -20.0 && low < -12.0 && high > -3.0 && high < 5.0, "{low} to {high}");
    }
}
