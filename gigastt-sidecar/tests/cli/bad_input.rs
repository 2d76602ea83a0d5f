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
    check_audio("empty.wav", b"", &["expected audio, found an empty file"]);
    let text = "Это не запись.\n".repeat(100);
    check_audio(
        "text.wav",
        text.as_bytes(),
        &["expected wav, flac, mp3, ogg, m4a, aac, webm, aiff or caf, found none"],
    );
    check_audio(
        "header.wav",
        &plain.header()[..30],
        &["expected a fmt and a data chunk, found the end of the file"],
    );
    check_audio("no-samples.wav", &Wav::plain(0).header(), &["expected audio, found a file that holds none"]);
    let (whole, half) = (speech.len(), speech.len() / 2);
    let told = format!("expected {whole} bytes of samples, found {half}: the file is cut short");
    check_audio("truncated.wav", &plain.file(&speech[..half]), &[&told]);
}

/// An mp3 without a tag that tells its length is not among them: nobody can see that it was cut.
#[test]
fn recordings_that_are_cut_short() {
    for name in ["lame.mp3", "s16.flac"] {
        let whole = Path::new(env!("CARGO_MANIFEST_DIR")).join("../gigastt-core/tests/data/audio").join(name);
        let bytes = fs::read(whole).expect("a recording");
        check_audio(name, &bytes[..bytes.len() / 2], &["expected ", " is cut short"]);
    }
}

#[test]
fn formats_out_of_range() {
    let zeros = [0; 64_000];
    let wav = |channels, rate| Wav { channels, rate, ..Wav::plain(64_000) }.file(&zeros);
    check_audio("slow.wav", &wav(1, 1), &["expected a sample rate of 8000 to 192000 Hz, found 1"]);
    check_audio(
        "fast.wav",
        &wav(1, 1_000_000),
        &["expected a sample rate of 8000 to 192000 Hz, found 1000000"],
    );
    check_audio("no-channel.wav", &wav(0, 16_000), &["expected 1 to 32 channels, found 0"]);
    check_audio("many-channels.wav", &wav(64, 16_000), &["expected 1 to 32 channels, found 64"]);
}

#[test]
fn samples_that_are_no_numbers() {
    for (name, bad, told) in [("nan.wav", f32::NAN, "NaN"), ("infinite.wav", f32::INFINITY, "inf")] {
        let mut values = vec![0.1_f32; 16_000];
        values[8_000] = bad;
        let bytes: Vec<_> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let wav = Wav { encoding: 3, bits: 32, ..Wav::plain(bytes.len() as u32) };
        let told = format!("expected finite samples in [-1, 1], found {told} in frame 8000, channel 0");
        check_audio(name, &wav.file(&bytes), &[&told]);
    }
}

#[test]
fn paths_that_lead_nowhere() {
    let folder = folder();
    check(&folder.path().join("missing.wav"), &[], 1, &["missing.wav: No such file", "next: "]);
    check(folder.path(), &[], 1, &[arg(folder.path()), "expected a file, found a directory", "next: "]);
}

/// Paths that are there and cannot be read, by whoever runs the tests.
#[test]
#[cfg(target_os = "linux")]
fn paths_that_cannot_be_read() {
    let folder = folder();
    let link = folder.path().join("link.wav");
    std::os::unix::fs::symlink(&link, &link).expect("a link to itself");
    check(&link, &[], 1, &[arg(&link), "Too many levels of symbolic links", "next: "]);
    // The first page of a process is no memory: reading it fails as a broken disk does.
    let memory = Path::new("/proc/self/mem");
    check(memory, &[], 1, &[arg(memory), "Input/output error", "next: look at the path"]);
}

