//! Opus packets (RFC 6716) to samples at 48 kHz, mono or stereo.

use opus_pure::OpusDecoder;
use symphonia::core::errors::Error as Fault;

use super::invalid;
use crate::audio::Format;
use crate::{Error, ErrorKind, Result};

/// What Opus counts and decodes at, in Hz.
const OPUS_RATE: u32 = 48_000;

/// The longest packet, 120 ms.
const FRAMES_MAX: usize = 5_760;

pub(super) struct Opus {
    decoder: OpusDecoder,
    format: Format,
    /// Frames at the start that are not audio.
    pub(super) pre_skip: u16,
}

impl Opus {
    /// A decoder for the stream with this identification header (RFC 7845, section 5.1).
    pub(super) fn new(head: &[u8]) -> Result<Self> {
        let &[
            b'O',
            b'p',
            b'u',
            b's',
            b'H',
            b'e',
            b'a',
            b'd',
            version,
            channels,
            s0,
            s1,
            _,
            _,
            _,
            _,
            g0,
            g1,
            family,
            ..,
        ] = head
        else {
            return Err(invalid("expected an OpusHead of 19 bytes or more in the opus stream"));
        };
        if version >= 16 || family > 1 || !matches!(channels, 1 | 2) {
            return Err(invalid(format!(
                "expected opus version 1, mono or stereo, found version {version}, {channels} channels, mapping {family}"
            )));
        }
        let mut decoder = OpusDecoder::new(OPUS_RATE as i32, channels.into())
            .map_err(|error| Error::new(ErrorKind::Internal, format!("opus: {error}")))?;
        decoder.gain_q8 = i16::from_le_bytes([g0, g1]).into();
        let format = Format { sample_rate: OPUS_RATE, channels: channels.into() };
        Ok(Self { decoder, format, pre_skip: u16::from_le_bytes([s0, s1]) })
    }

    /// Replaces `out` by the packet's samples.
    pub(super) fn decode(&mut self, packet: &[u8], out: &mut Vec<f32>) -> Result<Format, Fault> {
        if packet.is_empty() {
            // The decoder would make up what was lost.
            return Err(Fault::DecodeError("opus: empty packet"));
        }
        let channels = usize::from(self.format.channels);
        out.resize(FRAMES_MAX * channels, 0.0);
        let frames = self.decoder.decode(packet, FRAMES_MAX, out).map_err(|error| {
            Fault::DecodeError(match error {
                opus_pure::Error::InvalidPacket(what) => what,
                _ => "opus: broken packet",
            })
        })?;
        out.truncate(frames * channels);
        Ok(self.format)
    }
}
