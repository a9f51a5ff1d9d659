//! The objects this client holds, as the state frames describe them.

use std::collections::BTreeMap;
use std::time::Instant;

use gorc::{Curve, Decoder, Density, Enter, LeaveReason, Update, Visitor};
use horizon_model::{
    ChannelSpec, EntityId, Epoch, ObjectSchema, ObjectTypeId, PlayerId, Pose, Position, Tick, TickRate,
};
use horizon_protocol::client::{Progress, Spelling};

/// Ticks for which the past of a curve is kept, for those who draw later than they could.
const KEPT_TICKS: u64 = 60;

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
#[derive(Debug, Clone)]
pub struct Object {
    /// What it is: a place in the welcome's schemas.
    pub type_id: ObjectTypeId,
    /// Whose avatar, if a player's.
    pub player: Option<PlayerId>,
    /// Source tick of the newest knot.
    pub tick: Tick,
    /// Place, heading and velocity at the newest knot, quantised. To draw the object see [`World::drawn`].
    pub pose: Pose,
    /// Where to draw it when.
    pub curve: Curve,
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
    /// How many objects there are where none is told by itself.
    fn density(&mut self, _cells: &[Density]) {}
    /// An object is held no longer.
    fn leave(&mut self, _entity: EntityId, _reason: LeaveReason) {}
}

/// Nobody looks.
impl Witness for () {}

/// What the client holds.
#[derive(Debug, Clone, Default)]
pub struct World {
    objects: BTreeMap<EntityId, Object>,
    density: Vec<Density>,
    schemas: Vec<ObjectSchema>,
    rate: Option<TickRate>,
    newest: Tick,
    decoder: Decoder,
    strays: u64,
}

/// An object as it is to be drawn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drawn {
    /// The source tick that is shown: the newest frame's, less the delay of the object's channel.
    pub tick: Tick,
    /// Place and heading; the velocity is that of the newest knot.
    pub pose: Pose,
    /// Metres that the place may be off, as the channel promises.
    pub precision_metres: f64,
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

    /// Where to draw an object as of the newest frame.
    pub fn drawn(&self, entity: EntityId) -> Option<Drawn> {
        let object = self.objects.get(&entity)?;
        let spec = self.spec(object.type_id, object.channel);
        let tick = Tick(self.newest.0.saturating_sub(self.delay(&spec)));
        let (metres, yaw) = object.curve.at(tick.0 as f64);
        let position = Position::from_metres(metres)?;
        let precision_metres = f64::from(spec.precision_cm) / 100.0;
        Some(Drawn { tick, pose: Pose { position, yaw, ..object.pose }, precision_metres })
    }

    /// Objects by cell where there are too many to be told one by one.
    pub fn density(&self) -> &[Density] {
        &self.density
    }

    fn spec(&self, type_id: ObjectTypeId, channel: u8) -> ChannelSpec {
        let channel = usize::from(channel.min(3));
        let schema = self.schemas.get(usize::from(type_id.0));
        schema.map_or(ChannelSpec::DEFAULT[channel], |schema| schema.channels[channel])
    }

    fn delay(&self, spec: &ChannelSpec) -> u64 {
        self.rate.map_or(0, |rate| spec.delay_ticks(rate))
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
    pub fn strays(&self) -> u64 {
        self.strays + self.decoder.strays()
    }

    pub(crate) fn learn(&mut self, schemas: &[ObjectSchema], rate_hz: u32) {
        self.schemas = schemas.to_vec();
        let rate = TickRate::from_hz(rate_hz.into()).ok();
        if let Some(rate) = rate.filter(|rate| self.rate != Some(*rate)) {
            self.decoder = Decoder::at_rate(rate);
        }
        self.rate = rate;
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
        self.newest = self.newest.max(frame.tick);
        if spelling == Spelling::Json {
            let text =
                std::str::from_utf8(body).map_err(|error| gorc::DecodeError::Json(error.to_string()))?;
            let mut guide = Guide { world: self, witness, frame: frame.tick };
            return gorc::decode_json(text, frame.tick, &mut guide);
        }
        let mut decoder = std::mem::take(&mut self.decoder);
        let mut guide = Guide { world: self, witness, frame: frame.tick };
        let result = decoder.decode(body, frame.tick, &mut guide);
        self.decoder = decoder;
        result
    }
}

/// Shows entries to the witness and then to the world.
struct Guide<'a> {
    world: &'a mut World,
    witness: &'a mut dyn Witness,
    frame: Tick,
}

impl Visitor for Guide<'_> {
    fn reset(&mut self) {
        self.witness.reset();
        self.world.objects.clear();
    }

    fn enter(&mut self, enter: Enter<'_>) {
        self.witness.enter(&enter);
        let mut curve = Curve::new(
            enter.tick,
            gorc::wire::metres_of(&enter.pose.position),
            enter.pose.velocity.map(f64::from),
            enter.pose.yaw,
        );
        // Told again: the curve that is drawn goes on.
        if let Some(held) = self.world.objects.get(&enter.entity).filter(|_| enter.again) {
            let delay = self.world.delay(&self.world.spec(held.type_id, held.channel));
            let metres = gorc::wire::metres_of(&enter.pose.position);
            let velocity = enter.pose.velocity.map(f64::from);
            curve = held.curve.clone();
            curve.push(self.frame, delay, enter.tick, metres, velocity, Some(enter.pose.yaw), false);
        }
        let fields = enter.fields.iter().map(|(number, bytes)| (*number, bytes.to_vec())).collect();
        let object = Object {
            type_id: enter.type_id,
            player: enter.player,
            tick: enter.tick,
            pose: enter.pose,
            curve,
            channel: enter.channel,
            snapped: !enter.again,
            fields,
        };
        self.world.objects.insert(enter.entity, object);
    }

    fn update(&mut self, update: Update<'_>) {
        self.witness.update(&update);
        let Some(held) = self.world.objects.get(&update.entity) else {
            self.world.strays += 1;
            return;
        };
        // What was drawn was drawn as the channel held until now says.
        let delay = self.world.delay(&self.world.spec(held.type_id, held.channel));
        let object = self.world.objects.get_mut(&update.entity).expect("the object was just seen");
        object.channel = update.channel;
        if let Some(position) = update.position {
            object.tick = update.tick;
            object.pose.position = position;
            object.snapped = update.snap;
            let metres = gorc::wire::metres_of(&position);
            let velocity = update.velocity.unwrap_or_default().map(f64::from);
            object.curve.forget_before(self.frame.0.saturating_sub(KEPT_TICKS) as f64);
            object.curve.push(self.frame, delay, update.tick, metres, velocity, update.yaw, update.snap);
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

    fn density(&mut self, cells: &[Density]) {
        self.witness.density(cells);
        cells.clone_into(&mut self.world.density);
    }

    fn field_index(&mut self, entity: EntityId, type_id: Option<ObjectTypeId>, name: &str) -> Option<u8> {
        let type_id = type_id.or_else(|| self.world.objects.get(&entity).map(|object| object.type_id))?;
        let schema = self.world.schemas.get(usize::from(type_id.0))?;
        let place = schema.fields.iter().position(|field| field.name == name)?;
        u8::try_from(place).ok()
    }
}
