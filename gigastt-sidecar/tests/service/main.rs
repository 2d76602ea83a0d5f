//! The service in this process over the scripted model: what a real one does too fast, or never.

#![allow(clippy::expect_used, clippy::unwrap_used, reason = "a test that cannot go on ends")]

mod client;

use std::time::{Duration, Instant};

use gigastt_core::Engine;
use gigastt_core::fake::{FAILS, FRAME, PANICS, Script};
use gigastt_sidecar::{Ended, Given, Settings, run_with_shutdown, serve};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::{oneshot, watch};

use client::{Client, Upload, constant, get, post, speech};

/// The full-size model encodes 22 s in about a second on one of our cores.
const FULL_SIZE: Script = Script { call: Duration::from_millis(2), frame: Duration::from_micros(450) };

/// A call that lasts longer than any test.
const HUNG: Script = Script { call: Duration::from_secs(3_600), frame: Duration::ZERO };

/// A service that runs.
struct Service {
    port: u16,
    shutdown: oneshot::Sender<()>,
    ended: tokio::task::JoinHandle<std::io::Result<Ended>>,
}

async fn start(script: Script, settings: &str) -> Service {
    let engine = Engine::fake(script, 2).expect("the scripted model");
    let (service, _loaded) = start_with(Some(engine), settings).await;
    service
}

/// A service whose engine may come later.
async fn start_with(engine: Option<Engine>, settings: &str) -> (Service, watch::Sender<Option<Engine>>) {
    let given: Given = toml::from_str(settings).expect("settings");
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let (shutdown, told) = oneshot::channel();
    let (loaded, loading) = watch::channel(engine);
    let (_, changing) = watch::channel(Settings::new(&given).expect("settings"));
    let told = async move { drop(told.await) };
    let ended = tokio::spawn(serve(listener, loading, changing, told));
    (Service { port, shutdown, ended }, loaded)
}

impl Service {
    async fn end(self) -> Ended {
        self.shutdown.send(()).expect("it runs");
        self.ended.await.expect("no panic").expect("no failure")
    }
}

