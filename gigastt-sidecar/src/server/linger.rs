//! Closing a connection so that the client still reads our last words.
//!
//! When a socket is closed while unread bytes of the client are in it, the system resets the connection, and
//! the client may lose what it has not read: the 413 for the upload it is still sending, or the Close frame.
//! So what the client still sends is read away for a while first.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadBuf};

/// How long a client may go on sending, and how much.
const LINGER_MAX: Duration = Duration::from_secs(2);
const LINGER_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// A stream that is closed as above when it is dropped. What it keeps is dropped once it is closed.
pub(crate) struct Linger<S: Stream, K: Send + 'static> {
    inner: Option<(S, K)>,
}

/// What can be closed so.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send + 'static {}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Stream for S {}

impl<S: Stream, K: Send + 'static> Linger<S, K> {
    pub(crate) fn new(stream: S, keep: K) -> Self {
        Self { inner: Some((stream, keep)) }
    }

    fn stream(&mut self) -> io::Result<Pin<&mut S>> {
        match &mut self.inner {
            Some((stream, _)) => Ok(Pin::new(stream)),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }
}

impl<S: Stream, K: Send + 'static> Drop for Linger<S, K> {
    fn drop(&mut self) {
        if let (Some((stream, keep)), Ok(runtime)) =
            (self.inner.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn(async move {
                let _ = tokio::time::timeout(LINGER_MAX, read_away(stream)).await;
                drop(keep);
            });
        }
    }
}

async fn read_away(mut stream: impl Stream) -> io::Result<()> {
    stream.shutdown().await?;
    let mut rest = stream.take(LINGER_BYTES_MAX);
    let mut buffer = [0; 4096];
    while rest.read(&mut buffer).await? > 0 {}
    Ok(())
}

impl<S: Stream, K: Send + 'static + Unpin> AsyncRead for Linger<S, K> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.stream()?.poll_read(context, buffer)
    }
}

impl<S: Stream, K: Send + 'static + Unpin> AsyncWrite for Linger<S, K> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.stream()?.poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream()?.poll_shutdown(context)
    }
}
