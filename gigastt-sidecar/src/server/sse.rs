//! `POST /v1/transcribe/stream`: a recording in, server-sent events out while it still arrives.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use bytes::Bytes;
use gigastt_core::{EndpointReason, EndpointRule, Event, Final};
use serde::Serialize;
use tokio::sync::mpsc;
use tracing::Instrument as _;

use super::App;
use super::hearing::{Hearing, Partials};
use super::reply::Refusal;
use super::transcribe::{bounds, within_limits};
use super::upload::{self, Pieces, Reading};
use super::wire::silence;
use super::wishes::Wishes;
use crate::messages::{self, Message, Messages, Trouble};

/// Events that wait for a client that reads slowly. Partials are left out while any waits; at this bound no
/// more audio is taken.
const WAITING: usize = 1_024;

/// A comment is sent when there was nothing else for so long, so that nobody between thinks it is over.
const COMMENT_EVERY: Duration = Duration::from_secs(15);

pub(crate) async fn stream(
    State(app): State<App>,
    wishes: Wishes,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refusal> {
    let rule = wishes.rule("file")?;
    let bounds = bounds(&app, &headers)?;
    let (mut inlet, pieces) = upload::begin(bounds, upload::place(&app).await?);
    let reading = tokio::spawn(async move { inlet.fill(body.into_data_stream()).await });
    let upload = (pieces, Reading::of(&reading));
    within_limits(&app, respond(app.clone(), upload, rule, Objects::default())).await
}

/// Answers with what `teller` makes of the events.
///
/// # Errors
/// Whatever is wrong before the first event.
pub(crate) async fn respond(
    app: App,
    (pieces, reading): (Pieces, Reading),
    rule: EndpointRule,
    teller: impl Teller + Send + 'static,
) -> Result<Response, Refusal> {
    // Its errors have a status of their own; later ones are events.
    let hearing = Hearing::begin(&app, pieces, rule, Partials::Wanted).await?;
    let (send, lines) = mpsc::channel(WAITING);
    let drain = app.drain.clone();
    tokio::spawn(drain.track(tell(app, (hearing, reading), teller, send)).in_current_span());
    let mut response = Response::new(Body::from_stream(body(lines)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    Ok(response)
}

/// What is told of the events.
pub(crate) trait Teller {
    /// The line of a partial, if any.
    fn partial(&mut self, partial: &gigastt_core::Partial) -> Option<String>;
    /// The line of a final.
    fn last(&mut self, utterance: &Final) -> String;
    /// The line of a failure.
    fn trouble(&mut self, trouble: Trouble) -> String;
    /// The last line of a recording that was heard to its end, if any.
    fn end(&mut self) -> Option<String>;
    /// The last line, behind the last final, of one whose rest was not heard, because the service goes away; if any.
    fn cut(&mut self) -> Option<String>;
}

/// The objects of the WebSocket.
#[derive(Default)]
struct Objects {
    messages: Messages,
}

impl Teller for Objects {
    fn partial(&mut self, partial: &gigastt_core::Partial) -> Option<String> {
        Some(line(&self.messages.partial(partial, messages::now())))
    }

    fn last(&mut self, utterance: &Final) -> String {
        line(&self.messages.last(utterance, messages::now()))
    }

    fn trouble(&mut self, trouble: Trouble) -> String {
        line(&Message::Error(trouble))
    }

    fn end(&mut self) -> Option<String> {
        None
    }

    fn cut(&mut self) -> Option<String> {
        // The final says it.
        None
    }
}

/// An object as an event.
pub(crate) fn line(object: &impl Serialize) -> String {
    // Our objects hold no maps with other keys than strings, which is all that could fail.
    format!("data: {}\n\n", serde_json::to_string(object).unwrap_or_default())
}

/// Recognises and tells until the end, until the client leaves, or until the service goes away.
async fn tell(
    app: App,
    (mut hearing, reading): (Hearing, Reading),
    mut teller: impl Teller,
    send: mpsc::Sender<Bytes>,
) {
    let limit = tokio::time::Instant::now() + app.settings.load().request_timeout;
    let (mut stopped, mut ended) = (false, None);
    let outcome = loop {
        tokio::select! {
            biased;
            () = send.closed() => return,
            () = app.drain.signal(), if !stopped => {
                stopped = true;
                if let Err(refusal) = hearing.stop(app.drain.finals_by()) {
                    break Err(refusal);
                }
            }
            () = tokio::time::sleep_until(limit) => {
                break Err(Refusal::timeout("The request took too long", Duration::from_secs(1)));
            }
            event = hearing.next(), if send.capacity() > 2 => match event {
                Ok(Some(Event::Partial(partial))) => {
                    if !stopped
                        && send.capacity() == WAITING
                        && let Some(line) = teller.partial(&partial)
                    {
                        let _ = send.try_send(line.into());
                    }
                }
                Ok(Some(Event::Final(utterance))) => {
                    ended = Some(utterance.endpoint_reason);
                    let _ = send.try_send(teller.last(&utterance).into());
                }
                Ok(Some(Event::SpeechStarted { .. } | Event::End(_))) => {}
                Ok(None) if stopped && ended != Some(EndpointReason::Finish) => {
                    if ended != Some(EndpointReason::Shutdown) {
                        let _ = send.try_send(teller.last(&silence(EndpointReason::Shutdown)).into());
                    }
                    break Ok(teller.cut());
                }
                Ok(None) => break Ok(teller.end()),
                Err(refusal) => break Err(refusal),
            },
            // A client that does not read is looked at again when it has read, or now and then.
            () = tokio::time::sleep(Duration::from_millis(50)), if send.capacity() <= 2 => {}
        }
    };
    if outcome.is_ok() && !stopped {
        reading.go_on();
    }
    let last = outcome.unwrap_or_else(|refusal| Some(teller.trouble(refusal.into())));
    if let Some(line) = last {
        let _ = send.try_send(line.into());
    }
}

impl From<Refusal> for Trouble {
    fn from(refusal: Refusal) -> Self {
        let retry_after_ms =
            refusal.retry_after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
        let code = match refusal.code {
            // The events are those of the WebSocket, which has its own word for it.
            "transcription_error" => "inference_error",
            code => code,
        };
        Self { message: refusal.message, code, retry_after_ms }
    }
}

/// The lines as a body, with a comment now and then.
fn body(lines: mpsc::Receiver<Bytes>) -> impl futures_util::Stream<Item = Result<Bytes, Infallible>> {
    futures_util::stream::unfold(lines, async |mut lines| {
        let line = match tokio::time::timeout(COMMENT_EVERY, lines.recv()).await {
            Ok(line) => line?,
            Err(_) => Bytes::from_static(b":\n\n"),
        };
        Some((Ok(line), lines))
    })
}

/// Texts that were told, joined as a transcript joins them.
#[derive(Default)]
pub(crate) struct Joined(VecDeque<String>);

impl Joined {
    /// Adds a text; what it adds to the whole.
    pub(crate) fn add(&mut self, text: &str) -> String {
        if text.is_empty() {
            return String::new();
        }
        let delta = if self.0.is_empty() { text.to_owned() } else { format!(" {text}") };
        self.0.push_back(delta.clone());
        delta
    }

    /// The whole.
    pub(crate) fn whole(&self) -> String {
        self.0.iter().map(String::as_str).collect()
    }
}
