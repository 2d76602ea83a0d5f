//! What a server's answer means for a file of which a part is there. No I/O.

use std::time::Duration;

/// The part of an answer before its body.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Head {
    pub status: u16,
    /// `Content-Length`: bytes of the body.
    pub length: Option<u64>,
    /// `Content-Range`.
    pub range: Option<ContentRange>,
    /// `Retry-After`.
    pub retry_after: Option<Duration>,
    /// `ETag`, unless it is a weak one, which says nothing about single bytes.
    pub etag: Option<String>,
}

/// `bytes 5-9/10`, or `bytes */10` with no start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct ContentRange {
    pub start: Option<u64>,
    pub total: Option<u64>,
}

/// What to do with an answer.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Meaning {
    /// Its body holds the file from byte `from` on; `total` is the size of the whole file.
    Body { from: u64, total: Option<u64> },
    /// Everything is there already.
    Complete,
    /// What is there does not fit: ask for the whole file.
    StartOver(String),
    /// Ask again later.
    Later { reason: String, after: Option<Duration> },
    /// Asking again will not help.
    Refused(String),
}

/// What `head` means when the first `have` bytes are there, after which a range was asked for unless
/// `have` is 0.
pub(super) fn meaning(head: &Head, have: u64) -> Meaning {
    let total = head.range.and_then(|range| range.total);
    match head.status {
        200 => Meaning::Body { from: 0, total: head.length },
        206 => match head.range.and_then(|range| range.start) {
            Some(start) if start == have => Meaning::Body {
                from: have,
                total: total.or_else(|| head.length.and_then(|length| have.checked_add(length))),
            },
            start => Meaning::StartOver(format!("the server sent from byte {start:?}, not from byte {have}")),
        },
        416 if have > 0 && total == Some(have) => Meaning::Complete,
        416 => Meaning::StartOver(format!("the server has nothing after byte {have}")),
        status @ (408 | 425 | 429 | 500 | 502..=504) => {
            Meaning::Later { reason: format!("the server answers {status}"), after: head.retry_after }
        }
        401 | 403 => Meaning::Refused(format!(
            "the server refuses it ({}); a mirror is named by GIGASTT_HUB, a proxy by HTTPS_PROXY",
            head.status
        )),
        404 | 410 => Meaning::Refused(format!(
            "the server does not have it ({}); a mirror (GIGASTT_HUB) needs the hub's paths",
            head.status
        )),
        status => {
            Meaning::Refused(format!("the server answers {status}, which nothing is known to do about"))
        }
    }
}

impl ContentRange {
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (range, total) = text.trim().strip_prefix("bytes ")?.split_once('/')?;
        let total = if total == "*" { None } else { Some(total.parse().ok()?) };
        let start = if range == "*" { None } else { Some(range.split_once('-')?.0.parse().ok()?) };
        Some(Self { start, total })
    }
}

/// `Retry-After`: seconds, or a moment, which is compared with the server's own `Date`.
pub(super) fn retry_after(value: &str, date: Option<&str>) -> Option<Duration> {
    if let Ok(seconds) = value.trim().parse() {
        return Some(Duration::from_secs(seconds));
    }
    let at = httpdate::parse_http_date(value).ok()?;
    let now = httpdate::parse_http_date(date?).ok()?;
    Some(at.duration_since(now).unwrap_or_default())
}

/// How often, and how soon, a file is asked for again.
#[derive(Debug)]
pub(super) struct Patience {
    attempts: u32,
    failed: u32,
    /// The most bytes that were there after a failure.
    best: u64,
}

/// Failures are counted from the start again after this much progress. So a file of `n` bytes is asked for
/// at most `(n / PROGRESS + 1) * attempts` times.
const PROGRESS: u64 = 1 << 20;

/// The longest wait that a server may ask for.
pub(super) const WAIT_MAX: Duration = Duration::from_secs(120);

impl Patience {
    /// Gives up after `attempts` failures in a row.
    pub(super) fn new(attempts: u32, have: u64) -> Self {
        Self { attempts, failed: 0, best: have }
    }

