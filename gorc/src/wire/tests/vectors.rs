//! `tests/vectors.json`: bodies and what they say, for readers in every language.
//!
//! `cargo test -p horizon-gorc --lib vectors -- --ignored` writes what this build says; the difference
//! belongs in the same commit as the change of `WIRE.md` that explains it.

use serde_json::{Value, json};

use super::refused::{REFUSED, REFUSED_JSON};
use super::*;
use crate::Curve;

const KEPT: &str = include_str!("../../../tests/vectors.json");

const ADA: u64 = 0x0003_0007_0000_0009;
const BOB: u64 = ADA + 1;
const EVE: u64 = 0x0003_0008_0000_0001;

/// One body and the tick of its frame.
type Body = (u64, Vec<u8>);

fn knot(tick: u64, place: [i64; 3], velocity: [i32; 3], yaw: Option<u8>) -> Knot {
    Knot { tick: Tick(tick), place, velocity, yaw: yaw.unwrap_or(0), own_yaw: yaw.is_some() }
}

fn entry<'a>(entity: u64, channel: u8, knot: &'a Knot) -> EnterEntry<'a> {
    EnterEntry {
        entity: EntityId::from_bits(entity).unwrap(),
        type_id: ObjectTypeId::PLAYER,
        player: None,
        channel,
        lag_ticks: 600 - knot.tick.0 as i64,
        knot,
        again: false,
        fields: &[],
    }
}

/// Enters in the frame of tick 600, by rising alias.
fn enters(entries: &[(u32, EnterEntry<'_>)]) -> Body {
    let mut out = Vec::new();
    put_header(&mut out, Section::Enters);
    put_gap(&mut out, entries.len() as u32);
    let (mut next, mut before) = (0, None);
    for (alias, entry) in entries {
        put_enter(&mut out, alias - next, before, entry);
        (next, before) = (alias + 1, Some(entry.entity));
    }
    (600, out)
}

/// Objects at rest near (10, 20, 1.5) m behind `aliases`, of one mint.
fn crowd(channel: u8, aliases: &[u32]) -> Body {
    let place = LATTICES[usize::from(channel)].place([10.0, 20.0, 1.5]);
    let knot = knot(600, place, [0; 3], None);
    let entries: Vec<_> = aliases
        .iter()
        .enumerate()
        .map(|(n, alias)| (*alias, entry(ADA + n as u64, channel, &knot)))
        .collect();
    enters(&entries)
}

/// Updates by rising alias: short where it can be.
fn updates(frame: u64, entries: &[(u32, u8, Knot)]) -> Body {
    let mut out = vec![Section::Updates as u8];
    let mut next = 0;
    for (alias, channel, knot) in entries {
        let lag = frame as i64 - knot.tick.0 as i64;
        match short(*channel, lag, 2, knot) {
            Some(short) => put_short(&mut out, alias - next, &short),
            None => put_long(&mut out, alias - next, &long(*channel, Some((lag, knot)), &[])),
        }
        next = alias + 1;
    }
    (frame, out)
}

fn long<'a>(channel: u8, knot: Option<(i64, &'a Knot)>, fields: &'a [(u8, &'a [u8])]) -> Long<'a> {
    Long { channel, snap: false, complete: false, knot, fields }
}

/// One long update of alias 0.
fn told(frame: u64, long: &Long<'_>) -> Body {
    let mut out = vec![Section::Updates as u8];
    put_long(&mut out, 0, long);
    (frame, out)
}

fn leaves(frame: u64, leaves: &[(LeaveReason, &[u32])]) -> Body {
    let mut out = Vec::new();
    for (reason, gaps) in leaves {
        put_leaves_header(&mut out, *reason, gaps.len() as u32);
        gaps.iter().for_each(|gap| put_gap(&mut out, *gap));
    }
    (frame, out)
}

fn density(frame: u64, cells: &[Density]) -> Body {
    let mut out = Vec::new();
    put_density(&mut out, cells);
    (frame, out)
}

/// The bodies of one frame after each other.
fn joined(bodies: &[Body]) -> Body {
    (bodies[0].0, bodies.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect())
}

const RESET: [u8; 1] = [Section::Reset as u8];

