//! Samples from standard input, read by a thread of its own.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::SyncSender;

use gigastt_core::audio::pcm::{PcmDecoder, SampleFormat};
use gigastt_core::{Error, ErrorKind, Result};

/// Bytes read at a time, at most; a pipe gives what is there.
const READ_BYTES: usize = 16_384;

/// What the listener is told.
pub(super) enum Input {
    Heard(Heard),
    /// The recognizer has events, or somebody wants the listening to end.
    News,
    /// No more samples come.
    End,
    /// No more samples can be had.
    Failed(Error),
}

/// Interleaved samples.
pub(super) struct Heard {
    /// Samples of each channel that were lost before these.
    pub lost: u64,
    pub samples: Vec<f32>,
}

/// Starts the thread. It ends with the input, when `stop` is set, or when nobody listens any more.
///
/// # Errors
/// `Internal` when the system gives no thread.
pub(super) fn read(
    mut from: impl Read + Send + 'static,
    encoding: SampleFormat,
    channels: u16,
    to: SyncSender<Input>,
    stop: Arc<AtomicBool>,
) -> Result<()> {
    let work = move || {
        let last = pump(&mut from, encoding, channels.into(), &to, &stop).unwrap_or_else(Input::Failed);
        let _ = to.send(last);
    };
    match std::thread::Builder::new().name("gigastt-read".into()).spawn(work) {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::new(ErrorKind::Internal, format!("no thread to read with: {error}"))),
    }
}

/// Sends what is read, in whole frames of channels.
fn pump(
    from: &mut impl Read,
    encoding: SampleFormat,
    channels: usize,
    to: &SyncSender<Input>,
    stop: &AtomicBool,
) -> Result<Input> {
    let mut decoder = PcmDecoder::new(encoding);
    let mut bytes = vec![0; READ_BYTES];
    let mut samples = Vec::new();
    while !stop.load(Ordering::SeqCst) {
        let count = match from.read(&mut bytes) {
            Ok(0) => {
                told_if_incomplete(&mut decoder, &samples);
                break;
            }
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(Error::io(Path::new("standard input"), &error)),
        };
        decoder.push(&bytes[..count], &mut samples);
        let rest = samples.split_off(samples.len() - samples.len() % channels);
        let whole = std::mem::replace(&mut samples, rest);
        if !whole.is_empty() && to.send(Input::Heard(Heard { lost: 0, samples: whole })).is_err() {
            break;
        }
    }
    Ok(Input::End)
}

/// Who is interrupted may stop writing inside a sample; nothing that could be heard is lost by it.
fn told_if_incomplete(decoder: &mut PcmDecoder, rest: &[f32]) {
    if let Err(error) = decoder.finish() {
        log::warn!("standard input: {}", error.message());
    } else if !rest.is_empty() {
        log::warn!(
            "standard input: expected whole frames of all channels, found {} samples more",
            rest.len()
        );
    }
}
