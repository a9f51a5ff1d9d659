//! Where a body is and how it moves.

use rkyv::{Archive, Deserialize, Serialize};

use crate::Position;

/// Place, heading and velocity of one body at one tick.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Default)]
#[rkyv(derive(Clone, Copy, Debug))]
pub struct Pose {
    /// Where the body is.
    pub position: Position,
    /// Metres per second.
    pub velocity: [f32; 3],
    /// Heading in radians, counter-clockwise from the x axis.
    pub yaw: f32,
}

impl Pose {
    /// At rest at `position`, heading along x.
    pub const fn at(position: Position) -> Self {
        Self { position, velocity: [0.0; 3], yaw: 0.0 }
    }

    /// Whether every number is finite: what arrives from outside is checked with this.
    pub fn is_finite(&self) -> bool {
        self.yaw.is_finite() && self.velocity.iter().all(|v| v.is_finite())
    }
}
