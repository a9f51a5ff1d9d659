//! Which stay of the player this is.

use horizon_model::{EdgeId, Epoch, SessionId};
use horizon_protocol::client::Spelling;
use rkyv::{Archive, Deserialize, Serialize};

use super::capsule_part;

/// The session as the region knows it; the store's session record is above it.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct SessionState {
    /// The stay: input and event numbers belong to it.
    pub session: SessionId,
    /// Session epoch: words of edges with a lower one are ignored.
    pub session_epoch: Epoch,
    /// How bodies and payloads are spelled.
    pub spelling: Spelling,
    /// The edge that holds the socket.
    pub edge: EdgeId,
    /// Display name.
    pub name: String,
}

capsule_part!(SessionState, "horizon.session");
