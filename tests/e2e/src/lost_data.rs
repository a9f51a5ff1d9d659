//! A world whose redis-server loses what it has answered.

use horizon_client::Spelling;

use crate::{Player, World, recording};

/// Crossings are answered, lost with the end of the append-only file, and have to be put in again by those who
/// know of them. What was broken of that, in words; nothing where nobody noticed.
pub async fn play_over_lost_data(world: &mut World) -> Vec<String> {
    let path = recording::recorded();
    let start = path[0].1.position.metres();
    let ada = Player::join(world, "Ada", Spelling::Binary, start).await;
    ada.follow(path);
    ada.busy(true);
    ada.until_true("a crossing", |seen| seen.epochs.len() >= 2).await;
    world.keep_store();
    let kept = ada.seen();
    ada.until_true("crossings and acknowledgements that will be lost", |seen| {
        seen.epochs.len() >= kept.epochs.len() + 2 && seen.applied > kept.applied + 20
    })
    .await;
    world.kill_store().await;
    world.put_back_store();
    world.start_store().await;
    let lost = ada.seen();
    let goes_on = ada
        .comes_to(|seen| {
            seen.epochs.len() >= lost.epochs.len() + 2 && u64::from(seen.applied) > lost.sent.count() + 10
        })
        .await;
    let seen = ada.seen();
    let mut broken = Vec::new();
    let mut promise = |kept: bool, words: String| {
        if !kept {
            broken.push(words);
        }
    };
    promise(goes_on, "crossings and play do not go on".to_owned());
    let rising = seen.epochs.is_sorted_by(|a, b| a < b);
    promise(rising, format!("an epoch was granted again: {:?}", seen.epochs));
    let (before, after) = (lost.epochs[lost.epochs.len() - 1], seen.epochs[seen.epochs.len() - 1]);
    promise(
        after.generation() > before.generation(),
        format!("no new generation: {before:?} then {after:?}"),
    );
    promise(seen.disconnects.is_empty(), format!("disconnects: {:?}", seen.disconnects));
    promise(seen.resyncs == 0, format!("taken over {} times", seen.resyncs));
    if broken.is_empty() {
        ada.assert_account().await;
    }
    broken
}
