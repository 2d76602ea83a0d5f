//! Raw samples: bytes in one of the usual encodings to `f32`.
//!
//! A [`PcmDecoder`] takes bytes cut anywhere, also inside a sample, and gives the same samples
//! however they were cut. It knows nothing of rates and channels.

use std::str::FromStr;

use crate::{Error, ErrorKind, Result};

/// How a sample is written. All of more than one byte are little-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SampleFormat {
    /// Unsigned 8-bit, 128 is silence.
    U8,
    /// Signed 16-bit.
    S16,
    /// Signed 24-bit in three bytes.
    S24,
    /// Signed 32-bit.
    S32,
    /// IEEE 754 single precision, full scale 1.
    F32,
    /// IEEE 754 double precision, full scale 1.
    F64,
    /// ITU-T G.711 A-law.
    ALaw,
    /// ITU-T G.711 µ-law.
    MuLaw,
}

impl SampleFormat {
    /// Every format.
    pub const ALL: [Self; 8] =
        [Self::U8, Self::S16, Self::S24, Self::S32, Self::F32, Self::F64, Self::ALaw, Self::MuLaw];

    /// The name that `FromStr` takes: `u8`, `s16`, `s24`, `s32`, `f32`, `f64`, `alaw` or `mulaw`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::U8 => "u8",
            Self::S16 => "s16",
            Self::S24 => "s24",
            Self::S32 => "s32",
            Self::F32 => "f32",
            Self::F64 => "f64",
            Self::ALaw => "alaw",
            Self::MuLaw => "mulaw",
        }
    }

    /// Bytes of a sample, 1 to 8.
    pub const fn bytes(self) -> usize {
        match self {
            Self::U8 | Self::ALaw | Self::MuLaw => 1,
            Self::S16 => 2,
            Self::S24 => 3,
            Self::S32 | Self::F32 => 4,
            Self::F64 => 8,
        }
    }
}

impl FromStr for SampleFormat {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Error::new(ErrorKind::InvalidArgument, format!("expected one of {names}, found {name}"))
                .about("sample_format")
        })
    }
}

/// A sample type that can be pushed as it is: `i16` and `f32`.
pub trait Sample: Copy + sealed::Sealed {
    /// The sample at full scale 1: `i16` over 32,768, `f32` unchanged.
    fn to_f32(self) -> f32;
}

impl Sample for i16 {
    fn to_f32(self) -> f32 {
        f32::from(self) / 32_768.0
    }
}

impl Sample for f32 {
    fn to_f32(self) -> f32 {
        self
    }
}

mod sealed {
    pub trait Sealed {}
    impl Sealed for i16 {}
    impl Sealed for f32 {}
}

/// Bytes to samples. Integers come out in [-1, 1] (1 itself only where a 32-bit integer rounds up to
/// it), floats as they are, not-a-numbers included: what takes the samples checks them.
#[derive(Debug, Clone)]
pub struct PcmDecoder {
    format: SampleFormat,
    /// The first bytes of a sample whose rest has not come yet.
    rest: [u8; 8],
    rest_len: usize,
}

impl PcmDecoder {
    /// A decoder at the start of a stream.
    pub fn new(format: SampleFormat) -> Self {
        Self { format, rest: [0; 8], rest_len: 0 }
    }

    /// Appends to `out` the samples that `bytes` complete; keeps the bytes of an incomplete one.
    pub fn push(&mut self, bytes: &[u8], out: &mut Vec<f32>) {
        let bytes = self.complete(bytes, out);
        match self.format {
            SampleFormat::U8 => self.decode(bytes, out, |[b]| (f32::from(b) - 128.0) / 128.0),
            SampleFormat::S16 => self.decode(bytes, out, |b| i16::from_le_bytes(b).to_f32()),
            SampleFormat::S24 => self.decode(bytes, out, |[a, b, c]| s32([0, a, b, c])),
            SampleFormat::S32 => self.decode(bytes, out, s32),
            SampleFormat::F32 => self.decode(bytes, out, f32::from_le_bytes),
            SampleFormat::F64 => self.decode(bytes, out, |b| f64::from_le_bytes(b) as f32),
            SampleFormat::ALaw => self.decode(bytes, out, |[b]| a_law(b).to_f32()),
            SampleFormat::MuLaw => self.decode(bytes, out, |[b]| mu_law(b).to_f32()),
        }
    }

