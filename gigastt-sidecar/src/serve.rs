//! `gigastt serve`: the service with a command line, signals and a log around it.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::path::Path;

use gigastt_core::{Engine, Error, ErrorKind};
use gigastt_sidecar::{Ended, Given, Loading, LogFormat, Settings};
use log::LevelFilter;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing_subscriber::Registry;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::reload::Handle;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::cli::{self, Serve};
use crate::failure::{Exit, advice, tell};
use crate::{engine, output};

/// Serves until a signal comes.
pub(crate) fn run(args: &Serve, log_level: Option<LevelFilter>) -> Exit {
    let settings = given(args).and_then(|given| Ok((Settings::new(&given).map_err(usage)?, given)));
    let (settings, given) = match settings {
        Ok(settings) => settings,
        Err(error) => {
            tell(&error);
            return Exit::Usage;
        }
    };
    let log = Log::start(log_level, &given, settings.log_format);
    // Held to the very end: to let go of an engine is to wait for its calls, and one of them may hang.
    let (loaded, loading) = watch::channel(None);
    let service = serve(args, given, settings, &log, (loaded, loading.clone()));
    let ended = Runtime::new()
        .map_err(|error| Error::new(ErrorKind::Internal, format!("no runtime: {error}")))
        .and_then(|runtime| {
            let ended = runtime.block_on(service);
            // Blocking work that hangs would hold the process up.
            runtime.shutdown_background();
            ended
        });
    match ended {
        Ok(Ended::Drained | Ended::Hung(_)) => Exit::Done.now(),
        Err(error) => {
            log.fail(&error);
            Exit::without_engine(&error)
        }
    }
}

async fn serve(
    args: &Serve,
    given: Given,
    settings: Settings,
    log: &Log,
    (loaded, loading): (watch::Sender<Option<Engine>>, Loading),
) -> Result<Ended, Error> {
    let shutdown = signal()?;
    let at = settings.address;
    let listener = TcpListener::bind(at).await.map_err(|error| usage(format!("{at}: {error}")))?;
    announce(&listener, settings.port_file.as_deref())?;
    let load = load(args.engine.clone(), &given, settings.max_sessions);
    let load = async move {
        let engine = load.await.map_err(|error| Error::new(ErrorKind::Internal, error.to_string()))??;
        tracing::info!(model = engine.info().name, threads = engine.threads(), "the model is loaded");
        loaded.send_replace(Some(engine));
        // The sender stays: without it nobody could wait for what is there.
        loaded.closed().await;
        Ok::<(), Error>(())
    };
    let (changes, changing) = watch::channel(settings);
    let service = gigastt_sidecar::serve(listener, loading, changing, shutdown);
    let mut service = std::pin::pin!(service);
    tokio::select! {
        ended = &mut service => ended.map_err(usage),
        never = reload(args, given, &changes, log) => match never? {},
        failed = load => match failed {
            Err(error) => Err(error),
            Ok(()) => service.await.map_err(usage),
        },
    }
}

/// Loads the model on a thread of its own.
fn load(mut args: cli::Engine, given: &Given, sessions: usize) -> JoinHandle<gigastt_core::Result<Engine>> {
    args.model = args.model.or_else(|| given.model.clone());
    args.model_dir = args.model_dir.or_else(|| given.model_dir.clone());
    let threads = given.pool_size;
    tokio::task::spawn_blocking(move || engine::build_for(&args, threads, Some(sessions)))
}

/// Reads the file of settings again at each SIGHUP.
#[cfg(unix)]
async fn reload(
    args: &Serve,
    mut given: Given,
    changes: &watch::Sender<Settings>,
    log: &Log,
) -> Result<Infallible, Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangup = signal(SignalKind::hangup()).map_err(no_signals)?;
    loop {
        hangup.recv().await;
        let now = self::given(args).and_then(|now| Ok((Settings::new(&now).map_err(usage)?, now)));
        match now {
            Ok((settings, now)) => {
                now.log_changes(&given);
                log.change(&now);
                for warning in settings.warnings() {
                    tracing::warn!("{warning}");
                }
                changes.send_replace(settings);
                given = now;
            }
            Err(error) => tracing::error!(%error, "the settings stay as they were"),
        }
    }
}

/// There is no such signal here.
#[cfg(not(unix))]
async fn reload(_: &Serve, _: Given, _: &watch::Sender<Settings>, _: &Log) -> Result<Infallible, Error> {
    std::future::pending().await
}

