//! Guards are off, and the end-to-end tests notice. The programs for it come from `cargo xtask chaos`.

use std::time::Duration;

use horizon_e2e::lost_data::play_over_lost_data;
use horizon_e2e::outage::{Away, GAP, Outage, play_without_store};
use horizon_e2e::skirmish::{faults, skirmish};
use horizon_e2e::{Store, World, redis};

const SHORT: Duration = Duration::from_secs(8);

async fn outage_without(guards: &'static str) -> Outage {
    let mut world = World::start_without(guards, Store::Sqlite).await;
    let (outage, _players) = play_without_store(&mut world, Away::Stopped, SHORT).await;
    eprintln!("without {guards}: {outage:?}");
    outage
}

#[tokio::test]
async fn acknowledgements_that_no_store_confirmed_are_noticed() {
    let outage = outage_without("journal-not-fenced").await;
    assert!(outage.durable.iter().all(|count| *count > 0), "{outage:?}");
}

#[tokio::test]
async fn a_player_who_is_frozen_for_a_store_that_is_away_is_noticed() {
    let outage = outage_without("crosses-degraded+journal-not-fenced").await;
    assert!(outage.gaps[1] > GAP, "{outage:?}");
}

#[tokio::test]
async fn messages_that_regions_take_twice_are_noticed() {
    let world = World::start_without("repeat-posts", Store::Sqlite).await;
    let faults = faults(&skirmish(&world, 120, 4).await);
    eprintln!("without repeat-posts: {faults:?}");
    assert!(!faults.is_empty(), "nothing was noticed");
}

#[tokio::test]
async fn a_redis_server_that_hears_no_reports_is_noticed() {
    if !redis::is_installed() {
        return;
    }
    let mut world = World::start_without("reports-unheard", Store::Redis).await;
    let broken = play_over_lost_data(&mut world).await;
    eprintln!("without reports: {broken:?}");
    assert!(!broken.is_empty(), "nothing was noticed");
}
