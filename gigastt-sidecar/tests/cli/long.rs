//! Hours of audio: `make test-all`.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::support::{EXACT, Wav, arg, command, ended, folder, sample, samples};
use serde_json::Value;

const RATE: usize = 16_000;
const MINUTES: usize = 60 * RATE;

/// The sentences that the embedded model writes down alike in whatever company: of the kinds it was
/// trained on most. Of the others it mistakes letters in company, and then those beside them may suffer; so it
/// does, too, when such a segment is all that it is given.
const STEADY: [&str; 3] = ["sample_00", "sample_04", "sample_08"];

/// A spoken sentence in a long recording.
struct Utterance {
    name: &'static str,
    /// First sample of its speech and one past the last.
    span: (usize, usize),
}

/// A recording of at least `length` samples: in the first three quarters the steady samples again and again, in
/// the last one all exact ones, each followed by a silence of its own length between 0.6 and 1.2 s, so that the
/// cuts fall ever differently.
fn recording(path: &Path, length: usize) -> Vec<Utterance> {
    let speech = EXACT.map(|name| samples(&sample(name).path));
    let of = |name: &str| &speech[EXACT.iter().position(|exact| *exact == name).expect("an exact one")];
    let mut utterances = Vec::new();
    let mut at = 0;
    let pause = |n: usize| RATE * 3 / 5 + n * 7_919 % (RATE * 3 / 5);
    for n in 0.. {
        if at >= length {
            break;
        }
        let name = if steady(at, length) { STEADY[n % STEADY.len()] } else { EXACT[n % EXACT.len()] };
        let bytes = of(name);
        let loud = loud(bytes);
        utterances.push(Utterance { name, span: (at + loud.start, at + loud.end) });
        at += bytes.len() / 2 + pause(n);
    }
    let mut file = BufWriter::new(File::create(path).expect("a file"));
    file.write_all(&Wav::plain(2 * at as u32).header()).expect("written");
    for (n, utterance) in utterances.iter().enumerate() {
        file.write_all(of(utterance.name)).expect("written");
        file.write_all(&vec![0; 2 * pause(n)]).expect("written");
    }
    file.flush().expect("written");
    utterances
}

/// Whether only steady samples stand here in a recording of so many samples.
fn steady(at: usize, length: usize) -> bool {
    at < length / 4 * 3
}

/// Where the speech is: from the first sample that can be heard to the last.
fn loud(bytes: &[u8]) -> Range<usize> {
    let samples = || bytes.chunks_exact(2).map(|b| i16::from_le_bytes([b[0], b[1]]));
    let heard = |sample: i16| sample.unsigned_abs() > 300;
    let (first, last) = (samples().position(heard), samples().rposition(heard));
    first.unwrap_or(0)..last.map_or(0, |last| last + 1)
}

/// Runs a program on a terminal and shows what it writes there.
const ON_A_TERMINAL: &str =
    "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))";

/// Transcribes on a terminal, sees the progress bar, and returns the record and the peak memory in MB.
fn transcribe(path: &Path) -> (Value, f64) {
    let output = path.with_extension("json");
    let program =
        command(&["transcribe", arg(path), "-f", "json", "-o", arg(&output), "--log-level", "info"]);
    let mut python = Command::new("python3");
    python.args(["-c", ON_A_TERMINAL]).arg(program.get_program()).args(program.get_args());
    python.env("GIGASTT_MODEL", "embedded").env("TERM", "xterm").env_remove("NO_COLOR");
    let (code, shown, _) = ended(&python.output().expect("python3 starts"));
    assert_eq!(code, Some(0), "{shown}");
    let done = percents(&shown);
    println!("the bar was at {done:?} percent");
    assert!(done.is_sorted() && done.len() >= 5, "{done:?} in {shown}");
    let memory = shown.split("peak memory ").nth(1).and_then(|rest| rest.split(' ').next());
    let memory = memory.and_then(|mb| mb.parse().ok()).expect("the log tells the peak memory");
    (serde_json::from_slice(&std::fs::read(output).expect("written")).expect("JSON"), memory)
}

/// What the bar said in turn, each number once.
fn percents(shown: &str) -> Vec<u32> {
    let number = |before: &str| before.rsplit(' ').next().and_then(|digits| digits.parse().ok());
    let mut percents: Vec<u32> =
        shown.split("% ").filter(|before| before.contains(']')).filter_map(number).collect();
    percents.dedup();
    percents
}

fn number(value: &Value, key: &str) -> f64 {
    value[key].as_f64().unwrap_or_else(|| panic!("{key} in {value}"))
}

#[test]
fn four_hours_take_the_memory_of_ten_minutes_and_repeat_themselves() {
    let folder = folder();
    let (short, long) = (folder.path().join("short.wav"), folder.path().join("long.wav"));
    recording(&short, 10 * MINUTES);
    let mut utterances = recording(&long, 240 * MINUTES);

    // It varies by some MB, with the lengths of the windows that the workers happen to have at a time.
    let short_mb = (0..3).map(|_| transcribe(&short).1).fold(0.0, f64::max);
    let (record, long_mb) = transcribe(&long);
    println!("peak memory: {short_mb} MB for ten minutes, {long_mb} MB for four hours");
    assert!(long_mb - short_mb < 20.0);

    check_segments(&record);
    let all = utterances.len();
    utterances.retain(|utterance| steady(utterance.span.1 + 30 * RATE, 240 * MINUTES));
    println!("{} of {all} utterances are among steady ones", utterances.len());
    check_repetitions(&record, &utterances);
    check_alone(&record, &long);
}

