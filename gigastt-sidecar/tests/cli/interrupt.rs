//! Ctrl-C: the program ends at once, whatever it does, and leaves nothing half-written.
#![cfg(unix)]

use std::fs;
use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Wav, arg, command, ended, folder, names, sample, samples};

/// It takes 0.2 s at most; the rest is for machines that are busy with other tests. A program that does not end
/// at once waits for more audio for ever, or works on for longer than this.
const SOON: Duration = Duration::from_secs(5);

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

/// How far the process has read the file; `None` while it has not opened it.
#[cfg(target_os = "linux")]
fn position(child: &Child, file: &std::path::Path) -> Option<u64> {
    let process = std::path::PathBuf::from(format!("/proc/{}", child.id()));
    let mut open = fs::read_dir(process.join("fd")).ok()?.flatten();
    let number = open.find(|fd| fs::read_link(fd.path()).is_ok_and(|path| path == file))?.file_name();
    let info = fs::read_to_string(process.join("fdinfo").join(number)).ok()?;
    info.lines().find_map(|line| line.strip_prefix("pos:")?.trim().parse().ok())
}

#[test]
#[cfg(target_os = "linux")]
fn while_it_is_in_the_middle_of_a_file() {
    const SECONDS: usize = 1_800;
    let (folder, out) = (folder(), folder());
    let file = fs::canonicalize(folder.path()).expect("a folder").join("long.wav");
    let speech = samples(&sample("long_00").path);
    let bytes: Vec<u8> = speech.into_iter().cycle().take(SECONDS * 32_000).collect();
    fs::write(&file, Wav::plain(bytes.len() as u32).file(&bytes)).expect("written");
    let output = out.path().join("out.txt");
    let mut child = command(&["transcribe", arg(&file), "--output", arg(&output)])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    // Further than it reads before the first window is recognised.
    let middle = bytes.len() as u64 / 8;
    while position(&child, &file).is_none_or(|at| at < middle) {
        assert!(child.try_wait().expect("a child").is_none(), "it ended before it was in the middle");
        std::thread::sleep(Duration::from_millis(5));
    }
    let at = interrupt(&child, "-INT");
    let ending = ended(&child.wait_with_output().expect("it ends"));
    let took = at.elapsed();
    assert_eq!(ending, (Some(130), String::new(), String::new()));
    assert!(took < SOON, "it took {took:?} to end");
    assert_eq!(names(out.path()), [""; 0]);
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
