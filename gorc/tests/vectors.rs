//! `vectors.json`: bodies and what they say, for readers in every language.
//!
//! `cargo test -p horizon-gorc --test vectors -- --ignored` writes what this build says; the
//! difference belongs in the same commit as the change of `WIRE.md` that explains it.
#![allow(clippy::unwrap_used)]

mod common;

use common::{FIELDS, Said, read, schema};
use gorc::{Body, Enter, LeaveReason, Precision, Spelling, Update, decode};
use horizon_model::{EntityId, ObjectTypeId, PlayerId, Pose, Position, Tick};
use serde_json::{Map, Value, json};

const KEPT: &str = include_str!("vectors.json");

fn id(bits: u64) -> EntityId {
    EntityId::from_bits(bits).unwrap()
}

fn at(x: f64, y: f64, z: f64) -> Position {
    Position::from_metres([x, y, z]).unwrap()
}

const ADA: u64 = 0x0003_0007_0000_0009;

fn enter(channel: u8) -> Enter<'static> {
    Enter {
        entity: id(ADA),
        type_id: ObjectTypeId::PLAYER,
        player: Some(PlayerId(0x0123_4567_89ab_cdef_0011_2233_4455_6677)),
        tick: Tick(600),
        pose: Pose { position: at(12.34, -0.01, 3.0), velocity: [1.5, -2.25, 0.0], yaw: 1.0 },
        channel,
        precision: Precision::from_class(channel),
        again: false,
        fields: &[],
    }
}

fn update(entity: u64, tick: u64, channel: u8) -> Update<'static> {
    Update {
        entity: id(entity),
        tick: Tick(tick),
        channel,
        precision: Precision::from_class(channel),
        position: Some(at(12.34, 149.99, -3.0)),
        velocity: None,
        yaw: None,
        snap: false,
        complete: false,
        fields: &[],
    }
}

type Write = fn(&mut Body);

