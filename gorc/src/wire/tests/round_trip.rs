//! Random senders: whatever they say, the receiver knows as much as they do.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::wire::lattice::point;

/// One random step of a sender, in its own words; the sender makes it into something it may say.
#[derive(Debug, Clone)]
struct Step {
    reset: bool,
    ticks: u64,
    leaves: Vec<(u16, u8)>,
    enters: Vec<(u16, u32, Raw)>,
    updates: Vec<(u16, Raw)>,
    cells: Option<BTreeMap<(i32, i32), u32>>,
}

/// Numbers from which an entry is made.
#[derive(Debug, Clone)]
struct Raw {
    channel: u8,
    lag: i64,
    /// Metres from where the object is expected.
    offset: [f64; 3],
    velocity: [i32; 3],
    yaw: Option<u8>,
    /// Said in full, with these flags: snap, complete, and whether there is a knot.
    long: Option<(bool, bool, bool)>,
    again: bool,
    player: Option<u128>,
    fields: Fields,
}

fn any_raw() -> impl Strategy<Value = Raw> {
    let lag = prop_oneof![(0_i64..4).prop_map(|n| 2 * n), -5_i64..200];
    let axis = prop_oneof![3 => -19.9_f64..19.9, 1 => Just(0.0)];
    let speed = prop_oneof![2 => -63_i32..64, 1 => -260_i32..260, 1 => any::<i16>().prop_map(i32::from)];
    let velocity = prop_oneof![
        Just([0; 3]),
        (speed.clone(), speed.clone()).prop_map(|(x, y)| [x, y, 0]),
        prop::array::uniform3(speed),
    ];
    let value = prop_oneof![Just(b"1".to_vec()), prop::collection::vec(any::<u8>(), 0..9)];
    let fields = prop::collection::btree_map(0_u8..32, value, 0..3);
    (
        (0_u8..4, lag, prop::array::uniform3(axis), velocity, any::<Option<u8>>()),
        (any::<Option<(bool, bool, bool)>>(), any::<bool>(), any::<Option<u128>>(), fields),
    )
        .prop_map(|((channel, lag, offset, velocity, yaw), (long, again, player, fields))| Raw {
            channel,
            lag,
            offset,
            velocity,
            yaw,
            long,
            again,
            player,
            fields: fields.into_iter().collect(),
        })
}

fn any_alias() -> impl Strategy<Value = u16> {
    prop_oneof![4 => 0_u16..20, 2 => 0_u16..400, 1 => any::<u16>()]
}

fn any_step() -> impl Strategy<Value = Step> {
    let cells = prop::collection::btree_map((-9_i32..9, any::<i32>()), 1_u32.., 0..5);
    (
        (prop::bool::weighted(0.05), 1_u64..9),
        prop::collection::vec((any_alias(), 0_u8..4), 0..4),
        prop::collection::vec((any_alias(), 0_u32..30, any_raw()), 0..8),
        prop::collection::vec((any_alias(), any_raw()), 0..12),
        prop::option::weighted(0.2, cells),
    )
        .prop_map(|((reset, ticks), leaves, enters, updates, cells)| Step {
            reset,
            ticks,
            leaves,
            enters,
            updates,
            cells,
        })
}

/// What the sender knows of the receiver, kept in the plainest way.
#[derive(Default)]
struct Sender {
    held: BTreeMap<u16, (EntityId, u8, Knot)>,
    meant: Vec<Said>,
    strays: u64,
}

impl Sender {
    fn write(&mut self, step: &Step, frame: Tick, out: &mut Vec<u8>) {
        if step.reset {
            put_header(out, Section::Reset);
            self.held.clear();
            self.meant.push(Said::Reset);
        }
        self.leaves(step, out);
        self.enters(step, frame, out);
        if let Some(cells) = &step.cells {
            let cells: Vec<Density> = cells.iter().map(|(&(x, y), &number)| (x, y, number)).collect();
            put_density(out, &cells);
            self.meant.push(Said::Density(cells));
        }
        self.updates(step, frame, out);
    }

    fn leaves(&mut self, step: &Step, out: &mut Vec<u8>) {
        let leaves: BTreeSet<(u8, u16)> =
            step.leaves.iter().map(|(alias, reason)| (*reason, *alias)).collect();
        for reason in (0..4).map(LeaveReason::from_class) {
            let aliases: Vec<u16> =
                leaves.iter().filter(|(r, _)| *r == reason as u8).map(|(_, alias)| *alias).collect();
            if aliases.is_empty() {
                continue;
            }
            put_leaves_header(out, reason, aliases.len() as u32);
            let mut next = 0;
            for alias in aliases {
                put_gap(out, u32::from(alias) - next);
                next = u32::from(alias) + 1;
                match self.held.remove(&alias) {
                    Some((entity, ..)) => self.meant.push(Said::Leave(entity, reason)),
                    None => self.strays += 1,
                }
            }
        }
    }

