//! Players join, see and hear each other, and cross borders.

use std::collections::BTreeMap;

use horizon_client::Spelling;
use horizon_e2e::{Player, Seen, World, recording};
use serde_json::json;

/// On the ground, this far from the border between the regions of the upper half.
fn upper(x: f64) -> [f64; 3] {
    [x, 30.0, 0.5]
}

async fn joins_acts_and_resumes(spelling: Spelling) {
    let world = World::start("").await;
    let ada = Player::join(&world, "Ada", spelling, upper(30.0)).await;
    ada.send("chat", "say", json!({ "text": "hello" }));
    let said =
        ada.until("an answer to the first input", |seen| seen.heard("chat/sent").next().cloned()).await;
    assert!(said["id"].is_string());
    ada.until_true("the own body", |seen| seen.place.is_some()).await;

    ada.break_connection();
    for n in 0..5 {
        ada.send("ledger", "note", json!({ "n": n }));
    }
    ada.until_true("a resume", |seen| seen.resumes.len() == 1).await;
    ada.send("chat", "say", json!({ "text": "here again" }));
    ada.until_true("an answer after the resume", |seen| seen.heard("chat/sent").count() == 2).await;
    ada.assert_account().await;

    let seen = ada.seen();
    assert_eq!(seen.disconnects.len(), 1);
    let (_, anew, abandoned) = seen.resumes[0];
    assert_eq!((anew, abandoned), (false, 0), "the session went on");
    ada.leave().await;
    world.finish().await;
}

#[tokio::test]
async fn a_player_joins_acts_and_resumes_in_binary() {
    joins_acts_and_resumes(Spelling::Binary).await;
}

#[tokio::test]
async fn a_player_joins_acts_and_resumes_in_json() {
    joins_acts_and_resumes(Spelling::Json).await;
}

/// Messages of one kind, with how often each id came.
fn ids(seen: &Seen, name: &str) -> BTreeMap<String, u32> {
    let mut ids = BTreeMap::new();
    for payload in seen.heard(name) {
        *ids.entry(payload["id"].as_str().expect("messages have ids").to_owned()).or_default() += 1;
    }
    ids
}

#[tokio::test]
async fn two_players_on_both_sides_of_a_border_see_and_hear_each_other() {
    let world = World::start("").await;
    let ada = Player::join(&world, "Ada", Spelling::Binary, upper(-8.0)).await;
    let bob = Player::join(&world, "Bob", Spelling::Json, upper(8.0)).await;
    let (a, b) = (ada.seen().player, bob.seen().player);
    world
        .until("two regions with one player each", |status| {
            let regions = status["regions"].as_array()?;
            (regions.iter().filter(|region| region["players"] == 1).count() == 2).then_some(())
        })
        .await;
    ada.until_true("Bob", |seen| seen.others.contains_key(&b)).await;
    bob.until_true("Ada", |seen| seen.others.contains_key(&a)).await;

    ada.follow(recording::walk(&[upper(-8.0), [-8.0, 60.0, 0.5]], 8.0));
    bob.follow(recording::walk(&[upper(8.0), [8.0, 60.0, 0.5]], 8.0));
    let arrives = |seen: &Seen, who: &str| seen.others[who].path.last().is_some_and(|(_, at)| at[1] > 59.5);
    ada.until_true("Bob at the end of the walk", |seen| arrives(seen, &b)).await;
    bob.until_true("Ada at the end of the walk", |seen| arrives(seen, &a)).await;
    for (seen, who, x) in [(ada.seen(), &b, 8.0), (bob.seen(), &a, -8.0)] {
        let other = &seen.others[who];
        assert_eq!((other.enters, other.leaves), (1, 0), "nobody flickers");
        assert!(other.path.iter().all(|(_, at)| (at[0] - x).abs() < 0.3), "nobody leaves the line");
        // What walks straight on is told seldom; what is drawn in between is the checkers' business.
        assert!(other.path.len() > 3, "four seconds are seen in {} updates", other.path.len());
    }

    for (speaker, to) in [(&ada, &b), (&bob, &a)] {
        speaker.send("chat", "nearby", json!({ "text": "who is there?" }));
        speaker.send("chat", "whisper", json!({ "to": to, "text": "psst" }));
        speaker.send("chat", "say", json!({ "text": "good morning" }));
    }
    for player in [&ada, &bob] {
        for (name, count) in [("chat/heard", 1), ("chat/whispered", 1), ("chat/said", 2)] {
            player.until_true(name, |seen| ids(seen, name).len() == count).await;
        }
    }
    // Whatever was on its way a second time has arrived before these answers.
    ada.assert_account().await;
    bob.assert_account().await;
    for (seen, other) in [(ada.seen(), &b), (bob.seen(), &a)] {
        for name in ["chat/heard", "chat/whispered", "chat/said"] {
            assert!(ids(&seen, name).values().all(|count| *count == 1), "{name} came twice");
        }
        assert!(seen.heard("chat/heard").all(|message| message["from"] == **other));
        assert_eq!(seen.disconnects, Vec::<String>::new());
    }
    world.finish().await;
}