#[test]
fn outputs_that_cannot_be_written() {
    let (folder, sample) = (folder(), sample("sample_00"));
    let file = folder.path().join("file");
    fs::write(&file, "mine").expect("written");
    for output in [folder.path().join("missing/out.txt"), file.join("out.txt")] {
        let (code, out, err) = ended(&gigastt(&["transcribe", arg(&sample.path), "-o", arg(&output)]));
        assert_eq!((code, out.as_str()), (Some(1), ""), "{err}");
        assert!(err.contains(arg(&output)) && err.contains("next: look at the path"), "{err}");
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
fn a_transcript_never_replaces_a_recording() {
    let (folder, sample) = (folder(), sample("sample_00"));
    let [a, b] = ["talk.txt", "b.wav"].map(|name| folder.path().join(name));
    for path in [&a, &b] {
        fs::copy(&sample.path, path).expect("copied");
    }
    for (files, output) in [(&[arg(&b)][..], &b), (&[arg(&a)], &folder.path().to_owned())] {
        let (code, out, err) = ended(&gigastt(&[&["transcribe", "-o", arg(output)], files].concat()));
        assert_eq!((code, out.as_str()), (Some(2), ""), "{err}");
        assert!(err.contains(arg(output)) && err.contains("this is a recording"), "{err}");
    }
    for path in [&a, &b] {
        assert!(fs::read(path).expect("still there") == fs::read(&sample.path).expect("a recording"));
    }
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

/// Breaks a copy of the model and wants exit code 3 and a message that names all of `told`.
fn check_model(spoil: impl FnOnce(&Path), told: &[&str]) {
    let folder = folder();
    let model = model(folder.path());
    spoil(&model);
    check(&sample("sample_00").path, &["--model", arg(&model)], 3, &[told, &["next: "]].concat());
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
    check(&path, &["--model", "no/such/folder"], 3, &["no/such/folder", "expected ", "next: "]);
    let told = ["no model of GigaAM v3 in this folder; looked for v3_e2e_rnnt_encoder[.int8].onnx, "];
    check_model(|model| fs::remove_file(model.join(ENCODER)).expect("removed"), &told);
    let told = [VOCAB, "no such file; the model gigaam-v3-e2e-rnnt needs it"];
    check_model(|model| fs::remove_file(model.join(VOCAB)).expect("removed"), &told);
    let truncate = |model: &Path| {
        let bytes = fs::read(model.join(ENCODER)).expect("read");
        fs::write(model.join(ENCODER), &bytes[..bytes.len() / 2]).expect("written");
    };
    let told = [ENCODER, "expected a graph that ONNX Runtime can run: "];
    check_model(truncate, &told);
    check_model(|model| fs::write(model.join(ENCODER), "").expect("written"), &told);
}

#[test]
fn graphs_with_another_interface() {
    let swap = |from: &'static str, to: &'static str| {
        move |model: &Path| {
            fs::copy(model.join(from), model.join(to)).expect("copied");
        }
    };
    check_model(swap(DECODER, ENCODER), &[ENCODER, "expected "]);
    check_model(swap(ENCODER, DECODER), &[DECODER, "expected "]);
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
    check_model(shorten, &["expected ", "pieces in the vocabulary, 99, found 100"]);
    check_model(|model| fs::write(model.join(VOCAB), "").expect("written"), &[VOCAB, "expected "]);
}

#[test]
fn onnx_runtimes_that_are_none() {
    let folder = folder();
    let check = |library: &Path, told: &str| {
        let told = [&[arg(library), told][..], &CURE].concat();
        check(&sample("sample_00").path, &["--runtime", arg(library)], 3, &told);
    };
    check(Path::new("no/such/library.so"), "expected ONNX Runtime's library: No such file");
    let text = folder.path().join("libonnxruntime.so");
    fs::write(&text, "not a library").expect("written");
    check(&text, "expected a shared library, found 13 bytes of something else");
    if let Some(library) = a_library() {
        check(&library, "does not export `OrtGetApiBase`");
    }
    check(&an_old_runtime(folder.path()), "or newer: ");
}

/// What is told of every ONNX Runtime that cannot be used: what mends it, and the places.
const CURE: [&str; 5] = [
    "to mend it, ",
    "`pip install ",
    "`make setup` in a checkout",
    "searched in this order: a path that is passed (",
    "next: ",
];

/// Beside the program, where it is looked for first, lies a file that is none; and nothing anywhere.
#[test]
#[cfg(unix)]
fn without_an_onnx_runtime() {
    let folder = folder();
    let program = folder.path().join("gigastt");
    fs::hard_link(env!("CARGO_BIN_EXE_gigastt"), &program)
        .or_else(|_| fs::copy(env!("CARGO_BIN_EXE_gigastt"), &program).map(drop))
        .expect("a program in a folder of its own");
    let run = || {
        let mut command = std::process::Command::new(&program);
        command.args(["transcribe", "--model", "embedded", arg(&sample("sample_00").path)]);
        for variable in
            ["ORT_DYLIB_PATH", "GIGASTT_RUNTIME", "VIRTUAL_ENV", "CONDA_PREFIX", "LD_LIBRARY_PATH"]
        {
            command.env_remove(variable);
        }
        let output = command.env("PATH", "/nowhere").env("HOME", "/nowhere").output().expect("it starts");
        ended(&output)
    };
    let (code, out, err) = run();
    // A machine may well have the library in a folder of the system.
    if code != Some(0) {
        assert_eq!((code, out.as_str()), (Some(3), ""), "{err}");
        let real = fs::canonicalize(folder.path()).expect("a folder");
        let places = [arg(&real), "/usr/local/lib", "ORT_DYLIB_PATH (not set)", "was not found"];
        assert!(CURE.iter().chain(&places).all(|words| err.contains(words)), "{err}");
    }
    let name = if cfg!(target_os = "macos") { "libonnxruntime.dylib" } else { "libonnxruntime.so" };
    fs::write(folder.path().join(name), "not a library").expect("written");
    let (code, out, err) = run();
    assert_eq!((code, out.as_str()), (Some(3), ""), "{err}");
    let told = [name, "found 13 bytes of something else (found by: beside the program"];
    assert!(CURE.iter().chain(&told).all(|words| err.contains(words)), "{err}");
}

/// A library with the entry of ONNX Runtime 1.14.
fn an_old_runtime(folder: &Path) -> PathBuf {
    let (source, library) = (folder.join("old.rs"), folder.join("libold.so"));
    let text = r#"
        #[repr(C)] pub struct Base(extern "C" fn(u32) -> *const u8, extern "C" fn() -> *const u8);
        extern "C" fn api(_: u32) -> *const u8 { std::ptr::null() }
        extern "C" fn version() -> *const u8 { c"1.14.1".as_ptr().cast() }
        static BASE: Base = Base(api, version);
        #[no_mangle] pub extern "C" fn OrtGetApiBase() -> &'static Base { &BASE }
    "#;
    fs::write(&source, text).expect("written");
    let mut compiler = std::process::Command::new(std::env::var_os("RUSTC").unwrap_or("rustc".into()));
    compiler.args(["--edition", "2021", "--crate-type", "cdylib", "-o"]).arg(&library).arg(&source);
    assert!(compiler.status().expect("rustc runs").success());
    library
}

/// A library that is none of ONNX Runtime: the C library this process runs on.
fn a_library() -> Option<PathBuf> {
    let maps = fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.contains("libc.so"))?;
    Some(line[line.find('/')?..].into())
}