/// Segments are in order, never over the bound, never a short tail.
fn check_segments(record: &Value) {
    let segments = record["segments"].as_array().expect("segments");
    assert!(segments.len() >= 4 * 3600 / 22, "{} segments", segments.len());
    let mut last = 0.0;
    for segment in segments {
        let (start, end) = (number(segment, "start"), number(segment, "end"));
        assert!(last <= start && end - start <= 22.0, "{segment}");
        last = end;
    }
    let tail = segments.last().expect("a segment");
    assert!(number(tail, "end") - number(tail, "start") >= 5.0, "{tail}");
}

/// Every utterance that lies wholly inside a segment has the text that was spoken, to the letter.
fn check_repetitions(record: &Value, utterances: &[Utterance]) {
    let segments = record["segments"].as_array().expect("segments");
    let spans: Vec<_> = segments.iter().map(|s| (number(s, "start"), number(s, "end"))).collect();
    let words = record["words"].as_array().expect("words");
    let middles: Vec<_> = words.iter().map(|w| (number(w, "start") + number(w, "end")) / 2.0).collect();
    let (mut whole, mut wrong) = (0, Vec::new());
    for utterance in utterances {
        let (start, end) = (utterance.span.0 as f64 / RATE as f64, utterance.span.1 as f64 / RATE as f64);
        if !spans.iter().any(|span| span.0 <= start && end <= span.1) {
            continue;
        }
        whole += 1;
        // Less than half of the shortest pause on each side.
        let first = middles.partition_point(|middle| *middle < start - 0.2);
        let past = middles.partition_point(|middle| *middle < end + 0.2);
        let text: Vec<_> = words[first..past].iter().map(|w| w["word"].as_str().expect("a word")).collect();
        let (text, spoken) = (text.join(" "), sample(utterance.name).text);
        if text != spoken {
            wrong.push(format!("{start:.2} s: {text}"));
        }
    }
    let all = utterances.len();
    println!("{whole} of {all} utterances lie wholly inside a segment");
    assert!(whole * 100 >= all * 99, "cuts fall into speech");
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Segments from all over the recording have the text that they have as recordings of their own.
fn check_alone(record: &Value, long: &Path) {
    const EACH: usize = 25;
    let (folder, speech) = (folder(), samples(long));
    let segments: Vec<_> = record["segments"].as_array().expect("segments").iter().step_by(EACH).collect();
    let mut args = vec!["transcribe".to_owned(), "-o".into(), arg(folder.path()).into()];
    for (n, segment) in segments.iter().enumerate() {
        // They start and end with frames of 40 ms, which thousandths of seconds tell exactly.
        let [start, end] = ["start", "end"].map(|key| (number(segment, key) * RATE as f64).round() as usize);
        let path = folder.path().join(format!("{n}.wav"));
        let bytes = &speech[2 * start..2 * end];
        std::fs::write(&path, Wav::plain(bytes.len() as u32).file(bytes)).expect("written");
        args.push(arg(&path).into());
    }
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    assert_eq!(ended(&command(&args).output().expect("the program starts")).0, Some(0));
    for (n, segment) in segments.iter().enumerate() {
        let text = std::fs::read_to_string(folder.path().join(format!("{n}.txt"))).expect("written");
        assert_eq!(text.trim(), segment["text"], "{segment}");
    }
    println!("{} segments have the text that they have alone", segments.len());
}

/// Every container and codec gives the words of the wav file it was made from.
#[test]
fn every_format_ffmpeg_writes_has_the_words() {
    let folder = folder();
    for (ending, options) in [
        ("flac", "-c:a flac"),
        ("mp3", "-c:a libmp3lame -b:a 64k"),
        ("ogg", "-c:a libvorbis -q:a 5"),
        ("opus", "-c:a libopus -b:a 32k"),
        ("m4a", "-c:a aac -b:a 64k"),
        ("aac", "-c:a aac -b:a 64k -f adts"),
        ("stereo48.wav", "-ar 48000 -ac 2"),
        ("24.wav", "-c:a pcm_s24le"),
        ("float.wav", "-c:a pcm_f32le"),
        ("u8.wav", "-c:a pcm_u8"),
        ("alaw.wav", "-c:a pcm_alaw"),
        ("mulaw.wav", "-c:a pcm_mulaw"),
    ] {
        let sample = sample("sample_08");
        let path = folder.path().join(format!("a.{ending}"));
        encode(&sample.path, options, &path);
        let (code, out, err) = ended(&command(&["transcribe", arg(&path)]).output().expect("it starts"));
        assert_eq!((code, out.trim()), (Some(0), &*sample.text), "{ending}: {err}");
    }
}

fn encode(from: &Path, options: &str, to: &PathBuf) {
    let mut ffmpeg = Command::new("ffmpeg");
    ffmpeg.args(["-nostdin", "-loglevel", "error", "-y", "-i"]).arg(from);
    let status = ffmpeg.args(options.split(' ')).arg(to).status().expect("ffmpeg runs");
    assert!(status.success(), "ffmpeg {options} {}", to.display());
}
