//! Who may ask: pages of which origin, and who has a key.

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::middleware::Next;
use axum::response::Response;
use subtle::{Choice, ConstantTimeEq as _};

use super::App;
use super::reply::Refusal;
use super::settings::Settings;

/// The subprotocol by which a browser shows its key, which can set no header of a WebSocket.
const KEY_PROTOCOL: &str = "gigastt.key.";

/// The subprotocol that is agreed on, if it is offered.
pub(crate) const PROTOCOL: &str = "gigastt";

/// Turns away pages of other origins. A request without an origin is from no page.
pub(crate) async fn origin(
    State(app): State<App>,
    request: Request,
    next: Next,
) -> Result<Response, Refusal> {
    match request.headers().get(header::ORIGIN) {
        Some(origin) if !allowed(&app.settings.load(), origin) => Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "origin_denied",
            "Pages of this origin may not use the service",
        )),
        _ => Ok(next.run(request).await),
    }
}

/// Whether pages of an origin may use the service.
pub(crate) fn allowed(settings: &Settings, origin: &HeaderValue) -> bool {
    let Ok(origin) = origin.to_str() else { return false };
    if origin == "null" {
        return false;
    }
    settings.cors_allow_any
        || is_loopback(origin)
        || settings.allow_origin.iter().any(|known| known.trim_end_matches('/').eq_ignore_ascii_case(origin))
}

fn is_loopback(origin: &str) -> bool {
    let Ok(uri) = origin.parse::<Uri>() else { return false };
    let host = uri.host().unwrap_or_default().trim_matches(['[', ']']);
    let plain = matches!(uri.scheme_str(), Some("http" | "https")) && !origin.contains('@');
    plain && (host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()))
}

/// The keys of which a client has to show one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Keys(Vec<String>);

impl Keys {
    /// Reads them, one a line; empty lines and those that begin with `#` are none.
    ///
    /// # Errors
    /// When the file cannot be read or holds none: then nobody could come in. When a key has a character that
    /// `Authorization: Bearer` does not take. Of one that a subprotocol does not hold, such as base64 often is, the log
    /// says that browsers cannot show it.
    pub(crate) fn read(path: &std::path::Path) -> std::io::Result<Self> {
        let named =
            |error: std::io::Error| std::io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let text = std::fs::read_to_string(path).map_err(named)?;
        let mut keys = Vec::new();
        for (number, key) in (1..).zip(text.lines().map(str::trim)) {
            if key.is_empty() || key.starts_with('#') {
                continue;
            }
            if !key.bytes().all(|byte| is_token(byte) || b"/=".contains(&byte)) {
                return Err(named(std::io::Error::other(format!(
                    "line {number}: expected a key of letters, digits and {MARKS}/=; \
                     `openssl rand -hex 32` makes one"
                ))));
            }
            if !key.bytes().all(is_token) {
                tracing::warn!(
                    "{}: line {number}: browsers cannot show a key with / or =; `openssl rand -hex 32` makes one \
                     that they can",
                    path.display()
                );
            }
            keys.push(key.to_owned());
        }
        if keys.is_empty() {
            return Err(named(std::io::Error::other("expected a key on a line, found none")));
        }
        Ok(Self(keys))
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether `shown` is one of them, in a time that tells nothing of how much of it is right.
    fn know(&self, shown: &str) -> bool {
        let found =
            self.0.iter().fold(Choice::from(0), |found, key| found | key.as_bytes().ct_eq(shown.as_bytes()));
        found.into()
    }
}

/// What a token of RFC 9110, section 5.6.2, may have beside letters and digits.
const MARKS: &str = "!#$%&'*+-.^_`|~";

fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || MARKS.as_bytes().contains(&byte)
}

/// Turns away who shows no key, where keys are asked for.
pub(crate) async fn key(State(app): State<App>, request: Request, next: Next) -> Result<Response, Refusal> {
    let keys = app.keys.load();
    let open = keys.is_none() || !guarded(request.uri().path());
    if open || keys.as_ref().as_ref().is_some_and(|keys| shown(request.headers()).any(|key| keys.know(key))) {
        return Ok(next.run(request).await);
    }
    Err(Refusal::new(StatusCode::UNAUTHORIZED, "unauthorized", "Show a key by `Authorization: Bearer`"))
}

