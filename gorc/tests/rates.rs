//! Regions of two rates in one world of 30 Hz, read by those who know the rate of the world alone.
#![allow(clippy::unwrap_used)]

mod common;

use common::*;
use gorc::{Gorc, NewObject, ObserverId, ObserverSpec, Spelling};
use horizon_model::{Pose, Tick, TickRate};

/// Metres that a picture may be off: the bound of the channel, and a lattice step.
const BOUND: f64 = 0.15;

fn hz(hz: u64) -> TickRate {
    TickRate::from_hz(hz).unwrap()
}

/// Nine metres a second along x, and back from tick 700 on.
fn way(tick: u64) -> Pose {
    let ticks = tick.min(700) as f64 - tick.saturating_sub(700) as f64;
    let mps = if tick < 700 { 9.0 } else { -9.0 };
    Pose { velocity: [mps, 0.0, 0.0], ..pose(ticks * 9.0 / 60.0 - 100.0, 0.0, 0.0) }
}

#[test]
fn clients_of_a_fast_region_draw_as_the_world_does() {
    for spelling in [Spelling::Binary, Spelling::Json] {
        let mut gorc = Gorc::within(hz(30), hz(60), schema());
        gorc.spawn(object(1, 600, way(600)));
        gorc.add_observer(ObserverId(1), ObserverSpec { spelling, ..client(place(0.0, 0.0, 0.0)) });
        let mut receiver = Receiver::default();
        for tick in 601..900 {
            gorc.sample(entity(1), Tick(tick), &way(tick), false);
            gorc.step(Tick(tick), &mut |_| true, &mut |_, body| {
                receiver.read(spelling, tick, body);
            });
            let drawn = tick - delay(receiver.held[&entity(1)].channel, hz(30));
            if drawn > 600 {
                let apart = receiver.error(entity(1), drawn, &way(drawn).position);
                assert!(apart < BOUND, "{apart} m at {tick}");
            }
        }
    }
}

/// A neighbour of 60 Hz tells of odd ticks, too: what moves evenly stays even, and what comes to stand at
/// an odd tick stands there.
#[test]
fn samples_between_two_steps_are_taken_back_and_not_forgotten() {
    let mut gorc = Gorc::within(hz(30), hz(30), schema());
    gorc.spawn(NewObject { ghost: true, ..object(1, 600, way(600)) });
    gorc.add_observer(ObserverId(1), client(place(0.0, 0.0, 0.0)));
    let mut receiver = Receiver::default();
    let stand = Pose { velocity: [0.0; 3], ..way(681) };
    for tick in 601..800 {
        let at = if tick < 681 { way(tick) } else { stand };
        gorc.sample(entity(1), Tick(tick), &at, false);
        if tick % 2 == 0 {
            step(&mut gorc, tick, 1, &mut receiver);
            let drawn = tick - 6;
            let right = if drawn < 681 { way(drawn) } else { stand };
            if drawn > 600 {
                let apart = receiver.error(entity(1), drawn, &right.position);
                assert!(apart < BOUND, "{apart} m at {tick}");
            }
        }
    }
    assert!(receiver.error(entity(1), 790, &stand.position) < 0.06, "told exactly where it stands");
}

/// Alone a sample of an odd tick is taken back by its velocity.
#[test]
fn a_neighbour_that_tells_of_odd_ticks_alone_is_drawn_right() {
    let mut gorc = Gorc::within(hz(30), hz(30), schema());
    gorc.spawn(NewObject { ghost: true, ..object(1, 601, way(601)) });
    gorc.add_observer(ObserverId(1), client(place(0.0, 0.0, 0.0)));
    let mut receiver = Receiver::default();
    for tick in 602..680 {
        if tick % 2 == 1 {
            gorc.sample(entity(1), Tick(tick), &way(tick), false);
            continue;
        }
        step(&mut gorc, tick, 1, &mut receiver);
        let drawn = tick - 6;
        if drawn > 610 {
            let apart = receiver.error(entity(1), drawn, &way(drawn).position);
            assert!(apart < 0.06, "{apart} m at {tick}");
        }
    }
}
