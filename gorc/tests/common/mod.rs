//! A receiver that checks the order of what it is told, shared by the tests.
#![allow(dead_code)]

use std::collections::BTreeMap;

use gorc::{
    Anchor, Enter, Gorc, LeaveReason, NewObject, ObserverId, ObserverSpec, Precision, Spelling, Update,
    Visitor,
};
use horizon_model::{
    Channel, EntityId, FieldSpec, ObjectSchema, ObjectTypeId, PlayerId, Pose, Position, Tick, TickRate,
};

pub(crate) const FIELDS: [(&str, Channel); 4] = [
    ("health", Channel::Critical),
    ("stance", Channel::Detailed),
    ("cape", Channel::Cosmetic),
    ("name", Channel::Metadata),
];

pub(crate) fn schema() -> ObjectSchema {
    let mut schema = ObjectSchema::named("player");
    schema.fields = FIELDS.map(|(name, channel)| FieldSpec { name: name.to_owned(), channel }).to_vec();
    schema
}

pub(crate) fn rate() -> TickRate {
    TickRate::from_hz(30).unwrap()
}

pub(crate) fn entity(n: u64) -> EntityId {
    EntityId::from_bits(0x0003_0001_0000_0000 | n).unwrap()
}

pub(crate) fn place(x: f64, y: f64, z: f64) -> Position {
    Position::from_metres([x, y, z]).unwrap()
}

pub(crate) fn pose(x: f64, y: f64, z: f64) -> Pose {
    Pose { position: place(x, y, z), velocity: [1.0, -2.5, 0.0], yaw: 0.5 }
}

pub(crate) fn object(n: u64, tick: u64, pose: Pose) -> NewObject {
    NewObject {
        entity: entity(n),
        type_id: ObjectTypeId::PLAYER,
        player: Some(PlayerId(u128::from(n))),
        ghost: false,
        tick: Tick(tick),
        pose,
        fields: FIELDS.iter().map(|(name, _)| Some(format!("\"{name} 0\"").into_bytes())).collect(),
    }
}

pub(crate) fn client(at: Position) -> ObserverSpec {
    ObserverSpec {
        anchor: Anchor::Point(at),
        spelling: Spelling::Binary,
        muted: false,
        sees_ghosts: true,
        margin_metres: 0.0,
    }
}

pub(crate) fn region(at: Position) -> ObserverSpec {
    ObserverSpec { sees_ghosts: false, margin_metres: 5.0, ..client(at) }
}

/// One thing a body said, owned.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Said {
    Reset,
    Enter {
        entity: EntityId,
        type_id: ObjectTypeId,
        player: Option<PlayerId>,
        tick: Tick,
        pose: Pose,
        channel: u8,
        precision: Precision,
        again: bool,
        fields: Vec<(u8, Vec<u8>)>,
    },
    Update {
        entity: EntityId,
        tick: Tick,
        channel: u8,
        precision: Precision,
        position: Option<Position>,
        velocity: Option<[f32; 3]>,
        yaw: Option<f32>,
        snap: bool,
        complete: bool,
        fields: Vec<(u8, Vec<u8>)>,
    },
    Leave(EntityId, LeaveReason),
}

fn owned(fields: &[(u8, &[u8])]) -> Vec<(u8, Vec<u8>)> {
    fields.iter().map(|&(index, bytes)| (index, bytes.to_vec())).collect()
}

/// Writes down all that is said.
#[derive(Debug, Default)]
pub(crate) struct Scribe(pub(crate) Vec<Said>);

impl Visitor for Scribe {
    fn reset(&mut self) {
        self.0.push(Said::Reset);
    }

    fn enter(&mut self, e: Enter<'_>) {
        self.0.push(Said::Enter {
            entity: e.entity,
            type_id: e.type_id,
            player: e.player,
            tick: e.tick,
            pose: e.pose,
            channel: e.channel,
            precision: e.precision,
            again: e.again,
            fields: owned(e.fields),
        });
    }

    fn update(&mut self, u: Update<'_>) {
        self.0.push(Said::Update {
            entity: u.entity,
            tick: u.tick,
            channel: u.channel,
            precision: u.precision,
            position: u.position,
            velocity: u.velocity,
            yaw: u.yaw,
            snap: u.snap,
            complete: u.complete,
            fields: owned(u.fields),
        });
    }

    fn leave(&mut self, entity: EntityId, reason: LeaveReason) {
        self.0.push(Said::Leave(entity, reason));
    }

    fn field_index(&mut self, _: EntityId, _: Option<ObjectTypeId>, name: &str) -> Option<u8> {
        FIELDS.iter().position(|(other, _)| *other == name).map(|index| index as u8)
    }
}

pub(crate) fn read(spelling: Spelling, body: &[u8], tick: Tick) -> Vec<Said> {
    let mut scribe = Scribe::default();
    match spelling {
        Spelling::Binary => gorc::decode(body, tick, &mut scribe).unwrap(),
        Spelling::Json => gorc::decode_json(std::str::from_utf8(body).unwrap(), tick, &mut scribe).unwrap(),
    }
    scribe.0
}

/// Steps once with credit for everyone and returns what a binary observer heard; `None` if nothing
/// was sent to it.
pub(crate) fn step(gorc: &mut Gorc, tick: u64, observer: u64) -> Option<Vec<Said>> {
    step_with(gorc, tick, observer, true)
}

pub(crate) fn step_with(gorc: &mut Gorc, tick: u64, observer: u64, credit: bool) -> Option<Vec<Said>> {
    let mut heard = None;
    gorc.step(Tick(tick), &mut |_| credit, &mut |id, body| {
        if id == ObserverId(observer) {
            heard = Some(read(Spelling::Binary, body, Tick(tick)));
        }
    });
    heard
}

/// What a receiver holds. Panics where the order enter, updates, leave is broken.
#[derive(Debug, Default)]
pub(crate) struct Holder {
    pub held: BTreeMap<EntityId, Held>,
    pub enters: usize,
    pub leaves: Vec<(EntityId, LeaveReason)>,
}

#[derive(Debug, Default, Clone)]
pub(crate) struct Held {
    pub channel: u8,
    /// Source ticks at which a position came.
    pub ticks: Vec<u64>,
    pub fields: BTreeMap<u8, Vec<u8>>,
}

impl Holder {
    pub(crate) fn hear(&mut self, said: &[Said]) {
        for said in said {
            match said {
                Said::Reset => self.held.clear(),
                Said::Enter { entity, tick, channel, fields, again, .. } => {
                    let held = Held {
                        channel: *channel,
                        ticks: vec![tick.0],
                        fields: fields.iter().cloned().collect(),
                    };
                    let before = self.held.insert(*entity, held);
                    assert!(before.is_none() || *again, "{entity} entered twice");
                    self.enters += 1;
                }
                Said::Update { entity, tick, channel, position, fields, .. } => {
                    let held = self.held.get_mut(entity).unwrap_or_else(|| panic!("{entity} not entered"));
                    held.channel = *channel;
                    if position.is_some() {
                        assert!(held.ticks.last() < Some(&tick.0), "{entity}: tick {tick} doubled or late");
                        held.ticks.push(tick.0);
                    }
                    held.fields.extend(fields.iter().cloned());
                }
                Said::Leave(entity, reason) => {
                    assert!(self.held.remove(entity).is_some(), "{entity} left unheld");
                    self.leaves.push((*entity, *reason));
                }
            }
        }
    }
}
