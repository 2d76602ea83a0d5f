//! Russian speech recognition that you can link: GigaAM v3 inside your program.
//!
//! An [`Engine`] is a loaded model with its worker threads. It transcribes recordings
//! ([`Engine::transcribe`]) and opens any number of live streams ([`Engine::recognizer`]) that share
//! the workers; a stream is audio and state, never a copy of the model.
//!
//! ```
//! use gigastt_core::{EndpointRule, Engine, Options};
//!
//! # fn main() -> gigastt_core::Result<()> {
//! let engine = Engine::builder().threads(1).build()?;
//! let mut recognizer = engine.recognizer(Options::new(48_000).endpoint(EndpointRule::assistant()))?;
//! let microphone = [0_i16; 960];
//! assert_eq!(recognizer.push_pcm(&microphone)?, 960);
//! assert_eq!(recognizer.poll_partial(), None);
//! assert_eq!(recognizer.finish()?.text, "");
//! # Ok(())
//! # }
//! ```
//!
//! # The way of the audio
//!
//! ```text
//!  caller's thread                                                     workers
//! ┌───────────────────── Recognizer ──────────────────────┐
//! │ pcm ─► resample ─► mel ─┐                             │  window   ┌─────────┐
//! │                     └───┴─► Session ──────────────────┼──────────►│ Batcher │─► Lane
//! │ events ◄───────────────────  (endpoint, hypothesis) ◄─┼─ Mailbox ◄┴─────────┘   encode, decode
//! └───────────────────────────────────────────────────────┘  reply
//! ```
//!
//! `session` has no I/O, no threads and no clock; `engine/worker.rs` has the threads and the clock;
//! `model/ort.rs` has ONNX Runtime.
//!
//! # Threads
//!
//! [`Engine`], [`Canceller`] and [`Model`] may be used from any thread at any time. A [`Recognizer`] may
//! be moved between threads and is used by one at a time. Nothing here prints, exits or panics; logs go
//! through the `log` crate. After `fork` the child gets [`ErrorKind::Forked`].
//!
//! # ONNX Runtime
//!
//! Nothing is linked: the first engine loads `libonnxruntime` (1.19 to 1.32), once for the process, from what
//! [`EngineBuilder::runtime`] names, else `ORT_DYLIB_PATH`, else beside the program, in the active Python's packages,
//! in the system. Without it [`EngineBuilder::build`] fails with [`ErrorKind::Runtime`] and tells these places.
//!
//! # What ONNX Runtime tells of you
//!
//! The official 1.32 for Linux reports to Microsoft which program runs it, before its interface can tell it not to; a
//! forked child that calls `exit` then waits for ever. Only the environment variable `ORT_DISABLE_TELEMETRY=1` ends that.
//! A safe library cannot set it: do so at the start of `main`, or where your program is started. The program `gigastt`
//! and the libraries for C and Python set it.
//!
//! # Features
//!
//! | feature | default | has |
//! |---|---|---|
//! | `embedded-model` | yes | `Model::embedded`, a small model for tests and demonstrations (3.6 MB) |
//! | `files` | yes | recordings in containers: `audio::file`, paths in `Engine::transcribe` |
//! | `async` | | `Recognizer::events`, a `futures::Stream`; `finish_async`, `poll_writable`, `wake_by`; of no runtime |
//! | `download` | | `Model::pretrained` and `download`: an HTTP client with TLS |
//! | `optimize` | | `optimize`: makes fast forms of models, and engines then take them |
//! | `ort-link` | | `use_linked_runtime`, for systems where nothing can be loaded |
//! | `fake-model` | | a scripted model without ONNX Runtime, for tests of what is built on this |
//!
//! # Versions
//!
//! Enums are exhaustive and options are plain fields, so that a program which has to say something new does not
//! compile until it does. Such additions come with a new minor version while the major one is 0.
#![forbid(unsafe_code)]
#![warn(missing_debug_implementations)]

pub mod audio;
#[cfg(feature = "download")]
pub mod download;
mod engine;
mod error;
mod model;
mod options;
mod session;
#[cfg(all(test, feature = "fake-model"))]
mod simulator;
#[doc(hidden)]
pub mod sync;
mod transcript;

#[cfg(feature = "async")]
pub use engine::Events;
pub use engine::{
    Audio, Canceller, Engine, EngineBuilder, EngineStats, Hooks, Progress, Recognizer, RecognizerStats,
    THREADS_MAX,
};
pub use error::{Error, ErrorKind, Fault, Result};
#[cfg(feature = "fake-model")]
pub use model::fake;
#[cfg(feature = "optimize")]
pub use model::optimized as optimize;
#[cfg(feature = "ort-link")]
pub use model::use_linked_runtime;
pub use model::{Bundle, Form, Head, Model, ModelBytes, ModelInfo, Provider, Variant, scan};
pub use options::{Class, Context, EndpointRule, Mode, Options, Plan, Segmentation, UTTERANCE_MAX_MS};
pub use transcript::{End, EndpointReason, Event, Final, Partial, Span, Token, Transcript, Word};