    fn enters(&mut self, step: &Step, frame: Tick, out: &mut Vec<u8>) {
        let enters: BTreeMap<u16, &(u16, u32, Raw)> = step.enters.iter().map(|e| (e.0, e)).collect();
        if enters.is_empty() {
            return;
        }
        put_header(out, Section::Enters);
        put_gap(out, enters.len() as u32);
        let (mut next, mut before) = (0, None);
        for (alias, (_, id, raw)) in enters {
            let entity = EntityId::from_bits(u64::from(id % 3) << 40 | u64::from(id + 1)).unwrap();
            let lattice = &LATTICES[usize::from(raw.channel)];
            let metres = [1e6 + raw.offset[0], -1e5 * f64::from(*id) + raw.offset[1], raw.offset[2]];
            let knot = knot_of(raw, lattice.place(metres), frame, true);
            let type_id = ObjectTypeId(*id as u16 * 999);
            let player = raw.player.map(PlayerId);
            let fields = borrowed(&raw.fields);
            let entry = EnterEntry {
                entity,
                type_id,
                player,
                channel: raw.channel,
                lag_ticks: raw.lag,
                knot: &knot,
                again: raw.again,
                fields: &fields,
            };
            put_enter(out, u32::from(alias) - next, before, &entry);
            (next, before) = (u32::from(alias) + 1, Some(entity));

            if let Some((displaced, ..)) = self.held.get(&alias)
                && *displaced != entity
            {
                self.meant.push(Said::Leave(*displaced, LeaveReason::OutOfRange));
            }
            self.held.retain(|_, (other, ..)| *other != entity);
            self.held.insert(alias, (entity, raw.channel, knot));
            let pose = Pose {
                position: point(raw.channel, knot.place).unwrap(),
                velocity: lattice.mps(knot.velocity).map(|axis| axis as f32),
                yaw: dequantise_yaw(knot.yaw),
            };
            let (tick, channel, again) = (knot.tick, raw.channel, raw.again);
            let fields = raw.fields.clone();
            self.meant.push(Said::Enter { entity, type_id, player, tick, pose, channel, again, fields });
        }
    }

    fn updates(&mut self, step: &Step, frame: Tick, out: &mut Vec<u8>) {
        let updates: BTreeMap<u16, &Raw> = step.updates.iter().map(|(alias, raw)| (*alias, raw)).collect();
        if !updates.is_empty() {
            put_header(out, Section::Updates);
        }
        let mut next = 0;
        for (alias, raw) in updates {
            let gap = u32::from(alias) - next;
            next = u32::from(alias) + 1;
            let lattice = &LATTICES[usize::from(raw.channel)];
            let held = self.held.get_mut(&alias);
            let tick = frame.0 as i64 - raw.lag;
            let expected = held.as_ref().map_or([0.0; 3], |(_, own, knot)| knot.metres_at(*own, tick));
            let metres = [0, 1, 2].map(|n: usize| expected[n] + raw.offset[n]);
            let knot = knot_of(raw, lattice.place(metres), frame, raw.yaw.is_some());
            let short = short(raw.channel, raw.lag, 2, &knot).filter(|_| raw.long.is_none());
            let (mut snap, mut complete, mut has_knot, mut fields) = (false, false, true, Vec::new());
            match &short {
                Some(short) => put_short(out, gap, short),
                None => {
                    fields.clone_from(&raw.fields);
                    (snap, complete, has_knot) = raw.long.unwrap_or((false, false, true));
                    has_knot |= fields.is_empty();
                    snap &= has_knot;
                    let borrowed = borrowed(&fields);
                    let knot = has_knot.then_some((raw.lag, &knot));
                    let channel = raw.channel;
                    put_long(out, gap, &Long { channel, snap, complete, knot, fields: &borrowed });
                }
            }
            let Some((entity, own, last)) = held else {
                self.strays += 1;
                continue;
            };
            let velocity = lattice.mps(knot.velocity).map(|axis| axis as f32);
            let yaw = if knot.own_yaw { Some(dequantise_yaw(knot.yaw)) } else { heading(velocity) };
            self.meant.push(Said::Update {
                entity: *entity,
                tick: if has_knot { knot.tick } else { frame },
                channel: raw.channel,
                position: has_knot.then(|| point(raw.channel, knot.place).unwrap()),
                velocity: has_knot.then_some(velocity),
                yaw: yaw.filter(|_| has_knot),
                snap,
                complete,
                fields,
            });
            if has_knot {
                (*own, *last) = (raw.channel, knot);
            }
        }
    }
}

