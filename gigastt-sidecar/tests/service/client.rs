//! A client of the WebSocket.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use gigastt_core::fake::{FRAME, amplitude};
use serde_json::Value;
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
    let words = (1..=seconds).flat_map(|word| std::iter::repeat_n(amplitude(word), 25 * FRAME));
    words.flat_map(|sample| ((sample * 32_768.0) as i16).to_le_bytes()).collect()
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
