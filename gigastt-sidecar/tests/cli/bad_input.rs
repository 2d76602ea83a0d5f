//! Bad input: an exit code, a sentence that names the file and what was expected, nothing half-written.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::{Wav, arg, ended, folder, gigastt, names, sample, samples};

/// Transcribes `file` into a folder with `more` arguments. Wants the exit code, all of `told` on standard
/// error, no panic and an empty folder.
fn check(file: &Path, more: &[&str], code: i32, told: &[&str]) {
    let out = folder();
    let output = out.path().join("out.json");
    let args = ["transcribe", arg(file), "-f", "json", "--output", arg(&output)];
    let (found, printed, err) = ended(&gigastt(&[&args, more].concat()));
    assert_eq!(found, Some(code), "{file:?} {more:?}: {err}");
    assert_eq!(printed, "");
    for words in told {
        assert!(err.contains(words), "{file:?} {more:?}: `{words}` in: {err}");
    }
    assert!(!err.contains("panicked"), "{err}");
    assert_eq!(names(out.path()), [""; 0]);
}

/// Checks a recording of these bytes. The message names its file.
fn check_audio(name: &str, bytes: &[u8], told: &[&str]) {
    let folder = folder();
    let path = folder.path().join(name);
    fs::write(&path, bytes).expect("written");
    check(&path, &[], 1, &[&[name, "next: "], told].concat());
}

#[test]
fn recordings_that_are_none() {
    let speech = samples(&sample("sample_00").path);
    let plain = Wav::plain(speech.len() as u32);
    check_audio("empty.wav", b"", &[]);
    check_audio("text.wav", "Это не запись.\n".repeat(100).as_bytes(), &[]);
    check_audio("header.wav", &plain.header()[..30], &[]);
    check_audio("no-samples.wav", &Wav::plain(0).header(), &[]);
    check_audio("truncated.wav", &plain.file(&speech[..speech.len() / 2]), &[]);
}

#[test]
fn formats_out_of_range() {
    let zeros = [0; 64_000];
    let wav = |channels, rate| Wav { channels, rate, ..Wav::plain(64_000) }.file(&zeros);
    check_audio("slow.wav", &wav(1, 1), &["8000", "192000"]);
    check_audio("fast.wav", &wav(1, 1_000_000), &["8000", "192000"]);
    check_audio("no-channel.wav", &wav(0, 16_000), &[]);
    check_audio("many-channels.wav", &wav(64, 16_000), &["32"]);
}

#[test]
fn samples_that_are_no_numbers() {
    for (name, bad) in [("nan.wav", f32::NAN), ("infinite.wav", f32::INFINITY)] {
        let mut values = vec![0.1_f32; 16_000];
        values[8_000] = bad;
        let bytes: Vec<_> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let wav = Wav { encoding: 3, bits: 32, ..Wav::plain(bytes.len() as u32) };
        check_audio(name, &wav.file(&bytes), &[]);
    }
}

#[test]
fn paths_that_lead_nowhere() {
    let folder = folder();
    check(&folder.path().join("missing.wav"), &[], 1, &["missing.wav", "next: "]);
    check(folder.path(), &[], 1, &[arg(folder.path())]);
}

#[test]
fn outputs_that_cannot_be_written() {
    let (folder, sample) = (folder(), sample("sample_00"));
    let file = folder.path().join("file");
    fs::write(&file, "mine").expect("written");
    for output in [folder.path().join("missing/out.txt"), file.join("out.txt")] {
        let (code, out, err) = ended(&gigastt(&["transcribe", arg(&sample.path), "-o", arg(&output)]));
        assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
        assert!(err.contains(arg(&output)), "{err}");
    }
    assert_eq!(names(folder.path()), ["file"]);
    assert_eq!(fs::read_to_string(&file).expect("still there"), "mine");
}

#[test]
fn a_bad_file_does_not_keep_the_others_from_being_done() {
    let (folder, sample) = (folder(), sample("sample_00"));
    let bad = folder.path().join("bad.wav");
    fs::write(&bad, "bad").expect("written");
    let output = format!("{}/out/", folder.path().display());
    let (code, _, err) = ended(&gigastt(&["transcribe", arg(&bad), arg(&sample.path), "-o", &output]));
    assert_eq!(code, Some(1));
    assert_eq!(err.matches("bad.wav").count(), 1, "{err}");
    assert_eq!(names(&folder.path().join("out")), ["sample_00.txt"]);
}

#[test]
fn a_failure_leaves_the_older_transcript() {
    let folder = folder();
    let (bad, output) = (folder.path().join("bad.wav"), folder.path().join("out.txt"));
    fs::write(&bad, "bad").expect("written");
    fs::write(&output, "older").expect("written");
    assert_eq!(ended(&gigastt(&["transcribe", arg(&bad), "-o", arg(&output)])).0, Some(1));
    assert_eq!(fs::read_to_string(&output).expect("still there"), "older");
}