    /// Ends the stream; the decoder is then as new.
    ///
    /// # Errors
    /// `InvalidAudio` when the stream ends inside a sample.
    pub fn finish(&mut self) -> Result<()> {
        match std::mem::take(&mut self.rest_len) {
            0 => Ok(()),
            rest => Err(Error::new(
                ErrorKind::InvalidAudio,
                format!(
                    "expected whole {} samples of {} bytes, found {rest} byte(s) of one at the end",
                    self.format.name(),
                    self.format.bytes()
                ),
            )),
        }
    }

    /// Completes the sample left over from the last call, if any; returns what it did not need.
    fn complete<'a>(&mut self, bytes: &'a [u8], out: &mut Vec<f32>) -> &'a [u8] {
        if self.rest_len == 0 {
            return bytes;
        }
        let missing = self.format.bytes() - self.rest_len;
        let (head, tail) = bytes.split_at(missing.min(bytes.len()));
        self.keep(head);
        if self.rest_len == self.format.bytes() {
            let sample = self.rest;
            self.rest_len = 0;
            self.push(&sample[..self.format.bytes()], out);
        }
        tail
    }

    fn decode<const N: usize>(&mut self, bytes: &[u8], out: &mut Vec<f32>, sample: impl Fn([u8; N]) -> f32) {
        let (samples, rest) = bytes.as_chunks::<N>();
        out.extend(samples.iter().map(|&bytes| sample(bytes)));
        self.keep(rest);
    }

    /// Adds bytes of an incomplete sample to those kept.
    fn keep(&mut self, bytes: &[u8]) {
        for (to, from) in self.rest.iter_mut().skip(self.rest_len).zip(bytes) {
            *to = *from;
        }
        self.rest_len += bytes.len();
    }
}

fn s32(bytes: [u8; 4]) -> f32 {
    i32::from_le_bytes(bytes) as f32 / 2_147_483_648.0
}

/// G.711 table 1a: the 13-bit value, at 16 bits. Every second bit is inverted on the line.
fn a_law(code: u8) -> i16 {
    let code = code ^ 0x55;
    let step = i16::from(code & 0x0f) << 4;
    let magnitude = match (code >> 4) & 0x07 {
        0 => step + 8,
        segment => (step + 0x108) << (segment - 1),
    };
    if code & 0x80 == 0 { -magnitude } else { magnitude }
}

