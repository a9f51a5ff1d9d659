//! How a connection ends: the last message, the code that says why, and how long both may take.

use std::time::Duration;

use futures_util::SinkExt;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::socket::Socket;

/// Time for a last message and a close to reach the client.
const FAREWELL: Duration = Duration::from_millis(500);

/// Says `message`, if there is one, and closes, as far as the client takes it in time.
pub(super) async fn farewell(
    socket: &mut Socket,
    message: Option<Message>,
    code: CloseCode,
    reason: &'static str,
) {
    let farewell = async {
        if let Some(message) = message {
            socket.send(message).await?;
        }
        socket.close(Some(CloseFrame { code, reason: reason.into() })).await
    };
    let _ = timeout(FAREWELL, farewell).await;
}
