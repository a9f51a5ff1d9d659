//! Synthetic players: a seeded stroll around a place.

use std::f64::consts::TAU;
use std::time::Duration;

/// Walking pace in metres per second.
pub const PACE: f64 = 1.5;
/// Time between two turns.
const TURN_EVERY: Duration = Duration::from_secs(2);
/// Beyond this many metres from home the next turn leads back.
const LEASH_METRES: f64 = 25.0;
/// How far apart homes are, about: three hundred fill a circle of 170 m, a player for 300 m².
const SPACING_METRES: f64 = 10.0;

/// Where the `number`-th walker around `centre` is at home, metres: an even disc.
///
/// Source: H. Vogel, “A better way to construct the sunflower head”, Mathematical Biosciences 44, 1979.
pub fn home(centre: [f64; 2], number: u64) -> [f64; 2] {
    let golden = TAU * (1.0 - 1.0 / 1.618_033_988_749_895);
    let (distance, angle) = (SPACING_METRES * (number as f64).sqrt(), golden * number as f64);
    [centre[0] + distance * angle.cos(), centre[1] + distance * angle.sin()]
}

/// Someone who walks and turns every two seconds, the same way for the same seed.
#[derive(Debug, Clone)]
pub struct Walker {
    random: u64,
    home: [f64; 2],
    at: [f64; 2],
    yaw: f64,
    pace: f64,
    until_turn: Duration,
}

impl Walker {
    /// Starts within 10 m of `home`, metres.
    pub fn new(seed: u64, home: [f64; 2]) -> Self {
        let mut walker =
            Self { random: seed, home, at: home, yaw: 0.0, pace: PACE, until_turn: Duration::ZERO };
        let (angle, distance) = (walker.unit() * TAU, walker.unit() * 10.0);
        walker.at = [home[0] + distance * angle.cos(), home[1] + distance * angle.sin()];
        walker
    }

    /// The same at another pace, in metres per second.
    pub const fn with_pace(mut self, pace: f64) -> Self {
        self.pace = pace;
        self
    }

    /// Walks on for `time`.
    pub fn step(&mut self, time: Duration) {
        if self.until_turn.is_zero() {
            self.until_turn = TURN_EVERY;
            let away = [self.at[0] - self.home[0], self.at[1] - self.home[1]];
            let spread = (self.unit() - 0.5) * TAU / 2.0;
            self.yaw = if away[0].hypot(away[1]) > LEASH_METRES {
                (-away[1]).atan2(-away[0]) + spread / 2.0
            } else {
                self.yaw + spread
            };
        }
        self.until_turn = self.until_turn.saturating_sub(time);
        let metres = self.pace * time.as_secs_f64();
        self.at = [self.at[0] + metres * self.yaw.cos(), self.at[1] + metres * self.yaw.sin()];
    }

    /// Metres, on the ground.
    pub const fn position(&self) -> [f64; 3] {
        [self.at[0], self.at[1], 0.0]
    }

    /// Metres per second.
    pub fn velocity(&self) -> [f32; 3] {
        [(self.pace * self.yaw.cos()) as f32, (self.pace * self.yaw.sin()) as f32, 0.0]
    }

    /// Radians.
    pub fn yaw(&self) -> f32 {
        self.yaw as f32
    }

    /// The next number of 0.0..1.0, by SplitMix64.
    fn unit(&mut self) -> f64 {
        self.random = self.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.random;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stroll_stays_near_home_and_repeats_for_its_seed() {
        let (mut one, mut two) = (Walker::new(7, [100.0, 0.0]), Walker::new(7, [100.0, 0.0]));
        for _ in 0..10_000 {
            let before = one.position();
            one.step(Duration::from_millis(100));
            two.step(Duration::from_millis(100));
            let after = one.position();
            let metres = (after[0] - before[0]).hypot(after[1] - before[1]);
            assert!((metres - 0.15).abs() < 1e-9);
            assert!((after[0] - 100.0).hypot(after[1]) < LEASH_METRES + 20.0);
        }
        assert_eq!(one.position(), two.position());
        assert_ne!(Walker::new(8, [100.0, 0.0]).position(), Walker::new(7, [100.0, 0.0]).position());
    }
}
