//! What objects really do: every place a picture is compared with.

mod cars;
mod history;
mod movers;
mod recording;
mod walkers;
mod zigzag;

pub use cars::{Cars, Part};
pub use history::History;
pub use movers::Movers;
pub use recording::{Match, RecordingError, Sample};
pub use walkers::Walkers;
pub use zigzag::Zigzag;

use std::f64::consts::{PI, TAU};

use horizon_model::{Pose, Position};

/// One object at one step.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Truth {
    /// Metres from the world's origin.
    pub metres: [f64; 3],
    /// Metres per second.
    pub velocity: [f32; 3],
    /// Radians, counter-clockwise from the x axis.
    pub yaw: f32,
    /// It did not come here on its own way from where it was a step ago.
    pub snap: bool,
    /// It exists.
    pub present: bool,
}

impl Truth {
    /// As the server is told.
    ///
    /// # Panics
    ///
    /// Never: scenes are a few kilometres wide.
    pub fn pose(&self) -> Pose {
        let position = Position::from_metres(self.metres).expect("scenes are a few kilometres wide");
        Pose { position, velocity: self.velocity, yaw: self.yaw }
    }
}

/// Objects that move, step by step. The same seed moves them the same way.
pub trait Movement {
    /// How many there are.
    fn count(&self) -> usize;

    /// Writes where each is at the next step; `now` is as long as there are objects.
    fn step(&mut self, now: &mut [Truth]);

    /// Samples of a recording that the object has passed so far; 0 where nothing was recorded.
    fn recorded(&self, _object: usize) -> u64 {
        0
    }
}

/// A square with walls.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Square {
    /// Its lower corner, metres.
    pub low: [f64; 2],
    /// Its edge, metres.
    pub edge: f64,
}

impl Square {
    /// The one around the world's origin.
    pub fn centred(edge: f64) -> Self {
        Self { low: [-edge / 2.0; 2], edge }
    }

    fn any_place(&self, chance: &mut crate::chance::Chance) -> [f64; 2] {
        self.low.map(|low| low + self.edge * chance.unit())
    }

    /// One step of `metres` in direction `heading`. Who would walk into a wall turns as a ball does.
    fn advance(&self, place: &mut [f64; 2], heading: &mut f64, metres: f64) {
        let inside = |axis: usize, at: f64| at >= self.low[axis] && at <= self.low[axis] + self.edge;
        if !inside(0, place[0] + metres * heading.cos()) {
            *heading = PI - *heading;
        }
        if !inside(1, place[1] + metres * heading.sin()) {
            *heading = -*heading;
        }
        *heading = wrapped(*heading);
        let step = [metres * heading.cos(), metres * heading.sin()];
        for axis in 0..2 {
            place[axis] = (place[axis] + step[axis]).clamp(self.low[axis], self.low[axis] + self.edge);
        }
    }
}

/// The same direction between -pi and pi.
fn wrapped(radians: f64) -> f64 {
    radians - TAU * (radians / TAU).round()
}

/// On the ground at `place`, at `speed` in direction `heading`.
fn on_ground(place: [f64; 2], heading: f64, speed: f64) -> Truth {
    Truth {
        metres: [place[0], place[1], 0.0],
        velocity: [(speed * heading.cos()) as f32, (speed * heading.sin()) as f32, 0.0],
        yaw: heading as f32,
        snap: false,
        present: true,
    }
}

/// Straight distance in metres.
pub fn distance(a: [f64; 3], b: [f64; 3]) -> f64 {
    let [x, y, z] = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    (x * x + y * y + z * z).sqrt()
}

#[cfg(test)]
mod tests;
