//! What edges and region servers say to each other, as rkyv frames over QUIC.
//!
//! One connection per pair of processes. A fixed [`Preamble`] opens it and names both versions when it
//! refuses; after that every frame is one archived message of the direction's enum, read through
//! checked access. Which stream a message travels on is its [`Lane`].

mod edge;
mod peer;
mod region;

use horizon_model::{EdgeId, WorkerId, WorldId};
use rkyv::{Archive, Deserialize, Serialize};

pub use edge::{
    AttachRecord, Band, BandEntry, EdgeToRegion, EntityKey, FrameOut, HandoffReport, MapEntry, OpenSession,
    Placement, RegionToEdge, Registration, StateBatch, Summary, Tables, TrackedEntity,
};
pub use peer::EdgeToEdge;
pub use region::{
    Change, Edit, FinalState, GhostBatch, Hull, Offer, Part, PartChange, Post, PostTarget, PresyncState,
    RefuseReason, RegionToRegion,
};

/// Version of the link protocol. Both ends must agree; a refusal names both.
pub const VERSION: u32 = 6;
/// Longest frame on a link in bytes: a capsule of 64 KiB with room for its envelope, many times over.
pub const MAX_FRAME_BYTES: usize = 4 * 1024 * 1024;
/// Streams that carry the reliable data of sessions; a session stays on one.
pub const SESSION_SHARDS: u8 = 4;

/// First bytes on a new connection, in a layout that never changes: magic, version, role.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Preamble {
    /// [`VERSION`] of the sender.
    pub version: u32,
    /// Which world it serves.
    pub world: WorldId,
    /// Who it is.
    pub role: Role,
}

/// Who speaks on a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// An Atlas process.
    Edge(EdgeId),
    /// A region server.
    Region(WorkerId),
}

/// A preamble that cannot be followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PreambleError {
    /// Not our protocol at all.
    #[error("the peer does not speak the Horizon link protocol")]
    Magic,
    /// The builds differ; upgrade the older one.
    #[error("the peer speaks link version {theirs}, this process {ours}; run the same build on both")]
    Version {
        /// What the peer said.
        theirs: u32,
        /// [`VERSION`].
        ours: u32,
    },
    /// Neither edge nor region.
    #[error("the peer names an unknown role {0}")]
    Role(u8),
}

impl Preamble {
    /// Size on the wire.
    pub const BYTES: usize = 4 + 4 + 4 + 1 + 8;
    const MAGIC: [u8; 4] = *b"HZNL";

    /// The bytes to send.
    pub fn encode(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        out[..4].copy_from_slice(&Self::MAGIC);
        out[4..8].copy_from_slice(&self.version.to_le_bytes());
        out[8..12].copy_from_slice(&self.world.0.to_le_bytes());
        let (kind, id) = match self.role {
            Role::Edge(id) => (0, id.0),
            Role::Region(id) => (1, id.0),
        };
        out[12] = kind;
        out[13..].copy_from_slice(&id.to_le_bytes());
        out
    }

    /// Reads what a peer sent.
    ///
    /// # Errors
    ///
    /// [`PreambleError`]; the version is looked at before anything that a later version may change.
    pub fn decode(bytes: &[u8; Self::BYTES]) -> Result<Self, PreambleError> {
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        if bytes[..4] != Self::MAGIC {
            return Err(PreambleError::Magic);
        }
        if word(4) != VERSION {
            return Err(PreambleError::Version { theirs: word(4), ours: VERSION });
        }
        let id = u64::from_le_bytes(bytes[13..].try_into().expect("eight bytes"));
        let role = match bytes[12] {
            0 => Role::Edge(EdgeId(id)),
            1 => Role::Region(WorkerId(id)),
            other => return Err(PreambleError::Role(other)),
        };
        Ok(Self { version: word(4), world: WorldId(word(8)), role })
    }
}

/// Which stream a frame travels on, so that nobody's lost packet is everybody's stall.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Lane {
    /// Handoff, lease, placement, routing. First.
    Control,
    /// Reliable data of the sessions of one shard.
    Session(u8),
    /// Pre-sync of players who may cross. Last, and paced.
    Presync,
    /// One tick's state, a stream of its own that is given up when it is two ticks old.
    Batch,
}

impl Lane {
    /// The lane of a session's reliable data.
    pub const fn of_player(player: horizon_model::PlayerId) -> Self {
        Self::Session((player.0 % SESSION_SHARDS as u128) as u8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_preamble_reads_back_and_a_refusal_names_both_versions() {
        let preamble = Preamble { version: VERSION, world: WorldId(7), role: Role::Region(WorkerId(9)) };
        assert_eq!(Preamble::decode(&preamble.encode()), Ok(preamble));
        let mut newer = preamble.encode();
        newer[4] = 9;
        let error = Preamble::decode(&newer).expect_err("another version");
        assert_eq!(error, PreambleError::Version { theirs: 9, ours: VERSION });
        assert!(error.to_string().contains('9') && error.to_string().contains(&VERSION.to_string()));
    }
}
