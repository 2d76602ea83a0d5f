//! The edit list of an MP4's audio track (ISO/IEC 14496-12, section 8.6.6), which tells how much of the
//! decoded audio is the encoder's delay and padding.
//!
//! symphonia plays everything in the track. An AAC encoder puts 1,024 to 2,112 samples in front, which
//! would make every word up to 0.13 s late. Only the boxes on the way to the edit list are read, and
//! whatever is wrong in them means "no edit": symphonia reads the same boxes and says what is wrong.
//! But it takes a fragment that is cut short for the end of the file, so the length is checked here.

use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::ops::Range;

use symphonia::core::io::MediaSource;

use super::{Pipe, invalid, io_error};
use crate::Result;

/// The most bytes before the audio that are kept of a stream that cannot seek. The index of four hours
/// takes 3 MB.
const INDEX_BYTES_MAX: u64 = 64 << 20;

/// The most boxes looked at on one level.
const BOXES_MAX: usize = 10_000;

/// The most boxes of a file whose presence is checked: two for each fragment.
const FRAGMENTS_MAX: usize = 1_000_000;

/// Which part of a track is to be heard, in units of its timescale.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Edit {
    pub(super) track: u32,
    /// Units per second.
    pub(super) timescale: u32,
    /// What comes before it.
    pub(super) skip: u64,
    /// Its length; `None`: up to the end.
    pub(super) keep: Option<u64>,
}

/// The edit of the first audio track that has one, and the input at its start.
pub(super) fn edit(mut input: Box<dyn MediaSource>) -> Result<(Option<Edit>, Box<dyn MediaSource>)> {
    if input.is_seekable() {
        forgiving(Boxes(&mut input).missing())?.map_or(Ok(()), |missing| {
            Err(invalid(format!(
                "expected {missing} more bytes of an mp4 box, found the end of the file: it is cut short"
            )))
        })?;
        let edit = forgiving(Boxes(&mut input).edit())?;
        input.seek(SeekFrom::Start(0)).map_err(|error| io_error(&error))?;
        return Ok((edit, input));
    }
    let head = read_index(&mut input)?;
    let edit = forgiving(Boxes(&mut Cursor::new(&head)).edit())?;
    Ok((edit, Box::new(Pipe::new(head, input))))
}

fn forgiving<T>(found: io::Result<Option<T>>) -> Result<Option<T>> {
    match found {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        found => found.map_err(|error| io_error(&error)),
    }
}

/// The bytes from the start of a stream to the end of its index.
fn read_index(input: &mut dyn Read) -> Result<Vec<u8>> {
    let mut head = Vec::new();
    for _ in 0..BOXES_MAX {
        let mut start = [0; 8];
        input.read_exact(&mut start).map_err(|error| io_error(&error))?;
        head.extend(start);
        let [s0, s1, s2, s3, kind @ ..] = start;
        let size = u64::from(u32::from_be_bytes([s0, s1, s2, s3]));
        if kind == *b"mdat" {
            return Err(invalid(
                "expected an mp4 with its index before the audio, because the stream cannot seek, found it behind",
            ));
        }
        if size < 8 || head.len() as u64 + size > INDEX_BYTES_MAX {
            return Err(invalid(format!(
                "expected an index of up to {INDEX_BYTES_MAX} bytes, found a box of {size}"
            )));
        }
        input.take(size - 8).read_to_end(&mut head).map_err(|error| io_error(&error))?;
        if kind == *b"moov" {
            return Ok(head);
        }
    }
    Err(invalid(format!("expected an index among the first {BOXES_MAX} boxes of the mp4, found none")))
}

/// Boxes within boxes; a range is the content of one.
struct Boxes<'a, R>(&'a mut R);