/// Every rule of `WIRE.md`: a name, and bodies for one receiver in order.
fn cases() -> Vec<(String, Vec<Body>)> {
    let at_rest = knot(600, [200, 400, 30], [0; 3], None);
    let walking = knot(596, [247, -1, 60], [15, -22, 0], Some(41));
    let ada = PlayerId(0x0123_4567_89ab_cdef_0011_2233_4455_6677);
    let fields: [(u8, &[u8]); 2] = [(0, b"100"), (3, br#""Ada""#)];
    let avatar = EnterEntry { player: Some(ada), fields: &fields, ..entry(ADA, 0, &walking) };
    let far = knot(603, [-4000, 7, 0], [0; 3], None);
    let tower = EnterEntry { type_id: ObjectTypeId(300), again: true, ..entry(EVE, 3, &far) };
    let mut cases = vec![
        ("nothing".to_owned(), vec![(600, vec![])]),
        (
            "reset, then an avatar with everything".to_owned(),
            vec![joined(&[(600, RESET.to_vec()), enters(&[(0, avatar)])])],
        ),
        (
            "an enter at rest on the outermost channel, again, its source ahead of the frame".to_owned(),
            vec![enters(&[(5, tower)])],
        ),
        (
            "three enters, the second of the mint of the first".to_owned(),
            vec![enters(&[
                (0, entry(ADA, 0, &at_rest)),
                (1, entry(BOB, 1, &walking)),
                (300, entry(EVE, 2, &far)),
            ])],
        ),
        (
            "leaves of every reason".to_owned(),
            vec![
                crowd(0, &[0, 1, 2, 3, 4]),
                leaves(
                    602,
                    &[
                        (LeaveReason::OutOfRange, &[0, 2]),
                        (LeaveReason::Gone, &[1]),
                        (LeaveReason::Moved, &[2]),
                        (LeaveReason::Teleported, &[4]),
                    ],
                ),
            ],
        ),
        (
            "a density layer, and none".to_owned(),
            vec![density(600, &[(-2, 7, 1), (-2, 9, 300), (0, -40, 12)]), density(602, &[])],
        ),
        (
            "every section at once".to_owned(),
            vec![
                crowd(0, &[0, 1]),
                joined(&[
                    (600, RESET.to_vec()),
                    leaves(600, &[(LeaveReason::Gone, &[0])]),
                    crowd(1, &[2]),
                    density(600, &[(1, 1, 9)]),
                    updates(600, &[(2, 1, knot(598, [41, 79, 6], [-20, 9, 0], None))]),
                ]),
            ],
        ),
    ];
    for channel in 0..4_u8 {
        let near = LATTICES[usize::from(channel)].place([11.0, 18.5, 2.0]);
        let shapes = [
            knot(610, near, [0; 3], None),
            knot(608, near, [-19, 8, 0], None),
            knot(608, near, [5, 6, -7], None),
            knot(610, near, [0; 3], Some(200)),
            knot(608, near, [-19, 8, 0], Some(3)),
            knot(608, near, [0, 0, 7], Some(128)),
        ];
        let entries: Vec<_> = (0..).zip(shapes).map(|(alias, knot)| (alias, channel, knot)).collect();
        cases.push((
            format!("every short shape on channel {channel}"),
            vec![crowd(channel, &[0, 1, 2, 3, 4, 5]), updates(610, &entries)],
        ));
        let lattice = &LATTICES[usize::from(channel)];
        let (widest, oldest) = ((1 << (lattice.velocity_bits - 1)) - 1, 2 * ((1 << lattice.lag_bits) - 1));
        cases.push((
            format!("the widest short numbers on channel {channel}, and one more"),
            vec![
                crowd(channel, &[0, 1, 2, 3, 4]),
                updates(
                    680,
                    &[
                        (0, channel, knot(680 - oldest, near, [widest, -widest - 1, 0], None)),
                        (1, channel, knot(680 - oldest - 2, near, [0; 3], None)),
                        (2, channel, knot(679, near, [0; 3], None)),
                        (3, channel, knot(682, near, [0; 3], None)),
                        (4, channel, knot(680, near, [widest + 1, 0, 0], None)),
                    ],
                ),
            ],
        ));
        cases.push((
            format!("places far from where they are expected on channel {channel}"),
            far_off(channel),
        ));
    }
    cases.extend(states());
    cases
}

/// Moved since the enter, places are expected 60 ticks on; then up to 20 m beside that.
fn far_off(channel: u8) -> Vec<Body> {
    let lattice = &LATTICES[usize::from(channel)];
    let velocity = lattice.velocity([-12.0, 4.0, 0.4]);
    let start = knot(600, lattice.place([3.0, -3.0, 0.5]), velocity, Some(9));
    let mut bodies = vec![enters(&[(0, entry(ADA, channel, &start))])];
    let mut last = start;
    for (n, offset) in [[0.0; 3], [20.0; 3], [-20.0; 3], [19.5, -19.5, 0.0]].into_iter().enumerate() {
        let tick = 660 + 60 * n as u64;
        let expected = last.metres_at(channel, tick as i64);
        let place = lattice.place([0, 1, 2].map(|n: usize| expected[n] + offset[n]));
        last = knot(tick, place, velocity, None);
        bodies.push(updates(tick, &[(0, channel, last)]));
    }
    // The edges of the window: half a turn of the low bits below, and one less above.
    let half = 1 << (lattice.axis_bits - 1);
    let still = knot(860, last.place, [0; 3], None);
    let below = knot(862, [still.place[0] - half, still.place[1] + half - 1, still.place[2]], [0; 3], None);
    bodies.push(updates(860, &[(0, channel, still)]));
    bodies.push(updates(862, &[(0, channel, below)]));
    bodies
}

/// What a receiver must remember, and long updates.
fn states() -> Vec<(String, Vec<Body>)> {
    let mut short_gap = vec![Section::Updates as u8];
    let still = short(0, 0, 2, &knot(602, [201, 401, 31], [0; 3], None)).unwrap();
    [6, 7, 134, 135, 16_390, 16_391].iter().for_each(|gap| put_short(&mut short_gap, *gap, &still));
    let running = knot(600, [200, 400, 30], [70, -30, 0], Some(5));
    let on = |tick, channel: u8, metres| {
        let lattice = &LATTICES[usize::from(channel)];
        knot(tick, lattice.place(metres), lattice.velocity([7.0, -3.0, 0.0]), None)
    };
    let both: [(u8, &[u8]); 2] = [(0, b"7"), (2, &[0xde, 0xad])];
    let snap = knot(602, [-90_000, 400, 30], [0; 3], Some(64));
    let wide = knot(603, [9, 400, -30], [300, 0, -5000], Some(255));
    let lift = knot(604, [9, 401, -30], [0, 0, 20], None);
    let planet = |metres| knot(600, LATTICES[0].place(metres), [100, 0, 0], None);
    let out_there = [planet([-1e9, 1e9, 4e4]), planet([1e11, -1e11, 0.0])];
    vec![
        (
            "gaps of 6, 7, 134, 135, 16390 and 16391, and the last alias".to_owned(),
            vec![crowd(0, &[6, 14, 149, 285, 16_676, 33_068, 65_535]), (602, short_gap), {
                let last = knot(602, [201, 401, 31], [0; 3], None);
                updates(602, &[(65_535, 0, last)])
            }],
        ),
        (
            "a change of channel, there and back".to_owned(),
            vec![
                enters(&[(0, entry(ADA, 0, &running))]),
                updates(630, &[(0, 2, on(630, 2, [13.5, 18.5, 1.5]))]),
                updates(660, &[(0, 0, on(660, 0, [17.0, 17.0, 1.5]))]),
                updates(690, &[(0, 1, on(690, 1, [20.5, 15.5, 1.5]))]),
                updates(720, &[(0, 3, on(720, 3, [24.0, 14.0, 1.5]))]),
            ],
        ),
        (
            "fields alone change the channel held, not the knot".to_owned(),
            vec![
                enters(&[(0, entry(ADA, 0, &running))]),
                told(602, &long(3, None, &both[..1])),
                updates(630, &[(0, 3, on(630, 3, [13.5, 18.5, 1.5]))]),
            ],
        ),
        (
            "long updates: a snap, completeness, wide velocities, a lift, fields".to_owned(),
            vec![
                enters(&[(0, entry(ADA, 0, &running))]),
                told(602, &Long { snap: true, ..long(0, Some((0, &snap)), &[]) }),
                told(603, &Long { complete: true, ..long(1, Some((0, &wide)), &both) }),
                told(602, &long(1, Some((-2, &lift)), &[])),
                told(606, &Long { complete: true, ..long(1, None, &both[1..]) }),
            ],
        ),
        (
            "a long gap before a long update".to_owned(),
            vec![crowd(2, &[900]), {
                let mut out = vec![Section::Updates as u8];
                put_long(&mut out, 900, &long(2, None, &both[..1]));
                (601, out)
            }],
        ),
        (
            "an alias and an entity that change places".to_owned(),
            vec![
                enters(&[(0, entry(ADA, 0, &running)), (1, entry(BOB, 0, &running))]),
                enters(&[(1, entry(ADA, 0, &running))]),
                leaves(602, &[(LeaveReason::Gone, &[0, 0])]),
            ],
        ),
        (
            "an enter of what is held behind the same alias".to_owned(),
            vec![
                enters(&[(0, entry(ADA, 0, &running))]),
                enters(&[(0, EnterEntry { again: true, ..entry(ADA, 1, &running) })]),
            ],
        ),
        (
            "strays: before an enter, after a leave, after a reset".to_owned(),
            vec![
                crowd(0, &[1, 2]),
                updates(602, &[(0, 0, knot(602, [1, 2, 3], [0; 3], None)), (1, 0, running)]),
                leaves(604, &[(LeaveReason::Gone, &[0, 0])]),
                told(606, &long(0, None, &both)),
                (606, [&[1, 1, 1][..], &updates(606, &[(1, 0, knot(606, [4; 3], [0; 3], None))]).1].concat()),
                joined(&[(608, RESET.to_vec()), updates(608, &[(2, 0, knot(608, [4; 3], [0; 3], None))])]),
            ],
        ),
        (
            "far from the origin".to_owned(),
            vec![
                enters(&[(0, entry(ADA, 0, &out_there[0])), (1, entry(BOB, 0, &out_there[1]))]),
                updates(
                    606,
                    &[
                        (0, 0, knot(606, LATTICES[0].place([-999_999_999.0, 1e9, 4e4]), [100, 0, 0], None)),
                        (1, 0, knot(606, LATTICES[0].place([100_000_000_001.0, -1e11, 0.05]), [0; 3], None)),
                    ],
                ),
            ],
        ),
    ]
}

/// A knot as a client takes it: frame, delay, tick, metres, metres per second, heading, snap.
type Push = (u64, u64, u64, [f64; 3], [f64; 3], Option<f32>, bool);

/// What clients draw: pushes, and the ticks at which to look, both after an enter at tick 600 at
/// (10, 0, 0) m that moves along x at 6 m/s and looks along it.
const CURVES: [(&str, &[Push], &[f64]); 6] = [
    ("straight on", &[], &[590.0, 600.0, 600.5, 660.0]),
    (
        "to a knot ahead of what is drawn, and on from there",
        &[(612, 4, 610, [11.5, 0.5, 0.0], [0.0, 6.0, 0.0], Some(1.5), false)],
        &[600.0, 608.0, 609.0, 610.0, 620.0],
    ),
    (
        "a knot that is late blends into its continuation",
        &[(620, 4, 606, [11.0, 0.0, 0.0], [0.0, 6.0, 0.0], None, false)],
        &[606.0, 616.0, 618.0, 620.0, 626.0],
    ),
    (
        "without delay the line is one tick long",
        &[(620, 0, 620, [13.0, 0.0, 0.0], [6.0, 0.0, 0.0], None, false)],
        &[620.0, 620.5, 621.0, 622.0],
    ),
    (
        "two knots in a row, the second before the first was reached",
        &[
            (610, 20, 608, [10.8, 0.4, 0.0], [6.0, 6.0, 0.0], Some(0.8), false),
            (612, 20, 612, [11.2, 1.0, 0.0], [0.0; 3], Some(-3.0), false),
        ],
        &[600.0, 604.0, 608.0, 610.0, 612.0, 700.0],
    ),
    (
        "a snap",
        &[(610, 8, 606, [500.0, 0.0, 0.0], [0.0; 3], Some(3.0), true)],
        &[602.0, 605.75, 606.0, 650.0],
    ),
];

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|n| u8::from_str_radix(&text[n..n + 2], 16).unwrap()).collect()
}

