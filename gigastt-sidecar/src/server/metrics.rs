//! What an operator can count and measure, for Prometheus.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::extract::{MatchedPath, Request, State};
use axum::http::header;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use prometheus::core::Collector;
use prometheus::{
    Counter, CounterVec, Encoder as _, Gauge, Histogram, HistogramOpts, HistogramVec, IntCounter,
    IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::conn::Outcome;
use super::{App, models};

const LATENCIES: [f64; 12] = [0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0];

/// What paths without a route are counted as.
const UNMATCHED: &str = "unmatched";

/// See the module. Each server has its own.
#[derive(Clone)]
pub(crate) struct Metrics(Arc<All>);

impl std::ops::Deref for Metrics {
    type Target = All;

    fn deref(&self) -> &All {
        &self.0
    }
}

pub(crate) struct All {
    registry: Registry,
    http_requests: IntCounterVec,
    http_duration: HistogramVec,
    pool_available: IntGauge,
    pub pool_checkout: Histogram,
    pub pool_timeouts: IntCounter,
    pub ws_active: IntGauge,
    pub inference_duration: Histogram,
    pub rate_limit_rejections: IntCounter,
    ws_cancelled: IntCounterVec,
    pub inference_seconds: CounterVec,
    inference_panics: IntCounter,
    pub audio_buffer: Gauge,
    pub audio_seconds: Counter,
    pub partial_latency: Histogram,
    batch_size: Gauge,
    pub sessions: IntGaugeVec,
    load: Gauge,
}

impl Metrics {
    /// All of them, at nothing.
    ///
    /// # Errors
    /// None that could happen: names and labels are fixed and a test makes them.
    pub(crate) fn new() -> prometheus::Result<Self> {
        let registry = Registry::new();
        let r = &registry;
        let opts = |name: &str, help: &str| Opts::new(name, help);
        let latency = |name: &str, help: &str| HistogramOpts::new(name, help).buckets(LATENCIES.to_vec());
        let all = All {
            http_requests: add(
                r,
                IntCounterVec::new(
                    opts("gigastt_http_requests_total", "Requests answered"),
                    &["method", "path", "status"],
                ),
            )?,
            http_duration: add(
                r,
                HistogramVec::new(
                    latency("gigastt_http_request_duration_seconds", "Time from a request to its answer"),
                    &["method", "path"],
                ),
            )?,
            pool_available: add(
                r,
                IntGauge::new("gigastt_pool_available", "Streams for which there is capacity"),
            )?,
            pool_checkout: add(
                r,
                Histogram::with_opts(latency(
                    "gigastt_pool_checkout_duration_seconds",
                    "Time to be admitted",
                )),
            )?,
            pool_timeouts: add(
                r,
                IntCounter::new("gigastt_pool_timeouts_total", "Refused for want of capacity"),
            )?,
            ws_active: add(r, IntGauge::new("gigastt_ws_active_connections", "Open conversations"))?,
            inference_duration: add(
                r,
                Histogram::with_opts(latency(
                    "gigastt_inference_duration_seconds",
                    "Time to recognise a recording",
                )),
            )?,
            rate_limit_rejections: add(
                r,
                IntCounter::new("gigastt_rate_limit_rejections_total", "Refused for asking too often"),
            )?,
            ws_cancelled: add(
                r,
                IntCounterVec::new(
                    opts("gigastt_ws_cancelled_total", "Conversations that ended otherwise than by stop"),
                    &["reason"],
                ),
            )?,
            inference_seconds: add(
                r,
                CounterVec::new(
                    opts(
                        "gigastt_inference_seconds",
                        "Seconds of work by stage; final: waits for finals at the end",
                    ),
                    &["stage"],
                ),
            )?,
            inference_panics: add(
                r,
                IntCounter::new("gigastt_inference_panics_total", "Model calls that panicked"),
            )?,
            audio_buffer: add(
                r,
                Gauge::new("gigastt_audio_buffer_seconds", "Audio heard and not yet in finals"),
            )?,
            audio_seconds: add(r, Counter::new("gigastt_audio_seconds_total", "Audio heard"))?,
            partial_latency: add(
                r,
                Histogram::with_opts(latency(
                    "gigastt_partial_latency_seconds",
                    "From audio to the partial that accounts for it",
                )),
            )?,
            batch_size: add(
                r,
                Gauge::new("gigastt_encoder_batch_size", "Windows in an encoder call, on average"),
            )?,
            sessions: add(
                r,
                IntGaugeVec::new(opts("gigastt_sessions", "Conversations by state"), &["state"]),
            )?,
            load: add(r, Gauge::new("gigastt_load", "Share of the workers' time that live streams take"))?,
            registry: registry.clone(),
        };
        let info = add(r, IntGaugeVec::new(opts("gigastt_build_info", "What runs"), &["version"]))?;
        info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        for outcome in
            [Outcome::Shutdown, Outcome::SessionCap, Outcome::Idle, Outcome::Client, Outcome::Error]
        {
            all.ws_cancelled.with_label_values(&[reason(outcome)]);
        }
        // What ends with the process is seen as an increase only if it was 0 before.
        all.http_requests.with_label_values(&["GET", "/v1/ws", "503"]);
        for state in ["opening", "open", "ending"] {
            all.sessions.with_label_values(&[state]);
        }
        Ok(Self(Arc::new(all)))
    }

    /// Counts how a conversation ended.
    pub(crate) fn ended(&self, outcome: Outcome) {
        match outcome {
            Outcome::Stopped => {}
            Outcome::Refused => self.pool_timeouts.inc(),
            Outcome::Shutdown | Outcome::SessionCap | Outcome::Idle | Outcome::Client | Outcome::Error => {
                self.ws_cancelled.with_label_values(&[reason(outcome)]).inc();
            }
        }
    }

    /// Everything as text.
    fn render(&self, app: &App) -> Vec<u8> {
        if let Some(engine) = app.loaded()
            && let Ok(stats) = engine.stats()
        {
            self.load.set(stats.load);
            self.pool_available.set(models::available(&engine, app.settings.load().max_sessions) as i64);
            self.batch_size.set(stats.windows as f64 / stats.calls.max(1) as f64);
            for (stage, seconds) in [("encoder", stats.encoder_s), ("decoder", stats.decoder_s)] {
                let stage = self.inference_seconds.with_label_values(&[stage]);
                stage.inc_by((seconds - stage.get()).max(0.0));
            }
            self.inference_panics.inc_by(stats.panics.saturating_sub(self.inference_panics.get()));
        }
        let mut text = Vec::new();
        // Writing to memory does not fail, and names were checked when they were registered.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut text);
        text
    }
}

fn add<C: Collector + Clone + 'static>(
    registry: &Registry,
    made: prometheus::Result<C>,
) -> prometheus::Result<C> {
    let made = made?;
    registry.register(Box::new(made.clone()))?;
    Ok(made)
}

