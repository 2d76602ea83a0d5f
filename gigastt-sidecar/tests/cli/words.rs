//! The right words come out, in every format and by every way in and out.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{EXACT, Wav, arg, command, ended, folder, gigastt, names, sample, samples};

/// Runs with `args`; wants success, exactly `expected` on standard output and nothing on standard error.
fn check(args: &[&str], expected: &str) {
    assert_eq!(ended(&gigastt(args)), (Some(0), expected.into(), String::new()), "{args:?}");
}

#[test]
fn text() {
    for name in EXACT {
        let sample = sample(name);
        check(&["transcribe", arg(&sample.path)], &format!("{}\n", sample.text));
    }
}

/// What is usual in files is no matter of the log.
#[test]
fn a_good_recording_is_warned_of_in_no_format() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gigastt-core/tests/data/audio");
    for name in ["aac.m4a", "vbr.mp3", "vorbis.ogg", "opus.webm", "s16.aiff"] {
        let (code, _, err) = ended(&gigastt(&["transcribe", arg(&folder.join(name))]));
        assert_eq!((code, err.as_str()), (Some(0), ""), "{name}");
    }
}

/// ONNX Runtime would number the machine and queue what it tells its maker under the home folder.
#[test]
fn the_runtime_reports_nothing() {
    let home = folder();
    let sample = sample("sample_00");
    let mut command = command(&["transcribe", arg(&sample.path)]);
    command.env("HOME", home.path()).env_remove("ORT_DISABLE_TELEMETRY").env_remove("XDG_CACHE_HOME");
    let (code, out, _) = ended(&command.output().expect("the program starts"));
    assert_eq!((code, out), (Some(0), format!("{}\n", sample.text)));
    assert!(!home.path().join(".cache/Microsoft").exists());
}

#[test]
fn several_files_are_told_apart() {
    let (a, b) = (sample("sample_00"), sample("sample_08"));
    let (a_path, b_path) = (arg(&a.path), arg(&b.path));
    let expected = format!("==> {a_path} <==\n{}\n\n==> {b_path} <==\n{}\n\n", a.text, b.text);
    check(&["transcribe", a_path, b_path], &expected);
}

/// The second channel is the first one with its sign turned, as a wrongly wired plug gives it: of their mean
/// nothing is left.
#[test]
fn channels_that_cancel_each_other_are_told_of_and_one_can_be_taken() {
    let (folder, sample) = (folder(), sample("sample_00"));
    let path = folder.path().join("turned.wav");
    let mono = samples(&sample.path);
    let both =
        |b: &[u8]| [[b[0], b[1]], i16::from_le_bytes([b[0], b[1]]).saturating_neg().to_le_bytes()].concat();
    let both: Vec<u8> = mono.chunks(2).flat_map(both).collect();
    fs::write(&path, Wav { channels: 2, ..Wav::plain(both.len() as u32) }.file(&both)).expect("written");
    let (code, out, err) = ended(&gigastt(&["transcribe", arg(&path)]));
    assert_eq!((code, out.as_str()), (Some(0), ""));
    assert!(err.contains("cancel each other out") && err.contains("`channel`"), "{err}");
    for channel in ["0", "1"] {
        check(&["transcribe", "--channel", channel, arg(&path)], &format!("{}\n", sample.text));
    }
    let (code, _, err) = ended(&gigastt(&["transcribe", "--channel", "2", arg(&path)]));
    assert_eq!(code, Some(1));
    assert!(err.contains("channel: expected 0 to 1, found 2"), "{err}");
}

