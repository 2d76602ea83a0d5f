//! The HTTP client: the only file that names `ureq`.

use std::io::Read;
use std::time::Duration;

use ureq::http::{HeaderMap, header};
use ureq::tls::{RootCerts, TlsConfig};
use ureq::{Agent, Body};

use super::reply::{ContentRange, Head, retry_after};

/// A client of one hub. Proxies are those of the environment: `ALL_PROXY`, `HTTPS_PROXY`, `HTTP_PROXY`, and
/// `NO_PROXY`.
#[derive(Clone)]
pub(super) struct Client {
    agent: Agent,
}

/// Why there was no answer, or no more of it.
#[derive(Debug)]
pub(super) struct Broken {
    pub reason: String,
    /// Whether it may be different the next time.
    pub passing: bool,
}

/// What was asked for.
pub(super) struct Request<'a> {
    pub url: &'a str,
    /// From this byte on.
    pub from: u64,
    /// Only if the server's file still has this tag; else the whole file.
    pub if_range: Option<&'a str>,
}

impl Client {
    /// For a hub at `url`, from which a redirect leads to nothing less safe. A connection that brings nothing
    /// for as long as `stall` is given up.
    pub(super) fn new(url: &str, stall: Duration) -> Self {
        // Android's own store needs a Java machine to be told of.
        let roots = if cfg!(target_os = "android") { RootCerts::WebPki } else { RootCerts::PlatformVerifier };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .https_only(url.starts_with("https://"))
            .tls_config(TlsConfig::builder().root_certs(roots).build())
            .user_agent(concat!("gigastt/", env!("CARGO_PKG_VERSION")))
            .timeout_resolve(Some(stall))
            .timeout_connect(Some(stall))
            .timeout_send_request(Some(stall))
            .timeout_recv_response(Some(stall))
            .timeout_per_read(Some(stall));
        Self { agent: config.build().new_agent() }
    }

    /// Asks.
    ///
    /// # Errors
    /// When there was no answer.
    pub(super) fn get(&self, request: &Request<'_>) -> Result<(Head, impl Read + use<>), Broken> {
        let mut call = self.agent.get(request.url).header(header::ACCEPT_ENCODING, "identity");
        if request.from > 0 {
            call = call.header(header::RANGE, format!("bytes={}-", request.from));
            if let Some(tag) = request.if_range {
                call = call.header(header::IF_RANGE, tag);
            }
        }
        let response = call.call().map_err(|error| broken(&error))?;
        let (parts, body) = response.into_parts();
        Ok((head(parts.status.as_u16(), &parts.headers, &body), body.into_reader()))
    }

    /// Ends every call that runs, from another thread; there are no later ones.
    pub(super) fn shut_down(&self) {
        self.agent.clone().shutdown();
    }
}

fn head(status: u16, headers: &HeaderMap, body: &Body) -> Head {
    let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let strong = |tag: &&str| tag.starts_with('"');
    Head {
        status,
        length: body.content_length(),
        range: text(header::CONTENT_RANGE).and_then(ContentRange::parse),
        retry_after: text(header::RETRY_AFTER).and_then(|value| retry_after(value, text(header::DATE))),
        etag: text(header::ETAG).filter(strong).map(Into::into),
    }
}

/// What a failure to read the body means.
pub(super) fn broken_body(error: &std::io::Error) -> Broken {
    match error.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>()) {
        Some(error) => broken(error),
        None => Broken { reason: error.to_string(), passing: true },
    }
}

fn broken(error: &ureq::Error) -> Broken {
    use ureq::Error as E;
    let passing = !matches!(
        error,
        E::BadUri(_)
            | E::Http(_)
            | E::InvalidProxyUrl
            | E::TooManyRedirects
            | E::RedirectFailed
            | E::RequireHttpsOnly(_)
            | E::Tls(_)
            | E::Rustls(_)
    );
    Broken { reason: error.to_string(), passing }
}
