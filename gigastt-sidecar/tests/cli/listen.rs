//! Live speech from a pipe: the right words, whatever the pieces, and every way it can end.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::{EXACT, command, ended, sample, samples};

/// `listen` with pipes on all sides.
fn listen(args: &[&str]) -> Child {
    command(&[&["listen"], args].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts")
}

/// Pipes `audio` in pieces of `piece` bytes and returns what the run ended with.
fn piped(args: &[&str], audio: &[u8], piece: usize) -> (Option<i32>, String, String) {
    let mut child = listen(args);
    let mut pipe = child.stdin.take().expect("a pipe");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for bytes in audio.chunks(piece) {
                // A program that ended with an error reads no more.
                if pipe.write_all(bytes).is_err() {
                    break;
                }
            }
        });
        ended(&child.wait_with_output().expect("it ends"))
    })
}

fn check(args: &[&str], audio: &[u8], piece: usize, expected: &str) {
    let found = piped(args, audio, piece);
    assert_eq!(found, (Some(0), expected.into(), String::new()), "{args:?}, pieces of {piece} bytes");
}

fn silence(seconds: f64) -> Vec<u8> {
    vec![0; (seconds * 16_000.0) as usize * 2]
}

/// Two sentences with a pause that ends an utterance of every profile but `manual`.
fn two_sentences() -> (Vec<u8>, String) {
    let (a, b) = (sample("sample_00"), sample("sample_08"));
    let audio = [samples(&a.path), silence(1.5), samples(&b.path), silence(1.5)].concat();
    (audio, format!("{}\n{}\n", a.text, b.text))
}

/// Fails when the reader forgets the odd byte of a read.
#[test]
fn every_chunking_gives_the_same_words() {
    let sample = sample("sample_00");
    let (audio, expected) = (samples(&sample.path), format!("{}\n", sample.text));
    for piece in [1, 320, 1_023, 16_000, audio.len()] {
        check(&["--endpoint", "manual"], &audio, piece, &expected);
    }
}

#[test]
fn every_sample_is_understood() {
    for name in EXACT {
        let sample = sample(name);
        check(&["--endpoint", "manual"], &samples(&sample.path), 6_400, &format!("{}\n", sample.text));
    }
}

#[test]
fn each_utterance_has_a_line_of_its_own_and_nothing_else_is_written() {
    let (audio, expected) = two_sentences();
    for profile in ["dictation", "assistant", "captions"] {
        check(&["--endpoint", profile], &audio, 3_200, &expected);
    }
    check(&["--mode", "incremental"], &audio, 3_200, &expected);
}

#[test]
fn other_formats() {
    let sample = sample("sample_08");
    let values = samples(&sample.path);
    let values = values.as_chunks::<2>().0.iter().map(|&b| i16::from_le_bytes(b));
    let stereo: Vec<u8> =
        values.flat_map(|value| [f32::from(value) / 32_768.0; 2]).flat_map(f32::to_le_bytes).collect();
    let args = ["--endpoint", "manual", "--format", "f32", "--channels", "2", "--rate", "16000"];
    for piece in [7, 5_001] {
        check(&args, &stereo, piece, &format!("{}\n", sample.text));
    }
}

#[test]
fn nothing_said_is_nothing_written() {
    check(&[], &[], 1, "");
    check(&[], &silence(3.0), 640, "");
    check(&["--endpoint", "manual"], &silence(3.0), 640, "");
    check(&["--json"], &silence(3.0), 640, "");
}

#[test]
fn a_sample_that_is_cut_off_at_the_end_is_told() {
    let sample = sample("sample_00");
    let mut audio = samples(&sample.path);
    audio.push(1);
    let (code, out, err) = piped(&["--endpoint", "manual"], &audio, 999);
    assert_eq!((code, out), (Some(0), format!("{}\n", sample.text)));
    assert!(err.contains("standard input"), "{err}");
}

/// Each line of the output as an object.
fn objects(out: &str) -> Vec<Value> {
    out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn text<'a>(object: &'a Value, key: &str) -> &'a str {
    object[key].as_str().unwrap_or_else(|| panic!("{key} in {object}"))
}

/// Fails when finals go without an object of their own, and when partials keep the revision before.
#[test]
fn json_has_the_objects_of_the_protocol() {
    let (audio, expected) = two_sentences();
    for mode in ["two-pass", "incremental"] {
        let (code, out, err) = piped(&["--json", "--mode", mode], &audio, 1_600);
        assert_eq!((code, err.as_str()), (Some(0), ""));
        let objects = objects(&out);
        let mut revision = 0;
        for object in &objects {
            let is_final = text(object, "type") == "final";
            assert_eq!(object["is_final"], is_final, "{object}");
            assert_eq!(text(object, "text"), [text(object, "committed"), text(object, "tentative")].concat());
            assert!(text(object, "text").starts_with(text(object, "stable")), "{object}");
            let newer = object["revision"].as_u64().expect("a number");
            assert!(newer > revision, "{object} after {revision}");
            revision = newer;
            assert_eq!(object["second_pass"].as_bool(), is_final.then_some(mode == "two-pass"), "{object}");
        }
        let finals: Vec<_> = objects.iter().filter(|object| object["is_final"] == true).collect();
        let said: String = finals.iter().map(|object| format!("{}\n", text(object, "text"))).collect();
        assert_eq!(said, expected);
        assert!(finals.iter().all(|object| text(object, "endpoint_reason") == "silence"), "{finals:?}");
        assert!(finals[0]["span"]["end"].as_u64() <= finals[1]["span"]["start"].as_u64());
    }
}

