//! Observers that come and go, speak and are silent, and are told again.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use common::{Receiver, Said, client, entity, object, place, pose, rate, region, schema, step, step_with};
use gorc::{
    Anchor, Cone, Gorc, Held, LeaveReason, ObserverId, ObserverSpec, PATIENCE, REPEAT, Spelling, View,
};
use horizon_model::{ChannelSpec, EntityId, Tick};

const ME: u64 = 4;
const ID: ObserverId = ObserverId(ME);

fn world(objects: u64, spec: ObserverSpec) -> Gorc {
    let mut gorc = Gorc::new(rate(), schema());
    for n in 1..=objects {
        gorc.spawn(object(n, 0, pose(n as f64, 0.0, 0.0)));
    }
    gorc.add_observer(ID, spec);
    gorc
}

fn here(objects: u64) -> Gorc {
    world(objects, client(place(0.0, 0.0, 0.0)))
}

fn told(held: &[(EntityId, u8)]) -> View {
    let held = held.iter().enumerate().map(|(alias, &(entity, channel))| Held {
        entity,
        alias: alias as u16,
        channel,
        tick: Tick(0),
        digest: 0,
        knot: None,
    });
    View { held: held.collect() }
}

fn pairs(view: &View) -> Vec<(EntityId, u8)> {
    view.held.iter().map(|held| (held.entity, held.channel)).collect()
}

fn enters(said: &[Said]) -> usize {
    said.iter().filter(|said| matches!(said, Said::Enter { .. })).count()
}

/// A client that crosses goes on where it was: nothing enters, nothing leaves, nothing moves.
#[test]
fn a_view_goes_on_in_another_region() {
    let mut source = here(3);
    let mut receiver = Receiver::default();
    step(&mut source, 0, ME, &mut receiver).unwrap();
    let view = View::decode(&source.view(ID).unwrap().encode()).unwrap();
    assert_eq!(pairs(&view), [(entity(1), 0), (entity(2), 0), (entity(3), 0)]);

    let mut target = world(4, ObserverSpec { muted: true, ..client(place(0.0, 0.0, 0.0)) });
    assert_eq!(step(&mut target, 0, ME, &mut Receiver::default()), None);
    assert_eq!(target.interest(ID, entity(1)), Some(0));
    assert_eq!(target.view(ID), Some(View::default()), "a shadow was told nothing");
    target.adopt_view(ID, &view);
    target.set_muted(ID, false);
    for tick in (2..100).step_by(2) {
        for n in 1..=4 {
            target.sample(entity(n), Tick(tick), &pose(n as f64, 0.0, 0.0), false);
        }
        let said = step(&mut target, tick, ME, &mut receiver).unwrap();
        assert_eq!(enters(&said), usize::from(tick == 2), "only the fourth is new: {said:?}");
    }
    assert_eq!((receiver.held.len(), receiver.leaves.len()), (4, 0));
    assert_eq!(receiver.updates, 0, "the knots of both regions are the same");
}

/// The target knew the objects from another moment on, so its knots differ: they are told, a few a step.
#[test]
fn differing_knots_are_told_without_a_burst() {
    let mut source = here(0);
    let mut target = world(0, ObserverSpec { muted: true, ..client(place(0.0, 0.0, 0.0)) });
    let at = |n: u64, tick: u64| pose(n as f64 + (tick as f64 / 60.0 + n as f64).sin() * 3.0, 0.0, 0.0);
    let mut receiver = Receiver::default();
    for n in 1..=200 {
        source.spawn(object(n, 0, at(n % 40, 0)));
    }
    for tick in (2..200).step_by(2) {
        for n in 1..=200 {
            if tick == 100 {
                target.spawn(object(n, tick, at(n % 40, tick)));
            }
            source.sample(entity(n), Tick(tick), &at(n % 40, tick), false);
            target.sample(entity(n), Tick(tick), &at(n % 40, tick), false);
        }
        step(&mut source, tick, ME, &mut receiver);
        step(&mut target, tick, ME, &mut Receiver::default());
    }
    target.adopt_view(ID, &source.view(ID).unwrap());
    target.set_muted(ID, false);
    let (mut most, mut usual) = (0, 0);
    for tick in (200..400).step_by(2) {
        for n in 1..=200 {
            target.sample(entity(n), Tick(tick), &at(n % 40, tick), false);
        }
        let said = step(&mut target, tick, ME, &mut receiver).unwrap();
        most = most.max(said.len());
        usual = usual.max(if tick > 330 { said.len() } else { 0 });
        for n in 1..=200 {
            let error = receiver.error(entity(n), tick - 6, &at(n % 40, tick - 6).position);
            assert!(error < 0.5, "{} is {error} m off at {tick}", entity(n));
        }
    }
    assert!(most <= 2 * usual, "{most} at once, usually up to {usual}");
    assert_eq!(receiver.enters, 200);
}

