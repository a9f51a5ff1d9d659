//! Objects that cannot decide on which side of a radius to be.

use std::f64::consts::TAU;

use super::{Movement, Truth};
use crate::chance::Chance;

/// Metres to either side of the radius.
const AMPLITUDE: f64 = 1.0;

/// Objects around the world's origin that swing by a metre across given radii, one to three times a
/// second.
#[derive(Debug, Clone)]
pub struct Zigzag {
    step_seconds: f64,
    seconds: f64,
    swings: Vec<Swing>,
}

#[derive(Debug, Clone)]
struct Swing {
    radius: f64,
    direction: f64,
    hz: f64,
    phase: f64,
}

impl Zigzag {
    /// `each` objects on each of `radii`, in a world of `hz` steps a second.
    pub fn new(seed: u64, radii: &[f64], each: usize, hz: u64) -> Self {
        let mut chance = Chance::seeded(seed);
        let on = |radius: f64, chance: &mut Chance| Swing {
            radius,
            direction: chance.direction(),
            hz: chance.between(1.0, 3.0),
            phase: chance.direction(),
        };
        let swings = radii.iter().flat_map(|&radius| std::iter::repeat_n(radius, each));
        let swings = swings.map(|radius| on(radius, &mut chance)).collect();
        Self { step_seconds: 1.0 / hz as f64, seconds: 0.0, swings }
    }
}

impl Movement for Zigzag {
    fn count(&self) -> usize {
        self.swings.len()
    }

    fn step(&mut self, now: &mut [Truth]) {
        self.seconds += self.step_seconds;
        for (swing, truth) in self.swings.iter().zip(now) {
            let angle = TAU * swing.hz * self.seconds + swing.phase;
            let radius = swing.radius + AMPLITUDE * angle.sin();
            let speed = AMPLITUDE * TAU * swing.hz * angle.cos();
            let (sin, cos) = swing.direction.sin_cos();
            *truth = Truth {
                metres: [radius * cos, radius * sin, 0.0],
                velocity: [(speed * cos) as f32, (speed * sin) as f32, 0.0],
                yaw: swing.direction as f32,
                snap: false,
                present: true,
            };
        }
    }
}
