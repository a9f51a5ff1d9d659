//! What is told when it cannot be told in time is still right: short budgets, missing credit, great speed.
#![allow(clippy::unwrap_used)]

mod common;

use common::{Receiver, Said, client, entity, object, place, pose, rate, region, schema, step, step_with};
use gorc::{Gorc, ObserverId, ObserverSpec};
use horizon_model::{ChannelSpec, Tick};

const ME: u64 = 4;
const ID: ObserverId = ObserverId(ME);

/// Fields change everywhere at once, and few of them fit into a body.
#[test]
fn fields_that_wait_for_bytes_change_no_channel_and_all_arrive() {
    let mut gorc = Gorc::new(rate(), schema());
    for n in 1..=60 {
        gorc.spawn(object(n, 0, pose(40.0 + n as f64, 0.0, 0.0)));
    }
    gorc.add_observer(ID, ObserverSpec { budget_bytes: Some(300), ..client(place(0.0, 0.0, 0.0)) });
    let mut receiver = Receiver::default();
    for tick in (2..1200).step_by(2) {
        for n in 1..=60 {
            let x = 40.0 + n as f64 + (tick as f64 / 11.0 + n as f64).sin();
            gorc.sample(entity(n), Tick(tick), &pose(x, 0.0, 0.0), false);
            if tick < 900 && tick % 10 == 0 {
                for field in 0..4 {
                    gorc.set_field(entity(n), field, format!("\"{field} at {tick}\"").as_bytes());
                }
            }
        }
        step(&mut gorc, tick, ME, &mut receiver).unwrap();
        for (id, held) in &receiver.held {
            assert_eq!(Some(held.channel), gorc.held(ID, *id), "{id} at {tick}");
        }
    }
    assert!(gorc.take_stats().deferred > 0, "the budget binds");
    for (id, held) in &receiver.held {
        for field in held.channel..4 {
            assert_eq!(held.fields.get(&field).map(Vec::as_slice), gorc.field(*id, field), "{id} {field}");
        }
    }
}

/// The low bits of a place are read with what the receiver expects; who reverses at a great speed while
/// frames are missing must be told whole.
#[test]
fn places_are_read_right_however_fast_and_however_late() {
    for (credit_every, metres_per_step) in [(1, 9.0), (3, 9.0), (5, 14.0), (8, 30.0)] {
        let mut gorc = Gorc::new(rate(), schema());
        let at = |step: u64| {
            let turn = step % 14;
            pose(metres_per_step * if turn < 7 { turn as f64 } else { 14.0 - turn as f64 }, 0.0, 0.0)
        };
        gorc.spawn(object(1, 0, at(0)));
        gorc.add_observer(ID, client(place(0.0, 0.0, 0.0)));
        let mut receiver = Receiver::default();
        for now in 0..200 {
            gorc.sample(entity(1), Tick(now * 2), &at(now), false);
            let credit = now % credit_every == 0;
            for said in step_with(&mut gorc, now * 2, ME, &mut receiver, credit).unwrap_or_default() {
                if let Said::Update { tick, position: Some(told), .. } = said {
                    let off = told.distance(&at(tick.0 / 2).position);
                    assert!(off < 0.5, "{off} m off, every {credit_every} steps at {metres_per_step} m");
                }
            }
        }
        assert!(receiver.updates > 20);
    }
}

/// A neighbour hears exact samples of what moves and turns at any speed, also where it hears of it seldom.
#[test]
fn a_neighbour_reads_places_right_at_any_speed() {
    for metres in [10.0, 120.0, 250.0, 800.0] {
        let mut gorc = Gorc::new(rate(), schema());
        let at = |step: u64| {
            let turn = (step * step) % 11;
            pose(metres + turn as f64 * 16.0, turn as f64 * -13.0, 0.0)
        };
        gorc.spawn(object(1, 0, at(0)));
        gorc.add_observer(ID, region(place(0.0, 0.0, 0.0)));
        let mut receiver = Receiver::default();
        for now in 0..200 {
            gorc.sample(entity(1), Tick(now * 2), &at(now), false);
            for said in step(&mut gorc, now * 2, ME, &mut receiver).unwrap() {
                if let Said::Update { tick, position: Some(told), .. } = said {
                    let off = told.distance(&at(tick.0 / 2).position);
                    assert!(off < 0.1, "{off} m off at {now}, {metres} m away");
                }
            }
        }
        assert!(receiver.updates > 10);
    }
}

/// Observers may have any id, and the turns that are taken by id are taken by all of them.
#[test]
fn every_id_will_do() {
    let mut schema = schema();
    schema.channels = ChannelSpec::DEFAULT.map(|spec| ChannelSpec { nearest: 5, ..spec });
    let mut gorc = Gorc::new(rate(), schema);
    for n in 1..=20 {
        gorc.spawn(object(n, 0, pose(n as f64, 0.0, 0.0)));
    }
    let ids = [0, 1, i64::MAX as u64, 1 << 63, u64::MAX - 1, u64::MAX];
    for id in ids {
        let spec = ObserverSpec { density: true, budget_bytes: Some(100), ..client(place(0.0, 0.0, 0.0)) };
        gorc.add_observer(ObserverId(id), spec);
    }
    let mut receivers = vec![Receiver::default(); ids.len()];
    for tick in (0..140).step_by(2) {
        gorc.step(Tick(tick), &mut |_| true, &mut |id, body| {
            let place = ids.iter().position(|other| *other == id.0).unwrap();
            receivers[place].read(gorc::Spelling::Binary, tick, body);
        });
    }
    for receiver in &receivers {
        assert_eq!((receiver.held.len(), receiver.density.len()), (5, 1));
    }
}
