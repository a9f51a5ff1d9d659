//! The JSON body: the same meaning as the binary one, for people and tools. `WIRE.md` specifies it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use horizon_model::{EntityId, ObjectSchema, ObjectTypeId, PlayerId, Pose, Position, Tick};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use crate::error::DecodeError;
use crate::quantise::{Precision, dequantise_yaw, quantise, quantise_velocity, quantise_yaw};
use crate::wire::{Enter, LeaveReason, Update, Visitor};

/// Decimals of a heading: enough to find the step of a 65536th of a turn again.
const YAW_SCALE: f64 = 1e5;

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
    write_place(text, &enter.pose.position, enter.precision);
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
        write_place(text, position, update.precision);
    }
    if let Some(velocity) = update.velocity {
        write_velocity(text, velocity);
    }
    if let Some(yaw) = update.yaw {
        write_yaw(text, yaw);
    }
    write_flag(text, "snap", update.snap && update.position.is_some());
    write_flag(text, "complete", update.complete);
    write_fields(text, update.fields, schema);
    text.push('}');
}

fn write_place(text: &mut String, position: &Position, precision: Precision) {
    let place = quantise(position, precision);
    let cells = [place.cell.x, place.cell.y, place.cell.z];
    let cm = |n: usize| i64::from(cells[n]) * 5000 + i64::from(place.steps[n]) * i64::from(precision.cm());
    put(text, format_args!(r#","cm":{}"#, precision.cm()));
    write_three(text, "at", [cm(0), cm(1), cm(2)]);
}

fn write_velocity(text: &mut String, velocity: [f32; 3]) {
    write_three(text, "v", quantise_velocity(velocity).map(i64::from));
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
    let written = match rest {
        0 => write!(text, "{sign}{whole}"),
        _ if rest.is_multiple_of(10) => write!(text, "{sign}{whole}.{}", rest / 10),
        _ => write!(text, "{sign}{whole}.{rest:02}"),
    };
    written.expect("a string takes any text");
}

fn write_yaw(text: &mut String, yaw: f32) {
    let yaw = (f64::from(dequantise_yaw(quantise_yaw(yaw))) * YAW_SCALE).round() / YAW_SCALE;
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

fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
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
    cm: Option<u32>,
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
    #[serde(default, borrow)]
    fields: BTreeMap<String, &'a RawValue>,
}

/// Reads a JSON body of the frame for `frame_tick`. The bytes of a field are its JSON text.
///
/// # Errors
///
/// [`DecodeError::Json`] where the text is not JSON, or at the first entry that lacks what it needs;
/// entries before it were visited.
pub fn decode_json(text: &str, frame_tick: Tick, visitor: &mut impl Visitor) -> Result<(), DecodeError> {
    let ops: Vec<Op<'_>> =
        serde_json::from_str(text).map_err(|error| DecodeError::Json(error.to_string()))?;
    ops.iter().try_for_each(|op| visit(op, frame_tick, visitor))
}

fn visit(op: &Op<'_>, frame_tick: Tick, visitor: &mut impl Visitor) -> Result<(), DecodeError> {
    if op.op == "reset" {
        visitor.reset();
        return Ok(());
    }
    let entity: EntityId = op.id.parse().map_err(|_| lacks(op, "id"))?;
    let tick = op.tick.map_or(frame_tick, Tick);
    if op.channel > 3 {
        return Err(lacks(op, "channel"));
    }
    let precision = Precision::from_cm(op.cm.unwrap_or(5)).ok_or_else(|| lacks(op, "cm"))?;
    let position = match op.at {
        Some(metres) => Some(Position::from_metres(metres).ok_or_else(|| lacks(op, "at"))?),
        None => None,
    };
    if op.v.is_some_and(|v| !v.iter().all(|axis| axis.is_finite())) {
        return Err(lacks(op, "v"));
    }
    if op.yaw.is_some_and(|yaw| !yaw.is_finite()) {
        return Err(lacks(op, "yaw"));
    }
    match op.op.as_str() {
        "leave" => {
            let reason = match op.reason.as_deref() {
                Some("out_of_range") => LeaveReason::OutOfRange,
                Some("gone") => LeaveReason::Gone,
                Some("moved") => LeaveReason::Moved,
                Some("teleported") => LeaveReason::Teleported,
                _ => return Err(lacks(op, "reason")),
            };
            visitor.leave(entity, reason);
        }
        "enter" => {
            let player = match &op.player {
                Some(player) => Some(player.parse::<PlayerId>().map_err(|_| lacks(op, "player"))?),
                None => None,
            };
            let type_id = ObjectTypeId(op.type_id);
            let pose = Pose {
                position: position.ok_or_else(|| lacks(op, "at"))?,
                velocity: op.v.ok_or_else(|| lacks(op, "v"))?,
                yaw: op.yaw.ok_or_else(|| lacks(op, "yaw"))?,
            };
            let fields = numbered(op, entity, Some(type_id), visitor);
            visitor.enter(Enter {
                entity,
                type_id,
                player,
                tick,
                pose,
                channel: op.channel,
                precision,
                again: op.again,
                fields: &fields,
            });
        }
        "update" => {
            let fields = numbered(op, entity, None, visitor);
            visitor.update(Update {
                entity,
                tick,
                channel: op.channel,
                precision,
                position,
                velocity: op.v,
                yaw: op.yaw,
                snap: op.snap,
                complete: op.complete,
                fields: &fields,
            });
        }
        _ => return Err(lacks(op, "op")),
    }
    Ok(())
}

/// The fields whose numbers the visitor knows, in order of number.
fn numbered<'a>(
    op: &'a Op<'_>,
    entity: EntityId,
    type_id: Option<ObjectTypeId>,
    visitor: &mut impl Visitor,
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

fn lacks(op: &Op<'_>, key: &str) -> DecodeError {
    DecodeError::Json(format!("{:?} of {:?} has no valid {key:?}", op.op, op.id))
}
