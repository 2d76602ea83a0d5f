//! Partials.

use std::ffi::c_char;

use gigastt_core::Partial;

use crate::error::gigastt_error;
use crate::fence::fence_value;
use crate::handles::Counted;
use crate::status::gigastt_status;
use crate::text::{Text, gigastt_str, hand_out};
use crate::words::{Words, gigastt_word};

/// The newest state of an utterance that is being spoken. Immutable: any thread may read it. The texts
/// it gives live as long as it does.
pub struct gigastt_partial {
    partial: Partial,
    text: Text,
    words: Words,
    _counted: Counted,
}

impl gigastt_partial {
    pub(crate) fn new(partial: Partial) -> Self {
        let (text, words) = (Text::new(&partial.text), Words::new(&partial.words));
        Self { partial, text, words, _counted: Counted::new() }
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        crate::json::partial(&self.partial)
    }

    pub(crate) fn boxed(partial: Partial) -> *mut Self {
        Box::into_raw(Box::new(Self::new(partial)))
    }
}

/// Everything recognised of the utterance so far; empty for NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_partial_text(partial: *const gigastt_partial) -> gigastt_str {
    // SAFETY: NULL or alive by the contract of the header.
    fence_value(gigastt_str::EMPTY, || unsafe { partial.as_ref() }.map(|it| it.text.view()))
}

/// How many bytes of the text, from its start, never change; 0 in mode `two_pass`. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_partial_committed_len(partial: *const gigastt_partial) -> usize {
    // SAFETY: NULL or alive by the contract of the header.
    fence_value(0, || unsafe { partial.as_ref() }.map(|it| it.partial.committed_bytes))
}

/// How many bytes of the text, from its start, are unlikely to change: a hint for displays; at least
/// `gigastt_partial_committed_len`. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_partial_stable_len(partial: *const gigastt_partial) -> usize {
    // SAFETY: NULL or alive by the contract of the header.
    fence_value(0, || unsafe { partial.as_ref() }.map(|it| it.partial.stable_bytes))
}

/// A number that grows with every change; 0 for NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_partial_revision(partial: *const gigastt_partial) -> u64 {
    // SAFETY: NULL or alive by the contract of the header.
    fence_value(0, || unsafe { partial.as_ref() }.map(|it| it.partial.revision))
}

/// Milliseconds of audio taken, from the start of the stream. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_partial_audio_ms(partial: *const gigastt_partial) -> i64 {
    // SAFETY: NULL or alive by the contract of the header.
    fence_value(0, || unsafe { partial.as_ref() }.map(|it| it.partial.heard_ms as i64))
}

/// Milliseconds of audio, from the start of the stream, that the text accounts for. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_partial_decoded_ms(partial: *const gigastt_partial) -> i64 {
    // SAFETY: NULL or alive by the contract of the header.
    fence_value(0, || unsafe { partial.as_ref() }.map(|it| it.partial.decoded_ms as i64))
}

/// The number of its words; 0 for NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_partial_word_count(partial: *const gigastt_partial) -> usize {
    // SAFETY: NULL or alive by the contract of the header.
    fence_value(0, || unsafe { partial.as_ref() }.map(|it| it.words.len()))
}

/// Fills `*word` with word `index`, counted from 0. Its text lives as long as the partial. Any thread.
/// Errors: `INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_partial_word(
    partial: *const gigastt_partial,
    index: usize,
    word: *mut gigastt_word,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    // SAFETY: NULL or alive, and NULL or writable, by the contract of the header.
    unsafe { Words::give(partial.as_ref().map(|it| &it.words), index, word, error) }
}

/// Puts it as a JSON object into `*json`: `text`, `committed`, `tentative`, `stable`, `revision`, `words`
/// (`word`, `start`, `end` in seconds, `confidence`), `audio_ms`, `decoded_ms`. Release the string with `gigastt_string_release`. Any thread. Errors:
/// `INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_partial_to_json(
    partial: *const gigastt_partial,
    json: *mut *mut c_char,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    // SAFETY: NULL or alive, and NULL or writable, by the contract of the header.
    unsafe { hand_out(("partial", "json"), partial, json, error, |it| it.json().to_string()) }
}

/// Releases it. NULL is nothing to do. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_partial_release(partial: *mut gigastt_partial) {
    // SAFETY: made by this library and not released before, by the contract of the header.
    unsafe { crate::handles::release_box(partial) }
}
