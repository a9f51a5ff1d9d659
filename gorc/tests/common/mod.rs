//! A receiver that checks the order of what it is told and draws curves, shared by the tests.
#![allow(dead_code, clippy::unwrap_used)]

use std::collections::BTreeMap;

use gorc::{
    Anchor, Curve, Decoder, Enter, Gorc, LeaveReason, NewObject, ObserverId, ObserverSpec, Spelling, Update,
    Visitor, decode_json,
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
    Pose { position: place(x, y, z), velocity: [0.0; 3], yaw: 0.5 }
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
    ObserverSpec::client(at)
}

pub(crate) fn region(at: Position) -> ObserverSpec {
    ObserverSpec::region(Anchor::Point(at), 5.0)
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
        again: bool,
        fields: Vec<(u8, Vec<u8>)>,
    },
    Update {
        entity: EntityId,
        tick: Tick,
        channel: u8,
        position: Option<Position>,
        velocity: Option<[f32; 3]>,
        yaw: Option<f32>,
        snap: bool,
        complete: bool,
        fields: Vec<(u8, Vec<u8>)>,
    },
    Leave(EntityId, LeaveReason),
    Density(Vec<(i32, i32, u32)>),
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
            again: e.again,
            fields: owned(e.fields),
        });
    }

    fn update(&mut self, u: Update<'_>) {
        self.0.push(Said::Update {
            entity: u.entity,
            tick: u.tick,
            channel: u.channel,
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

    fn density(&mut self, cells: &[(i32, i32, u32)]) {
        self.0.push(Said::Density(cells.to_vec()));
    }

    fn field_index(&mut self, _: EntityId, _: Option<ObjectTypeId>, name: &str) -> Option<u8> {
        FIELDS.iter().position(|(other, _)| *other == name).map(|index| index as u8)
    }
}

/// One receiver: reads bodies, panics where the order enter, updates, leave is broken, draws.
#[derive(Debug, Default, Clone)]
pub(crate) struct Receiver {
    decoder: Decoder,
    pub(crate) held: BTreeMap<EntityId, Held>,
    pub(crate) enters: usize,
    pub(crate) updates: usize,
    pub(crate) bytes: usize,
    pub(crate) leaves: Vec<(EntityId, LeaveReason)>,
    pub(crate) density: Vec<(i32, i32, u32)>,
    /// Of the region; 30 Hz unless set.
    pub(crate) rate: Option<TickRate>,
}

impl Receiver {
    pub(crate) fn at_rate(rate: TickRate) -> Self {
        Self { decoder: Decoder::at_rate(rate), rate: Some(rate), ..Self::default() }
    }
}

#[derive(Debug, Clone)]
pub(crate) struct Held {
    pub channel: u8,
    pub curve: Curve,
    /// Ticks of the knots told.
    pub ticks: Vec<u64>,
    pub fields: BTreeMap<u8, Vec<u8>>,
}

fn metres(position: &Position) -> [f64; 3] {
    gorc::wire::metres_of(position)
}

pub(crate) fn delay(channel: u8, rate: TickRate) -> u64 {
    horizon_model::ChannelSpec::DEFAULT[usize::from(channel)].delay_ticks(rate)
}

impl Receiver {
    /// Takes one body and says what was in it.
    pub(crate) fn read(&mut self, spelling: Spelling, tick: u64, body: &[u8]) -> Vec<Said> {
        let mut scribe = Scribe::default();
        match spelling {
            Spelling::Binary => self.decoder.decode(body, Tick(tick), &mut scribe).unwrap(),
            Spelling::Json => {
                decode_json(std::str::from_utf8(body).unwrap(), Tick(tick), &mut scribe).unwrap();
            }
        }
        self.bytes += body.len();
        for said in &scribe.0 {
            self.hear(tick, said);
        }
        assert_eq!(self.decoder.strays(), 0, "an alias that nobody handed out");
        scribe.0
    }

    fn hear(&mut self, frame: u64, said: &Said) {
        match said {
            Said::Reset => self.held.clear(),
            Said::Enter { entity, tick, channel, fields, again, pose, .. } => {
                let held = Held {
                    channel: *channel,
                    curve: Curve::new(*tick, metres(&pose.position), pose.velocity.map(f64::from), pose.yaw),
                    ticks: vec![tick.0],
                    fields: fields.iter().cloned().collect(),
                };
                let before = self.held.insert(*entity, held);
                assert!(before.is_none() || *again, "{entity} entered twice");
                self.enters += 1;
            }
            Said::Update { entity, tick, channel, position, velocity, yaw, snap, fields, .. } => {
                let held = self.held.get_mut(entity).unwrap_or_else(|| panic!("{entity} not entered"));
                let before = std::mem::replace(&mut held.channel, *channel);
                self.updates += 1;
                if let Some(position) = position {
                    let velocity = velocity.unwrap().map(f64::from);
                    let delay = delay(before, self.rate.unwrap_or_else(rate));
                    held.curve.push(Tick(frame), delay, *tick, metres(position), velocity, *yaw, *snap);
                    held.ticks.push(tick.0);
                }
                held.fields.extend(fields.iter().cloned());
            }
            Said::Leave(entity, reason) => {
                assert!(self.held.remove(entity).is_some(), "{entity} left unheld");
                self.leaves.push((*entity, *reason));
            }
            Said::Density(cells) => self.density = cells.clone(),
        }
    }

    /// Holds what `view` says, as if another region had told it.
    pub(crate) fn adopt(&mut self, view: &gorc::View) {
        let mut other = Gorc::new(rate(), schema());
        let id = ObserverId(1);
        other.add_observer(id, client(place(0.0, 0.0, 0.0)));
        for held in &view.held {
            let n = held.entity.bits() & 0xffff_ffff;
            other.spawn(object(n, held.tick.0, pose(n as f64, 0.0, 0.0)));
        }
        step(&mut other, 0, 1, self);
        self.held.values_mut().for_each(|held| held.fields.clear());
    }

    /// Metres between where an object is drawn at `tick` and `truth`.
    pub(crate) fn error(&self, entity: EntityId, tick: u64, truth: &Position) -> f64 {
        let (drawn, _) = self.held[&entity].curve.at(tick as f64);
        let truth = metres(truth);
        (0..3).map(|axis| (drawn[axis] - truth[axis]).powi(2)).sum::<f64>().sqrt()
    }
}

/// Steps once and returns what an observer heard; `None` if nothing was sent to it.
pub(crate) fn step(gorc: &mut Gorc, tick: u64, id: u64, receiver: &mut Receiver) -> Option<Vec<Said>> {
    step_with(gorc, tick, id, receiver, true)
}

pub(crate) fn step_with(
    gorc: &mut Gorc,
    tick: u64,
    observer: u64,
    receiver: &mut Receiver,
    credit: bool,
) -> Option<Vec<Said>> {
    let mut heard = None;
    gorc.step(Tick(tick), &mut |_| credit, &mut |id, body| {
        if id == ObserverId(observer) {
            heard = Some(receiver.read(Spelling::Binary, tick, body));
        }
    });
    heard
}
