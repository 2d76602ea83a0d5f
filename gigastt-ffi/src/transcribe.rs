//! One shot: whole recordings.

use std::ffi::{c_char, c_void};

use gigastt_core::audio::pcm::Sample as _;
use gigastt_core::audio::{Format, Source};
use gigastt_core::{Audio, Canceller, Hooks, Options, Progress};

use crate::config::{CONFIGS, gigastt_config, recording};
use crate::engine::{ENGINES, gigastt_engine};
use crate::error::gigastt_error;
use crate::fence::{Answer, fence, out, slice, string};
use crate::handles::Handles;
use crate::json::milliseconds;
use crate::status::{GIGASTT_OK, gigastt_status};
use crate::transcript::gigastt_transcript;

/// Ends transcriptions from another thread. Every function on it may be called from any thread at any time.
pub struct gigastt_canceller(());

static CANCELLERS: Handles<gigastt_canceller, Canceller> = Handles::new("canceller");

/// Makes a canceller in `*canceller`. Release it with `gigastt_canceller_release`. Any thread.
/// Errors: `INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_canceller_new(
    canceller: *mut *mut gigastt_canceller,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        let place = out("canceller", canceller)?;
        let made = CANCELLERS.insert(std::sync::Arc::default());
        // SAFETY: not NULL, and writable by the contract of the header.
        unsafe { place.write(made) };
        Ok(GIGASTT_OK)
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// Cancels every transcription that was given the canceller, those that start later too. Idempotent; never
/// waits for anything. Any thread. Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_canceller_cancel(
    canceller: *mut gigastt_canceller,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        CANCELLERS.find(canceller)?.cancel();
        Ok(GIGASTT_OK)
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// Releases a canceller; cancels nothing. NULL is nothing to do. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_canceller_release(canceller: *mut gigastt_canceller) {
    crate::handles::release(&CANCELLERS, canceller, drop);
}

/// Hears how far a transcription is: milliseconds of audio whose text is done, and of the whole recording,
/// -1 where that is not known. Runs on the thread that transcribes. It must not throw and not jump out.
pub type gigastt_progress_fn = Option<unsafe extern "C" fn(user: *mut c_void, done_ms: i64, total_ms: i64)>;

/// Transcribes a recording of 16-bit samples at `sample_rate` Hz into `*transcript` and waits for it.
/// With several channels (key `channels`) they are interleaved, and `count` counts the samples of all.
/// `config`, `canceller` and `progress` may be NULL, and `samples` when `count` is 0. The samples must not change
/// before it returns.
/// Release the transcript with `gigastt_transcript_release`. Any thread.
/// Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `CANCELLED`, `INFERENCE`, `POISONED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_transcribe_pcm(
    engine: *const gigastt_engine,
    config: *const gigastt_config,
    samples: *const i16,
    count: usize,
    sample_rate: i32,
    canceller: *const gigastt_canceller,
    progress: gigastt_progress_fn,
    user: *mut c_void,
    transcript: *mut *mut gigastt_transcript,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        // SAFETY: NULL or readable by the contract of the header.
        let samples = unsafe { slice("samples", samples, count) }?;
        let options = recording(CONFIGS.find_if_any(config)?.as_deref(), Some(sample_rate))?;
        let source: Box<dyn Source> = Box::new(Pcm { rest: samples, format: options.format });
        // SAFETY: by the contract of the header.
        unsafe { transcribe(engine, source.into(), &options, canceller, progress, user, transcript) }
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// Transcribes the audio file `path` (wav, flac, mp3, ogg, opus, m4a, aac, webm, aiff) of any length into
/// `*transcript`, in constant memory apart from the text, and waits for it. `config`, `canceller` and
/// `progress` may be NULL. Release the transcript with `gigastt_transcript_release`. Any thread.
/// Errors: `INVALID_ARGUMENT`, `INVALID_HANDLE`, `IO`, `INVALID_AUDIO`, `CANCELLED`, `INFERENCE`,
/// `POISONED`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_transcribe_file(
    engine: *const gigastt_engine,
    config: *const gigastt_config,
    path: *const c_char,
    canceller: *const gigastt_canceller,
    progress: gigastt_progress_fn,
    user: *mut c_void,
    transcript: *mut *mut gigastt_transcript,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    let body = || {
        // SAFETY: NULL or a string by the contract of the header.
        let path = unsafe { string("path", path) }?;
        let options = recording(CONFIGS.find_if_any(config)?.as_deref(), None)?;
        // SAFETY: by the contract of the header.
        unsafe { transcribe(engine, path.into(), &options, canceller, progress, user, transcript) }
    };
    // SAFETY: NULL or writable by the contract of the header.
    unsafe { fence(error, body) }
}

/// # Safety
/// `transcript` is NULL or writable; `progress` may be called with `user`.
unsafe fn transcribe(
    engine: *const gigastt_engine,
    audio: Audio<'_>,
    options: &Options,
    canceller: *const gigastt_canceller,
    progress: gigastt_progress_fn,
    user: *mut c_void,
    transcript: *mut *mut gigastt_transcript,
) -> Answer {
    let place = out("transcript", transcript)?;
    let canceller = CANCELLERS.find_if_any(canceller)?;
    let mut tell = |now: Progress| {
        if let Some(progress) = progress {
            // SAFETY: the host's function with the host's data.
            unsafe { progress(user, milliseconds(now.done_s), now.total_s.map_or(-1, milliseconds)) };
        }
    };
    let hooks = Hooks { progress: Some(&mut tell), on_final: None, canceller: canceller.as_deref() };
    let done = ENGINES.find(engine)?.with(|engine| Ok(engine.transcribe_with(audio, options, hooks)?))?;
    // SAFETY: not NULL, and writable by the contract of this function.
    unsafe { place.write(gigastt_transcript::boxed(done)) };
    Ok(GIGASTT_OK)
}

/// Samples of the host, piece by piece.
struct Pcm<'a> {
    rest: &'a [i16],
    format: Format,
}

impl Source for Pcm<'_> {
    fn format(&self) -> Format {
        self.format
    }

    fn duration_hint(&self) -> Option<f64> {
        let frames = self.rest.len() as f64 / f64::from(self.format.channels.max(1));
        Some(frames / f64::from(self.format.sample_rate.max(1)))
    }

    fn read(&mut self, out: &mut Vec<f32>) -> gigastt_core::Result<()> {
        const PIECE: usize = 16_384;
        let frame = usize::from(self.format.channels);
        let (piece, rest) = self.rest.split_at(self.rest.len().min(PIECE / frame.max(1) * frame.max(1)));
        out.clear();
        out.extend(piece.iter().map(|sample| sample.to_f32()));
        self.rest = rest;
        Ok(())
    }
}