#[test]
fn json_has_a_line_per_file_and_its_times_agree() {
    let files: Vec<_> = EXACT.iter().map(|name| sample(name)).collect();
    let mut args = vec!["transcribe", "--format", "json", "--tokens"];
    args.extend(files.iter().map(|file| arg(&file.path)));
    let (code, out, err) = ended(&gigastt(&args));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(out.lines().count(), files.len());
    for (line, file) in out.lines().zip(&files) {
        let record: Value = serde_json::from_str(line).expect("JSON");
        assert_eq!(record["file"], arg(&file.path));
        assert_eq!(record["text"], *file.text);
        let words = record["words"].as_array().expect("words");
        let spoken: Vec<_> = words.iter().map(|word| word["word"].as_str().expect("a word")).collect();
        assert_eq!(spoken.join(" "), file.text);
        let duration = record["duration"].as_f64().expect("a duration");
        assert!((duration - samples(&file.path).len() as f64 / 32_000.0).abs() < 0.001, "{duration}");
        let mut last = 0.0;
        for word in words {
            let [start, end, confidence] =
                ["start", "end", "confidence"].map(|key| word[key].as_f64().expect("a number"));
            assert!(last <= start && start < end && end <= duration + 0.04, "{word} after {last}");
            assert!(0.0 < confidence && confidence <= 1.0, "{word}");
            last = start;
        }
        let segments = record["segments"].as_array().expect("segments");
        assert_eq!(segments.len(), 1);
        assert_eq!(segments[0]["start_sample"], 0);
        let tokens = segments[0]["tokens"].as_array().expect("tokens");
        assert!(tokens.len() >= words.len());
    }
}

#[test]
fn json_without_tokens_has_none() {
    let (_, out, _) = ended(&gigastt(&["transcribe", "-f", "json", arg(&sample("sample_00").path)]));
    let record: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(record["segments"][0].get("tokens"), None);
}

#[test]
fn subtitles() {
    let sample = sample("sample_04");
    let (_, srt, _) = ended(&gigastt(&["transcribe", "-f", "srt", arg(&sample.path)]));
    let lines: Vec<_> = srt.lines().collect();
    assert_eq!((lines[0], lines[2]), ("1", &*sample.text));
    assert!(lines[1].starts_with("00:00:0") && lines[1].contains(" --> 00:00:0"), "{srt}");

    let (_, vtt, _) = ended(&gigastt(&["transcribe", "-f", "vtt", arg(&sample.path)]));
    let lines: Vec<_> = vtt.lines().collect();
    assert_eq!((lines[0], lines[3]), ("WEBVTT", &*sample.text));
    assert!(lines[2].contains('.') && !lines[2].contains(','), "{vtt}");
}

#[test]
fn subtitles_of_several_files_need_a_place() {
    let path = sample("sample_00").path;
    let (code, out, err) = ended(&gigastt(&["transcribe", "-f", "srt", arg(&path), arg(&path)]));
    assert_eq!((code, out.as_str()), (Some(2), ""));
    assert!(err.contains("--output"), "{err}");
}

