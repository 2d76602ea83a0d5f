//! IMA and Microsoft ADPCM of wav files, as telephone recorders write it: blocks of 4 bits a sample.

use symphonia::core::audio::{Channels, Position};
use symphonia::core::codecs::audio::well_known::{CODEC_ID_ADPCM_IMA_WAV, CODEC_ID_ADPCM_MS};
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters, AudioDecoder};
use symphonia::core::packet::Packet;
use symphonia::core::units::{Duration, Timestamp};
use symphonia::default;

use super::coded::{broken, fenced};
use super::invalid;
use crate::Result;
use crate::audio::Format;

/// The largest block, in bytes. Usual are 256 to 4,096.
const BLOCK_BYTES_MAX: u16 = 1 << 14;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Ima,
    Microsoft,
}

impl Kind {
    /// The kind of a format tag of RFC 2361.
    pub(super) fn of(tag: u16) -> Option<Self> {
        match tag {
            0x02 => Some(Self::Microsoft),
            0x11 => Some(Self::Ima),
            _ => None,
        }
    }

    fn codec(self) -> AudioCodecId {
        match self {
            Self::Ima => CODEC_ID_ADPCM_IMA_WAV,
            Self::Microsoft => CODEC_ID_ADPCM_MS,
        }
    }

    /// How many frames a block of so many bytes holds. The last one of a file may be short.
    fn frames(self, bytes: usize, channels: usize) -> usize {
        let (head, first) = match self {
            Self::Ima => (4, 1),
            Self::Microsoft => (7, 2),
        };
        let Some(body) = bytes.checked_sub(head * channels) else { return 0 };
        first
            + match (self, channels) {
                // Four bytes of one channel, then four of the other.
                (Self::Ima, 2) => body / 8 * 8,
                _ => body * 2 / channels,
            }
    }
}

pub(super) struct Adpcm {
    kind: Kind,
    format: Format,
    decoder: Box<dyn AudioDecoder>,
    block_bytes: usize,
    block_frames: usize,
}

impl Adpcm {
    /// # Errors
    /// `InvalidAudio` for blocks that hold nothing or are too large, and for more than two channels.
    pub(super) fn new(kind: Kind, format: Format, block_bytes: u16) -> Result<Self> {
        let channels = usize::from(format.channels);
        if !(1..=2).contains(&channels) {
            return Err(invalid(format!("expected ADPCM of 1 or 2 channels, found {channels}")));
        }
        let block_frames = kind.frames(block_bytes.into(), channels);
        if block_frames < 2 || block_bytes > BLOCK_BYTES_MAX {
            return Err(invalid(format!(
                "expected ADPCM blocks of up to {BLOCK_BYTES_MAX} bytes with samples in them, found blocks of {block_bytes}"
            )));
        }
        let positions = match channels {
            1 => Position::FRONT_LEFT,
            _ => Position::FRONT_LEFT | Position::FRONT_RIGHT,
        };
        let mut parameters = AudioCodecParameters::new();
        parameters
            .for_codec(kind.codec())
            .with_sample_rate(format.sample_rate)
            .with_channels(Channels::Positioned(positions))
            .with_max_frames_per_packet(block_frames as u64)
            .with_frames_per_block(block_frames as u64);
        let decoder = fenced(|| default::get_codecs().make_audio_decoder(&parameters, &Default::default()))
            .map_err(|fault| broken(fault, "in the header"))?;
        Ok(Self { kind, format, decoder, block_bytes: block_bytes.into(), block_frames })
    }

    pub(super) fn block_bytes(&self) -> usize {
        self.block_bytes
    }

    /// How many frames so many bytes of blocks hold.
    pub(super) fn frames(&self, bytes: u64) -> u64 {
        let (blocks, rest) = (bytes / self.block_bytes as u64, bytes % self.block_bytes as u64);
        let last = self.kind.frames(rest as usize, self.format.channels.into());
        blocks.saturating_mul(self.block_frames as u64).saturating_add(last as u64)
    }

    /// Appends the samples of blocks to `out`; `played` frames came before. Only the last block may be short.
    pub(super) fn push(&mut self, blocks: &[u8], played: u64, out: &mut Vec<f32>) -> Result<()> {
        let mut piece = Vec::new();
        for block in blocks.chunks(self.block_bytes) {
            let frames = self.kind.frames(block.len(), self.format.channels.into());
            let mut data = block.to_vec();
            data.resize(self.block_bytes, 0);
            let packet = Packet::new(0, Timestamp::ZERO, Duration::new(self.block_frames as u64), data);
            let decoded = fenced(|| self.decoder.decode(&packet)).map_err(|fault| {
                let frames = played + (out.len() / usize::from(self.format.channels)) as u64;
                let seconds = frames as f64 / f64::from(self.format.sample_rate);
                broken(fault, &format!("at {seconds:.3} s"))
            })?;
            decoded.copy_to_vec_interleaved(&mut piece);
            piece.truncate(frames * usize::from(self.format.channels));
            out.append(&mut piece);
        }
        Ok(())
    }
}
