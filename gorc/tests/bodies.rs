//! Both spellings say the same, the same calls give the same bytes, and no bytes break a reader.
#![allow(clippy::unwrap_used)]

mod common;

use common::{FIELDS, Said, Scribe, client, entity, object, place, pose, rate, read, schema};
use gorc::{
    Body, Enter, Gorc, LeaveReason, ObserverId, ObserverSpec, Precision, Spelling, Update, decode,
    decode_json,
};
use horizon_model::{EntityId, ObjectTypeId, PlayerId, Pose, Position, Tick};
use proptest::prelude::*;

const FRAME: Tick = Tick(1_000_000);

fn any_place() -> impl Strategy<Value = Position> {
    prop::array::uniform3(prop_oneof![-300.0..300.0, -1e7..1e7_f64])
        .prop_map(|metres| Position::from_metres(metres).unwrap())
}

fn any_fields() -> impl Strategy<Value = Vec<(u8, Vec<u8>)>> {
    let value = prop_oneof![
        any::<i32>().prop_map(|n| n.to_string()),
        "[a-z\"\\\\é]{0,12}".prop_map(|text| serde_json::to_string(&text).unwrap()),
        Just("{\"hp\":[1,2,null]}".to_owned()),
    ];
    prop::collection::btree_map(0..FIELDS.len() as u8, value.prop_map(String::into_bytes), 0..=FIELDS.len())
        .prop_map(|fields| fields.into_iter().collect())
}

fn any_said() -> impl Strategy<Value = Said> {
    let entity =
        (0_u64..3, 1_u64..300).prop_map(|(prefix, low)| EntityId::from_bits(prefix << 32 | low).unwrap());
    let tick = (0_u64..40).prop_map(|behind| Tick(FRAME.0 + 10 - behind));
    let velocity = prop::array::uniform3(-300.0_f32..300.0);
    let yaw = -4.0_f32..4.0;
    prop_oneof![
        (entity.clone(), 0_u8..4)
            .prop_map(|(entity, reason)| Said::Leave(entity, LeaveReason::from_class(reason))),
        (
            entity.clone(),
            tick.clone(),
            (any_place(), velocity.clone(), yaw.clone()),
            (0_u8..4, 0_u8..4, any::<bool>(), any::<u16>()),
            prop::option::of(any::<u128>()),
            any_fields(),
        )
            .prop_map(
                |(entity, tick, (position, velocity, yaw), (channel, class, again, kind), player, fields)| {
                    Said::Enter {
                        entity,
                        type_id: ObjectTypeId(kind),
                        player: player.map(PlayerId),
                        tick,
                        pose: Pose { position, velocity, yaw },
                        channel,
                        precision: Precision::from_class(class),
                        again,
                        fields,
                    }
                }
            ),
        (
            entity,
            tick,
            (prop::option::of(any_place()), prop::option::of(velocity), prop::option::of(yaw)),
            (0_u8..4, 0_u8..4, any::<bool>(), any::<bool>()),
            any_fields(),
        )
            .prop_map(
                |(entity, tick, (position, velocity, yaw), (channel, class, snap, complete), fields)| {
                    Said::Update {
                        entity,
                        tick,
                        channel,
                        precision: Precision::from_class(if position.is_some() { class } else { 0 }),
                        position,
                        velocity,
                        yaw,
                        snap: snap && position.is_some(),
                        complete,
                        fields,
                    }
                }
            ),
    ]
}

/// At most one entry per kind, entity and tick, as a step makes them.
fn any_body() -> impl Strategy<Value = Vec<Said>> {
    prop::collection::vec(any_said(), 0..30).prop_map(|mut all| {
        let mut seen = std::collections::BTreeSet::new();
        all.retain(|said| {
            seen.insert(match said {
                Said::Leave(entity, _) => (0, *entity, 0),
                Said::Enter { entity, .. } => (1, *entity, 0),
                Said::Update { entity, tick, .. } => (2, *entity, tick.0),
                Said::Reset => return false,
            })
        });
        all
    })
}

