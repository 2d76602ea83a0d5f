//! The service, from the socket to the engine.
//!
//! ```text
//!  listener ─► routes ─┬─ page, health, models                 drain     the signal, the window, who is
//!   (TLS,      (guard,  ├─ ws ◄──► conn   (one conversation,              waited for
//!   limits)    rate,    │                  sans IO)            admission  who may begin, in turn
//!              metrics) └─ upload ─► listen ─► transcribe,     settings   what the operator set
//!                                              sse, openai
//! ```

mod admission;
mod conn;
mod drain;
mod gauge;
mod guard;
mod hearing;
mod linger;
mod listener;
mod metrics;
mod models;
mod openai;
mod page;
mod rate;
mod reply;
mod routes;
mod settings;
mod sse;
mod tls;
mod transcribe;
mod upload;
mod wire;
mod wishes;
mod work;
mod ws;

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::{ArcSwap, ArcSwapOption};
use gigastt_core::{Engine, Error, ErrorKind};
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};
use tokio_rustls::TlsAcceptor;

use self::admission::Admission;
use self::drain::Drain;
use self::guard::Keys;
use self::metrics::Metrics;
use self::rate::Rates;
pub use self::settings::{Given, LogFormat, Rate, Settings, Unusable};

/// What every connection and request shares. Clones are the same.
#[derive(Clone)]
pub(crate) struct App(Arc<Shared>);

pub(crate) struct Shared {
    engine: watch::Receiver<Option<Engine>>,
    /// Those that hold now. What began keeps those it began with.
    pub settings: ArcSwap<Settings>,
    pub drain: Drain,
    pub admission: Admission,
    pub rates: Rates,
    pub metrics: Metrics,
    /// `None`: anybody may come in.
    pub keys: ArcSwap<Option<Keys>>,
    /// `None`: without TLS.
    tls: Arc<ArcSwapOption<TlsAcceptor>>,
    /// A place for each upload that may be decoded at a time.
    pub uploads: Arc<Semaphore>,
}

impl std::ops::Deref for App {
    type Target = Shared;

    fn deref(&self) -> &Shared {
        &self.0
    }
}

impl Shared {
    /// The engine, unless the model is still being loaded.
    pub(crate) fn loaded(&self) -> Option<Engine> {
        self.engine.borrow().clone()
    }

    /// What clients call the model; empty while it is being loaded.
    pub(crate) fn model(&self) -> String {
        self.loaded().map(|engine| engine.info().name.clone()).unwrap_or_default()
    }

    /// The engine, once the model is loaded.
    ///
    /// # Errors
    /// `Timeout` when it is not within `limit`; `Closed` when it never will be.
    pub(crate) async fn engine(&self, limit: Duration) -> gigastt_core::Result<Engine> {
        let mut engine = self.engine.clone();
        let loaded = tokio::time::timeout(limit, engine.wait_for(Option::is_some)).await;
        let closed = || Error::new(ErrorKind::Closed, "the model was not loaded");
        match loaded {
            Ok(Ok(engine)) => engine.clone().ok_or_else(closed),
            Ok(Err(_)) => Err(closed()),
            Err(_) => Err(Error::new(ErrorKind::Timeout, "the model is still being loaded")),
        }
    }
}

/// How a service ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Ended {
    /// Everybody had his last words.
    Drained,
    /// The drain window ended before this many tasks did.
    Hung(usize),
}

/// An engine that is being loaded: the service answers `/health` meanwhile.
pub type Loading = watch::Receiver<Option<Engine>>;

/// The settings that hold now. What is sent here later holds for what begins later, as far as it can change
/// while a service runs.
pub type Changing = watch::Receiver<Settings>;

/// Serves on `listener` until `shutdown` completes, and then for at most the drain window.
///
/// # Errors
/// When the metrics cannot be served where they should be, or TLS or keys cannot be read.
pub async fn run(
    listener: TcpListener,
    engine: Engine,
    settings: Settings,
    shutdown: impl Future<Output = ()>,
) -> io::Result<Ended> {
    let (_loaded, loading) = watch::channel(Some(engine));
    let (_changes, settings) = watch::channel(settings);
    serve(listener, loading, settings, shutdown).await
}