fn reason(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Shutdown => "shutdown",
        Outcome::SessionCap => "session_cap",
        Outcome::Idle => "idle",
        Outcome::Client => "client",
        Outcome::Stopped | Outcome::Error | Outcome::Refused => "error",
    }
}

/// The routes of the metrics' own listener.
pub(crate) fn router(app: App) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(app)
}

async fn metrics(State(app): State<App>) -> Response {
    let kind = prometheus::TEXT_FORMAT;
    ([(header::CONTENT_TYPE, kind)], app.metrics.render(&app)).into_response()
}

/// Counts a request by its route, never by its path.
pub(crate) async fn count(State(app): State<App>, request: Request, next: Next) -> Response {
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map_or(UNMATCHED.to_owned(), |path| path.as_str().to_owned());
    let method = method(request.method());
    let started = Instant::now();
    let response = next.run(request).await;
    let status = response.status().as_u16().to_string();
    app.metrics.http_requests.with_label_values(&[method, &path, &status]).inc();
    app.metrics.http_duration.with_label_values(&[method, &path]).observe(started.elapsed().as_secs_f64());
    response
}

/// A method's name; one that a client made up makes no label.
fn method(method: &axum::http::Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "POST" => "POST",
        "HEAD" => "HEAD",
        "OPTIONS" => "OPTIONS",
        "PUT" => "PUT",
        "DELETE" => "DELETE",
        "PATCH" => "PATCH",
        _ => "OTHER",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_services_in_a_process_count_for_themselves() {
        let (one, other) = (Metrics::new().expect("metrics"), Metrics::new().expect("others"));
        one.ended(Outcome::Idle);
        one.ended(Outcome::Refused);
        let idle = |metrics: &Metrics| metrics.ws_cancelled.with_label_values(&["idle"]).get();
        assert_eq!((idle(&one), one.pool_timeouts.get()), (1, 1));
        assert_eq!((idle(&other), other.pool_timeouts.get()), (0, 0));
    }
}
