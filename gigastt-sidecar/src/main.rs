//! The program `gigastt`: Russian speech recognition from the shell.
//!
//! A thin skin over `gigastt-core`. [`cli`] says what can be typed; each subcommand has a file of its
//! own and returns an [`Exit`](failure::Exit), which is the process's exit code. Everything that is
//! printed goes through [`output`].
#![forbid(unsafe_code)]

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
#[cfg(target_os = "linux")]
use std::{path::Path, process::Command};

use clap::Parser as _;
use gigastt_sidecar::messages;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
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

/// Has ONNX Runtime report nothing about its use to its maker, as the official 1.32 for Linux does before its interface
/// can tell it not to. Its environment can, which no process sets for itself without `unsafe`: so the program begins once
/// more, as the same process. Whoever set the variable is heeded, and where the program is not what was called, as when
/// the system's loader was, it goes on as it is.
#[cfg(target_os = "linux")]
fn silence_runtime() {
    use std::os::unix::process::CommandExt as _;
    const VARIABLE: &str = "ORT_DISABLE_TELEMETRY";
    let mut arguments = std::env::args_os();
    if std::env::var_os(VARIABLE).is_none()
        && let (Ok(program), Some(called)) = (std::env::current_exe(), arguments.next())
        && program.file_name() == Path::new(&called).file_name()
    {
        // Returns where it fails, alone.
        let _ = Command::new(program).arg0(called).args(arguments).env(VARIABLE, "1").exec();
    }
}
