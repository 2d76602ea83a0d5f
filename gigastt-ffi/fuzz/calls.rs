//! Sequences of calls of the C functions over the scripted model, as the fuzzer finds them. Whatever the order,
//! no defect shows, and in the end everything is released.

#![no_main]
#![allow(clippy::unwrap_used)]

#[path = "../tests/support/mod.rs"]
mod support;

use gigastt_ffi::engine::gigastt_engine_release;
use gigastt_ffi::handles::gigastt_live_objects;
use gigastt_ffi::recognizer::gigastt_recognizer_release;
use support::steps::{slots, step};
use support::{SPEECH, Shared, engine, signal};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let engine = Shared(engine(0));
    let audio = signal(&[SPEECH, SPEECH].concat());
    let slots = slots();
    let mut rest = bytes.chunks(2);
    let mut more = true;
    while more {
        let mut pick = |bound: u64| match rest.next() {
            Some(pair) => pair.iter().fold(0, |n, byte| n << 8 | u64::from(*byte)) % bound,
            None => {
                more = false;
                0
            }
        };
        step(&mut pick, &engine, &slots, &audio);
    }
    // SAFETY: handles.
    unsafe {
        for stream in slots.into_inner().unwrap() {
            gigastt_recognizer_release(stream.get());
        }
        gigastt_engine_release(engine.get());
    }
    assert_eq!(gigastt_live_objects(), 0);
});
