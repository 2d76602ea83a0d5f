//! `POST /v1/audio/transcriptions`: as OpenAI's service of that name takes and answers it.

use axum::Json;
use axum::extract::multipart::{Field, MultipartError};
use axum::extract::{DefaultBodyLimit, FromRequest as _, Multipart, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::TryStreamExt as _;
use gigastt_core::{Final, Transcript};
use serde_json::{Value, json};
use tokio::sync::oneshot;

use super::App;
use super::reply::Refusal;
use super::sse::{self, Joined, Teller, line};
use super::transcribe::{bounds, limited, transcript};
use super::upload::{self, Bounds, Pieces, Place, Reading};
use super::wishes::Wishes;
use crate::messages::{Trouble, Word, thousandths};

/// The longest field that is read, beside the file, in bytes.
const FIELD_MAX: usize = 4 * 1024;

/// The most fields of a form.
const FIELDS_MAX: usize = 64;

/// How the answer is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Format {
    #[default]
    Json,
    Text,
    Srt,
    Vtt,
    VerboseJson,
}

/// The fields of the form that matter here.
#[derive(Debug, Clone, Copy, Default)]
struct Form {
    format: Format,
    stream: bool,
}

pub(crate) async fn transcriptions(
    State(app): State<App>,
    wishes: Wishes,
    request: Request,
) -> Result<Response, Refusal> {
    let rule = wishes.rule("file")?;
    let bounds = bounds(&app, request.headers())?;
    let form = form(request, bounds).await?;
    let (begun, beginning) = oneshot::channel();
    // A task of its own, because a streamed answer begins while the form is still being read.
    let task = tokio::spawn(read(form, bounds, upload::place(&app).await?, begun));
    let reading = Reading::of(&task);
    let read = async { task.await.unwrap_or_else(|_| Err(Refusal::internal())) };
    let work = async {
        let reading = reading;
        let Ok((fields, pieces)) = beginning.await else {
            return Err(read.await.err().unwrap_or_else(Refusal::empty_body));
        };
        if fields.stream {
            let upload = (pieces, reading);
            return sse::respond(app.clone(), upload, rule, Deltas::default()).await;
        }
        let transcript = transcript(&app, pieces, rule).await?;
        // What stands behind the file counts as well.
        let fields = read.await?;
        Ok(if fields.stream { streamed(&transcript) } else { answer(fields.format, &transcript) })
    };
    limited(&app, work).await
}

/// The form in a body. All of it is within the limit: what stands around the fields is held in memory until it ends.
async fn form(mut request: Request, bounds: Bounds) -> Result<Multipart, Refusal> {
    DefaultBodyLimit::max(usize::try_from(bounds.bytes).unwrap_or(usize::MAX)).apply(&mut request);
    let form = Multipart::from_request(request, &()).await;
    form.map_err(|error| Refusal::bad_request("bad_request", error.body_text()))
}

/// Reads a form; where its file begins, the fields so far and the audio are handed over.
async fn read(
    mut form: Multipart,
    bounds: Bounds,
    place: Place,
    begun: oneshot::Sender<(Form, Pieces)>,
) -> Result<Form, Refusal> {
    let broken = |error: MultipartError| broken(&error, bounds);
    let (mut fields, mut begun) = (Form::default(), Some((begun, place)));
    for _ in 0..FIELDS_MAX {
        let Some(field) = form.next_field().await.map_err(broken)? else {
            return match begun {
                None => Ok(fields),
                Some(_) => Err(Refusal::bad_request(
                    "empty_body",
                    "The form has no field `file`, in which the recording is expected",
                )),
            };
        };
        match field.name().unwrap_or_default() {
            "file" => {
                let Some((begun, place)) = begun.take() else {
                    return Err(Refusal::bad_request("bad_request", "The form has more than one file"));
                };
                let (mut inlet, pieces) = upload::begin(bounds, place);
                if begun.send((fields, pieces)).is_err() {
                    return Ok(fields);
                }
                inlet.fill(field.map_err(broken)).await?;
            }
            "response_format" => fields.format = format(&text(field, bounds).await?)?,
            "stream" => fields.stream = matches!(text(field, bounds).await?.as_str(), "true" | "True" | "1"),
            // Prompts of any length, and recordings under another name, which the end of the form tells of.
            _ => skip(field, bounds).await?,
        }
    }
    Err(Refusal::bad_request("bad_request", format!("The form has more than {FIELDS_MAX} fields")))
}

