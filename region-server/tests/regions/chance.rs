//! Where delays come from: a seed, and how long things take.

/// Xorshift: the same seed, the same run.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }
}

/// Delays in microseconds: at least, and how much more.
#[derive(Clone, Copy)]
pub(crate) struct Delays {
    pub(crate) link: (u64, u64),
    pub(crate) disk: (u64, u64),
    pub(crate) store: (u64, u64),
}

impl Delays {
    /// A disk that takes a dozen steps.
    pub(crate) const SLOW_DISK: Self = Self { disk: (400_000, 100_000), ..Self::SHORT };
    /// A handoff is done before a region whose clock is a little behind has stepped the same tick.
    pub(crate) const QUICK: Self = Self { disk: (200, 200), store: (100, 100), link: (100, 100) };
    pub(crate) const SHORT: Self = Self { link: (100, 400), disk: (500, 3000), store: (200, 1500) };
}
