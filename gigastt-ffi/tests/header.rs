//! `include/gigastt.h` is what cbindgen makes of the sources. `make header` writes it.

#![allow(clippy::expect_used)] // A test stops where it fails.

use std::path::{Path, PathBuf};

/// The program that stands at the head of the header; built and run with the other examples.
const PROGRAM: &str = include_str!("../../examples/c/words.c");

const PROSE: &str = include_str!("../header.txt");

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The header as it has to be.
fn header() -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut config =
        cbindgen::Config::from_file(folder.join("cbindgen.toml")).expect("cbindgen.toml is right");
    let indented = |text: &str| {
        let line = |line: &str| format!(" *  {line}").trim_end().to_owned() + "\n";
        text.lines().map(line).collect::<String>()
    };
    config.header = Some(format!("/*\n{} *\n{} */", indented(PROSE), indented(PROGRAM)));
    config.after_includes = Some(version_macros());
    let made = cbindgen::Builder::new().with_crate(folder).with_config(config).generate();
    let mut text = Vec::new();
    made.expect("the sources can be read").write(&mut text);
    String::from_utf8(text).expect("a header is text")
}

/// The version of the package, for the preprocessor. cbindgen reads sources, which do not hold it.
fn version_macros() -> String {
    let numbers = [
        ("MAJOR", env!("CARGO_PKG_VERSION_MAJOR")),
        ("MINOR", env!("CARGO_PKG_VERSION_MINOR")),
        ("PATCH", env!("CARGO_PKG_VERSION_PATCH")),
    ];
    let numbers = numbers.map(|(name, number)| format!("#define GIGASTT_VERSION_{name} {number}\n")).concat();
    let about = "/**\n * The version of this header. `gigastt_version` tells that of the library.\n */";
    format!("\n{about}\n#define GIGASTT_VERSION \"{}\"\n{numbers}", env!("CARGO_PKG_VERSION"))
}

#[test]
fn the_header_is_current() {
    let path = root().join("include/gigastt.h");
    let made = header();
    if std::env::var_os("GIGASTT_WRITE_HEADER").is_some() {
        std::fs::write(&path, &made).expect("the header can be written");
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(there == made, "include/gigastt.h is stale: run `make header`");
}