pub(crate) fn write(spelling: Spelling, frame: Tick, said: &[Said]) -> Vec<u8> {
    let mut body = Body::new(spelling);
    for said in said {
        match said {
            Said::Reset => body.reset(),
            Said::Leave(entity, reason) => body.leave(*entity, *reason),
            Said::Enter { entity, type_id, player, tick, pose, channel, precision, again, fields } => {
                let fields: Vec<_> = fields.iter().map(|(index, bytes)| (*index, &bytes[..])).collect();
                let (entity, type_id, player, tick) = (*entity, *type_id, *player, *tick);
                let (pose, channel, precision, again) = (*pose, *channel, *precision, *again);
                let enter =
                    Enter { entity, type_id, player, tick, pose, channel, precision, again, fields: &fields };
                body.enter(&enter, &schema());
            }
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
                let fields: Vec<_> = fields.iter().map(|(index, bytes)| (*index, &bytes[..])).collect();
                let update = Update {
                    entity: *entity,
                    tick: *tick,
                    channel: *channel,
                    precision: *precision,
                    position: *position,
                    velocity: *velocity,
                    yaw: *yaw,
                    snap: *snap,
                    complete: *complete,
                    fields: &fields,
                };
                body.update(&update, &schema());
            }
        }
    }
    body.finish(frame).to_vec()
}

fn near(told: &Position, meant: &Position, precision: Precision) -> bool {
    told.since(meant).iter().all(|axis| axis.abs() <= precision.metres() / 2.0 + 1e-3)
}

/// Whether `told` is what `meant` is after rounding.
fn same(told: &Said, meant: &Said) -> bool {
    match (told, meant) {
        (
            Said::Enter {
                entity: e,
                tick: t,
                pose: p,
                channel: c,
                fields: f,
                player: l,
                type_id: y,
                again: a,
                precision,
            },
            Said::Enter { entity, tick, pose, channel, fields, player, type_id, again, precision: size },
        ) => {
            (e, t, c, f, l, y, a, precision) == (entity, tick, channel, fields, player, type_id, again, size)
                && near(&p.position, &pose.position, *size)
                && p.velocity.iter().zip(pose.velocity).all(|(told, meant)| (told - meant).abs() < 0.006)
        }
        (
            Said::Update {
                entity: e,
                tick: t,
                position: p,
                velocity: v,
                yaw: y,
                snap: s,
                complete: m,
                fields: f,
                ..
            },
            Said::Update { entity, tick, position, velocity, yaw, snap, complete, fields, precision, .. },
        ) => {
            (e, t, s, m, f) == (entity, tick, snap, complete, fields)
                && (p.is_some(), v.is_some(), y.is_some())
                    == (position.is_some(), velocity.is_some(), yaw.is_some())
                && p.is_none_or(|told| near(&told, &position.unwrap(), *precision))
        }
        (Said::Leave(e, r), Said::Leave(entity, reason)) => (e, r) == (entity, reason),
        _ => false,
    }
}

