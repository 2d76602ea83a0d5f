//! `GET /v1/models`: what is recognised with, and how much room there is.

use axum::Json;
use axum::extract::State;
use gigastt_core::Engine;
use serde_json::{Value, json};

use super::{App, wire};

/// The containers and codecs of uploads.
const FORMATS: [&str; 8] = ["wav", "flac", "mp3", "ogg", "opus", "m4a", "aac", "webm"];

/// What streams cost as long as none was measured: this share of a worker.
const COST_UNKNOWN: f64 = 0.05;

pub(crate) async fn models(State(app): State<App>) -> Json<Value> {
    let settings = app.settings.load();
    let Some(engine) = app.loaded() else { return Json(json!({"object": "list", "data": []})) };
    let info = engine.info();
    // The list that clients of OpenAI's interface read, and beside it what ours do.
    let model = json!({"id": info.name, "object": "model", "created": 0, "owned_by": "gigastt"});
    Json(json!({
        "object": "list",
        "data": [model],
        "id": info.name,
        "name": info.name,
        "version": env!("CARGO_PKG_VERSION"),
        "encoder": info.quantization.as_deref().unwrap_or("float32"),
        "vocab_size": info.vocab_size,
        "sample_rate": gigastt_core::audio::RATE,
        "pool_size": engine.threads(),
        "pool_available": available(&engine, settings.max_sessions),
        "load": engine.stats().map_or(0.0, |stats| stats.load),
        "supported_formats": FORMATS,
        "supported_rates": wire::RATES,
        "diarization": false,
    }))
}

/// How many more streams like the present ones the workers have time for.
pub(crate) fn available(engine: &Engine, max_sessions: usize) -> usize {
    let Ok(stats) = engine.stats() else { return 0 };
    let workers = engine.threads() as f64;
    let cost = match stats.load * workers / stats.sessions.max(1) as f64 {
        cost if cost > 0.0 => cost,
        _ => COST_UNKNOWN,
    };
    let free = ((1.0 - stats.load).max(0.0) * workers / cost) as usize;
    free.min(max_sessions.saturating_sub(stats.sessions))
}
