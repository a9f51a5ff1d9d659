//! Two edges of one world: one directs, the other serves its players all the same and follows it.

mod support;

use std::time::Duration;

use horizon_model::RegionId;
use horizon_protocol::client::{ClientMessage, RefusedReason, ServerMessage};
use horizon_protocol::link::RegionToEdge;
use horizon_service::config::Horizon;
use support::{Client, Worker, World, resume};

/// Of the default map, the region of the default spawn point (10, 10).
const HOME: RegionId = RegionId(3);

/// A director that ends is followed soon.
fn quick(config: &mut Horizon) {
    config.director.lease = Duration::from_millis(400);
}

/// A world that directs and a second one that knows of it.
async fn two_edges() -> [World; 2] {
    two_edges_of(quick).await
}

/// The same; `change` is for the second one.
async fn two_edges_of(change: impl FnOnce(&mut Horizon)) -> [World; 2] {
    let first = World::start(quick).await;
    first.until("a director", |status| status["directs"] == true).await;
    let known = first.atlas.link_addr().to_string();
    let second = first
        .beside(|config| {
            change(config);
            config.atlas.edges = vec![known];
        })
        .await;
    for (world, directs) in [(&first, true), (&second, false)] {
        world
            .until("links between the edges", |status| {
                status["directs"] == directs && status["edges"][0]["linked"] == true
            })
            .await;
    }
    [first, second]
}

/// One worker with a link to each: told to serve [`HOME`] by the first, it says so to both.
async fn serving_both(worlds: &[World; 2], pid: u32) -> [Worker; 2] {
    let mut workers = [worlds[0].register(pid, None).await, worlds[1].register(pid, None).await];
    workers[0].take(HOME, 1).await;
    workers[1].placement = workers[0].placement.clone();
    let placement = workers[0].placement.clone().expect("just taken");
    workers[1].send(&RegionToEdge::Placed(placement));
    workers
}

async fn resumed_at(world: &World, ticket: &[u8]) -> Client {
    let mut client = world.connect().await;
    client.say(&ClientMessage::Hello(resume("Ann", ticket, 0))).await;
    client
}

async fn refusal(client: &mut Client) -> String {
    match client.end().await.0 {
        Some(ServerMessage::Refused(refused)) if refused.reason == RefusedReason::Ticket => refused.message,
        other => panic!("not refused: {other:?}"),
    }
}

#[tokio::test]
async fn a_player_of_the_edge_that_follows_is_served_by_the_one_that_directs() {
    let mut worlds = two_edges().await;
    let mut ann = worlds[1].greet("Ann").await;
    let pid = worlds[0].spawn().await;
    let mut workers = serving_both(&worlds, pid).await;
    let open = workers[1].attach(0, true).await;
    ann.welcome().await;
    assert!(worlds[1].spawns_nobody(), "one edge decides about regions");
    let links = [worlds[0].atlas.link_addr().to_string(), worlds[1].atlas.link_addr().to_string()];
    for worker in &workers {
        assert!(links.iter().all(|link| worker.edges.contains(link)), "{:?} of {links:?}", worker.edges);
    }
    ann.input(1).await;
    assert_eq!(workers[1].input().await.0, 1);
    workers[1].frames(&[open.player], 1, 1_002, 0);
    assert!(matches!(ann.next().await, Ok(ServerMessage::State(_))));
}

#[tokio::test]
async fn the_other_edge_takes_over_what_is_placed_and_a_ticket_works_there_once() {
    let mut worlds = two_edges().await;
    let mut ann = worlds[0].greet("Ann").await;
    let pid = worlds[0].spawn().await;
    let mut workers = serving_both(&worlds, pid).await;
    workers[0].attach(0, true).await;
    let ticket = ann.welcome().await.ticket;

    let [first, mut second] = worlds;
    first.atlas.abort().await;
    assert_eq!(ann.end().await.1, None, "an accident, not a goodbye");
    second.until("another director", |status| status["directs"] == true).await;
    let mut ann = resumed_at(&second, &ticket).await;
    workers[1].attach(0, true).await;
    assert!(ann.welcome().await.resumed);
    let message = refusal(&mut resumed_at(&second, &ticket).await).await;
    assert!(message.contains("used by another connection"), "{message}");

    second
        .until("the region where it was", |status| {
            let regions = status["regions"].as_array().expect("a list");
            regions.iter().any(|region| region["state"] == "serving" && region["lease"].is_string())
        })
        .await;
    // Now it decides: the region of the next player was wanted by nobody before.
    let mut bob = second.connect().await;
    let far = horizon_protocol::client::Hello { spawn: Some([-10.0, -10.0, 1.0]), ..support::hello("Bob") };
    bob.say(&ClientMessage::Hello(far)).await;
    second.spawn().await;
}

