//! The driver of a [`Conn`]: carries frames, events and the time to it, and out what it says.

use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, Utf8Bytes, WebSocket};
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use gigastt_core::{Error, Options, Recognizer, Result};
use serde::Serialize;
use tokio::time::Instant;

use super::conn::{Action, CLOSE_WAIT, Conn, Frame, Heard, Limits, Outcome, PING};
use super::gauge::Gauge;
use super::work::{Done, work};
use super::{App, admission, wire};
use crate::messages;

/// How a conversation is set up.
pub(crate) struct Terms {
    pub limits: Limits,
    pub ready: wire::Ready,
    pub options: Options,
    /// How long it waits to be admitted.
    pub checkout: Duration,
}

/// Leads the conversation to its end.
pub(crate) async fn converse(app: App, socket: WebSocket, terms: Terms) -> Outcome {
    let mut driver = Driver::new(app, socket, terms);
    while !driver.conn.is_gone() {
        driver.act();
        driver.step().await;
    }
    // What is buffered goes out if the client takes it. Either way the connection is over.
    let _ = tokio::time::timeout(CLOSE_WAIT, driver.outlet.sink.close()).await;
    driver.conn.outcome().unwrap_or(Outcome::Error)
}

type Opening = Pin<Box<dyn Future<Output = Result<Recognizer>> + Send>>;

struct Driver {
    app: App,
    conn: Conn,
    started: Instant,
    checkout: Duration,
    recognizer: Option<Recognizer>,
    opening: Option<Opening>,
    inlet: SplitStream<WebSocket>,
    outlet: Outlet,
    told_of_drain: bool,
    gauge: Gauge,
}

impl Driver {
    fn new(app: App, socket: WebSocket, terms: Terms) -> Self {
        let (sink, inlet) = socket.split();
        Self {
            gauge: Gauge::new(app.metrics.clone()),
            app,
            conn: Conn::new(terms.limits, terms.ready, terms.options),
            started: Instant::now(),
            checkout: terms.checkout,
            recognizer: None,
            opening: None,
            inlet,
            outlet: Outlet { sink, unflushed: false },
            told_of_drain: false,
        }
    }

    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Does what the conversation wants of the recognizer.
    fn act(&mut self) {
        while let Some(action) = self.conn.next_action() {
            let result = match (action, &mut self.recognizer) {
                // Who was admitted keeps the place, whoever waits.
                (Action::Open(options), Some(recognizer)) => recognizer.restart(*options).map(|()| {
                    self.conn.opened(self.started.elapsed(), &self.app.model());
                }),
                (Action::Open(options), None) => {
                    self.opening = Some(open(self.app.clone(), *options, self.checkout));
                    Ok(())
                }
                (Action::Cancel, recognizer) => {
                    *recognizer = None;
                    self.opening = None;
                    Ok(())
                }
                (Action::ForceEndpoint, Some(recognizer)) => recognizer.force_endpoint(),
                (Action::Finish(reason), Some(recognizer)) => recognizer.close(reason),
                (Action::Hurry(left), Some(recognizer)) => recognizer.hurry(left).map(drop),
                (Action::ForceEndpoint | Action::Finish(_) | Action::Hurry(_), None) => Ok(()),
            };
            if let Err(error) = result {
                self.failed(&error);
            }
        }
    }

    /// Waits for whatever happens next and tells it.
    async fn step(&mut self) {
        let alarm = self.conn.timeout().map(|at| self.started + at);
        tokio::select! {
            biased;
            () = self.app.drain.signal(), if !self.told_of_drain => {
                self.told_of_drain = true;
                let by = self.app.drain.finals_by().saturating_duration_since(self.started);
                self.conn.shutdown(self.started.elapsed(), by);
            }
            () = sleep_until(alarm) => self.conn.tick(self.started.elapsed()),
            sent = self.outlet.work(self.conn.has_frame()) => match sent {
                Ok(Sent::Ready) => if let Some(frame) = self.conn.next_frame() {
                    self.outlet.start(frame);
                },
                Ok(Sent::Flushed) => {}
                Err(_) => self.conn.heard(self.started.elapsed(), Heard::Left),
            },
            opened = pending(&mut self.opening) => self.opened(opened),
            done = listen(&mut self.recognizer, self.conn.audio(), self.conn.wants_events()) => self.worked(done),
            message = self.inlet.next(), if self.conn.wants_read() => {
                self.conn.heard(self.started.elapsed(), heard(message));
            }
        }
        self.gauge.look(self.conn.state(), self.recognizer.as_ref());
        // A client that sends without a pause shares its thread.
        tokio::task::consume_budget().await;
    }

