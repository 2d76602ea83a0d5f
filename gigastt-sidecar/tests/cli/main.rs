//! The program as a shell sees it: what it prints, what it writes, and its exit code.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a test that cannot go on ends; measurements are shown"
)]

mod bad_input;
#[cfg(feature = "long-tests")]
mod dialogues;
mod interrupt;
mod listen;
#[cfg(feature = "long-tests")]
mod long;
mod models;
mod support;
mod words;