async fn text(mut field: Field<'_>, bounds: Bounds) -> Result<String, Refusal> {
    let mut text = Vec::new();
    while let Some(chunk) = field.chunk().await.map_err(|error| broken(&error, bounds))? {
        text.extend_from_slice(&chunk);
        if text.len() > FIELD_MAX {
            let message = format!("A field of the form has more than {FIELD_MAX} bytes");
            return Err(Refusal::bad_request("bad_request", message));
        }
    }
    Ok(String::from_utf8_lossy(&text).into_owned())
}

async fn skip(mut field: Field<'_>, bounds: Bounds) -> Result<(), Refusal> {
    while field.chunk().await.map_err(|error| broken(&error, bounds))?.is_some() {}
    Ok(())
}

fn broken(error: &MultipartError, bounds: Bounds) -> Refusal {
    match error.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Refusal::too_large(bounds.bytes),
        _ => Refusal::bad_request("bad_request", error.body_text()),
    }
}

fn format(name: &str) -> Result<Format, Refusal> {
    match name {
        "json" => Ok(Format::Json),
        "text" => Ok(Format::Text),
        "srt" => Ok(Format::Srt),
        "vtt" => Ok(Format::Vtt),
        "verbose_json" => Ok(Format::VerboseJson),
        _ => {
            let message = "response_format has to be json, text, srt, vtt or verbose_json";
            Err(Refusal::bad_request("invalid_argument", message))
        }
    }
}

fn answer(format: Format, transcript: &Transcript) -> Response {
    match format {
        Format::Json => Json(json!({"text": transcript.text})).into_response(),
        Format::VerboseJson => Json(verbose(transcript)).into_response(),
        Format::Text => format!("{}\n", transcript.text).into_response(),
        Format::Srt => with_type(transcript.to_srt(), "application/x-subrip; charset=utf-8"),
        Format::Vtt => with_type(transcript.to_vtt(), "text/vtt; charset=utf-8"),
    }
}

fn with_type(body: String, kind: &'static str) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static(kind))], body).into_response()
}

fn verbose(transcript: &Transcript) -> Value {
    let seconds = |sample: u64| thousandths(sample as f64 / f64::from(gigastt_core::audio::RATE));
    let segment = |(id, segment): (usize, &Final)| {
        let logprob = segment.tokens.iter().map(|token| f64::from(token.logprob)).sum::<f64>();
        json!({
            "id": id,
            "seek": 0,
            "start": seconds(segment.span.start),
            "end": seconds(segment.span.end),
            "text": segment.text,
            "tokens": segment.tokens.iter().map(|token| token.id).collect::<Vec<_>>(),
            "temperature": 0.0,
            "avg_logprob": thousandths(logprob / segment.tokens.len().max(1) as f64),
            "compression_ratio": 1.0,
            "no_speech_prob": 0.0,
        })
    };
    json!({
        "task": "transcribe",
        "language": "russian",
        "duration": thousandths(transcript.duration),
        "text": transcript.text,
        "segments": transcript.segments.iter().enumerate().map(segment).collect::<Vec<_>>(),
        "words": transcript.words().map(Word::from).collect::<Vec<_>>(),
    })
}

/// A transcript as the events of a streamed answer, for a form that asked for it behind its file.
fn streamed(transcript: &Transcript) -> Response {
    let mut deltas = Deltas::default();
    let mut body: String = transcript.segments.iter().map(|segment| deltas.last(segment)).collect();
    body.extend(deltas.end());
    with_type(body, "text/event-stream")
}

/// The events of a streamed answer.
#[derive(Default)]
struct Deltas {
    joined: Joined,
}

impl Teller for Deltas {
    fn partial(&mut self, _: &gigastt_core::Partial) -> Option<String> {
        // A delta cannot be taken back.
        None
    }

    fn last(&mut self, utterance: &Final) -> String {
        line(&json!({"type": "transcript.text.delta", "delta": self.joined.add(&utterance.text)}))
    }

    fn trouble(&mut self, trouble: Trouble) -> String {
        line(&json!({"type": "error", "error": trouble.message, "code": trouble.code}))
    }

    fn end(&mut self) -> Option<String> {
        Some(line(&json!({"type": "transcript.text.done", "text": self.joined.whole()})) + "data: [DONE]\n\n")
    }

    fn cut(&mut self) -> Option<String> {
        // A delta does not say that it is the last one.
        Some(self.trouble(Refusal::shutting_down().into()))
    }
}
