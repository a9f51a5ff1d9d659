//! Fencing tokens.

use std::fmt;

use rkyv::{Archive, Deserialize, Serialize};

/// A fencing token that only rises: the higher one wins, everywhere.
///
/// The top 16 bits are the generation of the store that issued it, the lower 48 a counter.
/// A store that lost data starts a new generation, so that a counter it hands out twice still
/// compares higher the second time.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[rkyv(derive(Clone, Copy, PartialEq, Eq, Debug))]
pub struct Epoch(pub u64);

impl Epoch {
    /// Below every epoch that was ever granted.
    pub const ZERO: Self = Self(0);

    const COUNT_BITS: u32 = 48;

    /// The epoch `count` of store generation `generation`; `count` uses its lower 48 bits.
    pub const fn new(generation: u16, count: u64) -> Self {
        Self(((generation as u64) << Self::COUNT_BITS) | (count & ((1 << Self::COUNT_BITS) - 1)))
    }

    /// The store generation that issued this epoch.
    pub const fn generation(self) -> u16 {
        (self.0 >> Self::COUNT_BITS) as u16
    }

    /// The counter within the generation.
    pub const fn count(self) -> u64 {
        self.0 & ((1 << Self::COUNT_BITS) - 1)
    }

    /// The next epoch as a store of `generation` grants it: one more within the generation, or
    /// the same count plus one under the newer generation.
    pub const fn next_in(self, generation: u16) -> Self {
        Self::new(generation, self.count() + 1)
    }

    /// The successor within the same generation.
    pub const fn next(self) -> Self {
        Self(self.0 + 1)
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.generation(), self.count())
    }
}

impl fmt::Debug for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_generation_outranks_every_count_of_the_old() {
        assert!(Epoch::new(8, 6) > Epoch::new(7, 25));
        assert_eq!(Epoch::new(7, 25).next_in(8), Epoch::new(8, 26));
    }
}