    fn opened(&mut self, opened: Result<Recognizer>) {
        self.opening = None;
        let now = self.now();
        match opened {
            Ok(recognizer) => {
                self.recognizer = Some(recognizer);
                self.conn.opened(now, &self.app.model());
            }
            Err(error) => self.conn.refused(now, admission::trouble(error.kind(), self.checkout)),
        }
    }

    fn worked(&mut self, done: Result<Done>) {
        let now = self.now();
        match done {
            Ok(Done::Event(event)) => {
                self.gauge.event(&event);
                self.conn.event(now, event);
            }
            Ok(Done::Took(samples)) => {
                self.gauge.took(self.recognizer.as_ref());
                self.conn.took(now, samples);
            }
            Err(error) => self.failed(&error),
        }
    }

    fn failed(&mut self, error: &Error) {
        tracing::error!(%error, "a conversation failed");
        self.conn.failed(self.now(), error);
    }
}

fn open(app: App, options: Options, checkout: Duration) -> Opening {
    Box::pin(async move {
        let engine = app.engine(checkout).await?;
        let most = app.settings.load().max_sessions;
        app.admission.open(&engine, &options, checkout, most).await
    })
}

async fn pending(opening: &mut Option<Opening>) -> Result<Recognizer> {
    match opening {
        Some(opening) => opening.await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(alarm: Option<Instant>) {
    match alarm {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

/// As [`work`], where there is a recognizer.
async fn listen(recognizer: &mut Option<Recognizer>, audio: &[i16], events: bool) -> Result<Done> {
    match recognizer {
        Some(recognizer) => work(recognizer, audio, events).await,
        None => std::future::pending().await,
    }
}

/// What a message of the socket is to the conversation.
fn heard(message: Option<std::result::Result<Message, axum::Error>>) -> Heard {
    match message {
        Some(Ok(Message::Text(text))) => Heard::Text(text.as_str().to_owned()),
        Some(Ok(Message::Binary(bytes))) => Heard::Binary(bytes),
        Some(Ok(Message::Ping(_))) => Heard::Ping,
        Some(Ok(Message::Pong(bytes))) => Heard::Pong { ours: bytes == PING },
        Some(Ok(Message::Close(_))) | None => Heard::Left,
        Some(Err(error)) => unreadable(&error),
    }
}

fn unreadable(error: &axum::Error) -> Heard {
    use tungstenite::Error as Ws;
    let source = std::error::Error::source(error).and_then(|source| source.downcast_ref::<Ws>());
    match source {
        Some(Ws::Capacity(_)) => Heard::TooLarge,
        Some(Ws::Protocol(tungstenite::error::ProtocolError::ResetWithoutClosingHandshake)) => Heard::Left,
        Some(Ws::Protocol(_) | Ws::Utf8(_)) => Heard::Malformed,
        _ => Heard::Left,
    }
}

/// The sending half. A frame is begun when the one before is on its way, so one is buffered at most.
struct Outlet {
    sink: SplitSink<WebSocket, Message>,
    unflushed: bool,
}

/// What became of the sending half.
enum Sent {
    /// A frame can be begun.
    Ready,
    /// Everything is on its way.
    Flushed,
}

impl Outlet {
    /// Until a frame can be begun, if there is one, else until what is buffered went out.
    async fn work(&mut self, has_frame: bool) -> std::result::Result<Sent, axum::Error> {
        poll_fn(|context| {
            if has_frame {
                return self.sink.poll_ready_unpin(context).map_ok(|()| Sent::Ready);
            }
            if !self.unflushed {
                return Poll::Pending;
            }
            let flushed = std::task::ready!(self.sink.poll_flush_unpin(context));
            self.unflushed = false;
            Poll::Ready(flushed.map(|()| Sent::Flushed))
        })
        .await
    }

    fn start(&mut self, frame: Frame) {
        // A failure shows in the next `work`.
        let _ = self.sink.start_send_unpin(message(frame));
        self.unflushed = true;
    }
}

fn message(frame: Frame) -> Message {
    match frame {
        Frame::Ready(ready) => Message::text(json(&ready)),
        Frame::Message(message) => Message::text(json(&message.at(messages::now()))),
        Frame::Ping => Message::Ping(PING.into()),
        Frame::Close(code, reason) => {
            Message::Close(Some(CloseFrame { code, reason: Utf8Bytes::from_static(reason) }))
        }
    }
}

fn json(object: &impl Serialize) -> String {
    // Our objects hold no maps with other keys than strings, which is all that could fail.
    serde_json::to_string(object).unwrap_or_default()
}