/// Whether a path is part of the interface for which keys and rates hold.
pub(crate) fn guarded(path: &str) -> bool {
    path.starts_with("/v1/") || path == "/ws"
}

fn shown(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let bearer = headers.get_all(header::AUTHORIZATION).iter().filter_map(|value| {
        let (scheme, key) = value.to_str().ok()?.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then(|| key.trim())
    });
    bearer.chain(protocols(headers).filter_map(|protocol| protocol.strip_prefix(KEY_PROTOCOL)))
}

/// The subprotocols that are offered.
pub(crate) fn protocols(headers: &HeaderMap) -> impl Iterator<Item = &str> {
    let offered =
        headers.get_all(header::SEC_WEBSOCKET_PROTOCOL).iter().filter_map(|value| value.to_str().ok());
    offered.flat_map(|value| value.split(',')).map(str::trim)
}

#[cfg(test)]
mod tests {
    use super::super::settings::Given;
    use super::*;

    #[test]
    fn origins() {
        let given = Given { allow_origin: Some(vec!["https://a.example/".into()]), ..Given::default() };
        let some = Settings::new(&given).expect("settings");
        let any = Settings { cors_allow_any: true, ..some.clone() };
        let check = |settings: &Settings, origin: &'static str, expected: bool| {
            assert_eq!(allowed(settings, &HeaderValue::from_static(origin)), expected, "{origin}");
        };
        for origin in [
            "http://localhost",
            "http://localhost:3000",
            "https://127.0.0.1:9876",
            "http://[::1]:1",
            "http://127.1.2.3",
        ] {
            check(&some, origin, true);
        }
        check(&some, "https://a.example", true);
        for origin in [
            "null",
            "https://a.example:444",
            "http://a.example",
            "https://b.example",
            "http://localhost.example",
            "http://127.0.0.1.example",
            "http://localhost@b.example",
            "file://localhost",
            "",
        ] {
            check(&some, origin, false);
        }
        check(&any, "https://b.example", true);
        check(&any, "null", false);
    }

    #[test]
    fn keys_come_in_two_ways() {
        let keys = Keys(vec!["first".into(), "second".into()]);
        let check = |name: header::HeaderName, value: &'static str, expected: bool| {
            let headers = HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
            assert_eq!(shown(&headers).any(|key| keys.know(key)), expected, "{value}");
        };
        check(header::AUTHORIZATION, "Bearer first", true);
        check(header::AUTHORIZATION, "bearer second", true);
        check(header::SEC_WEBSOCKET_PROTOCOL, "gigastt, gigastt.key.second", true);
        for wrong in ["Bearer firs", "Bearer firsts", "Bearer ", "Basic first", "first"] {
            check(header::AUTHORIZATION, wrong, false);
        }
        check(header::SEC_WEBSOCKET_PROTOCOL, "first, gigastt.key.third", false);
    }

    #[test]
    fn a_file_without_keys_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys");
        std::fs::write(&path, "# ours\n\n first \nsecond\n").expect("a file");
        assert_eq!(Keys::read(&path).expect("keys"), Keys(vec!["first".into(), "second".into()]));
        std::fs::write(&path, "# none\n").expect("a file");
        assert!(Keys::read(&path).is_err());
    }

    #[test]
    fn a_key_that_nobody_can_show_is_refused_and_not_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys");
        std::fs::write(&path, "c2VjcmV0/w==").expect("a file");
        assert_eq!(
            Keys::read(&path).expect("keys that programs can show"),
            Keys(vec!["c2VjcmV0/w==".into()])
        );
        for key in ["se cret", "s\u{435}cret"] {
            std::fs::write(&path, format!("# ours\nfirst\n{key}\n")).expect("a file");
            let error = Keys::read(&path).expect_err("no token").to_string();
            assert!(error.contains("keys: line 3: ") && error.contains("openssl"), "{error}");
            assert!(!error.contains(key), "{error}");
        }
    }
}
