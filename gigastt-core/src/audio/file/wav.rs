//! WAV: RIFF, RF64 and BW64 (EBU Tech 3306, ITU-R BS.2088), read here rather than by a library so
//! that every length is checked and streamed headers are understood.
//!
//! A writer into a pipe cannot go back and fill in the length of the data. What such writers leave is
//! taken as "to the end of the stream": a length of 0 where that of the RIFF chunk is not filled in
//! either, and one of nearly 2^31 or more that the stream does not reach, or after which no chunk follows.
//! Any other has to be there, and as many times 2^32 more as the file has room for.

use std::io::{Read, SeekFrom};

use symphonia::core::io::MediaSource;

use super::adpcm::{Adpcm, Kind};
use super::{Reader, check_channels, invalid, io_error};
use crate::audio::Format;
use crate::audio::pcm::{PcmDecoder, SampleFormat};
use crate::{Error, Result};

/// Bytes read at once; a frame of 32 channels of 8 bytes is far smaller, and a block of ADPCM is at most half of it.
const BLOCK_BYTES: usize = 1 << 15;

/// A stated length from here on that the stream does not reach stands for "unknown".
const PLACEHOLDER_MIN: u64 = 0x7fff_0000;

/// The most chunks behind the samples that are looked at.
const TAIL_CHUNKS_MAX: usize = 100;

/// The largest chunk behind the samples. What seems to be the header of a larger one is samples.
const TAIL_CHUNK_MAX: u32 = 1 << 24;

pub(super) struct Wav {
    input: Box<dyn MediaSource>,
    decoder: Decoder,
    format: Format,
    /// Bytes that are decoded together: a frame, or a block of ADPCM.
    frame_bytes: usize,
    data: Data,
    /// Where in the file the samples begin.
    start: u64,
    /// Bytes of the data read so far.
    taken: u64,
    /// Frames handed on, and how many there are where ADPCM states it: its last block is filled up.
    played: u64,
    length: u64,
    block: Vec<u8>,
    /// Bytes of an incomplete frame at the start of `block`.
    rest: usize,
}

enum Decoder {
    Pcm(PcmDecoder),
    Adpcm(Box<Adpcm>),
}

/// How long the data chunk is, in bytes.
#[derive(Clone, Copy)]
enum Data {
    Stated(u64),
    Unknown { at_most: u64 },
}

impl Wav {
    pub(super) fn open(input: Box<dyn MediaSource>) -> Result<Self> {
        let length = input.byte_len();
        let mut header = Header { input, at: 0, fact: None };
        let (fmt, start, data) = header.parse()?;
        let data = match (data, length) {
            (Data::Stated(stated), Some(length)) if start.saturating_add(stated) > length => {
                return Err(cut(stated, length.saturating_sub(start)));
            }
            // Many a writer counts in 32 bits and begins again at 0.
            (Data::Stated(stated), Some(length)) => {
                let wraps = (length - start - stated) >> 32;
                Data::Stated(stated + (wraps << 32))
            }
            // The file tells what its header does not.
            (Data::Unknown { at_most }, Some(length)) => {
                Data::Unknown { at_most: at_most.min(length.saturating_sub(start)) }
            }
            (data, _) => data,
        };
        // A writer into a pipe cannot fill in the fact chunk either: what cannot be is not believed.
        let length = match (&fmt.decoder, data, header.fact) {
            (Decoder::Adpcm(adpcm), Data::Stated(bytes), Some(fact)) => {
                let (most, least) =
                    (adpcm.frames(bytes), adpcm.frames(bytes.saturating_sub(fmt.frame_bytes as u64)));
                Some(u64::from(fact)).filter(|fact| (least..=most).contains(fact))
            }
            _ => None,
        };
        Ok(Self {
            input: header.input,
            decoder: fmt.decoder,
            format: fmt.format,
            frame_bytes: fmt.frame_bytes,
            data,
            start,
            taken: 0,
            played: 0,
            length: length.unwrap_or(u64::MAX),
            block: vec![0; BLOCK_BYTES],
            rest: 0,
        })
    }