/// Binds the address of the settings and serves there until `shutdown` is sent or dropped.
///
/// # Errors
/// When the address cannot be bound, and as [`run`].
pub async fn run_with_shutdown(
    engine: Engine,
    settings: Settings,
    shutdown: tokio::sync::oneshot::Receiver<()>,
) -> io::Result<Ended> {
    let listener = TcpListener::bind(settings.address).await?;
    // Whoever drops the sender cannot end the service any more, so that is an end as well.
    let shutdown = async move { drop(shutdown.await) };
    run(listener, engine, settings, shutdown).await
}

/// As [`run`], while the model may still be loading and with settings that change.
///
/// # Errors
/// As [`run`].
pub async fn serve(
    listener: TcpListener,
    engine: Loading,
    settings: Changing,
    shutdown: impl Future<Output = ()>,
) -> io::Result<Ended> {
    let now = settings.borrow().clone();
    for warning in now.warnings() {
        tracing::warn!("{warning}");
    }
    let tls = now.tls.as_ref().map(|(chain, key)| tls::acceptor(chain, key)).transpose()?.map(Arc::new);
    let metrics = match now.metrics {
        Some(address) => Some(TcpListener::bind(address).await.map_err(|error| about(address, &error))?),
        None => None,
    };
    let measures = Metrics::new().map_err(io::Error::other)?;
    let app = App(Arc::new(Shared {
        engine,
        keys: ArcSwap::from_pointee(keys(&now)?),
        tls: Arc::new(ArcSwapOption::new(tls)),
        uploads: Arc::new(Semaphore::new(upload::UPLOADS_MAX)),
        settings: ArcSwap::from_pointee(now),
        drain: Drain::default(),
        admission: Admission::new(measures.clone()),
        rates: Rates::default(),
        metrics: measures,
    }));
    let accept = listener::accept(listener, Arc::clone(&app.tls), routes::router(app.clone()), app.clone());
    let measure = async {
        match metrics {
            Some(listener) => {
                if let Ok(address) = listener.local_addr() {
                    tracing::info!(%address, "serving metrics");
                }
                listener::accept(listener, Arc::default(), metrics::router(app.clone()), app.clone()).await
            }
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        ended = end(&app, shutdown) => Ok(ended),
        never = accept => match never {},
        never = measure => match never {},
        never = follow(&app, settings) => match never {},
    }
}

/// Waits for the end, and leads through it.
async fn end(app: &App, shutdown: impl Future<Output = ()>) -> Ended {
    shutdown.await;
    let window = app.settings.load().drain;
    tracing::info!(window_secs = window.as_secs(), "Shutdown signalled");
    app.drain.begin(window);
    let tasks = app.drain.finish().await;
    let given_up = app.drain.given_up();
    if given_up > 0 {
        tracing::warn!(given_up, "Requests were answered shutting_down at the end of the drain window");
    }
    if tasks == 0 {
        tracing::info!("Drained");
        return Ended::Drained;
    }
    tracing::warn!(tasks, "Drain window expired with tracked tasks still running");
    Ended::Hung(tasks)
}

/// Takes settings over as they change.
async fn follow(app: &App, mut settings: Changing) -> Infallible {
    while settings.changed().await.is_ok() {
        let now = settings.borrow_and_update().clone();
        match keys(&now) {
            Ok(keys) if keys == **app.keys.load() => {}
            Ok(keys) => {
                tracing::info!(keys = keys.as_ref().map_or(0, Keys::len), "other keys hold");
                app.keys.store(Arc::new(keys));
            }
            Err(error) => tracing::error!(%error, "the keys stay as they were"),
        }
        match (app.tls.load().is_some(), &now.tls) {
            (false, None) => {}
            (true, Some((chain, key))) => match tls::acceptor(chain, key) {
                Ok(acceptor) => {
                    tracing::info!(chain = %chain.display(), "the certificate was read again");
                    app.tls.store(Some(Arc::new(acceptor)));
                }
                Err(error) => tracing::error!(%error, "the certificate stays as it was"),
            },
            (true, None) | (false, Some(_)) => {
                tracing::warn!("TLS is turned on or off from the next start");
            }
        }
        // The engine has room for those of the start.
        let max_sessions = app.settings.load().max_sessions;
        app.settings.store(Arc::new(Settings { max_sessions, ..now }));
    }
    std::future::pending().await
}

fn keys(settings: &Settings) -> io::Result<Option<Keys>> {
    settings.api_key_file.as_deref().map(Keys::read).transpose()
}

fn about(what: impl std::fmt::Display, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{what}: {error}"))
}
