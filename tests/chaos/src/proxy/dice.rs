//! Seeded chance.

/// SplitMix64 (Steele, Lea, Flood 2014): state by a constant step, then mixed.
#[derive(Debug, Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    /// The dice of one road: other roads with the same seed throw otherwise.
    pub(crate) fn of(seed: u64, road: &str) -> Self {
        // FNV-1a over the name.
        let name = road.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
        });
        Self(seed ^ name)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// 0 up to 1, without 1.
    pub(crate) fn share(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// 0 up to 100, without 100.
    pub(crate) fn percent(&mut self) -> f64 {
        self.share() * 100.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_throws_the_same_and_roads_differ() {
        let throws = |seed, road| {
            let mut dice = Dice::of(seed, road);
            (0..8).map(|_| dice.next()).collect::<Vec<_>>()
        };
        assert_eq!(throws(7, "a"), throws(7, "a"));
        assert_ne!(throws(7, "a"), throws(7, "b"));
        assert_ne!(throws(7, "a"), throws(8, "a"));
    }
}
