//! From ids to places in tables: an open-addressing table that is only ever asked, never listed.

use crate::cadence::mix;

/// Slots of the first table; a power of two, as all of them.
const FIRST_SLOTS: usize = 16;

/// Maps 64-bit keys to 32-bit places, a probe or two per question.
///
/// Linear probing from the hash of the key; at most half of the slots are taken, and a removal moves
/// back what it had displaced, so there are no tombstones.
#[derive(Debug, Default)]
pub(crate) struct Ids {
    /// Key and place plus one; a zero there is an empty slot.
    slots: Vec<(u64, u32)>,
    len: usize,
}

impl Ids {
    pub(crate) fn get(&self, key: u64) -> Option<u32> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut at = mix(key) as usize & mask;
        loop {
            let (other, place) = self.slots[at & mask];
            if place == 0 {
                return None;
            }
            if other == key {
                return Some(place - 1);
            }
            at += 1;
        }
    }

    /// Sets the place of a key, below `u32::MAX`.
    pub(crate) fn insert(&mut self, key: u64, place: u32) {
        if self.slots.len() < 2 * (self.len + 1) {
            self.grow();
        }
        self.len += usize::from(self.put(key, place + 1));
    }

    /// Returns the place that the key had.
    pub(crate) fn remove(&mut self, key: u64) -> Option<u32> {
        let mask = self.slots.len().checked_sub(1)?;
        let mut hole = self.find(key);
        let (_, place) = self.slots[hole];
        if place == 0 {
            return None;
        }
        self.len -= 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let (other, follower) = self.slots[at];
            if follower == 0 {
                break;
            }
            // It may move back into the hole unless its own probe begins behind the hole.
            let home = mix(other) as usize & mask;
            if at.wrapping_sub(home) & mask >= at.wrapping_sub(hole) & mask {
                self.slots[hole] = (other, follower);
                hole = at;
            }
        }
        self.slots[hole] = (0, 0);
        Some(place - 1)
    }

    /// The slot of the key, or the empty one where it belongs.
    fn find(&self, key: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = mix(key) as usize & mask;
        while self.slots[at].1 != 0 && self.slots[at].0 != key {
            at = (at + 1) & mask;
        }
        at
    }

    fn put(&mut self, key: u64, marked: u32) -> bool {
        let at = self.find(key);
        let is_new = self.slots[at].1 == 0;
        self.slots[at] = (key, marked);
        is_new
    }

    fn grow(&mut self) {
        let size = (self.slots.len() * 2).max(FIRST_SLOTS);
        let before = std::mem::replace(&mut self.slots, vec![(0, 0); size]);
        for (key, marked) in before.into_iter().filter(|(_, marked)| *marked != 0) {
            self.put(key, marked);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_empty_table_knows_nobody() {
        let mut ids = Ids::default();
        assert_eq!((ids.get(0), ids.get(7), ids.remove(7)), (None, None, None));
        ids.insert(0, 0);
        assert_eq!((ids.get(0), ids.get(7)), (Some(0), None));
        assert_eq!((ids.remove(0), ids.get(0)), (Some(0), None));
    }

    #[test]
    fn keys_of_one_probe_survive_each_others_removal() {
        // All begin at the last slot, so that the probe wraps.
        let keys: Vec<u64> = (0..).filter(|key| mix(*key) as usize % 16 == 15).take(7).collect();
        for gone in 0..keys.len() {
            let mut ids = Ids::default();
            (0..).zip(&keys).for_each(|(place, key)| ids.insert(*key, place));
            assert_eq!(ids.slots.len(), 16, "none of them made the table grow");
            assert_eq!(ids.remove(keys[gone]), Some(gone as u32));
            for (place, key) in keys.iter().enumerate() {
                assert_eq!(ids.get(*key), (place != gone).then_some(place as u32));
            }
        }
    }

    #[test]
    fn a_table_does_not_grow_by_coming_and_going() {
        let mut ids = Ids::default();
        for key in 0..10_000 {
            ids.insert(key, key as u32);
            assert_eq!(ids.remove(key), Some(key as u32));
        }
        assert_eq!(ids.slots.len(), FIRST_SLOTS);
    }

    proptest! {
        /// Whatever comes and goes, it answers as a map does.
        #[test]
        fn it_is_a_map(acts in prop::collection::vec((0_u64..60, any::<bool>(), any::<u16>()), 0..400)) {
            let (mut ids, mut map) = (Ids::default(), BTreeMap::new());
            for (key, comes, place) in acts {
                let key = key << 58 | key;
                if comes {
                    ids.insert(key, place.into());
                    map.insert(key, u32::from(place));
                } else {
                    prop_assert_eq!(ids.remove(key), map.remove(&key));
                }
                prop_assert_eq!(ids.len, map.len());
                for key in (0..60).map(|key| key << 58 | key) {
                    prop_assert_eq!(ids.get(key), map.get(&key).copied());
                }
            }
        }
    }
}