    /// How long to wait after one more failure, at which `have` bytes are there; `None` to give up. A server
    /// may ask for a longer wait, not for a shorter one.
    pub(super) fn after_failure(&mut self, have: u64, asked: Option<Duration>) -> Option<Duration> {
        if have >= self.best.saturating_add(PROGRESS) {
            (self.best, self.failed) = (have, 0);
        }
        self.failed += 1;
        let asked = asked.unwrap_or_default();
        if self.failed >= self.attempts || asked > WAIT_MAX {
            return None;
        }
        Some(Duration::from_secs(1 << (self.failed - 1).min(5)).max(asked))
    }

    /// Failures in a row.
    pub(super) fn failed(&self) -> u32 {
        self.failed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(head: Head, have: u64, expected: Meaning) {
        assert_eq!(meaning(&head, have), expected, "{head:?}");
    }

    fn answer(status: u16, range: &str) -> Head {
        Head { status, range: ContentRange::parse(range), ..Head::default() }
    }

    #[test]
    fn a_body_says_where_it_starts() {
        check(
            Head { status: 200, length: Some(10), ..Head::default() },
            5,
            Meaning::Body { from: 0, total: Some(10) },
        );
        check(answer(206, "bytes 5-9/10"), 5, Meaning::Body { from: 5, total: Some(10) });
        let unknown = Head { length: Some(5), ..answer(206, "bytes 5-9/*") };
        check(unknown, 5, Meaning::Body { from: 5, total: Some(10) });
        let lengths = Head { length: Some(u64::MAX), ..answer(206, "bytes 5-9/*") };
        check(lengths, 5, Meaning::Body { from: 5, total: None });
        for range in ["bytes 4-9/10", "bytes */10", "5-9/10", "bytes x-9/10", ""] {
            assert!(matches!(meaning(&answer(206, range), 5), Meaning::StartOver(_)), "{range}");
        }
    }

    #[test]
    fn a_range_that_cannot_be_is_the_end_or_a_mistake() {
        check(answer(416, "bytes */10"), 10, Meaning::Complete);
        for (range, have) in [("bytes */9", 10), ("bytes */11", 10), ("", 10), ("bytes */0", 0)] {
            assert!(matches!(meaning(&answer(416, range), have), Meaning::StartOver(_)), "{range}");
        }
    }

    #[test]
    fn what_may_pass_is_asked_again_and_what_does_not_is_not() {
        for status in [408, 425, 429, 500, 502, 503, 504] {
            assert!(matches!(meaning(&answer(status, ""), 0), Meaning::Later { .. }), "{status}");
        }
        for status in [204, 301, 400, 401, 403, 404, 410, 501] {
            assert!(matches!(meaning(&answer(status, ""), 0), Meaning::Refused(_)), "{status}");
        }
    }

    #[test]
    fn a_moment_counts_from_the_servers_own_clock() {
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let seconds = |value, date| retry_after(value, date).map(|wait| wait.as_secs());
        assert_eq!(seconds("7", None), Some(7));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:50:07 GMT", Some(date)), Some(30));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:00:00 GMT", Some(date)), Some(0));
        assert_eq!(seconds("Sun, 06 Nov 1994 08:50:07 GMT", None), None);
        assert_eq!(seconds("soon", Some(date)), None);
    }

    #[test]
    fn patience_ends_unless_there_is_progress() {
        let waits = |patience: &mut Patience, have| {
            std::iter::from_fn(|| patience.after_failure(have, None))
                .map(|wait| wait.as_secs())
                .collect::<Vec<_>>()
        };
        let mut patience = Patience::new(8, 0);
        assert_eq!(waits(&mut patience, PROGRESS - 1), [1, 2, 4, 8, 16, 32, 32]);
        assert_eq!(waits(&mut patience, PROGRESS), [1, 2, 4, 8, 16, 32, 32]);
        assert_eq!(waits(&mut patience, 0), [0; 0]);
        assert_eq!(patience.failed(), 9);
    }

    #[test]
    fn a_server_may_ask_for_more_time_up_to_a_bound() {
        let mut patience = Patience::new(5, 0);
        assert_eq!(patience.after_failure(0, Some(Duration::ZERO)), Some(Duration::from_secs(1)));
        assert_eq!(patience.after_failure(0, Some(WAIT_MAX)), Some(WAIT_MAX));
        assert_eq!(patience.after_failure(0, Some(WAIT_MAX + Duration::from_secs(1))), None);
    }
}
