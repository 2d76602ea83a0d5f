//! What an operator sets: by flag, variable or file, and what follows from it.
//!
//! A flag beats its variable, which beats the file, which beats the default. [`Given`] is what was said in
//! one of these places, [`Settings`] what holds.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use clap::builder::BoolishValueParser;
use serde::{Deserialize, Serialize};

/// Times are at most this many seconds (136 years), so that no sum of them overflows.
const SECS_MAX: u64 = u32::MAX as u64;

/// The longest recording there can be: what the positions of samples hold without thinking.
const AUDIO_SECS_MAX: u64 = 10_000_000;

/// What was set in one place. Every field has a flag, a variable, and a key of the file of the field's name.
#[derive(Debug, Clone, Default, PartialEq, Args, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[command(next_help_heading = "Service")]
pub struct Given {
    /// The address to listen on [default: 127.0.0.1].
    #[arg(long, env = "GIGASTT_HOST")]
    pub host: Option<String>,
    /// The port; 0 picks a free one, which is printed [default: 9876].
    #[arg(long, env = "GIGASTT_PORT", value_parser = Given::parse_port)]
    pub port: Option<u16>,
    /// A file that the port is written to once the service listens.
    #[arg(long, env = "GIGASTT_PORT_FILE", value_name = "PATH")]
    pub port_file: Option<PathBuf>,
    /// Allow a host that other machines can reach.
    #[arg(long, env = "GIGASTT_ALLOW_BIND_ANY", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub bind_all: Option<bool>,
    /// Seconds without a frame of the client after which a conversation ends [default: 300].
    #[arg(long, env = "GIGASTT_IDLE_TIMEOUT_SECS", value_name = "SECS")]
    pub idle_timeout_secs: Option<u64>,
    /// Seconds after which a conversation ends in any case; 0: never [default: 3600].
    #[arg(long, env = "GIGASTT_MAX_SESSION_SECS", value_name = "SECS")]
    pub max_session_secs: Option<u64>,
    /// Seconds from the signal in which everybody gets his last words; 0 is taken for 1 [default: 10].
    #[arg(long, env = "GIGASTT_SHUTDOWN_DRAIN_SECS", value_name = "SECS")]
    pub shutdown_drain_secs: Option<u64>,
    /// The largest WebSocket frame [default: 524288].
    #[arg(long, env = "GIGASTT_WS_FRAME_MAX_BYTES", value_name = "BYTES")]
    pub ws_frame_max_bytes: Option<usize>,
    /// The largest upload [default: 52428800].
    #[arg(long, env = "GIGASTT_BODY_LIMIT_BYTES", value_name = "BYTES")]
    pub body_limit_bytes: Option<u64>,
    /// Requests to /v1/* that a client may make in a minute; 0: any [default: 0].
    #[arg(long, env = "GIGASTT_RATE_LIMIT_PER_MINUTE", value_name = "N")]
    pub rate_limit_per_minute: Option<u32>,
    /// How many of them may come at once [default: 10].
    #[arg(long, env = "GIGASTT_RATE_LIMIT_BURST", value_name = "N")]
    pub rate_limit_burst: Option<u32>,
    /// Believe X-Forwarded-For of loopback and private peers.
    #[arg(long, env = "GIGASTT_TRUST_PROXY", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub trust_proxy: Option<bool>,
    /// An origin whose pages may use the service, such as <https://example.org>; repeatable.
    #[arg(long, env = "GIGASTT_ALLOW_ORIGIN", value_name = "URL", value_delimiter = ',')]
    pub allow_origin: Option<Vec<String>>,
    /// Pages of any origin may use the service.
    #[arg(long, env = "GIGASTT_CORS_ALLOW_ANY", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub cors_allow_any: Option<bool>,
    /// Serve metrics for Prometheus, on a listener of their own.
    #[arg(long, env = "GIGASTT_METRICS", num_args = 0..=1, require_equals = true,
          default_missing_value = "true", value_parser = BoolishValueParser::new())]
    pub metrics: Option<bool>,
    /// Where metrics are served [default: 127.0.0.1:9090].
    #[arg(long, env = "GIGASTT_METRICS_LISTEN", value_name = "ADDRESS")]
    pub metrics_listen: Option<SocketAddr>,
    /// The most streams open at a time, a bound on memory [default: 4096].
    #[arg(long, env = "GIGASTT_MAX_SESSIONS", value_name = "N")]
    pub max_sessions: Option<usize>,
    /// Threads that run the model [default: the processor's cores; fewer for a model that is not optimised].
    #[arg(long, env = "GIGASTT_POOL_SIZE", value_name = "N")]
    pub pool_size: Option<u16>,
    /// Seconds that a client waits for a saturated model before it is refused [default: 30].
    #[arg(long, env = "GIGASTT_POOL_CHECKOUT_TIMEOUT_SECS", value_name = "SECS")]
    pub pool_checkout_timeout_secs: Option<u64>,
    /// Keys of which a client has to show one, one a line.
    #[arg(long, env = "GIGASTT_API_KEY_FILE", value_name = "PATH")]
    pub api_key_file: Option<PathBuf>,
    /// The certificate chain for TLS, PEM.
    #[arg(long, env = "GIGASTT_TLS_CERT", value_name = "PATH", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,
    /// The private key for TLS, PEM.
    #[arg(long, env = "GIGASTT_TLS_KEY", value_name = "PATH", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,
    /// The longest recording, in seconds [default: 14400].
    #[arg(long, env = "GIGASTT_MAX_AUDIO_SECS", value_name = "SECS")]
    pub max_audio_secs: Option<u64>,
    /// Seconds after which a request is given up [default: 600].
    #[arg(long, env = "GIGASTT_REQUEST_TIMEOUT_SECS", value_name = "SECS")]
    pub request_timeout_secs: Option<u64>,
    /// How the log is written [default: text].
    #[arg(long, env = "GIGASTT_LOG_FORMAT", value_enum)]
    pub log_format: Option<LogFormat>,
    /// What is told: off, error, warn, info, debug or trace. In the file only; on the command line it is a
    /// flag of every command.
    #[arg(skip)]
    pub log_level: Option<String>,
    /// The folder of the model's files, or `embedded`. In the file only, as above.
    #[arg(skip)]
    pub model: Option<PathBuf>,
    /// The folder that holds a folder for each model. In the file only, as above.
    #[arg(skip)]
    pub model_dir: Option<PathBuf>,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

