//! Who is told what, against a brute-force oracle.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use common::{Receiver, client, delay, entity, object, place, pose, rate, schema, step, step_with};
use gorc::{Anchor, Gorc, LeaveReason, ObserverId};
use horizon_model::{ChannelSpec, EntityId, Pose, Position, Tick};
use proptest::prelude::*;

const OBSERVER: u64 = 7;
const SPECS: [ChannelSpec; 4] = ChannelSpec::DEFAULT;

/// The channel an oracle gives, from the radii alone; `None` too close to a limit for f32 to say.
fn oracle(before: Option<u8>, metres: f64) -> Option<Option<u8>> {
    for channel in 0..4_u8 {
        let spec = &SPECS[usize::from(channel)];
        let held = before.is_some_and(|before| before <= channel);
        let limit = spec.radius_metres + if held { spec.hysteresis_metres } else { 0.0 };
        if (metres - limit).abs() < 2e-3 {
            return None;
        }
        if metres <= limit {
            return Some(Some(channel));
        }
    }
    Some(None)
}

/// A walker on a line that crosses radii often, there and back.
#[derive(Debug, Clone)]
struct Walk {
    start: [f64; 3],
    velocity: [f64; 3],
    turn: u64,
}

impl Walk {
    fn at(&self, step: u64) -> Pose {
        let t = (step % self.turn) as f64;
        let t = if (step / self.turn).is_multiple_of(2) { t } else { self.turn as f64 - t };
        let axis = |n: usize| self.start[n] + self.velocity[n] * t;
        pose(axis(0), axis(1), axis(2))
    }
}

