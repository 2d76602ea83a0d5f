//! `gigastt bench`: how fast a model is on this machine, and how much it takes.

mod crowd;
mod file;
mod lateness;
mod speech;
mod streams;

use crate::cli::Bench;
use crate::failure::Exit;

/// Measures and prints the report.
pub(crate) fn run(args: &Bench) -> Exit {
    match args {
        Bench::File(args) => file::run(args),
        Bench::Streams(args) => streams::run(args),
    }
}
