//! Recordings: files, bytes and pipes in the usual containers, decoded piece by piece.
//!
//! | container | codecs | notes |
//! |---|---|---|
//! | wav, also RF64 and WAVE_FORMAT_EXTENSIBLE | PCM of 8, 16, 24 and 32 bits, float of 32 and 64 bits, A-law, µ-law, IMA and Microsoft ADPCM | lengths of 0 and 2^32 - 1, as pipes have them, are understood |
//! | flac | flac | |
//! | mp3, mp2 | MPEG layers 1 to 3 | delay and padding cut off where a LAME tag tells them |
//! | ogg | vorbis, opus, flac | pre-skip and end trimmed |
//! | m4a, mp4 | AAC-LC, mono and stereo, ALAC | delay and padding cut off as its edit list says |
//! | aac (ADTS) | AAC-LC, mono and stereo | |
//! | webm, mkv | opus, vorbis, flac, AAC-LC, mp3, PCM | not from a pipe |
//! | aiff | PCM, A-law, µ-law | |
//! | caf | PCM, A-law, µ-law, IMA ADPCM, ALAC, AAC-LC | not from a pipe |
//!
//! The container is found by its first bytes; names and extensions do not matter. Memory is
//! constant: one packet at a time.
//!
//! **Nothing is left out silently.** A file that ends before the length its container states, a packet
//! that cannot be decoded and a gap between packets of a flac or an ogg are `InvalidAudio`; the samples
//! read before are right.
//!
//! What cannot be noticed is damage in streams that have neither length nor checksum: an mp3 without a
//! Xing or LAME tag, or a raw AAC stream, that was cut or lost bytes (the rest of a frame is passed
//! over), and a webm without sizes, as browsers record it, that was cut. Nor can blocks and fragments that
//! are missing inside webm, mkv and fragmented mp4, which cannot be told from the silence and the lost
//! packets that recorders of calls leave out: what follows comes at once.

mod adpcm;
mod coded;
mod mp4;
mod ogg;
mod opus;
mod wav;

use std::fmt;
use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom};
use std::path::Path;

use symphonia::core::io::{MediaSource, ReadOnlySource};

use super::resample::check_samples;
use super::{CHANNELS_MAX, Format, RATE_MAX, RATE_MIN, Source};
use crate::{Error, ErrorKind, Result};

/// A recording that is being read.
///
/// The first samples are decoded when it is opened, so what is no audio fails then.
///
/// ```
/// use std::path::Path;
/// use gigastt_core::audio::Source;
/// use gigastt_core::audio::file::FileSource;
///
/// let mut source = FileSource::open(Path::new("../tests/samples/sample_00.wav"))?;
/// assert_eq!(source.format().sample_rate, 16_000);
///
/// let (mut samples, mut piece) = (0, Vec::new());
/// loop {
///     source.read(&mut piece)?;
///     if piece.is_empty() {
///         break;
///     }
///     samples += piece.len();
/// }
/// assert_eq!(samples, 30_893);
/// # Ok::<(), gigastt_core::Error>(())
/// ```
pub struct FileSource {
    name: String,
    reader: Box<dyn Reader>,
    format: Format,
    first: Vec<f32>,
    frames: u64,
}

impl fmt::Debug for FileSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, format, .. } = self;
        f.debug_struct("FileSource").field("name", name).field("format", format).finish_non_exhaustive()
    }
}

/// A container and its codec. Its errors need not name the file.
trait Reader: Send {
    /// Replaces `out` by the next interleaved samples and says what they are; `None` at the end.
    fn read(&mut self, out: &mut Vec<f32>) -> Result<Option<Format>>;

    /// The length in seconds, where the header or the first packet tells it.
    fn seconds(&self) -> Option<f64>;
}

impl FileSource {
    /// Opens a file.
    ///
    /// # Errors
    /// `Io` when it cannot be read; `InvalidAudio` when it is no audio, holds none, or its rate or
    /// channel count is out of range.
    pub fn open(path: &Path) -> Result<Self> {
        let file = File::open(path).map_err(|error| Error::io(path, &error))?;
        let metadata = file.metadata().map_err(|error| Error::io(path, &error))?;
        if metadata.is_dir() {
            return Err(Error::new(ErrorKind::Io, "expected a file, found a directory").in_file(path));
        }
        Self::new(path.display().to_string(), Box::new(file))
    }

