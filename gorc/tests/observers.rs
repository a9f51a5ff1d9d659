//! Observers that come and go, speak and are silent, and are told again.
#![allow(clippy::unwrap_used)]

mod common;

use common::{
    Holder, Said, client, entity, object, place, pose, rate, read, region, schema, step, step_with,
};
use gorc::{Gorc, Held, LeaveReason, ObserverId, ObserverSpec, PATIENCE, REPEAT, Spelling, View};
use horizon_model::{EntityId, Tick};

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
    let held = held.iter().map(|&(entity, channel)| Held { entity, channel, tick: Tick(0) });
    View { held: held.collect() }
}

fn pairs(view: &View) -> Vec<(EntityId, u8)> {
    view.held.iter().map(|held| (held.entity, held.channel)).collect()
}

fn enters(said: &[Said]) -> usize {
    said.iter().filter(|said| matches!(said, Said::Enter { .. })).count()
}

#[test]
fn a_shadow_is_silent_and_its_first_frame_repeats_nothing() {
    let mut source = here(3);
    step(&mut source, 0, ME).unwrap();
    let view = View::decode(&source.view(ID).unwrap().encode()).unwrap();
    assert_eq!(pairs(&view), [(entity(1), 0), (entity(2), 0), (entity(3), 0)]);

    let mut target = world(4, ObserverSpec { muted: true, ..client(place(0.0, 0.0, 0.0)) });
    assert_eq!(step(&mut target, 0, ME), None);
    assert_eq!(target.interest(ID, entity(1)), Some(0));
    assert_eq!(target.view(ID), Some(View::default()), "a shadow was told nothing");

    target.adopt_view(ID, &view);
    target.set_muted(ID, false);
    for n in 1..=4 {
        target.sample(entity(n), Tick(2), &pose(n as f64, 0.0, 0.0), false);
    }
    let said = step(&mut target, 2, ME).unwrap();
    assert_eq!(enters(&said), 1, "only the fourth is new: {said:?}");
    let updated: Vec<_> = said
        .iter()
        .filter(|said| matches!(said, Said::Update { complete: false, position: Some(_), .. }))
        .collect();
    assert_eq!(updated.len(), 3);
    assert_eq!(target.held_count(ID), 4);
}

/// The region before showed its own objects a step earlier, and this region's a step later, than this
/// one does: neither may be missing a tick or repeat one.
#[test]
fn positions_go_on_after_the_ticks_that_were_told() {
    let mut gorc = world(2, ObserverSpec { muted: true, ..client(place(0.0, 0.0, 0.0)) });
    for tick in [2, 4, 6] {
        gorc.sample(entity(1), Tick(tick), &pose(1.0, 0.0, 0.0), false);
        gorc.sample(entity(2), Tick(tick), &pose(2.0, 0.0, 0.0), false);
        step(&mut gorc, tick, ME);
    }
    let held = |n, tick| Held { entity: entity(n), channel: 0, tick: Tick(tick) };
    gorc.adopt_view(ID, &View { held: vec![held(1, 2), held(2, 8)] });
    gorc.set_muted(ID, false);
    let mut ticks = Vec::new();
    for tick in [8, 10] {
        gorc.sample(entity(1), Tick(tick), &pose(1.0, 0.0, 0.0), false);
        gorc.sample(entity(2), Tick(tick), &pose(2.0, 0.0, 0.0), false);
        for said in step(&mut gorc, tick, ME).unwrap() {
            if let Said::Update { entity, tick, position: Some(_), .. } = said {
                ticks.push((entity, tick.0));
            }
        }
    }
    ticks.sort_unstable();
    let (one, two) = (entity(1), entity(2));
    assert_eq!(ticks, [(one, 4), (one, 6), (one, 8), (one, 10), (two, 10)]);
}

