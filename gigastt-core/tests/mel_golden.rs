//! Log-mel frames against those of an independent implementation; see `data/mel/README.md`.

use std::fs;
use std::path::{Path, PathBuf};

use gigastt_core::audio::mel::{LogMel, MELS};

/// Three times the rounding between two 32-bit FFTs, and a third of what exact filters alone move;
/// an exact or symmetric window and another floor move some values by 0.8 and more.
const TOLERANCE: f32 = 1e-3;

fn check(samples: &[f32], expected: &[f32]) {
    let mut frames = Vec::new();
    LogMel::new().push(samples, &mut frames);
    assert_eq!(frames.len(), expected.len());
    for (i, (got, want)) in frames.iter().zip(expected).enumerate() {
        let (t, mel) = (i / MELS, i % MELS);
        assert!((got - want).abs() < TOLERANCE, "frame {t}, filter {mel}: {got} instead of {want}");
    }
}

#[test]
fn speech() {
    let wav = fs::read(data("../../../../tests/samples/sample_00.wav")).unwrap();
    assert_eq!((&wav[..4], &wav[36..40]), (&b"RIFF"[..], &b"data"[..]), "a plain header of 44 bytes");
    let samples: Vec<f32> =
        wav[44..].chunks_exact(2).map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0).collect();
    check(&samples, &floats(&fs::read(data("sample_00.mel")).unwrap()));
}

#[test]
fn silence_noise_clicks_and_tones() {
    let samples = floats(&fs::read(data("synthetic.pcm")).unwrap());
    check(&samples, &floats(&fs::read(data("synthetic.mel")).unwrap()));
}

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mel").join(name)
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    bytes.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
}