    /// Reads a file that is in memory; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self> {
        Self::new(name.to_owned(), Box::new(Cursor::new(bytes)))
    }

    /// Reads a stream that cannot seek, such as standard input; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`open`](Self::open). Webm, caf and an mp4 whose index is behind its audio cannot be read
    /// this way.
    pub fn from_reader(name: &str, reader: Box<dyn Read + Send + Sync>) -> Result<Self> {
        Self::new(name.to_owned(), Box::new(ReadOnlySource::new(reader)))
    }

    /// Reads an open file that can seek, of `size` bytes; `name` is what errors call it.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn from_seekable<R>(name: &str, reader: R, size: u64) -> Result<Self>
    where
        R: Read + Seek + Send + Sync + 'static,
    {
        Self::new(name.to_owned(), Box::new(Seekable { reader, size }))
    }

    fn new(name: String, input: Box<dyn MediaSource>) -> Result<Self> {
        Self::start(input).map_err(|error| error.about(name.clone())).map(|(reader, format, first)| Self {
            name,
            reader,
            format,
            first,
            frames: 0,
        })
    }

    fn start(input: Box<dyn MediaSource>) -> Result<(Box<dyn Reader>, Format, Vec<f32>)> {
        let mut reader = detect(input)?;
        let mut first = Vec::new();
        let Some(format) = reader.read(&mut first)? else {
            return Err(invalid("expected audio, found a file that holds none"));
        };
        if !(RATE_MIN..=RATE_MAX).contains(&format.sample_rate) {
            let rate = format.sample_rate;
            return Err(invalid(format!(
                "expected a sample rate of {RATE_MIN} to {RATE_MAX} Hz, found {rate}"
            )));
        }
        check_channels(format.channels.into())?;
        Ok((reader, format, first))
    }

    fn next(&mut self, out: &mut Vec<f32>) -> Result<()> {
        if !self.first.is_empty() {
            out.clear();
            std::mem::swap(&mut self.first, out);
        } else {
            match self.reader.read(out)? {
                None => out.clear(),
                Some(format) if format == self.format => {}
                Some(format) => {
                    let (was, seconds) =
                        (self.format, self.frames as f64 / f64::from(self.format.sample_rate));
                    out.clear();
                    return Err(invalid(format!(
                        "expected {was:?} throughout, found {format:?} at {seconds:.3} s"
                    )));
                }
            }
        }
        check_samples(out, self.format.channels.into(), self.frames)?;
        self.frames += out.len() as u64 / u64::from(self.format.channels);
        Ok(())
    }
}

impl Source for FileSource {
    fn format(&self) -> Format {
        self.format
    }

    fn duration_hint(&self) -> Option<f64> {
        self.reader.seconds()
    }

    fn read(&mut self, out: &mut Vec<f32>) -> Result<()> {
        self.next(out).map_err(|error| error.about(self.name.clone()))
    }
}

/// A host's own file.
struct Seekable<R> {
    reader: R,
    size: u64,
}

impl<R: Read> Read for Seekable<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.reader.read(out)
    }
}

impl<R: Seek> Seek for Seekable<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.reader.seek(to)
    }
}

impl<R: Read + Seek + Send + Sync> MediaSource for Seekable<R> {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.size)
    }
}

/// Bytes that tell the container.
const HEAD_LEN: usize = 12;

/// The bytes of a packet of an MPEG transport stream, each of which begins with the same one.
const TRANSPORT_LEN: usize = 188;
const TRANSPORT_SYNC: u8 = 0x47;