/// What holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where the service listens.
    pub address: SocketAddr,
    /// See [`Given::port_file`].
    pub port_file: Option<PathBuf>,
    /// See [`Given::idle_timeout_secs`].
    pub idle_timeout: Duration,
    /// See [`Given::max_session_secs`]; `None`: no cap.
    pub max_session: Option<Duration>,
    /// See [`Given::shutdown_drain_secs`].
    pub drain: Duration,
    /// See [`Given::ws_frame_max_bytes`].
    pub ws_frame_max_bytes: usize,
    /// See [`Given::body_limit_bytes`].
    pub body_limit_bytes: u64,
    /// See [`Given::rate_limit_per_minute`]; `None`: no limit.
    pub rate: Option<Rate>,
    /// See [`Given::trust_proxy`].
    pub trust_proxy: bool,
    /// See [`Given::allow_origin`].
    pub allow_origin: Vec<String>,
    /// See [`Given::cors_allow_any`].
    pub cors_allow_any: bool,
    /// See [`Given::metrics`] and [`Given::metrics_listen`].
    pub metrics: Option<SocketAddr>,
    /// See [`Given::max_sessions`].
    pub max_sessions: usize,
    /// See [`Given::pool_checkout_timeout_secs`].
    pub checkout: Duration,
    /// See [`Given::api_key_file`].
    pub api_key_file: Option<PathBuf>,
    /// Certificate chain and private key.
    pub tls: Option<(PathBuf, PathBuf)>,
    /// See [`Given::max_audio_secs`], in seconds.
    pub max_audio_secs: u64,
    /// See [`Given::request_timeout_secs`].
    pub request_timeout: Duration,
    /// See [`Given::log_format`].
    pub log_format: LogFormat,
}

/// How often a client may ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Requests a minute; at least 1.
    pub per_minute: std::num::NonZeroU32,
    /// Requests at once; at least 1.
    pub burst: std::num::NonZeroU32,
}

/// Why settings cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unusable(String);

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Unusable {}

impl Given {
    /// The names of what cannot change while the service runs.
    pub const FIXED: [&str; 11] = [
        "host",
        "port",
        "port_file",
        "bind_all",
        "metrics",
        "metrics_listen",
        "max_sessions",
        "pool_size",
        "log_format",
        "model",
        "model_dir",
    ];