#[test]
fn nobody_is_promised_more_than_the_owner_tells() {
    let mut gorc = Gorc::new(rate(), schema());
    gorc.spawn(gorc::NewObject { ghost: true, ..object(1, 0, pose(5.0, 0.0, 0.0)) });
    gorc.set_floor(entity(1), 1);
    gorc.add_observer(ID, client(place(0.0, 0.0, 0.0)));
    step(&mut gorc, 0, ME).unwrap();
    assert_eq!(gorc.held(ID, entity(1)), Some(1), "near, but told of at the second channel's rate");
    gorc.set_floor(entity(1), 0);
    step(&mut gorc, 2, ME).unwrap();
    assert_eq!(gorc.held(ID, entity(1)), Some(0));
    gorc.set_floor(entity(1), 3);
    gorc.set_ghost(entity(1), false);
    step(&mut gorc, 4, ME).unwrap();
    assert_eq!(gorc.held(ID, entity(1)), Some(0), "what is our own has no floor");
}

#[test]
fn adoption_keeps_the_channels_that_hysteresis_kept() {
    let mut target = world(0, ObserverSpec { muted: true, ..client(place(0.0, 0.0, 0.0)) });
    target.spawn(object(1, 0, pose(52.0, 0.0, 0.0)));
    step(&mut target, 0, ME);
    assert_eq!(target.interest(ID, entity(1)), Some(1));
    target.adopt_view(ID, &told(&[(entity(1), 0)]));
    target.set_muted(ID, false);
    step(&mut target, 2, ME);
    assert_eq!(target.held(ID, entity(1)), Some(0));
}

#[test]
fn adopted_strangers_get_patience() {
    let mut gorc = here(0);
    gorc.adopt_view(ID, &told(&[(entity(1), 0), (entity(2), 2)]));
    let mut tick = 100;
    while tick < 100 + PATIENCE {
        if tick == 200 {
            gorc.spawn(object(2, tick, pose(5.0, 0.0, 0.0)));
        }
        let said = step(&mut gorc, tick, ME).unwrap();
        assert_eq!(enters(&said), 0);
        assert!(!said.iter().any(|said| matches!(said, Said::Leave(..))), "{tick}: {said:?}");
        tick += 2;
    }
    let said = step(&mut gorc, tick, ME).unwrap();
    assert!(said.contains(&Said::Leave(entity(1), LeaveReason::OutOfRange)), "{said:?}");
    assert_eq!(pairs(&gorc.view(ID).unwrap()), [(entity(2), 0)]);
}

#[test]
fn fields_of_adopted_objects_are_told_once_more() {
    let mut gorc = here(1);
    gorc.adopt_view(ID, &told(&[(entity(1), 0)]));
    let mut holder = Holder::default();
    holder.held.insert(entity(1), common::Held::default());
    for tick in (2..64).step_by(2) {
        gorc.sample(entity(1), Tick(tick), &pose(1.0, 0.0, 0.0), false);
        holder.hear(&step(&mut gorc, tick, ME).unwrap());
    }
    assert_eq!(holder.held[&entity(1)].fields.len(), 4);
}

#[test]
fn a_reset_begins_again_from_nothing() {
    let mut gorc = here(2);
    step(&mut gorc, 0, ME);
    gorc.despawn(entity(2), LeaveReason::Gone);
    gorc.reset_view(ID);
    assert!(gorc.is_reset_due(ID));
    assert_eq!(gorc.view(ID), Some(View::default()));
    assert_eq!(step_with(&mut gorc, 2, ME, false), None);
    let said = step(&mut gorc, 4, ME).unwrap();
    assert!(matches!(said[..], [Said::Reset, Said::Enter { again: false, .. }]), "{said:?}");
    assert_eq!(step(&mut gorc, 6, ME), Some(vec![]), "an empty body is still a body");
}