/// The vectors as this build makes them.
fn vectors() -> Value {
    let fields: Vec<_> =
        schema().fields.iter().map(|field| json!([field.name, field.channel.index()])).collect();
    let cases: Vec<_> = cases().iter().map(|(name, bodies)| case(name, bodies)).collect();
    let refused: Vec<_> = REFUSED
        .iter()
        .map(|(name, error, body)| {
            let found = Decoder::new().decode(&unhex(body), Tick(600), &mut Scribe::default());
            let found = format!("{:?}", found.expect_err(name));
            let at: u64 = found.split(&[' ', '}'][..]).find_map(|word| word.parse().ok()).unwrap();
            assert!(found.starts_with(error), "{name}: {found}, not {error}");
            json!({ "name": name, "tick": 600, "binary": body, "error": error, "at": at })
        })
        .collect();
    let refused_json: Vec<_> =
        REFUSED_JSON.iter().map(|(name, text)| json!({ "name": name, "tick": 600, "text": text })).collect();
    let curves: Vec<_> = CURVES.iter().map(|(name, pushes, ticks)| curve(name, pushes, ticks)).collect();
    json!({
        "fields": fields,
        "bodies": cases,
        "refused": refused,
        "refused_json": refused_json,
        "curves": curves,
    })
}

fn case(name: &str, bodies: &[Body]) -> Value {
    let mut decoder = Decoder::new();
    let frames: Vec<_> = bodies
        .iter()
        .map(|(tick, body)| {
            let mut scribe = Scribe::default();
            decoder.decode(body, Tick(*tick), &mut scribe).expect(name);
            let said: Value = serde_json::from_str(&spelled(&scribe.0)).unwrap();
            json!({ "tick": tick, "binary": hex(body), "said": said })
        })
        .collect();
    json!({ "name": name, "frames": frames, "strays": decoder.strays() })
}

