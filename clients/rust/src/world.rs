//! The objects this client holds, as the state frames describe them.

use std::collections::BTreeMap;
use std::time::Instant;

use gorc::{Enter, LeaveReason, Update, Visitor};
use horizon_model::{EntityId, Epoch, ObjectSchema, ObjectTypeId, PlayerId, Pose, Tick};
use horizon_protocol::client::{Progress, Spelling};

/// One tick of the world, received.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Authority epoch of the player: larger than before after each crossing.
    pub epoch: Epoch,
    /// The tick described.
    pub tick: Tick,
    /// How far the inputs have come.
    pub progress: Progress,
    /// When it was read from the socket.
    pub received_at: Instant,
    /// Size of its body.
    pub body_bytes: usize,
}

/// One object that is held.
#[derive(Debug, Clone, PartialEq)]
pub struct Object {
    /// What it is: a place in the welcome's schemas.
    pub type_id: ObjectTypeId,
    /// Whose avatar, if a player's.
    pub player: Option<PlayerId>,
    /// Source tick of the newest position.
    pub tick: Tick,
    /// Place, heading and velocity, quantised.
    pub pose: Pose,
    /// Innermost channel held, 0 to 3.
    pub channel: u8,
    /// Whether the newest position is a jump, not to be interpolated to.
    pub snapped: bool,
    /// Values by field number.
    pub fields: BTreeMap<u8, Vec<u8>>,
}

/// Sees every entry of every frame, before the [`World`] takes it: for checkers and recorders.
pub trait Witness {
    /// The frame whose entries follow.
    fn frame(&mut self, _frame: &Frame, _schemas: &[ObjectSchema]) {}
    /// Everything held is forgotten.
    fn reset(&mut self) {}
    /// An object is held from now on.
    fn enter(&mut self, _enter: &Enter<'_>) {}
    /// A held object changed.
    fn update(&mut self, _update: &Update<'_>) {}
    /// An object is held no longer.
    fn leave(&mut self, _entity: EntityId, _reason: LeaveReason) {}
}

/// Nobody looks.
impl Witness for () {}

/// What the client holds.
#[derive(Debug, Clone, Default)]
pub struct World {
    objects: BTreeMap<EntityId, Object>,
    schemas: Vec<ObjectSchema>,
    strays: u64,
}

impl World {
    /// The object with this id, if it is held.
    pub fn object(&self, entity: EntityId) -> Option<&Object> {
        self.objects.get(&entity)
    }

    /// All objects in order of their ids.
    pub fn objects(&self) -> impl Iterator<Item = (EntityId, &Object)> {
        self.objects.iter().map(|(entity, object)| (*entity, object))
    }

    /// How many objects are held.
    pub fn len(&self) -> usize {
        self.objects.len()
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.objects.is_empty()
    }

    /// Updates for objects that were not held. Always 0 unless the server broke its promise.
    pub const fn strays(&self) -> u64 {
        self.strays
    }

    pub(crate) fn learn(&mut self, schemas: &[ObjectSchema]) {
        self.schemas = schemas.to_vec();
    }

    /// Takes one body, showing each entry to `witness` first.
    pub(crate) fn apply(
        &mut self,
        spelling: Spelling,
        frame: &Frame,
        body: &[u8],
        witness: &mut dyn Witness,
    ) -> Result<(), gorc::DecodeError> {
        witness.frame(frame, &self.schemas);
        let mut guide = Guide { world: self, witness };
        match spelling {
            Spelling::Binary => gorc::decode(body, frame.tick, &mut guide),
            Spelling::Json => {
                let text =
                    std::str::from_utf8(body).map_err(|error| gorc::DecodeError::Json(error.to_string()))?;
                gorc::decode_json(text, frame.tick, &mut guide)
            }
        }
    }
}

/// Shows entries to the witness and then to the world.
struct Guide<'a> {
    world: &'a mut World,
    witness: &'a mut dyn Witness,
}

impl Visitor for Guide<'_> {
    fn reset(&mut self) {
        self.witness.reset();
        self.world.objects.clear();
    }

    fn enter(&mut self, enter: Enter<'_>) {
        self.witness.enter(&enter);
        let fields = enter.fields.iter().map(|(number, bytes)| (*number, bytes.to_vec())).collect();
        let object = Object {
            type_id: enter.type_id,
            player: enter.player,
            tick: enter.tick,
            pose: enter.pose,
            channel: enter.channel,
            snapped: !enter.again,
            fields,
        };
        self.world.objects.insert(enter.entity, object);
    }

    fn update(&mut self, update: Update<'_>) {
        self.witness.update(&update);
        let Some(object) = self.world.objects.get_mut(&update.entity) else {
            self.world.strays += 1;
            return;
        };
        object.channel = update.channel;
        if let Some(position) = update.position {
            object.tick = update.tick;
            object.pose.position = position;
            object.snapped = update.snap;
        }
        object.pose.velocity = update.velocity.unwrap_or(object.pose.velocity);
        object.pose.yaw = update.yaw.unwrap_or(object.pose.yaw);
        for (number, bytes) in update.fields {
            object.fields.insert(*number, bytes.to_vec());
        }
    }

    fn leave(&mut self, entity: EntityId, reason: LeaveReason) {
        self.witness.leave(entity, reason);
        if reason != LeaveReason::Moved {
            self.world.objects.remove(&entity);
        }
    }

    fn field_index(&mut self, entity: EntityId, type_id: Option<ObjectTypeId>, name: &str) -> Option<u8> {
        let type_id = type_id.or_else(|| self.world.objects.get(&entity).map(|object| object.type_id))?;
        let schema = self.world.schemas.get(usize::from(type_id.0))?;
        let place = schema.fields.iter().position(|field| field.name == name)?;
        u8::try_from(place).ok()
    }
}
