//! Play across borders comes out as it does without them.

use horizon_e2e::World;
use horizon_e2e::skirmish::{faults, skirmish};

const ACTIONS: u32 = 60;

#[tokio::test]
async fn four_regions_and_a_kill_change_no_outcome() {
    let world = World::start("[world]\ncolumns = 1\nrows = 1\nregion_metres = 400\n").await;
    let alone = skirmish(&world, ACTIONS, 0).await;
    world.finish().await;
    let world = World::start("").await;
    let four = skirmish(&world, ACTIONS, 1).await;
    world.finish().await;

    assert_eq!(faults(&alone), Vec::<String>::new());
    assert_eq!(faults(&four), Vec::<String>::new());
    assert!(alone["authority_changes"] == 0 && four["authority_changes"].as_u64() > Some(4));
    assert!(four["resyncs"].as_u64() > Some(0), "somebody was there");
    assert!(alone["actions"].as_u64() >= Some(3 * u64::from(ACTIONS)));
    assert_eq!(alone["outcomes"], four["outcomes"]);
}
