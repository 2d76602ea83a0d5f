//! Which path leads where.

use axum::body::HttpBody as _;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{Request, State, WebSocketUpgrade};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use gigastt_core::Options;
use serde_json::json;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};
use tracing::Instrument as _;

use super::conn::{Limits, Outcome};
use super::metrics::Metrics;
use super::reply::Refusal;
use super::wishes::Wishes;
use super::{App, admission, guard, metrics, models, openai, page, rate, sse, transcribe, wire, ws};

/// What tungstenite reads at a time, per connection.
const READ_BUFFER: usize = 8 * 1024;

/// Names a request in the log and for the client.
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest name of a request that is taken over from a client, in bytes.
const REQUEST_ID_MAX: usize = 64;

/// Every route of the service, and what a request passes before it gets there, from the last to the first.
pub(crate) fn router(app: App) -> Router {
    Router::new()
        .route("/health", get(health))
        .route("/ready", get(ready))
        .route("/metrics", get(no_metrics))
        .route("/v1/models", get(models::models))
        .route("/v1/transcribe", post(transcribe::transcribe))
        .route("/v1/transcribe/stream", post(sse::stream))
        .route("/v1/audio/transcriptions", post(openai::transcriptions))
        .route("/v1/ws", get(converse))
        .route("/ws", get(converse_deprecated))
        .fallback(|| async { Refusal::new(StatusCode::NOT_FOUND, "not_found", "There is nothing here") })
        .method_not_allowed_fallback(other_methods)
        .layer(axum::extract::DefaultBodyLimit::disable())
        .layer(from_fn_with_state(app.clone(), guard::key))
        // Before the keys, so that guessing them is limited too.
        .layer(from_fn_with_state(app.clone(), rate::limit))
        .layer(from_fn_with_state(app.clone(), going_away))
        .layer(cors(app.clone()))
        .layer(from_fn_with_state(app.clone(), guard::origin))
        // Outside the origin policy: browsers name the origin when they load a page's own scripts.
        .merge(
            page::routes()
                .method_not_allowed_fallback(other_methods)
                .layer(from_fn_with_state(app.clone(), going_away)),
        )
        .layer(CatchPanicLayer::custom(|_| Refusal::internal().into_response()))
        .layer(from_fn(unread))
        .layer(from_fn_with_state(app.clone(), metrics::count))
        .layer(from_fn(name))
        .with_state(app)
}

/// What pages of other origins may see, where they may come in at all.
fn cors(app: App) -> CorsLayer {
    let allowed = move |origin: &HeaderValue, _: &axum::http::request::Parts| {
        guard::allowed(&app.settings.load(), origin)
    };
    CorsLayer::new()
        .allow_origin(AllowOrigin::predicate(allowed))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([REQUEST_ID, header::RETRY_AFTER])
}

