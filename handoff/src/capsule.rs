//! The state of one entity that crosses borders and survives crashes.
//!
//! ```text
//! bytes   u8 version = 1 · u32 parts · parts × { u16 name bytes · name · u32 bytes · bytes }
//! ```
//!
//! Integers are little-endian and parts are in the order of their names, so equal capsules have equal
//! bytes and equal hashes at both ends of a handoff.

use std::collections::BTreeMap;
use std::collections::btree_map;

use horizon_protocol::link::{Change, Part, PartChange};
use rkyv::{Archive, Deserialize, Serialize};

use crate::MAX_CAPSULE_BYTES;
use crate::edits::{self, EditError};

const VERSION: u8 = 1;
/// Odd, with bits all over: what one word changes is spread upwards.
const HASH_PRIME: u64 = 0x9e37_79b9_7f4a_7c15;
const HEADER_BYTES: usize = 1 + 4;
const PART_BYTES: usize = 2 + 4;

/// Named pieces of state: components, lanes, timers. Names are stable within an entity, so that two
/// versions of it differ only in the pieces that changed.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Default)]
pub struct Capsule {
    parts: BTreeMap<String, Vec<u8>>,
}

/// Bytes that are not a capsule. They come from a store or a peer of our own, so this is corruption
/// or a newer build: refuse the entity and alarm, never guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// More than [`MAX_CAPSULE_BYTES`].
    #[error("a capsule of {bytes} bytes, at most {MAX_CAPSULE_BYTES} are allowed")]
    TooLarge {
        /// Length of the input.
        bytes: usize,
    },
    /// Written by a build that knows another layout.
    #[error("capsule version {0}, this build reads {VERSION}")]
    Version(u8),
    /// Ends inside a field.
    #[error("capsule ends at byte {0}, inside a field")]
    Truncated(usize),
    /// A name that is not UTF-8, or not after the one before it.
    #[error("capsule part {0} has a name that is not text or out of order")]
    Name(usize),
    /// Bytes follow the last part.
    #[error("{0} bytes follow the last capsule part")]
    Trailing(usize),
}

impl Capsule {
    /// Longest name of a part, in bytes.
    pub const MAX_NAME_BYTES: usize = u16::MAX as usize;

    /// Without any part.
    pub const fn new() -> Self {
        Self { parts: BTreeMap::new() }
    }

    /// Sets one part and returns what it was.
    ///
    /// # Panics
    ///
    /// If `name` is longer than [`Self::MAX_NAME_BYTES`]; names are chosen by programs, not by peers.
    pub fn insert(&mut self, name: impl Into<String>, bytes: Vec<u8>) -> Option<Vec<u8>> {
        let name = name.into();
        assert!(name.len() <= Self::MAX_NAME_BYTES, "a part's name is a short text");
        self.parts.insert(name, bytes)
    }

    /// Removes one part and returns what it was.
    pub fn remove(&mut self, name: &str) -> Option<Vec<u8>> {
        self.parts.remove(name)
    }

    /// The bytes of one part.
    pub fn part(&self, name: &str) -> Option<&[u8]> {
        self.parts.get(name).map(Vec::as_slice)
    }