/// Flags and variables over the file.
fn given(args: &Serve) -> Result<Given, Error> {
    match &args.config {
        None => Ok(args.given.clone()),
        Some(path) => Ok(args.given.over(&Given::read(path).map_err(usage)?)),
    }
}

/// Prints where the service listens, and writes the port down where it is wanted.
fn announce(listener: &TcpListener, port_file: Option<&Path>) -> Result<(), Error> {
    let address = listener.local_addr().map_err(|error| usage(error.to_string()))?;
    // With standard output closed nobody wants to know.
    let _ = output::print(&format!("listening on http://{address}\n"));
    tracing::info!(%address, "listening");
    match port_file {
        None => Ok(()),
        Some(path) => {
            write_whole(path, &format!("{}\n", address.port())).map_err(|error| Error::io(path, &error))
        }
    }
}

/// A file that is there whole or not at all.
fn write_whole(path: &Path, text: &str) -> io::Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut draft = tempfile::NamedTempFile::new_in(folder)?;
    io::Write::write_all(&mut draft, text.as_bytes())?;
    draft.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// Until SIGTERM or Ctrl-C; a second one ends the process at once.
#[cfg(unix)]
fn signal() -> Result<impl Future<Output = ()> + use<>, Error> {
    use tokio::signal::unix::{SignalKind, signal};
    let take =
        |kind| signal(kind).map_err(|error| Error::new(ErrorKind::Internal, format!("no signals: {error}")));
    let (mut terminate, mut interrupt) = (take(SignalKind::terminate())?, take(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} }
        tokio::spawn(async move {
            tokio::select! { _ = terminate.recv() => {} _ = interrupt.recv() => {} }
            Exit::Interrupted.now();
        });
    })
}

/// Until Ctrl-C; a second one ends the process at once.
#[cfg(not(unix))]
fn signal() -> Result<impl Future<Output = ()>, Error> {
    Ok(async {
        let _ = tokio::signal::ctrl_c().await;
        tokio::spawn(async {
            let _ = tokio::signal::ctrl_c().await;
            Exit::Interrupted.now();
        });
    })
}

fn no_signals(error: io::Error) -> Error {
    Error::new(ErrorKind::Internal, format!("no signals: {error}"))
}

/// The log, whose level can change.
struct Log {
    /// That of the command line, which beats the file's.
    level: Option<LevelFilter>,
    format: LogFormat,
    filter: Handle<Targets, Registry>,
}

impl Log {
    fn start(level: Option<LevelFilter>, given: &Given, format: LogFormat) -> Self {
        let (filter, handle) = tracing_subscriber::reload::Layer::new(Targets::new());
        let log = tracing_subscriber::fmt::layer().with_writer(io::stderr);
        let registry = tracing_subscriber::registry().with(filter);
        let _ = match format {
            LogFormat::Text => registry.with(log.with_ansi(false)).try_init(),
            LogFormat::Json => registry.with(log.json().flatten_event(true)).try_init(),
        };
        let log = Self { level, format, filter: handle };
        log.change(given);
        log
    }

    /// Tells what the service ends with, so that whoever reads objects finds one.
    fn fail(&self, error: &Error) {
        match self.format {
            LogFormat::Text => tell(error),
            LogFormat::Json => tracing::error!(next = advice(error.kind()), "{error}"),
        }
    }

    /// The level that is set now.
    fn change(&self, given: &Given) {
        let level =
            self.level.or_else(|| given.log_level.as_deref()?.parse().ok()).unwrap_or(LevelFilter::Info);
        // What other crates log by `log` goes through a level of its own.
        log::set_max_level(level);
        let filter = match level {
            LevelFilter::Off => tracing::level_filters::LevelFilter::OFF,
            LevelFilter::Error => tracing::level_filters::LevelFilter::ERROR,
            LevelFilter::Warn => tracing::level_filters::LevelFilter::WARN,
            LevelFilter::Info => tracing::level_filters::LevelFilter::INFO,
            LevelFilter::Debug => tracing::level_filters::LevelFilter::DEBUG,
            LevelFilter::Trace => tracing::level_filters::LevelFilter::TRACE,
        };
        // The decoders log what is wrong with an upload as if it were ours to repair.
        let decoders = ("symphonia", tracing::level_filters::LevelFilter::OFF);
        let _ = self.filter.reload(Targets::from_iter([decoders]).with_default(filter));
    }
}

fn usage(error: impl ToString) -> Error {
    Error::new(ErrorKind::InvalidArgument, error.to_string())
}