#[tokio::test]
async fn a_border_is_crossed_ten_times_without_losing_anything() {
    const CROSSINGS: usize = 10;
    let world = World::start("").await;
    let ada = Player::join(&world, "Ada", Spelling::Binary, upper(-10.0)).await;
    let eve = Player::join(&world, "Eve", Spelling::Json, [-12.0, 40.0, 0.5]).await;
    let a = ada.seen().player;
    ada.busy(true);
    let corners: Vec<_> = (0..=CROSSINGS).map(|leg| upper(if leg % 2 == 0 { -10.0 } else { 10.0 })).collect();
    ada.follow(recording::walk(&corners, 8.0));
    ada.until_true("the end of the walk", |seen| seen.arrived).await;
    ada.until_true("ten changes of region", |seen| seen.epochs.len() > CROSSINGS).await;
    ada.assert_account().await;

    let seen = ada.seen();
    assert_eq!(seen.disconnects, Vec::<String>::new());
    assert!(seen.epochs.is_sorted(), "epochs only rise: {:?}", seen.epochs);
    assert_eq!(seen.heard("movement/corrected").count(), 0, "no step was refused");
    // What is drawn is a tenth of a second old.
    ada.until_true("the place it walked to", |seen| seen.place.is_some_and(|at| (at[0] + 10.0).abs() < 0.2))
        .await;
    let key = format!("player {a}");
    world
        .until("ten handoffs", |status| {
            let count = status["handoffs"]
                .as_array()?
                .iter()
                .filter(|handoff| handoff["key"] == key.as_str())
                .count();
            (count >= CROSSINGS).then_some(())
        })
        .await;
    let watched = &eve.seen().others[&a];
    assert_eq!((watched.enters, watched.leaves), (1, 0), "who watches sees no seam");
    assert!(watched.path.windows(2).all(|pair| pair[0].0 < pair[1].0), "ticks only rise");
    world.finish().await;
}

#[tokio::test]
async fn a_ball_that_nobody_owns_crosses_borders() {
    let world = World::start("[plugin.replay]\ntrace = \"{ball}\"\npitches = [[0, 0]]\n").await;
    // One player in every region keeps them all in service.
    let mut players = Vec::new();
    for (name, place) in [
        ("Ann", [9.0, 9.0, 0.5]),
        ("Ben", [-9.0, 9.0, 0.5]),
        ("Cem", [9.0, -9.0, 0.5]),
        ("Dai", [-9.0, -9.0, 0.5]),
    ] {
        players.push(Player::join(&world, name, Spelling::Binary, place).await);
    }
    world
        .until("five handoffs of the ball", |status| {
            let handoffs = status["handoffs"].as_array()?;
            let of_ball = |handoff: &&serde_json::Value| {
                handoff["key"].as_str().is_some_and(|key| key.starts_with("object"))
            };
            (handoffs.iter().filter(of_ball).count() >= 5).then_some(())
        })
        .await;
    world
        .until("one ball in the whole world", |status| {
            let regions = status["regions"].as_array()?;
            (regions.iter().filter_map(|region| region["objects"].as_u64()).sum::<u64>() == 1).then_some(())
        })
        .await;
    for player in players {
        player.assert_account().await;
        player.leave().await;
    }
    world.finish().await;
}
