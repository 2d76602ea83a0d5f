//! The rules of `docs/architecture.md` that a compiler does not hold, read off the sources.
//!
//! A rule is a row of [`RULES`]: where it holds, what may not stand there, and why. Each row carries an
//! example that breaks it, so that a rule which catches nothing is found out.

#![allow(clippy::unwrap_used, clippy::expect_used)] // A test stops where it fails.

use std::fs;
use std::path::{Path, PathBuf};

struct Rule {
    /// The sentence a developer reads when he broke it.
    reason: &'static str,
    /// Paths it holds for: any of these beginnings, and this ending.
    within: &'static [&'static str],
    ending: &'static str,
    /// Paths (beginnings) that are exempt.
    except: &'static [&'static str],
    /// What is read of a file.
    part: Part,
    /// What may not stand there. Where it begins with a letter it does not match inside a longer word.
    forbidden: &'static [&'static str],
    /// What makes it harmless when it stands right before.
    unless_after: &'static [&'static str],
    /// A file that breaks the rule: path and content.
    broken: (&'static str, &'static str),
}

#[derive(Clone, Copy, PartialEq)]
enum Part {
    /// Everything.
    Text,
    /// Without comments.
    Code,
    /// Without comments and without the tests at a file's end.
    Shipped,
}

const ANYWHERE: &[&str] = &[""];
const CORE: &[&str] = &["gigastt-core/src/"];
const SKINS: &[&str] = &["gigastt-ffi/src/", "gigastt-py/src/", "gigastt-sidecar/src/"];
const LIBRARIES: &[&str] = &["gigastt-core/src/", "gigastt-ffi/src/", "gigastt-py/src/"];

