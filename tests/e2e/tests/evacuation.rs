//! Region servers that are asked to go, and those that somebody else starts.

use horizon_client::Spelling;
use horizon_e2e::world::run;
use horizon_e2e::{Player, World};

async fn at_play(world: &World) -> [Player; 2] {
    let ada = Player::join(world, "Ada", Spelling::Binary, [-60.0, -60.0, 0.5]).await;
    let bert = Player::join(world, "Bert", Spelling::Json, [-62.0, -60.0, 0.5]).await;
    for player in [&ada, &bert] {
        player.busy(true);
        player.until_true("some play", |seen| seen.applied >= 5).await;
    }
    [ada, bert]
}

async fn plays_on(world: &World, players: &[Player; 2], before: u32) {
    for player in players {
        player.until_true("the news", |seen| seen.resyncs > before).await;
        player.busy(true);
        let sent = player.seen().sent.count();
        player.until_true("play after it", |seen| u64::from(seen.applied) > sent + 5).await;
        player.assert_account().await;
        let seen = player.seen();
        assert_eq!(seen.disconnects, Vec::<String>::new(), "the socket stays");
        assert_eq!(seen.resyncs, before + 1, "one takeover");
        assert!(seen.epochs.windows(2).all(|pair| pair[0] < pair[1]), "{:?}", seen.epochs);
    }
    assert_eq!(world.status().await["players"], 2);
}

async fn evacuate(world: &World, region: &str) -> (bool, String) {
    let file = world.file().display().to_string();
    let output = run("atlasctl", &["--config", &file, "evacuate", region]).await;
    let told = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&told).into_owned())
}

#[tokio::test]
async fn an_operator_lets_another_worker_go_on() {
    let world = World::start("").await;
    let players = at_play(&world).await;
    let owner = world.only_owner().await;
    world.warm().await;
    let (done, told) = evacuate(&world, "0000").await;
    assert!(done && told.starts_with("region 0000 goes on at worker "), "{told}");
    plays_on(&world, &players, 0).await;
    world.ended(owner).await;
    assert_ne!(world.only_owner().await, owner);

    let (done, told) = evacuate(&world, "0003").await;
    assert!(!done && told.contains("nobody serves this region now"), "{told}");
    let (done, told) = evacuate(&world, "north").await;
    assert!(!done && told.contains("name a region as `atlasctl map` does"), "{told}");
    world.finish().await;
}

#[tokio::test]
async fn a_region_server_that_is_asked_to_end_leaves_everybody_to_the_next() {
    let world = World::start("").await;
    let players = at_play(&world).await;
    let owner = world.only_owner().await;
    world.warm().await;
    world.ask_to_end(owner);
    plays_on(&world, &players, 0).await;
    world.ended(owner).await;
    world.finish().await;
}

/// As in containers: each in a process id namespace of its own, where nobody else sees it end.
#[tokio::test]
async fn region_servers_that_somebody_else_starts_are_forgotten_in_place_of_killed() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("skipped: region servers out of each other's sight, because their namespaces need root");
        return;
    }
    let mut world = World::start("[director]\nstart_workers = false\n[region]\nlink = \"0.0.0.0:0\"\n").await;
    let mut workers = Vec::new();
    for _ in 0..3 {
        workers.push(world.spawn_out_of_sight());
    }
    world.until("three workers", |status| (status["workers"].as_array()?.len() == 3).then_some(())).await;
    let status = world.status().await;
    let pids: Vec<_> =
        status["workers"].as_array().into_iter().flatten().map(|worker| &worker["pid"]).collect();
    assert!(pids.iter().all(|pid| pid.is_null()), "{status}");
    let told = |worker: &serde_json::Value| {
        worker["endpoint"].as_str().is_some_and(|at| at.starts_with("127.0.0.1:"))
    };
    assert!(status["workers"].as_array().into_iter().flatten().all(told), "others can dial them: {status}");
    let players = at_play(&world).await;
    let owner = |status: &serde_json::Value| {
        let served = status["regions"].as_array()?.iter().find(|region| region["players"] == 2)?;
        served["worker"].as_str().map(str::to_owned)
    };
    let first = world.until("both in one region", owner).await;
    let (done, told) = evacuate(&world, "0000").await;
    assert!(done, "{told}");
    plays_on(&world, &players, 0).await;
    let second = world.until("another worker", owner).await;
    assert_ne!(first, second);
    let ended = world.one_has_ended(&mut workers).await;
    assert_eq!((ended, workers.len()), (1, 2), "the one that was relieved");

    // The loss of a link is all that tells of an end.
    let mut both = workers.split_off(0);
    world.kill_out_of_sight(&mut both).await;
    world.until("nobody is left", |status| status["workers"].as_array()?.is_empty().then_some(())).await;
    both.push(world.spawn_out_of_sight());
    plays_on(&world, &players, 1).await;
    assert!(world.logged("a worker out of reach does not count any more"));
    world.finish().await;
}
