//! What neighbours notice of a region whose process is stopped.

use std::time::Duration;

use horizon_model::RegionId;

use crate::build;
use crate::chance::Delays;
use crate::harness::Harness;

const SECOND: Duration = Duration::from_secs(1);
const STOPPED: RegionId = RegionId(1);

fn world() -> Harness {
    let plugins = build::own_plugins(&["movement"]);
    let mut world = Harness::new(plugins.path(), 2, 30, 41, Delays::SHORT);
    world.run_until(world.now + SECOND);
    assert_eq!(world.silences, [], "everybody steps");
    world
}

#[test]
fn all_neighbours_of_a_stopped_region_say_so_and_it_accuses_nobody_when_it_wakes() {
    let mut world = world();
    world.stopped.insert(STOPPED);
    let begun = world.now;
    world.run_until(begun + SECOND);
    let told: Vec<_> = world.silences.iter().map(|(_, by, of)| (by.0, of.0)).collect();
    assert!(told.iter().all(|(_, of)| *of == STOPPED.0), "{told:?}");
    for by in [0, 2, 3] {
        let times = world.silences.iter().filter(|(_, from, _)| from.0 == by).map(|(at, ..)| *at - begun);
        let times: Vec<_> = times.collect();
        assert!(times[0] > SECOND * 4 / 10 && times[0] < SECOND * 7 / 10, "region {by}: {times:?}");
        assert!(times.len() >= 3, "region {by} repeats it: {times:?}");
    }
    world.silences.clear();
    world.stopped.clear();
    world.run_until(world.now + 2 * SECOND);
    let after: Vec<_> = world.silences.iter().filter(|(at, ..)| *at > begun + SECOND * 13 / 10).collect();
    assert!(after.is_empty(), "whoever was stopped learns nothing from what it did not hear: {after:?}");
}