#[test]
fn command_lines_that_are_wrong() {
    let path = sample("sample_00").path;
    for more in [
        &["--format", "docx"][..],
        &["--endpoint", "never"],
        &["--threads", "0"],
        &["--threads", "many"],
        &["--provider", "abacus"],
        &["--log-level", "loud"],
        &["--nonsense"],
    ] {
        check(&path, more, 2, &[more[0]]);
    }
    assert_eq!(ended(&gigastt(&["transcribe"])).0, Some(2));
    assert_eq!(ended(&gigastt(&[])).0, Some(2));
}

/// A copy of the embedded model's files, to break one of.
fn model(folder: &Path) -> PathBuf {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gigastt-core/models/embedded");
    let to = folder.join("model");
    fs::create_dir(&to).expect("a folder");
    for name in names(&from) {
        fs::copy(from.join(&name), to.join(&name)).expect("copied");
    }
    to
}

/// Breaks a copy of the model and wants exit code 3 and a message that names `told`.
fn check_model(spoil: impl FnOnce(&Path), told: &str) {
    let folder = folder();
    let model = model(folder.path());
    spoil(&model);
    check(&sample("sample_00").path, &["--model", arg(&model)], 3, &[told]);
}

const ENCODER: &str = "v3_e2e_rnnt_encoder.int8w.onnx";
const DECODER: &str = "v3_e2e_rnnt_decoder.int8w.onnx";
const VOCAB: &str = "v3_e2e_rnnt_vocab.txt";

#[test]
fn a_model_folder_is_a_model() {
    let (folder, sample) = (folder(), sample("sample_00"));
    let model = model(folder.path());
    let args = ["transcribe", "--model", arg(&model), arg(&sample.path)];
    assert_eq!(ended(&gigastt(&args)), (Some(0), format!("{}\n", sample.text), String::new()));
    let args = [&args[..], &["--quantization", "int8w"]].concat();
    assert_eq!(ended(&gigastt(&args)).0, Some(0));
    let args = [&args[..args.len() - 1], &["int3"]].concat();
    let (code, _, err) = ended(&gigastt(&args));
    assert_eq!(code, Some(3));
    assert!(err.contains("int3"), "{err}");
}

#[test]
fn models_that_are_none() {
    let path = sample("sample_00").path;
    check(&path, &["--model", "no/such/folder"], 3, &["no/such/folder"]);
    check_model(|model| fs::remove_file(model.join(ENCODER)).expect("removed"), "encoder");
    check_model(|model| fs::remove_file(model.join(VOCAB)).expect("removed"), "vocab");
    let truncate = |model: &Path| {
        let bytes = fs::read(model.join(ENCODER)).expect("read");
        fs::write(model.join(ENCODER), &bytes[..bytes.len() / 2]).expect("written");
    };
    check_model(truncate, ENCODER);
    check_model(|model| fs::write(model.join(ENCODER), "").expect("written"), ENCODER);
}

#[test]
fn graphs_with_another_interface() {
    let swap = |from: &'static str, to: &'static str| {
        move |model: &Path| {
            fs::copy(model.join(from), model.join(to)).expect("copied");
        }
    };
    check_model(swap(DECODER, ENCODER), ENCODER);
    check_model(swap(ENCODER, DECODER), DECODER);
}

#[test]
fn vocabularies_of_the_wrong_size() {
    let shorten = |model: &Path| {
        let text = fs::read_to_string(model.join(VOCAB)).expect("read");
        let lines: Vec<_> = text.lines().collect();
        let pieces = lines.len() - 2;
        let short = format!("{}\n<blk> {pieces}\n", lines[..pieces].join("\n"));
        fs::write(model.join(VOCAB), short).expect("written");
    };
    check_model(shorten, "pieces in the vocabulary, 192, found 193");
    check_model(|model| fs::write(model.join(VOCAB), "").expect("written"), VOCAB);
}

#[test]
fn onnx_runtimes_that_are_none() {
    let (folder, path) = (folder(), sample("sample_00").path);
    check(&path, &["--runtime", "no/such/library.so"], 3, &["no/such/library.so"]);
    let text = folder.path().join("libonnxruntime.so");
    fs::write(&text, "not a library").expect("written");
    check(&path, &["--runtime", arg(&text)], 3, &[arg(&text)]);
    if let Some(library) = a_library() {
        check(&path, &["--runtime", arg(&library)], 3, &[arg(&library)]);
    }
}

/// A library that is none of ONNX Runtime: the C library this process runs on.
fn a_library() -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.contains("libc.so"))?;
    Some(line[line.find('/')?..].into())
}