fn curve(name: &str, pushes: &[Push], ticks: &[f64]) -> Value {
    let mut curve = Curve::new(Tick(600), [10.0, 0.0, 0.0], [6.0, 0.0, 0.0], 0.0);
    let mut knots = Vec::new();
    for &(frame, delay, tick, at, v, yaw, snap) in pushes {
        curve.push(Tick(frame), delay, Tick(tick), at, v, yaw, snap);
        let yaw = yaw.map(rounded_yaw);
        knots.push(json!({
            "frame": frame, "delay": delay, "tick": tick, "at": at, "v": v, "yaw": yaw, "snap": snap,
        }));
    }
    let drawn: Vec<_> = ticks
        .iter()
        .map(|tick| {
            let ([x, y, z], yaw) = curve.at(*tick);
            let round = |axis: f64| (axis * 1e6).round() / 1e6;
            json!([tick, round(x), round(y), round(z), rounded_yaw(yaw)])
        })
        .collect();
    json!({
        "name": name,
        "enter": { "tick": 600, "at": [10.0, 0.0, 0.0], "v": [6.0, 0.0, 0.0], "yaw": 0.0 },
        "knots": knots,
        "drawn": drawn,
    })
}

fn rounded_yaw(yaw: f32) -> f64 {
    (f64::from(yaw) * 1e4).round() / 1e4
}

