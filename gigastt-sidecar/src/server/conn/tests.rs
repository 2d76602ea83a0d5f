//! Scripted conversations, and tens of thousands of seeded ones.

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use gigastt_core::{End, EndpointReason, Error, ErrorKind, Event};

use super::world::{World, conn, text, utterance};
use super::{Action, CAP_FINALS, CLOSE_WAIT, Conn, Frame, Heard, Instant, Outcome, PING_EVERY};
use crate::messages::{Message, Trouble};

/// A conversation that was greeted at time 0.
fn open(idle_s: u64, session_s: Option<u64>) -> Conn {
    let mut conn = conn(idle_s, session_s);
    assert!(matches!(conn.next_action(), Some(Action::Open(_))));
    conn.opened(Duration::ZERO, "model");
    assert!(matches!(conn.next_frame(), Some(Frame::Ready(ready)) if ready.model == "model"));
    conn
}

fn s(seconds: u64) -> Instant {
    Duration::from_secs(seconds)
}

/// The frames that wait: finals by their text, errors by their code, Close by its.
fn frames(conn: &mut Conn) -> Vec<String> {
    let told = |frame| match frame {
        Frame::Ready(_) => "ready".into(),
        Frame::Ping => "ping".into(),
        Frame::Close(code, _) => code.to_string(),
        Frame::Message(Message::Partial(said)) => format!("partial {}", said.text),
        Frame::Message(Message::Final(said)) => format!("final {}", said.text),
        Frame::Message(Message::Error(trouble)) => trouble.code.into(),
    };
    std::iter::from_fn(|| conn.next_frame()).map(told).collect()
}

fn actions(conn: &mut Conn) -> Vec<Action> {
    std::iter::from_fn(|| conn.next_action()).filter(|action| !matches!(action, Action::Hurry(_))).collect()
}

fn end(conn: &mut Conn, now: Instant, texts: &[&str], reason: EndpointReason) {
    for text in texts {
        conn.event(now, Event::Final(utterance(text, reason)));
    }
    conn.event(now, Event::End(End::Finished));
}