fn knot_of(raw: &Raw, place: [i64; 3], frame: Tick, own_yaw: bool) -> Knot {
    let tick = Tick((frame.0 as i64 - raw.lag) as u64);
    Knot { tick, place, velocity: raw.velocity, yaw: raw.yaw.unwrap_or(0), own_yaw }
}

proptest! {
    /// What is written is read: every section, aliases used again, knots late and early, places up to
    /// 20 m from where they are expected. And the JSON of what was read says the same.
    #[test]
    fn what_is_written_is_read(steps in prop::collection::vec(any_step(), 1..12)) {
        let (mut sender, mut decoder) = (Sender::default(), Decoder::new());
        let mut frame = Tick(100_000);
        for step in &steps {
            frame = frame + step.ticks;
            let mut body = Vec::new();
            sender.write(step, frame, &mut body);
            let mut scribe = Scribe::default();
            decoder.decode(&body, frame, &mut scribe).unwrap();
            prop_assert_eq!(&scribe.0, &std::mem::take(&mut sender.meant));
            prop_assert_eq!(decoder.strays(), sender.strays);
            let named = scribe.0.iter().cloned().map(named).collect::<Vec<_>>();
            let mut told = Scribe::default();
            json::decode_json(&spelled(&named), frame, &mut told).unwrap();
            prop_assert_eq!(told.0.len(), named.len());
            for (told, meant) in told.0.iter().zip(&named) {
                prop_assert!(alike(told, meant), "{:?} is not {:?}", told, meant);
            }
        }
    }

    /// A short update has one spelling: what can be read is what would be written.
    #[test]
    fn one_spelling(mut bytes in any::<[u8; 10]>(), shape in 0_u8..8, channel in 0_u8..4, rising in any::<bool>()) {
        bytes[0] = shape | channel << 3;
        let frame = Tick(1 << 40);
        let mut decoder = Decoder::new();
        let mut body = Vec::new();
        let knot = Knot { tick: frame, place: [7, -9, 1 << 30], velocity: [0; 3], yaw: 0, own_yaw: true };
        put_header(&mut body, Section::Enters);
        put_gap(&mut body, 1);
        put_enter(&mut body, 0, None, &EnterEntry {
            entity: EntityId::from_bits(1).unwrap(),
            type_id: ObjectTypeId(0),
            player: None,
            channel,
            lag_ticks: 0,
            knot: &knot,
            again: false,
            fields: &[],
        });
        decoder.decode(&body, frame, &mut Scribe::default()).unwrap();
        if rising {
            // A padding that can be right is rare among random bytes.
            bytes[4..].iter_mut().for_each(|byte| *byte &= 3);
        }
        for len in 1..=bytes.len() {
            let mut decoder = decoder.clone();
            let body = [&[Section::Updates as u8], &bytes[..len]].concat();
            let mut scribe = Scribe::default();
            let read = decoder.decode(&body, frame, &mut scribe);
            if read.is_err() || shape == 3 || scribe.0.len() != 1 || decoder.strays() > 0 {
                continue;
            }
            let mut knot = decoder.last_knot(0).unwrap();
            (knot.yaw, knot.own_yaw) = (told_yaw(&bytes, shape, &LATTICES[usize::from(channel)]), shape & update_byte::YAW != 0);
            let lag = frame.0 as i64 - knot.tick.0 as i64;
            let mut again = vec![Section::Updates as u8];
            put_short(&mut again, 0, &short(channel, lag, 2, &knot).unwrap());
            prop_assert_eq!(again, body);
        }
    }

    /// Nothing that a body says makes a decoder keep more than a fixed multiple of its size, beyond the
    /// one table that all aliases share.
    #[test]
    fn memory_is_bounded(steps in prop::collection::vec(any_step(), 1..6), noise in any::<Vec<u8>>()) {
        let (mut sender, mut decoder) = (Sender::default(), Decoder::new());
        let (mut frame, mut total) = (Tick(100_000), 0);
        for step in &steps {
            frame = frame + step.ticks;
            let mut body = Vec::new();
            sender.write(step, frame, &mut body);
            total += body.len() + noise.len();
            let _ = decoder.decode(&body, frame, &mut Scribe::default());
            let _ = decoder.decode(&noise, frame, &mut Scribe::default());
            prop_assert!(decoder.memory_bytes() <= 64 * 1024 + 256 * total, "{} of {}", decoder.memory_bytes(), total);
        }
    }

    /// The exact expectation is the lattice number nearest to the continuation.
    #[test]
    fn expectations_are_the_nearest_number(
        place in prop::array::uniform3(-4_000_000_i64..4_000_000),
        velocity in prop::array::uniform3(-300_i32..300),
        own in 0_u8..4, channel in 0_u8..4, ticks in -300_i64..300,
    ) {
        let knot = Knot { tick: Tick(1000), place, velocity, yaw: 0, own_yaw: true };
        let tick = 1000 + ticks;
        let exact = knot.expected(own, channel, Tick(tick as u64));
        let step = LATTICES[usize::from(channel)].position_step_metres;
        for (number, metres) in exact.into_iter().zip(knot.metres_at(own, tick)) {
            prop_assert!((number as f64 * step - metres).abs() <= step / 2.0 + 1e-6);
        }
    }

    /// A place far out and a place near by lose at most half a step, once.
    #[test]
    fn half_a_step_once(
        metres in prop::array::uniform3(prop_oneof![-500.0..500.0, -1e9..1e9_f64]),
        mps in prop::array::uniform3(-500.0..500.0_f64),
        yaw in -20.0_f32..20.0,
        channel in 0_u8..4,
    ) {
        let lattice = &LATTICES[usize::from(channel)];
        let place = lattice.place(metres);
        let position = point(channel, place).unwrap();
        for (told, meant) in metres_of(&position).into_iter().zip(metres) {
            prop_assert!((told - meant).abs() <= lattice.position_step_metres / 2.0 + 1e-5);
        }
        prop_assert_eq!(lattice.place(metres_of(&position)), place);
        prop_assert!(position_of(lattice.metres(place)).unwrap().distance(&position) < 1e-4);
        let velocity = lattice.velocity(mps);
        prop_assert_eq!(lattice.velocity(lattice.mps(velocity)), velocity);
        let steps = quantise_yaw(yaw);
        let told = dequantise_yaw(steps);
        prop_assert_eq!(quantise_yaw(told), steps);
        let turn = f64::from(told - yaw).rem_euclid(std::f64::consts::TAU);
        prop_assert!(turn.min(std::f64::consts::TAU - turn) < 0.0124);
        if let Some(heading) = heading(mps.map(|axis| axis as f32)) {
            prop_assert!((f64::from(heading) - mps[1].atan2(mps[0])).abs() < 2e-5);
        }
    }
}