    /// Reads on into the block; the number of bytes in it, the rest of the last frame included.
    fn fill(&mut self) -> Result<usize> {
        if let Data::Unknown { at_most } = self.data
            && at_most == self.taken
        {
            let beyond = self.look_beyond(at_most)?;
            self.taken += beyond as u64;
            if beyond > 0 {
                self.data = Data::Unknown { at_most: u64::MAX };
                return Ok(self.rest + beyond);
            }
            self.data = Data::Stated(at_most);
        }
        let (Data::Stated(bound) | Data::Unknown { at_most: bound }) = self.data;
        let left = usize::try_from(bound - self.taken).unwrap_or(usize::MAX);
        let room = self.block.get_mut(self.rest..).unwrap_or_default();
        let room_len = room.len().min(left);
        let read = read_some(&mut self.input, room.get_mut(..room_len).unwrap_or_default())?;
        self.taken += read as u64;
        match self.data {
            Data::Stated(stated) if read == 0 && self.taken < stated => Err(cut(stated, self.taken)),
            _ if read == 0 && self.rest > 0 && matches!(self.decoder, Decoder::Pcm(_)) => {
                Err(invalid(format!(
                    "expected whole frames of {} bytes, found {} byte(s) of one at the end",
                    self.frame_bytes, self.rest
                )))
            }
            _ => Ok(self.rest + read),
        }
    }

    /// Reads a few bytes behind a length that may be a placeholder into the block; how many of them are
    /// samples, which is none where a chunk or nothing follows.
    fn look_beyond(&mut self, at_most: u64) -> Result<usize> {
        let padding = usize::from(!at_most.is_multiple_of(2));
        let room = self.block.get_mut(self.rest..).and_then(|room| room.get_mut(..padding + 8));
        let (room, mut found) = (room.unwrap_or_default(), 0);
        loop {
            match read_some(&mut self.input, room.get_mut(found..).unwrap_or_default())? {
                0 => break,
                read => found += read,
            }
        }
        let is_chunk = |[c, h, u, k, size @ ..]: [u8; 8]| {
            let named = [c, h, u, k].iter().all(|byte| matches!(byte, b' '..=b'~'));
            named && u32::from_le_bytes(size) <= TAIL_CHUNK_MAX
        };
        let header = room.get(padding..found).and_then(|header| header.try_into().ok());
        Ok(if found <= padding || header.is_some_and(is_chunk) { 0 } else { found })
    }

    /// What follows the samples is no more audio, such as a second file that was joined on. Of a pipe it is not
    /// known: who writes it may wait for the text.
    fn check_behind(&mut self) -> Result<()> {
        let (true, Some(length)) = (self.input.is_seekable(), self.input.byte_len()) else { return Ok(()) };
        let mut at = self.start + self.taken + self.taken % 2;
        for _ in 0..TAIL_CHUNKS_MAX {
            if at.saturating_add(8) > length {
                break;
            }
            let mut header = [0; 8];
            self.input.seek(SeekFrom::Start(at)).map_err(|error| io_error(&error))?;
            self.input.read_exact(&mut header).map_err(|error| io_error(&error))?;
            let [i, d, e, n, size @ ..] = header;
            let size = u64::from(u32::from_le_bytes(size));
            if matches!(&[i, d, e, n], b"RIFF" | b"RF64" | b"data") && size > 0 {
                return Err(invalid(format!(
                    "expected one recording, found more of one behind its end at byte {at}: join wav files by a \
                     program that knows them"
                )));
            }
            at = at.saturating_add(8 + size + size % 2);
        }
        Ok(())
    }
}

impl Reader for Wav {
    fn read(&mut self, out: &mut Vec<f32>) -> Result<Option<Format>> {
        out.clear();
        loop {
            let filled = self.fill()?;
            if filled == 0 {
                return self.check_behind().map(|()| None);
            }
            let whole = match filled == self.rest {
                // The last block of ADPCM, which may be short.
                true => filled,
                false => filled - filled % self.frame_bytes,
            };
            let bytes = self.block.get(..whole).unwrap_or_default();
            match &mut self.decoder {
                Decoder::Pcm(decoder) => decoder.push(bytes, out),
                Decoder::Adpcm(decoder) => decoder.push(bytes, self.played, out)?,
            }
            self.block.copy_within(whole..filled, 0);
            self.rest = filled - whole;
            let channels = usize::from(self.format.channels);
            let left = usize::try_from(self.length - self.played).unwrap_or(usize::MAX);
            out.truncate(left.saturating_mul(channels));
            self.played += (out.len() / channels) as u64;
            if !out.is_empty() {
                return Ok(Some(self.format));
            }
        }
    }

