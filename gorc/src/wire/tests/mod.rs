//! A sender and a receiver side by side: what is written is what is read.

mod held;
mod refused;
mod round_trip;
mod vectors;

use horizon_model::{
    Channel, EntityId, FieldSpec, ObjectSchema, ObjectTypeId, PlayerId, Pose, Position, Tick,
};

use super::*;
use crate::json;

pub(super) fn schema() -> ObjectSchema {
    let mut schema = ObjectSchema::named("player");
    schema.fields = ["health", "stance", "cape", "name"]
        .into_iter()
        .zip(Channel::ALL)
        .map(|(name, channel)| FieldSpec { name: name.to_owned(), channel })
        .collect();
    schema
}

type Fields = Vec<(u8, Vec<u8>)>;

fn owned(fields: &[(u8, &[u8])]) -> Fields {
    fields.iter().map(|(index, bytes)| (*index, bytes.to_vec())).collect()
}

fn borrowed(fields: &Fields) -> Vec<(u8, &[u8])> {
    fields.iter().map(|(index, bytes)| (*index, &bytes[..])).collect()
}

/// One thing a body said.
#[derive(Debug, Clone, PartialEq)]
enum Said {
    Reset,
    Leave(EntityId, LeaveReason),
    Enter {
        entity: EntityId,
        type_id: ObjectTypeId,
        player: Option<PlayerId>,
        tick: Tick,
        pose: Pose,
        channel: u8,
        again: bool,
        fields: Fields,
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
        fields: Fields,
    },
    Density(Vec<Density>),
}

/// Writes down all that is said.
#[derive(Debug, Default)]
struct Scribe(Vec<Said>);

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

    fn density(&mut self, cells: &[Density]) {
        self.0.push(Said::Density(cells.to_vec()));
    }

    fn field_index(&mut self, _: EntityId, _: Option<ObjectTypeId>, name: &str) -> Option<u8> {
        schema().fields.iter().position(|field| field.name == name).map(|index| index as u8)
    }
}

/// The same in JSON.
fn spelled(said: &[Said]) -> String {
    let mut text = "[".to_owned();
    for said in said {
        if text.len() > 1 {
            text.push(',');
        }
        match said {
            Said::Reset => json::write_reset(&mut text),
            Said::Leave(entity, reason) => json::write_leave(&mut text, *entity, *reason),
            Said::Enter { entity, type_id, player, tick, pose, channel, again, fields } => {
                let (entity, type_id, player, tick) = (*entity, *type_id, *player, *tick);
                let (pose, channel, again, fields) = (*pose, *channel, *again, &borrowed(fields)[..]);
                let enter = Enter { entity, type_id, player, tick, pose, channel, again, fields };
                json::write_enter(&mut text, &enter, &schema());
            }
            Said::Update { entity, tick, channel, position, velocity, yaw, snap, complete, fields } => {
                let (entity, tick, channel, snap, complete) = (*entity, *tick, *channel, *snap, *complete);
                let (position, velocity, yaw) = (*position, *velocity, *yaw);
                let fields = &borrowed(fields)[..];
                let update =
                    Update { entity, tick, channel, position, velocity, yaw, snap, complete, fields };
                json::write_update(&mut text, &update, &schema());
            }
            Said::Density(cells) => json::write_density(&mut text, cells),
        }
    }
    text.push(']');
    text
}

/// Metres between two places, or infinity where only one of them is told.
fn apart(a: Option<Position>, b: Option<Position>) -> f64 {
    match (a, b) {
        (Some(a), Some(b)) => a.distance(&b),
        (None, None) => 0.0,
        _ => f64::INFINITY,
    }
}

/// Whether `told` is what `meant` is, but for the digits that JSON leaves out.
fn alike(told: &Said, meant: &Said) -> bool {
    let (mut told, mut meant) = (told.clone(), meant.clone());
    for said in [&mut told, &mut meant] {
        match said {
            Said::Enter { pose, .. } => {
                pose.yaw = (pose.yaw * 500.0).round();
                pose.velocity = pose.velocity.map(|axis| (axis * 10.0).round());
            }
            Said::Update { yaw, velocity, .. } => {
                *yaw = yaw.map(|yaw| (yaw * 500.0).round());
                *velocity = velocity.map(|v| v.map(|axis| (axis * 10.0).round()));
            }
            _ => {}
        }
    }
    match (&mut told, &mut meant) {
        (Said::Enter { pose: a, .. }, Said::Enter { pose: b, .. }) => {
            let near = a.position.distance(&b.position) < 1e-2 && (a.yaw - b.yaw).abs() <= 1.0;
            (a.position, a.yaw) = (b.position, b.yaw);
            near && told == meant
        }
        (Said::Update { position: a, yaw: turn, .. }, Said::Update { position: b, yaw: other, .. }) => {
            let near = apart(*a, *b) < 1e-2 && turn.zip(*other).is_none_or(|(a, b)| (a - b).abs() <= 1.0);
            *a = *b;
            if turn.is_some() == other.is_some() {
                *turn = *other;
            }
            near && told == meant
        }
        _ => told == meant,
    }
}
