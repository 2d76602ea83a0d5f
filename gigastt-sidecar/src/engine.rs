//! The engine as the command line describes it.

use std::path::Path;

use gigastt_core::audio::Channels;
use gigastt_core::{Engine, EngineBuilder, Model, Result};

use crate::{cli, download, models};

/// Loads what the arguments name.
///
/// # Errors
/// As `EngineBuilder::build`.
pub(crate) fn build(args: &cli::Engine) -> Result<Engine> {
    build_for(args, None, None)
}

/// As [`build`], for as many streams, and with as many threads unless the arguments name a number.
///
/// # Errors
/// As `EngineBuilder::build`.
pub(crate) fn build_for(
    args: &cli::Engine,
    threads: Option<u16>,
    max_sessions: Option<usize>,
) -> Result<Engine> {
    #[cfg(feature = "scripted")]
    if args.model.as_deref() == Some(Path::new("scripted")) {
        return Engine::fake(gigastt_core::fake::Script::default(), 2);
    }
    builder(args, threads, max_sessions)?.build()
}

fn builder(args: &cli::Engine, threads: Option<u16>, max_sessions: Option<usize>) -> Result<EngineBuilder> {
    let mut model = match &args.model {
        Some(name) if name == Path::new(models::EMBEDDED) => Model::embedded(),
        Some(name) => match download::by_name(name) {
            Some(model) => models::installed_model(model, args.model_dir.as_deref())?,
            None => Model::dir(name),
        },
        None => models::default_model(args.model_dir.as_deref()),
    };
    if let Some(suffix) = &args.quantization {
        model = model.quantization(suffix);
    }
    let mut builder = Engine::builder().model(model).provider(args.provider);
    if let Some(sessions) = max_sessions {
        builder = builder.sessions_max(sessions);
    }
    if let Some(threads) = args.threads.or(threads) {
        builder = builder.threads(threads.into());
    }
    if let Some(library) = &args.runtime {
        builder = builder.runtime(library);
    }
    Ok(builder)
}

/// How several channels become one.
pub(crate) fn channels(picked: Option<u16>) -> Channels {
    picked.map_or(Channels::Mix, Channels::Pick)
}
