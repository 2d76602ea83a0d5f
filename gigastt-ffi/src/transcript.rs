//! Transcripts.

use std::ffi::c_char;

use gigastt_core::Transcript;

use crate::error::gigastt_error;
use crate::fence::fence_value;
use crate::handles::Counted;
use crate::json::milliseconds;
use crate::status::gigastt_status;
use crate::text::{Text, gigastt_str, hand_out};
use crate::utterance::gigastt_final;
use crate::words::{Words, gigastt_word};

/// The finished utterances of a recording, or of a stream those that were not taken as events. Immutable:
/// any thread may read it. The texts and finals it gives live as long as it does.
pub struct gigastt_transcript {
    transcript: Transcript,
    text: Text,
    words: Words,
    segments: Vec<gigastt_final>,
    _counted: Counted,
}

impl gigastt_transcript {
    pub(crate) fn boxed(transcript: Transcript) -> *mut Self {
        Box::into_raw(Box::new(Self {
            text: Text::new(&transcript.text),
            words: Words::new(transcript.words()),
            segments: transcript.segments.iter().cloned().map(gigastt_final::new).collect(),
            transcript,
            _counted: Counted::new(),
        }))
    }

    fn json(&self) -> serde_json::Value {
        crate::json::transcript(&self.transcript)
    }
}

/// The texts of its segments, joined by single spaces; empty for NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_transcript_text(transcript: *const gigastt_transcript) -> gigastt_str {
    // SAFETY: NULL or alive by the contract of the header.
    fence_value(gigastt_str::EMPTY, || unsafe { transcript.as_ref() }.map(|it| it.text.view()))
}

/// Milliseconds of audio from the start of the stream. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_transcript_duration_ms(transcript: *const gigastt_transcript) -> i64 {
    // SAFETY: NULL or alive by the contract of the header.
    fence_value(0, || unsafe { transcript.as_ref() }.map(|it| milliseconds(it.transcript.duration)))
}

/// The number of its finals; 0 for NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_transcript_segment_count(transcript: *const gigastt_transcript) -> usize {
    // SAFETY: NULL or alive by the contract of the header.
    fence_value(0, || unsafe { transcript.as_ref() }.map(|it| it.segments.len()))
}

/// Final `index`, counted from 0; NULL where there is none. Lives as long as the transcript. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_transcript_segment(
    transcript: *const gigastt_transcript,
    index: usize,
) -> *const gigastt_final {
    // SAFETY: NULL or alive by the contract of the header.
    let segment = || unsafe { transcript.as_ref() }?.segments.get(index).map(std::ptr::from_ref);
    fence_value(std::ptr::null(), segment)
}

/// The number of its words; 0 for NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_transcript_word_count(transcript: *const gigastt_transcript) -> usize {
    // SAFETY: NULL or alive by the contract of the header.
    fence_value(0, || unsafe { transcript.as_ref() }.map(|it| it.words.len()))
}

/// Fills `*word` with word `index`, counted from 0. Its text lives as long as the transcript. Any thread.
/// Errors: `INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_transcript_word(
    transcript: *const gigastt_transcript,
    index: usize,
    word: *mut gigastt_word,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    // SAFETY: NULL or alive, and NULL or writable, by the contract of the header.
    unsafe { Words::give(transcript.as_ref().map(|it| &it.words), index, word, error) }
}

/// Puts it as a JSON object into `*json`: `text`, `duration` in seconds, `words`, `segments`. Release the string with `gigastt_string_release`. Any thread. Errors:
/// `INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_transcript_to_json(
    transcript: *const gigastt_transcript,
    json: *mut *mut c_char,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    // SAFETY: NULL or alive, and NULL or writable, by the contract of the header.
    unsafe { hand_out(("transcript", "json"), transcript, json, error, |it| it.json().to_string()) }
}

/// Puts it as SubRip subtitles into `*srt`. Release the string with `gigastt_string_release`. Any thread. Errors:
/// `INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_transcript_to_srt(
    transcript: *const gigastt_transcript,
    srt: *mut *mut c_char,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    // SAFETY: NULL or alive, and NULL or writable, by the contract of the header.
    unsafe { hand_out(("transcript", "srt"), transcript, srt, error, |it| it.transcript.to_srt()) }
}

/// Puts it as WebVTT subtitles into `*vtt`. Release the string with `gigastt_string_release`. Any thread. Errors:
/// `INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_transcript_to_vtt(
    transcript: *const gigastt_transcript,
    vtt: *mut *mut c_char,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    // SAFETY: NULL or alive, and NULL or writable, by the contract of the header.
    unsafe { hand_out(("transcript", "vtt"), transcript, vtt, error, |it| it.transcript.to_vtt()) }
}

/// Releases it. NULL is nothing to do. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_transcript_release(transcript: *mut gigastt_transcript) {
    // SAFETY: made by this library and not released before, by the contract of the header.
    unsafe { crate::handles::release_box(transcript) }
}
