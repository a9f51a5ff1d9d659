//! Who is told what, against a brute-force oracle.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use common::{Holder, client, entity, object, place, pose, rate, region, schema, step, step_with};
use gorc::{Anchor, Gorc, LeaveReason, ObserverId, due};
use horizon_model::{Channel, ChannelSpec, EntityId, Pose, Tick};
use proptest::prelude::*;

const OBSERVER: u64 = 7;
const SPECS: [ChannelSpec; 4] = ChannelSpec::DEFAULT;

/// The channel an oracle gives, from the radii alone.
fn oracle(before: Option<u8>, metres: f64) -> Option<u8> {
    (0..4_u8).find(|&channel| {
        let spec = &SPECS[usize::from(channel)];
        let held = before.is_some_and(|before| before <= channel);
        metres <= spec.radius_metres + if held { spec.hysteresis_metres } else { 0.0 }
    })
}

fn is_due(tick: u64, entity: EntityId, channel: u8) -> bool {
    let channel = Channel::from_index(channel.into()).unwrap();
    due(Tick(tick), entity, channel, &SPECS[channel.index()], rate())
}

/// Where a walker is: on a line that crosses radii often, with a jitter that stays within one step.
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

fn walk() -> impl Strategy<Value = Walk> {
    ((-1100.0..1100.0, -300.0..300.0, -60.0..60.0), (-25.0..25.0, -25.0..25.0, -3.0..3.0), 2_u64..40)
        .prop_map(|(s, v, turn)| Walk { start: [s.0, s.1, s.2], velocity: [v.0, v.1, v.2], turn })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    /// Whoever walks where, in whatever bunches the samples come: an observer is told of exactly the
    /// objects within reach, and of every due sample of them once, in order.
    #[test]
    fn every_due_sample_once(
        walks in prop::collection::vec(walk(), 1..6),
        watcher in walk(),
        bunches in prop::collection::vec(1_u64..4, 60),
    ) {
        let mut gorc = Gorc::new(rate(), schema());
        gorc.add_observer(ObserverId(OBSERVER), client(watcher.at(0).position));
        let mut holder = Holder::default();
        let mut levels: BTreeMap<EntityId, Option<u8>> = BTreeMap::new();
        let mut expected: BTreeMap<EntityId, Vec<u64>> = BTreeMap::new();
        let mut now = 0;
        for (n, walk) in (1..).zip(&walks) {
            gorc.spawn(object(n, now, walk.at(0)));
        }
        for bunch in bunches {
            let ticks: Vec<u64> = if now == 0 { vec![0] } else { (0..bunch).map(|n| now + n * 2).collect() };
            now = *ticks.last().unwrap();
            for (n, walk) in (1..).zip(&walks) {
                for &tick in &ticks {
                    gorc.sample(entity(n), Tick(tick), &walk.at(tick / 2), false);
                    gorc.sample(entity(n), Tick(tick), &pose(0.0, 0.0, 0.0), true);
                }
            }
            let eye = watcher.at(now / 2).position;
            gorc.move_observer(ObserverId(OBSERVER), Anchor::Point(eye));
            let said = step(&mut gorc, now, OBSERVER).unwrap();
            let told: Vec<_> = holder.held.keys().copied().collect();
            holder.hear(&said);
            for (n, walk) in (1..).zip(&walks) {
                let (id, metres) = (entity(n), walk.at(now / 2).position.distance(&eye));
                let before = levels.get(&id).copied().flatten();
                let level = oracle(before, metres);
                levels.insert(id, level);
                prop_assert_eq!(gorc.held(ObserverId(OBSERVER), id), level);
                prop_assert_eq!(holder.held.contains_key(&id), level.is_some());
                let Some(level) = level else {
                    expected.remove(&id);
                    continue;
                };
                let list = expected.entry(id).or_default();
                let entered = !told.contains(&id);
                for (index, &tick) in ticks.iter().enumerate() {
                    let first = entered && index == 0;
                    let gained = before.is_some_and(|before| level < before) && tick == now;
                    if first || gained || is_due(tick, id, level) {
                        list.push(tick);
                    }
                }
                prop_assert_eq!(&holder.held[&id].ticks, list, "{}", id);
            }
            now += 2;
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
        let mut holder = Holder::default();
        let mut run = |gorc: &mut Gorc, step: usize, credit: bool| {
            let tick = step as u64 * 2;
            if sampled {
                gorc.sample(entity(1), Tick(tick), &pose(0.0, 0.0, 0.0), false);
            }
            if let Some(said) = step_with(gorc, tick, OBSERVER, credit) {
                holder.hear(&said);
            }
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
        let told = &holder.held[&entity(1)].fields;
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
    gorc.spawn(object(1, 0, pose(999.0, 0.0, 0.0)));
    let mut holder = Holder::default();
    for n in 0..200 {
        let x = if n % 2 == 0 { 999.5 } else { 1029.0 };
        gorc.sample(entity(1), Tick(n * 2 + 2), &pose(x, 0.0, 0.0), false);
        holder.hear(&step(&mut gorc, n * 2 + 2, OBSERVER).unwrap());
    }
    assert_eq!((holder.enters, holder.leaves.len()), (1, 0));
    gorc.sample(entity(1), Tick(1000), &pose(1030.5, 0.0, 0.0), false);
    holder.hear(&step(&mut gorc, 1000, OBSERVER).unwrap());
    assert_eq!(holder.leaves, [(entity(1), LeaveReason::OutOfRange)]);
}

/// Two regions and what they tell each other: an object goes from one to the other and back, and
/// clients of both see every due sample of it once.
#[test]
fn crossing_and_back_misses_no_tick_for_anyone() {
    for (client, neighbour) in
        [(10.0, 10.0), (100.0, 20.0), (200.0, 20.0), (200.0, 100.0), (600.0, 100.0), (600.0, 200.0)]
    {
        crossing(client, neighbour);
    }
}

/// Clients stand further away than the nearest point of their region, so they hold less than it.
fn crossing(distance: f64, neighbour: f64) {
    const PEER: u64 = 1;
    let eye = place(distance, 0.0, 0.0);
    let mut regions: Vec<Gorc> = (0..2)
        .map(|_| {
            let mut gorc = Gorc::new(rate(), schema());
            gorc.add_observer(ObserverId(PEER), region(place(neighbour, 0.0, 0.0)));
            gorc.add_observer(ObserverId(OBSERVER), client(eye));
            gorc
        })
        .collect();
    regions[0].spawn(object(1, 0, pose(0.0, 0.0, 0.0)));
    let mut clients = [Holder::default(), Holder::default()];
    let mut owner = 0;
    for step_number in 0..300_u64 {
        let tick = step_number * 2;
        // Every fifty steps authority moves; the new owner wakes two steps late and catches up.
        let moves = step_number % 50 == 49;
        let asleep = step_number > 40 && step_number % 50 < 2;
        if step_number == 240 {
            (0..4).for_each(|field| regions[owner].set_field(entity(1), field, b"late"));
        }
        if moves {
            regions[owner].sample(entity(1), Tick(tick), &pose(step_number as f64 * 0.01, 0.0, 0.0), false);
        } else if !asleep {
            let from = if step_number > 40 && step_number % 50 == 2 { step_number - 2 } else { step_number };
            for n in from..=step_number {
                regions[owner].sample(entity(1), Tick(n * 2), &pose(n as f64 * 0.01, 0.0, 0.0), false);
            }
        }
        for index in [owner, 1 - owner] {
            let (mut batch, mut frame) = (Vec::new(), Vec::new());
            regions[index].step(Tick(tick), &mut |_| true, &mut |id, body| {
                if id == ObserverId(PEER) { batch = body.to_vec() } else { frame = body.to_vec() }
            });
            clients[index].hear(&common::read(gorc::Spelling::Binary, &frame, Tick(tick)));
            let mut ghosts = Ghosts(&mut regions[1 - index]);
            gorc::decode(&batch, Tick(tick), &mut ghosts).unwrap();
        }
        if moves {
            regions[owner].set_ghost(entity(1), true);
            owner = 1 - owner;
            regions[owner].set_ghost(entity(1), false);
        }
    }
    for (index, client) in clients.iter().enumerate() {
        let held = &client.held[&entity(1)];
        assert_eq!((client.enters, client.leaves.len()), (1, 0));
        let expected: Vec<u64> = (0..300)
            .map(|n| n * 2)
            .filter(|&t| t == held.ticks[0] || is_due(t, entity(1), held.channel))
            .collect();
        let last = *held.ticks.last().unwrap();
        let expected: Vec<u64> =
            expected.into_iter().filter(|&t| (held.ticks[0]..=last).contains(&t)).collect();
        assert_eq!(held.ticks, expected, "client of region {index} at {distance} m");
        assert!(last > 560, "{last}");
        let late = held.fields.values().filter(|value| value[..] == *b"late").count();
        assert_eq!(late, 4 - usize::from(held.channel));
    }
}

/// What a region server does with a neighbour's batch.
struct Ghosts<'a>(&'a mut Gorc);

impl gorc::Visitor for Ghosts<'_> {
    fn reset(&mut self) {}

    fn enter(&mut self, enter: gorc::Enter<'_>) {
        self.0.spawn(gorc::NewObject::ghost(&enter, 4));
    }

    fn update(&mut self, update: gorc::Update<'_>) {
        let Some(mut pose) = self.0.pose(update.entity).copied() else { return };
        pose.velocity = update.velocity.unwrap_or(pose.velocity);
        pose.yaw = update.yaw.unwrap_or(pose.yaw);
        if let Some(position) = update.position {
            pose.position = position;
            self.0.sample(update.entity, update.tick, &pose, update.snap);
        }
        for &(index, bytes) in update.fields {
            self.0.set_field(update.entity, index, bytes);
        }
    }

    fn leave(&mut self, entity: EntityId, reason: LeaveReason) {
        if reason != LeaveReason::Moved {
            self.0.despawn(entity, reason);
        }
    }
}