/// What is left of a refused upload is not read, so its connection ends. Who is not told sends the next request on
/// it and gets no answer.
async fn unread(request: Request, next: Next) -> Response {
    let has_body = !request.body().is_end_stream();
    let mut response = next.run(request).await;
    if has_body && !response.status().is_success() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

/// Once the drain has begun nothing new begins.
async fn going_away(State(app): State<App>, request: Request, next: Next) -> Response {
    let probe = matches!(request.uri().path(), "/health" | "/ready");
    if !app.drain.begun() {
        return next.run(request).await;
    }
    let mut response = if probe { next.run(request).await } else { Refusal::shutting_down().into_response() };
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Gives the request its name, and logs how it went. What was said is in no log.
async fn name(mut request: Request, next: Next) -> Response {
    let named = request.headers().get(REQUEST_ID).filter(|name| name.len() <= REQUEST_ID_MAX);
    let id = named.cloned().unwrap_or_else(fresh);
    request.headers_mut().insert(REQUEST_ID, id.clone());
    let (method, path) = (request.method().clone(), request.uri().path().to_owned());
    // What is logged on the way carries the name.
    let span = tracing::info_span!("request", request_id = ?id);
    let mut response = next.run(request).instrument(span).await;
    let status = response.status().as_u16();
    tracing::debug!(request_id = ?id, %method, path, status, "answered");
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

/// A name that no other request of this process has, nor hardly one of another.
fn fresh() -> HeaderValue {
    use std::hash::{BuildHasher as _, RandomState};
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static PROCESS: LazyLock<u64> = LazyLock::new(|| RandomState::new().hash_one("gigastt"));
    static REQUESTS: AtomicU64 = AtomicU64::new(0);
    let number = REQUESTS.fetch_add(1, Ordering::Relaxed);
    HeaderValue::from_str(&format!("{:016x}-{number:x}", *PROCESS))
        .unwrap_or(HeaderValue::from_static("unnamed"))
}

async fn other_methods() -> Refusal {
    Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "This path has other methods")
}

async fn no_metrics() -> Refusal {
    let message = "Metrics are served on a listener of their own, when --metrics is set";
    Refusal::new(StatusCode::NOT_FOUND, "metrics_disabled", message)
}

/// Alive, also while the model loads and while the service drains.
async fn health(State(app): State<App>) -> Json<serde_json::Value> {
    Json(json!({"status": "ok", "model": app.model(), "version": env!("CARGO_PKG_VERSION")}))
}

/// Whether a conversation would be admitted now.
async fn ready(State(app): State<App>) -> Response {
    let reason = match app.loaded() {
        _ if app.drain.begun() => "shutting_down",
        None => "initializing",
        Some(engine) if admission::room(&engine, app.settings.load().max_sessions).is_err() => "saturated",
        Some(_) => return Json(json!({"status": "ready"})).into_response(),
    };
    let body = json!({"status": "not_ready", "reason": reason, "error": "Not ready", "code": reason});
    (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
}

async fn converse(
    State(app): State<App>,
    wishes: Wishes,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Result<Response, Refusal> {
    let upgrade = upgrade.map_err(|error| Refusal::new(error.status(), "bad_request", error.body_text()))?;
    let terms = terms(&app, &wishes)?;
    let frame_max = app.settings.load().ws_frame_max_bytes;
    let mut upgrade = upgrade
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(0)
        .max_frame_size(frame_max)
        .max_message_size(frame_max);
    // A browser that offers subprotocols has to be answered by one of them.
    let offered = guard::protocols(&headers);
    if let Some(agreed) = offered.min_by_key(|offered| *offered != guard::PROTOCOL)
        && let Ok(agreed) = HeaderValue::from_str(agreed)
    {
        upgrade.set_selected_protocol(agreed);
    }
    // From here on, so that a drain which begins during the upgrade waits for it.
    let token = app.drain.token();
    let span = tracing::Span::current();
    let conversation = async move |socket| {
        let mut counted = Counted::new(app.metrics.clone());
        counted.outcome = ws::converse(app, socket, terms).await;
        match counted.outcome {
            Outcome::SessionCap => tracing::info!("Session cap reached"),
            outcome => tracing::debug!(?outcome, "a conversation ended"),
        }
        drop((counted, token));
    };
    Ok(upgrade.on_upgrade(move |socket| conversation(socket).instrument(span)))
}

/// A conversation in the metrics; also when it panics.
struct Counted {
    metrics: Metrics,
    outcome: Outcome,
}

impl Counted {
    fn new(metrics: Metrics) -> Self {
        metrics.ws_active.inc();
        Self { metrics, outcome: Outcome::Error }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.metrics.ws_active.dec();
        self.metrics.ended(self.outcome);
    }
}

/// The path that older clients use.
async fn converse_deprecated(
    app: State<App>,
    wishes: Wishes,
    headers: HeaderMap,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let mut response = converse(app, wishes, headers, upgrade).await.into_response();
    let headers = response.headers_mut();
    headers.insert(HeaderName::from_static("deprecation"), HeaderValue::from_static("true"));
    headers.insert(header::LINK, HeaderValue::from_static("</v1/ws>; rel=\"successor-version\""));
    response
}

fn terms(app: &App, wishes: &Wishes) -> Result<ws::Terms, Refusal> {
    let settings = app.settings.load();
    let limits = Limits {
        idle: settings.idle_timeout,
        session: settings.max_session,
        finish: settings.request_timeout,
    };
    let ready = wire::Ready {
        model: app.model(),
        sample_rate: wire::RATE_DEFAULT,
        version: wire::PROTOCOL,
        supported_rates: wire::RATES,
        diarization: false,
        min_protocol_version: wire::PROTOCOL,
        max_session_secs: settings.max_session.map_or(0, |cap| cap.as_secs()),
        idle_timeout_secs: settings.idle_timeout.as_secs(),
    };
    let options = Options::new(wire::RATE_DEFAULT).endpoint(wishes.rule("dictation")?);
    Ok(ws::Terms { limits, ready, options, checkout: settings.checkout })
}
