//! Region side of a session: what travels with the player.
//!
//! ```text
//!   client ── reliable input 1, 2, 3 … ──▶ InputLane   ── in order, each once ──▶ handlers
//!          ── movement samples ──────────▶ MoveBuffer  ── newest per step ──────▶ body
//!          ◀── reliable events 1, 2, 3 …── EventTail   ◀── kept until acknowledged
//! ```
//!
//! Invariant: numbers belong to the session, not to the region or the connection. The lanes are plain
//! data inside the capsule, so the next owner counts on where the last one stopped: no input is applied
//! twice or skipped, no event is numbered twice.

mod events;
mod inputs;
mod moves;
mod session;

pub use events::{EventTail, Full, MAX_TAIL_BYTES, NumberedEvent};
pub use inputs::{Admission, InputLane, MAX_HELD_INPUTS};
pub use moves::{MAX_MOVE_SAMPLES, MoveBuffer};
pub use session::SessionState;

/// Bytes that are not the lane they are said to be. They come from a capsule, so this is corruption or
/// another build: refuse the entity and alarm.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the capsule's {lane} does not read: {reason}")]
pub struct ReadLaneError {
    lane: &'static str,
    reason: String,
}

/// `encode` and `decode` of one lane, as a part of a capsule.
macro_rules! capsule_part {
    ($name:ident, $lane:literal) => {
        impl $name {
            /// Name of this part in a capsule.
            pub const PART: &'static str = $lane;

            /// The bytes of this part.
            pub fn encode(&self) -> Vec<u8> {
                rkyv::to_bytes::<rkyv::rancor::Error>(self).expect("plain data always encodes").into_vec()
            }

            /// Reads what [`Self::encode`] wrote.
            ///
            /// # Errors
            ///
            /// [`ReadLaneError`](crate::lanes::ReadLaneError) on anything else.
            pub fn decode(bytes: &[u8]) -> Result<Self, crate::lanes::ReadLaneError> {
                let mut aligned = rkyv::util::AlignedVec::<16>::with_capacity(bytes.len());
                aligned.extend_from_slice(bytes);
                rkyv::from_bytes::<Self, rkyv::rancor::Error>(&aligned)
                    .map_err(|error| crate::lanes::ReadLaneError { lane: $lane, reason: error.to_string() })
            }
        }
    };
}
use capsule_part;

#[cfg(test)]
mod tests;
