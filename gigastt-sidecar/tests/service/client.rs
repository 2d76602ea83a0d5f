//! Clients of the WebSocket and of HTTP.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use gigastt_core::fake::{FRAME, amplitude};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

/// Nothing here takes long; a wait that reaches this has failed.
const PATIENCE: Duration = Duration::from_secs(120);

pub(crate) struct Client {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// Seconds of speech of the scripted model, at 16 kHz: words that change every second.
pub(crate) fn speech(seconds: u32) -> Vec<u8> {
    (1..=seconds).flat_map(|word| constant(word, 1)).collect()
}

/// Seconds of one word of the scripted model, at 16 kHz.
pub(crate) fn constant(word: u32, seconds: usize) -> Vec<u8> {
    let sample = (amplitude(word) * 32_768.0) as i16;
    std::iter::repeat_n(sample.to_le_bytes(), seconds * 25 * FRAME).flatten().collect()
}

/// The answer to a request of HTTP.
pub(crate) async fn get(port: u16, path: &str) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("a connection");
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.expect("an open connection");
    Upload { stream, answer: Vec::new() }.rest().await
}

/// The answer to a recording that is sent whole.
pub(crate) async fn post(port: u16, path: &str, pcm: &[u8]) -> String {
    Upload::whole(port, path, pcm).await.rest().await
}

impl Client {
    /// Connects and is greeted.
    pub(crate) async fn connect(port: u16, path: &str) -> Self {
        let mut client = Self::connect_ungreeted(port, path).await;
        let ready = client.next().await.expect("a greeting");
        assert_eq!(ready["type"], "ready", "{ready}");
        client.send(r#"{"type":"configure","sample_rate":16000}"#).await;
        client
    }

    pub(crate) async fn connect_ungreeted(port: u16, path: &str) -> Self {
        let address = format!("ws://127.0.0.1:{port}{path}");
        let (socket, _) = tokio_tungstenite::connect_async(address).await.expect("a connection");
        Self { socket }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.expect("an open connection");
    }

    pub(crate) async fn say(&mut self, pcm: &[u8]) {
        for piece in pcm.chunks(32_000) {
            self.socket.send(Message::binary(piece.to_vec())).await.expect("an open connection");
        }
    }

    /// Waits for a partial with text.
    pub(crate) async fn partial(&mut self) {
        loop {
            let object = self.next().await.expect("a partial");
            if object["type"] == "partial" && object["text"] != "" {
                return;
            }
        }
    }

    /// Waits for a final.
    pub(crate) async fn last(&mut self) -> Value {
        loop {
            let object = self.next().await.expect("a final");
            if object["type"] == "final" {
                return object;
            }
        }
    }

    /// The finals up to Close, and its code.
    pub(crate) async fn rest(self) -> (Vec<Value>, u16) {
        let (told, code) = self.all().await;
        (told.into_iter().filter(|object| object["type"] == "final").collect(), code)
    }

    /// Leaves in order.
    pub(crate) async fn close(mut self) {
        self.socket.close(None).await.expect("an open connection");
        while let Some(Ok(_)) = self.socket.next().await {}
    }

    /// Everything up to Close, and its code.
    pub(crate) async fn all(mut self) -> (Vec<Value>, u16) {
        let mut told = Vec::new();
        loop {
            match self.message().await {
                Message::Text(text) => told.push(serde_json::from_str(&text).expect("JSON")),
                Message::Close(frame) => {
                    let code = frame.expect("a code").code.into();
                    // The answer to it goes out with the end of the stream.
                    while let Some(Ok(_)) = self.socket.next().await {}
                    return (told, code);
                }
                _ => {}
            }
        }
    }

    async fn next(&mut self) -> Option<Value> {
        loop {
            match self.message().await {
                Message::Text(text) => return serde_json::from_str(&text).ok(),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    async fn message(&mut self) -> Message {
        let message = tokio::time::timeout(PATIENCE, self.socket.next()).await.expect("a message in time");
        message.expect("no end without Close").expect("no end without Close")
    }
}

/// An upload.
pub(crate) struct Upload {
    stream: TcpStream,
    answer: Vec<u8>,
}

impl Upload {
    /// Sends a recording to which more is promised.
    pub(crate) async fn begin(port: u16, path: &str, pcm: &[u8]) -> Self {
        Self::send(port, path, pcm, 2).await
    }

    /// Sends a recording to its end.
    pub(crate) async fn whole(port: u16, path: &str, pcm: &[u8]) -> Self {
        Self::send(port, path, pcm, 1).await
    }

    /// Sends a form that asks for events, with a recording to which more is promised.
    pub(crate) async fn form(port: u16, path: &str, pcm: &[u8]) -> Self {
        let fields = "--x\r\nContent-Disposition: form-data; name=\"stream\"\r\n\r\ntrue\r\n\
                      --x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.wav\"\r\n\r\n";
        let body = [fields.as_bytes(), &wav_head(), pcm].concat();
        Self::send_as("multipart/form-data; boundary=x", port, path, &body, 2).await
    }

    async fn send(port: u16, path: &str, pcm: &[u8], promised: usize) -> Self {
        Self::send_as("audio/wav", port, path, &[&wav_head(), pcm].concat(), promised).await
    }

    async fn send_as(kind: &str, port: u16, path: &str, body: &[u8], promised: usize) -> Self {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await.expect("a connection");
        let length = promised * body.len();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Type: {kind}\r\n\
             Content-Length: {length}\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), body].concat()).await.expect("an open connection");
        Self { stream, answer: Vec::new() }
    }

    /// Reads until the answer holds `text`.
    pub(crate) async fn until(&mut self, text: &str) {
        while !self.text().contains(text) {
            assert!(self.read().await > 0, "it ended without {text}: {}", self.text());
        }
    }

    /// The whole answer.
    pub(crate) async fn rest(mut self) -> String {
        while self.read().await > 0 {}
        self.text()
    }

    async fn read(&mut self) -> usize {
        let read = self.stream.read_buf(&mut self.answer);
        tokio::time::timeout(PATIENCE, read).await.expect("an answer in time").expect("an answer")
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.answer).into_owned()
    }
}

/// The head of a wav of 16 kHz whose length nobody knows yet.
fn wav_head() -> Vec<u8> {
    let unknown = u32::MAX.to_le_bytes();
    let mut head = [b"RIFF".as_slice(), &unknown, b"WAVEfmt ", &16_u32.to_le_bytes()].concat();
    for value in [1_u16, 1, 16_000, 0, 32_000, 0, 2, 16] {
        head.extend(value.to_le_bytes());
    }
    [&head, b"data".as_slice(), &unknown].concat()
}
