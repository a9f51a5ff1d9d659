//! World time as this client estimates it, from pings.
//!
//! A pong says what the grid showed somewhere within the round trip. Of the last few the shortest round
//! trip is the most certain; the estimate moves towards it slowly, so that ticks never jump under a
//! player's feet.

use std::collections::VecDeque;
use std::time::Duration;

use horizon_model::Tick;

/// Round trips looked back on: ten seconds at one ping a second, long enough to ride out a burst.
const REMEMBERED: usize = 10;
/// Correction per pong: one tick in three, far below what interpolation hides.
const SLEW_US: i64 = 5_000;
/// Beyond this the estimate was wrong, not imprecise, and jumps.
const STEP_US: i64 = 250_000;

/// An estimate of world grid time. `now` is time since the client's own start and never goes backwards.
#[derive(Debug, Clone, Default)]
pub struct Clock {
    samples: VecDeque<Sample>,
    /// Grid time minus own time, microseconds.
    offset_us: Option<i64>,
}

#[derive(Debug, Clone, Copy)]
struct Sample {
    rtt_us: i64,
    offset_us: i64,
}

impl Clock {
    /// A first guess from the tick in a welcome; pongs soon replace it.
    pub fn handle_welcome(&mut self, now: Duration, tick: Tick) {
        if self.samples.is_empty() {
            self.offset_us = Some(micros(tick.since_origin()) - micros(now));
        }
    }

    /// A pong that answers the ping sent at `sent`.
    pub fn handle_pong(&mut self, now: Duration, sent: Duration, grid_us: u64) {
        let rtt_us = micros(now.saturating_sub(sent));
        let offset_us = i64::try_from(grid_us).unwrap_or(i64::MAX / 2) + rtt_us / 2 - micros(now);
        let first = self.samples.is_empty();
        self.samples.push_back(Sample { rtt_us, offset_us });
        if self.samples.len() > REMEMBERED {
            self.samples.pop_front();
        }
        let best =
            self.samples.iter().min_by_key(|sample| sample.rtt_us).map_or(offset_us, |best| best.offset_us);
        let current = self.offset_us.unwrap_or(best);
        let error = best - current;
        let correction = if first || error.abs() > STEP_US { error } else { error.clamp(-SLEW_US, SLEW_US) };
        self.offset_us = Some(current + correction);
    }

    /// Forgets the round trips of a connection that is gone; the estimate runs on.
    pub fn handle_disconnect(&mut self) {
        self.samples.clear();
    }

    /// The tick of the world grid at `now`, once anything is known.
    pub fn tick_at(&self, now: Duration) -> Option<Tick> {
        let grid_us = u64::try_from(micros(now) + self.offset_us?).ok()?;
        Some(Tick::at(Duration::from_micros(grid_us)))
    }

    /// The shortest round trip remembered.
    pub fn rtt(&self) -> Option<Duration> {
        let best = self.samples.iter().map(|sample| sample.rtt_us).min()?;
        Some(Duration::from_micros(best.unsigned_abs()))
    }
}

fn micros(time: Duration) -> i64 {
    i64::try_from(time.as_micros()).unwrap_or(i64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A world that started 1000 s before the client, asked over a path of `out` and `back` ms.
    fn ask(clock: &mut Clock, at_ms: u64, out: u64, back: u64) {
        clock.handle_pong(ms(at_ms + out + back), ms(at_ms), (1_000_000 + at_ms + out) * 1000);
    }

    #[test]
    fn the_shortest_round_trip_wins() {
        let mut clock = Clock::default();
        for (n, (out, back)) in [(10, 10), (200, 10), (10, 300), (5, 5), (90, 5)].into_iter().enumerate() {
            ask(&mut clock, n as u64 * 1000, out, back);
        }
        assert_eq!(clock.tick_at(ms(6000)), Some(Tick::at(ms(1_006_000))));
        assert_eq!(clock.rtt(), Some(ms(10)));
    }

    #[test]
    fn corrections_are_small_and_ticks_never_fall() {
        let mut clock = Clock::default();
        ask(&mut clock, 0, 100, 0);
        let mut before = clock.tick_at(ms(100)).expect("known");
        for n in 1..60 {
            ask(&mut clock, n * 1000, 1, 1);
            let now = clock.tick_at(ms(n * 1000 + 2)).expect("known");
            assert!(now > before && now.0 - before.0 <= 61, "{before} then {now}");
            before = now;
        }
        assert_eq!(clock.tick_at(ms(60_000)), Some(Tick::at(ms(1_060_000))));
    }

    #[test]
    fn a_welcome_is_better_than_nothing() {
        let mut clock = Clock::default();
        assert_eq!(clock.tick_at(ms(0)), None);
        clock.handle_welcome(ms(500), Tick(6000));
        assert_eq!(clock.tick_at(ms(1500)), Some(Tick(6060)));
    }
}
