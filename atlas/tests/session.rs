//! A player's way through the edge: hello, welcome, lanes, loss of everything in turn.

mod support;

use horizon_model::{Epoch, RegionId};
use horizon_protocol::client::{ClientMessage, ClosingReason, Hello, Progress, RefusedReason, ServerMessage};
use horizon_protocol::link::{EdgeToRegion, RegionToEdge};
use support::{World, hello, resume, within};

/// Of the default map, the region of the default spawn point (10, 10).
const HOME: RegionId = RegionId(3);
const EAST: RegionId = RegionId(2);

#[tokio::test]
async fn a_hello_of_another_version_is_refused_with_both_versions() {
    let world = World::start(|_| {}).await;
    for (change, reason, words) in [
        (Hello { version: 9, ..hello("Ann") }, RefusedReason::Version, ["version 9", "server 1"]),
        (Hello { token: "x".into(), ..hello("Ann") }, RefusedReason::Token, ["token", "guest"]),
        (Hello { name: " ".into(), ..hello("Ann") }, RefusedReason::Field, ["name", "32"]),
        (Hello { spawn: Some([9e9, 0.0, 0.0]), ..hello("Ann") }, RefusedReason::Field, ["appear", "map"]),
        (resume("Ann", b"forged", 0), RefusedReason::Ticket, ["ticket", "join anew"]),
    ] {
        let mut client = world.connect().await;
        client.say(&ClientMessage::Hello(change)).await;
        let (last, code) = client.end().await;
        let Some(ServerMessage::Refused(refused)) = last else { panic!("not refused: {last:?}") };
        assert_eq!((refused.reason, code), (reason, Some(1008)));
        assert!(words.iter().all(|word| refused.message.contains(word)), "{}", refused.message);
    }
}

#[tokio::test]
async fn a_session_from_hello_to_resume() {
    let mut world = World::start(|_| {}).await;
    let mut client = world.greet("Ann").await;
    let mut worker = world.serving(HOME, 1).await;
    let open = worker.attach(0, true).await;
    let welcome = client.welcome().await;
    assert_eq!((welcome.resumed, welcome.session, welcome.names.len()), (false, open.session, 1));

    // State by credit: two frames, and credit for two comes back.
    worker.frames(&[open.player], 1, 1_002, 0);
    worker.frames(&[open.player], 1, 1_004, 0);
    for (tick, epoch) in [(1_002, Some(Epoch::new(1, 1))), (1_004, None)] {
        let Ok(ServerMessage::State(state)) = client.next().await else { panic!("no frame") };
        assert_eq!((state.tick.0, state.epoch, state.progress), (tick, epoch, None));
        assert_eq!(state.body, format!("[{tick}]").as_bytes());
    }
    let mut credit = 0;
    while credit < 2 {
        credit += worker
            .expect("credit", |message| match message {
                EdgeToRegion::Credit(credits) => {
                    Some(credits.iter().map(|(_, n)| u32::from(*n)).sum::<u32>())
                }
                _ => None,
            })
            .await;
    }
    assert_eq!(credit, 2);

    // Inputs go to the region, progress comes back, also where no frame carries it.
    client.input(1).await;
    client.input(2).await;
    assert_eq!([worker.input().await, worker.input().await], [(1, "1".to_owned()), (2, "2".to_owned())]);
    worker.send(&RegionToEdge::Progress(vec![(open.player, open.session_epoch, 2, 1)]));
    let progress = ServerMessage::Progress(Progress { applied: 2, durable: 1 });
    assert_eq!(client.next().await, Ok(progress));

    // Events come once, in order, whatever is repeated.
    for number in [1, 1, 2, 1] {
        worker.event(&open, number);
    }
    for number in [1, 2] {
        let Ok(ServerMessage::Event(event)) = client.next().await else { panic!("no event") };
        assert_eq!(event.number, number);
    }
    client.say(&ClientMessage::Ack { events: 2 }).await;
    let acked = worker
        .expect("an acknowledgement", |message| match message {
            EdgeToRegion::EventAck { events, .. } => Some(events),
            _ => None,
        })
        .await;
    assert_eq!(acked, 2);

    // Time.
    client.say(&ClientMessage::Ping { token: 77 }).await;
    assert!(matches!(client.next().await, Ok(ServerMessage::Pong { token: 77, grid_us: 1.. })));

    // The socket breaks; the session goes on where it was.
    drop(client);
    let closed = worker
        .expect("the end of the socket", |message| match message {
            EdgeToRegion::Close { session_epoch, bye, .. } => Some((session_epoch, bye)),
            _ => None,
        })
        .await;
    assert_eq!(closed, (open.session_epoch, false));
    let mut client = world.connect().await;
    client.say(&ClientMessage::Hello(resume("Ann", &welcome.ticket, 2))).await;
    let again = worker.attach(2, true).await;
    assert_eq!((again.session, again.events_acked), (open.session, 2));
    assert!(again.session_epoch > open.session_epoch);
    let resumed = client.welcome().await;
    assert_eq!((resumed.resumed, resumed.applied), (true, 2));
    worker.event(&open, 4);
    worker.event(&again, 3);
    assert!(matches!(client.next().await, Ok(ServerMessage::Event(event)) if event.number == 3));

    // A ticket works once.
    let mut thief = world.connect().await;
    thief.say(&ClientMessage::Hello(resume("Ann", &welcome.ticket, 2))).await;
    let (last, _) = thief.end().await;
    assert!(matches!(last, Some(ServerMessage::Refused(refused)) if refused.reason == RefusedReason::Ticket));
}

