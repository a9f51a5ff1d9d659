use super::*;
use crate::client::Client;
use crate::gauge::{Found, Gauge};
use crate::movement::{History, Match};

fn zigzag() -> Scene {
    let inputs = Inputs { matches: [Match::sample()].into(), seconds: Some(1.0) };
    scenes("zigzag", &inputs).remove(0)
}

#[test]
fn every_name_has_scenes_but_the_crossing() {
    let inputs = Inputs { matches: [Match::sample()].into(), seconds: None };
    let without = NAMES.iter().filter(|name| scenes(name, &inputs).is_empty());
    assert_eq!(without.collect::<Vec<_>>(), [&"crossing"]);
}

#[test]
fn a_scene_is_the_same_in_every_run() {
    let run = || {
        let (outcome, measured) = run(zigzag()).expect("it reads what it is told");
        (outcome.payload_bytes_per_client_s, outcome.error_near_p99_m, measured.run.told)
    };
    let (bytes, error, told) = run();
    assert_eq!(run(), (bytes, error, told));
    assert!(bytes.is_some_and(|bytes| bytes > 0.0) && error.is_some() && told.updates > 0);
}

/// Follows the scene; from step `deaf_from` on the client hears nothing more.
fn untold_ticks(deaf_from: usize) -> u64 {
    let scene = zigzag();
    let mut world = World::new(&scene, &scene.eyes);
    let objects = world.truths().len();
    let client = Client::new(&scene.channels, scene.rate(), objects);
    let mut gauge = Gauge::new(client, scene.eyes[0], objects);
    let (mut history, mut found) = (History::new(world.step_ticks()), Found::default());
    for step in 0..150 {
        world.advance();
        let mut body = Vec::new();
        world.replicate(&mut |_, bytes| body.extend_from_slice(bytes));
        history.push(world.tick().0, world.truths());
        if step < deaf_from {
            gauge.client.take(world.tick(), &body).expect("it is well formed");
        }
        if step >= 60 {
            gauge.measure(world.tick(), &history, scene.classes, 0.0, 0, &mut found);
        }
    }
    found.untold_ticks
}

#[test]
fn pictures_keep_their_bounds_and_those_of_a_deaf_client_do_not() {
    assert_eq!(untold_ticks(usize::MAX), 0);
    assert!(untold_ticks(100) > 30, "{}", untold_ticks(100));
}
