//! Half a minute without the store: play goes on degraded, and nothing that was acknowledged is lost.

use horizon_e2e::outage::{Away, assert_play_goes_on};
use horizon_e2e::{Store, redis};

#[tokio::test]
async fn play_goes_on_while_the_store_is_killed_for_half_a_minute() {
    assert_play_goes_on(Store::Sqlite, Away::Killed).await;
}

#[tokio::test]
async fn play_goes_on_while_the_store_is_stopped_for_half_a_minute() {
    assert_play_goes_on(Store::Sqlite, Away::Stopped).await;
}

#[tokio::test]
async fn play_goes_on_while_a_redis_server_is_killed_for_half_a_minute() {
    if redis::is_installed() {
        assert_play_goes_on(Store::Redis, Away::Killed).await;
    }
}

#[tokio::test]
async fn play_goes_on_while_a_redis_server_is_stopped_for_half_a_minute() {
    if redis::is_installed() {
        assert_play_goes_on(Store::Redis, Away::Stopped).await;
    }
}
