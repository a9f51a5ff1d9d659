//! The page, the status, and the end of the world.

mod support;

use horizon_handoff::EntityKey;
use horizon_model::{EntityId, Epoch, Pose, Position, RegionId, Tick};
use horizon_protocol::client::{ClosingReason, ServerMessage};
use horizon_protocol::link::{
    Band, BandEntry, EdgeToRegion, HandoffReport, RegionToEdge, Summary, TrackedEntity,
};
use support::{World, within};

const HOME: RegionId = RegionId(3);

#[tokio::test]
async fn the_page_is_served_with_its_headers() {
    let world = World::start(|_| {}).await;
    let (head, body) = world.get("/").await;
    assert!(head.starts_with("http/1.1 200") && body.contains("<canvas"), "{head}");
    for header in ["content-security-policy: default-src 'none'; script-src 'self'", "nosniff", "no-referrer"]
    {
        assert!(head.contains(header), "{header} in {head}");
    }
    for path in ["/page.js", "/world.js", "/player.js", "/account.js", "/page.css", "/icon.svg", "/live.json"]
    {
        assert!(world.get(path).await.0.starts_with("http/1.1 200"), "{path}");
    }
    assert!(world.get("/api/status").await.0.starts_with("http/1.1 404"), "not on the public side");
}

#[tokio::test]
async fn summaries_and_handoffs_are_shown() {
    let mut world = World::start(|_| {}).await;
    let mut client = world.greet("Ann").await;
    let mut worker = world.serving(HOME, 1).await;
    let open = worker.attach(0, true).await;
    client.welcome().await;
    world.get("/live.json").await;
    let key = EntityKey::Player(open.player);
    let entity = EntityId::from_bits(7).expect("not zero");
    let report = HandoffReport {
        key,
        from: RegionId(2),
        to: HOME,
        epoch: Epoch::new(1, 4),
        tick: Tick(9),
        activated: Tick(10),
        frozen_ns: 150_000_000,
        duration_us: 1_500,
        full_bytes: 900,
        cutover_bytes: 80,
        late: true,
        overhang_m: 2.5,
        teleport: false,
    };
    worker.send(&RegionToEdge::Summary(Box::new(Summary {
        tick: Tick(10),
        placement: worker.placement.clone().expect("serves"),
        rate_hz: 30,
        step_us: [100, 900],
        overruns: 0,
        sessions: 1,
        entities: vec![TrackedEntity { key, entity, at: [1.0, 2.0, 0.0] }],
        handoffs: vec![report],
        idle: false,
        degraded: false,
        presync_bytes: 0,
        load_level: 3,
        overhang_m: 1.5,
    })));
    let live = within("the summary on the page", async {
        loop {
            let (_, live) = world.get("/live.json").await;
            if live.contains("0000000000000007") {
                return live;
            }
        }
    })
    .await;
    let live: serde_json::Value = serde_json::from_str(&live).expect("JSON");
    assert_eq!(live["bodies"][0], serde_json::json!(["0000000000000007", 1, 1.0, 2.0]));
    assert_eq!(live["handoffs"][0]["milliseconds"], 1.5);
    let (_, status) = world.admin("GET /api/status", None).await;
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!((&status["players"], &status["late_targets"]), (&1.into(), &1.into()));
    assert_eq!(status["regions"][3]["step_ms"]["p99"], 0.9);
    assert_eq!(status["presync_full_bytes"], 900);
    assert_eq!(
        (&status["regions"][3]["load_level"], &status["regions"][3]["overhang_m"]),
        (&3.into(), &1.5.into())
    );
    assert_eq!(status["overhang_m"]["max"], 2.5, "at the freeze");
    for (since, expected) in [(0, 1), (1, 0)] {
        let (_, list) = world.admin(&format!("GET /api/handoffs?since={since}"), None).await;
        let list: serde_json::Value = serde_json::from_str(&list).expect("JSON");
        assert_eq!(list["handoffs"].as_array().map(Vec::len), Some(expected), "{list}");
    }
    let (_, metrics) = world.admin("GET /metrics", None).await;
    assert!(
        metrics.contains("atlas_sessions 1\n")
            && metrics.contains("atlas_handoffs_total 1\n")
            && metrics.contains("atlas_handoff_overhang_metres_bucket{le=\"3.0\"} 1\n")
            && metrics.contains("atlas_handoff_overhang_metres_bucket{le=\"2.0\"} 0\n")
            && metrics.contains("atlas_overhang_metres 1.5\n"),
        "{metrics}"
    );
    assert!(world.admin("GET /readyz", None).await.0.starts_with("http/1.1 200"));
}

#[tokio::test]
async fn a_neighbour_is_placed_and_the_owner_told_before_a_runner_arrives() {
    let mut world = World::start(|_| {}).await;
    let mut client = world.greet("Ann").await;
    let mut worker = world.serving(HOME, 1).await;
    let open = worker.attach(0, true).await;
    client.welcome().await;
    let mut run = 0_u32;
    let mut step = |worker: &mut support::Worker| {
        let x = 20.0 - f64::from(run) * 0.33;
        run += 1;
        let mut pose = Pose::at(Position::from_metres([x, 100.0, 0.0]).expect("in range"));
        pose.velocity = [-10.0, 0.0, 0.0];
        let entries = vec![BandEntry { key: EntityKey::Player(open.player), pose }];
        worker.send(&RegionToEdge::Band(Band {
            tick: Tick(1_000 + 2 * u64::from(run)),
            region: HOME,
            entries,
        }));
    };
    (0..5).for_each(|_| step(&mut worker));
    let _west = world.serving(RegionId(2), 1).await;
    (0..50).for_each(|_| step(&mut worker));
    let target = worker
        .expect("a preparation", |message| match message {
            EdgeToRegion::Prepare { key, target } if key == EntityKey::Player(open.player) => Some(target),
            _ => None,
        })
        .await;
    assert_eq!(target, RegionId(2));
    let (_, status) = world.admin("GET /api/status", None).await;
    let status: serde_json::Value = serde_json::from_str(&status).expect("JSON");
    assert_eq!(status["spawned_by_prediction"], 1);
}

#[tokio::test]
async fn the_world_stops_for_the_operator_alone() {
    let mut world = World::start(|_| {}).await;
    let mut client = world.greet("Ann").await;
    let mut worker = world.serving(HOME, 1).await;
    worker.attach(0, true).await;
    client.welcome().await;
    for token in [None, Some("guess")] {
        assert!(world.admin("POST /api/shutdown", token).await.0.starts_with("http/1.1 401"));
    }
    let token = std::fs::read_to_string(world.config.paths.data.join("operator.token")).expect("written");
    let stop = async {
        let (last, _) = client.end().await;
        assert!(
            matches!(last, Some(ServerMessage::Closing(closing)) if closing.reason == ClosingReason::Shutdown)
        );
        let exit = worker
            .expect("the end of the region", |message| match message {
                EdgeToRegion::Retire { exit, relieve: false } => Some(exit),
                _ => None,
            })
            .await;
        assert!(exit);
        worker.send(&RegionToEdge::Retired { region: HOME });
        world.exits.send(worker.pid).await.expect("atlas lives");
    };
    let ((head, body), ()) = tokio::join!(world.admin("POST /api/shutdown", Some(&token)), stop);
    assert!(head.starts_with("http/1.1 200") && body.contains("true"), "{head}");
}
