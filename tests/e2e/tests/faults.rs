//! Processes are killed while people play.

use horizon_client::Spelling;
use horizon_e2e::lost_data::play_over_lost_data;
use horizon_e2e::{Player, Store, World, recording, redis};
use serde_json::json;

#[tokio::test]
async fn a_killed_region_server_is_a_hiccup() {
    let world = World::start("").await;
    let path = recording::recorded();
    let start = path[0].1.position.metres();
    let ada = Player::join(&world, "Ada", Spelling::Binary, start).await;
    ada.follow(path);
    ada.busy(true);
    ada.until_true("some play", |seen| seen.applied >= 10 && seen.epochs.len() >= 2).await;

    let owner = world.only_owner().await;
    let before = ada.seen();
    world.kill(owner);
    ada.until_true("the news", |seen| seen.resyncs > before.resyncs).await;
    let killed_at = before.sent.count();
    ada.until_true("play after the crash", |seen| {
        u64::from(seen.applied) > killed_at + 10 && seen.epochs.last() > before.epochs.last()
    })
    .await;
    ada.assert_account().await;
    let seen = ada.seen();
    assert_eq!(seen.disconnects, Vec::<String>::new(), "the socket stays");
    assert!(!world.workers().await.contains(&owner));
    world.finish().await;
}

/// Nobody sees it end: whoever hears nothing of it says so, and its region goes to another worker under a
/// higher lease. When it wakes, nobody listens.
#[tokio::test]
async fn a_stopped_region_server_is_replaced_and_not_heard_when_it_wakes() {
    let world = World::start("").await;
    let ada = Player::join(&world, "Ada", Spelling::Binary, [-60.0, -60.0, 0.5]).await;
    let bert = Player::join(&world, "Bert", Spelling::Json, [-62.0, -60.0, 0.5]).await;
    ada.busy(true);
    bert.busy(true);
    ada.until_true("some play", |seen| seen.applied >= 5).await;
    let owner = world.only_owner().await;
    world.warm().await;

    let before = ada.seen();
    world.stop(owner);
    for player in [&ada, &bert] {
        player.until_true("the news", |seen| seen.resyncs > before.resyncs).await;
        let sent = player.seen().sent.count();
        player.until_true("play after it", |seen| u64::from(seen.applied) > sent + 5).await;
    }
    assert!(world.logged("cause=Some(Silent"), "the director was told of silence");
    world.wake(owner).await;
    let woken = ada.seen();
    ada.until_true("play after that", |seen| u64::from(seen.applied) > woken.sent.count() + 5).await;
    for player in [&ada, &bert] {
        player.assert_account().await;
        let seen = player.seen();
        assert_eq!(seen.disconnects, Vec::<String>::new(), "the socket stays");
        assert!(seen.epochs.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", seen.epochs);
        assert_eq!((seen.epochs.len(), seen.resyncs), (2, 1), "one takeover");
    }
    world.finish().await;
}

#[tokio::test]
async fn a_killed_atlas_is_resumed_from() {
    let mut world = World::start("").await;
    let ada = Player::join(&world, "Ada", Spelling::Json, [20.0, 20.0, 0.5]).await;
    ada.busy(true);
    ada.until_true("some play", |seen| seen.applied >= 5).await;
    let owner = world.only_owner().await;

    world.kill_atlas().await;
    ada.until_true("the loss", |seen| seen.disconnects.len() == 1).await;
    world.start_atlas().await;
    ada.until_true("a resume", |seen| !seen.resumes.is_empty()).await;
    let back = ada.seen();
    ada.until_true("play after it", |seen| u64::from(seen.applied) > back.sent.count() + 5).await;
    ada.send("chat", "say", json!({ "text": "that was quick" }));
    ada.until_true("an answer", |seen| seen.heard("chat/sent").next().is_some()).await;
    ada.assert_account().await;

    let (_, anew, abandoned) = ada.seen().resumes[0];
    assert_eq!((anew, abandoned), (false, 0), "the session went on");
    assert_eq!(world.only_owner().await, owner, "the region server outlived atlas and registered again");
    world.finish().await;
}

#[tokio::test]
async fn a_killed_store_disconnects_nobody() {
    a_killed_keeper_disconnects_nobody(Store::Sqlite).await;
}

#[tokio::test]
async fn a_killed_redis_server_disconnects_nobody() {
    if redis::is_installed() {
        a_killed_keeper_disconnects_nobody(Store::Redis).await;
    }
}

/// Nobody notices, and no epoch is granted twice. Its control is in `controls.rs`.
#[tokio::test]
async fn a_redis_server_on_older_data_takes_nothing_back() {
    if !redis::is_installed() {
        return;
    }
    let mut world = World::start_on(Store::Redis, "").await;
    assert_eq!(play_over_lost_data(&mut world).await, Vec::<String>::new());
    world.finish().await;
}

async fn a_killed_keeper_disconnects_nobody(store: Store) {
    let mut world = World::start_on(store, "").await;
    let ada = Player::join(&world, "Ada", Spelling::Binary, [20.0, 20.0, 0.5]).await;
    ada.busy(true);
    ada.until_true("some play", |seen| seen.applied >= 5).await;

    world.kill_store().await;
    let before = ada.seen();
    world.start_store().await;
    ada.until_true("play after it", |seen| u64::from(seen.applied) > before.sent.count() + 10).await;
    ada.assert_account().await;
    assert_eq!(ada.seen().disconnects, Vec::<String>::new());
    world.finish().await;
}