/// Feeds bytes to standard input.
fn check_stdin(wav: &[u8], expected: &str) {
    let mut child = command(&["transcribe", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    child.stdin.take().expect("a pipe").write_all(wav).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(ended(&output), (Some(0), format!("{expected}\n"), String::new()));
}

#[test]
fn standard_input() {
    let sample = sample("sample_02");
    check_stdin(&fs::read(&sample.path).expect("a recording"), &sample.text);
}

#[test]
fn a_stream_whose_header_knows_no_length() {
    let sample = sample("sample_02");
    check_stdin(&Wav::plain(u32::MAX).file(&samples(&sample.path)), &sample.text);
}

#[test]
fn standard_input_is_read_once() {
    let (code, _, err) = ended(&gigastt(&["transcribe", "-", "-"]));
    assert_eq!(code, Some(2));
    assert!(err.contains("standard input"), "{err}");
}

#[test]
fn to_a_file() {
    let (folder, sample) = (folder(), sample("sample_01"));
    let path = folder.path().join("a.txt");
    check(&["transcribe", arg(&sample.path), "--output", arg(&path)], "");
    assert_eq!(fs::read_to_string(&path).expect("written"), format!("{}\n", sample.text));
    assert_eq!(names(folder.path()), ["a.txt"]);
}

/// Standard output may be a file that others write as well: it is written on, not replaced.
#[test]
#[cfg(unix)]
fn to_standard_output() {
    let (folder, sample) = (folder(), sample("sample_01"));
    let path = folder.path().join("log.txt");
    for output in ["-", "/dev/stdout", arg(&path)] {
        let mut log = fs::File::create(&path).expect("a file");
        writeln!(log, "before").expect("written");
        let stdout = log.try_clone().expect("a handle");
        let mut command = command(&["transcribe", arg(&sample.path), "--output", output]);
        assert!(command.stdout(stdout).status().expect("the program starts").success());
        writeln!(log, "after").expect("written");
        let all = fs::read_to_string(&path).expect("a log");
        assert_eq!(all, format!("before\n{}\nafter\n", sample.text), "{output}");
    }
    assert_eq!(names(folder.path()), ["log.txt"]);
}

#[test]
fn to_a_folder() {
    let folder = folder();
    let (a, b) = (sample("sample_00"), sample("sample_08"));
    let output = format!("{}/new/", folder.path().display());
    check(&["transcribe", arg(&a.path), arg(&b.path), "-f", "vtt", "-o", &output], "");
    assert_eq!(names(&folder.path().join("new")), ["sample_00.vtt", "sample_08.vtt"]);
    let vtt = fs::read_to_string(folder.path().join("new/sample_08.vtt")).expect("written");
    assert!(vtt.starts_with("WEBVTT\n") && vtt.contains(&b.text), "{vtt}");
}

#[test]
fn two_recordings_never_share_a_file() {
    let (folder, path) = (folder(), sample("sample_00").path);
    for output in [folder.path().join("a.txt"), folder.path().to_owned()] {
        let args = ["transcribe", arg(&path), arg(&path), "-o", arg(&output)];
        let (code, _, err) = ended(&gigastt(&args));
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains(arg(&output)), "{err}");
    }
    assert_eq!(names(folder.path()), [""; 0]);
}

#[test]
fn silence_is_no_words() {
    let folder = folder();
    let path = folder.path().join("silence.wav");
    fs::write(&path, Wav::plain(64_000).file(&[0; 64_000])).expect("written");
    check(&["transcribe", arg(&path)], "");
}

#[test]
fn the_number_of_threads_does_not_change_the_words() {
    let path = sample("long_00").path;
    let run = |threads| ended(&gigastt(&["transcribe", "-f", "json", "--threads", threads, arg(&path)]));
    assert_eq!(run("1"), run("3"));
}

#[test]
fn a_long_recording_has_no_segment_over_the_bound_and_no_short_tail() {
    let sample = sample("long_00");
    let (code, out, _) = ended(&gigastt(&["transcribe", "-f", "json", arg(&sample.path)]));
    assert_eq!(code, Some(0));
    let record: Value = serde_json::from_str(&out).expect("JSON");
    let segments = record["segments"].as_array().expect("segments");
    assert!(segments.len() >= 2, "{out}");
    for segment in segments {
        let [start, end] = ["start", "end"].map(|key| segment[key].as_f64().expect("a number"));
        assert!((5.0..=22.0).contains(&(end - start)), "{segment}");
    }
}

#[test]
fn the_embedded_model_is_told_of_when_nobody_asked_for_it() {
    let (folder, sample) = (folder(), sample("sample_00"));
    let mut command = command(&["transcribe", arg(&sample.path), arg(&sample.path)]);
    command.env_remove("GIGASTT_MODEL").env("GIGASTT_MODEL_DIR", folder.path());
    let (code, out, err) = ended(&command.output().expect("the program starts"));
    assert_eq!((code, out.matches(&sample.text).count()), (Some(0), 2));
    assert_eq!(err.matches("embedded").count(), 1, "{err}");

    let (_, _, err) = ended(&command.arg("--quiet").output().expect("the program starts"));
    assert_eq!(err, "");
}

#[test]
fn models_lists_the_embedded_one() {
    let folder = folder();
    let args = ["models", "--model-dir", arg(folder.path())];
    let (code, out, _) = ended(&gigastt(&args));
    assert_eq!(code, Some(0));
    assert!(out.contains("embedded") && out.contains(arg(folder.path())), "{out}");
    let (_, out, _) = ended(&gigastt(&[args.as_slice(), &["--json"]].concat()));
    let models: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!(models[0]["model"], "embedded");
    assert_eq!(models[0]["default"], true);
}

#[test]
fn a_benchmark_adds_up() {
    let path = sample("long_00").path;
    let (code, out, err) = ended(&gigastt(&["bench", "file", "--json", "--threads", "1", arg(&path)]));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let report: Value = serde_json::from_str(&out).expect("JSON");
    let number = |key: &str| report[key].as_f64().unwrap_or_else(|| panic!("{key} in {out}"));
    assert!((number("audio_s") - 34.6).abs() < 0.1);
    assert!((number("rtf") - number("wall_s") / number("audio_s")).abs() < 1e-9);
    assert!(number("encoder_s") > 0.0 && number("decoder_s") > 0.0 && number("features_s") > 0.0);
    let busy = number("encoder_s") + number("decoder_s");
    assert!(busy <= number("wall_s"), "one worker was busy {busy} s: {out}");
    // The encoder's call is nearly all of its time, and the decoder makes calls as well.
    let runtime = number("runtime_s");
    assert!(0.5 * number("encoder_s") < runtime && runtime < busy, "{runtime} s in ONNX Runtime: {out}");
    let outside = number("features_s") + busy - runtime + report["rest_s"].as_f64().unwrap_or(0.0);
    assert!((number("outside_s") - outside).abs() < 1e-9, "{outside}: {out}");
    assert!((number("outside_share") - outside / number("encoder_s")).abs() < 1e-9, "{out}");

    let (_, out, _) = ended(&gigastt(&["bench", "file", arg(&path)]));
    for line in ["audio", "time", "features", "encoder", "decoder", "outside ONNX Runtime"] {
        assert!(out.contains(line), "{line} in {out}");
    }
}

#[test]
fn a_benchmark_of_streams_has_a_row_for_each_number_of_them() {
    let path = sample("sample_08").path;
    let args =
        ["bench", "streams", "--sessions", "2,1", "--seconds", "2", "--idle", "3", "--json", arg(&path)];
    let (code, out, err) = ended(&gigastt(&args));
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let lines: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let [two, one, all] = lines.as_slice() else { panic!("{out}") };
    for (row, sessions) in [(two, 2.0), (one, 1.0)] {
        assert_eq!(row["sessions"], sessions as u64);
        let number = |key: &str| row[key].as_f64().unwrap_or_else(|| panic!("{key} in {row}"));
        let percentiles = ["partial_p50", "partial_p90", "partial_p95", "partial_p99"].map(number);
        assert!(percentiles[0] > 0.0 && percentiles.is_sorted(), "{row}");
        assert!(number("encoder") > 0.0 && number("push_us_p50") <= number("push_us_p999"), "{row}");
        assert_eq!(row["missed"], 0);
    }
    assert!(two["kb_per_session"].is_f64() && one["kb_per_session"].is_null(), "{out}");
    assert_eq!((&all["idle_sessions"], &all["speech_share"]), (&Value::from(3), &Value::from(0.6)));
}

#[test]
fn the_help_lists_the_exit_codes() {
    let (code, out, _) = ended(&gigastt(&["--help"]));
    assert_eq!(code, Some(0));
    for exit in ["0 ", "1 ", "2 ", "3 ", "130 "] {
        assert!(out.lines().any(|line| line.trim_start().starts_with(exit)), "{exit} in {out}");
    }
}

#[test]
fn nobody_has_to_read_to_the_end() {
    let path = sample("sample_00").path;
    let mut child = command(&["transcribe", arg(&path)])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    drop(child.stdout.take());
    assert_eq!(ended(&child.wait_with_output().expect("it ends")), (Some(0), String::new(), String::new()));
}