    /// All parts, in the order of their names.
    pub fn iter(&self) -> btree_map::Iter<'_, String, Vec<u8>> {
        self.parts.iter()
    }

    /// Length of [`Self::encode`] in bytes.
    pub fn size(&self) -> usize {
        self.parts.iter().fold(HEADER_BYTES, |sum, (name, bytes)| sum + PART_BYTES + name.len() + bytes.len())
    }

    /// Whether a store would take it. An entity whose capsule does not fit is not offered.
    pub fn fits(&self) -> bool {
        self.size() <= MAX_CAPSULE_BYTES
    }

    /// The bytes that travel and that the store keeps.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size());
        self.spell(|bytes| out.extend_from_slice(bytes));
        out
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] on anything that `encode` would not have written.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        if bytes.len() > MAX_CAPSULE_BYTES {
            return Err(DecodeError::TooLarge { bytes: bytes.len() });
        }
        let mut rest = Reader { bytes, at: 0 };
        let [version] = rest.array()?;
        if version != VERSION {
            return Err(DecodeError::Version(version));
        }
        let count = u32::from_le_bytes(rest.array()?) as usize;
        let mut parts = BTreeMap::new();
        for index in 0..count {
            let len = u16::from_le_bytes(rest.array()?);
            let name = std::str::from_utf8(rest.take(usize::from(len))?)
                .map_err(|_| DecodeError::Name(index))?
                .to_owned();
            if parts.last_key_value().is_some_and(|(last, _)| *last >= name) {
                return Err(DecodeError::Name(index));
            }
            let len = u32::from_le_bytes(rest.array()?);
            parts.insert(name, rest.take(len as usize)?.to_vec());
        }
        match bytes.len() - rest.at {
            0 => Ok(Self { parts }),
            trailing => Err(DecodeError::Trailing(trailing)),
        }
    }

    /// 64 bits over the parts and their lengths, eight bytes at a time: a storm hashes megabytes in one step.
    /// Finds mistakes, not attacks.
    pub fn hash(&self) -> u64 {
        let mut hash = 0xcbf2_9ce4_8422_2325_u64;
        let mut mix = |word: u64| hash = (hash ^ word).wrapping_mul(HASH_PRIME).rotate_left(29);
        for (name, bytes) in &self.parts {
            for text in [name.as_bytes(), bytes] {
                mix(text.len() as u64);
                let (words, rest) = text.as_chunks::<8>();
                words.iter().for_each(|word| mix(u64::from_le_bytes(*word)));
                let mut last = [0; 8];
                last[..rest.len()].copy_from_slice(rest);
                mix(u64::from_le_bytes(last));
            }
        }
        // What the last words changed reaches every bit.
        hash ^= hash >> 32;
        hash = hash.wrapping_mul(HASH_PRIME);
        hash ^ (hash >> 29)
    }

    /// Every part, as a journal keeps them.
    pub fn all_parts(&self) -> Vec<Part> {
        self.parts
            .iter()
            .map(|(name, bytes)| Part { name: name.clone(), bytes: Some(bytes.clone()) })
            .collect()
    }

    /// Every part, as a complete [`PresyncState`](horizon_protocol::link::PresyncState) carries them.
    pub fn all_changes(&self) -> Vec<PartChange> {
        self.changes_since(&Self::new())
    }

    /// What turns `base` into this capsule.
    pub fn changes_since(&self, base: &Self) -> Vec<PartChange> {
        let changed = self.parts.iter().filter(|(name, bytes)| base.parts.get(*name) != Some(bytes));
        let gone = base.parts.keys().filter(|name| !self.parts.contains_key(*name));
        let changed = changed.map(|(name, bytes)| {
            let edits = base.parts.get(name).and_then(|old| edits::between(old, bytes));
            let change = edits.map_or_else(|| Change::Whole(bytes.clone()), Change::Edited);
            PartChange { name: name.clone(), change }
        });
        changed.chain(gone.map(|name| PartChange { name: name.clone(), change: Change::Gone })).collect()
    }

    /// Lays `changes` over this capsule. A name no capsule can have is skipped; the hash will tell.
    ///
    /// # Errors
    ///
    /// [`EditError`] where a change was made for another capsule; what this one is then means nothing.
    pub fn change(&mut self, changes: &[PartChange]) -> Result<(), EditError> {
        for PartChange { name, change } in changes {
            if name.len() > Self::MAX_NAME_BYTES {
                continue;
            }
            match change {
                Change::Whole(bytes) => drop(self.parts.insert(name.clone(), bytes.clone())),
                Change::Gone => drop(self.parts.remove(name)),
                Change::Edited(edits) => {
                    let part = self.parts.get_mut(name).ok_or(EditError::Absent)?;
                    *part = edits::apply(part, edits)?;
                }
            }
        }
        Ok(())
    }

    /// Lays `parts` over this capsule. A name no capsule can have is skipped; the hash will tell.
    pub fn apply(&mut self, parts: &[Part]) {
        for part in parts.iter().filter(|part| part.name.len() <= Self::MAX_NAME_BYTES) {
            match &part.bytes {
                Some(bytes) => drop(self.parts.insert(part.name.clone(), bytes.clone())),
                None => drop(self.parts.remove(&part.name)),
            }
        }
    }

    fn spell(&self, mut out: impl FnMut(&[u8])) {
        out(&[VERSION]);
        out(&(self.parts.len() as u32).to_le_bytes());
        for (name, bytes) in &self.parts {
            out(&(name.len() as u16).to_le_bytes());
            out(name.as_bytes());
            out(&(bytes.len() as u32).to_le_bytes());
            out(bytes);
        }
    }
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], DecodeError> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..len).ok_or(DecodeError::Truncated(self.bytes.len()))?;
        self.at += len;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], DecodeError> {
        Ok(self.take(N)?.try_into().expect("take returns what was asked"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn capsule(parts: &[(&str, &[u8])]) -> Capsule {
        let mut capsule = Capsule::new();
        for (name, bytes) in parts {
            capsule.insert(*name, bytes.to_vec());
        }
        capsule
    }

    fn any_capsule() -> impl Strategy<Value = Capsule> {
        prop::collection::btree_map("[a-e]{0,2}", prop::collection::vec(any::<u8>(), 0..6), 0..6)
            .prop_map(|parts| Capsule { parts })
    }

    #[test]
    fn what_encode_would_not_write_is_refused() {
        let good = capsule(&[("a", b"1"), ("b", b"")]).encode();
        assert_eq!(Capsule::decode(&good[..good.len() - 1]), Err(DecodeError::Truncated(good.len() - 1)));
        assert_eq!(Capsule::decode(&[&good[..], b"x"].concat()), Err(DecodeError::Trailing(1)));
        assert_eq!(Capsule::decode(&[2]), Err(DecodeError::Version(2)));
        assert_eq!(Capsule::decode(&[]), Err(DecodeError::Truncated(0)));
        let mut swapped = good;
        swapped[7] = b'c';
        assert_eq!(Capsule::decode(&swapped), Err(DecodeError::Name(1)));
        let huge = vec![0; MAX_CAPSULE_BYTES + 1];
        assert_eq!(Capsule::decode(&huge), Err(DecodeError::TooLarge { bytes: MAX_CAPSULE_BYTES + 1 }));
    }

    #[test]
    fn a_long_part_is_edited_and_another_copy_is_refused() {
        let (old, mut new) = (vec![7; 4096], vec![7; 4096]);
        new[2000] = 8;
        let (old, new) = (capsule(&[("bag", &old)]), capsule(&[("bag", &new)]));
        let changes = new.changes_since(&old);
        assert!(changes[0].bytes_moved() < 40, "{changes:?}");
        let mut moved = old;
        assert_eq!(moved.change(&changes), Ok(()));
        assert_eq!(moved, new);
        assert_eq!(Capsule::new().change(&changes), Err(EditError::Absent));
        assert!(matches!(capsule(&[("bag", b"short")]).change(&changes), Err(EditError::Beyond { .. })));
        let mut other = capsule(&[("bag", &[9; 4096])]);
        assert_eq!(other.change(&changes), Ok(()), "the hash tells");
        assert_ne!(other.hash(), new.hash());
    }

    #[test]
    fn the_hash_tells_borders_between_parts_apart() {
        assert_ne!(capsule(&[("ab", b"c")]).hash(), capsule(&[("a", b"bc")]).hash());
        assert_ne!(capsule(&[]).hash(), capsule(&[("", b"")]).hash());
        assert_ne!(capsule(&[("a", b"1")]).hash(), capsule(&[("a", b"1\0")]).hash());
        assert_ne!(capsule(&[("a", b"12345678")]).hash(), capsule(&[("a", b"12345678\0\0")]).hash());
    }

    proptest! {
        /// A capsule reads back what it wrote, and changes lead from any capsule to any other.
        #[test]
        fn bytes_and_deltas_round_trip(a in any_capsule(), b in any_capsule()) {
            prop_assert_eq!(Capsule::decode(&a.encode()), Ok(a.clone()));
            prop_assert_eq!(a.encode().len(), a.size());
            let mut moved = a.clone();
            prop_assert_eq!(moved.change(&b.changes_since(&a)), Ok(()));
            prop_assert_eq!(moved.hash(), b.hash());
            prop_assert_eq!(&moved, &b);
            let mut fresh = Capsule::new();
            prop_assert_eq!(fresh.change(&b.all_changes()), Ok(()));
            prop_assert_eq!(&fresh, &b);
            let mut kept = Capsule::new();
            kept.apply(&b.all_parts());
            prop_assert_eq!(kept, b);
        }

        /// One flipped bit is another hash, wherever it is.
        #[test]
        fn every_bit_counts(bytes in prop::collection::vec(any::<u8>(), 1..40), bit in any::<prop::sample::Index>()) {
            let mut other = bytes.clone();
            let bit = bit.index(bytes.len() * 8);
            other[bit / 8] ^= 1 << (bit % 8);
            prop_assert_ne!(capsule(&[("a", &bytes)]).hash(), capsule(&[("a", &other)]).hash());
        }

        /// No input makes decoding panic.
        #[test]
        fn any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            let _ = Capsule::decode(&bytes);
        }
    }
}
