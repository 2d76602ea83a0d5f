//! The network service of gigastt: WebSocket, HTTP and server-sent events over `gigastt-core`.
//!
//! The program `gigastt serve` is this with a command line around it; [`run`] and [`run_with_shutdown`]
//! embed the service in another process. Nothing here prints or exits; logs go through `tracing`.
#![forbid(unsafe_code)]

pub mod messages;
mod server;

pub use server::{
    Changing, Ended, Given, Loading, LogFormat, Rate, Settings, Unusable, run, run_with_shutdown, serve,
};