/// 32 sessions with 22 s each would be 32 core-seconds of second passes, and there are 2 workers and 4.5 s; the
/// uploads come on top. So most finals are the newest hypothesis; none is lost, and nobody waits longer than
/// the window.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_over_a_slow_model_loses_no_final() {
    const SESSIONS: usize = 32;
    let service = start(FULL_SIZE, "shutdown_drain_secs = 6").await;
    // A frame less than what would end the utterance by its length.
    let retained = speech(22);
    let retained = &retained[..retained.len() - 2 * FRAME];
    let mut clients = Vec::new();
    for _ in 0..SESSIONS {
        let mut client = Client::connect(service.port, "/v1/ws?endpoint=manual").await;
        client.say(retained).await;
        clients.push(client);
    }
    let (mut streams, mut uploads) = (Vec::new(), Vec::new());
    for _ in 0..8 {
        let path = "/v1/transcribe/stream?endpoint=manual";
        streams.push(Upload::begin(service.port, path, retained).await);
    }
    for _ in 0..4 {
        uploads.push(Upload::begin(service.port, "/v1/transcribe", retained).await);
    }
    // The first hypothesis of each, so that there is one.
    for client in &mut clients {
        client.partial().await;
    }
    for stream in &mut streams {
        stream.until("w1").await;
    }
    let drained = tokio::spawn(service.end());
    let mut kept = 0;
    for client in clients {
        let (finals, code) = client.rest().await;
        assert_eq!(code, 1001);
        let [last] = &finals[..] else { panic!("one final, not {}", finals.len()) };
        assert_eq!(last["endpoint_reason"], "shutdown");
        assert!(last["text"].as_str().is_some_and(|text| text.starts_with("w1")), "{last}");
        kept += usize::from(last["second_pass"] == true);
    }
    assert!(kept < SESSIONS, "the window is too short for all second passes");
    for stream in streams {
        let answer = stream.rest().await;
        let events: Vec<_> = answer.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        let last = events.last().expect("an event");
        assert!(
            last.contains(r#""type":"final""#) && last.contains(r#""endpoint_reason":"shutdown""#),
            "{last}"
        );
        assert!(last.contains(r#""text":"w1"#), "{last}");
    }
    for upload in uploads {
        let answer = upload.rest().await;
        assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("shutting_down"), "{answer}");
    }
    assert_eq!(drained.await.expect("no panic"), Ended::Drained);
}

/// What a client of OpenAI's interface has at the end of a drain is not passed off as the whole.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drain_cuts_a_streamed_form_and_says_so() {
    let service = start(Script::default(), "").await;
    let twice = [speech(1), constant(0, 2), speech(1)].concat();
    let path = "/v1/audio/transcriptions?endpoint=dictation";
    let mut form = Upload::form(service.port, path, &twice).await;
    form.until(r#""delta":"w1"#).await;
    let drained = tokio::spawn(service.end());
    let answer = form.rest().await;
    let events: Vec<_> = answer.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    let [first, .., last] = &events[..] else { panic!("{answer}") };
    assert!(first.contains("transcript.text.delta"), "{answer}");
    assert!(last.contains(r#""type":"error""#) && last.contains(r#""code":"shutting_down""#), "{answer}");
    assert!(!answer.contains("transcript.text.done") && !answer.contains("[DONE]"), "{answer}");
    assert_eq!(drained.await.expect("no panic"), Ended::Drained);
}

/// A model that hangs does not hold the finals up: what was recognised is told in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_model_does_not_keep_clients_from_their_final() {
    let service = start(HUNG, "shutdown_drain_secs = 6").await;
    let mut client = Client::connect(service.port, "/v1/ws?endpoint=manual").await;
    client.say(&speech(3)).await;
    let drained = tokio::spawn(service.end());
    let (finals, code) = client.rest().await;
    assert_eq!((finals.len(), code), (1, 1001));
    assert_eq!(drained.await.expect("no panic"), Ended::Drained);
}

/// A client that neither reads nor closes is a task that does not end by itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_window_ends_also_with_a_task_that_hangs() {
    let service = start(Script::default(), "shutdown_drain_secs = 1").await;
    let client = Client::connect(service.port, "/v1/ws").await;
    let begun = Instant::now();
    assert_eq!(service.end().await, Ended::Hung(1), "it waits for the client's Close longer than the window");
    assert!(begun.elapsed() >= Duration::from_secs(1), "the whole window was waited");
    drop(client);
}

/// What the contract promises of a busy model: waiting, then 1013 with a hint.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_admitted_in_time_is_told_when_to_come_back() {
    let service = start(Script::default(), "max_sessions = 1\npool_checkout_timeout_secs = 1").await;
    let first = Client::connect(service.port, "/v1/ws").await;
    let second = Client::connect_ungreeted(service.port, "/v1/ws").await;
    let (told, code) = second.all().await;
    assert_eq!(code, 1013);
    assert_eq!(told[0]["code"], "timeout");
    assert!(told[0]["retry_after_ms"].as_u64().is_some_and(|ms| ms > 0), "{told:?}");
    drop(first);
    let third = Client::connect(service.port, "/v1/ws").await;
    third.close().await;
    assert_eq!(service.end().await, Ended::Drained);
}

