//! Names. Each is unique without coordination, and none is reused.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use rkyv::{Archive, Deserialize, Serialize};

use crate::Epoch;

/// A text that names nothing: the expected form is in the message.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct ParseIdError {
    text: String,
    expected: &'static str,
}

macro_rules! integer_id {
    ($(#[$doc:meta])* $name:ident, $raw:ty, $width:literal, $expected:literal) => {
        $(#[$doc])*
        #[derive(Archive, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[rkyv(derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug))]
        pub struct $name(pub $raw);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!("{:0", $width, "x}"), self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                <$raw>::from_str_radix(text, 16)
                    .map(Self)
                    .map_err(|_| ParseIdError { text: text.to_owned(), expected: $expected })
            }
        }
    };
}

integer_id! {
    /// One world: a room, a layer or a match is a world of its own. Every key begins with it.
    WorldId, u32, "8", "a world id of up to 8 hexadecimal digits"
}
integer_id! {
    /// An account: the same player in every session. From the identity token.
    PlayerId, u128, "32", "a player id of 32 hexadecimal digits"
}
integer_id! {
    /// One stay of one player; survives reconnects. Random; input numbers belong to it.
    SessionId, u128, "32", "a session id of 32 hexadecimal digits"
}
integer_id! {
    /// One region of the map.
    RegionId, u16, "4", "a region id of up to 4 hexadecimal digits"
}
integer_id! {
    /// One life of one region-server process. Random at each start, so a restart is another holder.
    WorkerId, u64, "16", "a worker id of 16 hexadecimal digits"
}
integer_id! {
    /// One life of one Atlas process. Random at each start.
    EdgeId, u64, "16", "an edge id of 16 hexadecimal digits"
}
integer_id! {
    /// The nonce of one attempt to move authority, so that a repeated message is recognised.
    HandoffId, u128, "32", "a handoff id of 32 hexadecimal digits"
}

/// Names one replicated entity for its whole life, in every region it visits.
///
/// The spawning region mints it: 16 bits region, 16 bits lease epoch, 32 bits counter from 1, so
/// that no restart mints it twice. Never zero, so `Option<EntityId>` still fits in eight bytes.
/// A string of 16 hexadecimal digits in JSON.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[rkyv(derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug))]
pub struct EntityId(NonZeroU64);

impl EntityId {
    /// The `counter`-th entity minted by `region` under lease `lease`; `None` for counter zero.
    pub const fn mint(region: RegionId, lease: Epoch, counter: u32) -> Option<Self> {
        if counter == 0 {
            return None;
        }
        Self::from_bits(((region.0 as u64) << 48) | ((lease.0 & 0xffff) << 32) | counter as u64)
    }

    /// The id with these raw bits, or `None` for the reserved zero.
    pub const fn from_bits(bits: u64) -> Option<Self> {
        match NonZeroU64::new(bits) {
            Some(bits) => Some(Self(bits)),
            None => None,
        }
    }

    /// The raw bits, as they travel.
    pub const fn bits(self) -> u64 {
        self.0.get()
    }

    /// The region that minted it. Where the store has no record of the entity, nobody else can own it.
    pub const fn minted_in(self) -> RegionId {
        RegionId((self.0.get() >> 48) as u16)
    }
}

impl fmt::Display for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for EntityId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for EntityId {
    type Err = ParseIdError;

    fn from_str(text: &str) -> Result<Self, ParseIdError> {
        u64::from_str_radix(text, 16).ok().and_then(Self::from_bits).ok_or_else(|| ParseIdError {
            text: text.to_owned(),
            expected: "an entity id of 16 hexadecimal digits",
        })
    }
}

const _: () = assert!(size_of::<Option<EntityId>>() == 8, "documented niche");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_back_what_they_print() {
        let id = EntityId::mint(RegionId(3), Epoch::new(1, 7), 9).expect("counter is not zero");
        assert_eq!(id.to_string(), "0003000700000009");
        assert_eq!("0003000700000009".parse(), Ok(id));
        assert!("0".parse::<EntityId>().is_err());
        assert_eq!(PlayerId(7).to_string().parse(), Ok(PlayerId(7)));
    }
}