/// The reader for what the first bytes say.
fn detect(mut input: Box<dyn MediaSource>) -> Result<Box<dyn Reader>> {
    let mut head = Vec::with_capacity(TRANSPORT_LEN + 1);
    (&mut input).take(TRANSPORT_LEN as u64 + 1).read_to_end(&mut head).map_err(|error| io_error(&error))?;
    if input.is_seekable() {
        input.seek(SeekFrom::Start(0)).map_err(|error| io_error(&error))?;
    } else {
        input = Box::new(Pipe::new(head.clone(), input));
    }
    // Of what is cut into packets, the demuxers hear the packets' headers as damage.
    if let (Some(&TRANSPORT_SYNC), Some(&TRANSPORT_SYNC)) = (head.first(), head.get(TRANSPORT_LEN)) {
        return Err(invalid(coded::UNKNOWN));
    }
    // The demuxer reads on to the end for a codec that it knows.
    if head.starts_with(b"OggS") && head.get(28..).is_some_and(|packet| packet.starts_with(b"Speex ")) {
        return Err(invalid("expected a codec that can be decoded, found Speex"));
    }
    Ok(match head.get(..HEAD_LEN).unwrap_or(&head) {
        [] => return Err(invalid("expected audio, found an empty file")),
        [b'R', b'I', b'F', b'F', .., b'W', b'A', b'V', b'E']
        | [b'R', b'F', b'6', b'4', .., b'W', b'A', b'V', b'E']
        | [b'B', b'W', b'6', b'4', .., b'W', b'A', b'V', b'E'] => Box::new(wav::Wav::open(input)?),
        [_, _, _, _, b'f', b't', b'y', b'p', ..] => {
            let (edit, input) = mp4::edit(input)?;
            Box::new(coded::Coded::open(input, edit)?)
        }
        [b'O', b'g', b'g', b'S', ..] => {
            let end = ogg::end(&mut *input).map_err(|error| io_error(&error))?;
            Box::new(coded::Coded::open(Box::new(ogg::Pages::new(input)), None)?.ending_at(end))
        }
        [0x1a, 0x45, 0xdf, 0xa3, ..] | [b'c', b'a', b'f', b'f', ..] if !input.is_seekable() => {
            return Err(invalid(
                "expected a file, which webm and caf have to be, found a stream that cannot seek",
            ));
        }
        [0, 0, 1, 0xba, ..] => return Err(invalid(coded::UNKNOWN)),
        // Where it can seek, the demuxer takes an estimate of the length for the truth and cuts the
        // audio off there.
        [b'I', b'D', b'3', ..] | [0xff, ..] => Box::new(unmeasured(input)?),
        [0x1a, 0x45, 0xdf, 0xa3, ..]
        | [b'f', b'L', b'a', b'C', ..]
        | [b'F', b'O', b'R', b'M', ..]
        | [b'c', b'a', b'f', b'f', ..] => Box::new(coded::Coded::open(input, None)?),
        // An mp3 may begin anywhere. Of what is none, the demuxers complain that it is a broken one.
        _ => Box::new(unmeasured(input).map_err(|error| match error.kind() {
            ErrorKind::InvalidAudio => invalid(coded::UNKNOWN),
            _ => error,
        })?),
    })
}

/// The reader for a stream without a length of its own.
fn unmeasured(input: Box<dyn MediaSource>) -> Result<coded::Coded> {
    let length = input.byte_len();
    Ok(coded::Coded::open(Box::new(Pipe::new(Vec::new(), input)), None)?.estimate(length))
}

/// Bytes read already and the rest of a source, read once from front to back.
struct Pipe {
    head: Cursor<Vec<u8>>,
    rest: Box<dyn MediaSource>,
}

impl Pipe {
    fn new(head: Vec<u8>, rest: Box<dyn MediaSource>) -> Self {
        Self { head: Cursor::new(head), rest }
    }
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.head.read(buffer)? {
            0 => self.rest.read(buffer).map_err(|error| io::Error::new(error.kind(), Broken(error))),
            read => Ok(read),
        }
    }
}

/// An error of a pipe itself, so that it can be told from those that symphonia makes up.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Broken(io::Error);

impl Seek for Pipe {
    fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
        Err(io::ErrorKind::NotSeekable.into())
    }
}

impl MediaSource for Pipe {
    fn is_seekable(&self) -> bool {
        false
    }

    fn byte_len(&self) -> Option<u64> {
        None
    }
}

fn check_channels(channels: usize) -> Result<()> {
    if (1..=usize::from(CHANNELS_MAX)).contains(&channels) {
        return Ok(());
    }
    Err(invalid(format!("expected 1 to {CHANNELS_MAX} channels, found {channels}")))
}

fn invalid(message: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidAudio, message)
}

/// A source that ends where more was needed is broken audio, and so is what [`ogg`] finds; any other
/// failure is the system's.
fn io_error(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::InvalidData => invalid(error.to_string()),
        io::ErrorKind::UnexpectedEof => {
            invalid("expected more audio, found the end of the file: it is cut short")
        }
        _ => Error::new(ErrorKind::Io, error.to_string()),
    }
}
