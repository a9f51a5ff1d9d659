//! The client over real TLS and WebSockets, against a small edge that breaks its sockets on purpose.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use gorc::{Body, Precision};
use horizon_client::{Client, ConnectError, Options, Spelling, Update, Witness};
use horizon_model::{EntityId, Epoch, ObjectSchema, ObjectTypeId, PlayerId, Pose, SessionId, Tick};
use horizon_protocol::client::{
    ClientMessage, Closing, ClosingReason, Event, Progress, Refused, RefusedReason, SUBPROTOCOL_BINARY,
    SUBPROTOCOL_JSON, ServerMessage, State, Welcome, binary, json,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

const DEADLINE: Duration = Duration::from_secs(20);

/// One session, remembered across sockets. Echoes each input as an event.
#[derive(Default)]
struct World {
    applied: u32,
    events: Vec<Event>,
    joined: u32,
    left: bool,
}

struct Edge {
    address: SocketAddr,
    ca: tempfile::NamedTempFile,
    world: Arc<Mutex<World>>,
}

impl Edge {
    async fn start() -> Self {
        let issued = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])
            .expect("the test edge works");
        let ca = tempfile::NamedTempFile::new().expect("the test edge works");
        std::fs::write(ca.path(), issued.cert.pem()).expect("the test edge works");
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&tokio_rustls::rustls::version::TLS13])
            .expect("the test edge works")
            .with_no_client_auth()
            .with_single_cert(
                vec![issued.cert.der().clone()],
                PrivatePkcs8KeyDer::from(issued.signing_key.serialize_der()).into(),
            )
            .expect("the test edge works");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("the test edge works");
        let address = listener.local_addr().expect("the test edge works");
        let world = Arc::new(Mutex::new(World::default()));
        let shared = Arc::clone(&world);
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let (acceptor, world) = (acceptor.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    let _ = serve(tcp, acceptor, world).await;
                });
            }
        });
        Self { address, ca, world }
    }

    fn options(&self, spelling: Spelling, name: &str) -> Options {
        let url = format!("wss://localhost:{}/", self.address.port());
        Options { spelling, ..Options::new(&url, self.ca.path(), name) }
    }
}

async fn serve(
    tcp: TcpStream,
    acceptor: TlsAcceptor,
    world: Arc<Mutex<World>>,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let tls = acceptor.accept(tcp).await?;
    let mut spelling = Spelling::Binary;
    #[allow(clippy::result_large_err)]
    let choose = |request: &Request, mut response: Response| {
        let offered = request.headers()["sec-websocket-protocol"].to_str().unwrap_or_default();
        spelling = if offered == SUBPROTOCOL_JSON { Spelling::Json } else { Spelling::Binary };
        let chosen = if spelling == Spelling::Json { SUBPROTOCOL_JSON } else { SUBPROTOCOL_BINARY };
        response.headers_mut().insert("sec-websocket-protocol", chosen.parse().expect("ASCII"));
        Ok(response)
    };
    let mut socket = accept_hdr_async(tls, choose).await?;
    while let Some(message) = socket.next().await {
        let message = match message? {
            Message::Binary(bytes) => binary::decode_client(&bytes)?,
            Message::Text(text) => json::decode_client(&text)?,
            _ => continue,
        };
        let (answers, cut) = answer(&mut world.lock().expect("the test edge works"), message, spelling);
        for answer in answers {
            socket.send(encode(&answer, spelling)).await?;
        }
        if cut {
            return Ok(());
        }
    }
    Ok(())
}

fn answer(world: &mut World, message: ClientMessage, spelling: Spelling) -> (Vec<ServerMessage>, bool) {
    match message {
        ClientMessage::Hello(hello) if hello.name == "nobody" => {
            let message = "sign in".to_owned();
            (vec![ServerMessage::Refused(Refused { reason: RefusedReason::Token, message })], true)
        }
        ClientMessage::Hello(hello) => {
            world.joined += 1;
            let has = hello.resume.as_ref().map_or(0, |resume| resume.events as usize);
            let mut answers = vec![welcome(world, hello.resume.is_some()), state(world, spelling)];
            answers.extend(world.events[has..].iter().cloned().map(ServerMessage::Event));
            (answers, false)
        }
        ClientMessage::Input(input) if input.seq == world.applied + 1 => {
            world.applied += 1;
            let number = world.events.len() as u32 + 1;
            let echo = Event { number, name: input.name, payload: input.payload };
            world.events.push(echo.clone());
            // Every third input breaks the socket between the effect and its echo.
            if number.is_multiple_of(3) {
                return (Vec::new(), true);
            }
            (vec![ServerMessage::Event(echo), state(world, spelling)], false)
        }
        ClientMessage::Ping { token } => (vec![ServerMessage::Pong { token, grid_us: token }], false),
        ClientMessage::Bye => {
            world.left = true;
            (Vec::new(), false)
        }
        ClientMessage::Move(_) => {
            let message = "somebody else is you now".to_owned();
            (vec![ServerMessage::Closing(Closing { reason: ClosingReason::Replaced, message })], true)
        }
        ClientMessage::Input(_) | ClientMessage::Ack { .. } => (Vec::new(), false),
    }
}