    /// Reads a file of settings.
    ///
    /// # Errors
    /// When it cannot be read, is not TOML, or sets what does not exist.
    pub fn read(path: &Path) -> Result<Self, Unusable> {
        let unusable = |what: String| Unusable(format!("{}: {what}", path.display()));
        let text = std::fs::read_to_string(path).map_err(|error| unusable(error.to_string()))?;
        toml::from_str(&text).map_err(|error| unusable(error.to_string()))
    }

    /// Reads a port.
    ///
    /// # Errors
    /// When it is none; of what Kubernetes sets beside a service named gigastt, with what turns that off.
    pub fn parse_port(text: &str) -> Result<u16, String> {
        text.parse().map_err(|_| match text.starts_with("tcp://") {
            true => "Kubernetes sets GIGASTT_PORT to this for a service named gigastt; set enableServiceLinks: false in \
                     the pod's spec, or GIGASTT_PORT to a port"
                .into(),
            false => "expected a number from 0 to 65535".into(),
        })
    }

    /// Both together; where both say something, `self` holds.
    #[must_use]
    pub fn over(&self, below: &Self) -> Self {
        let mut table = below.table();
        table.extend(self.table());
        table.try_into().unwrap_or_else(|_| self.clone())
    }

    /// Logs what is set otherwise than before, and what of it holds from the next start only.
    pub fn log_changes(&self, before: &Self) {
        let (now, before) = (self.table(), before.table());
        let mut names: Vec<_> = now.keys().chain(before.keys()).collect();
        names.sort();
        names.dedup();
        for name in names.into_iter().filter(|name| now.get(*name) != before.get(*name)) {
            let told = |table: &toml::Table| table.get(name).map_or("default".into(), ToString::to_string);
            let (old, new) = (told(&before), told(&now));
            if Self::FIXED.contains(&name.as_str()) {
                tracing::warn!(name, old, new, "setting changed; it holds from the next start");
            } else {
                tracing::info!(name, old, new, "setting changed");
            }
        }
    }

    /// What is set, by name.
    pub(crate) fn table(&self) -> toml::Table {
        toml::Table::try_from(self).unwrap_or_default()
    }
}

impl Settings {
    /// What holds when `given` is what was said.
    ///
    /// # Errors
    /// A host that is no address, or that other machines can reach without `bind_all`; a bound of 0; one of
    /// `tls_cert` and `tls_key` without the other; a log level that there is not; an origin that no page has.
    pub fn new(given: &Given) -> Result<Self, Unusable> {
        let secs =
            |given: Option<u64>, default: u64| Duration::from_secs(given.unwrap_or(default).min(SECS_MAX));
        let max_session = secs(given.max_session_secs, 3_600);
        let metrics_listen = given.metrics_listen.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 9_090)));
        let tls = match (&given.tls_cert, &given.tls_key) {
            (None, None) => None,
            (Some(cert), Some(key)) => Some((cert.clone(), key.clone())),
            _ => return Err(Unusable("tls_cert and tls_key: expected both or none, found one".into())),
        };
        if let Some(level) =
            given.log_level.as_deref().filter(|level| level.parse::<log::LevelFilter>().is_err())
        {
            return Err(Unusable(format!(
                "log_level: expected off, error, warn, info, debug or trace, found {level}"
            )));
        }
        let host = host(given)?;
        Ok(Self {
            address: SocketAddr::new(host, given.port.unwrap_or(9_876)),
            port_file: given.port_file.clone(),
            idle_timeout: secs(given.idle_timeout_secs, 300).max(Duration::from_secs(1)),
            max_session: (!max_session.is_zero()).then_some(max_session),
            drain: secs(given.shutdown_drain_secs, 10).max(Duration::from_secs(1)),
            ws_frame_max_bytes: positive("ws_frame_max_bytes", given.ws_frame_max_bytes.unwrap_or(524_288))?,
            body_limit_bytes: positive("body_limit_bytes", given.body_limit_bytes.unwrap_or(52_428_800))?,
            rate: rate(given),
            trust_proxy: given.trust_proxy.unwrap_or(false),
            allow_origin: origins(given)?,
            cors_allow_any: given.cors_allow_any.unwrap_or(false),
            metrics: given.metrics.unwrap_or(false).then_some(metrics_listen),
            max_sessions: positive("max_sessions", given.max_sessions.unwrap_or(4_096))?,
            checkout: secs(given.pool_checkout_timeout_secs, 30),
            api_key_file: given.api_key_file.clone(),
            tls,
            max_audio_secs: given.max_audio_secs.unwrap_or(14_400).min(AUDIO_SECS_MAX),
            request_timeout: secs(given.request_timeout_secs, 600).max(Duration::from_secs(1)),
            log_format: given.log_format.unwrap_or_default(),
        })
    }

    /// What is allowed but hardly meant.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if let Some(cap) = self.max_session.filter(|cap| *cap < self.idle_timeout) {
            warnings.push(format!(
                "max_session_secs ({}) is less than idle_timeout_secs ({}): the cap always fires first",
                cap.as_secs(),
                self.idle_timeout.as_secs()
            ));
        }
        if !self.address.ip().is_loopback() && self.api_key_file.is_none() {
            warnings.push("other machines can reach this service and no api_key_file is set".into());
        }
        warnings
    }
}

