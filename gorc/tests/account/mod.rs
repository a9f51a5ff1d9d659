//! What a body says, as JSON values that compare whatever the spelling. Shared by the tests of the wire.
#![allow(dead_code)]

use gorc::wire::quantise_yaw;
use gorc::{DecodeError, Decoder, Density, Enter, LeaveReason, Update, Visitor, decode_json};
use horizon_model::{EntityId, ObjectTypeId, Position, Tick};
use serde_json::{Map, Value, json};

pub(crate) const VECTORS: &str = include_str!("../vectors.json");

const FIELDS: [&str; 4] = ["health", "stance", "cape", "name"];

/// Writes down all that is said, in whole centimetres and 256ths of a turn.
#[derive(Debug, Default)]
pub(crate) struct Account(pub(crate) Vec<Value>);

impl Visitor for Account {
    fn reset(&mut self) {
        self.0.push(json!("reset"));
    }

    fn enter(&mut self, e: Enter<'_>) {
        self.0.push(json!([
            ("enter", e.entity.to_string(), e.type_id.0, e.player.map(|player| player.to_string())),
            (e.tick.0, e.channel, e.again),
            place(&e.pose.position),
            speed(e.pose.velocity),
            quantise_yaw(e.pose.yaw),
            named(e.fields),
        ]));
    }

    fn update(&mut self, u: Update<'_>) {
        assert_eq!(u.position.is_some(), u.velocity.is_some(), "a knot has a place and a velocity");
        self.0.push(json!([
            ("update", u.entity.to_string(), u.tick.0, u.channel, u.snap, u.complete),
            u.position.map(|position| place(&position)),
            u.velocity.map(speed),
            u.yaw.map(quantise_yaw),
            named(u.fields),
        ]));
    }

    fn leave(&mut self, entity: EntityId, reason: LeaveReason) {
        self.0.push(json!(["leave", entity.to_string(), reason as u8]));
    }

    fn density(&mut self, cells: &[Density]) {
        self.0.push(json!(["density", cells]));
    }

    fn field_index(&mut self, _: EntityId, _: Option<ObjectTypeId>, name: &str) -> Option<u8> {
        FIELDS.iter().position(|other| *other == name).map(|index| index as u8)
    }
}

fn place(position: &Position) -> [i64; 3] {
    position.metres().map(|axis| (axis * 100.0).round() as i64)
}

fn speed(velocity: [f32; 3]) -> [i64; 3] {
    velocity.map(|axis| (f64::from(axis) * 100.0).round() as i64)
}

/// Fields by number; what is not JSON is told as a string of hexadecimal digits.
fn named(fields: &[(u8, &[u8])]) -> Map<String, Value> {
    let value = |bytes: &[u8]| {
        serde_json::from_slice(bytes)
            .unwrap_or_else(|_| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into())
    };
    fields.iter().map(|(index, bytes)| (index.to_string(), value(bytes))).collect()
}

/// What `decoder` hears in a binary body, up to the fault if there is one.
pub(crate) fn hear(decoder: &mut Decoder, body: &[u8], tick: u64) -> (Vec<Value>, Result<(), DecodeError>) {
    let mut account = Account::default();
    let result = decoder.decode(body, Tick(tick), &mut account);
    (account.0, result)
}

/// What a JSON body says, up to the fault if there is one.
pub(crate) fn hear_json(text: &str, tick: u64) -> (Vec<Value>, Result<(), DecodeError>) {
    let mut account = Account::default();
    let result = decode_json(text, Tick(tick), &mut account);
    (account.0, result)
}

pub(crate) fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|n| u8::from_str_radix(&text[n..n + 2], 16).unwrap()).collect()
}

/// One frame: its tick, and the body as binary and as JSON.
pub(crate) type Frame = (u64, Vec<u8>, String);

/// The bodies of `vectors.json`: each case and its frames.
pub(crate) fn cases() -> Vec<(String, Vec<Frame>)> {
    let vectors: Value = serde_json::from_str(VECTORS).unwrap();
    let frame = |frame: &Value| {
        let (tick, binary) = (frame["tick"].as_u64().unwrap(), frame["binary"].as_str().unwrap());
        (tick, unhex(binary), frame["said"].to_string())
    };
    let case = |case: &Value| {
        let frames = case["frames"].as_array().unwrap().iter().map(frame).collect();
        (case["name"].to_string(), frames)
    };
    vectors["bodies"].as_array().unwrap().iter().map(case).collect()
}