#[tokio::test]
async fn the_same_attempt_may_be_repeated() {
    let mut world = World::start(|_| {}).await;
    let attempt = ClientMessage::Hello(hello("Ann"));
    let mut first = world.connect().await;
    first.say(&attempt).await;
    let mut worker = world.serving(HOME, 1).await;
    let open = worker.opened().await;
    let mut second = world.connect().await;
    second.say(&attempt).await;
    let again = worker.attach(0, true).await;
    assert_eq!((again.session, again.session_epoch), (open.session, open.session_epoch));
    assert_eq!(second.welcome().await.session, open.session);
}

#[tokio::test]
async fn a_lost_region_is_opened_again_where_it_is_placed_next() {
    let mut world = World::start(|_| {}).await;
    let mut client = world.greet("Ann").await;
    let mut worker = world.serving(HOME, 1).await;
    let open = worker.attach(0, true).await;
    client.welcome().await;
    client.input(1).await;
    assert_eq!(worker.input().await.0, 1);
    worker.crash(&world).await;
    // The socket stays; what the client sends meanwhile is kept.
    client.input(2).await;
    let mut heir = world.serving(HOME, 2).await;
    let again = heir.opened().await;
    assert_eq!((again.session_epoch, again.fresh), (open.session_epoch, false));
    let mut record = heir.record(&again, 2, 0);
    record.tick.0 += 60;
    heir.send(&RegionToEdge::Attach(Box::new(record)));
    assert_eq!([heir.input().await.0, heir.input().await.0], [1, 2]);
    heir.frames(&[open.player], 2, 1_064, 2);
    let Ok(ServerMessage::State(state)) = client.next().await else { panic!("no frame") };
    assert_eq!(state.epoch, Some(Epoch::new(1, 2)));
    assert_eq!(state.progress, Some(Progress { applied: 2, durable: 2 }));
}

#[tokio::test]
async fn a_crossing_moves_inputs_and_keeps_frames_in_order() {
    let mut world = World::start(|_| {}).await;
    let mut client = world.greet("Ann").await;
    let mut home = world.serving(HOME, 1).await;
    let open = home.attach(0, true).await;
    client.welcome().await;
    // Somebody else brings the neighbour up.
    let mut other = world.connect().await;
    other.say(&ClientMessage::Hello(Hello { spawn: Some([-50.0, 50.0, 0.0]), ..hello("Bob") })).await;
    let mut east = world.serving(EAST, 1).await;
    let _bob = east.attach(0, true).await;
    other.welcome().await;
    home.frames(&[open.player], 1, 1_002, 0);
    assert!(matches!(client.next().await, Ok(ServerMessage::State(_))));

    let mut record = east.record(&open, 2, 0);
    (record.continues, record.tables) = (true, None);
    east.send(&RegionToEdge::Attach(Box::new(record)));
    client.input(1).await;
    assert_eq!(east.input().await.0, 1, "inputs follow the player");
    // The first frame of the new region overtakes the last of the old one.
    east.frames(&[open.player], 2, 1_004, 0);
    east.frames(&[open.player], 2, 1_006, 1);
    east.frames(&[open.player], 2, 1_008, 1);
    let mut seen = Vec::new();
    for _ in 0..2 {
        let Ok(ServerMessage::State(state)) = client.next().await else { panic!("no frame") };
        seen.push((state.tick.0, state.epoch));
    }
    assert_eq!(seen, [(1_006, Some(Epoch::new(1, 2))), (1_008, None)], "number 1 was told before");
    // A frame of the old owner reaches nobody any more.
    home.frames(&[open.player], 1, 1_010, 0);
    client.say(&ClientMessage::Ping { token: 1 }).await;
    assert!(matches!(client.next().await, Ok(ServerMessage::Pong { .. })));
}

/// A goodbye that arrives while the player is between two regions is heard by neither of them.
#[tokio::test]
async fn a_region_that_takes_over_a_player_who_left_is_told() {
    let mut world = World::start(|_| {}).await;
    let mut client = world.greet("Ann").await;
    let mut home = world.serving(HOME, 1).await;
    let open = home.attach(0, true).await;
    client.welcome().await;
    client.say(&ClientMessage::Bye).await;
    let told = |message| match message {
        EdgeToRegion::Close { session_epoch, bye, .. } => Some((session_epoch, bye)),
        _ => None,
    };
    assert_eq!(home.expect("the goodbye", told).await, (open.session_epoch, true));
    // The same player, taken over a moment later.
    let record = home.record(&open, 2, 0);
    home.send(&RegionToEdge::Attach(Box::new(record)));
    assert_eq!(home.expect("the goodbye again", told).await, (open.session_epoch, true));
}

