//! The functions of C in the hands of Rust tests.

#![allow(dead_code)] // Each test program uses a part.

pub(crate) mod steps;

use std::ffi::CString;
use std::ptr::{null, null_mut};

use gigastt_core::fake::{FRAME, amplitude};
use gigastt_ffi::config::*;
use gigastt_ffi::engine::*;
use gigastt_ffi::error::*;
use gigastt_ffi::event::*;
use gigastt_ffi::recognizer::*;
use gigastt_ffi::status::*;
use gigastt_ffi::text::gigastt_str;
use gigastt_ffi::transcript::*;
use gigastt_ffi::utterance::*;

/// Far longer than anything takes; a test that needs it fails.
pub(crate) const LONG_MS: i64 = 60_000;

/// A handle that tests pass between threads. It is a number.
pub(crate) struct Shared<T>(pub(crate) *mut T);

// SAFETY: handles may be used from any thread.
unsafe impl<T> Send for Shared<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Shared<T> {}

impl<T> Shared<T> {
    pub(crate) fn get(&self) -> *mut T {
        self.0
    }
}

/// `words` of the scripted model as a signal: each lasts its number of frames; word 0 is silence.
pub(crate) fn signal(words: &[(u32, usize)]) -> Vec<f32> {
    words.iter().flat_map(|(word, frames)| std::iter::repeat_n(amplitude(*word), frames * FRAME)).collect()
}

pub(crate) const SPEECH: [(u32, usize); 7] = [(0, 10), (1, 10), (2, 10), (0, 30), (5, 10), (6, 10), (0, 30)];
pub(crate) const SPOKEN: &str = "w1 w3 w5 w7";

/// A configuration with these values.
pub(crate) fn config(values: &[(&str, &str)]) -> *mut gigastt_config {
    let mut config = null_mut();
    // SAFETY: the addresses are good.
    assert_eq!(unsafe { gigastt_config_new(&raw mut config, null_mut()) }, GIGASTT_OK);
    for (key, value) in values {
        let (name, text) = (CString::new(*key).unwrap(), CString::new(*value).unwrap());
        // SAFETY: the strings are good.
        let status = unsafe { gigastt_config_set(config, name.as_ptr(), text.as_ptr(), null_mut()) };
        assert_eq!(status, GIGASTT_OK, "{key} = {value}");
    }
    config
}

/// An engine on the scripted model, whose calls take so many milliseconds.
pub(crate) fn engine(call_ms: u32) -> *mut gigastt_engine {
    let config = config(&[("fake", &call_ms.to_string()), ("threads", "2")]);
    let mut engine = null_mut();
    // SAFETY: the addresses are good.
    unsafe {
        assert_eq!(gigastt_engine_open(config, &raw mut engine, null_mut()), GIGASTT_OK);
        gigastt_config_release(config);
    }
    engine
}

pub(crate) fn open(engine: *mut gigastt_engine) -> *mut gigastt_recognizer {
    let mut recognizer = null_mut();
    // SAFETY: the addresses are good.
    let status = unsafe { gigastt_recognizer_open(engine, null(), 16_000, &raw mut recognizer, null_mut()) };
    assert_eq!(status, GIGASTT_OK);
    recognizer
}

/// Pushes everything; waits for room where there is none. The first bad status, or `GIGASTT_OK`.
pub(crate) fn push(recognizer: *mut gigastt_recognizer, mut samples: &[f32]) -> gigastt_status {
    while !samples.is_empty() {
        let mut taken = 0;
        // SAFETY: the addresses are good.
        let mut status = unsafe {
            gigastt_recognizer_push_pcm_f32(
                recognizer,
                samples.as_ptr(),
                samples.len(),
                &raw mut taken,
                null_mut(),
            )
        };
        if status == GIGASTT_WOULD_BLOCK {
            // SAFETY: a handle.
            status = unsafe { gigastt_recognizer_wait_writable(recognizer, LONG_MS, null_mut()) };
        }
        if status != GIGASTT_OK {
            return status;
        }
        samples = &samples[taken..];
    }
    GIGASTT_OK
}

/// The next event as JSON, or the status without one.
pub(crate) fn next(
    recognizer: *mut gigastt_recognizer,
    timeout_ms: i64,
) -> Result<serde_json::Value, gigastt_status> {
    let mut event = null_mut();
    // SAFETY: the addresses are good, and what comes out is alive.
    unsafe {
        let status = gigastt_recognizer_poll_event(recognizer, timeout_ms, &raw mut event, null_mut());
        if status != GIGASTT_OK {
            return Err(status);
        }
        let json = json_of(event);
        gigastt_event_release(event);
        Ok(json)
    }
}

/// An event as JSON.
pub(crate) fn json_of(event: *const gigastt_event) -> serde_json::Value {
    let mut json = null_mut();
    // SAFETY: the event is alive and the address good.
    unsafe {
        assert_eq!(gigastt_event_to_json(event, &raw mut json, null_mut()), GIGASTT_OK);
        let value = serde_json::from_slice(std::ffi::CStr::from_ptr(json).to_bytes()).unwrap();
        gigastt_ffi::text::gigastt_string_release(json);
        value
    }
}

/// The type of an event, its text if it has one.
pub(crate) fn short(event: &serde_json::Value) -> String {
    let kind = event["type"].as_str().unwrap();
    match event["text"].as_str().or(event["status"].as_str()) {
        Some(text) => format!("{kind} {text}"),
        None => kind.to_owned(),
    }
}

/// The text of `finish`, or its status.
pub(crate) fn finish(recognizer: *mut gigastt_recognizer) -> Result<String, gigastt_status> {
    let mut transcript = null_mut();
    // SAFETY: the addresses are good, and what comes out is alive.
    unsafe {
        let status = gigastt_recognizer_finish(recognizer, -1, &raw mut transcript, null_mut());
        if status != GIGASTT_OK {
            return Err(status);
        }
        let text = text(gigastt_transcript_text(transcript));
        gigastt_transcript_release(transcript);
        Ok(text)
    }
}

/// A copy of a text.
pub(crate) fn text(text: gigastt_str) -> String {
    // SAFETY: what an accessor gave, with the object alive.
    let bytes = unsafe { std::slice::from_raw_parts(text.data.cast::<u8>(), text.len + 1) };
    assert_eq!(bytes[text.len], 0, "texts end with a NUL");
    std::str::from_utf8(&bytes[..text.len]).unwrap().to_owned()
}

/// The texts of a transcript's finals.
pub(crate) fn segments(transcript: *const gigastt_transcript) -> Vec<String> {
    // SAFETY: the transcript is alive.
    unsafe {
        let count = gigastt_transcript_segment_count(transcript);
        (0..count)
            .map(|index| text(gigastt_final_text(gigastt_transcript_segment(transcript, index))))
            .collect()
    }
}

/// The status and message of a call that must fail.
pub(crate) fn failure(
    call: impl FnOnce(*mut *mut gigastt_error) -> gigastt_status,
) -> (gigastt_status, String) {
    let mut error = null_mut();
    let status = call(&raw mut error);
    assert!(status < 0, "expected an error, found {status}");
    // SAFETY: set, because the status is negative.
    unsafe {
        assert_eq!(gigastt_error_status(error), status);
        let message = text(gigastt_error_message(error));
        gigastt_error_release(error);
        (status, message)
    }
}