#[test]
fn adoption_keeps_the_channels_that_hysteresis_kept() {
    let mut target = world(0, client(place(0.0, 0.0, 0.0)));
    target.spawn(object(1, 0, pose(52.0, 0.0, 0.0)));
    assert_eq!(target.interest(ID, entity(1)), Some(1));
    target.adopt_view(ID, &told(&[(entity(1), 0)]));
    target.step(Tick(2), &mut |_| true, &mut |_, _| {});
    assert_eq!(target.held(ID, entity(1)), Some(0));
}

#[test]
fn adopted_strangers_get_patience() {
    let mut gorc = here(0);
    gorc.adopt_view(ID, &told(&[(entity(1), 0), (entity(2), 2)]));
    let mut receiver = Receiver::default();
    receiver.adopt(&told(&[(entity(1), 0), (entity(2), 2)]));
    let mut tick = 100;
    while tick < 100 + PATIENCE {
        if tick == 200 {
            gorc.spawn(object(2, tick, pose(5.0, 0.0, 0.0)));
        }
        let said = step(&mut gorc, tick, ME, &mut receiver).unwrap();
        assert_eq!(enters(&said), 0);
        assert!(!said.iter().any(|said| matches!(said, Said::Leave(..))), "{tick}: {said:?}");
        tick += 2;
    }
    let said = step(&mut gorc, tick, ME, &mut receiver).unwrap();
    assert!(said.contains(&Said::Leave(entity(1), LeaveReason::OutOfRange)), "{said:?}");
    assert_eq!(pairs(&gorc.view(ID).unwrap()), [(entity(2), 0)]);
}

#[test]
fn fields_of_adopted_objects_are_told_unless_they_are_known() {
    for known in [false, true] {
        let mut gorc = here(1);
        let mut view = told(&[(entity(1), 0)]);
        if known {
            step(&mut gorc, 0, ME, &mut Receiver::default());
            view = gorc.view(ID).unwrap();
        }
        gorc.adopt_view(ID, &view);
        let mut receiver = Receiver::default();
        receiver.adopt(&view);
        for tick in (2..80).step_by(2) {
            gorc.sample(entity(1), Tick(tick), &pose(1.0, 0.0, 0.0), false);
            step(&mut gorc, tick, ME, &mut receiver).unwrap();
        }
        assert_eq!(receiver.held[&entity(1)].fields.len(), if known { 0 } else { 4 });
    }
}

#[test]
fn a_reset_begins_again_from_nothing() {
    let mut gorc = here(2);
    let mut receiver = Receiver::default();
    step(&mut gorc, 0, ME, &mut receiver);
    gorc.despawn(entity(2), LeaveReason::Gone);
    gorc.reset_view(ID);
    assert!(gorc.is_reset_due(ID));
    assert_eq!(gorc.view(ID), Some(View::default()));
    assert_eq!(step_with(&mut gorc, 2, ME, &mut receiver, false), None);
    let said = step(&mut gorc, 4, ME, &mut receiver).unwrap();
    assert!(matches!(said[..], [Said::Reset, Said::Enter { again: false, .. }]), "{said:?}");
    assert_eq!(step(&mut gorc, 6, ME, &mut receiver), Some(vec![]), "an empty body is still a body");
}

