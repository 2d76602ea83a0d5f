//! Errors of HTTP: a status, `{"error", "code"}`, and when to try again.

use std::time::Duration;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use gigastt_core::{Error, ErrorKind};
use serde::Serialize;

/// A refused or failed request.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Refusal {
    pub status: StatusCode,
    pub code: &'static str,
    pub message: String,
    pub retry_after: Option<Duration>,
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    code: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
}

impl Refusal {
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into(), retry_after: None }
    }

    /// The service goes away.
    pub(crate) fn shutting_down() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "shutting_down", "The service is shutting down")
    }

    /// It took too long: to be admitted, or as a whole.
    pub(crate) fn timeout(message: &str, retry_after: Duration) -> Self {
        let retry_after = Some(retry_after.max(Duration::from_secs(1)));
        Self { retry_after, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", message) }
    }

    pub(crate) fn too_large(limit: u64) -> Self {
        let message = format!("The upload has more than {limit} bytes");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "payload_too_large", message)
    }

    pub(crate) fn audio_too_long(limit_secs: u64) -> Self {
        let message = format!("The recording is longer than {limit_secs} s");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "audio_too_long", message)
    }

    /// The client took too long with its upload.
    pub(crate) fn stalled() -> Self {
        Self::new(StatusCode::REQUEST_TIMEOUT, "timeout", "The upload did not go on")
    }

    pub(crate) fn empty_body() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "empty_body", "The body is empty; expected audio")
    }

    pub(crate) fn bad_request(code: &'static str, message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "Internal error")
    }
}

/// What an error of the library is to a client. Only what concerns the client's own audio is told.
impl From<&Error> for Refusal {
    fn from(error: &Error) -> Self {
        let unprocessable = |code, message: &str| Self::new(StatusCode::UNPROCESSABLE_ENTITY, code, message);
        match error.kind() {
            ErrorKind::InvalidAudio => unprocessable("invalid_audio", error.message()),
            ErrorKind::InvalidArgument => Self::bad_request("invalid_argument", error.message()),
            ErrorKind::Inference => {
                unprocessable("transcription_error", "The model failed on this recording")
            }
            ErrorKind::Busy | ErrorKind::Timeout => {
                Self::timeout("The service is at its capacity; try again later", Duration::from_secs(1))
            }
            ErrorKind::Cancelled | ErrorKind::Closed | ErrorKind::Forked => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                "pool_closed",
                "The service takes no work any more",
            ),
            ErrorKind::Io
            | ErrorKind::ModelNotFound
            | ErrorKind::InvalidModel
            | ErrorKind::Runtime
            | ErrorKind::Provider
            | ErrorKind::Network
            | ErrorKind::Internal => Self::internal(),
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self::from(&error)
    }
}

/// A body that broke off.
impl From<axum::Error> for Refusal {
    fn from(_: axum::Error) -> Self {
        Self::bad_request("bad_request", "The body ended early")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let retry_after_ms =
            self.retry_after.map(|after| u64::try_from(after.as_millis()).unwrap_or(u64::MAX));
        let body = Body { error: &self.message, code: self.code, retry_after_ms };
        let mut response = (self.status, Json(body)).into_response();
        if self.status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(after) = self.retry_after {
            let secs = after.as_millis().div_ceil(1_000).to_string();
            if let Ok(value) = HeaderValue::from_str(&secs) {
                response.headers_mut().insert(header::RETRY_AFTER, value);
            }
        }
        response
    }
}