#[test]
fn a_refresh_tells_all_fields_again_without_an_enter() {
    let mut gorc = here(2);
    step(&mut gorc, 0, ME);
    let late = (REPEAT + 2) & !1;
    gorc.refresh(ID);
    gorc.sample(entity(1), Tick(late), &pose(1.0, 0.0, 0.0), false);
    let said = step(&mut gorc, late, ME).unwrap();
    assert_eq!(said.len(), 2, "{said:?}");
    for said in said {
        let Said::Update {
            complete: true, position: Some(_), velocity: Some(_), yaw: Some(_), fields, ..
        } = said
        else {
            panic!("{said:?}")
        };
        assert_eq!(fields.len(), 4);
    }
    assert_eq!(step(&mut gorc, late + 2, ME).unwrap(), [], "once");
}

#[test]
fn a_refresh_repeats_enters_and_leaves_that_may_be_lost() {
    let mut gorc = here(3);
    step(&mut gorc, 0, ME);
    gorc.despawn(entity(2), LeaveReason::Gone);
    step(&mut gorc, 2, ME);
    gorc.despawn(entity(3), LeaveReason::Gone);
    step(&mut gorc, 4, ME);
    gorc.spawn(object(3, 6, pose(3.0, 0.0, 0.0)));
    step(&mut gorc, 6, ME);
    gorc.refresh(ID);
    assert_eq!(step_with(&mut gorc, 8, ME, false), None);
    assert!(gorc.is_refresh_due(ID));
    let said = step(&mut gorc, 10, ME).unwrap();
    assert!(
        matches!(
            said[..],
            [
                Said::Leave(two, LeaveReason::Gone),
                Said::Enter { again: true, .. },
                Said::Enter { again: true, .. },
            ] if two == entity(2)
        ),
        "{said:?}"
    );
}

#[test]
fn a_step_without_credit_is_made_up_for() {
    let mut gorc = here(2);
    step(&mut gorc, 0, ME);
    gorc.sample(entity(1), Tick(2), &pose(9.0, 0.0, 0.0), true);
    gorc.set_field(entity(1), 0, b"50");
    gorc.despawn(entity(2), LeaveReason::Gone);
    gorc.spawn(object(3, 2, pose(1.0, 0.0, 0.0)));
    assert_eq!(step_with(&mut gorc, 2, ME, false), None);
    assert_eq!(
        pairs(&gorc.view(ID).unwrap()),
        [(entity(1), 0), (entity(2), 3)],
        "what the client still holds"
    );
    gorc.sample(entity(1), Tick(4), &pose(9.0, 0.0, 0.0), false);
    let said = step(&mut gorc, 4, ME).unwrap();
    assert_eq!(said.len(), 4, "{said:?}");
    assert_eq!(said[0], Said::Leave(entity(2), LeaveReason::Gone));
    assert!(matches!(said[1], Said::Enter { .. }));
    assert!(matches!(said[2], Said::Update { tick: Tick(2), snap: true, .. }), "{said:?}");
    let Said::Update { tick: Tick(4), fields, .. } = &said[3] else { panic!("{said:?}") };
    assert_eq!(fields[..], [(0, b"50".to_vec())]);
}

/// How many positions of the first object each frame carries, where `credit` says who gets one.
fn positions(steps: u64, credit: impl Fn(u64) -> bool) -> Vec<usize> {
    let mut gorc = here(1);
    step(&mut gorc, 0, ME);
    let mut counts = Vec::new();
    for n in 1..=steps {
        gorc.sample(entity(1), Tick(n * 2), &pose(n as f64 / 10.0, 0.0, 0.0), false);
        if let Some(said) = step_with(&mut gorc, n * 2, ME, credit(n)) {
            let placed = |said: &&Said| matches!(said, Said::Update { position: Some(_), .. });
            counts.push(said.iter().filter(placed).count());
        }
    }
    counts
}

#[test]
fn a_client_that_is_always_slow_gets_fewer_positions_not_bursts() {
    assert_eq!(positions(6, |n| n > 4), [5, 1], "one hiccup is made up for");
    assert_eq!(positions(10, |n| n > 8), [1, 1], "a long lack is not");
    let every_third = positions(90, |n| n % 3 == 0);
    assert!(every_third[8..].iter().all(|count| *count == 1), "{every_third:?}");
}