fn welcome(world: &World, resumed: bool) -> ServerMessage {
    ServerMessage::Welcome(Box::new(Welcome {
        version: 1,
        resumed,
        session: SessionId(1),
        player: PlayerId(7),
        entity: EntityId::from_bits(9).expect("the test edge works"),
        epoch: Epoch::new(1, 1),
        tick: Tick(600),
        rate_hz: 30,
        applied: world.applied,
        durable: world.applied,
        ticket: vec![1, 2, 3],
        names: vec![("echo".to_owned(), "say".to_owned())],
        tables_hash: 1,
        schemas: vec![ObjectSchema::named("player")],
    }))
}

fn state(world: &World, spelling: Spelling) -> ServerMessage {
    let spelling = if spelling == Spelling::Json { gorc::Spelling::Json } else { gorc::Spelling::Binary };
    let mut body = Body::new(spelling);
    body.reset();
    let enter = gorc::Enter {
        entity: EntityId::from_bits(9).expect("the test edge works"),
        type_id: ObjectTypeId::PLAYER,
        player: Some(PlayerId(7)),
        tick: Tick(600),
        pose: Pose::default(),
        channel: 0,
        precision: Precision::Cm5,
        again: false,
        fields: &[],
    };
    body.enter(&enter, &ObjectSchema::named("player"));
    let progress = Some(Progress { applied: world.applied, durable: world.applied });
    let body = body.finish(Tick(602)).to_vec();
    ServerMessage::State(State { epoch: Some(Epoch::new(1, 1)), tick: Tick(602), progress, body })
}

fn encode(message: &ServerMessage, spelling: Spelling) -> Message {
    let (mut bytes, mut text) = (Vec::new(), String::new());
    match spelling {
        Spelling::Binary => {
            binary::encode_server(message, &mut bytes);
            Message::binary(bytes)
        }
        Spelling::Json => {
            json::encode_server(message, &mut text);
            Message::text(text)
        }
    }
}

#[derive(Default)]
struct Counter {
    enters: usize,
    resets: usize,
}

impl Witness for Counter {
    fn reset(&mut self) {
        self.resets += 1;
    }

    fn enter(&mut self, enter: &horizon_client::EnterEntry<'_>) {
        assert_eq!(enter.player, Some(PlayerId(7)));
        self.enters += 1;
    }
}

async fn ten_inputs_over_broken_sockets(spelling: Spelling) {
    let edge = Edge::start().await;
    let mut client = Client::connect(edge.options(spelling, "Zoë")).await.expect("welcome");
    let (mut echoes, mut breaks, mut resumes, mut counter) = (Vec::new(), 0, 0, Counter::default());
    for n in 1_u32..=10 {
        assert_eq!(client.send("echo", "say", &n).expect("the window is open"), n);
    }
    while echoes.len() < 10 {
        let update = tokio::time::timeout(DEADLINE, client.next_with(&mut counter)).await.expect("in time");
        match update.expect("the session goes on") {
            Update::Event(event) => {
                assert_eq!(event.skipped, 0);
                assert_eq!((event.namespace.as_str(), event.event.as_str()), ("echo", "say"));
                echoes.push(event.read::<u32>(spelling).expect("a number"));
            }
            Update::Disconnected { resuming, .. } => {
                assert!(resuming);
                breaks += 1;
            }
            Update::Resumed { anew, abandoned, .. } => {
                assert_eq!((anew, abandoned), (false, 0));
                resumes += 1;
            }
            _ => {}
        }
    }
    assert_eq!(echoes, (1..=10).collect::<Vec<_>>());
    assert_eq!((breaks, resumes), (3, 3));
    assert_eq!(counter.enters, counter.resets);
    assert_eq!(client.world().len(), 1);
    assert_eq!(client.world().strays(), 0);
    client.close().await;
    let world = edge.world.lock().expect("the test edge works");
    assert_eq!((world.applied, world.joined, world.left), (10, 4, true));
}

#[tokio::test]
async fn binary_inputs_are_applied_once_over_broken_sockets() {
    ten_inputs_over_broken_sockets(Spelling::Binary).await;
}

#[tokio::test]
async fn json_inputs_are_applied_once_over_broken_sockets() {
    ten_inputs_over_broken_sockets(Spelling::Json).await;
}

#[tokio::test]
async fn whoever_is_replaced_does_not_come_back() {
    let edge = Edge::start().await;
    let mut client = Client::connect(edge.options(Spelling::Binary, "Zoë")).await.expect("welcome");
    assert!(client.movement(Pose::default()).is_some());
    let mut ended = false;
    while let Some(update) = tokio::time::timeout(DEADLINE, client.next()).await.expect("in time") {
        ended |= matches!(update, Update::Disconnected { resuming: false, .. });
    }
    assert!(ended);
    assert_eq!(edge.world.lock().expect("the test edge works").joined, 1);
}

#[tokio::test]
async fn refusals_and_strangers_are_told_apart() {
    let edge = Edge::start().await;
    let refused = Client::connect(edge.options(Spelling::Json, "nobody")).await.expect_err("no token");
    assert!(matches!(&refused, ConnectError::Refused(refused) if refused.reason == RefusedReason::Token));
    assert_eq!(refused.to_string(), "refused (token): sign in");

    let stranger = Edge::start().await;
    let options = Options {
        urls: edge.options(Spelling::Binary, "Zoë").urls,
        ..stranger.options(Spelling::Binary, "Zoë")
    };
    let error = Client::connect(options).await.expect_err("another authority");
    assert!(error.to_string().contains("certificate"), "{error}");
}
