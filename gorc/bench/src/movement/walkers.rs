//! People who walk straight on and turn every now and then.

use super::{Movement, Square, Truth, on_ground};
use crate::chance::Chance;

const SPEED_MPS: f64 = 1.5;
const SECONDS_BETWEEN_TURNS: f64 = 2.0;

/// Walkers at 1.5 m/s in a walled square. Each turns every two seconds, at its own moment, to any
/// direction, and at the walls.
#[derive(Debug, Clone)]
pub struct Walkers {
    square: Square,
    step_seconds: f64,
    chance: Chance,
    walkers: Vec<Walker>,
}

#[derive(Debug, Clone)]
struct Walker {
    place: [f64; 2],
    heading: f64,
    seconds_to_turn: f64,
}

impl Walkers {
    /// `count` of them, in a world of `hz` steps a second.
    pub fn new(seed: u64, count: usize, square: Square, hz: u64) -> Self {
        let mut chance = Chance::seeded(seed);
        let walkers = (0..count).map(|_| Walker {
            place: square.any_place(&mut chance),
            heading: chance.direction(),
            seconds_to_turn: chance.between(0.0, SECONDS_BETWEEN_TURNS),
        });
        let walkers = walkers.collect();
        Self { square, step_seconds: 1.0 / hz as f64, chance, walkers }
    }
}

impl Movement for Walkers {
    fn count(&self) -> usize {
        self.walkers.len()
    }

    fn step(&mut self, now: &mut [Truth]) {
        for (walker, truth) in self.walkers.iter_mut().zip(now) {
            walker.seconds_to_turn -= self.step_seconds;
            if walker.seconds_to_turn <= 0.0 {
                walker.seconds_to_turn += SECONDS_BETWEEN_TURNS;
                walker.heading = self.chance.direction();
            }
            self.square.advance(&mut walker.place, &mut walker.heading, SPEED_MPS * self.step_seconds);
            *truth = on_ground(walker.place, walker.heading, SPEED_MPS);
        }
    }
}
