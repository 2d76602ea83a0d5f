//! What concerns the whole workspace. The example in the README is compiled and run as a test of this crate.
#![forbid(unsafe_code)]
#![doc = include_str!("../README.md")]