#[test]
fn stop_gives_one_final_and_close() {
    for (texts, expected) in [(&[][..], "final "), (&["a"], "final a"), (&["a", "", "b"], "final a b")] {
        let mut conn = open(10, None);
        conn.heard(s(1), text(r#"{"type":"stop"}"#));
        assert_eq!(actions(&mut conn), [Action::Finish(EndpointReason::Finish)]);
        end(&mut conn, s(2), texts, EndpointReason::Silence);
        assert_eq!(frames(&mut conn), [expected, "1000"]);
        assert_eq!(conn.outcome(), Some(Outcome::Stopped));
        conn.tick(s(2) + CLOSE_WAIT);
        assert!(conn.is_gone());
    }
}

#[test]
fn a_merged_final_says_that_it_is_no_single_pass() {
    let mut conn = open(10, None);
    conn.heard(s(1), text(r#"{"type":"stop"}"#));
    end(&mut conn, s(2), &["a", "b"], EndpointReason::Silence);
    let Some(Frame::Message(Message::Final(said))) = conn.next_frame() else { panic!("a final") };
    let ending = said.ending.expect("an ending");
    assert_eq!((ending.second_pass, ending.endpoint_reason), (false, "finish"));
}

#[test]
fn a_torn_sample_is_joined() {
    let mut conn = open(10, None);
    conn.heard(s(0), Heard::Binary(Bytes::from_static(&[1])));
    assert!(conn.audio().is_empty() && conn.wants_read());
    conn.heard(s(0), Heard::Binary(Bytes::from_static(&[])));
    conn.heard(s(0), Heard::Binary(Bytes::from_static(&[2, 3, 4, 5])));
    assert_eq!(conn.audio(), [0x0201, 0x0403]);
    assert!(!conn.wants_read(), "one frame at a time");
    conn.took(s(0), 1);
    assert_eq!(conn.audio(), [0x0403]);
    conn.took(s(0), 1);
    assert!(conn.wants_read());
}

#[test]
fn silence_of_the_client_ends_it() {
    let mut conn = open(10, None);
    conn.heard(s(4), Heard::Ping);
    conn.heard(s(9), Heard::Pong { ours: true });
    assert_eq!(conn.timeout(), Some(s(14)), "an answer to our ping is no sign of the client's");
    conn.heard(s(5), Heard::Pong { ours: false });
    conn.tick(s(15));
    assert_eq!(actions(&mut conn), [Action::Finish(EndpointReason::Idle)]);
    end(&mut conn, s(15), &["a"], EndpointReason::Idle);
    assert_eq!(frames(&mut conn), ["idle_timeout", "final a", "1000"]);
    assert_eq!(conn.outcome(), Some(Outcome::Idle));
}

#[test]
fn a_client_that_is_not_heard_is_not_idle() {
    let mut conn = open(10, None);
    conn.heard(s(0), Heard::Binary(Bytes::from_static(&[0, 0])));
    conn.tick(s(60));
    assert_eq!(frames(&mut conn), ["ping"]);
    conn.took(s(60), 1);
    assert!(conn.timeout() <= Some(s(70)));
}

#[test]
fn the_cap_ends_it_whatever_happens() {
    let mut conn = open(1_000, Some(5));
    assert_eq!(conn.timeout(), Some(s(5)));
    conn.heard(s(1), Heard::Binary(Bytes::from_static(&[0, 0])));
    conn.tick(s(5));
    assert_eq!(actions(&mut conn), [], "audio is left, and there is time for it");
    conn.tick(s(5) + CAP_FINALS / 2);
    assert_eq!(actions(&mut conn), [Action::Finish(EndpointReason::SessionCap)]);
    conn.tick(s(5) + CAP_FINALS + Duration::from_millis(100));
    assert_eq!(
        frames(&mut conn),
        ["max_session_duration_exceeded", "final ", "1008"],
        "not even a hung model"
    );
    assert_eq!(conn.outcome(), Some(Outcome::SessionCap));
}

#[test]
fn the_cap_holds_after_stop_as_well() {
    let mut conn = open(1_000, Some(5));
    conn.heard(s(1), text(r#"{"type":"stop"}"#));
    conn.tick(s(5));
    end(&mut conn, s(5), &["a"], EndpointReason::Finish);
    assert_eq!(frames(&mut conn), ["max_session_duration_exceeded", "final a", "1008"]);
}

#[test]
fn shutdown_gives_a_final_also_before_and_after_anything_else() {
    let mut opening = conn(10, None);
    opening.shutdown(s(0), s(5));
    assert_eq!(frames(&mut opening), ["final ", "1001"]);

    let mut stopped = open(10, None);
    stopped.heard(s(0), text(r#"{"type":"stop"}"#));
    stopped.shutdown(s(0), s(5));
    end(&mut stopped, s(1), &["a"], EndpointReason::Finish);
    assert_eq!(frames(&mut stopped), ["final a", "1000"], "it had its end already");

    let mut open = open(10, None);
    open.shutdown(s(0), s(5));
    end(&mut open, s(1), &["a"], EndpointReason::Shutdown);
    assert_eq!(frames(&mut open), ["final a", "1001"]);
    assert_eq!(open.outcome(), Some(Outcome::Shutdown));
}

#[test]
fn configure_opens_another_recognizer_before_the_first_audio_and_complains_after() {
    let mut conn = open(10, None);
    conn.heard(s(0), text(r#"{"type":"configure","sample_rate":8000,"endpoint":"captions"}"#));
    let Some(Action::Open(options)) = conn.next_action() else { panic!("another one") };
    assert_eq!(options.format.sample_rate, 8_000);
    assert!(!conn.wants_read());
    conn.opened(s(1), "model");
    assert_eq!(frames(&mut conn), Vec::<String>::new(), "greeted once");
    conn.heard(s(1), Heard::Binary(Bytes::from_static(&[0])));
    conn.heard(s(1), text(r#"{"type":"configure","sample_rate":8000}"#));
    assert_eq!(frames(&mut conn), ["configure_too_late"]);
    assert_eq!(conn.outcome(), None);
}

#[test]
fn failures_are_told_without_details() {
    let check = |error: Error, code: &str| {
        let mut conn = open(10, None);
        conn.event(s(1), Event::End(End::Failed(error)));
        assert_eq!(frames(&mut conn), [code, "1011"]);
        assert_eq!(conn.outcome(), Some(Outcome::Error));
    };
    check(Error::new(ErrorKind::Inference, "/secret"), "inference_error");
    check(Error::new(ErrorKind::Internal, "the model call panicked; please report this"), "inference_panic");
    check(Error::new(ErrorKind::Io, "/secret"), "internal");

    let mut conn = conn(10, None);
    conn.refused(s(1), Trouble { retry_after_ms: Some(5), ..Trouble::new("timeout", "busy") });
    assert_eq!(frames(&mut conn), ["timeout", "1013"]);
}

#[test]
fn it_is_pinged_now_and_then() {
    let mut conn = open(1_000, None);
    for n in 1..4 {
        conn.tick(PING_EVERY * n);
        assert_eq!(frames(&mut conn), ["ping"]);
    }
}

/// Mutations that this was seen to find: the odd byte forgotten, `stop` before audio is pushed, an utterance of
/// the end sent by itself, the cap not looked at while ending, Close not awaited for a bounded time.
#[test]
fn tens_of_thousands_of_conversations_keep_their_promises() {
    let mut seen = BTreeMap::<String, u32>::new();
    for seed in 0..30_000 {
        let outcome = std::panic::catch_unwind(|| World::new(seed).run());
        let outcome = outcome.unwrap_or_else(|_| panic!("seed {seed}"));
        *seen.entry(format!("{outcome:?}")).or_default() += 1;
    }
    assert_eq!(seen.len(), 7, "each outcome occurs: {seen:?}");
}
