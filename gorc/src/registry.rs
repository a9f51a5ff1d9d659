//! Object types, prepared for what a step asks of them.

use std::collections::BTreeMap;

use horizon_model::{ChannelSpec, ObjectSchema, ObjectTypeId, TickRate};

use crate::interest::{BANDS, limits};

/// Fields of one type, at most.
pub(crate) const MAX_FIELDS: usize = 32;

/// Radians that a heading may be off on the two channels that tell of it.
const YAW_BOUNDS: [f32; 4] = [0.15, f32::INFINITY, f32::INFINITY, f32::INFINITY];

/// What the curve of an object on one channel must keep to.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Pace {
    /// Grid ticks from one chance to tell to the next.
    pub(crate) period_ticks: u64,
    /// The same in steps, rounded up.
    pub(crate) period: i64,
    /// Steps that clients draw behind; at least the period.
    pub(crate) delay: i64,
    /// Steps whose mean velocity the newest knot goes on with: as long as in any other region of the world.
    pub(crate) base: i64,
    /// Metres that the curve may be off.
    pub(crate) bound: f32,
    /// Radians that the heading may be off.
    pub(crate) yaw_bound: f32,
}

/// One object type.
#[derive(Debug)]
pub(crate) struct ObjectType {
    pub(crate) schema: ObjectSchema,
    /// Fields of each channel, bit `n` for field `n`.
    pub(crate) fields: [u32; 4],
    pub(crate) paces: [Pace; 4],
    /// Which of the registry's tables of reach it follows.
    pub(crate) profile: u16,
}

/// Types with the same reach share an index.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Profile {
    pub(crate) limits: [f32; BANDS],
    pub(crate) nearest: [u32; 4],
    pub(crate) priority: [f32; 4],
}

impl Profile {
    fn new(specs: &[ChannelSpec; 4]) -> Self {
        Self {
            limits: limits(specs),
            nearest: specs.map(|spec| spec.nearest),
            priority: specs.map(|spec| spec.priority),
        }
    }

    pub(crate) fn is_capped(&self) -> bool {
        self.nearest != [0; 4]
    }
}

/// Every type known, players first.
#[derive(Debug)]
pub(crate) struct Registry {
    world: TickRate,
    rate: TickRate,
    players: ObjectType,
    others: BTreeMap<ObjectTypeId, ObjectType>,
    pub(crate) profiles: Vec<Profile>,
}

impl Registry {
    pub(crate) fn new(world: TickRate, rate: TickRate, players: ObjectSchema) -> Self {
        let mut profiles = Vec::new();
        let players = prepare(world, rate, players, &mut profiles);
        Self { world, rate, players, others: BTreeMap::new(), profiles }
    }

    pub(crate) fn register(&mut self, id: ObjectTypeId, schema: ObjectSchema) {
        let kind = prepare(self.world, self.rate, schema, &mut self.profiles);
        if id == ObjectTypeId::PLAYER {
            self.players = kind;
        } else {
            self.others.insert(id, kind);
        }
    }

    /// Types nobody registered have the default channels and no fields.
    pub(crate) fn ensure(&mut self, id: ObjectTypeId) {
        if id != ObjectTypeId::PLAYER && !self.others.contains_key(&id) {
            self.register(id, ObjectSchema::named("unknown"));
        }
    }

    pub(crate) fn of(&self, id: ObjectTypeId) -> &ObjectType {
        if id == ObjectTypeId::PLAYER {
            return &self.players;
        }
        self.others.get(&id).unwrap_or(&self.players)
    }
}

fn prepare(
    world: TickRate,
    rate: TickRate,
    mut schema: ObjectSchema,
    profiles: &mut Vec<Profile>,
) -> ObjectType {
    if ChannelSpec::check_all(&schema.channels).is_err() {
        schema.channels = ChannelSpec::DEFAULT;
    }
    schema.fields.truncate(MAX_FIELDS);
    let mut fields = [0; 4];
    for (index, field) in schema.fields.iter().enumerate() {
        fields[field.channel.index()] |= 1 << index;
    }
    let mut yaw_bounds = YAW_BOUNDS.into_iter();
    let paces = schema.channels.map(|spec| {
        let step = rate.step();
        let period = spec.period_ticks().div_ceil(step) as i64;
        Pace {
            period_ticks: spec.period_ticks(),
            period,
            base: ((spec.period_ticks().div_ceil(world.step()) / 2).clamp(1, 4) * world.step() / step) as i64,
            delay: (spec.delay_ticks(world) / step) as i64,
            bound: spec.precision_cm as f32 / 100.0,
            yaw_bound: yaw_bounds.next().unwrap_or(f32::INFINITY),
        }
    });
    let profile = Profile::new(&schema.channels);
    let place = profiles.iter().position(|known| *known == profile).unwrap_or_else(|| {
        profiles.push(profile);
        profiles.len() - 1
    });
    ObjectType { schema, fields, paces, profile: place as u16 }
}
