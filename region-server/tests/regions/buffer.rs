//! What a player has said ahead of time crosses with the player, and each step that passed meanwhile gets its own.

use std::time::Duration;

use horizon_model::{EntityId, PlayerId, Pose, Position, Tick};
use horizon_protocol::client::Spelling;

use crate::build;
use crate::chance::Delays;
use crate::harness::Harness;

/// Metres per tick: nine metres a second.
const PER_TICK: f64 = 0.15;
/// Ticks for which everything is said again.
const REDUNDANT: u64 = 6;
/// A disk that holds a handoff up for more than two steps, and for fewer than are made up for.
const HELD_UP: Delays = Delays { disk: (28_000, 3_000), ..Delays::QUICK };

/// Where the runner is at `tick`: over the border at x = 0.
fn pose(began: Tick, tick: Tick) -> Pose {
    let x = tick.saturating_since(began) as f64 * PER_TICK - 20.0;
    Pose { position: Position::from_metres([x, 0.0, 1.0]).unwrap(), velocity: [9.0, 0.0, 0.0], yaw: 0.0 }
}

/// A runner says where it is, `ahead` ticks ahead. How far from there somebody on the other side sees it at
/// most, metres, and how many crossings there were.
fn furthest_off(ahead: u64) -> (f64, u32) {
    let plugins = build::own_plugins(&["movement", "ledger", "chat"]);
    let mut world = Harness::new(plugins.path(), 2, 30, 11, HELD_UP);
    let runner = world.join(1, [-20.0, 0.0, 1.0], Spelling::Binary);
    let watcher = world.join(2, [12.0, 6.0, 1.0], Spelling::Binary);
    world.run_until(world.now + Duration::from_secs(1));
    let began = Tick::at(world.now) + 2;
    let entity: EntityId = world.clients[&runner].entity.expect("joined");
    let (mut furthest, mut looked) = (0.0_f64, Tick(0));
    for tick in began.0..began.0 + 260 {
        world.run_until(Tick(tick).since_origin() + Duration::from_millis(3));
        // As clients do: what is said while nobody owns the runner is said again.
        for said in (tick + ahead).saturating_sub(REDUNDANT).max(began.0)..=tick + ahead {
            world.say(runner, Tick(said), pose(began, Tick(said)));
        }
        let seen = world.clients[&watcher].sightings().into_iter().find(|seen| seen.entity == entity);
        let Some(seen) = seen.filter(|seen| seen.tick > looked && seen.tick > began + 60) else { continue };
        looked = seen.tick;
        let right = pose(began, seen.tick).position.metres();
        furthest = furthest.max((right[0] - seen.metres[0]).abs());
    }
    (furthest, crossings(&world, runner))
}

fn crossings(world: &Harness, player: PlayerId) -> u32 {
    world.clients[&player].crossings
}

#[test]
fn what_was_said_ahead_crosses_and_is_spread_over_the_steps_it_was_said_for() {
    let (furthest, crossings) = furthest_off(12);
    assert_eq!(crossings, 1);
    assert!(furthest < 0.2, "{furthest} m: within the bound of the channel and a lattice step");
}

/// Control: without anything ahead, the steps that pass during the handoff have nothing to go by.
#[test]
fn what_was_not_said_ahead_is_missed() {
    let (furthest, crossings) = furthest_off(0);
    assert_eq!(crossings, 1);
    assert!(furthest > 0.4, "{furthest} m");
}