/// G.711 table 2a: the 14-bit value, at 16 bits. All bits are inverted on the line.
fn mu_law(code: u8) -> i16 {
    let code = !code;
    let step = (i16::from(code & 0x0f) << 3) + 0x84;
    let magnitude = (step << ((code >> 4) & 0x07)) - 0x84;
    if code & 0x80 == 0 { magnitude } else { -magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every way of cutting `bytes` in two or in single bytes gives `expected`.
    #[track_caller]
    fn check(format: SampleFormat, bytes: &[u8], expected: &[f32]) {
        let mut cuts: Vec<Vec<&[u8]>> =
            (0..=bytes.len()).map(|at| vec![&bytes[..at], &bytes[at..]]).collect();
        cuts.push(bytes.chunks(1).collect());
        for cut in cuts {
            let (mut decoder, mut out) = (PcmDecoder::new(format), Vec::new());
            cut.iter().for_each(|piece| decoder.push(piece, &mut out));
            decoder.finish().unwrap();
            assert_eq!(out, expected, "{format:?} cut as {cut:?}");
        }
    }

    #[test]
    fn integers_have_full_scale_one() {
        check(SampleFormat::U8, &[0, 128, 255], &[-1.0, 0.0, 127.0 / 128.0]);
        check(SampleFormat::S16, &[0, 0x80, 0, 0, 0xff, 0x7f], &[-1.0, 0.0, 32_767.0 / 32_768.0]);
        check(
            SampleFormat::S24,
            &[0, 0, 0x80, 1, 0, 0, 0xff, 0xff, 0x7f],
            &[-1.0, 1.0 / 8_388_608.0, 8_388_607.0 / 8_388_608.0],
        );
        check(SampleFormat::S32, &[0, 0, 0, 0x80, 0, 0, 0, 0x40], &[-1.0, 0.5]);
        check(SampleFormat::S32, &i32::MAX.to_le_bytes(), &[1.0]);
    }

    #[test]
    fn floats_are_not_touched() {
        let values = [0.0, -1.5, f32::INFINITY, 1e-40];
        let bytes: Vec<u8> = values.iter().flat_map(|v: &f32| v.to_le_bytes()).collect();
        check(SampleFormat::F32, &bytes, &values);
        check(SampleFormat::F32, &[], &[]);
        let bytes: Vec<u8> = [0.1, -1.5].iter().flat_map(|v: &f64| v.to_le_bytes()).collect();
        check(SampleFormat::F64, &bytes, &[0.1, -1.5]);
    }

    /// The ends of segments in tables 1 and 2 of G.711, in the standard's own units (13 and 14 bit).
    #[test]
    fn companded_samples_follow_g711() {
        let alaw = [(0xd5, 1), (0x55, -1), (0xda, 31), (0xc5, 33), (0xf5, 66), (0xaa, 4032), (0x2a, -4032)];
        for (code, value) in alaw {
            check(SampleFormat::ALaw, &[code], &[value as f32 / 4096.0]);
        }
        let mulaw = [(0xff, 0), (0xfe, 2), (0xf0, 30), (0xef, 33), (0xdf, 99), (0x80, 8031), (0x00, -8031)];
        for (code, value) in mulaw {
            check(SampleFormat::MuLaw, &[code], &[value as f32 / 8192.0]);
        }
    }

    /// Sums weighted so that no two codes can change places. Made with Python 3.11's `audioop`:
    /// `v = struct.unpack("<256h", alaw2lin(bytes(range(256)), 2))`, the same with `ulaw2lin`, and
    /// `sum((i + 1) * x for i, x in enumerate(v))`.
    #[test]
    fn companding_tables_are_whole() {
        let weighted = |decode: fn(u8) -> i16| {
            (0..=255u8).map(|code| (i64::from(code) + 1) * i64::from(decode(code))).sum::<i64>()
        };
        assert_eq!(weighted(a_law), 100_139_008);
        assert_eq!(weighted(mu_law), 98_107_392);
    }

    #[test]
    fn an_end_inside_a_sample_is_an_error_and_then_forgotten() {
        for format in SampleFormat::ALL {
            for rest in 1..format.bytes() {
                let (mut decoder, mut out) = (PcmDecoder::new(format), Vec::new());
                decoder.push(&[0; 16][..format.bytes() + rest], &mut out);
                assert_eq!(out.len(), 1);
                let error = decoder.finish().unwrap_err();
                assert_eq!(error.kind(), ErrorKind::InvalidAudio);
                assert!(error.message().contains(&format!("found {rest} byte(s)")), "{error}");
                decoder.finish().unwrap();
            }
        }
    }

    #[test]
    fn names_are_read_back() {
        for format in SampleFormat::ALL {
            assert_eq!(format.name().parse::<SampleFormat>().unwrap(), format);
        }
        let error = "s17".parse::<SampleFormat>().unwrap_err();
        assert_eq!(
            error.to_string(),
            "sample_format: expected one of u8, s16, s24, s32, f32, f64, alaw, mulaw, found s17"
        );
    }
}