#[test]
fn a_refresh_tells_all_again_without_an_enter() {
    let mut gorc = here(2);
    let mut receiver = Receiver::default();
    step(&mut gorc, 0, ME, &mut receiver);
    let late = (REPEAT + 2) & !1;
    gorc.refresh(ID);
    assert!(gorc.is_refresh_due(ID));
    let said = step(&mut gorc, late, ME, &mut receiver).unwrap();
    assert_eq!(said.len(), 2, "{said:?}");
    for said in said {
        let Said::Update { complete: true, position: Some(_), fields, .. } = said else { panic!("{said:?}") };
        assert_eq!(fields.len(), 4);
    }
    assert_eq!(step(&mut gorc, late + 2, ME, &mut receiver).unwrap(), [], "once");
}

#[test]
fn a_refresh_repeats_enters_and_leaves_that_may_be_lost() {
    let mut gorc = here(3);
    let mut receiver = Receiver::default();
    step(&mut gorc, 0, ME, &mut receiver);
    let mut deaf = receiver.clone();
    gorc.despawn(entity(2), LeaveReason::Gone);
    step(&mut gorc, 2, ME, &mut receiver);
    gorc.despawn(entity(3), LeaveReason::Gone);
    step(&mut gorc, 4, ME, &mut receiver);
    gorc.spawn(object(9, 6, pose(3.0, 0.0, 0.0)));
    step(&mut gorc, 6, ME, &mut receiver);
    gorc.refresh(ID);
    assert_eq!(step_with(&mut gorc, 8, ME, &mut deaf, false), None);
    assert!(gorc.is_refresh_due(ID));
    step(&mut gorc, 10, ME, &mut deaf).unwrap();
    assert_eq!(deaf.held.keys().copied().collect::<Vec<_>>(), [entity(1), entity(9)]);
    assert_eq!(deaf.held[&entity(9)].fields.len(), 4);
}

/// Frames that a slow client does not get cost nothing and come back as what is true by then.
#[test]
fn a_step_without_credit_is_made_up_for() {
    let mut gorc = here(2);
    let mut receiver = Receiver::default();
    step(&mut gorc, 0, ME, &mut receiver);
    gorc.sample(entity(1), Tick(2), &pose(9.0, 0.0, 0.0), true);
    gorc.set_field(entity(1), 0, b"50");
    gorc.despawn(entity(2), LeaveReason::Gone);
    gorc.spawn(object(3, 2, pose(1.0, 0.0, 0.0)));
    for tick in (2..20).step_by(2) {
        assert_eq!(step_with(&mut gorc, tick, ME, &mut receiver, false), None);
    }
    assert_eq!(
        pairs(&gorc.view(ID).unwrap()),
        [(entity(1), 0), (entity(2), 3)],
        "what the client still holds"
    );
    let said = step(&mut gorc, 20, ME, &mut receiver).unwrap();
    assert_eq!(said.len(), 3, "{said:?}");
    assert_eq!(said[0], Said::Leave(entity(2), LeaveReason::Gone));
    assert!(matches!(said[1], Said::Enter { .. }));
    let Said::Update { snap: true, fields, .. } = &said[2] else { panic!("{said:?}") };
    assert!(fields.contains(&(0, b"50".to_vec())));
    assert!(receiver.error(entity(1), 20, &place(9.0, 0.0, 0.0)) < 0.05);
}

#[test]
fn a_neighbour_hears_of_authority_and_every_sample() {
    let mut gorc = world(1, region(place(0.0, 0.0, 0.0)));
    gorc.add_observer(ObserverId(9), client(place(0.0, 0.0, 0.0)));
    let (mut neighbour, mut player) = (Receiver::default(), Receiver::default());
    let mut both = |gorc: &mut Gorc, tick: u64| {
        let mut said = (Vec::new(), Vec::new());
        gorc.step(Tick(tick), &mut |_| true, &mut |id, body| {
            if id == ID {
                said.0 = neighbour.read(Spelling::Binary, tick, body);
            } else {
                said.1 = player.read(Spelling::Binary, tick, body);
            }
        });
        said
    };
    assert_eq!(enters(&both(&mut gorc, 0).0), 1);
    for tick in (2..60).step_by(2) {
        gorc.sample(entity(1), Tick(tick), &pose(tick as f64 / 8.0, 0.0, 0.0), false);
        let said = both(&mut gorc, tick).0;
        let Said::Update { tick: told, position: Some(at), .. } = &said[0] else { panic!("{said:?}") };
        assert_eq!(told.0, tick);
        assert!((at.metres()[0] - tick as f64 / 8.0).abs() < 0.03);
    }
    gorc.set_ghost(entity(1), true);
    gorc.sample(entity(1), Tick(60), &pose(1.0, 0.0, 0.0), false);
    let (to_region, to_client) = both(&mut gorc, 60);
    assert_eq!(to_region, [Said::Leave(entity(1), LeaveReason::Moved)]);
    assert!(!to_client.iter().any(|said| matches!(said, Said::Leave(..))), "{to_client:?}");
    gorc.spawn(object(1, 62, pose(1.0, 0.0, 0.0)));
    assert_eq!(gorc.is_ghost(entity(1)), Some(false));
    assert_eq!(enters(&both(&mut gorc, 62).0), 1);
}

