//! The program `gigastt`: Russian speech recognition from the shell.
//!
//! A thin skin over `gigastt-core`. [`cli`] says what can be typed; each subcommand has a file of its
//! own and returns an [`Exit`](failure::Exit), which is the process's exit code. Everything that is
//! printed goes through [`output`].
#![deny(unsafe_code)]

mod bench;
mod cli;
mod download;
mod draft;
mod engine;
mod eval;
mod failure;
mod health;
mod interrupt;
mod listen;
mod models;
mod optimize;
mod output;
mod progress;
mod serve;
mod system;
mod transcribe;

use std::process::ExitCode;

use clap::Parser as _;
use gigastt_sidecar::messages;

fn main() -> ExitCode {
    silence_runtime();
    let cli = cli::Cli::parse();
    if let cli::Command::Serve(args) = &cli.command {
        return serve::run(args, cli.log_level).into();
    }
    env_logger::Builder::new()
        .filter_level(cli.log_level())
        // The decoders warn of what is usual in files; what matters is an error of ours.
        .filter_module("symphonia", log::LevelFilter::Off)
        .format_target(false)
        .init();
    let exit = match &cli.command {
        cli::Command::Serve(_) => failure::Exit::Usage,
        cli::Command::Transcribe(args) => transcribe::run(args),
        cli::Command::Listen(args) => listen::run(args),
        cli::Command::Health(args) => health::run(args),
        cli::Command::Download(args) => download::run(args),
        cli::Command::Models(args) => models::run(args),
        cli::Command::Eval(args) => eval::run(args),
        cli::Command::Optimize(args) => optimize::run(args),
        cli::Command::Bench(args) => bench::run(args),
    };
    exit.into()
}

/// Has ONNX Runtime report nothing, unless whoever started the program set the variable: the official 1.32 for Linux
/// otherwise numbers the machine and tells its maker which program runs it.
#[allow(unsafe_code, reason = "nothing else sets it early enough")]
fn silence_runtime() {
    const VARIABLE: &str = "ORT_DISABLE_TELEMETRY";
    if std::env::var_os(VARIABLE).is_none() {
        // SAFETY: there are no other threads yet.
        unsafe { std::env::set_var(VARIABLE, "1") };
    }
}
