//! The C ABI of gigastt: what `include/gigastt.h` declares.
//!
//! Thin functions over `gigastt-core`. Their comments are the header's documentation, so they speak of
//! C. What every function shares:
//!
//! - `fence`: no panic leaves, a forked child is told so, arguments are checked;
//! - `handles`: what a program holds is a number that is looked up, so a handle that was released is an
//!   error and not a crash, and a release during a call on another thread is defined;
//! - `stream`: one recognizer behind a lock that is never held while somebody waits.

#![allow(non_camel_case_types)] // The names are those of C.
#![allow(clippy::missing_safety_doc)] // The header says what a pointer must be, once for all functions.

pub mod config;
pub mod dispatch;
pub mod engine;
pub mod error;
pub mod event;
mod fence;
pub mod handles;
mod json;
pub mod library;
mod options;
pub mod partial;
pub mod recognizer;
mod signal;
pub mod status;
mod stream;
mod structs;
pub mod text;
pub mod transcribe;
pub mod transcript;
pub mod utterance;
pub mod words;
