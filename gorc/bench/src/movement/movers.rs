//! Players who steer all the time.

use super::{Movement, Square, Truth, on_ground, wrapped};
use crate::chance::Chance;

const SPEED_MPS: f64 = 5.0;
/// Fastest that anybody wishes to turn, radians per second.
const TURN_RPS: f64 = 1.2;
/// A new wish comes after half to one and a half times this long.
const SECONDS_BETWEEN_WISHES: f64 = 1.0;
/// The turn follows the wish with this time constant, so that it is smooth.
const SECONDS_TO_FOLLOW: f64 = 0.25;

/// Players at 5 m/s in a walled square who steer smoothly and never straight: x, y and heading change at
/// every step.
#[derive(Debug, Clone)]
pub struct Movers {
    square: Square,
    step_seconds: f64,
    chance: Chance,
    movers: Vec<Mover>,
}

#[derive(Debug, Clone)]
struct Mover {
    place: [f64; 2],
    heading: f64,
    turn: f64,
    wish: f64,
    seconds_to_wish: f64,
}

impl Movers {
    /// `count` of them, in a world of `hz` steps a second.
    pub fn new(seed: u64, count: usize, square: Square, hz: u64) -> Self {
        let mut chance = Chance::seeded(seed);
        let movers = (0..count).map(|_| {
            let turn = chance.between(-TURN_RPS, TURN_RPS);
            Mover {
                place: square.any_place(&mut chance),
                heading: chance.direction(),
                turn,
                wish: turn,
                seconds_to_wish: chance.between(0.0, SECONDS_BETWEEN_WISHES),
            }
        });
        let movers = movers.collect();
        Self { square, step_seconds: 1.0 / hz as f64, chance, movers }
    }
}

impl Movement for Movers {
    fn count(&self) -> usize {
        self.movers.len()
    }

    fn step(&mut self, now: &mut [Truth]) {
        for (mover, truth) in self.movers.iter_mut().zip(now) {
            mover.seconds_to_wish -= self.step_seconds;
            if mover.seconds_to_wish <= 0.0 {
                mover.seconds_to_wish += SECONDS_BETWEEN_WISHES * self.chance.between(0.5, 1.5);
                mover.wish = self.chance.between(-TURN_RPS, TURN_RPS);
            }
            mover.turn += (mover.wish - mover.turn) * (self.step_seconds / SECONDS_TO_FOLLOW).min(1.0);
            mover.heading = wrapped(mover.heading + mover.turn * self.step_seconds);
            self.square.advance(&mut mover.place, &mut mover.heading, SPEED_MPS * self.step_seconds);
            *truth = on_ground(mover.place, mover.heading, SPEED_MPS);
        }
    }
}