/// The pipe stays open behind the words: what is written then is a partial.
#[test]
fn json_has_partials_while_somebody_speaks() {
    let mut child = listen(&["--json", "--endpoint", "manual"]);
    let (mut pipe, out) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    pipe.write_all(&[samples(&sample("sample_08").path), silence(1.0)].concat()).expect("it reads");
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line).expect("a line");
    assert_eq!(text(&objects(&line)[0], "type"), "partial");
    drop(pipe);
    child.wait().expect("it ends");
}

/// Fails when the words before the bad sample are dropped with it.
#[test]
fn samples_that_are_no_numbers_end_the_stream_after_its_words() {
    let sample = sample("sample_00");
    let values = samples(&sample.path);
    let values = values.as_chunks::<2>().0.iter().map(|&b| f32::from(i16::from_le_bytes(b)) / 32_768.0);
    let audio: Vec<u8> = values.chain([f32::NAN; 999]).flat_map(f32::to_le_bytes).collect();
    let (code, out, err) = piped(&["--json", "--endpoint", "manual", "--format", "f32"], &audio, 6_400);
    assert_eq!(code, Some(1), "{err}");
    let objects = objects(&out);
    let [.., last, error] = &objects[..] else { panic!("{out}") };
    assert_eq!((text(last, "type"), text(last, "text")), ("final", &*sample.text));
    assert_eq!((text(error, "type"), text(error, "code")), ("error", "invalid_audio"));
    assert!(err.contains(text(error, "message")), "{err}");
}

#[test]
fn command_lines_that_are_wrong() {
    for args in [
        ["--rate", "1"],
        ["--rate", "1000000"],
        ["--channels", "0"],
        ["--channels", "33"],
        ["--format", "s17"],
        ["--endpoint", "never"],
        ["--mode", "both"],
    ] {
        let (code, out, err) = piped(&args, &silence(0.1), 3_200);
        assert_eq!((code, out.as_str()), (Some(2), ""), "{args:?}: {err}");
        let name = args[0].trim_start_matches('-');
        assert!(err.contains(name), "{args:?}: {err}");
    }
}

/// Fails when an error of writing is passed over: the program then listens for ever.
#[test]
fn it_ends_when_nobody_reads_any_more() {
    let mut child = listen(&[]);
    let (mut pipe, out) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
    let (audio, _) = two_sentences();
    pipe.write_all(&audio).expect("it reads");
    let mut line = String::new();
    let mut out = BufReader::new(out);
    out.read_line(&mut line).expect("a line");
    drop(out);
    // The pipe stays open: what ends the program is that its next line cannot be written.
    while pipe.write_all(&audio).is_ok() {}
    assert_eq!(child.wait().expect("it ends").code(), Some(0));
    let mut err = String::new();
    child.stderr.take().expect("a pipe").read_to_string(&mut err).expect("text");
    assert_eq!(err, "");
}

/// Fails when the signal ends the program without waiting for the finals.
#[cfg(unix)]
#[test]
fn an_interrupt_gives_the_last_words() {
    let sample = sample("sample_08");
    for signal in ["-INT", "-TERM"] {
        let mut child = listen(&["--json", "--endpoint", "manual"]);
        let (mut pipe, out) = (child.stdin.take().expect("a pipe"), child.stdout.take().expect("a pipe"));
        // More silence than a pipe holds: once it is written, the sentence was read; the pipe stays open.
        pipe.write_all(&[samples(&sample.path), silence(3.0)].concat()).expect("it reads");
        let mut lines = BufReader::new(out).lines().map(|line| line.expect("text"));
        let last = sample.text.split(' ').next_back().expect("a word").trim_end_matches('.');
        lines.by_ref().find(|line| line.contains(last)).expect("a partial with its last word");
        let sent = Command::new("kill").args([signal, &child.id().to_string()]).status().expect("kill runs");
        assert!(sent.success());
        let rest = objects(&lines.collect::<Vec<_>>().join("\n"));
        let finals: Vec<_> = rest.iter().filter(|object| object["is_final"] == true).collect();
        assert_eq!(finals.len(), 1, "{signal}: {rest:?}");
        assert_eq!((text(finals[0], "text"), text(finals[0], "endpoint_reason")), (&*sample.text, "finish"));
        assert_eq!(child.wait().expect("it ends").code(), Some(0), "{signal}");
        drop(pipe);
    }
}