/// What the edge decided about placing and starting, and whether it did none of it.
fn decided(status: &serde_json::Value) -> Vec<(String, bool)> {
    let list = status["decisions"].as_array().expect("a list");
    list.iter()
        .map(|of| (of["what"].as_str().expect("text").to_owned(), of["dry_run"].as_bool().expect("a switch")))
        .collect()
}

#[tokio::test]
async fn an_edge_with_dry_run_says_what_the_other_one_does_and_does_nothing() {
    let mut worlds = two_edges_of(|config| {
        quick(config);
        config.director.dry_run = true;
    })
    .await;
    let mut ann = worlds[0].greet("Ann").await;
    let pid = worlds[0].spawn().await;
    let spawns = |what: &str| what == "Spawn";
    worlds[1]
        .until("that it would start one", |status| decided(status).iter().any(|(what, _)| spawns(what)))
        .await;
    let mut workers = [worlds[0].register(pid, None).await, worlds[1].register(pid, None).await];
    workers[0].take(HOME, 1).await;
    let places = |what: &str| what.starts_with("Place {") && what.contains(&format!("region: {HOME}"));
    for (world, dry_run) in [(&worlds[0], false), (&worlds[1], true)] {
        world
            .until("the same decision", |status| {
                decided(status).iter().any(|(what, dry)| places(what) && *dry == dry_run)
            })
            .await;
    }
    let placement = workers[0].placement.clone().expect("just taken");
    workers[1].placement = Some(placement.clone());
    workers[1].send(&RegionToEdge::Placed(placement));
    workers[0].attach(0, true).await;
    ann.welcome().await;
    // The first message about a region that its worker hears from the second edge is a player of that edge.
    let bob = worlds[1].greet("Bob").await;
    workers[1].opened().await;
    drop(bob);

    let [first, mut second] = worlds;
    first.atlas.abort().await;
    // The region of the next player is wanted by nobody else, and nobody is left to decide about it.
    let mut eve = second.connect().await;
    let far = horizon_protocol::client::Hello { spawn: Some([-10.0, -10.0, 1.0]), ..support::hello("Eve") };
    eve.say(&ClientMessage::Hello(far)).await;
    let lease = Duration::from_millis(400);
    let (_, before) = second.admin("GET /api/status", None).await;
    let uptime = |status: &serde_json::Value| status["uptime_seconds"].as_f64().expect("a number");
    let before = uptime(&serde_json::from_str(&before).expect("JSON"));
    second
        .until("twice the time in which another edge would have followed", |status| {
            assert_eq!(status["directs"], false, "it never directs");
            uptime(status) > before + 3.0 * lease.as_secs_f64()
        })
        .await;
    assert!(second.spawns_nobody());
    second
        .until("that it would do more", |status| {
            let said = decided(status);
            assert!(said.iter().all(|(_, dry)| *dry), "{said:?}");
            said.iter().filter(|(what, _)| spawns(what)).count() >= 2
        })
        .await;
}

#[tokio::test]
async fn an_edge_that_does_not_share_the_keys_says_so() {
    let mut world = World::start(quick).await;
    let mut ann = world.greet("Ann").await;
    let mut worker = world.serving(HOME, 1).await;
    worker.attach(0, true).await;
    let ticket = ann.welcome().await.ticket;
    let stranger = world.elsewhere(quick).await;
    let message = refusal(&mut resumed_at(&stranger, &ticket).await).await;
    assert!(message.contains("not on the store of this one; join anew"), "{message}");
}
