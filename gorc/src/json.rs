//! The JSON body: the same meaning as the binary one, for people and tools. `WIRE.md` specifies it.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use horizon_model::{Cell, EntityId, ObjectSchema, ObjectTypeId, PlayerId, Pose, Position, Tick};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, IgnoredAny, SeqAccess};
use serde_json::value::RawValue;

use crate::error::DecodeError;
use crate::wire::{Density, Enter, LeaveReason, Update, Visitor, heading};

/// Decimals of a heading: far finer than a 256th of a turn.
const YAW_SCALE: f64 = 1e4;

pub(crate) fn write_reset(text: &mut String) {
    text.push_str(r#"{"op":"reset"}"#);
}

pub(crate) fn write_leave(text: &mut String, entity: EntityId, reason: LeaveReason) {
    let reason = match reason {
        LeaveReason::OutOfRange => "out_of_range",
        LeaveReason::Gone => "gone",
        LeaveReason::Moved => "moved",
        LeaveReason::Teleported => "teleported",
    };
    put(text, format_args!(r#"{{"op":"leave","id":"{entity}","reason":"{reason}"}}"#));
}

pub(crate) fn write_enter(text: &mut String, enter: &Enter<'_>, schema: &ObjectSchema) {
    put(text, format_args!(r#"{{"op":"enter","id":"{}","tick":{}"#, enter.entity, enter.tick));
    put(text, format_args!(r#","channel":{},"type":{}"#, enter.channel, enter.type_id.0));
    if let Some(player) = enter.player {
        put(text, format_args!(r#","player":"{player}""#));
    }
    write_place(text, &enter.pose.position);
    write_velocity(text, enter.pose.velocity);
    write_yaw(text, enter.pose.yaw);
    write_flag(text, "again", enter.again);
    write_fields(text, enter.fields, schema);
    text.push('}');
}

pub(crate) fn write_update(text: &mut String, update: &Update<'_>, schema: &ObjectSchema) {
    put(text, format_args!(r#"{{"op":"update","id":"{}","tick":{}"#, update.entity, update.tick));
    put(text, format_args!(r#","channel":{}"#, update.channel));
    if let Some(position) = &update.position {
        write_place(text, position);
        write_velocity(text, update.velocity.unwrap_or_default());
        if let Some(yaw) = update.yaw {
            write_yaw(text, yaw);
        }
        write_flag(text, "snap", update.snap);
    }
    write_flag(text, "complete", update.complete);
    write_fields(text, update.fields, schema);
    text.push('}');
}

pub(crate) fn write_density(text: &mut String, cells: &[Density]) {
    text.push_str(r#"{"op":"density","cells":["#);
    for (n, (x, y, number)) in cells.iter().enumerate() {
        let comma = if n > 0 { "," } else { "" };
        put(text, format_args!("{comma}[{x},{y},{number}]"));
    }
    text.push_str("]}");
}

/// Metres from the world's origin; all lattices are whole centimetres.
fn write_place(text: &mut String, position: &Position) {
    let (Cell { x, y, z }, local) = (position.cell(), position.local());
    let cm = |cell: i32, local: f32| i64::from(cell) * 5000 + (f64::from(local) * 100.0).round() as i64;
    write_three(text, "at", [cm(x, local[0]), cm(y, local[1]), cm(z, local[2])]);
}

fn write_velocity(text: &mut String, velocity: [f32; 3]) {
    let cm = velocity.map(|axis| (f64::from(axis) * 100.0).round() as i64);
    if cm != [0; 3] {
        write_three(text, "v", cm);
    }
}

fn write_three(text: &mut String, key: &str, cm: [i64; 3]) {
    put(text, format_args!(r#","{key}":["#));
    for (n, cm) in cm.into_iter().enumerate() {
        if n > 0 {
            text.push(',');
        }
        write_cm(text, cm);
    }
    text.push(']');
}

/// Appends whole centimetres as metres, with as many digits as needed.
fn write_cm(text: &mut String, cm: i64) {
    let sign = if cm < 0 { "-" } else { "" };
    let (whole, rest) = (cm.unsigned_abs() / 100, cm.unsigned_abs() % 100);
    match rest {
        0 => put(text, format_args!("{sign}{whole}")),
        _ if rest.is_multiple_of(10) => put(text, format_args!("{sign}{whole}.{}", rest / 10)),
        _ => put(text, format_args!("{sign}{whole}.{rest:02}")),
    }
}

fn write_yaw(text: &mut String, yaw: f32) {
    let yaw = (f64::from(yaw) * YAW_SCALE).round() / YAW_SCALE;
    put(text, format_args!(r#","yaw":{yaw}"#));
}

fn write_flag(text: &mut String, key: &str, set: bool) {
    if set {
        put(text, format_args!(r#","{key}":true"#));
    }
}

fn write_fields(text: &mut String, fields: &[(u8, &[u8])], schema: &ObjectSchema) {
    let mut named = fields
        .iter()
        .filter_map(|&(index, bytes)| Some((&schema.fields.get(usize::from(index))?.name, bytes)))
        .peekable();
    if named.peek().is_none() {
        return;
    }
    text.push_str(r#","fields":{"#);
    for (n, (name, bytes)) in named.enumerate() {
        if n > 0 {
            text.push(',');
        }
        text.push_str(&serde_json::to_string(name).expect("a string is always JSON"));
        text.push(':');
        write_field(text, bytes);
    }
    text.push('}');
}

/// JSON as it stands, anything else as a string of hexadecimal digits.
fn write_field(text: &mut String, bytes: &[u8]) {
    match std::str::from_utf8(bytes) {
        Ok(value) if serde_json::from_str::<IgnoredAny>(value).is_ok() => text.push_str(value.trim()),
        _ => {
            text.push('"');
            bytes.iter().for_each(|byte| put(text, format_args!("{byte:02x}")));
            text.push('"');
        }
    }
}

fn put(text: &mut String, arguments: fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("a string takes any text");
}

/// One element of the array. Unknown keys are ignored, so that later versions may add some.
#[derive(Deserialize)]
struct Op<'a> {
    op: String,
    #[serde(default)]
    id: String,
    tick: Option<u64>,
    #[serde(default)]
    channel: u8,
    #[serde(default, rename = "type")]
    type_id: u16,
    player: Option<String>,
    at: Option<[f64; 3]>,
    v: Option<[f32; 3]>,
    yaw: Option<f32>,
    #[serde(default)]
    snap: bool,
    #[serde(default)]
    complete: bool,
    #[serde(default)]
    again: bool,
    reason: Option<String>,
    cells: Option<Vec<Density>>,
    #[serde(default, borrow)]
    fields: BTreeMap<String, &'a RawValue>,
}

/// Reads a JSON body of the frame for `frame_tick`. The bytes of a field are its JSON text.
///
/// # Errors
///
/// [`DecodeError::Json`] where the text is not JSON, or at the first entry that lacks what it needs;
/// entries before it were visited.
pub fn decode_json(text: &str, frame_tick: Tick, visitor: &mut dyn Visitor) -> Result<(), DecodeError> {
    let mut reader = serde_json::Deserializer::from_str(text);
    Ops { frame_tick, visitor }
        .deserialize(&mut reader)
        .and_then(|()| reader.end())
        .map_err(|error| DecodeError::Json(error.to_string()))
}

/// Visits each element of the array as it is read, so that none has to be kept.
struct Ops<'v> {
    frame_tick: Tick,
    visitor: &'v mut dyn Visitor,
}

impl<'de> DeserializeSeed<'de> for Ops<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de> serde::de::Visitor<'de> for Ops<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of operations")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut ops: A) -> Result<(), A::Error> {
        while let Some(op) = ops.next_element::<Op<'de>>()? {
            visit(&op, self.frame_tick, self.visitor).map_err(A::Error::custom)?;
        }
        Ok(())
    }
}

/// An entry without a valid value of a key that it needs.
struct Lacks<'a> {
    op: &'a Op<'a>,
    key: &'static str,
}

impl fmt::Display for Lacks<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} of {:?} has no valid {:?}", self.op.op, self.op.id, self.key)
    }
}

fn visit<'a>(op: &'a Op<'a>, frame_tick: Tick, visitor: &mut dyn Visitor) -> Result<(), Lacks<'a>> {
    let lacks = |key| Lacks { op, key };
    match op.op.as_str() {
        "reset" => {
            visitor.reset();
            return Ok(());
        }
        "density" => {
            let cells = op.cells.as_ref().ok_or_else(|| lacks("cells"))?;
            let rise = cells.windows(2).all(|pair| (pair[0].0, pair[0].1) < (pair[1].0, pair[1].1));
            if !rise || cells.iter().any(|(_, _, number)| *number == 0) {
                return Err(lacks("cells"));
            }
            visitor.density(cells);
            return Ok(());
        }
        _ => {}
    }
    let entity: EntityId = op.id.parse().map_err(|_| lacks("id"))?;
    let tick = op.tick.map_or(frame_tick, Tick);
    if op.channel > 3 {
        return Err(lacks("channel"));
    }
    let position = match op.at {
        Some(metres) => Some(Position::from_metres(metres).ok_or_else(|| lacks("at"))?),
        None => None,
    };
    if op.v.is_some_and(|v| position.is_none() || !v.iter().all(|axis| axis.is_finite())) {
        return Err(lacks("v"));
    }
    if op.yaw.is_some_and(|yaw| position.is_none() || !yaw.is_finite()) {
        return Err(lacks("yaw"));
    }
    match op.op.as_str() {
        "leave" => {
            let reason = match op.reason.as_deref() {
                Some("out_of_range") => LeaveReason::OutOfRange,
                Some("gone") => LeaveReason::Gone,
                Some("moved") => LeaveReason::Moved,
                Some("teleported") => LeaveReason::Teleported,
                _ => return Err(lacks("reason")),
            };
            visitor.leave(entity, reason);
        }
        "enter" => {
            let player = match &op.player {
                Some(player) => Some(player.parse::<PlayerId>().map_err(|_| lacks("player"))?),
                None => None,
            };
            let type_id = ObjectTypeId(op.type_id);
            let pose = Pose {
                position: position.ok_or_else(|| lacks("at"))?,
                velocity: op.v.unwrap_or_default(),
                yaw: op.yaw.ok_or_else(|| lacks("yaw"))?,
            };
            let fields = numbered(op, entity, Some(type_id), visitor);
            visitor.enter(Enter {
                entity,
                type_id,
                player,
                tick,
                pose,
                channel: op.channel,
                again: op.again,
                fields: &fields,
            });
        }
        "update" => {
            let velocity = position.map(|_| op.v.unwrap_or_default());
            let fields = numbered(op, entity, None, visitor);
            visitor.update(Update {
                entity,
                tick,
                channel: op.channel,
                position,
                velocity,
                yaw: op.yaw.or_else(|| velocity.and_then(heading)),
                snap: op.snap && position.is_some(),
                complete: op.complete,
                fields: &fields,
            });
        }
        _ => return Err(lacks("op")),
    }
    Ok(())
}

/// The fields whose numbers the visitor knows, in order of number.
fn numbered<'a>(
    op: &'a Op<'_>,
    entity: EntityId,
    type_id: Option<ObjectTypeId>,
    visitor: &mut dyn Visitor,
) -> Vec<(u8, &'a [u8])> {
    let mut fields: Vec<_> = op
        .fields
        .iter()
        .filter_map(|(name, value)| {
            Some((visitor.field_index(entity, type_id, name)?, value.get().as_bytes()))
        })
        .collect();
    fields.sort_unstable_by_key(|(index, _)| *index);
    fields
}