fn walk(reach: f64, speed: f64, turns: std::ops::Range<u64>) -> impl Strategy<Value = Walk> {
    let place = (-reach..reach, -reach / 4.0..reach / 4.0, -60.0..60.0);
    let velocity = (-speed..speed, -speed..speed, -speed / 8.0..speed / 8.0);
    (place, velocity, turns).prop_map(|(s, v, turn)| Walk {
        start: [s.0, s.1, s.2],
        velocity: [v.0, v.1, v.2],
        turn,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Whoever walks where, an observer is told of exactly the objects within reach, in order.
    #[test]
    fn exactly_what_is_within_reach(
        walks in prop::collection::vec(walk(1100.0, 25.0, 2..40), 1..8),
        watcher in walk(1100.0, 25.0, 2..40),
    ) {
        let mut gorc = Gorc::new(rate(), schema());
        gorc.add_observer(ObserverId(OBSERVER), client(watcher.at(0).position));
        let mut receiver = Receiver::default();
        let mut levels: BTreeMap<EntityId, Option<u8>> = BTreeMap::new();
        for (n, walk) in (1..).zip(&walks) {
            gorc.spawn(object(n, 0, walk.at(0)));
        }
        for now in 0..80 {
            for (n, walk) in (1..).zip(&walks) {
                gorc.sample(entity(n), Tick(now * 2), &walk.at(now), false);
            }
            let eye = watcher.at(now).position;
            gorc.move_observer(ObserverId(OBSERVER), Anchor::Point(eye));
            step(&mut gorc, now * 2, OBSERVER, &mut receiver).unwrap();
            for (n, walk) in (1..).zip(&walks) {
                let (id, metres) = (entity(n), walk.at(now).position.distance(&eye));
                let before = levels.get(&id).copied().flatten();
                let told = gorc.held(ObserverId(OBSERVER), id);
                if let Some(level) = oracle(before, metres) {
                    prop_assert_eq!(told, level, "{} at {} m after {:?}", id, metres, before);
                }
                levels.insert(id, told);
                prop_assert_eq!(receiver.held.get(&id).map(|held| held.channel), told);
            }
        }
    }

    /// After the frame of tick F every curve is within its bound at F less its channel's delay, as long
    /// as the object was held on that channel for as long and the curve has passed into it, and turns no more often than once in two
    /// periods. On the inner channel, which may be told at every step, it may move as it likes.
    #[test]
    fn drawn_within_the_bound(
        walks in prop::collection::vec(walk(400.0, 0.8, 60..90), 1..12),
        wild in prop::collection::vec(((-1.0..1.0, -1.0..1.0), 1_usize..9), 0..30),
        hz in prop::sample::select(vec![20_u64, 30, 60]),
    ) {
        let rate = horizon_model::TickRate::from_hz(hz).unwrap();
        let mut gorc = Gorc::new(rate, schema());
        let eye = place(0.0, 0.0, 0.0);
        gorc.add_observer(ObserverId(OBSERVER), client(eye));
        let mut receiver = Receiver::at_rate(rate);
        // One more that turns as it likes.
        let mut wanderer = vec![[5.0, 5.0]];
        for ((vx, vy), steps) in &wild {
            for _ in 0..*steps {
                let last = *wanderer.last().unwrap();
                wanderer.push([last[0] + vx, last[1] + vy]);
            }
        }
        let at = |n: usize, step: u64| -> Position {
            match walks.get(n) {
                Some(walk) => walk.at(step).position,
                None => {
                    let [x, y] = wanderer[(step as usize).min(wanderer.len() - 1)];
                    let fold = |metres: f64| ((metres + 30.0).rem_euclid(120.0) - 60.0).abs() - 30.0;
                    place(fold(x), fold(y), 0.0)
                }
            }
        };
        let count = walks.len() + 1;
        for n in 0..count {
            gorc.spawn(object(n as u64 + 1, 0, Pose::at(at(n, 0))));
        }
        let mut since: BTreeMap<EntityId, (u8, u64)> = BTreeMap::new();
        for now in 0..160 {
            let tick = now * rate.step();
            for n in 0..count {
                gorc.sample(entity(n as u64 + 1), Tick(tick), &Pose::at(at(n, now)), false);
            }
            step(&mut gorc, tick, OBSERVER, &mut receiver).unwrap();
            // At 60 Hz the inner channel is told at every other step, too seldom for one who turns at each.
            for n in 0..if hz == 60 { walks.len() } else { count } {
                let id = entity(n as u64 + 1);
                let Some(held) = receiver.held.get(&id) else {
                    since.remove(&id);
                    continue;
                };
                let entry = since.entry(id).or_insert((held.channel, tick));
                if entry.0 != held.channel {
                    *entry = (held.channel, tick);
                }
                let behind = delay(held.channel, rate);
                let Some(drawn) = tick.checked_sub(behind).filter(|drawn| *drawn >= entry.1 + 8) else {
                    continue;
                };
                let error = receiver.error(id, drawn, &at(n, drawn / rate.step()));
                let bound = f64::from(SPECS[usize::from(held.channel)].precision_cm) / 100.0;
                prop_assert!(error <= bound + 0.005, "{}: {} m at tick {} on channel {}", id, error, drawn, held.channel);
            }
        }
    }

    /// What jumps again before the first jump is drawn, as often as the channel can tell it, never glides.
    #[test]
    fn jumps_are_drawn_as_jumps(
        distance in 0.0..900.0, gaps in prop::collection::vec(0_u64..12, 1..20), stride in 1.0..5.0,
    ) {
        let mut gorc = Gorc::new(rate(), schema());
        gorc.add_observer(ObserverId(OBSERVER), client(place(distance, 0.0, 0.0)));
        gorc.spawn(object(1, 0, pose(0.0, 0.0, 0.0)));
        let mut receiver = Receiver::default();
        step(&mut gorc, 0, OBSERVER, &mut receiver).unwrap();
        let Some(channel) = gorc.held(ObserverId(OBSERVER), entity(1)) else { return Ok(()) };
        let spec = &SPECS[usize::from(channel)];
        let period = spec.period_ticks() / rate().step();
        let mut jumps = vec![1];
        for gap in &gaps {
            jumps.push(jumps.last().unwrap() + period + gap);
        }
        let at = |step: u64| place(0.0, stride * (jumps.partition_point(|jump| *jump <= step) % 2) as f64, 0.0);
        for now in 1..jumps.last().unwrap() + 90 {
            let tick = now * rate().step();
            gorc.sample(entity(1), Tick(tick), &Pose::at(at(now)), jumps.contains(&now));
            step(&mut gorc, tick, OBSERVER, &mut receiver);
            let Some(drawn) = tick.checked_sub(delay(channel, rate())) else { continue };
            let error = receiver.error(entity(1), drawn, &at(drawn / rate().step()));
            let bound = f64::from(spec.precision_cm) / 100.0;
            prop_assert!(error <= bound + 0.005, "{} m at tick {} on channel {}", error, drawn, channel);
        }
    }

    /// Fields reach whoever holds their channel, whatever steps had no credit, within a period.
    #[test]
    fn fields_arrive(
        distance in 0.0..900.0, credit in prop::collection::vec(any::<bool>(), 60),
        changes in prop::collection::vec((0_usize..60, 0_u8..4), 0..20), sampled in any::<bool>(),
    ) {
        let mut gorc = Gorc::new(rate(), schema());
        gorc.add_observer(ObserverId(OBSERVER), client(place(distance, 0.0, 0.0)));
        gorc.spawn(object(1, 0, pose(0.0, 0.0, 0.0)));
        let mut receiver = Receiver::default();
        let mut run = |gorc: &mut Gorc, step: usize, credit: bool| {
            let tick = step as u64 * 2;
            if sampled {
                gorc.sample(entity(1), Tick(tick), &pose(0.0, 0.0, 0.0), false);
            }
            step_with(gorc, tick, OBSERVER, &mut receiver, credit);
        };
        for (n, credit) in credit.iter().enumerate() {
            for (_, field) in changes.iter().filter(|(at, _)| *at == n) {
                gorc.set_field(entity(1), *field, format!("{n}").as_bytes());
            }
            run(&mut gorc, n, *credit);
        }
        for n in 60..76 {
            run(&mut gorc, n, n == 75);
        }
        let level = gorc.held(ObserverId(OBSERVER), entity(1)).unwrap();
        let told = &receiver.held[&entity(1)].fields;
        for field in 0..4 {
            let expected = if field >= level { gorc.field(entity(1), field) } else { None };
            prop_assert_eq!(told.get(&field).map(Vec::as_slice), expected, "field {}", field);
        }
    }
}

#[test]
fn standing_on_a_radius_does_not_flap() {
    let mut gorc = Gorc::new(rate(), schema());
    gorc.add_observer(ObserverId(OBSERVER), client(place(0.0, 0.0, 0.0)));
    let mut receiver = Receiver::default();
    gorc.spawn(object(1, 0, pose(999.5, 0.0, 0.0)));
    for now in 0..100 {
        let x = if now % 2 == 0 { 999.5 } else { 1000.5 };
        gorc.sample(entity(1), Tick(now * 2), &pose(x, 0.0, 0.0), false);
        step(&mut gorc, now * 2, OBSERVER, &mut receiver);
    }
    assert_eq!((receiver.enters, receiver.leaves.len()), (1, 0));
}

#[test]
fn what_rests_is_not_told_and_ends_where_it_is() {
    let mut gorc = Gorc::new(rate(), schema());
    gorc.add_observer(ObserverId(OBSERVER), client(place(0.0, 0.0, 0.0)));
    let mut receiver = Receiver::default();
    gorc.spawn(object(1, 0, pose(3.0, 0.0, 0.0)));
    let mut after_rest = 0;
    for now in 0..400 {
        let x = if now < 50 { 3.0 + (now as f64 * 0.3).sin() * 2.0 } else { 4.321 };
        gorc.sample(entity(1), Tick(now * 2), &pose(x, 0.0, 0.0), false);
        let said = step(&mut gorc, now * 2, OBSERVER, &mut receiver).unwrap();
        after_rest += if now > 80 { said.len() } else { 0 };
    }
    assert_eq!(after_rest, 0);
    assert!(receiver.updates > 3);
    assert!(receiver.error(entity(1), 799, &place(4.321, 0.0, 0.0)) < 0.03, "told to within half a step");
}

#[test]
fn who_goes_is_told_once_with_the_reason() {
    let mut gorc = Gorc::new(rate(), schema());
    gorc.add_observer(ObserverId(OBSERVER), client(place(0.0, 0.0, 0.0)));
    let mut receiver = Receiver::default();
    for n in 1..=3 {
        gorc.spawn(object(n, 0, pose(n as f64, 0.0, 0.0)));
    }
    step(&mut gorc, 0, OBSERVER, &mut receiver);
    gorc.despawn(entity(2), LeaveReason::Teleported);
    gorc.spawn(object(9, 2, pose(1.0, 1.0, 0.0)));
    assert_eq!(step_with(&mut gorc, 2, OBSERVER, &mut receiver, false), None);
    gorc.sample(entity(3), Tick(4), &pose(5000.0, 0.0, 0.0), true);
    step(&mut gorc, 4, OBSERVER, &mut receiver);
    let expected = [(entity(3), LeaveReason::OutOfRange), (entity(2), LeaveReason::Teleported)];
    assert_eq!(receiver.leaves, expected);
    assert_eq!(receiver.held.keys().copied().collect::<Vec<_>>(), [entity(1), entity(9)]);
}