/// Only the fields that the schema names, as JSON can say them.
fn named(mut said: Said) -> Said {
    if let Said::Enter { fields, .. } | Said::Update { fields, .. } = &mut said {
        fields.retain(|(index, _)| *index < 4);
        for (_, bytes) in fields {
            if serde_json::from_slice::<serde_json::Value>(bytes).is_err() {
                let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
                *bytes = format!("\"{hex}\"").into_bytes();
            } else {
                *bytes = bytes.trim_ascii().to_vec();
            }
        }
    }
    said
}

#[test]
fn the_world_ends() {
    for (channel, steps) in [(0, 1000_i64), (1, 200), (2, 100), (3, 100)] {
        let (first, last) = (steps * i64::from(i32::MIN), steps * (1 << 31) - 1);
        assert!(point(channel, [first, 0, 0]).is_some());
        assert_eq!(point(channel, [first, 0, 0]).unwrap().cell().x, i32::MIN);
        assert_eq!(point(channel, [0, last, 0]).unwrap().cell().y, i32::MAX);
        for outside in [first - 1, last + 1, i64::MIN, i64::MAX] {
            assert_eq!(point(channel, [0, 0, outside]), None, "{channel} {outside}");
        }
    }
    assert_eq!(heading([0.0, 0.0, 5.0]), None);
    assert_eq!(LATTICES[0].velocity([f64::NAN, f64::INFINITY, -1e300]), [0, 1 << 24, -(1 << 24)]);
}

/// The heading of a short update, bit by bit.
fn told_yaw(bytes: &[u8], shape: u8, lattice: &Lattice) -> u8 {
    if shape & update_byte::YAW == 0 {
        return 0;
    }
    let velocities = [0, 2, 3][usize::from(shape & 3)];
    let at = lattice.lag_bits + 3 * lattice.axis_bits + velocities * lattice.velocity_bits;
    (0..8).map(|n| (bytes[1 + (at + n) as usize / 8] >> ((at + n) % 8) & 1) << n).sum()
}