fn host(given: &Given) -> Result<IpAddr, Unusable> {
    let bind_all = given.bind_all.unwrap_or(false);
    let host = match given.host.as_deref() {
        None => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Some("localhost") => IpAddr::V4(Ipv4Addr::LOCALHOST),
        Some("*") => IpAddr::V6(Ipv6Addr::UNSPECIFIED),
        Some(host) => host
            .trim_matches(['[', ']'])
            .parse()
            .map_err(|_| Unusable(format!("host: expected an IP address or localhost, found {host}")))?,
    };
    if host.is_loopback() || bind_all {
        return Ok(host);
    }
    Err(Unusable(format!(
        "host: {host} can be reached by other machines; add --bind-all (GIGASTT_ALLOW_BIND_ANY=1) if that is meant"
    )))
}

/// The origins; an empty one, of a variable that is set to nothing, is none.
fn origins(given: &Given) -> Result<Vec<String>, Unusable> {
    let named = given.allow_origin.iter().flatten().filter(|origin| !origin.is_empty());
    let origin = |origin: &String| match origin.trim_end_matches('/').split_once("://") {
        Some((_, host)) if !host.contains(['/', '*']) => Ok(origin.clone()),
        _ => Err(Unusable(format!(
            "allow_origin: expected an origin such as https://example.org, found {origin}; --cors-allow-any lets pages \
             of any origin in"
        ))),
    };
    named.map(origin).collect()
}

fn rate(given: &Given) -> Option<Rate> {
    let per_minute = std::num::NonZeroU32::new(given.rate_limit_per_minute.unwrap_or(0))?;
    let burst = given.rate_limit_burst.unwrap_or(10);
    Some(Rate { per_minute, burst: std::num::NonZeroU32::new(burst).unwrap_or(std::num::NonZeroU32::MIN) })
}

