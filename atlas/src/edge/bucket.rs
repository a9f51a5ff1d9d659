//! A token bucket: how much of something may happen per second.

use std::time::Duration;

/// What one unit counts as inside, so that nanoseconds fill it exactly.
const UNIT: u64 = 1_000_000_000;

/// Fills at a rate up to a burst; every event takes from it. Time is an argument.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    per_second: u32,
    burst: u64,
    level: u64,
    at: Duration,
}

impl Bucket {
    /// A full bucket at time `now`: `burst` at once, `per_second` sustained.
    pub fn new(now: Duration, per_second: u32, burst: u32) -> Self {
        let burst = u64::from(burst) * UNIT;
        Self { per_second, burst, level: burst, at: now }
    }

    /// Takes `amount` if that much is there.
    #[must_use]
    pub fn take(&mut self, now: Duration, amount: u32) -> bool {
        self.fill(now);
        match self.level.checked_sub(u64::from(amount) * UNIT) {
            Some(left) => {
                self.level = left;
                true
            }
            None => false,
        }
    }

    /// Whether nothing was taken for so long that a new bucket would be the same.
    pub fn is_full(&mut self, now: Duration) -> bool {
        self.fill(now);
        self.level >= self.burst
    }

    fn fill(&mut self, now: Duration) {
        let elapsed = u64::try_from(now.saturating_sub(self.at).as_nanos()).unwrap_or(u64::MAX);
        self.at = self.at.max(now);
        let filled = elapsed.saturating_mul(u64::from(self.per_second));
        self.level = self.level.saturating_add(filled).min(self.burst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_at_once_and_the_rate_from_then_on() {
        let at = Duration::from_millis;
        let mut bucket = Bucket::new(at(0), 10, 3);
        assert!((0..3).all(|_| bucket.take(at(0), 1)));
        assert!(!bucket.take(at(99), 1));
        assert!(bucket.take(at(100), 1));
        assert!(!bucket.is_full(at(399)) && bucket.is_full(at(400)));
        assert!(!bucket.take(at(400), 4), "more than the burst never fits");
    }
}
