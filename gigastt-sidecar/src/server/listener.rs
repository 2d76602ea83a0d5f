//! Accepting connections, and how much of anything one of them may take.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use axum::Router;
use axum::body::Body;
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tower::ServiceExt as _;

use super::App;
use super::drain::Drain;
use super::linger::{Linger, Stream};

/// The most connections beyond the streams that may be open: for probes and short requests.
const CONNECTIONS_SPARE: usize = 1_024;

/// How long a client may take for the TLS handshake, and for the head of a request.
const HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// How long a client may leave what it is sent unread, before the connection is given up.
const UNREAD_MAX: Duration = Duration::from_secs(60);

/// The largest head of a request, in bytes.
const HEAD_MAX: usize = 16 * 1024;

/// How long to wait before accepting again after the system refused, usually for want of descriptors.
const REFUSED_WAIT: Duration = Duration::from_millis(50);

/// Of so many refusals, those of a minute, the log tells the first: it may go on for days.
const REFUSED_TOLD_EVERY: u64 = 1_200;

/// Where a connection comes from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Peer(pub SocketAddr);

/// Accepts connections and serves each in a task of its own, until dropped.
pub(crate) async fn accept(
    listener: TcpListener,
    tls: Arc<ArcSwapOption<TlsAcceptor>>,
    router: Router,
    app: App,
) -> Infallible {
    let most = app.settings.load().max_sessions.saturating_add(CONNECTIONS_SPARE).min(Semaphore::MAX_PERMITS);
    let places = Arc::new(Semaphore::new(most));
    let mut refusals = 0_u64;
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { continue };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let connection = Connection { peer, router: router.clone(), drain: app.drain.clone() };
                tokio::spawn(connection.begin(stream, tls.load_full(), place));
            }
            Err(error) => {
                if refusals.is_multiple_of(REFUSED_TOLD_EVERY) {
                    tracing::warn!(%error, "connections are not accepted");
                }
                refusals += 1;
                tokio::time::sleep(REFUSED_WAIT).await;
            }
        }
    }
}

struct Connection {
    peer: SocketAddr,
    router: Router,
    drain: Drain,
}

impl Connection {
    /// Serves a connection, which keeps its `place` until it is closed.
    async fn begin<K: Send + Unpin + 'static>(
        self,
        stream: TcpStream,
        tls: Option<Arc<TlsAcceptor>>,
        place: K,
    ) {
        // Partials are small and wanted at once.
        let _ = stream.set_nodelay(true);
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(UNREAD_MAX));
        let stream = Box::pin(stream);
        let Some(tls) = tls else { return self.serve(Linger::new(stream, place)).await };
        match tokio::time::timeout(HEAD_TIMEOUT, tls.accept(stream)).await {
            Ok(Ok(stream)) => self.serve(Linger::new(stream, place)).await,
            Ok(Err(error)) => tracing::debug!(%error, "no TLS"),
            Err(_) => tracing::debug!("no TLS in time"),
        }
    }

    async fn serve(self, stream: impl Stream) {
        let under_way = Arc::new(AtomicUsize::new(0));
        let (peer, router, drain, requests) =
            (self.peer, self.router, self.drain.clone(), Arc::clone(&under_way));
        let service = tower::service_fn(move |mut request: hyper::Request<Incoming>| {
            let guard = UnderWay::new(&requests, &drain);
            request.extensions_mut().insert(Peer(peer));
            let answer = router.clone().oneshot(request);
            async move {
                // With the body the answer is done.
                answer.await.map(|response| {
                    response.map(|body| Body::new(body.map_frame(move |frame| guard.pass(frame))))
                })
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_TIMEOUT)
            .max_buf_size(HEAD_MAX)
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(service))
            .with_upgrades();
        let mut connection = pin!(connection);
        let served = tokio::select! {
            served = connection.as_mut() => served,
            () = self.drain.signal() => {
                // The answer that is under way has to be on its way. Where none is, the next request is still
                // answered, so that nobody finds his connection closed without a word.
                let token = (under_way.load(Ordering::Relaxed) > 0).then(|| self.drain.token());
                if token.is_some() {
                    connection.as_mut().graceful_shutdown();
                }
                let served = connection.await;
                drop(token);
                served
            }
        };
        if let Err(error) = served {
            tracing::debug!(%error, "a connection ended");
        }
    }
}

/// A request that is not answered yet.
struct UnderWay {
    requests: Arc<AtomicUsize>,
    _token: TaskTrackerToken,
}

impl UnderWay {
    fn new(requests: &Arc<AtomicUsize>, drain: &Drain) -> Self {
        requests.fetch_add(1, Ordering::Relaxed);
        Self { requests: Arc::clone(requests), _token: drain.token() }
    }

    /// Nothing but what keeps this alive as long as the body.
    fn pass<T>(&self, frame: T) -> T {
        frame
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.requests.fetch_sub(1, Ordering::Relaxed);
    }
}