    fn seconds(&self) -> Option<f64> {
        let bytes = match self.data {
            Data::Stated(bytes) => bytes,
            Data::Unknown { at_most } if at_most < PLACEHOLDER_MIN => at_most,
            Data::Unknown { .. } => return None,
        };
        let frames = match &self.decoder {
            Decoder::Pcm(_) => bytes / self.frame_bytes as u64,
            Decoder::Adpcm(adpcm) => adpcm.frames(bytes).min(self.length),
        };
        Some(frames as f64 / f64::from(self.format.sample_rate))
    }
}

/// Once through a read that a signal interrupts.
fn read_some(input: &mut dyn Read, buffer: &mut [u8]) -> Result<usize> {
    loop {
        match input.read(buffer) {
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            result => return result.map_err(|error| io_error(&error)),
        }
    }
}

fn cut(stated: u64, found: u64) -> Error {
    invalid(format!("expected {stated} bytes of samples, found {found}: the file is cut short"))
}

struct Header {
    input: Box<dyn MediaSource>,
    /// Bytes read so far.
    at: u64,
    /// Frames, as the chunk of this name has them.
    fact: Option<u32>,
}

struct Fmt {
    format: Format,
    decoder: Decoder,
    frame_bytes: usize,
}

impl Header {
    /// Up to the first byte of the samples: their format, where they start and how long they are.
    fn parse(&mut self) -> Result<(Fmt, u64, Data)> {
        let [_, _, _, _, size @ .., _, _, _, _] = self.bytes::<12>()?;
        let riff_end = 8 + u64::from(u32::from_le_bytes(size));
        let (mut fmt, mut long_size) = (None, None);
        loop {
            let [i, d, e, n, size @ ..] = self.bytes::<8>()?;
            let size = u32::from_le_bytes(size);
            match &[i, d, e, n] {
                b"fmt " => fmt = Some(self.fmt(size)?),
                b"fact" if size >= 4 => {
                    self.fact = Some(u32::from_le_bytes(self.bytes()?));
                    self.skip(u64::from(size) - 4, size)?;
                }
                b"ds64" => long_size = Some(self.ds64(size)?),
                b"data" => {
                    let fmt =
                        fmt.ok_or_else(|| invalid("expected a fmt chunk before the data chunk, found none"))?;
                    return Ok((fmt, self.at, self.data(size, long_size, riff_end)));
                }
                _ => self.skip(size.into(), size)?,
            }
        }
    }

    fn data(&self, size: u32, long_size: Option<u64>, riff_end: u64) -> Data {
        match (size, long_size) {
            (u32::MAX, Some(size)) => Data::Stated(size),
            (0, _) if riff_end <= self.at || riff_end >= PLACEHOLDER_MIN => {
                Data::Unknown { at_most: u64::MAX }
            }
            (size, _) if u64::from(size) >= PLACEHOLDER_MIN => {
                Data::Unknown { at_most: if size == u32::MAX { u64::MAX } else { size.into() } }
            }
            (size, _) => Data::Stated(size.into()),
        }
    }

    fn fmt(&mut self, size: u32) -> Result<Fmt> {
        let [t0, t1, c0, c1, r0, r1, r2, r3, _, _, _, _, a0, a1, b0, b1] = self.part::<16>("fmt", size)?;
        let (mut tag, mut read) = (u16::from_le_bytes([t0, t1]), 16);
        if tag == EXTENSIBLE {
            let [_, _, _, _, _, _, _, _, t0, t1, ..] = self.part::<24>("fmt", size.saturating_sub(read))?;
            (tag, read) = (u16::from_le_bytes([t0, t1]), 40);
        }
        self.skip((size - read).into(), size)?;
        let channels = u16::from_le_bytes([c0, c1]);
        check_channels(channels.into())?;
        let bits = u16::from_le_bytes([b0, b1]);
        let stated = u16::from_le_bytes([a0, a1]);
        let format = Format { sample_rate: u32::from_le_bytes([r0, r1, r2, r3]), channels };
        if let Some(kind) = Kind::of(tag) {
            let adpcm = Adpcm::new(kind, format, stated)?;
            let frame_bytes = adpcm.block_bytes();
            return Ok(Fmt { format, decoder: Decoder::Adpcm(Box::new(adpcm)), frame_bytes });
        }
        let samples = samples(tag, bits)?;
        let frame_bytes = samples.bytes() * usize::from(channels);
        if usize::from(stated) != frame_bytes {
            let message = format!("expected frames of {frame_bytes} bytes, found {stated} in the header");
            return Err(invalid(message));
        }
        Ok(Fmt { format, decoder: Decoder::Pcm(PcmDecoder::new(samples)), frame_bytes })
    }

