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

/// Where something is attached to something else, in the frame of that one.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Default)]
#[rkyv(derive(Clone, Copy, Debug))]
pub struct Seat {
    /// Metres forwards, to the left and up, seen from the parent.
    pub offset: [f32; 3],
    /// Heading in radians, counter-clockwise from the parent's.
    pub yaw: f32,
}

impl Seat {
    /// Whether every number is finite.
    pub fn is_finite(&self) -> bool {
        self.yaw.is_finite() && self.offset.iter().all(|metres| metres.is_finite())
    }

    /// The pose of who sits here while the parent is at `on`.
    pub fn pose_on(&self, on: &Pose) -> Pose {
        let [forwards, left, up] = self.offset.map(f64::from);
        let (sin, cos) = f64::from(on.yaw).sin_cos();
        let moved = [forwards * cos - left * sin, forwards * sin + left * cos, up];
        Pose { position: on.position.moved(moved), velocity: on.velocity, yaw: on.yaw + self.yaw }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seat_turns_with_its_parent() {
        let position = Position::from_metres([10.0, 20.0, 1.0]).expect("in range");
        let seat = Seat { offset: [2.0, 1.0, 0.5], yaw: 0.25 };
        let on = Pose { position, velocity: [3.0, 0.0, 0.0], yaw: std::f32::consts::FRAC_PI_2 };
        let pose = seat.pose_on(&on);
        for (metres, expected) in pose.position.metres().into_iter().zip([9.0, 22.0, 1.5]) {
            assert!((metres - expected).abs() < 1e-3, "{metres} is not {expected}");
        }
        assert_eq!((pose.velocity, pose.yaw), (on.velocity, on.yaw + 0.25));
    }
}
