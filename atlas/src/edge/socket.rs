//! The socket of one player: a byte count under TLS, small buffers above it.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_rustls::server::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::fragments::{FragmentError, Guarded};

/// Read and write buffer per connection. The library's default of 128 KiB would be the largest part
/// of an idle player.
const BUFFER_BYTES: usize = 4 * 1024;
/// What the kernel may hold for a client that does not read: small, so that credit follows what the
/// client takes. Linux doubles it.
pub const KERNEL_SEND_BYTES: u32 = 32 * 1024;

/// A player's connection.
pub type Socket = WebSocketStream<Guarded<TlsStream<Counted>>>;

/// A TCP stream that counts the bytes the kernel took, so that a client that reads slowly can be told
/// from one that does not read.
#[derive(Debug)]
pub struct Counted {
    stream: TcpStream,
    written: Arc<AtomicU64>,
}

impl Counted {
    /// Counts from zero.
    pub fn new(stream: TcpStream) -> Self {
        Self { stream, written: Arc::default() }
    }
}

/// Bytes that the kernel has taken for this client so far.
pub fn written(socket: &Socket) -> u64 {
    socket.get_ref().get_ref().get_ref().0.written.load(Ordering::Relaxed)
}

/// A WebSocket on an upgraded connection; `read` is what was received beyond the request.
///
/// # Errors
///
/// [`FragmentError`] where that is no proper beginning already.
pub async fn open(
    stream: TlsStream<Counted>,
    read: Vec<u8>,
    max_message_bytes: usize,
) -> Result<Socket, FragmentError> {
    let stream = Guarded::new(stream, &read)?;
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_message_size(Some(max_message_bytes))
        .max_frame_size(Some(max_message_bytes));
    Ok(WebSocketStream::from_partially_read(stream, read, Role::Server, Some(config)).await)
}

impl AsyncRead for Counted {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buffer)
    }
}

impl AsyncWrite for Counted {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write(cx, bytes);
        if let Poll::Ready(Ok(taken)) = result {
            self.written.fetch_add(taken as u64, Ordering::Relaxed);
        }
        result
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let result = Pin::new(&mut self.stream).poll_write_vectored(cx, slices);
        if let Poll::Ready(Ok(taken)) = result {
            self.written.fetch_add(taken as u64, Ordering::Relaxed);
        }
        result
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
