//! An upload on its way to samples: bytes as they arrive, decoded as they arrive, never held as a whole.
//!
//! ```text
//!   body ──► bytes, a bounded channel ──► a thread that decodes ──► pieces, a bounded channel
//! ```
//!
//! Only what can be read from its end alone (webm, an m4a with its index behind the audio) goes to one
//! temporary file first, within the limit on uploads.

use std::io::{self, Read, Seek as _, SeekFrom};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use futures_util::{Stream, StreamExt as _};
use gigastt_core::audio::file::FileSource;
use gigastt_core::audio::{Format, Source as _};
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::task::{AbortHandle, JoinHandle};
use tokio::time::Instant;

use super::App;
use super::reply::Refusal;

/// Chunks of a body, and pieces of audio, that wait.
const WAITING: usize = 4;

/// How long the next bytes of a body are awaited.
const STALL_MAX: Duration = Duration::from_secs(30);

/// Bytes of a body that have to arrive in a second on average, after the first [`STALL_MAX`]: less than what a
/// recording takes that is uploaded while it is made.
const RATE_MIN: f64 = 32.0;

/// Uploads that are decoded at a time, each on a thread of its own: half of what the runtime has.
pub(crate) const UPLOADS_MAX: usize = 256;

/// How far into an mp4 its index is looked for before the audio.
const HEAD_MAX: usize = 64 * 1024;

/// What an upload is bound to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub bytes: u64,
    pub audio_secs: u64,
}

/// What comes out: the format once, then samples.
#[derive(Debug)]
pub(crate) enum Piece {
    Format(Format),
    Samples(Vec<f32>),
}

/// Audio that arrives.
pub(crate) type Pieces = mpsc::Receiver<Result<Piece, Refusal>>;

/// Where the bytes of an upload go.
pub(crate) struct Inlet {
    bytes: mpsc::Sender<Bytes>,
    fault: Arc<OnceLock<Refusal>>,
    left: u64,
    limit: u64,
}

/// A place among the [`UPLOADS_MAX`].
pub(crate) type Place = OwnedSemaphorePermit;

/// Waits for a place as for admission.
///
/// # Errors
/// `timeout` when there was none in time.
pub(crate) async fn place(app: &App) -> Result<Place, Refusal> {
    let checkout = app.settings.load().checkout;
    match tokio::time::timeout(checkout, Arc::clone(&app.uploads).acquire_owned()).await {
        Ok(place) => place.map_err(|_| Refusal::internal()),
        Err(_) => Err(Refusal::timeout("Too many uploads are under way; try again later", checkout)),
    }
}

/// An upload that begins: where its bytes go, and where its audio comes out.
pub(crate) fn begin(bounds: Bounds, place: Place) -> (Inlet, Pieces) {
    let (bytes, arriving) = mpsc::channel(WAITING);
    let (pieces, audio) = mpsc::channel(WAITING);
    let fault = Arc::new(OnceLock::new());
    let reader = Arriving { bytes: arriving, now: Bytes::new(), fault: Arc::clone(&fault) };
    let known = Arc::clone(&fault);
    tokio::task::spawn_blocking(move || {
        if let Err(refusal) = decode(reader, bounds, &pieces) {
            // What went wrong with the bytes is why they cannot be decoded.
            let refusal = known.get().cloned().unwrap_or(refusal);
            let _ = pieces.blocking_send(Err(refusal));
        }
        drop(place);
    });
    (Inlet { bytes, fault, left: bounds.bytes, limit: bounds.bytes }, audio)
}

impl Inlet {
    /// Takes everything of `body`, also what stands behind the end of the audio.
    ///
    /// # Errors
    /// When it is too large, does not go on, or ends early. The decoder is told the same.
    pub(crate) async fn fill(
        &mut self,
        body: impl Stream<Item = Result<Bytes, impl Into<Refusal>>>,
    ) -> Result<(), Refusal> {
        let mut body = std::pin::pin!(body);
        // Only the time that the client takes counts, not ours.
        let mut awaited = Duration::ZERO;
        loop {
            let received = Duration::from_secs_f64((self.limit - self.left) as f64 / RATE_MIN);
            let patience = (STALL_MAX + received).saturating_sub(awaited).min(STALL_MAX);
            let begun = Instant::now();
            let arrived = tokio::time::timeout(patience, body.next()).await;
            awaited += begun.elapsed();
            let chunk = match arrived {
                Ok(None) => return Ok(()),
                Ok(Some(Ok(chunk))) => chunk,
                Ok(Some(Err(error))) => return self.fail(error.into()),
                Err(_) => return self.fail(Refusal::stalled()),
            };
            if chunk.len() as u64 > self.left {
                return self.fail(Refusal::too_large(self.limit));
            }
            self.left -= chunk.len() as u64;
            // Nobody takes it once the audio was at its end.
            let _ = self.bytes.send(chunk).await;
        }
    }

