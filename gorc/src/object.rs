//! What an object is, as callers give and get it.

use horizon_model::{EntityId, ObjectTypeId, PlayerId, Pose, Tick};

use crate::wire::Enter;

/// Everything about an object that appears.
#[derive(Debug, Clone, PartialEq)]
pub struct NewObject {
    /// Who.
    pub entity: EntityId,
    /// What it is.
    pub type_id: ObjectTypeId,
    /// Whose avatar it is, if a player's.
    pub player: Option<PlayerId>,
    /// Whether another region has authority over it.
    pub ghost: bool,
    /// Tick of the source at which `pose` held.
    pub tick: Tick,
    /// Place, velocity and heading.
    pub pose: Pose,
    /// Values by field number; fields not named have none.
    pub fields: Vec<Option<Vec<u8>>>,
}

impl NewObject {
    /// The ghost that its owner's `enter` tells of. Its type has `count` fields; values of others are
    /// left out.
    pub fn ghost(enter: &Enter<'_>, count: usize) -> Self {
        let mut fields = vec![None; count];
        for (index, bytes) in enter.fields {
            if let Some(field) = fields.get_mut(usize::from(*index)) {
                *field = Some(bytes.to_vec());
            }
        }
        Self {
            entity: enter.entity,
            type_id: enter.type_id,
            player: enter.player,
            ghost: true,
            tick: enter.tick,
            pose: enter.pose,
            fields,
        }
    }
}