#[tokio::test]
async fn a_second_connection_of_a_player_replaces_the_first() {
    let mut world = World::start(|_| {}).await;
    let mut first = world.greet("Ann").await;
    let mut worker = world.serving(HOME, 1).await;
    let open = worker.attach(0, true).await;
    first.welcome().await;
    let mut second = world.greet("Ann").await;
    let again = worker.attach(0, true).await;
    assert_ne!(open.session, again.session, "a new stay");
    assert!(!second.welcome().await.resumed);
    let (last, code) = first.end().await;
    assert!(
        matches!(last, Some(ServerMessage::Closing(closing)) if closing.reason == ClosingReason::Replaced)
    );
    assert_eq!(code, Some(4001));
}

#[tokio::test]
async fn whoever_says_goodbye_does_not_come_back_with_the_same_ticket() {
    let mut world = World::start(|_| {}).await;
    let mut client = world.greet("Ann").await;
    let mut worker = world.serving(HOME, 1).await;
    worker.attach(0, true).await;
    let welcome = client.welcome().await;
    client.say(&ClientMessage::Bye).await;
    let bye = worker
        .expect("a goodbye", |message| match message {
            EdgeToRegion::Close { bye, .. } => Some(bye),
            _ => None,
        })
        .await;
    assert!(bye);
    assert_eq!(client.end().await, (None, Some(1000)));
    let mut client = world.connect().await;
    client.say(&ClientMessage::Hello(resume("Ann", &welcome.ticket, 0))).await;
    assert!(matches!(client.end().await.0, Some(ServerMessage::Refused(_))));
}

#[tokio::test]
async fn an_edge_that_crashed_is_resumed_on_the_next_one() {
    let mut world = World::start(|_| {}).await;
    let mut client = world.greet("Ann").await;
    let mut worker = world.serving(HOME, 1).await;
    let open = worker.attach(0, true).await;
    let welcome = client.welcome().await;
    let placement = worker.placement.clone();
    let world = world.restart().await;
    assert_eq!(client.end().await.1, None, "an accident, not a goodbye");
    // The worker dials again and says what it serves; nobody is spawned.
    let mut worker = world.register(worker.pid, placement).await;
    let mut client = world.connect().await;
    client.say(&ClientMessage::Hello(resume("Ann", &welcome.ticket, 0))).await;
    worker.placement = Some(horizon_protocol::link::Placement {
        region: HOME,
        worker: worker.id,
        lease: Epoch::new(1, 1),
        endpoint: String::new(),
    });
    let again = worker.attach(0, true).await;
    assert_eq!(again.session, open.session);
    assert!(client.welcome().await.resumed);
    world.drain().await;
}

#[tokio::test]
async fn draining_tells_players_to_resume_and_leaves_regions_running() {
    let mut world = World::start(|_| {}).await;
    let mut client = world.greet("Ann").await;
    let mut worker = world.serving(HOME, 1).await;
    worker.attach(0, true).await;
    client.welcome().await;
    let drained = tokio::spawn(world.atlas.drain());
    let (last, code) = client.end().await;
    assert!(
        matches!(last, Some(ServerMessage::Closing(closing)) if closing.reason == ClosingReason::Draining)
    );
    assert_eq!(code, Some(1001));
    let bye = worker
        .expect("the end of the session", |message| match message {
            EdgeToRegion::Close { bye, .. } => Some(bye),
            EdgeToRegion::Retire { .. } => panic!("regions go on"),
            _ => None,
        })
        .await;
    assert!(!bye);
    within("the end of atlas", drained).await.expect("no panic");
}

/// A task that writes to many sockets within one poll would run out of its scheduling budget and leave
/// records in buffers; sessions have a task each, so everybody gets the frame without a further event.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_batch_reaches_more_clients_than_a_scheduling_budget() {
    const CLIENTS: usize = 160;
    let mut world = World::start(|_| {}).await;
    let mut first = Some(world.greet("player 0").await);
    let mut worker = world.serving(HOME, 1).await;
    let (mut clients, mut players) = (Vec::new(), Vec::new());
    for n in 0..CLIENTS {
        let mut client = match first.take() {
            Some(client) => client,
            None => world.greet(&format!("player {n}")).await,
        };
        players.push(worker.attach(0, true).await.player);
        client.welcome().await;
        clients.push(client);
    }
    worker.frames(&players, 1, 1_002, 0);
    for client in &mut clients {
        assert!(matches!(client.next().await, Ok(ServerMessage::State(state)) if state.tick.0 == 1_002));
    }
}
