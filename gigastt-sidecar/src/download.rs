//! `gigastt download`: a published model, into the models folder.

use std::path::Path;

use gigastt_core::download::{FetchEvent, FetchHooks, FetchOptions, MODELS, Pretrained, Trust, fetch};
use gigastt_core::optimize::Optimized;
use gigastt_core::{Error, ErrorKind, Result};
use serde::Serialize;

use crate::cli::Download;
use crate::failure::{self, Exit};
use crate::interrupt::Interrupt;
use crate::optimize;
use crate::output;
use crate::progress::FetchBar;

/// Fetches what the arguments name and prints its folder.
pub(crate) fn run(args: &Download) -> Exit {
    let interrupt = Interrupt::install();
    let mut teller = Teller::new(args);
    let fetched = bring(args, &interrupt, &mut teller);
    teller.finish(&fetched)
}

fn bring(args: &Download, interrupt: &Interrupt, teller: &mut Teller) -> Result<(&'static str, String)> {
    let model = named(&args.model)?;
    let mut options = match &args.model_dir {
        Some(folder) => FetchOptions::new(folder),
        None => FetchOptions::new(gigastt_core::download::models_folder()?),
    };
    if let Some(hub) = &args.hub {
        options.hub = Some(hub.clone());
    }
    if args.offline {
        options.hub = None;
    }
    if args.unverified {
        options.trust = Trust::Hub;
    }
    let mut tell = |event: FetchEvent<'_>| teller.tell(event);
    let hooks = FetchHooks { event: Some(&mut tell), canceller: Some(&interrupt.canceller) };
    let folder = fetch(model, &options, hooks)?;
    let folder = folder.display().to_string();
    // The folder is complete and every file in it checked.
    if !args.as_is {
        teller.optimizing();
        teller.optimized(optimize::after_download(&folder));
    }
    Ok((model.name(), folder))
}

/// The published model of this name.
pub(crate) fn named(name: &str) -> Result<&'static Pretrained> {
    Pretrained::find(name).ok_or_else(|| {
        let names: Vec<_> = MODELS.iter().map(Pretrained::name).collect();
        let message = format!("expected one of {}, found {name}", names.join(", "));
        Error::new(ErrorKind::InvalidArgument, message).about("MODEL")
    })
}

/// The published model that `--model` names where there is no such path.
pub(crate) fn by_name(model: &Path) -> Option<&'static Pretrained> {
    if model.exists() { None } else { Pretrained::find(model.to_str()?) }
}

/// A line of `--json`.
#[derive(Serialize)]
#[serde(tag = "event", rename_all = "snake_case")]
enum Line<'a> {
    Waiting,
    File { file: &'a str },
    Bytes { file: &'a str, done: u64, total: Option<u64> },
    Retry { file: &'a str, reason: &'a str, wait_s: u64 },
    Installed { file: &'a str, bytes: u64, sha256: &'a str, verified: bool },
    Optimizing,
    Optimized { form: &'a str, bytes: u64, deviation: f64 },
    NotOptimized { reason: &'a str },
    Done { model: &'a str, folder: &'a str },
    Error { code: &'a str, message: String },
}

impl<'a> From<FetchEvent<'a>> for Line<'a> {
    fn from(event: FetchEvent<'a>) -> Self {
        match event {
            FetchEvent::Waiting => Self::Waiting,
            FetchEvent::File { file } => Self::File { file },
            FetchEvent::Bytes { file, done, total } => Self::Bytes { file, done, total },
            FetchEvent::Retry { file, reason, wait } => Self::Retry { file, reason, wait_s: wait.as_secs() },
            FetchEvent::Installed { file, bytes, sha256, verified } => {
                Self::Installed { file, bytes, sha256, verified }
            }
        }
    }
}

/// Tells how far it is: lines for programs, a bar for people.
struct Teller {
    bar: Option<FetchBar>,
}

impl Teller {
    fn new(args: &Download) -> Self {
        Self { bar: (!args.json).then(|| FetchBar::new(args.quiet)) }
    }

    fn tell(&mut self, event: FetchEvent<'_>) {
        match &self.bar {
            Some(bar) => bar.show(event),
            None => say(&Line::from(event)),
        }
    }

    fn optimizing(&self) {
        match &self.bar {
            Some(bar) => bar.optimizing(),
            None => say(&Line::Optimizing),
        }
    }

    fn optimized(&self, made: std::result::Result<Optimized, String>) {
        match (made, &self.bar) {
            (Ok(form), None) => {
                say(&Line::Optimized {
                    form: form.form.code(),
                    bytes: form.bytes,
                    deviation: form.deviation,
                });
            }
            (Ok(_), Some(_)) => {}
            (Err(reason), None) => say(&Line::NotOptimized { reason: &reason }),
            (Err(reason), Some(_)) => {
                log::warn!("not made fast for this machine, it runs as it is: {reason}")
            }
        }
    }

    fn finish(self, fetched: &Result<(&str, String)>) -> Exit {
        let lines = self.bar.is_none();
        // Cleared before anything else is written.
        drop(self.bar);
        match fetched {
            Ok((model, folder)) if lines => {
                say(&Line::Done { model, folder });
                Exit::Done
            }
            Ok((_, folder)) => {
                output::print(&format!("{folder}\n")).map_or(Exit::SomeFailed, |()| Exit::Done)
            }
            Err(error) if error.kind() == ErrorKind::Cancelled => Exit::Interrupted,
            Err(error) => {
                if lines {
                    say(&Line::Error { code: error.kind().code(), message: error.to_string() });
                }
                failure::tell(error);
                Exit::without_engine(error)
            }
        }
    }
}

fn say(line: &Line<'_>) {
    // Who does not read the lines any more still wants the model.
    let _ = output::print(&output::line(line));
}
