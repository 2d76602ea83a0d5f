//! Fetching a model from a hub on this machine, making it fast, listing it, running it.

use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::net::TcpListener;
use std::path::Path;

use crate::support::{arg, command, ended, folder, names, sample};

/// A hub with the files of a small CTC network, for as long as the process lives; its address.
fn hub() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = format!("http://{}", listener.local_addr().expect("an address"));
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.expect("a connection");
            let lines = BufReader::new(stream.try_clone().expect("a second handle")).lines();
            let head: Vec<_> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            let path = head[0].split(' ').nth(1).unwrap_or_default();
            let name = path.rsplit('/').next().unwrap_or_default();
            let answer = match fs::read(models().join("dense").join(name)) {
                Ok(body) => {
                    [format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n", body.len()).into_bytes(), body]
                }
                Err(_) => [b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n".to_vec(), Vec::new()],
            };
            let whole = [&answer[0][..], b"Connection: close\r\n\r\n", &answer[1]].concat();
            // Who goes away early is the matter of other tests.
            let _ = stream.write_all(&whole);
        }
    });
    address
}

fn models() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../gigastt-core/tests/data/models")
}

/// Runs the program over the models folder `folder`: exit code, standard output, standard error.
fn run(folder: &Path, args: &[&str]) -> (Option<i32>, String, String) {
    let mut command = command(args);
    command.env("GIGASTT_MODEL_DIR", folder).env_remove("GIGASTT_MODEL");
    ended(&command.output().expect("the program starts"))
}

#[test]
fn a_model_is_fetched_made_fast_listed_and_run() {
    let (folder, hub) = (folder(), hub());
    let fetch = ["download", "--unverified", "--hub", &hub, "gigaam-v3-ctc"];
    let (code, out, err) = run(folder.path(), &fetch);
    let model = folder.path().join("gigaam-v3-ctc");
    assert_eq!((code, out.trim()), (Some(0), arg(&model)), "{err}");
    assert_eq!(names(&model), ["config.json", "optimized", "v3_ctc.onnx", "v3_vocab.txt"]);
    // Everything is there now, and nothing is asked of the hub.
    let (code, out, err) = run(folder.path(), &["download", "--offline", "--json", "gigaam-v3-ctc"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(
        out.contains(r#""event":"optimized","form":"int8""#) && out.contains(r#""event":"done""#),
        "{out}"
    );

    let (_, listed, _) = run(folder.path(), &["models"]);
    assert!(listed.contains("gigaam-v3-ctc, 0.0 MB; runs as int8"), "{listed}");
    let (_, listed, _) = run(folder.path(), &["models", "--json"]);
    assert!(listed.contains(r#""optimized":{"form":"int8""#), "{listed}");

    let recording = sample("sample_08").path;
    let hear = |args: &[&str]| run(folder.path(), &[&["transcribe", "-q", arg(&recording)], args].concat());
    let (code, fast, err) = hear(&["--model", "gigaam-v3-ctc"]);
    assert_eq!(code, Some(0), "{err}");
    let (code, plain, err) = hear(&["--model", arg(&models().join("dense"))]);
    assert_eq!(code, Some(0), "{err}");
    // Letters that are about as likely as each other change places in 8 bits; the model has learned nothing.
    assert!(fast.len().abs_diff(plain.len()) < plain.len() / 2, "{fast} {plain}");

    let (code, made, err) = run(folder.path(), &["optimize", "--fp32", "--json"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(made.starts_with(r#"{"outcome":"made","form":"fp32""#), "{made}");
    let (_, listed, _) = run(folder.path(), &["models"]);
    assert!(listed.contains("; runs as fp32"), "{listed}");
    // Fetching it again leaves it as it was made.
    let (code, out, err) = run(folder.path(), &["download", "--offline", "--json", "gigaam-v3-ctc"]);
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains(r#""event":"optimized","form":"fp32""#), "{out}");
    let (_, listed, _) = run(folder.path(), &["models"]);
    assert!(listed.contains("; runs as fp32"), "{listed}");
    assert_eq!(hear(&["--model", "gigaam-v3-ctc"]).1, plain);
    let (_, deleted, _) = run(folder.path(), &["models", "gc"]);
    assert_eq!(deleted, "nothing to delete\n");
}

#[test]
fn what_cannot_be_made_fast_says_why_and_runs() {
    let folder = folder();
    let several = folder.path().join("several");
    fs::create_dir(&several).expect("a folder");
    for name in ["v3_ctc.onnx", "v3_vocab.txt"] {
        fs::copy(models().join("several").join(name), several.join(name)).expect("a copy");
    }
    let (code, out, _) = run(folder.path(), &["optimize", arg(&several)]);
    assert_eq!(code, Some(1));
    assert_eq!(out, "not optimised, it runs as it is: it has no matrix product with constant weights\n");
    let recording = sample("sample_08").path;
    let (code, _, err) = run(folder.path(), &["transcribe", "-q", "--model", arg(&several), arg(&recording)]);
    assert_eq!(code, Some(0), "{err}");
    let (code, _, err) = run(folder.path(), &["optimize", "embedded"]);
    assert_eq!(code, Some(2), "{err}");
    let (code, _, err) = run(folder.path(), &["optimize", "gigaam-v3-rnnt"]);
    assert_eq!(code, Some(3), "{err}");
}

#[test]
fn what_a_hub_does_not_have_is_not_installed() {
    let (folder, hub) = (folder(), hub());
    let (code, out, err) = run(folder.path(), &["download", "--hub", &hub, "gigaam-v3-rnnt", "--json"]);
    assert_eq!(code, Some(3), "{err}");
    // It has the letters, which are the published ones, and no graph of this model.
    assert!(
        out.contains(r#""file":"v3_vocab.txt","bytes":198"#) && out.contains(r#""verified":true"#),
        "{out}"
    );
    assert!(out.contains(r#""event":"error","code":"network""#), "{out}");
    let fetch = ["download", "--hub", &hub, "--unverified", "gigaam-v3-e2e-ctc", "--json"];
    let (code, out, err) = run(folder.path(), &fetch);
    assert_eq!(code, Some(3), "{err}");
    assert!(out.contains(r#""code":"network""#) && out.contains("404"), "{out}");
    assert!(!run(folder.path(), &["models", "--json"]).1.contains(r#""name":"gigaam"#));
}
