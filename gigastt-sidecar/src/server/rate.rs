//! How often a client may ask, and which client it is behind a proxy.

use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::Response;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};
use lru::LruCache;

use super::App;
use super::guard::guarded;
use super::listener::Peer;
use super::reply::Refusal;
use super::settings::Rate;

/// The clients that are remembered; beyond it, who did not ask for longest is forgotten.
const CLIENTS_MAX: NonZeroUsize = NonZeroUsize::new(65_536).unwrap();

/// Turns away who asks too often.
pub(crate) async fn limit(State(app): State<App>, request: Request, next: Next) -> Result<Response, Refusal> {
    let settings = app.settings.load();
    let peer = request.extensions().get::<Peer>().map(|peer| peer.0.ip());
    if let (Some(rate), Some(peer), true) = (settings.rate, peer, guarded(request.uri().path())) {
        let client = client(peer, request.headers(), settings.trust_proxy);
        if let Err(wait) = app.rates.ask(rate, client) {
            app.metrics.rate_limit_rejections.inc();
            let refusal = Refusal::new(StatusCode::TOO_MANY_REQUESTS, "rate_limited", "Too many requests");
            return Err(Refusal { retry_after: Some(wait), ..refusal });
        }
    }
    Ok(next.run(request).await)
}

/// Who asked how often. Exact for each client that is remembered.
pub(crate) struct Rates {
    clock: DefaultClock,
    clients: Mutex<Clients>,
}

struct Clients {
    rate: Option<Rate>,
    known: LruCache<IpAddr, Arc<DefaultDirectRateLimiter>>,
}

impl Default for Rates {
    fn default() -> Self {
        let clients = Clients { rate: None, known: LruCache::unbounded() };
        Self { clock: DefaultClock::default(), clients: Mutex::new(clients) }
    }
}

impl Rates {
    /// Whether a client may ask now; else how long it has to wait.
    fn ask(&self, rate: Rate, client: IpAddr) -> Result<(), Duration> {
        let limiter = self.clients.lock().unwrap_or_else(PoisonError::into_inner).limiter(rate, client);
        limiter.check().map_err(|wait| wait.wait_time_from(self.clock.now()))
    }
}

impl Clients {
    fn limiter(&mut self, rate: Rate, client: IpAddr) -> Arc<DefaultDirectRateLimiter> {
        if self.rate != Some(rate) {
            // The operator changed it: everybody begins anew.
            self.rate = Some(rate);
            self.known.clear();
        }
        let quota = Quota::per_minute(rate.per_minute).allow_burst(rate.burst);
        let limiter = self.known.get_or_insert(client, || Arc::new(RateLimiter::direct(quota)));
        let limiter = Arc::clone(limiter);
        if self.known.len() > CLIENTS_MAX.get() {
            self.known.pop_lru();
        }
        limiter
    }
}

/// Whom a request is from: the peer, or behind proxies that may be believed the rightmost hop that is not
/// one of them.
fn client(peer: IpAddr, headers: &HeaderMap, trust_proxy: bool) -> IpAddr {
    let peer = peer.to_canonical();
    if !trust_proxy || !believed(peer) {
        return network(peer);
    }
    let values: Vec<_> =
        headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok()).collect();
    let mut client = peer;
    for hop in values.iter().rev().flat_map(|value| value.rsplit(',')) {
        // Behind a hop that is no address nothing can be believed.
        let Some(hop) = address(hop.trim()) else { break };
        client = hop.to_canonical();
        if !believed(client) {
            break;
        }
    }
    network(client)
}

/// The address of a hop, which some proxies write with its port.
fn address(hop: &str) -> Option<IpAddr> {
    let alone = hop.trim_matches(['[', ']']).parse().ok();
    alone.or_else(|| hop.parse::<SocketAddr>().ok().map(|hop| hop.ip()))
}

/// Whether a peer may be a proxy of ours.
fn believed(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_loopback() || ip.is_private(),
        IpAddr::V6(ip) => ip.is_loopback() || ip.is_unique_local(),
    }
}

/// Where one client has many addresses, what they have in common.
fn network(ip: IpAddr) -> IpAddr {
    match ip {
        IpAddr::V4(_) => ip,
        IpAddr::V6(ip) => IpAddr::V6((ip.to_bits() & !u128::from(u64::MAX)).into()),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;

    use axum::http::HeaderValue;

    use super::*;

    fn rate(per_minute: u32, burst: u32) -> Rate {
        let number = |n| NonZeroU32::new(n).expect("a number");
        Rate { per_minute: number(per_minute), burst: number(burst) }
    }

    #[test]
    fn the_burst_is_exact_and_each_client_has_its_own() {
        let rates = Rates::default();
        let (a, b) = (IpAddr::from([1, 1, 1, 1]), IpAddr::from([2, 2, 2, 2]));
        let granted = (0..10).filter(|_| rates.ask(rate(1, 3), a).is_ok()).count();
        assert_eq!(granted, 3);
        let wait = rates.ask(rate(1, 3), a).expect_err("a wait");
        assert!(wait > Duration::ZERO && wait <= Duration::from_secs(60), "{wait:?}");
        assert!(rates.ask(rate(1, 3), b).is_ok());
        assert!(rates.ask(rate(1, 4), a).is_ok(), "a new rate begins anew");
    }

    #[test]
    fn the_table_is_bounded() {
        let rates = Rates::default();
        for n in 0..CLIENTS_MAX.get() as u32 + 10 {
            assert!(rates.ask(rate(1, 1), IpAddr::from(n.to_be_bytes())).is_ok());
        }
        assert_eq!(rates.clients.lock().expect("a lock").known.len(), CLIENTS_MAX.get());
    }

    #[test]
    fn the_client_behind_proxies() {
        let check = |peer: &str, forwarded: &[&'static str], trust: bool, expected: &str| {
            let mut headers = HeaderMap::new();
            for value in forwarded {
                headers.append("x-forwarded-for", HeaderValue::from_static(value));
            }
            let ip = |text: &str| text.parse::<IpAddr>().expect("an address");
            assert_eq!(client(ip(peer), &headers, trust), ip(expected), "{peer} {forwarded:?} {trust}");
        };
        check("127.0.0.1", &["9.9.9.9"], false, "127.0.0.1");
        check("127.0.0.1", &["9.9.9.9"], true, "9.9.9.9");
        check("10.0.0.1", &["9.9.9.9, 8.8.8.8"], true, "8.8.8.8");
        check("10.0.0.1", &["9.9.9.9, 8.8.8.8, 192.168.0.1"], true, "8.8.8.8");
        check("10.0.0.1", &["9.9.9.9", "8.8.8.8"], true, "8.8.8.8");
        check("10.0.0.1", &["9.9.9.9, x, 10.0.0.2"], true, "10.0.0.2");
        check("10.0.0.1", &["9.9.9.9:50123"], true, "9.9.9.9");
        check("10.0.0.1", &["9.9.9.9, [2001:db8::1]:443, 10.0.0.2:80"], true, "2001:db8::");
        check("7.7.7.7", &["9.9.9.9"], true, "7.7.7.7");
        check("::ffff:10.0.0.1", &["9.9.9.9"], true, "9.9.9.9");
        check("::1", &["2001:db8::1:2"], true, "2001:db8::");
        check("127.0.0.1", &[], true, "127.0.0.1");
    }
}
