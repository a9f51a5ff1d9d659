//! Client messages in the session's spelling, as WebSocket messages.

use horizon_model::{Epoch, Tick};
use horizon_protocol::client::{
    ClientMessage, DecodeError, MAX_HELLO_BYTES, Problem, Progress, SUBPROTOCOL_BINARY, SUBPROTOCOL_JSON,
    ServerMessage, Spelling, binary, json,
};
use tokio_tungstenite::tungstenite::Message;

/// Why a WebSocket message is not one of the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// Text where the subprotocol is binary, or the other way round.
    #[error("{0} takes {1} messages")]
    Kind(&'static str, &'static str),
    /// Longer than a hello may be.
    #[error("a hello is at most {MAX_HELLO_BYTES} bytes")]
    HelloSize,
    /// Not a message.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

impl ReadError {
    /// The version the client speaks, where that is what is wrong.
    pub const fn version(&self) -> Option<u16> {
        match self {
            Self::Decode(DecodeError { problem: Problem::Version { theirs }, .. }) => Some(*theirs),
            _ => None,
        }
    }
}

/// The spelling that the first known name in a list of subprotocols stands for, and that name.
pub fn choose(offered: &str) -> Option<(Spelling, &'static str)> {
    offered.split(',').find_map(|name| match name.trim() {
        SUBPROTOCOL_BINARY => Some((Spelling::Binary, SUBPROTOCOL_BINARY)),
        SUBPROTOCOL_JSON => Some((Spelling::Json, SUBPROTOCOL_JSON)),
        _ => None,
    })
}

/// Reads a data message of a client.
///
/// # Errors
///
/// [`ReadError`]; the text is meant for whoever writes the client.
pub fn read(spelling: Spelling, message: &Message) -> Result<ClientMessage, ReadError> {
    match (spelling, message) {
        (Spelling::Binary, Message::Binary(bytes)) => Ok(binary::decode_client(bytes)?),
        (Spelling::Json, Message::Text(text)) => Ok(json::decode_client(text)?),
        (Spelling::Binary, _) => Err(ReadError::Kind(SUBPROTOCOL_BINARY, "binary")),
        (Spelling::Json, _) => Err(ReadError::Kind(SUBPROTOCOL_JSON, "text")),
    }
}

/// Writes a message to a client.
pub fn write(spelling: Spelling, message: &ServerMessage) -> Message {
    match spelling {
        Spelling::Binary => {
            let mut out = Vec::with_capacity(64);
            binary::encode_server(message, &mut out);
            Message::binary(out)
        }
        Spelling::Json => {
            let mut out = String::with_capacity(128);
            json::encode_server(message, &mut out);
            Message::text(out)
        }
    }
}

/// Wraps a region's body into a state frame; one copy, unread.
pub fn write_state(
    spelling: Spelling,
    epoch: Option<Epoch>,
    tick: Tick,
    progress: Option<Progress>,
    body: &[u8],
) -> Message {
    match spelling {
        Spelling::Binary => {
            let mut out = Vec::with_capacity(body.len() + 32);
            binary::state_header(epoch, tick, progress, &mut out);
            out.extend_from_slice(body);
            Message::binary(out)
        }
        Spelling::Json => {
            let mut out = String::with_capacity(body.len() + 128);
            json::wrap_state(epoch, tick, progress, body, &mut out);
            Message::text(out)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_known_subprotocol_is_chosen() {
        assert_eq!(choose("chat, horizon.v1.json, horizon.v1").map(|c| c.1), Some(SUBPROTOCOL_JSON));
        assert_eq!(choose("horizon.v1").map(|c| c.0), Some(Spelling::Binary));
        assert_eq!(choose("horizon.v2"), None);
    }

    #[test]
    fn the_kind_of_message_follows_the_subprotocol() {
        let text = Message::text(r#"{"t":"bye"}"#);
        assert_eq!(read(Spelling::Json, &text), Ok(ClientMessage::Bye));
        assert!(matches!(read(Spelling::Binary, &text), Err(ReadError::Kind(..))));
    }
}
