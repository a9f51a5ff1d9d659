//! A region that runs late, and one whose neighbour nobody serves: players play on.

use std::time::Duration;

use horizon_model::{Pose, Position, RegionId};
use horizon_protocol::client::Spelling;

use crate::chance::Delays;
use crate::harness::Harness;
use crate::{Walker, build, ledger_faults, play};

const HERE: RegionId = RegionId(0);
const BEYOND: RegionId = RegionId(1);
/// A second of steps at 30 Hz.
const STEPS: u64 = 30;

/// Eight who walk about in one region, in sight of each other on several channels.
fn crowd(world: &mut Harness) -> Vec<Walker> {
    let walkers: Vec<Walker> = (0..8_u64)
        .map(|n| {
            let centre = [-180.0 + 22.0 * n as f64, -100.0];
            let player = world.join(u128::from(n) + 1, [centre[0], centre[1], 1.0], Spelling::Binary);
            Walker { player, centre, reach: 2.0 + n as f64 / 3.0, speed: 7.0 }
        })
        .collect();
    world.run_until(world.now + Duration::from_millis(500));
    walkers
}

#[test]
fn slow_steps_raise_the_level_and_less_is_told_and_quick_ones_lower_it() {
    let plugins = build::own_plugins(&["movement", "ledger"]);
    let mut world = Harness::new(plugins.path(), 2, STEPS, 51, Delays::SHORT);
    let walkers = crowd(&mut world);
    let told = |world: &mut Harness, share: f32, seconds: u64| {
        world.work_share = Some(share);
        let before = world.frame_bytes(HERE);
        play(world, &walkers, seconds, |_, _| {});
        (world.frame_bytes(HERE) - before) / seconds
    };
    let usual = told(&mut world, 0.4, 5);
    assert_eq!(world.said[&HERE].load_level, 0, "quick steps");
    told(&mut world, 1.2, 1);
    assert_eq!(world.said[&HERE].load_level, gorc::MAX_LEVEL, "steps that overrun, a second long");
    let late = told(&mut world, 0.9, 5);
    assert_eq!(world.said[&HERE].load_level, gorc::MAX_LEVEL, "late, and no ticks are lost: it stays");
    let less = told(&mut world, 0.7, 5);
    assert!(late.abs_diff(less) * 10 < less, "{late} and {less} bytes a second at one level");
    assert_eq!(world.said[&HERE].load_level, gorc::MAX_LEVEL, "neither late nor easy: it stays");
    assert!(less * 10 < usual * 8, "{usual} bytes a second, {less} where steps are late");
    // A level in 64 steps, and the last one at the first of them.
    told(&mut world, 0.4, 64 * u64::from(gorc::MAX_LEVEL) / STEPS + 1);
    assert_eq!(world.said[&HERE].load_level, 0, "quick steps again");
    let again = told(&mut world, 0.4, 5);
    assert!(again.abs_diff(usual) * 10 < usual, "{usual} bytes a second before, {again} after");
    assert_eq!(ledger_faults(&mut world), Vec::<String>::new(), "what is reliable was never touched");
}

#[test]
fn who_finds_nobody_beyond_the_border_plays_on_there() {
    let plugins = build::own_plugins(&["movement", "ledger"]);
    let mut world = Harness::new(plugins.path(), 2, STEPS, 52, Delays::SHORT);
    let player = world.join(1, [-20.0, -100.0, 1.0], Spelling::Binary);
    world.run_until(world.now + Duration::from_millis(500));
    world.close(BEYOND);
    let begun = world.now;
    let walk = |world: &mut Harness, from: f64, to: f64| {
        let (begun, way) = (world.now, to - from);
        let seconds = (way.abs() / 8.0).ceil();
        let mut elapsed = 0.0;
        while elapsed < seconds {
            let x = from + way * elapsed / seconds;
            let position = Position::from_metres([x, -100.0, 1.0]).unwrap();
            let velocity = [(way / seconds) as f32, 0.0, 0.0];
            world.walk(player, Pose { position, velocity, yaw: 0.0 });
            world.send(player, "ledger", "note", b"{\"n\":1}");
            elapsed += 0.05;
            world.run_until(begun + Duration::from_secs_f64(elapsed));
        }
    };
    walk(&mut world, -20.0, 70.0);
    let said = world.said[&HERE];
    assert!((60.0..71.0).contains(&said.overhang_m), "70 m beyond the border: {said:?}");
    let client = &world.clients[&player];
    assert_eq!((client.route, client.crossings, client.resyncs), (Some(HERE), 0, 0), "still with the first");
    assert!(client.unsettled() < 10, "what is done there is durable: {} are not", client.unsettled());
    assert!(world.now - begun > Duration::from_secs(11));

    world.reopen(BEYOND);
    walk(&mut world, 70.0, 90.0);
    world.run_until(world.now + Duration::from_secs(1));
    let client = &world.clients[&player];
    assert_eq!((client.route, client.crossings, client.resyncs), (Some(BEYOND), 1, 0), "somebody is there");
    assert_eq!(world.said[&HERE].overhang_m, 0.0);
    assert_eq!(ledger_faults(&mut world), Vec::<String>::new());
}
