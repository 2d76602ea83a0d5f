//! A fault of each kind that `scripts/sanitize` looks for. A sanitizer that says nothing about it is not in, or was
//! told to keep quiet about too much. Not run by `cargo test`: without a sanitizer these are only faults.

#![allow(clippy::unwrap_used)]

mod support;

use std::ptr::null_mut;
use std::sync::atomic::{AtomicBool, Ordering};

use gigastt_ffi::engine::gigastt_engine_retain;
use gigastt_ffi::error::{gigastt_error, gigastt_error_message, gigastt_error_release};
use support::{Shared, engine, open, push, signal, text};

fn main() {
    match std::env::args().nth(1).as_deref() {
        Some("use-after-free") => use_after_free(),
        Some("leak") => drop(failure()),
        Some("race") => race(),
        other => panic!("expected use-after-free, leak or race, found {other:?}"),
    }
}

/// A program that keeps a text longer than what it belongs to.
fn use_after_free() {
    let error = failure();
    // SAFETY: none, on purpose.
    unsafe {
        let message = gigastt_error_message(error.get());
        gigastt_error_release(error.get());
        println!("{}", text(message));
    }
}

fn failure() -> Shared<gigastt_error> {
    let mut error = null_mut();
    // SAFETY: good addresses.
    unsafe { gigastt_engine_retain(null_mut(), &raw mut error) };
    Shared(error)
}

/// A program that pushes a buffer which another thread has filled, without anything that hands it over: a relaxed
/// flag orders the two in time alone.
fn race() {
    let recognizer = Shared(open(engine(0)));
    let mut samples = signal(&[(1, 10)]);
    let buffer = Shared(samples.as_mut_ptr());
    let length = samples.len();
    let filled = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let push = scope.spawn(|| {
            while !filled.load(Ordering::Relaxed) {
                std::thread::yield_now();
            }
            // SAFETY: none, on purpose.
            push(recognizer.get(), unsafe { std::slice::from_raw_parts(buffer.get(), length) })
        });
        let fill = scope.spawn(|| {
            // SAFETY: none, on purpose.
            unsafe { buffer.get().write_volatile(0.5) };
            filled.store(true, Ordering::Relaxed);
        });
        // Joined, so that this race is the only one.
        push.join().unwrap();
        fill.join().unwrap();
    });
}
