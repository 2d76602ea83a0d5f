//! Finals: finished utterances.

use std::ffi::c_char;

use gigastt_core::{EndpointReason, Final};

use crate::error::gigastt_error;
use crate::fence::fence_value;
use crate::status::gigastt_status;
use crate::text::{Text, gigastt_str, hand_out};
use crate::words::{Words, gigastt_word};

/// A finished utterance. Belongs to the event or transcript it comes from, and lives as long. Immutable:
/// any thread may read it.
pub struct gigastt_final {
    utterance: Final,
    text: Text,
    words: Words,
}

impl gigastt_final {
    pub(crate) fn new(utterance: Final) -> Self {
        let (text, words) = (Text::new(&utterance.text), Words::new(&utterance.words));
        Self { utterance, text, words }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        crate::json::utterance(&self.utterance)
    }
}

/// Why an utterance ended.
pub type gigastt_endpoint_reason = i32;

/// Enough silence after speech.
pub const GIGASTT_ENDPOINT_SILENCE: gigastt_endpoint_reason = 0;
/// The utterance reached its length bound; the speaker may be in the middle of a sentence.
pub const GIGASTT_ENDPOINT_LENGTH: gigastt_endpoint_reason = 1;
/// `gigastt_recognizer_force_endpoint`.
pub const GIGASTT_ENDPOINT_FORCED: gigastt_endpoint_reason = 2;
/// The stream was finished.
pub const GIGASTT_ENDPOINT_FINISH: gigastt_endpoint_reason = 3;
/// `gigastt_engine_drain`.
pub const GIGASTT_ENDPOINT_SHUTDOWN: gigastt_endpoint_reason = 4;
/// The stream reached a service's time limit.
pub const GIGASTT_ENDPOINT_SESSION_CAP: gigastt_endpoint_reason = 5;
/// A service heard nothing from its client for too long.
pub const GIGASTT_ENDPOINT_IDLE: gigastt_endpoint_reason = 6;

/// Exhaustive, so that a new reason does not compile without a number.
const fn reason_of(reason: EndpointReason) -> gigastt_endpoint_reason {
    match reason {
        EndpointReason::Silence => GIGASTT_ENDPOINT_SILENCE,
        EndpointReason::Length => GIGASTT_ENDPOINT_LENGTH,
        EndpointReason::Forced => GIGASTT_ENDPOINT_FORCED,
        EndpointReason::Finish => GIGASTT_ENDPOINT_FINISH,
        EndpointReason::Shutdown => GIGASTT_ENDPOINT_SHUTDOWN,
        EndpointReason::SessionCap => GIGASTT_ENDPOINT_SESSION_CAP,
        EndpointReason::Idle => GIGASTT_ENDPOINT_IDLE,
    }
}

/// Its text, which may be empty; empty for NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_final_text(utterance: *const gigastt_final) -> gigastt_str {
    // SAFETY: NULL or alive by the contract of the header.
    fence_value(gigastt_str::EMPTY, || unsafe { utterance.as_ref() }.map(|it| it.text.view()))
}

/// The first sample that was encoded, at 16 kHz from the start of the stream: a multiple of 640. Any
/// thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_final_start_sample(utterance: *const gigastt_final) -> u64 {
    // SAFETY: NULL or alive by the contract of the header.
    fence_value(0, || unsafe { utterance.as_ref() }.map(|it| it.utterance.span.start))
}

/// One past the last sample that was encoded, at 16 kHz from the start of the stream. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_final_end_sample(utterance: *const gigastt_final) -> u64 {
    // SAFETY: NULL or alive by the contract of the header.
    fence_value(0, || unsafe { utterance.as_ref() }.map(|it| it.utterance.span.end))
}

/// Why the utterance ended; -1 for NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_final_endpoint_reason(
    utterance: *const gigastt_final,
) -> gigastt_endpoint_reason {
    // SAFETY: NULL or alive by the contract of the header.
    fence_value(-1, || unsafe { utterance.as_ref() }.map(|it| reason_of(it.utterance.endpoint_reason)))
}

/// Whether the text comes from one pass over the whole utterance. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_final_second_pass(utterance: *const gigastt_final) -> bool {
    // SAFETY: NULL or alive by the contract of the header.
    fence_value(false, || unsafe { utterance.as_ref() }.map(|it| it.utterance.second_pass))
}

/// The number of its words; 0 for NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_final_word_count(utterance: *const gigastt_final) -> usize {
    // SAFETY: NULL or alive by the contract of the header.
    fence_value(0, || unsafe { utterance.as_ref() }.map(|it| it.words.len()))
}

/// Fills `*word` with word `index`, counted from 0. Its text lives as long as the final. Any thread.
/// Errors: `INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_final_word(
    utterance: *const gigastt_final,
    index: usize,
    word: *mut gigastt_word,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    // SAFETY: NULL or alive, and NULL or writable, by the contract of the header.
    unsafe { Words::give(utterance.as_ref().map(|it| &it.words), index, word, error) }
}

/// Puts it as a JSON object into `*json`: `text`, `start` and `end` in seconds, `span` in samples,
/// `endpoint_reason`, `second_pass`, `words`. Release the string with `gigastt_string_release`. Any thread. Errors:
/// `INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_final_to_json(
    utterance: *const gigastt_final,
    json: *mut *mut c_char,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    // SAFETY: NULL or alive, and NULL or writable, by the contract of the header.
    unsafe { hand_out(("utterance", "json"), utterance, json, error, |it| it.json().to_string()) }
}
