//! What one connection or one address may do, and what happens beyond it.

mod support;

use std::time::Duration;

use futures_util::SinkExt;
use horizon_model::RegionId;
use horizon_protocol::client::{ClientMessage, ClosingReason, ServerMessage};
use horizon_protocol::link::EdgeToRegion;
use support::{Client, World, hello, tls, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;

const HOME: RegionId = RegionId(3);

/// Joins one player and returns the client after the welcome.
async fn joined(world: &mut World) -> (Client, support::Worker, horizon_protocol::link::OpenSession) {
    let mut client = world.greet("Ann").await;
    let mut worker = world.serving(HOME, 1).await;
    let open = worker.attach(0, true).await;
    client.welcome().await;
    (client, worker, open)
}

fn reason(last: Option<ServerMessage>) -> ClosingReason {
    match last {
        Some(ServerMessage::Closing(closing)) => closing.reason,
        other => panic!("not closed on purpose: {other:?}"),
    }
}

/// An edge has ended, and all of its players come here.
#[tokio::test]
async fn a_crowd_waits_for_its_handshakes() {
    let world = World::start(|config| config.limits.handshakes = 1).await;
    let crowd = within("everybody", futures_util::future::join_all((0..40).map(|_| world.connect()))).await;
    assert_eq!(crowd.len(), 40, "nobody was turned away");
}

#[tokio::test]
async fn every_step_before_the_hello_has_its_time() {
    let mut world = World::start(|config| {
        config.limits.tls_timeout = Duration::from_millis(200);
        config.limits.upgrade_timeout = Duration::from_millis(200);
        config.limits.hello_timeout = Duration::from_millis(200);
    })
    .await;
    let address = world.atlas.public_addr();
    let mut byte = [0; 1];

    let mut silent = TcpStream::connect(address).await.expect("accepted");
    assert_eq!(within("the end of a silent connection", silent.read(&mut byte)).await.unwrap_or(0), 0);

    let mut slow = tls(address, &world.config.paths.pki).await.expect("handshake");
    slow.write_all(b"GET / HTTP/1.1\r\nx-slow: ").await.expect("written");
    let mut rest = Vec::new();
    let _ = within("the end of half a request", slow.read_to_end(&mut rest)).await;
    assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));

    let mut mute = world.connect().await;
    assert_eq!(mute.end().await, (None, Some(1008)));

    // Nobody of these was a player, and a player still gets in.
    let (mut client, ..) = joined(&mut world).await;
    client.say(&ClientMessage::Bye).await;
}

#[tokio::test]
async fn a_hello_is_short_and_comes_first() {
    let world = World::start(|_| {}).await;
    let mut long = world.connect().await;
    long.socket.send(Message::text("x".repeat(3_000))).await.expect("sent");
    let (last, _) = long.end().await;
    assert!(matches!(last, Some(ServerMessage::Refused(refused)) if refused.message.contains("2048")));
    let mut rude = world.connect().await;
    rude.say(&ClientMessage::Ping { token: 1 }).await;
    assert!(matches!(rude.end().await.0, Some(ServerMessage::Refused(_))));
}

#[tokio::test]
async fn a_message_that_is_too_long_closes_the_connection() {
    let mut world = World::start(|config| config.limits.message_bytes = 4_096).await;
    let (mut client, ..) = joined(&mut world).await;
    let _ = client.socket.send(Message::text("x".repeat(5_000))).await;
    let (last, code) = client.end().await;
    assert_eq!((reason(last), code), (ClosingReason::Protocol, Some(1008)));
}

