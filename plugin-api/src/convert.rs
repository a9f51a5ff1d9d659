//! Between the vocabulary of the world and the fixed structs of the boundary.

use horizon_model::{Cell, PlayerId, Pose, Position};

use crate::abi::{RawPlayer, RawPose};

impl From<PlayerId> for RawPlayer {
    fn from(id: PlayerId) -> Self {
        Self { high: (id.0 >> 64) as u64, low: id.0 as u64 }
    }
}

impl From<RawPlayer> for PlayerId {
    fn from(raw: RawPlayer) -> Self {
        Self((u128::from(raw.high) << 64) | u128::from(raw.low))
    }
}

impl From<&Pose> for RawPose {
    fn from(pose: &Pose) -> Self {
        let Cell { x, y, z } = pose.position.cell();
        Self { cell: [x, y, z], local: pose.position.local(), velocity: pose.velocity, yaw: pose.yaw }
    }
}

/// The pose, or `None` where a number is not finite or the place does not exist.
pub(crate) fn pose_from_raw(raw: &RawPose) -> Option<Pose> {
    let [x, y, z] = raw.cell;
    let position = Position::in_cell(Cell { x, y, z }, raw.local)?;
    let pose = Pose { position, velocity: raw.velocity, yaw: raw.yaw };
    pose.is_finite().then_some(pose)
}
