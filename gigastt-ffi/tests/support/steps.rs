//! Steps of any kind, for the stress test and the fuzzer.

use std::ffi::CStr;
use std::ptr::null_mut;
use std::sync::Mutex;

use gigastt_ffi::engine::gigastt_engine;
use gigastt_ffi::recognizer::*;
use gigastt_ffi::status::*;

use super::{Shared, next, open};

const SLOTS: usize = 6;

/// Handles that threads share; a place may hold one that was released.
pub(crate) type Slots = Mutex<[Shared<gigastt_recognizer>; SLOTS]>;

/// One step: any function on any handle. `pick(n)` chooses a number below `n`.
pub(crate) fn step(
    pick: &mut dyn FnMut(u64) -> u64,
    engine: &Shared<gigastt_engine>,
    slots: &Slots,
    audio: &[f32],
) {
    let place = pick(SLOTS as u64) as usize;
    let stream = slots.lock().unwrap()[place].get();
    let (timeout_ms, mut fd, mut taken, mut gap) = (pick(3) as i64, 0, 0, 0);
    let (mut partial, mut transcript) = (null_mut(), null_mut());
    let null = null_mut();
    let from = pick(audio.len() as u64 - 6_400) as usize;
    // SAFETY: handles, released or not, and good addresses.
    let status = unsafe {
        match pick(19) {
            0 | 1 => {
                let opened = Shared(open(engine.get()));
                let before = std::mem::replace(&mut slots.lock().unwrap()[place], opened);
                gigastt_recognizer_release(before.get());
                GIGASTT_OK
            }
            2..=6 => {
                gigastt_recognizer_push_pcm_f32(stream, audio[from..].as_ptr(), 6_400, &raw mut taken, null)
            }
            7 => gigastt_recognizer_poll_partial(stream, &raw mut partial, null),
            8 | 9 => next(stream, timeout_ms).map_or_else(|status| status, |_| GIGASTT_OK),
            10 => gigastt_recognizer_wait_writable(stream, timeout_ms, null),
            11 => gigastt_recognizer_cancel(stream, null),
            12 => gigastt_recognizer_reset(stream, null),
            13 => gigastt_recognizer_wait_fd(stream, &raw mut fd, null),
            14 => gigastt_recognizer_finish(stream, timeout_ms, &raw mut transcript, null),
            15 => gigastt_recognizer_gap(stream, pick(100_000), &raw mut gap, null),
            16 => gigastt_recognizer_force_endpoint(stream, null),
            17 => {
                let (key, value) = (text(pick, &KEYS), text(pick, &VALUES));
                gigastt_recognizer_set(stream, key.as_ptr(), value.as_ptr(), null)
            }
            _ => {
                gigastt_recognizer_release(stream);
                GIGASTT_OK
            }
        }
    };
    // SAFETY: what came out, or NULL.
    unsafe {
        gigastt_ffi::partial::gigastt_partial_release(partial);
        gigastt_ffi::transcript::gigastt_transcript_release(transcript);
    }
    assert!(![GIGASTT_INTERNAL, GIGASTT_POISONED, GIGASTT_FORKED].contains(&status), "found {status}");
}

const KEYS: [&CStr; 6] = [c"endpoint", c"silence_ms", c"utterance_max_ms", c"gate", c"threads", c"\xff"];
const VALUES: [&CStr; 7] = [c"manual", c"captions", c"1000", c"25000", c"none", c"true", c""];

fn text(pick: &mut dyn FnMut(u64) -> u64, texts: &[&'static CStr]) -> &'static CStr {
    texts[pick(texts.len() as u64) as usize]
}

/// Places without handles.
pub(crate) fn slots() -> Slots {
    Mutex::new(std::array::from_fn(|_| Shared(null_mut())))
}
