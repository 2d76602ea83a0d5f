//! Ctrl-C: the program ends at once, whatever it does, and leaves nothing half-written.
#![cfg(unix)]

use std::fs;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Wav, arg, command, ended, folder, names, sample, samples};

/// Far above what it takes (0.2 s at most), for machines that are busy with other tests. A program that does
/// not end at once waits for more audio for ever.
const SOON: Duration = Duration::from_secs(60);

fn interrupt(child: &Child, signal: &str) -> Instant {
    let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill runs");
    assert!(sent.success());
    Instant::now()
}

/// Interrupts a transcription that has taken in `seconds` of speech and waits for more.
fn check(seconds: usize, signal: &str) {
    let folder = folder();
    let output = folder.path().join("out.txt");
    fs::write(&output, "older").expect("written");
    let mut child = command(&["transcribe", "-", "--output", arg(&output)])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let mut pipe = child.stdin.take().expect("a pipe");
    // More than a pipe holds: when it is written, the program has begun to read.
    let speech: Vec<u8> =
        samples(&sample("long_00").path).into_iter().cycle().take(seconds * 32_000).collect();
    pipe.write_all(&Wav::plain(u32::MAX).file(&speech)).expect("it reads");
    let at = interrupt(&child, signal);
    let output = child.wait_with_output().expect("it ends");
    let took = at.elapsed();
    assert_eq!(ended(&output), (Some(130), String::new(), String::new()), "{seconds} s, {signal}");
    assert!(took < SOON, "it took {took:?} to end");
    assert_eq!(names(folder.path()), ["out.txt"]);
    assert_eq!(fs::read_to_string(folder.path().join("out.txt")).expect("still there"), "older");
    drop(pipe);
}

#[test]
fn while_it_waits_for_audio() {
    check(10, "-INT");
    check(10, "-TERM");
}

#[test]
fn while_it_works_through_a_backlog() {
    check(300, "-INT");
}
