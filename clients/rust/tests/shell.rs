//! The client over real TLS and WebSockets, against a small edge that breaks its sockets on purpose.

mod edge;

use std::time::Duration;

use edge::{Edge, Seat};
use gorc::{Body, Precision};
use horizon_client::{Client, ConnectError, Options, Spelling, Update, Witness};
use horizon_model::{EntityId, Epoch, ObjectSchema, ObjectTypeId, PlayerId, Pose, SessionId, Tick};
use horizon_protocol::client::{
    ClientMessage, Closing, ClosingReason, Event, Progress, Refused, RefusedReason, ServerMessage, State,
    Welcome,
};

const DEADLINE: Duration = Duration::from_secs(20);

/// One session, remembered across sockets. Echoes each input as an event.
#[derive(Default)]
struct World {
    applied: u32,
    events: Vec<Event>,
    joined: u64,
    left: bool,
}

impl edge::World for World {
    fn handle(&mut self, seat: &mut Seat, message: ClientMessage) -> (Vec<ServerMessage>, bool) {
        self.joined = seat.number;
        answer(self, message, seat.spelling)
    }
}

fn options(edge: &Edge<World>, spelling: Spelling, name: &str) -> Options {
    Options { spelling, ..Options::new(&edge.url(), edge.ca_file(), name) }
}

fn answer(world: &mut World, message: ClientMessage, spelling: Spelling) -> (Vec<ServerMessage>, bool) {
    match message {
        ClientMessage::Hello(hello) if hello.name == "nobody" => {
            let message = "sign in".to_owned();
            (vec![ServerMessage::Refused(Refused { reason: RefusedReason::Token, message })], true)
        }
        ClientMessage::Hello(hello) => {
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
    let edge = Edge::start(World::default()).await;
    let mut client = Client::connect(options(&edge, spelling, "Zoë")).await.expect("welcome");
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
    let world = edge.world();
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
    let edge = Edge::start(World::default()).await;
    let mut client = Client::connect(options(&edge, Spelling::Binary, "Zoë")).await.expect("welcome");
    assert!(client.movement(Pose::default()).is_some());
    let mut ended = false;
    while let Some(update) = tokio::time::timeout(DEADLINE, client.next()).await.expect("in time") {
        ended |= matches!(update, Update::Disconnected { resuming: false, .. });
    }
    assert!(ended);
    assert_eq!(edge.world().joined, 1);
}

#[tokio::test]
async fn refusals_and_strangers_are_told_apart() {
    let edge = Edge::start(World::default()).await;
    let refused = Client::connect(options(&edge, Spelling::Json, "nobody")).await.expect_err("no token");
    assert!(matches!(&refused, ConnectError::Refused(refused) if refused.reason == RefusedReason::Token));
    assert_eq!(refused.to_string(), "refused (token): sign in");

    let stranger = Edge::start(World::default()).await;
    let options = Options {
        urls: options(&edge, Spelling::Binary, "Zoë").urls,
        ..options(&stranger, Spelling::Binary, "Zoë")
    };
    let error = Client::connect(options).await.expect_err("another authority");
    assert!(error.to_string().contains("certificate"), "{error}");
}
