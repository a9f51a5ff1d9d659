//! A world without its store for a while, and what of it people notice.

use std::time::Duration;

use horizon_client::Spelling;
use tokio::time::{Instant, sleep_until};

use crate::player::Seen;
use crate::recording::{Waypoint, walk};
use crate::{Player, Store, World};

/// Fewer than the 64 inputs of a window in half a minute.
const PAUSE: Duration = Duration::from_millis(650);
/// Both stand there before, either side of no border.
const ADA: [f64; 3] = [-60.0, -60.0, 0.5];
const BERT: [f64; 3] = [-12.0, -60.0, 0.5];

/// The longest time without a frame, of a machine that does other things too: a frozen player has a longer one.
pub const GAP: Duration = Duration::from_secs(2);

/// How the store goes away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Away {
    /// `kill -9`, and started again.
    Killed,
    /// Stopped and woken: it neither answers nor closes a connection.
    Stopped,
}

/// What two players and the operator saw of it.
#[derive(Debug)]
pub struct Outage {
    /// The longest time without a state frame of the one who stays within a region, and of the other, who
    /// walks beyond a border: from the loss until everything is durable again.
    pub gaps: [Duration; 2],
    /// Inputs of both that were applied while every region was degraded.
    pub applied: [u32; 2],
    /// Inputs of both that became durable meanwhile.
    pub durable: [u32; 2],
    /// Epochs that both saw meanwhile beyond the one they had.
    pub epochs: [usize; 2],
    /// Handoffs that were reported meanwhile.
    pub handoffs: u64,
    /// From the return until everything that was sent is durable.
    pub caught_up: Option<Duration>,
}

/// Takes the store of `world` away for `length` while Ada walks in circles and Bert across a border. The world
/// and the players go on afterwards.
pub async fn play_without_store(world: &mut World, away: Away, length: Duration) -> (Outage, [Player; 2]) {
    let ada = Player::join(world, "Ada", Spelling::Binary, ADA).await;
    let bert = Player::join(world, "Bert", Spelling::Json, BERT).await;
    ada.busy_every(PAUSE);
    bert.busy_every(PAUSE);
    bert.follow(across(1));
    bert.until_true("crossings there and back", |seen| seen.arrived && seen.epochs.len() >= 3).await;
    ada.until_true("play", |seen| seen.durable >= 5).await;

    let lost_at = Instant::now();
    match away {
        Away::Killed => world.kill_store().await,
        Away::Stopped => world.stop_store(),
    }
    world
        .until("everybody to notice", |status| {
            let regions = status["regions"].as_array()?;
            let busy: Vec<_> = regions.iter().filter(|region| region["players"].as_u64() > Some(0)).collect();
            let degraded = !busy.is_empty() && busy.iter().all(|region| region["degraded"] == true);
            (degraded && status["store"]["up"] == false).then_some(())
        })
        .await;
    let before = [ada.seen(), bert.seen()];
    let crossed = handoffs(world).await;
    ada.follow(circles());
    bert.follow(across(8));
    sleep_until(lost_at + length).await;
    let after = [ada.seen(), bert.seen()];
    let meanwhile = handoffs(world).await - crossed;
    assert!(says(&world.atlas_metrics().await, "atlas_store_up 0"), "the gauge of atlas");
    let regions = world.region_metrics().await;
    assert!(regions.iter().any(|text| says(text, "region_degraded 1")), "the gauge of a region server");

    let back_at = Instant::now();
    match away {
        Away::Killed => world.start_store().await,
        Away::Stopped => world.wake_store(),
    }
    let mut caught_up = true;
    for (player, after) in [&ada, &bert].into_iter().zip(&after) {
        caught_up &= player.comes_to(|seen| u64::from(seen.durable) >= after.sent.count()).await;
    }
    let now = Instant::now();
    let gap = |player: &Player| player.seen().largest_gap(lost_at, now);
    let change = |what: fn(&Seen) -> u32| [0, 1].map(|n| what(&after[n]) - what(&before[n]));
    let outage = Outage {
        gaps: [gap(&ada), gap(&bert)],
        applied: change(|seen| seen.applied),
        durable: change(|seen| seen.durable),
        epochs: [0, 1].map(|n| after[n].epochs.len() - before[n].epochs.len()),
        handoffs: meanwhile,
        caught_up: caught_up.then(|| now - back_at),
    };
    (outage, [ada, bert])
}

/// Thirty seconds without a store, and everything that is promised of them.
pub async fn assert_play_goes_on(store: Store, away: Away) {
    const LENGTH: Duration = Duration::from_secs(30);
    let mut world = World::start_on(store, "").await;
    let (outage, players) = play_without_store(&mut world, away, LENGTH).await;
    eprintln!("{store:?}, {away:?}: {outage:?}");
    assert!(outage.gaps.iter().all(|gap| *gap < GAP), "frames keep coming: {outage:?}");
    assert!(outage.applied.iter().all(|count| *count >= 30), "inputs are applied: {outage:?}");
    assert_eq!(outage.durable, [0, 0], "nothing becomes durable");
    assert_eq!((outage.epochs, outage.handoffs), ([0, 0], 0), "nobody is handed over");
    assert!(outage.caught_up.is_some(), "everything becomes durable: {outage:?}");

    let [_, bert] = &players;
    let back = bert.seen();
    bert.follow(across(2));
    bert.until_true("crossings after it", |seen| seen.epochs.len() >= back.epochs.len() + 2).await;
    for player in &players {
        player.assert_account().await;
        let seen = player.seen();
        assert_eq!((seen.disconnects, seen.resyncs), (Vec::new(), 0), "nobody is thrown out or taken over");
        assert!(seen.epochs.is_sorted_by(|a, b| a < b), "{:?}", seen.epochs);
    }
    world.until("the store to be up", |status| (status["store"]["up"] == true).then_some(())).await;
    assert!(says(&world.atlas_metrics().await, "atlas_store_up 1"));
    let regions = world.region_metrics().await;
    assert!(regions.iter().any(|text| says(text, "region_degraded 0")), "the gauge of a region server");
    assert!(regions.iter().all(|text| !says(text, "region_degraded 1")), "every gauge is back");
    for text in ["the store is out of reach", "the store is back"] {
        assert_eq!(world.times_logged("atlas", text), 1, "atlas says once: {text}");
        assert!(world.times_logged("region-", text) >= 1, "a region server says: {text}");
    }
    world.finish().await;
}

/// Whether a line of the metrics is this; their descriptions say ones and noughts too.
fn says(metrics: &str, line: &str) -> bool {
    metrics.lines().any(|one| one == line)
}

async fn handoffs(world: &World) -> u64 {
    world.until("the count of handoffs", |status| status["handoffs_last"].as_u64()).await
}

/// To the other side of a border and back, so often. Twelve metres are more than what a region waits for
/// before it hands over.
fn across(times: usize) -> Vec<Waypoint> {
    let there = [12.0, BERT[1], BERT[2]];
    let corners: Vec<_> =
        std::iter::once(BERT).chain([there, BERT].into_iter().cycle().take(2 * times)).collect();
    walk(&corners, 8.0)
}

/// Within one region, for more than half a minute.
fn circles() -> Vec<Waypoint> {
    let [x, y, z] = ADA;
    let square = [[x + 10.0, y, z], [x + 10.0, y - 10.0, z], [x, y - 10.0, z], ADA];
    let corners: Vec<_> = std::iter::once(ADA).chain(square.into_iter().cycle().take(24)).collect();
    walk(&corners, 5.0)
}