/// A client that says what it sends does not lose its place to one that waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_was_admitted_keeps_the_place() {
    let service = start(Script::default(), "max_sessions = 1\npool_checkout_timeout_secs = 2").await;
    let mut first = Client::connect(service.port, "/v1/ws").await;
    let second = tokio::spawn(Client::connect_ungreeted(service.port, "/v1/ws").await.all());
    while !second.is_finished() {
        first.send(r#"{"type":"configure","sample_rate":48000}"#).await;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(second.await.expect("no panic").1, 1013);
    first.close().await;
    assert_eq!(service.end().await, Ended::Drained);
}

/// Also before there is anything to serve with; who comes then waits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn health_answers_while_the_model_loads() {
    let (service, loaded) = start_with(None, "").await;
    assert!(get(service.port, "/health").await.starts_with("HTTP/1.1 200"));
    let ready = get(service.port, "/ready").await;
    assert!(ready.starts_with("HTTP/1.1 503") && ready.contains(r#""reason":"initializing""#), "{ready}");
    let waiting = tokio::spawn(Client::connect(service.port, "/v1/ws"));
    loaded.send_replace(Some(Engine::fake(Script::default(), 1).expect("the scripted model")));
    waiting.await.expect("no panic").close().await;
    assert!(get(service.port, "/ready").await.starts_with("HTTP/1.1 200"));
    assert_eq!(service.end().await, Ended::Drained);
}

/// The conversation is told, the one beside it goes on, and nobody is left whom the drain would wait for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_panic_ends_its_own_conversation_and_leaves_nothing() {
    let service = start(Script::default(), "max_sessions = 2\npool_checkout_timeout_secs = 60").await;
    for _ in 0..3 {
        let mut beside = Client::connect(service.port, "/v1/ws?endpoint=manual").await;
        beside.say(&speech(2)).await;
        let mut unlucky = Client::connect(service.port, "/v1/ws?endpoint=manual").await;
        unlucky.say(&constant(PANICS, 2)).await;
        let (told, code) = unlucky.all().await;
        assert_eq!(code, 1011);
        assert_eq!(told.last().map(|error| &error["code"]), Some(&"inference_panic".into()), "{told:?}");
        beside.send(r#"{"type":"stop"}"#).await;
        let (finals, code) = beside.rest().await;
        assert_eq!((finals.len(), code), (1, 1000));
        assert!(finals[0]["text"].as_str().is_some_and(|text| text.starts_with("w1")), "{finals:?}");
    }
    assert_eq!(service.end().await, Ended::Drained);
}

/// Each route has its code for it, and none says what it was.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failure_of_the_model_has_its_code_on_every_route() {
    let service = start(Script::default(), "").await;
    for (word, status, answered, event, live) in [
        (FAILS, "HTTP/1.1 422", "transcription_error", "inference_error", "inference_error"),
        (PANICS, "HTTP/1.1 500", "internal", "internal", "inference_panic"),
    ] {
        let speech = constant(word, 2);
        let answer = post(service.port, "/v1/transcribe", &speech).await;
        assert!(
            answer.starts_with(status) && answer.contains(&format!(r#""code":"{answered}""#)),
            "{answer}"
        );
        let events = post(service.port, "/v1/transcribe/stream", &speech).await;
        let last = events.lines().rfind(|line| line.starts_with("data: ")).expect("an event");
        assert!(
            last.contains(r#""type":"error""#) && last.contains(&format!(r#""code":"{event}""#)),
            "{events}"
        );
        let mut client = Client::connect(service.port, "/v1/ws?endpoint=manual").await;
        client.say(&speech).await;
        let (told, code) = client.all().await;
        assert_eq!((told.last().map(|error| &error["code"]), code), (Some(&live.into()), 1011));
    }
    assert_eq!(service.end().await, Ended::Drained);
}

/// What a client gets for its audio is cut as it wishes: live as for dictation, recordings in long pieces.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_route_takes_a_profile_and_has_one() {
    let service = start(Script::default(), "").await;
    let twice = [speech(1), constant(0, 2), speech(1)].concat();
    for (wish, expected) in [("", &["finish"][..]), ("?endpoint=dictation", &["silence", "finish"])] {
        let events = post(service.port, &format!("/v1/transcribe/stream{wish}"), &twice).await;
        let objects = events.lines().filter_map(|line| line.strip_prefix("data: "));
        let objects = objects.map(|object| serde_json::from_str::<Value>(object).expect("JSON"));
        let finals: Vec<_> = objects.filter(|object| object["type"] == "final").collect();
        let reasons: Vec<_> = finals.iter().filter_map(|last| last["endpoint_reason"].as_str()).collect();
        assert_eq!(reasons, expected, "{wish}");
        // What the scripted model hears depends on where the recording was cut.
        let texts: Vec<_> = finals.iter().filter_map(|last| last["text"].as_str()).collect();
        let answer = post(service.port, &format!("/v1/transcribe{wish}"), &twice).await;
        assert!(answer.contains(&format!(r#""text":"{}""#, texts.join(" "))), "{answer}");
    }
    let mut client = Client::connect(service.port, "/v1/ws").await;
    client.say(&twice).await;
    assert_eq!(client.last().await["endpoint_reason"], "silence");
    client.send(r#"{"type":"stop"}"#).await;
    assert_eq!(client.rest().await.1, 1000);
    assert_eq!(service.end().await, Ended::Drained);
}

/// The model stays in a call: the request ends all the same, and its work with it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_takes_too_long_or_whose_client_left_is_cancelled() {
    let engine = Engine::fake(HUNG, 2).expect("the scripted model");
    let (service, _loaded) = start_with(Some(engine.clone()), "request_timeout_secs = 1").await;
    let sessions = || engine.stats().expect("no fork").sessions;
    let answer = post(service.port, "/v1/transcribe", &speech(2)).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains(r#""code":"timeout""#), "{answer}");
    assert!(answer.contains("retry-after: 1\r\n") && answer.contains(r#""retry_after_ms":1000"#), "{answer}");
    let events = post(service.port, "/v1/transcribe/stream", &speech(2)).await;
    assert!(events.contains(r#""type":"error""#) && events.contains(r#""code":"timeout""#), "{events}");
    until(|| sessions() == 0).await;
    assert_eq!(service.end().await, Ended::Drained);

    let (service, _loaded) = start_with(Some(engine.clone()), "").await;
    for path in ["/v1/transcribe", "/v1/transcribe/stream"] {
        let upload = Upload::whole(service.port, path, &speech(2)).await;
        until(|| sessions() == 1).await;
        drop(upload);
        until(|| sessions() == 0).await;
    }
    assert_eq!(service.end().await, Ended::Drained);
}

async fn until(mut condition: impl FnMut() -> bool) {
    let waiting = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(120), waiting).await.expect("the condition came true");
}

/// The loading ended, and there is no engine.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_model_no_work_is_taken() {
    let (service, loaded) = start_with(None, "").await;
    drop(loaded);
    let answer = post(service.port, "/v1/transcribe", &speech(1)).await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains(r#""code":"pool_closed""#), "{answer}");
    let (told, code) = Client::connect_ungreeted(service.port, "/v1/ws").await.all().await;
    assert_eq!((&told[0]["code"], code), (&"pool_closed".into(), 1013));
    assert_eq!(service.end().await, Ended::Drained);
}

/// As a host does it: with an engine of its own and a sender that ends it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_embedded_service_drains_when_it_is_told() {
    let free = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
    let port = free.local_addr().expect("an address").port();
    drop(free);
    let given: Given = toml::from_str(&format!("port = {port}")).expect("settings");
    let engine = Engine::fake(Script::default(), 1).expect("the scripted model");
    let (shutdown, told) = oneshot::channel();
    let settings = Settings::new(&given).expect("settings");
    let ended = tokio::spawn(run_with_shutdown(engine, settings, told));
    while tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_err() {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let mut client = Client::connect(port, "/v1/ws?endpoint=manual").await;
    client.say(&speech(2)).await;
    client.partial().await;
    shutdown.send(()).expect("it runs");
    let (finals, code) = client.rest().await;
    assert_eq!((finals.len(), code), (1, 1001));
    assert_eq!(finals[0]["endpoint_reason"], "shutdown");
    assert_eq!(ended.await.expect("no panic").expect("no failure"), Ended::Drained);
}
