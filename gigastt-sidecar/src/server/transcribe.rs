//! `POST /v1/transcribe`: a recording in, its words out.

use std::future::Future;
use std::pin::pin;

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, header};
use gigastt_core::{EndpointRule, Event, Transcript};
use serde::Serialize;

use super::App;
use super::hearing::{Hearing, Partials};
use super::reply::Refusal;
use super::upload::{self, Bounds, Pieces};
use super::wishes::Wishes;
use crate::messages::{Word, thousandths};

/// The answer.
#[derive(Serialize)]
pub(crate) struct Answer {
    text: String,
    words: Vec<Word>,
    /// Seconds of audio.
    duration: f64,
}

pub(crate) async fn transcribe(
    State(app): State<App>,
    wishes: Wishes,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<Answer>, Refusal> {
    let rule = wishes.rule("file")?;
    let bounds = bounds(&app, &headers)?;
    let (mut inlet, pieces) = upload::begin(bounds, upload::place(&app).await?);
    let fill = async move { inlet.fill(body.into_data_stream()).await };
    let transcript = limited(&app, alongside(fill, transcript(&app, pieces, rule))).await?;
    Ok(Json(Answer {
        words: transcript.words().map(Word::from).collect(),
        duration: thousandths(transcript.duration),
        text: transcript.text,
    }))
}

/// Recognises a whole recording.
pub(crate) async fn transcript(app: &App, pieces: Pieces, rule: EndpointRule) -> Result<Transcript, Refusal> {
    let mut hearing = Hearing::begin(app, pieces, rule, Partials::Unwanted).await?;
    let mut finals = Vec::new();
    while let Some(event) = hearing.next().await? {
        if let Event::Final(utterance) = event {
            finals.push(utterance);
        }
    }
    Ok(Transcript::new(finals, hearing.heard_s()))
}

/// What the upload is bound to.
///
/// # Errors
/// 413 when its own head says that it is too large.
pub(crate) fn bounds(app: &App, headers: &HeaderMap) -> Result<Bounds, Refusal> {
    let settings = app.settings.load();
    let bytes = settings.body_limit_bytes;
    let length =
        headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > bytes) {
        return Err(Refusal::too_large(bytes));
    }
    Ok(Bounds { bytes, audio_secs: settings.max_audio_secs })
}

/// `work`, with `fill` beside it, which feeds it. Where the work fails, nothing more is read.
async fn alongside<T>(
    fill: impl Future<Output = Result<(), Refusal>>,
    work: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let (mut fill, mut work) = (pin!(fill), pin!(work));
    tokio::select! {
        result = &mut work => {
            let result = result?;
            fill.await.map(|()| result)
        }
        // What it failed with is told to the work as well, unless that was done before.
        filled = &mut fill => {
            let result = work.await?;
            filled.map(|()| result)
        }
    }
}

/// The recognition of a whole recording, within the limits.
pub(crate) async fn limited<T>(
    app: &App,
    work: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let started = tokio::time::Instant::now();
    let result = within_limits(app, work).await;
    app.metrics.inference_duration.observe(started.elapsed().as_secs_f64());
    result
}

/// `work` within the limits on a request: its time, and what the drain leaves.
pub(crate) async fn within_limits<T>(
    app: &App,
    work: impl Future<Output = Result<T, Refusal>>,
) -> Result<T, Refusal> {
    let limit = app.settings.load().request_timeout;
    tokio::select! {
        result = work => result,
        () = tokio::time::sleep(limit) => Err(Refusal::timeout("The request took too long", limit)),
        () = app.drain.due() => {
            app.drain.gave_up();
            Err(Refusal::shutting_down())
        }
    }
}
