//! What the WebSocket speaks beside the [`messages`](crate::messages): the greeting and the client's requests.

use gigastt_core::{EndpointReason, Final, Span};
use serde::{Deserialize, Serialize};

/// The version of the protocol, and the oldest one that is spoken.
pub(crate) const PROTOCOL: &str = "1.0";

/// The rate of audio for which no other was configured, in Hz.
pub(crate) const RATE_DEFAULT: u32 = 48_000;

/// The rates that can be configured, in Hz.
pub(crate) const RATES: [u32; 5] = [8_000, 16_000, 24_000, 44_100, 48_000];

/// What a client may want to know before it speaks.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename = "ready")]
pub(crate) struct Ready {
    pub model: String,
    pub sample_rate: u32,
    pub version: &'static str,
    pub supported_rates: [u32; RATES.len()],
    pub diarization: bool,
    pub min_protocol_version: &'static str,
    /// 0: no limit.
    pub max_session_secs: u64,
    pub idle_timeout_secs: u64,
}

/// A final without text.
pub(crate) fn silence(reason: EndpointReason) -> Final {
    Final {
        text: String::new(),
        words: Vec::new(),
        tokens: Vec::new(),
        span: Span::default(),
        endpoint_reason: reason,
        second_pass: false,
    }
}

/// What a client asks for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Request {
    Configure(Configure),
    /// Flush and end.
    Stop,
    /// End the running utterance here.
    ForceEndpoint,
    /// Nothing: it is there, or we do not know what it wants.
    Nothing,
}

/// Wishes before the first audio. Values are kept as they came, so that a wrong one can be answered.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
pub(crate) struct Configure {
    pub sample_rate: Option<serde_json::Value>,
    pub protocol_version: Option<serde_json::Value>,
    pub endpoint: Option<serde_json::Value>,
    pub mode: Option<serde_json::Value>,
}

impl Request {
    /// Reads a text frame. The control words of other services are taken for what they mean.
    pub(crate) fn parse(text: &str) -> Self {
        let Ok(serde_json::Value::Object(object)) = serde_json::from_str(text) else {
            return match text.trim() {
                "EOS" | "stop" => Self::Stop,
                _ => Self::Nothing,
            };
        };
        let set = |name: &str| {
            object
                .get(name)
                .is_some_and(|value| *value == serde_json::json!(1) || *value == serde_json::json!(true))
        };
        match object.get("type").and_then(serde_json::Value::as_str) {
            Some("configure") => Self::configure(object.into()),
            Some("stop" | "CloseStream" | "Terminate" | "terminate" | "eos") => Self::Stop,
            Some("Finalize" | "ForceEndpoint") => Self::ForceEndpoint,
            Some(_) => Self::Nothing,
            None if set("eof") || set("terminate_session") => Self::Stop,
            None => match object.get("config") {
                Some(config @ serde_json::Value::Object(_)) => Self::configure(config.clone()),
                _ => Self::Nothing,
            },
        }
    }

    fn configure(value: serde_json::Value) -> Self {
        serde_json::from_value(value).map_or(Self::Nothing, Self::Configure)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn requests_and_their_synonyms() {
        let check = |text: &str, expected: Request| assert_eq!(Request::parse(text), expected, "{text}");
        let stops = [r#"{"type":"stop"}"#, r#"{"eof":1}"#, r#"{"eof" : 1}"#, r#"{"type":"CloseStream"}"#];
        for text in
            stops.into_iter().chain([r#"{"type":"Terminate"}"#, r#"{"terminate_session":true}"#, "EOS"])
        {
            check(text, Request::Stop);
        }
        check(r#"{"type":"Finalize"}"#, Request::ForceEndpoint);
        check(r#"{"type":"ForceEndpoint"}"#, Request::ForceEndpoint);
        for text in [
            "",
            "{",
            "[]",
            "7",
            r#"{"type":7}"#,
            r#"{"type":"KeepAlive"}"#,
            r#"{"eof":0}"#,
            r#"{"config":7}"#,
        ] {
            check(text, Request::Nothing);
        }
        let rate = |value| Configure { sample_rate: Some(value), ..Configure::default() };
        check(r#"{"type":"configure","sample_rate":8000}"#, Request::Configure(rate(json!(8000))));
        check(r#"{"type":"configure","sample_rate":"x","y":1}"#, Request::Configure(rate(json!("x"))));
        check(r#"{"config":{"sample_rate":16000}}"#, Request::Configure(rate(json!(16000))));
    }
}