proptest! {
    /// What is written is read, within the precision; what was read writes the same bytes again.
    #[test]
    fn round_trips(meant in any_body()) {
        for spelling in [Spelling::Binary, Spelling::Json] {
            let bytes = write(spelling, FRAME, &meant);
            let told = read(spelling, &bytes, FRAME);
            prop_assert_eq!(told.len(), meant.len());
            for said in &meant {
                prop_assert!(told.iter().any(|told| same(told, said)), "{:?} not in {:?}", said, told);
            }
            prop_assert_eq!(write(spelling, FRAME, &told), bytes);
        }
        let binary = read(Spelling::Binary, &write(Spelling::Binary, FRAME, &meant), FRAME);
        let json = read(Spelling::Json, &write(Spelling::Json, FRAME, &meant), FRAME);
        for (binary, json) in binary.iter().zip(&json) {
            prop_assert!(same(json, binary), "{:?} and {:?}", binary, json);
        }
    }

    /// No bytes make a reader panic.
    #[test]
    fn noise_is_refused_in_words(noise in prop::collection::vec(any::<u8>(), 0..200), tick in any::<u64>()) {
        let _ = decode(&noise, Tick(tick), &mut Scribe::default());
        let _ = decode_json(&String::from_utf8_lossy(&noise), Tick(tick), &mut Scribe::default());
    }

    /// Nor does a valid body with a few bytes changed, cut or grown.
    #[test]
    fn damage_is_refused_in_words(
        meant in any_body(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        cut in any::<prop::sample::Index>(),
    ) {
        for spelling in [Spelling::Binary, Spelling::Json] {
            let mut bytes = write(spelling, FRAME, &meant);
            if bytes.is_empty() {
                continue;
            }
            for (at, byte) in &damage {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            for len in [bytes.len(), cut.index(bytes.len())] {
                let mut scribe = Scribe::default();
                match spelling {
                    Spelling::Binary => { let _ = decode(&bytes[..len], FRAME, &mut scribe); }
                    Spelling::Json => {
                        let _ = decode_json(&String::from_utf8_lossy(&bytes[..len]), FRAME, &mut scribe);
                    }
                }
            }
        }
    }
}

#[test]
fn fields_that_are_not_json_become_hexadecimal() {
    let said = Said::Update {
        entity: entity(1),
        tick: FRAME,
        channel: 0,
        precision: Precision::Cm5,
        position: None,
        velocity: None,
        yaw: None,
        snap: false,
        complete: false,
        fields: vec![(0, vec![0xde, 0xad]), (3, b" {\"a\": 1} ".to_vec())],
    };
    let text = String::from_utf8(write(Spelling::Json, FRAME, &[said])).unwrap();
    assert!(text.ends_with(r#""fields":{"health":"dead","name":{"a": 1}}}]"#), "{text}");
}

/// The same calls give the same bytes, whatever ran before.
#[test]
fn deterministic() {
    let run = || {
        let mut gorc = Gorc::new(rate(), schema());
        for (id, spelling) in [(1, Spelling::Binary), (2, Spelling::Json)] {
            gorc.add_observer(ObserverId(id), ObserverSpec { spelling, ..client(place(0.0, 0.0, 0.0)) });
        }
        let mut all = Vec::new();
        for step in 0..60_u64 {
            for n in 1..40 {
                let pose = pose(n as f64 * 7.0 + step as f64, n as f64, 0.0);
                if step == n {
                    gorc.spawn(object(n, step * 2, pose));
                }
                gorc.sample(entity(n), Tick(step * 2), &pose, false);
            }
            gorc.despawn(entity(step / 2), LeaveReason::Gone);
            gorc.step(Tick(step * 2), &mut |id| id.0 + step != 30, &mut |id, body| {
                all.push((id, body.to_vec()));
            });
        }
        all
    };
    assert_eq!(run(), run());
}

#[test]
fn a_position_costs_six_bytes_close_by() {
    let mut gorc = Gorc::new(rate(), schema());
    gorc.add_observer(ObserverId(1), client(place(0.0, 0.0, 0.0)));
    (1..=100).for_each(|n| gorc.spawn(object(n, 0, pose(n as f64 / 10.0, 1.0, 1.0))));
    gorc.step(Tick(0), &mut |_| true, &mut |_, _| {});
    let mut total = 0;
    for tick in (2..=60).step_by(2) {
        (1..=100).for_each(|n| gorc.sample(entity(n), Tick(tick), &pose(n as f64 / 10.0, 1.0, 1.0), false));
        gorc.step(Tick(tick), &mut |_| true, &mut |_, body| total += body.len());
    }
    // 30 × 6 bytes, 15 × 8 bytes of velocity and heading, and block headers.
    assert!(total <= 100 * (30 * 6 + 15 * 8) + 30 * 20, "{total}");
}
