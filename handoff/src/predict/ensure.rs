//! How early a region must be asked for.

use std::time::Duration;

/// Learns how long a region takes from the wish to its first step: spawn, lease, recovery, plugins.
///
/// Mean and deviation as TCP keeps them for round trips: an eighth and a quarter of each new value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EnsureModel {
    mean: Duration,
    deviation: Duration,
}

impl EnsureModel {
    /// Taken for a cold start before any was seen.
    pub const FIRST_GUESS: Duration = Duration::from_secs(1);
    /// Nobody is asked earlier than this, whatever was learned: further ahead every forecast is noise.
    pub const MOST: Duration = Duration::from_secs(30);
    /// Added to what was learned: agreeing on the offer and the first complete copy.
    pub const MARGIN: Duration = Duration::from_millis(1500);

    /// Nothing seen yet.
    pub const fn new() -> Self {
        Self { mean: Self::FIRST_GUESS, deviation: Duration::ZERO }
    }

    /// Learns from one cold start.
    pub fn observe(&mut self, cold_start: Duration) {
        let off = self.mean.abs_diff(cold_start);
        self.deviation = (self.deviation * 3 + off) / 4;
        self.mean = (self.mean * 7 + cold_start) / 8;
    }

    /// A cold start that most stay below: mean and two deviations.
    pub fn cold_start(&self) -> Duration {
        self.mean + self.deviation * 2
    }

    /// Ask for a region when it is expected to be needed within this time.
    pub fn place_within(&self) -> Duration {
        (self.cold_start() * 3 / 2 + Self::MARGIN).min(Self::MOST)
    }
}

impl Default for EnsureModel {
    fn default() -> Self {
        Self::new()
    }
}