#[test]
fn this_build_says_what_the_vectors_say() {
    let (kept, made): (Value, Value) = (serde_json::from_str(KEPT).unwrap(), vectors());
    for key in ["fields", "bodies", "refused", "refused_json", "curves"] {
        let lists = kept[key].as_array().unwrap().iter().zip(made[key].as_array().unwrap());
        lists.for_each(|(kept, made)| assert_eq!(kept, made));
    }
    assert_eq!(kept, made);
}

#[test]
#[ignore = "writes vectors.json"]
fn write_the_vectors() {
    std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/vectors.json"), pretty(&vectors())).unwrap();
}

/// One frame per line, so that a change shows as one.
fn pretty(vectors: &Value) -> String {
    let rows = |list: &Value, indent: &str| {
        let list = list.as_array().unwrap();
        list.iter().map(|value| format!("{indent}{value}")).collect::<Vec<_>>().join(",\n")
    };
    let bodies = vectors["bodies"].as_array().unwrap().iter().map(|case| {
        let (name, strays, frames) = (&case["name"], &case["strays"], rows(&case["frames"], "      "));
        format!("    {{\"name\":{name},\"strays\":{strays},\"frames\":[\n{frames}\n    ]}}")
    });
    let bodies = bodies.collect::<Vec<_>>().join(",\n");
    let list = |key: &str| rows(&vectors[key], "    ");
    format!(
        "{{\n  \"fields\": {},\n  \"bodies\": [\n{bodies}\n  ],\n  \"refused\": [\n{}\n  ],\n  \
         \"refused_json\": [\n{}\n  ],\n  \"curves\": [\n{}\n  ]\n}}\n",
        vectors["fields"],
        list("refused"),
        list("refused_json"),
        list("curves"),
    )
}