const RULES: &[Rule] = &[
    Rule {
        reason: "only model/ort.rs names the crate `ort`: its API changes with every release candidate",
        within: ANYWHERE,
        ending: ".rs",
        // In model/mod.rs the name is that of our module.
        except: &["gigastt-core/src/model/ort.rs", "gigastt-core/src/model/mod.rs", "tests/tidy.rs"],
        part: Part::Code,
        forbidden: &["ort::", "use ort;", "extern crate ort"],
        unless_after: &["super::", "self::", "model::"],
        broken: ("gigastt-core/src/engine/mod.rs", "use ort::session::Session;"),
    },
    Rule {
        reason: "ONNX Runtime's own table of functions is taken where the library is linked, and nowhere else",
        within: ANYWHERE,
        ending: ".rs",
        except: &["gigastt-ffi/src/library.rs", "tests/tidy.rs"],
        part: Part::Code,
        forbidden: &["ort_sys"],
        unless_after: &[],
        broken: ("gigastt-core/src/model/bundle.rs", "let version = ort_sys::ORT_API_VERSION;"),
    },
    Rule {
        reason: "only core depends on `ort`, and libgigastt on `ort-sys`",
        within: ANYWHERE,
        ending: "Cargo.toml",
        except: &["gigastt-core/Cargo.toml", "gigastt-ffi/Cargo.toml"],
        part: Part::Text,
        forbidden: &["ort =", "ort-sys ="],
        unless_after: &[],
        broken: ("gigastt-sidecar/Cargo.toml", "ort = \"2\""),
    },
    Rule {
        reason: "only engine/worker.rs starts threads, waits and reads the clock: all else is a function of its input",
        within: CORE,
        ending: ".rs",
        except: &["gigastt-core/src/engine/worker.rs"],
        part: Part::Shipped,
        forbidden: &[
            "Instant::now",
            "SystemTime",
            "thread::spawn",
            "thread::scope",
            "thread::Builder",
            "thread::sleep",
            "sleep(",
            "park_timeout",
        ],
        unless_after: &[],
        broken: ("gigastt-core/src/engine/batcher.rs", "let now = std::time::Instant::now();"),
    },
    Rule {
        reason: "a skin starts threads and tasks in the files that say when they end",
        within: SKINS,
        ending: ".rs",
        except: &[
            // Calls a host's functions.
            "gigastt-ffi/src/dispatch.rs",
            // Calls event loops; runs a fetch and a recording while Python looks for signals.
            "gigastt-py/src/attended.rs",
            "gigastt-py/src/bell.rs",
            // Reads a pipe; recordings side by side; measures.
            "gigastt-sidecar/src/listen/input.rs",
            "gigastt-sidecar/src/eval.rs",
            "gigastt-sidecar/src/bench/",
            // Connections, uploads and their answers, the service's own business.
            "gigastt-sidecar/src/server/listener.rs",
            "gigastt-sidecar/src/server/linger.rs",
            "gigastt-sidecar/src/server/upload.rs",
            "gigastt-sidecar/src/server/openai.rs",
            "gigastt-sidecar/src/server/sse.rs",
            "gigastt-sidecar/src/serve.rs",
        ],
        part: Part::Shipped,
        forbidden: &["thread::spawn", "thread::scope", "thread::Builder", "spawn(", "spawn_blocking("],
        unless_after: &[],
        broken: ("gigastt-sidecar/src/server/ws.rs", "tokio::spawn(async move { send(frames).await });"),
    },
    Rule {
        reason: "a skin reads the clock for deadlines and measurements, in the files that keep them",
        within: SKINS,
        ending: ".rs",
        except: &[
            "gigastt-ffi/src/engine.rs",
            "gigastt-ffi/src/signal.rs",
            "gigastt-ffi/src/stream.rs",
            "gigastt-py/src/recognizer.rs",
            "gigastt-sidecar/src/transcribe.rs",
            "gigastt-sidecar/src/messages.rs",
            "gigastt-sidecar/src/system.rs",
            "gigastt-sidecar/src/eval/live.rs",
            "gigastt-sidecar/src/bench/",
            "gigastt-sidecar/src/server/admission.rs",
            "gigastt-sidecar/src/server/drain.rs",
            "gigastt-sidecar/src/server/gauge.rs",
            "gigastt-sidecar/src/server/hearing.rs",
            "gigastt-sidecar/src/server/metrics.rs",
            "gigastt-sidecar/src/server/sse.rs",
            "gigastt-sidecar/src/server/transcribe.rs",
            "gigastt-sidecar/src/server/upload.rs",
            "gigastt-sidecar/src/server/ws.rs",
        ],
        part: Part::Shipped,
        forbidden: &["Instant::now", "SystemTime::now"],
        unless_after: &[],
        broken: ("gigastt-sidecar/src/server/wire.rs", "let now = SystemTime::now();"),
    },
    Rule {
        reason: "nobody sleeps but the handler of Ctrl-C and who measures: waits have somebody who ends them",
        within: SKINS,
        ending: ".rs",
        except: &["gigastt-sidecar/src/interrupt.rs", "gigastt-sidecar/src/bench/"],
        part: Part::Shipped,
        forbidden: &["thread::sleep", "park_timeout"],
        unless_after: &[],
        broken: ("gigastt-ffi/src/stream.rs", "std::thread::sleep(PAUSE);"),
    },
    Rule {
        reason: "a WebSocket conversation is a machine: it is told the time, and does no I/O",
        within: &["gigastt-sidecar/src/server/conn.rs", "gigastt-sidecar/src/server/conn/"],
        ending: ".rs",
        except: &[],
        part: Part::Shipped,
        forbidden: &[
            "tokio",
            "axum",
            "async fn",
            ".await",
            "std::io",
            "std::fs",
            "std::net",
            "std::thread",
            "time::Instant",
            "Instant::now",
            "SystemTime",
            "spawn(",
            "sleep",
        ],
        unless_after: &[],
        broken: ("gigastt-sidecar/src/server/conn.rs", "use tokio::sync::mpsc;"),
    },
    Rule {
        reason: "`unsafe` stands only at the C boundary",
        within: ANYWHERE,
        ending: ".rs",
        except: &["gigastt-ffi/", "tests/tidy.rs"],
        part: Part::Shipped,
        forbidden: &["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "unsafe trait", "#[unsafe("],
        unless_after: &[],
        broken: ("gigastt-core/src/audio/mel.rs", "let x = unsafe { *p };"),
    },
    Rule {
        reason: "core never takes its host down: errors are returned",
        within: LIBRARIES,
        ending: ".rs",
        // The scripted model of the tests.
        except: &["gigastt-core/src/model/fake.rs"],
        part: Part::Shipped,
        forbidden: &[
            ".unwrap()",
            ".expect(",
            "panic!(",
            "unreachable!(",
            "todo!(",
            "unimplemented!(",
            "process::exit",
            "process::abort",
        ],
        unless_after: &[],
        broken: ("gigastt-core/src/audio/pcm.rs", "let n = bytes.first().unwrap();"),
    },
    Rule {
        reason: "a forked child inherits parking_lot's table of threads that it lacks: use gigastt_core::sync",
        within: LIBRARIES,
        ending: ".rs",
        except: &[],
        part: Part::Code,
        forbidden: &["parking_lot"],
        unless_after: &[],
        broken: ("gigastt-core/src/engine/mailbox.rs", "use parking_lot::Mutex;"),
    },
    Rule {
        reason: "a library does not print; it logs by the crate `log`, to whom its host likes",
        within: LIBRARIES,
        ending: ".rs",
        except: &[],
        part: Part::Shipped,
        forbidden: &["println!(", "eprintln!(", "print!(", "eprint!(", "dbg!(", "stdout()", "stderr()"],
        unless_after: &[],
        broken: ("gigastt-core/src/engine/mod.rs", "eprintln!(\"loaded\");"),
    },
    Rule {
        reason: "the program prints in output.rs and nowhere else",
        within: &["gigastt-sidecar/src/"],
        ending: ".rs",
        except: &["gigastt-sidecar/src/output.rs"],
        part: Part::Shipped,
        forbidden: &["println!(", "eprintln!(", "print!(", "eprint!(", "dbg!("],
        unless_after: &[],
        broken: ("gigastt-sidecar/src/main.rs", "println!(\"hello\");"),
    },
    Rule {
        reason: "core knows no async runtime, no serialisation and no command line",
        within: &["gigastt-core/Cargo.toml"],
        ending: "",
        except: &[],
        part: Part::Text,
        forbidden: &["tokio", "serde", "serde_json", "axum", "clap"],
        unless_after: &[],
        broken: ("gigastt-core/Cargo.toml", "serde = \"1\""),
    },
    Rule {
        reason: "JSON is a matter of the sidecar and of the language bindings",
        within: CORE,
        ending: ".rs",
        except: &[],
        part: Part::Code,
        forbidden: &["serde", "serde_json", "Serialize", "Deserialize"],
        unless_after: &[],
        broken: ("gigastt-core/src/transcript.rs", "#[derive(serde::Serialize)]"),
    },
    Rule {
        reason: "every test runs",
        within: ANYWHERE,
        ending: ".rs",
        except: &[],
        part: Part::Code,
        forbidden: &[concat!("#[ign", "ore")],
        unless_after: &[],
        broken: ("gigastt-core/src/lib.rs", concat!("#[ign", "ore]")),
    },
    Rule {
        reason: "every test runs",
        within: ANYWHERE,
        ending: ".py",
        except: &[],
        part: Part::Text,
        forbidden: &[concat!("mark.sk", "ip"), concat!("pytest.sk", "ip"), "xfail", "importorskip"],
        unless_after: &[],
        broken: ("tests/python/test_x.py", concat!("@pytest.mark.sk", "ip(\"later\")")),
    },
    Rule {
        reason: "the project builds on every machine: no paths of one of them",
        within: ANYWHERE,
        ending: "",
        except: &[],
        part: Part::Text,
        forbidden: &[
            concat!("/wo", "rk/"),
            concat!("/ro", "ot/"),
            concat!("/ho", "me/"),
            concat!("/tmp/", "wt"),
        ],
        unless_after: &[],
        broken: ("Makefile", concat!("cd /wo", "rk/main")),
    },
    Rule {
        reason: "packages come from where the person who builds gets his: no index is named",
        within: ANYWHERE,
        ending: "",
        except: &[],
        part: Part::Text,
        forbidden: &[
            concat!("artif", "actory"),
            concat!("index", ".crates.io"),
            concat!("--index", "-url"),
            concat!("--extra-index", "-url"),
        ],
        unless_after: &[],
        broken: ("tests/python/requirements.txt", concat!("--index", "-url https://example.org/simple")),
    },
    Rule {
        reason: "every package of the lock file is one of the public registry",
        within: &["Cargo.lock"],
        ending: "",
        except: &[],
        part: Part::Text,
        forbidden: &["source = \"git+", "source = \"registry+http:", "sparse+"],
        unless_after: &[],
        broken: ("Cargo.lock", "source = \"git+https://example.org/x\""),
    },
];

/// What stands at the top of each crate but the one with the C boundary.
const FORBID_UNSAFE: &str = "#![forbid(unsafe_code)]";
const CRATE_ROOTS: [&str; 5] = [
    "gigastt-core/src/lib.rs",
    "gigastt-py/src/lib.rs",
    "gigastt-sidecar/src/lib.rs",
    "gigastt-sidecar/src/main.rs",
    "tests/lib.rs",
];

#[test]
fn the_sources_keep_the_rules() {
    let root = root();
    let mut found = Vec::new();
    for path in files(&root) {
        // Models and recordings are not text.
        let Ok(text) = fs::read_to_string(root.join(&path)) else { continue };
        found.extend(RULES.iter().flat_map(|rule| rule.violations(&path, &text)));
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
}

#[test]
fn every_rule_catches_its_example() {
    for rule in RULES {
        let (path, text) = rule.broken;
        assert_eq!(rule.violations(path, text).len(), 1, "{path}: {text}");
        for exempt in rule.except.iter().filter(|path| path.ends_with(".rs")) {
            assert!(rule.violations(exempt, text).is_empty(), "{exempt} is exempt: {text}");
        }
    }
}

#[test]
fn comments_tests_and_longer_words_are_left_alone() {
    let quiet = |path: &str, text: &str| {
        let found: Vec<_> = RULES.iter().flat_map(|rule| rule.violations(path, text)).collect();
        assert!(found.is_empty(), "{found:?}");
    };
    let core = "gigastt-core/src/engine/mod.rs";
    quiet(core, "// an `ort::Session` would panic!()\n/// Calls Instant::now.\n");
    quiet(core, "fn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() { x.unwrap(); panic!(); }\n}\n");
    quiet(core, "use crate::support::Thing;\nuse super::ort::Network;\n#![forbid(unsafe_code)]\n");
    quiet(core, "let url = \"https://example.org\";\n");
}

#[test]
fn the_compiler_forbids_unsafe_code() {
    for path in CRATE_ROOTS {
        let text = fs::read_to_string(root().join(path)).unwrap_or_else(|e| panic!("{path}: {e}"));
        assert!(text.contains(FORBID_UNSAFE), "{path} lacks {FORBID_UNSAFE}");
    }
}

/// What a function of the C interface may be: one call that catches panics, maybe with its closure before it.
const FENCES: [&str; 7] = [
    "unsafe { fence(error, ",
    "fence_value(",
    "crate::fence::fence_value(",
    "unsafe { Words::give(",
    "unsafe { hand_out(",
    "crate::handles::release(",
    "unsafe { crate::handles::release_box(",
];

/// These return constants or a number, and have nothing that could panic.
const WITHOUT_FENCE: [&str; 4] =
    ["gigastt_version", "gigastt_abi_version", "gigastt_status_name", "gigastt_live_objects"];

#[test]
fn a_panic_never_leaves_the_library() {
    let root = root();
    let exports = fs::read_to_string(root.join("gigastt-ffi/abi/exports.txt")).unwrap();
    let mut found = Vec::new();
    for path in files(&root).iter().filter(|path| path.starts_with("gigastt-ffi/src/")) {
        found.extend(c_functions(&fs::read_to_string(root.join(path)).unwrap()));
    }
    found.sort();
    let names: Vec<_> = found.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, exports.lines().collect::<Vec<_>>());
    for (name, body) in found {
        assert_eq!(is_fenced(&body), !WITHOUT_FENCE.contains(&name.as_str()), "{name}: {body:#?}");
    }
}

#[test]
fn a_function_without_fence_is_found() {
    let function = |body: &str| {
        let text = format!("pub unsafe extern \"C\" fn gigastt_x(\n    a: i32,\n) -> i32 {{\n{body}}}\n");
        let [(name, body)] = c_functions(&text).try_into().unwrap();
        assert_eq!(name, "gigastt_x");
        is_fenced(&body)
    };
    let body = "    let body = || {\n        let b = a;\n        Ok(b)\n    };\n";
    let call = "    // SAFETY: NULL or writable.\n    unsafe { fence(error, body) }\n";
    assert!(function(&format!("{body}{call}")) && function(call));
    assert!(!function(body) && !function("    a\n"));
    assert!(!function(&format!("    let c = a;\n{body}{call}")), "something runs outside");
    assert!(!function(&format!("{body}{call}    + 1\n")), "something runs after it");
}

/// The functions for C in a source, each with the lines of its body that begin a statement.
fn c_functions(text: &str) -> Vec<(String, Vec<String>)> {
    let mut lines = text.lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next() {
        let head = line.trim_start_matches("pub ").trim_start_matches("unsafe ");
        let Some(head) = head.strip_prefix("extern \"C\" fn ") else { continue };
        let name = head.split('(').next().unwrap().to_owned();
        if !line.ends_with('{') {
            lines.by_ref().find(|line| line.starts_with(')'));
        }
        let body = lines.by_ref().take_while(|line| *line != "}").map(code);
        let begins = |line: &&str| line.starts_with("    ") && !line[4..].starts_with([' ', '}', ')']);
        found.push((
            name,
            body.filter(|line| !line.trim().is_empty()).filter(begins).map(str::to_owned).collect(),
        ));
    }
    found
}

fn is_fenced(body: &[String]) -> bool {
    let call = match body {
        [call] => call,
        [closure, call] if closure.starts_with("    let ") && closure.contains("= || ") => call,
        _ => return false,
    };
    FENCES.iter().any(|fence| call.trim_start().starts_with(fence))
}

#[test]
fn a_skin_says_what_each_kind_of_error_means_there() {
    let mut found = Vec::new();
    for path in files(&root()).iter().filter(|path| SKINS.iter().any(|skin| path.starts_with(skin))) {
        let Ok(text) = fs::read_to_string(root().join(path)) else { continue };
        found.extend(
            wildcards(&text).map(|number| format!("{path}:{number}: `_` stands for kinds of errors")),
        );
    }
    assert!(found.is_empty(), "\n{}\n", found.join("\n"));
    let broken =
        "match kind {\n    ErrorKind::Io\n    | ErrorKind::Busy => {\n        1\n    }\n    _ => 2,\n}\n";
    assert_eq!(wildcards(broken).collect::<Vec<_>>(), [6]);
    let other = "match kind {\n    Some(1) => ErrorKind::Io,\n    _ => match x {\n        io::ErrorKind::Other => 1,\n        _ => 2,\n    },\n}\n";
    assert_eq!(wildcards(other).count(), 0);
}

/// The lines where an arm for everything else stands in one `match` with arms for kinds of errors. Arms of a
/// `match` are indented alike.
fn wildcards(text: &str) -> impl Iterator<Item = usize> {
    let lines: Vec<&str> = text.lines().collect();
    let indent = |line: &str| line.len() - line.trim_start().len();
    let kind = |line: &str| line.trim_start().trim_start_matches("| ").starts_with("ErrorKind::");
    let beside_kinds = move |at: &usize| {
        let depth = indent(lines[*at]);
        let before = lines[..*at].iter().rev().take_while(|line| line.is_empty() || indent(line) >= depth);
        let wild = lines[*at].trim_start();
        (wild.starts_with("_ =>") || wild.starts_with("_ if "))
            && before.filter(|line| indent(line) == depth).any(|line| kind(line))
    };
    (0..text.lines().count()).filter(beside_kinds).map(|at| at + 1)
}

#[test]
fn each_package_has_its_reason() {
    let reasons = fs::read_to_string(root().join("docs/decisions.md")).expect("the decisions");
    let known = |name: &str| reasons.split(|c| !is_word(c) && c != '-').any(|word| word == name);
    let manifests = files(&root());
    let manifests =
        manifests.iter().filter(|path| path.ends_with("Cargo.toml") || path.ends_with("pyproject.toml"));
    let mut count = 0;
    for path in manifests {
        let text = fs::read_to_string(root().join(path)).expect("a manifest");
        for name in packages(&text) {
            assert!(known(name), "{path}: docs/decisions.md does not say why {name}");
            count += 1;
        }
    }
    assert!(count > 60, "{count}");
    assert_eq!(
        packages("[dependencies]\nlog.workspace = true\na-b = \"1\"\n[lib]\nx = 1\n").collect::<Vec<_>>(),
        ["log", "a-b"]
    );
    let python = "[build-system]\nrequires = [\"a>=1\"]\n[project]\ndependencies = [\"b-c>=1\"]\n";
    assert_eq!(packages(python).collect::<Vec<_>>(), ["a", "b-c"]);
}

/// The packages that a manifest of Cargo or of Python names, without our own.
fn packages(text: &str) -> impl Iterator<Item = &str> {
    let mut section = "";
    let lines = text.lines().filter_map(move |line| {
        if line.starts_with('[') {
            section = line.trim_matches(['[', ']']);
            return None;
        }
        Some((section, line))
    });
    let names = lines.flat_map(|(section, line)| -> Vec<&str> {
        if section.ends_with("dependencies") && section != "project.optional-dependencies" {
            return line.split([' ', '.', '=']).take(1).collect();
        }
        // Python's are strings with versions.
        line.split('"')
            .filter(|part| part.contains(">="))
            .filter_map(|part| part.split(['>', '[']).next())
            .collect()
    });
    names.filter(|name| !name.is_empty() && !name.starts_with(['#', ' ']) && !name.starts_with("gigastt"))
}

#[test]
fn the_walk_sees_the_whole_project() {
    let files = files(&root());
    for path in ["Makefile", ".ci/run", "Cargo.lock", "gigastt-core/src/lib.rs", "tests/tidy.rs"] {
        assert!(files.iter().any(|f| f == path), "{path} is not among the {} files", files.len());
    }
    assert!(!files.iter().any(|f| f.starts_with("target/") || f.starts_with(".git/")));
}

impl Rule {
    /// One line for each line of the file that breaks the rule.
    fn violations(&self, path: &str, text: &str) -> Vec<String> {
        let applies = self.within.iter().any(|start| path.starts_with(start))
            && path.ends_with(self.ending)
            && !(self.part == Part::Shipped && path.ends_with("/tests.rs"))
            && !self.except.iter().any(|start| path.starts_with(start));
        if !applies {
            return Vec::new();
        }
        read(text, self.part)
            .filter_map(|(number, line)| {
                let hit = self.forbidden.iter().find(|word| self.stands_in(line, word))?;
                Some(format!("{path}:{number}: `{hit}`: {}", self.reason))
            })
            .collect()
    }

    fn stands_in(&self, line: &str, word: &str) -> bool {
        line.match_indices(word).any(|(at, _)| {
            let before = &line[..at];
            let longer = word.starts_with(is_word) && before.ends_with(is_word);
            !longer && !self.unless_after.iter().any(|harmless| before.ends_with(harmless))
        })
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// The numbered lines of a file that count.
fn read(text: &str, part: Part) -> impl Iterator<Item = (usize, &str)> {
    let lines = (1..).zip(text.lines());
    lines
        .take_while(move |(_, line)| part != Part::Shipped || *line != "mod tests {")
        .map(move |(number, line)| (number, if part == Part::Text { line } else { code(line) }))
}

/// A line without its comment. An address in a string is no comment.
fn code(line: &str) -> &str {
    let comment = line.match_indices("//").find(|(at, _)| !line[..*at].ends_with(':'));
    comment.map_or(line, |(at, _)| &line[..at])
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The paths of the project's files from its root, with `/` between the parts.
fn files(root: &Path) -> Vec<String> {
    const SKIPPED: [&str; 5] = [".git", "target", ".venv", "__pycache__", ".pytest_cache"];
    let mut found = Vec::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let entries = fs::read_dir(root.join(&folder)).expect("the project can be read");
        for entry in entries.map(|entry| entry.expect("the project can be read")) {
            let (name, kind) = (entry.file_name(), entry.file_type().expect("the project can be read"));
            let path = folder.join(&name);
            // In a second working tree `.git` is a file.
            if SKIPPED.iter().any(|skipped| name == *skipped) {
                continue;
            } else if kind.is_dir() {
                folders.push(path);
            } else if kind.is_file() {
                found.push(path.to_string_lossy().replace('\\', "/"));
            }
        }
    }
    found
}
