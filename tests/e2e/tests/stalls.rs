//! A region whose plugin does not return: its process lives, and everybody who asks is told that it stands still.

use horizon_client::Spelling;
use horizon_e2e::{Player, World};
use serde_json::Value;

/// Ten steps a second, so that three periods are longer than what a busy machine takes for itself.
fn world_in_which_steps_block(blocks_ms: u32) -> String {
    format!(
        "[world]\ntick_hz = 10\n[director]\nwarm_workers = 1\n\
         [plugin.drill]\nblocks_ms = {blocks_ms}\nblocks_every_seconds = 2\n"
    )
}

fn stalled(status: &Value) -> Option<()> {
    let regions = status["regions"].as_array()?;
    regions.iter().any(|region| region["stalled"] == true).then_some(())
}

/// How often regions stood still.
async fn stalls(world: &World) -> u64 {
    let all = world.region_metrics().await;
    let count = |text: &String| -> u64 {
        let line = text.lines().find_map(|line| line.strip_prefix("region_stalls_total "));
        line.and_then(|count| count.parse().ok()).unwrap_or_default()
    };
    all.iter().map(count).sum()
}

async fn at_play(world: &World) -> Player {
    let ada = Player::join(world, "Ada", Spelling::Binary, [-60.0, -60.0, 0.5]).await;
    ada.busy(true);
    ada.until_true("some play", |seen| seen.applied >= 5).await;
    ada
}

#[tokio::test]
async fn a_region_that_stands_still_is_seen_by_all_who_ask_and_plays_on() {
    let world = World::start(&world_in_which_steps_block(700)).await;
    let ada = at_play(&world).await;
    let mut refused = None;
    while refused.is_none() {
        world.until("a region that stands still", stalled).await;
        let answers = world.region_readiness().await;
        refused = answers.into_iter().find(|(code, why)| *code == 503 && why.contains("stands still"));
    }
    world.until("that it steps again", |status| stalled(status).is_none().then_some(())).await;
    assert!(stalls(&world).await >= 1);
    assert!(world.times_logged("region", "the region stands still") >= 1);
    assert!(world.times_logged("region", "the region steps again") >= 1);
    let sent = ada.seen().sent.count();
    ada.until_true("play after it", |seen| u64::from(seen.applied) > sent + 5).await;
    ada.busy(false);
    ada.assert_account().await;
    let seen = ada.seen();
    assert_eq!((seen.disconnects.len(), seen.resyncs), (0, 0), "nobody is disturbed by what is short");
    world.finish().await;
}

/// The control: the same world whose plugin returns at once.
#[tokio::test]
async fn a_region_that_steps_is_not_said_to_stand_still() {
    let world = World::start(&world_in_which_steps_block(0)).await;
    let ada = at_play(&world).await;
    ada.until_true("as many steps as in the other test", |seen| seen.applied >= 60).await;
    assert_eq!(stalls(&world).await, 0);
    world.finish().await;
}
