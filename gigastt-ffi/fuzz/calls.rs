//! Sequences of calls of the C functions over the scripted model, as the fuzzer finds them. Whatever the order,
//! no defect shows, and in the end everything is released.

#![no_main]
#![allow(clippy::unwrap_used)]

#[path = "../tests/support/mod.rs"]
mod support;

use gigastt_ffi::handles::gigastt_live_objects;
use support::steps::{Results, World};
use support::{SPEECH, engine, signal};

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let world = World::new(engine(0), signal(&[SPEECH, SPEECH].concat()));
    let mut results = Results::default();
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
        world.step(&mut pick, &mut results);
    }
    world.release();
    drop(results);
    assert_eq!(gigastt_live_objects(), 0);
});
