//! When things happen: clocks and steps of the regions, and what is under way.

use std::time::Duration;

use horizon_model::{RegionId, TickRate};

use super::{BEGIN, Harness};

impl Harness {
    pub(super) fn late_by(&self, region: RegionId) -> Duration {
        let lost = (self.now - BEGIN) * self.odd_slow_ppm / 1_000_000;
        if region.0.is_multiple_of(2) { Duration::ZERO } else { self.odd_late + lost }
    }

    pub(super) fn rate_of(&self, region: RegionId) -> TickRate {
        self.rates[usize::from(region.0 % 2)]
    }

    pub(super) fn world_rate(&self) -> TickRate {
        *self.rates.iter().min_by_key(|rate| rate.hz()).expect("two rates")
    }

    /// When something sent now on this lane arrives; order within a lane is kept.
    pub(super) fn lane(&mut self, kind: u8, from: u16, to: u16, (least, more): (u64, u64)) -> Duration {
        let delay = Duration::from_micros(least + self.dice.below(more + 1));
        let before = self.lanes.get(&(kind, from, to)).copied().unwrap_or_default();
        let at = (self.now + delay).max(before);
        self.lanes.insert((kind, from, to), at);
        at
    }
}