/// Every rule of `WIRE.md` in one line each. Frame tick 600.
const CASES: [(&str, Write); 14] = [
    ("nothing", |_| ()),
    ("reset, then an enter at full precision", |body| {
        body.reset();
        body.enter(&Enter { fields: &[(0, b"100"), (3, br#""Ada""#)], ..enter(0) }, &schema());
    }),
    ("enter on the outermost channel, no player, again", |body| {
        let type_id = ObjectTypeId(300);
        body.enter(&Enter { type_id, player: None, again: true, ..enter(3) }, &schema());
    }),
    ("leaves of every reason", |body| {
        body.leave(id(ADA), LeaveReason::Gone);
        body.leave(id(ADA + 1), LeaveReason::OutOfRange);
        body.leave(id(ADA + 300), LeaveReason::OutOfRange);
        body.leave(id(ADA + 2), LeaveReason::Moved);
        body.leave(id(ADA + 3), LeaveReason::Teleported);
    }),
    ("leaves of two mints", |body| {
        body.leave(id(1 << 32), LeaveReason::Gone);
        body.leave(id(u64::MAX), LeaveReason::Gone);
    }),
    ("update in steps of 5 cm", |body| body.update(&update(ADA, 600, 0), &schema())),
    ("update in steps of 25 cm with velocity and heading", |body| {
        let update =
            Update { velocity: Some([-300.5, 0.01, 9999.0]), yaw: Some(-1.0), ..update(ADA, 598, 1) };
        body.update(&update, &schema());
    }),
    ("update in steps of 50 cm", |body| body.update(&update(ADA, 600, 2), &schema())),
    ("update in steps of 200 cm", |body| body.update(&update(ADA, 600, 3), &schema())),
    ("update of a field alone", |body| {
        body.update(&Update { position: None, fields: &[(2, b"[1,2]")], ..update(ADA, 600, 0) }, &schema());
    }),
    ("snap into a place, complete", |body| {
        let update =
            Update { snap: true, complete: true, fields: &[(0, b"1"), (1, b"{}")], ..update(ADA, 600, 0) };
        body.update(&update, &schema());
    }),
    ("three objects share a block, one has its own", |body| {
        for n in [5, 0, 1] {
            body.update(&update(ADA + n, 600, 0), &schema());
        }
        body.update(&Update { position: Some(at(-1.0, 0.0, 0.0)), ..update(ADA + 2, 600, 0) }, &schema());
    }),
    ("a bunch of samples, the source ahead of the frame", |body| {
        for tick in [604, 596, 600] {
            body.update(&update(ADA, tick, 0), &schema());
        }
    }),
    ("far from the origin", |body| {
        body.update(&Update { position: Some(at(-1e9, 1e9, 4e4)), ..update(ADA, 600, 0) }, &schema());
    }),
];

fn write(spelling: Spelling, case: Write) -> Vec<u8> {
    let mut body = Body::new(spelling);
    case(&mut body);
    body.finish(Tick(600)).to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|n| u8::from_str_radix(&text[n..n + 2], 16).unwrap()).collect()
}

/// The vectors as this build makes them.
fn vectors() -> Value {
    let fields: Vec<_> = FIELDS.iter().map(|(name, channel)| json!([name, channel.index()])).collect();
    let cases: Vec<_> = CASES
        .iter()
        .map(|(name, case)| {
            let text = String::from_utf8(write(Spelling::Json, *case)).unwrap();
            let said: Value = serde_json::from_str(&text).unwrap();
            json!({ "name": name, "frame_tick": 600, "binary": hex(&write(Spelling::Binary, *case)), "said": said })
        })
        .collect();
    let refused: Vec<_> =
        REFUSED.iter().map(|(name, body)| json!({ "name": name, "binary": body })).collect();
    json!({ "fields": fields, "bodies": cases, "refused": refused })
}

/// Bodies that break one rule each.
const REFUSED: [(&str, &str); 16] = [
    ("header bit 7", "80"),
    ("a reset with a reason", "04"),
    ("leaves with a precision", "11000101"),
    ("enters without a place", "4200000101030000"),
    ("no entries", "010000"),
    ("more entries than bytes", "0100ff01"),
    ("the same id twice", "0500020100"),
    ("entity zero", "01000100"),
    ("a number not in its shortest form", "0180000101"),
    ("an axis beyond its cell", "030000000000010100e8030000"),
    ("a spare bit of a position", "03000000000001010000000040"),
    ("a tick before the world", "43b20900010100"),
    ("a precision without a place", "730000010100"),
    ("a flag of enters in an update", "430000010120"),
    ("an enter without a heading", "0200000000000101010000000000"),
    ("a field mask of zero", "43000001010400"),
];

#[test]
fn this_build_says_what_the_vectors_say() {
    let kept: Value = serde_json::from_str(KEPT).unwrap();
    assert_eq!(kept, vectors());
}

#[test]
#[ignore = "writes vectors.json"]
fn write_the_vectors() {
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors.json"), pretty(&vectors())).unwrap();
}

/// One body per line, so that a change shows as one.
fn pretty(vectors: &Value) -> String {
    let lines = |key: &str| {
        let list = vectors[key].as_array().unwrap();
        list.iter().map(|value| format!("    {value}")).collect::<Vec<_>>().join(",\n")
    };
    let (fields, bodies, refused) = (&vectors["fields"], lines("bodies"), lines("refused"));
    format!(
        "{{\n  \"fields\": {fields},\n  \"bodies\": [\n{bodies}\n  ],\n  \"refused\": [\n{refused}\n  ]\n}}\n"
    )
}

#[test]
fn the_vectors_read_as_what_they_say() {
    let vectors: Value = serde_json::from_str(KEPT).unwrap();
    for vector in vectors["bodies"].as_array().unwrap() {
        let (name, frame) = (&vector["name"], Tick(vector["frame_tick"].as_u64().unwrap()));
        let bytes = unhex(vector["binary"].as_str().unwrap());
        let binary = read(Spelling::Binary, &bytes, frame);
        let told: Vec<_> = binary.iter().map(describe).collect();
        let json = read(Spelling::Json, vector["said"].to_string().as_bytes(), frame);
        let said: Vec<_> = json.iter().map(describe).collect();
        assert_eq!(told, said, "{name}");
    }
    for vector in vectors["refused"].as_array().unwrap() {
        let bytes = unhex(vector["binary"].as_str().unwrap());
        let result = decode(&bytes, Tick(600), &mut common::Scribe::default());
        assert!(result.is_err(), "{}", vector["name"]);
    }
}

/// Comparable whatever the spelling: numbers in the steps in which they travel.
fn describe(said: &Said) -> Value {
    let steps = |position: &Position, precision: Precision| {
        let place = gorc::quantise(position, precision);
        json!([place.cell.x, place.cell.y, place.cell.z, place.steps, precision.cm()])
    };
    let text = |fields: &[(u8, Vec<u8>)]| -> Map<String, Value> {
        fields.iter().map(|(n, bytes)| (n.to_string(), String::from_utf8_lossy(bytes).into())).collect()
    };
    match said {
        Said::Reset => json!("reset"),
        Said::Leave(entity, reason) => json!([entity.to_string(), *reason as u8]),
        Said::Enter { entity, type_id, player, tick, pose, channel, precision, again, fields } => json!([
            (entity.to_string(), type_id.0, player.map(|p| p.to_string()), tick.0, channel, again),
            steps(&pose.position, *precision),
            gorc::quantise_velocity(pose.velocity),
            gorc::quantise_yaw(pose.yaw),
            text(fields),
        ]),
        Said::Update {
            entity,
            tick,
            channel,
            precision,
            position,
            velocity,
            yaw,
            snap,
            complete,
            fields,
        } => {
            json!([
                (entity.to_string(), tick.0, channel, snap, complete),
                position.map(|position| steps(&position, *precision)),
                velocity.map(gorc::quantise_velocity),
                yaw.map(gorc::quantise_yaw),
                text(fields),
            ])
        }
    }
}
