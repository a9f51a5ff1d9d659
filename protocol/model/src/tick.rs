//! World time: one grid of sixty ticks a second that every process follows.

use std::fmt;
use std::ops::{Add, Sub};
use std::time::Duration;

use rkyv::{Archive, Deserialize, Serialize};

/// Ticks of the world grid per second. A 30 Hz region steps the even ones.
pub const TICKS_PER_SECOND: u64 = 60;

/// A point of the world grid. Never dilates, never repeats.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[rkyv(derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug))]
pub struct Tick(pub u64);

impl Tick {
    /// Time from the grid's origin to this tick.
    pub const fn since_origin(self) -> Duration {
        let whole = self.0 / TICKS_PER_SECOND;
        let rest = self.0 % TICKS_PER_SECOND;
        Duration::new(whole, (rest * 1_000_000_000 / TICKS_PER_SECOND) as u32)
    }

    /// The last tick at or before `elapsed` from the grid's origin.
    pub const fn at(elapsed: Duration) -> Self {
        Self(
            elapsed.as_secs() * TICKS_PER_SECOND
                + elapsed.subsec_nanos() as u64 * TICKS_PER_SECOND / 1_000_000_000,
        )
    }

    /// Ticks from `earlier` to here, zero if `earlier` is later.
    pub const fn saturating_since(self, earlier: Self) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

impl Add<u64> for Tick {
    type Output = Self;

    fn add(self, ticks: u64) -> Self {
        Self(self.0 + ticks)
    }
}

impl Sub<u64> for Tick {
    type Output = Self;

    fn sub(self, ticks: u64) -> Self {
        Self(self.0.saturating_sub(ticks))
    }
}

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "t{}", self.0)
    }
}

/// How often a region steps: a divisor of the grid's sixty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TickRate {
    hz: u64,
}

/// A rate that does not divide the grid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0} Hz does not divide the world grid of 60 Hz; choose 10, 12, 15, 20, 30 or 60")]
pub struct TickRateError(pub u64);

impl TickRate {
    /// The rate of `hz` steps per second.
    ///
    /// # Errors
    ///
    /// [`TickRateError`] unless `hz` is between 10 and 60 and divides 60.
    pub const fn from_hz(hz: u64) -> Result<Self, TickRateError> {
        if hz >= 10 && hz <= TICKS_PER_SECOND && TICKS_PER_SECOND.is_multiple_of(hz) {
            Ok(Self { hz })
        } else {
            Err(TickRateError(hz))
        }
    }

    /// Steps per second.
    pub const fn hz(self) -> u64 {
        self.hz
    }

    /// Grid ticks from one step to the next.
    pub const fn step(self) -> u64 {
        TICKS_PER_SECOND / self.hz
    }

    /// Time from one step to the next.
    pub const fn period(self) -> Duration {
        Duration::from_nanos(1_000_000_000 / self.hz)
    }

    /// The first tick at or after `tick` that this rate steps.
    pub const fn align_up(self, tick: Tick) -> Tick {
        Tick(tick.0.div_ceil(self.step()) * self.step())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_and_durations_round_trip() {
        for n in [0, 1, 2, 59, 60, 61, 3_600_007] {
            assert_eq!(Tick::at(Tick(n).since_origin() + Duration::from_nanos(1)), Tick(n));
        }
    }

    #[test]
    fn rates() {
        assert_eq!(TickRate::from_hz(25), Err(TickRateError(25)));
        let rate = TickRate::from_hz(30).expect("30 divides 60");
        assert_eq!(rate.align_up(Tick(7)), Tick(8));
    }
}