#[test]
fn a_crowd_is_told_within_the_budget_and_nobody_starves() {
    let mut gorc = Gorc::new(rate(), schema());
    let at = |n: u64, tick: u64| {
        let angle = n as f64 * 2.4 + tick as f64 / 9.0 * (1.0 + (n % 7) as f64 / 7.0);
        pose((n as f64).sqrt() + angle.cos() * 3.0, angle.sin() * 3.0, 0.0)
    };
    for n in 1..=300 {
        gorc.spawn(object(n, 0, at(n, 0)));
    }
    gorc.add_observer(ID, ObserverSpec { budget_bytes: Some(500), ..client(place(0.0, 0.0, 0.0)) });
    let mut receiver = Receiver::default();
    let mut heard: BTreeMap<EntityId, u64> = BTreeMap::new();
    for tick in (2..1600).step_by(2) {
        for n in 1..=300 {
            gorc.sample(entity(n), Tick(tick), &at(n, tick), false);
        }
        let before = receiver.bytes;
        for said in step(&mut gorc, tick, ME, &mut receiver).unwrap() {
            if let Said::Enter { entity, .. } | Said::Update { entity, .. } = said {
                let last = heard.insert(entity, tick);
                let age = tick - last.unwrap_or(tick);
                assert!(tick < 900 || age <= 240, "{entity} waited for {age} ticks");
            }
        }
        assert!(receiver.bytes - before <= 560, "{} bytes", receiver.bytes - before);
    }
    assert_eq!(receiver.held.len(), 300);
    assert!(gorc.take_stats().deferred > 0);
}

#[test]
fn attention_decides_who_comes_first() {
    let mut gorc = Gorc::new(rate(), schema());
    let at = |n: u64, tick: u64| {
        let side = if n <= 100 { 1.0 } else { -1.0 };
        pose(side * (5.0 + (n % 100) as f64 / 20.0), (tick as f64 / 7.0 + n as f64).sin() * 4.0, 0.0)
    };
    for n in 1..=200 {
        gorc.spawn(object(n, 0, at(n, 0)));
    }
    gorc.add_observer(ID, ObserverSpec { budget_bytes: Some(250), ..client(place(0.0, 0.0, 0.0)) });
    gorc.set_cone(ID, Some(Cone { direction: [1.0, 0.0, 0.0], half_angle: 1.0, weight: 10.0 }));
    let mut receiver = Receiver::default();
    let mut told = [0, 0];
    for tick in (2..1200).step_by(2) {
        for n in 1..=200 {
            gorc.sample(entity(n), Tick(tick), &at(n, tick), false);
        }
        for said in step(&mut gorc, tick, ME, &mut receiver).unwrap() {
            if let (Said::Update { entity: id, .. }, true) = (said, tick > 600) {
                told[usize::from(id.bits() as u32 > 100)] += 1;
            }
        }
    }
    assert!(told[0] > 2 * told[1] && told[1] > 100, "{told:?}");
}