impl<R: Read + Seek> Boxes<'_, R> {
    fn edit(&mut self) -> io::Result<Option<Edit>> {
        let all = 0..self.0.seek(SeekFrom::End(0))?;
        let Some(movie) = self.find(&all, *b"moov")? else { return Ok(None) };
        let Some(header) = self.find(&movie, *b"mvhd")? else { return Ok(None) };
        let movie_scale = self.field(&header)?;
        let mut rest = movie;
        for _ in 0..BOXES_MAX {
            let Some(track) = self.find(&rest, *b"trak")? else { break };
            rest.start = track.end;
            if let Some(edit) = self.track_edit(&track, movie_scale)? {
                return Ok(Some(edit));
            }
        }
        Ok(None)
    }

    fn track_edit(&mut self, track: &Range<u64>, movie_scale: u32) -> io::Result<Option<Edit>> {
        let (Some(header), Some(media), Some(edits)) =
            (self.find(track, *b"tkhd")?, self.find(track, *b"mdia")?, self.find(track, *b"edts")?)
        else {
            return Ok(None);
        };
        let (Some(media_header), Some(handler), Some(list)) =
            (self.find(&media, *b"mdhd")?, self.find(&media, *b"hdlr")?, self.find(&edits, *b"elst")?)
        else {
            return Ok(None);
        };
        let timescale = self.field(&media_header)?;
        if self.bytes(handler.start + 8)? != *b"soun" || timescale == 0 || movie_scale == 0 {
            return Ok(None);
        }
        let Some((length, skip)) = self.only_entry(&list)? else { return Ok(None) };
        let keep = u128::from(length) * u128::from(timescale) / u128::from(movie_scale);
        let keep = u64::try_from(keep).ok().filter(|&keep| keep > 0);
        Ok(Some(Edit { track: self.field(&header)?, timescale, skip, keep }))
    }

    /// Length in movie time and start in media time of the one edit that plays something. Several of
    /// them, which only an editor makes, are not followed: the track is heard as a whole.
    fn only_entry(&mut self, list: &Range<u64>) -> io::Result<Option<(u64, u64)>> {
        let [version, ..] = self.bytes::<4>(list.start)?;
        let count = u32::from_be_bytes(self.bytes(list.start + 4)?);
        let mut found = None;
        for index in 0..u64::from(count.min(8)) {
            let (length, start) = if version == 1 {
                let at = list.start + 8 + 20 * index;
                (u64::from_be_bytes(self.bytes(at)?), i64::from_be_bytes(self.bytes(at + 8)?))
            } else {
                let at = list.start + 8 + 12 * index;
                (u32::from_be_bytes(self.bytes(at)?).into(), i32::from_be_bytes(self.bytes(at + 4)?).into())
            };
            match u64::try_from(start) {
                // -1: nothing for a while.
                Err(_) => {}
                Ok(_) if found.is_some() => return Ok(None),
                Ok(start) => found = Some((length, start)),
            }
        }
        Ok(found)
    }

    /// The 32-bit field behind the two dates of a header: a timescale, or the track's number.
    fn field(&mut self, header: &Range<u64>) -> io::Result<u32> {
        let [version, ..] = self.bytes::<4>(header.start)?;
        Ok(u32::from_be_bytes(self.bytes(header.start + if version == 1 { 20 } else { 12 })?))
    }

    fn find(&mut self, within: &Range<u64>, wanted: [u8; 4]) -> io::Result<Option<Range<u64>>> {
        let mut at = within.start;
        for _ in 0..BOXES_MAX {
            let Some((kind, content)) = self.next(at, within.end)? else { break };
            if content.end > within.end {
                break;
            }
            if kind == wanted {
                return Ok(Some(content));
            }
            at = content.end;
        }
        Ok(None)
    }

    /// How many bytes the last box of the file lacks.
    fn missing(&mut self) -> io::Result<Option<u64>> {
        let (mut at, end) = (0, self.0.seek(SeekFrom::End(0))?);
        for _ in 0..FRAGMENTS_MAX {
            let Some((_, content)) = self.next(at, end)? else { break };
            if content.end > end {
                return Ok(Some(content.end - end));
            }
            at = content.end;
        }
        Ok(None)
    }

    /// The box at `at`, which may reach behind `end`; `None` where no box fits.
    fn next(&mut self, at: u64, end: u64) -> io::Result<Option<([u8; 4], Range<u64>)>> {
        if at.saturating_add(8) > end {
            return Ok(None);
        }
        let [s0, s1, s2, s3, kind @ ..] = self.bytes::<8>(at)?;
        let (content, size) = match u32::from_be_bytes([s0, s1, s2, s3]) {
            0 => (at + 8, end - at),
            1 => (at + 16, u64::from_be_bytes(self.bytes(at + 8)?)),
            size => (at + 8, size.into()),
        };
        Ok(at.checked_add(size).filter(|&end| content <= end).map(|end| (kind, content..end)))
    }

    fn bytes<const N: usize>(&mut self, at: u64) -> io::Result<[u8; N]> {
        let mut bytes = [0; N];
        self.0.seek(SeekFrom::Start(at))?;
        self.0.read_exact(&mut bytes)?;
        Ok(bytes)
    }
}