    fn fail(&self, why: Refusal) -> Result<(), Refusal> {
        let _ = self.fault.set(why.clone());
        Err(why)
    }
}

/// The task that reads a body, for an answer that begins before the body ends. Dropped it ends; the connection
/// then ends with the answer, and does not wait for the rest of the upload.
pub(crate) struct Reading(Option<AbortHandle>);

impl Reading {
    /// That of `task`.
    pub(crate) fn of<T>(task: &JoinHandle<T>) -> Self {
        Self(Some(task.abort_handle()))
    }

    /// Lets it read on to the end of the body, so that the connection can be used again.
    pub(crate) fn go_on(mut self) {
        // Not forgotten: the task's memory is kept as long as a handle is.
        self.0 = None;
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        if let Some(task) = &self.0 {
            task.abort();
        }
    }
}

/// The bytes as the decoder reads them, on its thread.
struct Arriving {
    bytes: mpsc::Receiver<Bytes>,
    now: Bytes,
    fault: Arc<OnceLock<Refusal>>,
}

impl Read for Arriving {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.now.is_empty() {
            match self.bytes.blocking_recv() {
                Some(bytes) => self.now = bytes,
                None if self.fault.get().is_some() => return Err(io::ErrorKind::ConnectionAborted.into()),
                None => return Ok(0),
            }
        }
        let taken = buffer.len().min(self.now.len());
        self.now.copy_to_slice(&mut buffer[..taken]);
        Ok(taken)
    }
}

fn decode(
    mut arriving: Arriving,
    bounds: Bounds,
    pieces: &mpsc::Sender<Result<Piece, Refusal>>,
) -> Result<(), Refusal> {
    let mut head = Vec::new();
    let streamable = streamable(&mut arriving, &mut head).map_err(|_| Refusal::internal())?;
    if head.is_empty() {
        return Err(Refusal::empty_body());
    }
    let reader = Read::chain(io::Cursor::new(head), arriving);
    let mut source = match streamable {
        true => FileSource::from_reader("the upload", Box::new(reader))?,
        false => spooled(reader)?,
    };
    let too_long = || Refusal::audio_too_long(bounds.audio_secs);
    if source.duration_hint().is_some_and(|secs| secs > bounds.audio_secs as f64) {
        return Err(too_long());
    }
    let format = source.format();
    let mut left = u64::from(format.sample_rate) * u64::from(format.channels) * bounds.audio_secs;
    let mut piece = Piece::Format(format);
    // Nobody listens any more: the client left.
    while pieces.blocking_send(Ok(piece)).is_ok() {
        let mut samples = Vec::new();
        source.read(&mut samples)?;
        if samples.is_empty() {
            return Ok(());
        }
        left = left.checked_sub(samples.len() as u64).ok_or_else(too_long)?;
        piece = Piece::Samples(samples);
    }
    Ok(())
}

/// Reads everything into a temporary file, which has no name and goes with its handle.
fn spooled(mut reader: impl Read) -> Result<FileSource, Refusal> {
    let failed = |error: io::Error| {
        if error.kind() != io::ErrorKind::ConnectionAborted {
            tracing::error!(%error, "an upload was not spooled");
        }
        Refusal::internal()
    };
    let mut file = tempfile::tempfile().map_err(failed)?;
    let size = io::copy(&mut reader, &mut file).map_err(failed)?;
    file.seek(SeekFrom::Start(0)).map_err(failed)?;
    Ok(FileSource::from_seekable("the upload", file, size)?)
}

/// Whether a recording can be decoded as it arrives. What was read to know it is in `head`.
fn streamable(reader: &mut impl Read, head: &mut Vec<u8>) -> io::Result<bool> {
    peek(reader, head, 8)?;
    if head.starts_with(&[0x1a, 0x45, 0xdf, 0xa3]) {
        return Ok(false);
    }
    if head.get(4..8) != Some(b"ftyp") {
        return Ok(true);
    }
    // The boxes of an mp4: a length and a name each. Audio before the index has to wait for the index.
    let mut at = 0;
    loop {
        peek(reader, head, at + 8)?;
        let Some(&[a, b, c, d, ref name @ ..]) = head.get(at..at + 8) else { return Ok(false) };
        match name {
            b"moov" => return Ok(true),
            b"mdat" => return Ok(false),
            _ => {}
        }
        at += (u32::from_be_bytes([a, b, c, d]) as usize).max(8);
        if at + 8 > HEAD_MAX {
            return Ok(false);
        }
    }
}