/// The nearest alone are held on the inner channel, those further out on the outer ones, and who is
/// beyond every limit is part of the density layer.
#[test]
fn only_the_nearest_are_told_one_by_one() {
    let mut schema = schema();
    schema.channels = ChannelSpec::DEFAULT;
    for (channel, nearest) in [10, 20, 30, 60].into_iter().enumerate() {
        schema.channels[channel].nearest = nearest;
    }
    let mut gorc = Gorc::new(rate(), schema);
    for n in 1..=200 {
        gorc.spawn(object(n, 0, pose(n as f64 / 10.0, 0.0, 0.0)));
    }
    gorc.add_observer(ID, ObserverSpec { density: true, ..client(place(0.0, 0.0, 0.0)) });
    let mut receiver = Receiver::default();
    for tick in (0..130).step_by(2) {
        step(&mut gorc, tick, ME, &mut receiver);
    }
    let counts = [0, 1, 2, 3].map(|c| receiver.held.values().filter(|held| held.channel == c).count());
    assert_eq!(counts, [10, 10, 10, 30]);
    let crowd: u32 = receiver.density.iter().map(|(_, _, count)| count).sum();
    assert_eq!((crowd, receiver.density.len()), (140, 1));
}

#[test]
fn both_spellings_say_the_same() {
    let mut gorc = here(0);
    gorc.add_observer(
        ObserverId(9),
        ObserverSpec { spelling: Spelling::Json, ..client(place(0.0, 0.0, 0.0)) },
    );
    let (mut binary, mut text) = (Receiver::default(), Receiver::default());
    for tick in (0..200).step_by(2) {
        for n in 1..=6 {
            let x = n as f64 * 20.0 + (tick as f64 / 15.0 + n as f64).sin() * 9.0;
            let mut at = pose(x, (tick as f64 / 9.0).cos() * 3.0, 0.0);
            at.yaw = (tick as f32 / 30.0).sin();
            if tick == n * 2 {
                gorc.spawn(object(n, tick, at));
            }
            gorc.sample(entity(n), Tick(tick), &at, tick == 100 && n == 2);
        }
        if tick == 120 {
            gorc.set_field(entity(1), 0, b"\"hurt\"");
            gorc.despawn(entity(5), LeaveReason::Gone);
        }
        gorc.step(Tick(tick), &mut |_| true, &mut |id, body| {
            if id == ID {
                binary.read(Spelling::Binary, tick, body);
            } else {
                text.read(Spelling::Json, tick, body);
            }
        });
        for (id, held) in &binary.held {
            let drawn = tick.saturating_sub(4) as f64;
            let ((a, yaw), (b, other)) = (held.curve.at(drawn), text.held[id].curve.at(drawn));
            assert!((0..3).all(|axis| (a[axis] - b[axis]).abs() < 1e-2), "{id} at {tick}: {a:?} {b:?}");
            assert!((yaw - other).abs() < 0.01);
            assert_eq!(held.fields, text.held[id].fields);
        }
    }
    assert_eq!(binary.held.len(), 5);
    assert!(binary.bytes * 5 < text.bytes);
}

#[test]
fn stats_count_what_was_sent() {
    let mut gorc = here(2);
    let mut receiver = Receiver::default();
    step(&mut gorc, 0, ME, &mut receiver);
    gorc.despawn(entity(1), LeaveReason::Gone);
    gorc.sample(entity(2), Tick(2), &pose(4.0, 0.0, 0.0), true);
    let mut tick = 2;
    while receiver.updates == 0 {
        step(&mut gorc, tick, ME, &mut receiver);
        tick += 2;
    }
    let stats = gorc.take_stats();
    assert_eq!((stats.enters, stats.updates, stats.leaves), (2, 1, 1));
    let entries = stats.enter_bytes + stats.update_bytes + stats.leave_bytes;
    assert_eq!(stats.channel_bytes.iter().sum::<u64>(), entries);
    assert!(receiver.bytes as u64 - entries <= 4, "section headers alone are not counted");
    assert_eq!(gorc.take_stats(), gorc::Stats::default());
}

#[test]
fn a_hull_is_an_observer_too() {
    let anchor = Anchor::Hull {
        low: horizon_model::Cell { x: 0, y: 0, z: 0 },
        high: horizon_model::Cell { x: 1, y: 1, z: 0 },
        beyond: vec![],
    };
    let mut gorc = world(0, ObserverSpec::region(anchor, 10.0));
    gorc.spawn(object(1, 0, pose(-1005.0, 50.0, 0.0)));
    gorc.spawn(object(2, 0, pose(-1015.0, 50.0, 0.0)));
    let mut receiver = Receiver::default();
    step(&mut gorc, 0, ME, &mut receiver);
    assert_eq!(receiver.held.keys().copied().collect::<Vec<_>>(), [entity(1)]);
}