#[test]
fn a_neighbour_hears_of_authority_not_of_ghosts() {
    let mut gorc = world(1, region(place(0.0, 0.0, 0.0)));
    gorc.add_observer(ObserverId(9), client(place(0.0, 0.0, 0.0)));
    assert_eq!(enters(&step(&mut gorc, 0, ME).unwrap()), 1);
    gorc.set_ghost(entity(1), true);
    let mut to_client = vec![];
    let mut to_region = vec![];
    gorc.sample(entity(1), Tick(2), &pose(1.0, 0.0, 0.0), false);
    gorc.step(Tick(2), &mut |_| true, &mut |id, body| {
        let said = read(Spelling::Binary, body, Tick(2));
        if id == ID { to_region = said } else { to_client = said }
    });
    assert_eq!(to_region, [Said::Leave(entity(1), LeaveReason::Moved)]);
    assert!(matches!(to_client[..], [Said::Update { tick: Tick(2), .. }]), "{to_client:?}");
    gorc.spawn(object(1, 4, pose(1.0, 0.0, 0.0)));
    assert_eq!(gorc.is_ghost(entity(1)), Some(false));
    assert_eq!(enters(&step(&mut gorc, 4, ME).unwrap()), 1);
}

#[test]
fn an_enter_in_a_bunch_is_followed_by_the_rest_of_it() {
    let mut gorc = here(1);
    for tick in [2, 4, 6] {
        gorc.sample(entity(1), Tick(tick), &pose(tick as f64, 0.0, 0.0), false);
    }
    let mut holder = Holder::default();
    holder.hear(&step(&mut gorc, 6, ME).unwrap());
    assert_eq!(holder.held[&entity(1)].ticks, [0, 2, 4, 6]);
}

#[test]
fn gaining_a_channel_brings_its_fields_and_losing_it_only_slows() {
    let mut gorc = here(0);
    gorc.spawn(object(1, 0, pose(200.0, 0.0, 0.0)));
    let Said::Enter { fields, channel: 2, .. } = &step(&mut gorc, 0, ME).unwrap()[0] else { panic!() };
    assert_eq!(fields.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [2, 3]);
    gorc.sample(entity(1), Tick(2), &pose(100.0, 0.0, 0.0), false);
    let said = step(&mut gorc, 2, ME).unwrap();
    let Said::Update { fields, channel: 1, complete: true, velocity: Some(_), .. } = &said[0] else {
        panic!("{said:?}")
    };
    assert_eq!(fields.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1]);
    let mut holder = Holder::default();
    holder.held.insert(entity(1), common::Held::default());
    for tick in (4..64).step_by(2) {
        gorc.sample(entity(1), Tick(tick), &pose(200.0, 0.0, 0.0), false);
        holder.hear(&step(&mut gorc, tick, ME).unwrap());
    }
    assert_eq!((holder.held[&entity(1)].channel, holder.held[&entity(1)].ticks.len()), (2, 10));
}

#[test]
fn stats_count_what_was_sent() {
    let mut gorc = here(2);
    step(&mut gorc, 0, ME);
    gorc.despawn(entity(1), LeaveReason::Gone);
    gorc.sample(entity(2), Tick(2), &pose(2.0, 0.0, 0.0), false);
    let mut bytes = 0;
    gorc.step(Tick(2), &mut |_| true, &mut |_, body| bytes = body.len() as u64);
    let stats = gorc.take_stats();
    assert_eq!((stats.enters, stats.updates, stats.leaves), (2, 1, 1));
    assert!(stats.channel_bytes[0] > bytes && stats.channel_bytes[3] > 0, "{stats:?}");
    assert_eq!(gorc.take_stats(), gorc::Stats::default());
}