    /// The length of the data where it does not fit into 32 bits.
    fn ds64(&mut self, size: u32) -> Result<u64> {
        let [_, _, _, _, _, _, _, _, data @ ..] = self.part::<16>("ds64", size)?;
        self.skip(u64::from(size) - 16, size)?;
        Ok(u64::from_le_bytes(data))
    }

    /// The first bytes of a chunk.
    fn part<const N: usize>(&mut self, chunk: &str, size: u32) -> Result<[u8; N]> {
        if (size as usize) < N {
            return Err(invalid(format!("expected {N} bytes or more in the {chunk} chunk, found {size}")));
        }
        self.bytes()
    }

    fn bytes<const N: usize>(&mut self) -> Result<[u8; N]> {
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map_err(|error| match error.kind() {
            std::io::ErrorKind::UnexpectedEof => {
                invalid("expected a fmt and a data chunk, found the end of the file")
            }
            _ => io_error(&error),
        })?;
        self.at += N as u64;
        Ok(bytes)
    }

    /// Skips the last `count` bytes of a chunk of `size` bytes, and the byte that makes it even.
    fn skip(&mut self, count: u64, size: u32) -> Result<()> {
        let count = count + u64::from(size % 2);
        if self.input.is_seekable() {
            self.input.seek(SeekFrom::Start(self.at + count)).map_err(|error| io_error(&error))?;
        } else {
            let mut skipped = (&mut self.input).take(count);
            std::io::copy(&mut skipped, &mut std::io::sink()).map_err(|error| io_error(&error))?;
        }
        self.at += count;
        Ok(())
    }
}

const EXTENSIBLE: u16 = 0xfffe;

/// The sample format of a format tag of RFC 2361. Fewer bits than the container has are its upper ones.
fn samples(tag: u16, bits: u16) -> Result<SampleFormat> {
    Ok(match (tag, bits) {
        (1, 1..=8) => SampleFormat::U8,
        (1, 9..=16) => SampleFormat::S16,
        (1, 17..=24) => SampleFormat::S24,
        (1, 25..=32) => SampleFormat::S32,
        (3, 32) => SampleFormat::F32,
        (3, 64) => SampleFormat::F64,
        (6, 8) => SampleFormat::ALaw,
        (7, 8) => SampleFormat::MuLaw,
        _ => {
            let name = match tag {
                0x28 | 0x45 | 0x64 | 0x140 => " (G.726)",
                0x31 => " (GSM 06.10)",
                0x55 => " (mp3)",
                0x65 | 0x28f => " (G.722)",
                0x83 | 0x133 => " (G.729)",
                _ => "",
            };
            return Err(invalid(format!(
                "expected PCM, float, A-law, mu-law or ADPCM in the wav, found format {tag:#06x}{name} with {bits} bits"
            )));
        }
    })
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use symphonia::core::io::ReadOnlySource;

    use super::*;

    /// What is heard of `behind` after so many bytes that the header may be right about.
    #[track_caller]
    fn check(at_most: u64, behind: &[u8], expected: u64) {
        let header = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x01\0\x80\x3e\0\0\x80\x3e\0\0\x01\0\x08\0data\xff\xff\xff\xff";
        let bytes = [header, vec![0x80; at_most as usize].as_slice(), behind].concat();
        let mut wav = Wav::open(Box::new(ReadOnlySource::new(Cursor::new(bytes)))).unwrap();
        wav.data = Data::Unknown { at_most };
        let (mut heard, mut piece) = (0, Vec::new());
        while wav.read(&mut piece).unwrap().is_some() {
            heard += piece.len() as u64;
        }
        assert_eq!(heard, at_most + expected);
        assert_eq!(wav.read(&mut piece).unwrap(), None);
    }

    #[test]
    fn behind_a_placeholder_the_samples_go_on() {
        for at_most in [100_000, 99_999] {
            check(at_most, &[], 0);
            check(at_most, &[0x80; 50_000], 50_000);
            check(at_most, &[0x80; 5], 5);
            check(at_most, b"LIST\x04\0\0\x7fINFO", 12);
        }
        check(100_000, b"LIST\x04\0\0\0INFO", 0);
        check(99_999, b"\0LIST\x04\0\0\0INFO", 0);
        check(99_999, b"\0", 0);
    }
}
