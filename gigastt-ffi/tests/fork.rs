//! What the Rust interface promises of forked children. It stands here, because `fork` needs `unsafe`;
//! `tests/c/fork.c` tries the same for every function of C.

#![cfg(unix)]
#![allow(clippy::unwrap_used)] // A test stops where it fails.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use gigastt_core::fake::Script;
use gigastt_core::{EndpointReason, EndpointRule, Engine, ErrorKind, Options, Recognizer, Result};

/// Seconds after which a child that waits for threads which it does not have is ended.
const PATIENCE_S: u32 = 10;

/// Promise 9. Fails when an engine does not ask which process it is in.
#[test]
fn a_forked_child_is_told_and_frees_nothing() {
    let engine = Engine::fake(Script::default(), 2).unwrap();
    let mut recognizer = engine.recognizer(Options::new(16_000)).unwrap();
    recognizer.push_pcm(&[0_i16; 1600]).unwrap();
    // SAFETY: the child only runs `refused` and ends.
    match unsafe { libc::fork() } {
        0 => {
            // SAFETY: neither touches memory.
            unsafe { libc::alarm(PATIENCE_S) };
            let as_promised = catch_unwind(AssertUnwindSafe(|| refused(engine, recognizer))).is_ok();
            // SAFETY: as above.
            unsafe { libc::_exit(i32::from(!as_promised)) }
        }
        child => {
            let mut status = -1;
            // SAFETY: the address is good.
            assert_eq!(unsafe { libc::waitpid(child, &raw mut status, 0) }, child);
            assert_eq!(status, 0, "the child was not refused everywhere, or waited for threads");
        }
    }
    // The parent's go on as if nothing had been.
    recognizer.push_pcm(&[0_i16; 1600]).unwrap();
    assert_eq!(recognizer.finish().unwrap().duration, 0.2);
}

fn refused(engine: Engine, mut recognizer: Recognizer) {
    fn forked<T>(result: Result<T>) {
        assert_eq!(result.err().map(|error| error.kind()), Some(ErrorKind::Forked));
    }
    let soon = Duration::from_millis(1);
    forked(engine.recognizer(Options::new(16_000)));
    forked(engine.transcribe(&[0.0_f32; 1600][..], &Options::new(16_000)));
    forked(engine.admit());
    forked(engine.stats());
    forked(recognizer.push_pcm(&[0_i16; 160]));
    forked(recognizer.gap(160));
    forked(recognizer.wait_writable(Some(soon)));
    forked(recognizer.next_event(Some(soon)));
    forked(recognizer.force_endpoint());
    forked(recognizer.set_endpoint(EndpointRule::manual()));
    forked(recognizer.set_partials(None));
    forked(recognizer.hurry(soon));
    forked(recognizer.reset());
    forked(recognizer.restart(Options::new(16_000)));
    forked(recognizer.finish_within(soon, EndpointReason::Finish));
    forked(recognizer.finish());
    drop(recognizer);
    drop(engine);
}
