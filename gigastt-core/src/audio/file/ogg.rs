//! Ogg pages (RFC 3533), checked one by one before the demuxer sees them.
//!
//! symphonia passes over pages whose checksum is wrong and over bytes that are no page.

use std::io::{self, Read, Seek, SeekFrom};

use symphonia::core::io::MediaSource;

/// A page's header without its segment table, in bytes.
const HEADER_LEN: usize = 27;

/// The longest page: header, table and 255 segments of 255 bytes.
const PAGE_MAX: u64 = 27 + 255 + 255 * 255;

/// The most streams of a file; one is usual, a video has two or three.
const STREAMS_MAX: usize = 64;

/// The pages of an input, which is read once from front to back.
pub(super) struct Pages {
    input: Box<dyn MediaSource>,
    page: Vec<u8>,
    /// Bytes of the page that were handed on.
    taken: usize,
    /// Bytes of all pages so far.
    at: u64,
    /// Serial number and next sequence number of each stream.
    streams: Vec<(u32, u32)>,
}

impl Pages {
    pub(super) fn new(input: Box<dyn MediaSource>) -> Self {
        Self { input, page: Vec::new(), taken: 0, at: 0, streams: Vec::new() }
    }

    /// The next page, checked; false at the end.
    fn next(&mut self) -> io::Result<bool> {
        self.at += self.page.len() as u64;
        self.page.clear();
        self.taken = 0;
        if self.grow(HEADER_LEN)? == 0 {
            return Ok(false);
        }
        let header: [u8; HEADER_LEN] = self.page.as_slice().try_into().map_err(|_| cut())?;
        let [b'O', b'g', b'g', b'S', 0, flags, ..] = header else {
            return Err(self.damaged("expected an ogg page, found something else"));
        };
        let [.., s0, s1, s2, s3, n0, n1, n2, n3, c0, c1, c2, c3, segments] = header;
        let table = usize::from(segments);
        if self.grow(table)? < table {
            return Err(cut());
        }
        let body = self.page.iter().skip(HEADER_LEN).map(|&length| usize::from(length)).sum();
        if self.grow(body)? < body {
            return Err(cut());
        }
        if crc(&self.page) != u32::from_le_bytes([c0, c1, c2, c3]) {
            return Err(self.damaged("expected an ogg page with a valid checksum, found a damaged one"));
        }
        let first = flags & 2 != 0;
        self.follow(u32::from_le_bytes([s0, s1, s2, s3]), u32::from_le_bytes([n0, n1, n2, n3]), first)?;
        Ok(true)
    }

    fn follow(&mut self, serial: u32, number: u32, first: bool) -> io::Result<()> {
        let next = number.wrapping_add(1);
        let Some((_, due)) = self.streams.iter_mut().find(|(known, _)| *known == serial) else {
            if self.streams.len() == STREAMS_MAX {
                return Err(self.damaged(&format!("expected up to {STREAMS_MAX} ogg streams, found more")));
            }
            self.streams.push((serial, next));
            return Ok(());
        };
        let expected = std::mem::replace(due, next);
        if expected == number || first {
            return Ok(());
        }
        Err(self.damaged(&format!("expected page {expected} of an ogg stream, found page {number}")))
    }

    /// Adds up to `count` bytes to the page; how many there were.
    fn grow(&mut self, count: usize) -> io::Result<usize> {
        (&mut self.input).take(count as u64).read_to_end(&mut self.page)
    }

    fn damaged(&self, message: &str) -> io::Error {
        io::Error::new(io::ErrorKind::InvalidData, format!("{message} at byte {}", self.at))
    }
}

impl Read for Pages {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.taken == self.page.len() && !self.next()? {
            return Ok(0);
        }
        let read = self.page.get(self.taken..).unwrap_or_default().read(buffer)?;
        self.taken += read;
        Ok(read)
    }
}

impl Seek for Pages {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::NotSeekable.into())
    }
}

impl MediaSource for Pages {
    fn is_seekable(&self) -> bool {
        false
    }

    fn byte_len(&self) -> Option<u64> {
        None
    }
}

/// The granule position of the last page: how long the stream is in its own units. The input is at
/// its start again.
pub(super) fn end(input: &mut dyn MediaSource) -> io::Result<Option<u64>> {
    let Some(length) = input.byte_len().filter(|_| input.is_seekable()) else { return Ok(None) };
    input.seek(SeekFrom::Start(length.saturating_sub(PAGE_MAX)))?;
    let mut tail = Vec::new();
    input.take(PAGE_MAX).read_to_end(&mut tail)?;
    input.seek(SeekFrom::Start(0))?;
    let granule = tail.windows(14).rev().find_map(|bytes| match bytes {
        [b'O', b'g', b'g', b'S', 0, _, granule @ ..] => granule.try_into().ok().map(u64::from_le_bytes),
        _ => None,
    });
    // All ones: no packet ends on that page.
    Ok(granule.filter(|&granule| granule != u64::MAX))
}

fn cut() -> io::Error {
    io::ErrorKind::UnexpectedEof.into()
}

/// The checksum of RFC 3533, section 6: over the page with zeros in the checksum's place.
fn crc(page: &[u8]) -> u32 {
    page.iter().enumerate().fold(0, |crc: u32, (at, &byte)| {
        let byte = if (22..26).contains(&at) { 0 } else { byte };
        let index = (crc >> 24) as u8 ^ byte;
        (crc << 8) ^ CRC_TABLE.get(usize::from(index)).copied().unwrap_or_default()
    })
}

/// What each byte does to the checksum: polynomial 0x04c11db7, highest bit first.
const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let (mut crc, mut bit) = ((byte as u32) << 24, 0);
        while bit < 8 {
            crc = (crc << 1) ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};
