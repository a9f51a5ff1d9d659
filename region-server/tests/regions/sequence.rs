//! The order in which a player is handed over.

use std::time::Duration;

use horizon_model::RegionId;
use horizon_protocol::client::Spelling;

use crate::chance::Delays;
use crate::harness::Harness;
use crate::{Walker, build, play};

const FROM: RegionId = RegionId(2);
const TO: RegionId = RegionId(3);

/// Who does what, from the forecast to the first frame of the new owner. Other steps lie between: copies go on, frames too.
const SEQUENCE: [(RegionId, &str); 12] = [
    (FROM, "the edge foresees it"),
    (FROM, "offers"),
    (TO, "is ready"),
    (FROM, "sends the whole state"),
    (TO, "has a copy"),
    (FROM, "sends what changed"),
    (FROM, "sends the final state"),
    (TO, "writes the state down"),
    (TO, "asks the store"),
    (TO, "takes the inputs"),
    (TO, "tells the source"),
    (TO, "shows the world"),
];

fn world(foresight: bool) -> Harness {
    let plugins = build::own_plugins(&["movement", "ledger"]);
    let mut world = Harness::new(plugins.path(), 2, 30, 5, Delays::SHORT);
    world.foresight = foresight;
    let centre = [-30.0, 50.0];
    let player = world.join(1, [centre[0], centre[1], 1.0], Spelling::Binary);
    world.run_until(world.now + Duration::from_millis(500));
    world.trail.clear();
    let walker = Walker { player, centre, reach: 200.0, speed: 8.0 };
    play(&mut world, &[walker], 8, |_, _| {});
    assert_eq!(world.clients[&player].crossings, 1);
    world
}

/// How much of the sequence the trail has, in order.
fn found(trail: &[(RegionId, &str)]) -> usize {
    trail.iter().fold(0, |next, step| next + usize::from(SEQUENCE.get(next) == Some(step)))
}

#[test]
fn every_step_of_a_handoff_happens_in_order() {
    let world = world(true);
    assert_eq!(found(&world.trail), SEQUENCE.len(), "{:#?}", world.trail);
    let commits = world.trail.iter().filter(|step| **step == (TO, "asks the store")).count();
    assert_eq!(commits, 1, "one decision");
    let shown = |region| world.trail.iter().rposition(|step| *step == (region, "shows the world"));
    let decided = world.trail.iter().position(|step| *step == (TO, "asks the store"));
    assert!(shown(FROM) < decided, "the source is silent once the target may act");

    // The control: steps in another order are no sequence.
    for (early, late) in [(6, 7), (7, 8), (8, 9), (9, 11)] {
        let steps = [SEQUENCE[early], SEQUENCE[late]];
        let mut swapped = world.trail.clone();
        for step in &mut swapped {
            let place = steps.iter().position(|known| known == step);
            *step = place.map_or(*step, |place| steps[1 - place]);
        }
        assert!(found(&swapped) < SEQUENCE.len(), "{steps:?} change places");
    }
}

/// The control: a trail without its first step is noticed.
#[test]
fn a_handoff_that_nobody_foresaw_lacks_the_first_step() {
    let world = world(false);
    assert_eq!(found(&world.trail), 0, "{:#?}", world.trail);
    assert!(world.trail.contains(&(TO, "shows the world")), "and yet the player is there");
}