#[tokio::test]
async fn connections_of_one_address_are_bounded() {
    let world = World::start(|config| config.limits.connections_per_address = 2).await;
    let pki = &world.config.paths.pki;
    let _first = world.connect().await;
    let second = world.connect().await;
    assert!(tls(world.atlas.public_addr(), pki).await.is_err(), "closed before TLS");
    drop(second);
    within("room for another one", async {
        while tls(world.atlas.public_addr(), pki).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_silent_client_is_closed_and_its_region_told() {
    let mut world = World::start(|config| config.limits.silent = Duration::from_millis(300)).await;
    let (mut client, mut worker, _) = joined(&mut world).await;
    let (last, code) = client.end().await;
    assert_eq!((reason(last), code), (ClosingReason::Silent, Some(4002)));
    let bye = worker
        .expect("the end of the session", |message| match message {
            EdgeToRegion::Close { bye, .. } => Some(bye),
            _ => None,
        })
        .await;
    assert!(!bye, "the avatar lingers");
}

#[tokio::test]
async fn a_client_that_reads_nothing_loses_its_socket_and_nothing_queues_up_for_it() {
    let mut world = World::start(|config| {
        config.limits.slow = Duration::from_millis(500);
        config.limits.silent = Duration::from_secs(60);
    })
    .await;
    let (client, mut worker, open) = joined(&mut world).await;
    // Frames by credit, as large as a link carries, until the kernel takes no more.
    let closed = within("the end of the session", async {
        let (mut tick, mut credit) = (1_002, 2_u32);
        loop {
            while credit > 0 {
                worker.large_frame(open.player, tick, 200_000);
                (tick, credit) = (tick + 2, credit - 1);
            }
            match worker.next().await {
                EdgeToRegion::Credit(credits) => {
                    credit += credits.iter().map(|c| u32::from(c.1)).sum::<u32>()
                }
                EdgeToRegion::Close { bye, .. } => return bye,
                _ => {}
            }
        }
    })
    .await;
    assert!(!closed);
    drop(client);
}

#[tokio::test]
async fn a_flood_is_slowed_down_and_then_closed() {
    let mut world = World::start(|config| config.limits.frames_per_second = 20).await;
    let (mut client, ..) = joined(&mut world).await;
    let mut text = String::new();
    horizon_protocol::client::json::encode_client(&ClientMessage::Ack { events: 0 }, &mut text);
    let (last, code) = within("the end of the flood", async {
        loop {
            for _ in 0..50 {
                if client.socket.send(Message::text(text.clone())).await.is_err() {
                    return client.end().await;
                }
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    // The socket may break under the flood before the last words arrive.
    if let Some(message) = last {
        assert_eq!((reason(Some(message)), code), (ClosingReason::Protocol, Some(1008)));
    }
}

#[tokio::test]
async fn a_ping_flood_and_nonsense_end_the_connection() {
    let mut world = World::start(|_| {}).await;
    let (mut client, mut worker, _) = joined(&mut world).await;
    for _ in 0..50 {
        let _ = client.socket.send(Message::Ping(Vec::new().into())).await;
    }
    assert_eq!(reason(client.end().await.0), ClosingReason::Protocol);
    let mut client = world.connect().await;
    client.say(&ClientMessage::Hello(hello("Bob"))).await;
    worker.attach(0, true).await;
    client.welcome().await;
    for _ in 0..50 {
        let _ = client.socket.send(Message::text(r#"{"t":"nonsense"}"#)).await;
    }
    assert_eq!(reason(client.end().await.0), ClosingReason::Protocol);
}

#[tokio::test]
async fn a_message_in_empty_or_too_many_pieces_closes_the_connection() {
    use tokio_tungstenite::tungstenite::protocol::frame::Frame;
    use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};
    for (pieces, payload) in [(2, ""), (40, "x")] {
        let mut world = World::start(|_| {}).await;
        let (mut client, ..) = joined(&mut world).await;
        let piece =
            |kind, text: &str| Message::Frame(Frame::message(text.to_owned(), OpCode::Data(kind), false));
        let _ = client.socket.send(piece(Data::Text, "x")).await;
        for _ in 1..pieces {
            let _ = client.socket.send(piece(Data::Continue, payload)).await;
        }
        let (last, code) = client.end().await;
        assert_eq!((reason(last), code), (ClosingReason::Protocol, Some(1008)));
    }
}

#[tokio::test]
async fn pages_of_other_sites_may_not_connect() {
    let world = World::start(|config| config.atlas.allowed_origins.push("https://game.example".into())).await;
    let (address, pki) = (world.atlas.public_addr(), &world.config.paths.pki);
    let own = format!("https://localhost:{}", address.port());
    for (origin, allowed) in
        [(own.as_str(), true), ("https://game.example", true), ("https://evil.example", false)]
    {
        let connected = Client::connect(address, pki, Some(origin)).await;
        assert_eq!(connected.is_ok(), allowed, "{origin}");
    }
}