/// Reads until `head` has `length` bytes, or to the end.
fn peek(reader: &mut impl Read, head: &mut Vec<u8>, length: usize) -> io::Result<()> {
    let missing = length.saturating_sub(head.len()) as u64;
    reader.take(missing).read_to_end(head).map(drop)
}

#[cfg(test)]
mod tests {
    use tokio::sync::Semaphore;

    use super::*;

    #[test]
    fn what_can_be_decoded_as_it_arrives() {
        let check = |file: &[u8], expected: bool| {
            let (mut rest, mut head) = (file, Vec::new());
            assert_eq!(streamable(&mut rest, &mut head).expect("memory can be read"), expected);
            assert_eq!([&head, rest].concat(), file, "nothing is lost");
        };
        macro_rules! file {
            ($name:literal) => {
                include_bytes!(concat!("../../../gigastt-core/tests/data/audio/", $name))
            };
        }
        check(file!("faststart.m4a"), true);
        check(file!("aac.m4a"), false);
        check(file!("opus.webm"), false);
        check(file!("vorbis.ogg"), true);
        check(file!("s16.flac"), true);
        check(b"", true);
        check(b"\0\0\0\x20ftyp", false);
        check(&[b"\xff\xff\xff\xffftyp".as_slice(), &[0; 100]].concat(), false);
    }

    fn a_place() -> Place {
        Arc::new(Semaphore::new(1)).try_acquire_owned().expect("a place")
    }

    #[tokio::test]
    async fn the_limit_on_bytes_is_exact() {
        let wav = include_bytes!("../../../tests/samples/sample_00.wav");
        for (limit, fits) in [(wav.len() as u64, true), (wav.len() as u64 - 1, false)] {
            let (mut inlet, mut pieces) = begin(Bounds { bytes: limit, audio_secs: 60 }, a_place());
            let chunks = wav.chunks(1000).map(|chunk| Ok::<_, Refusal>(Bytes::copy_from_slice(chunk)));
            let fill = async move { inlet.fill(futures_util::stream::iter(chunks)).await };
            let drain = async {
                let mut last = None;
                while let Some(piece) = pieces.recv().await {
                    last = piece.err();
                }
                last
            };
            let (_, last) = tokio::join!(fill, drain);
            assert_eq!(last.map(|refusal| refusal.code), (!fits).then_some("payload_too_large"));
        }
    }

    #[tokio::test]
    async fn the_limit_on_audio_is_exact() {
        // 30,893 samples at 16 kHz: just under 2 s.
        let wav = include_bytes!("../../../tests/samples/sample_00.wav");
        for (audio_secs, code) in [(2, None), (1, Some("audio_too_long"))] {
            let (mut inlet, mut pieces) = begin(Bounds { bytes: 1 << 20, audio_secs }, a_place());
            let fill = async move {
                inlet.fill(futures_util::stream::iter([Ok::<_, Refusal>(Bytes::from_static(wav))])).await
            };
            let drain = async {
                let mut last = None;
                while let Some(piece) = pieces.recv().await {
                    last = piece.err();
                }
                last
            };
            let (_, last) = tokio::join!(fill, drain);
            assert_eq!(last.map(|refusal| refusal.code), code);
        }
    }

    /// A body in pieces of `size` bytes, one each `every`.
    fn trickle(size: usize, every: Duration) -> impl Stream<Item = Result<Bytes, Refusal>> {
        futures_util::stream::unfold((), move |()| async move {
            tokio::time::sleep(every).await;
            Some((Ok(Bytes::from(vec![0; size])), ()))
        })
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_trickles_is_given_up() {
        let check = async |size: usize, every_ms: u64, bytes: u64, expected: (&str, u64)| {
            // Without the decoder: the clock does not go on by itself while its thread waits.
            let (waiting, _) = mpsc::channel(WAITING);
            let mut inlet = Inlet { bytes: waiting, fault: Arc::default(), left: bytes, limit: bytes };
            let begun = Instant::now();
            let refusal =
                inlet.fill(trickle(size, Duration::from_millis(every_ms))).await.expect_err("no end");
            assert_eq!((refusal.code, begun.elapsed().as_secs()), expected, "{size} each {every_ms} ms");
        };
        // One byte in 29 s is as good as none.
        check(1, 29_000, 1 << 20, ("timeout", 30)).await;
        check(1, 31_000, 1 << 20, ("timeout", 30)).await;
        // A fast beginning is no licence to stall.
        check(1 << 19, 40_000, 1 << 20, ("timeout", 30)).await;
        // What speech needs may go on up to the limit on bytes.
        check(750, 1_000, 75_000, ("payload_too_large", 101)).await;
        check(33, 1_000, 3_300, ("payload_too_large", 101)).await;
        check(20, 1_000, 1 << 20, ("timeout", 78)).await;
    }
}