fn positive<T: Default + PartialEq>(name: &str, value: T) -> Result<T, Unusable> {
    if value == T::default() {
        return Err(Unusable(format!("{name}: expected at least 1, found 0")));
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(toml: &str) -> Given {
        toml::from_str(toml).expect("settings")
    }

    #[test]
    fn what_is_said_above_holds() {
        let flags = given("port = 1\ntrust_proxy = false");
        let file = given("port = 2\nhost = \"127.0.0.2\"\ntrust_proxy = true");
        assert_eq!(flags.over(&file), given("port = 1\nhost = \"127.0.0.2\"\ntrust_proxy = false"));
        assert_eq!(Given::default().over(&file), file);
    }

    #[test]
    fn defaults_and_bounds() {
        let secs = Duration::from_secs;
        let settings = Settings::new(&Given::default()).expect("defaults");
        let expected = Settings {
            address: SocketAddr::from(([127, 0, 0, 1], 9_876)),
            port_file: None,
            idle_timeout: secs(300),
            max_session: Some(secs(3_600)),
            drain: secs(10),
            ws_frame_max_bytes: 524_288,
            body_limit_bytes: 52_428_800,
            rate: None,
            trust_proxy: false,
            allow_origin: Vec::new(),
            cors_allow_any: false,
            metrics: None,
            max_sessions: 4_096,
            checkout: secs(30),
            api_key_file: None,
            tls: None,
            max_audio_secs: 14_400,
            request_timeout: secs(600),
            log_format: LogFormat::Text,
        };
        assert_eq!(settings, expected);
        assert_eq!(settings.warnings(), Vec::<String>::new());
        let settings = Settings::new(&given("metrics = true\nrate_limit_per_minute = 60")).expect("settings");
        assert_eq!(settings.metrics, Some(SocketAddr::from(([127, 0, 0, 1], 9_090))));
        assert_eq!(settings.rate.map(|rate| (rate.per_minute.get(), rate.burst.get())), Some((60, 10)));

        let settings = Settings::new(&given("shutdown_drain_secs = 0\nmax_session_secs = 0")).expect("zeros");
        assert_eq!((settings.drain.as_secs(), settings.max_session), (1, None));
        let most = given("max_session_secs = 9223372036854775807\nidle_timeout_secs = 9223372036854775807");
        let settings = Settings::new(&most).expect("large numbers");
        assert!(settings.max_session.is_some_and(|cap| cap.checked_add(settings.idle_timeout).is_some()));
        let wrong = Settings::new(&given("log_level = \"inof\"")).expect_err("no level").to_string();
        assert_eq!(wrong, "log_level: expected off, error, warn, info, debug or trace, found inof");
        let wrong = Settings::new(&given("max_sessions = 0")).expect_err("a bound of 0");
        assert_eq!(wrong.to_string(), "max_sessions: expected at least 1, found 0");
    }

    #[test]
    fn a_port_is_not_what_kubernetes_takes_for_one() {
        let port = Given::parse_port;
        assert_eq!((port("0"), port("65535")), (Ok(0), Ok(65_535)));
        assert!(port("65536").is_err_and(|error| error.contains("65535")));
        assert!(port("tcp://10.0.0.7:80").is_err_and(|error| error.contains("enableServiceLinks: false")));
    }

    #[test]
    fn a_cap_below_the_idle_time_is_warned_of() {
        let settings = Settings::new(&given("max_session_secs = 2")).expect("settings");
        assert_eq!(settings.warnings().len(), 1);
        assert!(settings.warnings()[0].contains("the cap always fires first"));
    }

    #[test]
    fn other_machines_only_on_demand() {
        let check = |toml: &str, expected: Result<&str, &str>| match (Settings::new(&given(toml)), expected) {
            (Ok(settings), Ok(host)) => assert_eq!(settings.address.ip().to_string(), host),
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{error}"),
            (found, _) => panic!("{toml}: {found:?}"),
        };
        check("host = \"0.0.0.0\"", Err("--bind-all"));
        check("host = \"::\"", Err("--bind-all"));
        check("host = \"192.168.0.1\"", Err("--bind-all"));
        check("host = \"0.0.0.0\"\nbind_all = true", Ok("0.0.0.0"));
        check("host = \"localhost\"", Ok("127.0.0.1"));
        check("host = \"[::1]\"", Ok("::1"));
        check("host = \"example.org\"", Err("expected an IP address"));
        check("bind_all = true", Ok("127.0.0.1"));
    }

    #[test]
    fn origins_are_such_as_pages_have() {
        let check = |origin: &str, good: bool| {
            let given = Given { allow_origin: Some(vec![origin.into()]), ..Given::default() };
            match Settings::new(&given) {
                Ok(settings) => assert!(good && settings.allow_origin == [origin], "{origin}"),
                Err(error) => assert!(!good && error.to_string().contains("--cors-allow-any"), "{error}"),
            }
        };
        for origin in ["https://a.example", "http://a.example:8080/", "tauri://localhost", "http://[::1]"] {
            check(origin, true);
        }
        for origin in ["*", "a.example", "null", "https://", "https://*.a.example", "https://a.example/page"]
        {
            check(origin, false);
        }
        let nothing = Settings::new(&given("allow_origin = [\"\"]")).expect("as good as none");
        assert_eq!(nothing.allow_origin, Vec::<String>::new());
    }

    #[test]
    fn a_wrong_file_names_what_is_wrong() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("gigastt.toml");
        std::fs::write(&path, "prot = 1").expect("a file");
        let error = Given::read(&path).expect_err("a wrong key").to_string();
        assert!(error.contains("gigastt.toml") && error.contains("prot"), "{error}");
        assert!(Given::read(&folder.path().join("none")).is_err());
    }
}
