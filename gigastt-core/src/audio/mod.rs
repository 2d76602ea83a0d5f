//! Audio in: from bytes, samples and files to 16 kHz mono, and on to log-mel frames and voice activity.
//!
//! ```text
//! bytes ── pcm ──► f32, interleaved ── resample ──► 16 kHz mono ──┬─ mel ──► log-mel frames
//! file ─── file ──►                                               └─ vad ──► speech scores
//! ```

#[cfg(feature = "files")]
pub mod file;
pub mod mel;
pub mod pcm;
pub mod resample;
pub(crate) mod vad;

use crate::Result;

/// The sample rate of the model, in Hz. All positions and spans count samples at this rate.
pub const RATE: u32 = 16_000;

/// The lowest sample rate taken, in Hz.
pub const RATE_MIN: u32 = 8_000;

/// The highest sample rate taken, in Hz.
pub const RATE_MAX: u32 = 192_000;

/// The most interleaved channels taken.
pub const CHANNELS_MAX: u16 = 32;

/// What a source's samples are: interleaved `f32` in [-1, 1) at this rate and channel count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format {
    /// Samples per second and channel, in Hz; 8,000 to 192,000.
    pub sample_rate: u32,
    /// Interleaved channels; 1 to 32.
    pub channels: u16,
}

/// How several channels become one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Channels {
    /// The mean of all channels.
    #[default]
    Mix,
    /// One channel, counted from 0.
    Pick(u16),
}

/// Where a recording's samples come from, piece by piece.
pub trait Source: Send {
    /// What the samples are; constant.
    fn format(&self) -> Format;

    /// The length in seconds, where the source knows it beforehand.
    fn duration_hint(&self) -> Option<f64>;

    /// Replaces the content of `out` by the next interleaved samples. Leaves it empty at the end.
    /// A piece is bounded (a packet, at most a few seconds).
    ///
    /// # Errors
    /// `InvalidAudio` or `Io`, with the file's name.
    fn read(&mut self, out: &mut Vec<f32>) -> Result<()>;
}

/// What turns samples into what the model and the endpointer see. Owned by one stream.
pub(crate) trait FrontEnd: Send {
    /// Takes samples at 16 kHz and appends the log-mel frames they complete, `[64]` each. Frames do
    /// not depend on how the samples were chunked.
    fn frames(&mut self, samples: &[f32], out: &mut Vec<f32>);

    /// Voice activity of the next 256 samples, 0 to 1.
    fn score(&mut self, tick: &[f32; vad::FRAME]) -> f32;
}

/// The front-end of GigaAM v3 with a neural voice-activity detector.
#[derive(Default)]
pub(crate) struct Acoustic {
    mel: mel::LogMel,
    vad: vad::Vad,
}

impl FrontEnd for Acoustic {
    fn frames(&mut self, samples: &[f32], out: &mut Vec<f32>) {
        self.mel.push(samples, out);
    }

    fn score(&mut self, tick: &[f32; vad::FRAME]) -> f32 {
        self.vad.score(tick)
    }
}
