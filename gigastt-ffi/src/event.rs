//! Events.

use std::ffi::c_char;
use std::ptr::null;

use gigastt_core::{End, Event};
use serde_json::json;

use crate::error::gigastt_error;
use crate::fence::{Failure, fence_value};
use crate::handles::Counted;
use crate::partial::gigastt_partial;
use crate::status::gigastt_status;
use crate::text::hand_out;
use crate::utterance::gigastt_final;

/// What a stream tells, in this order: speech started, partials, final, and so on, and one end, after
/// which nothing follows. Immutable: any thread may read it. What it gives lives as long as it does.
pub struct gigastt_event {
    what: What,
    _counted: Counted,
}

enum What {
    SpeechStarted(u64),
    Partial(gigastt_partial),
    Final(gigastt_final),
    End(Option<gigastt_error>),
}

impl gigastt_event {
    pub(crate) fn new(event: Event) -> Self {
        let failed =
            |end: End| end.into_result().err().map(|error| gigastt_error::new(&Failure::from(error)));
        let what = match event {
            Event::SpeechStarted { at_ms } => What::SpeechStarted(at_ms),
            Event::Partial(partial) => What::Partial(gigastt_partial::new(partial)),
            Event::Final(text) => What::Final(gigastt_final::new(text)),
            Event::End(end) => What::End(failed(end)),
        };
        Self { what, _counted: Counted::new() }
    }

    fn kind(&self) -> gigastt_event_type {
        match self.what {
            What::SpeechStarted(_) => GIGASTT_EVENT_SPEECH_STARTED,
            What::Partial(_) => GIGASTT_EVENT_PARTIAL,
            What::Final(_) => GIGASTT_EVENT_FINAL,
            What::End(_) => GIGASTT_EVENT_END,
        }
    }

    fn json(&self) -> serde_json::Value {
        match &self.what {
            What::SpeechStarted(at_ms) => json!({ "type": "speech_started", "at_ms": at_ms }),
            What::Partial(partial) => tagged("partial", partial.json()),
            What::Final(text) => tagged("final", text.json()),
            What::End(None) => json!({ "type": "end", "status": "ok" }),
            What::End(Some(error)) => {
                json!({ "type": "end", "status": error.name(), "message": error.message() })
            }
        }
    }
}

fn tagged(kind: &str, mut object: serde_json::Value) -> serde_json::Value {
    object["type"] = kind.into();
    object
}

/// What an event is.
pub type gigastt_event_type = i32;

/// Speech was detected: `gigastt_event_at_ms`.
pub const GIGASTT_EVENT_SPEECH_STARTED: gigastt_event_type = 1;
/// The running utterance changed: `gigastt_event_partial`. States that were not taken in time are skipped.
pub const GIGASTT_EVENT_PARTIAL: gigastt_event_type = 2;
/// An utterance is finished: `gigastt_event_final`. None is ever skipped.
pub const GIGASTT_EVENT_FINAL: gigastt_event_type = 3;
/// The end: `gigastt_event_error` says whether it was a good one.
pub const GIGASTT_EVENT_END: gigastt_event_type = 4;

/// What it is; 0 for NULL. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_event_kind(event: *const gigastt_event) -> gigastt_event_type {
    // SAFETY: NULL or alive by the contract of the header.
    fence_value(0, || unsafe { event.as_ref() }.map(|it| it.kind()))
}

/// Where speech was detected, in milliseconds from the start of the stream; -1 for other events and NULL.
/// Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_event_at_ms(event: *const gigastt_event) -> i64 {
    // SAFETY: NULL or alive by the contract of the header.
    fence_value(-1, || match &unsafe { event.as_ref() }?.what {
        What::SpeechStarted(at_ms) => Some(*at_ms as i64),
        _ => None,
    })
}

/// Its partial; NULL for other events. Belongs to the event: it is not released by itself. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_event_partial(event: *const gigastt_event) -> *const gigastt_partial {
    // SAFETY: NULL or alive by the contract of the header.
    fence_value(null(), || match &unsafe { event.as_ref() }?.what {
        What::Partial(partial) => Some(std::ptr::from_ref(partial)),
        _ => None,
    })
}

/// Its final; NULL for other events. Belongs to the event. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_event_final(event: *const gigastt_event) -> *const gigastt_final {
    // SAFETY: NULL or alive by the contract of the header.
    fence_value(null(), || match &unsafe { event.as_ref() }?.what {
        What::Final(text) => Some(std::ptr::from_ref(text)),
        _ => None,
    })
}

/// Why the stream ended early: cancelled or failed. NULL for other events, and for the end of a stream
/// whose finals hold everything that was pushed. Belongs to the event: it is not released by itself. Any
/// thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_event_error(event: *const gigastt_event) -> *const gigastt_error {
    // SAFETY: NULL or alive by the contract of the header.
    fence_value(null(), || match &unsafe { event.as_ref() }?.what {
        What::End(Some(error)) => Some(std::ptr::from_ref(error)),
        _ => None,
    })
}

/// Puts it as a JSON object into `*json`: `type` (`speech_started`, `partial`, `final` or `end`) and
/// what belongs to it. Release the string with `gigastt_string_release`. Any thread. Errors:
/// `INVALID_ARGUMENT`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_event_to_json(
    event: *const gigastt_event,
    json: *mut *mut c_char,
    error: *mut *mut gigastt_error,
) -> gigastt_status {
    // SAFETY: NULL or alive, and NULL or writable, by the contract of the header.
    unsafe { hand_out(("event", "json"), event, json, error, |it| it.json().to_string()) }
}

/// Releases it. NULL is nothing to do. Any thread.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn gigastt_event_release(event: *mut gigastt_event) {
    // SAFETY: made by this library and not released before, by the contract of the header.
    unsafe { crate::handles::release_box(event) }
}
