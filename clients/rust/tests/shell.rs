//! The client over real TLS and WebSockets, against a small edge that breaks its sockets on purpose.

mod edge;

use std::time::Duration;

use edge::{Edge, Seat};
use gorc::{Gorc, NewObject, ObserverId, ObserverSpec};
use horizon_client::{Client, ConnectError, Options, Spelling, Update, Witness};
use horizon_model::{
    EntityId, Epoch, ObjectSchema, ObjectTypeId, PlayerId, Pose, Position, SessionId, Tick, TickRate,
};
use horizon_protocol::client::{
    ClientMessage, Closing, ClosingReason, Event, Progress, Refused, RefusedReason, ServerMessage, State,
    Welcome,
};

const DEADLINE: Duration = Duration::from_secs(20);

const AVATAR: EntityId = match EntityId::from_bits(9) {
    Some(id) => id,
    None => panic!("not zero"),
};
const EYES: ObserverId = ObserverId(9);

/// One session, remembered across sockets. Echoes each input as an event.
struct World {
    gorc: Gorc,
    tick: Tick,
    applied: u32,
    events: Vec<Event>,
    joined: u64,
    left: bool,
}

impl Default for World {
    fn default() -> Self {
        let rate = TickRate::from_hz(30).expect("30 divides the grid");
        let mut gorc = Gorc::new(rate, ObjectSchema::named("player"));
        let tick = Tick(600);
        gorc.spawn(NewObject {
            entity: AVATAR,
            type_id: ObjectTypeId::PLAYER,
            player: Some(PlayerId(7)),
            ghost: false,
            tick,
            pose: road(tick),
            fields: Vec::new(),
        });
        Self { gorc, tick, applied: 0, events: Vec::new(), joined: 0, left: false }
    }
}

/// Where the avatar is: it walks along x at six metres a second.
fn road(tick: Tick) -> Pose {
    let position = Position::from_metres([(tick.0 - 600) as f64 / 10.0, 0.0, 0.0]);
    Pose { position: position.expect("near"), velocity: [6.0, 0.0, 0.0], yaw: 0.0 }
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
            let spelling =
                if spelling == Spelling::Json { gorc::Spelling::Json } else { gorc::Spelling::Binary };
            let position = road(world.tick).position;
            world.gorc.add_observer(EYES, ObserverSpec { spelling, ..ObserverSpec::client(position) });
            world.gorc.reset_view(EYES);
            let mut answers = vec![welcome(world, hello.resume.is_some()), state(world)];
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
            (vec![ServerMessage::Event(echo), state(world)], false)
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
        entity: AVATAR,
        epoch: Epoch::new(1, 1),
        tick: world.tick,
        rate_hz: 30,
        applied: world.applied,
        durable: world.applied,
        ticket: vec![1, 2, 3],
        names: vec![("echo".to_owned(), "say".to_owned())],
        tables_hash: 1,
        schemas: vec![ObjectSchema::named("player")],
    }))
}

/// The next tick.
fn state(world: &mut World) -> ServerMessage {
    world.tick = world.tick + 2;
    let World { gorc, tick, applied, .. } = world;
    gorc.sample(AVATAR, *tick, &road(*tick), false);
    let mut body = Vec::new();
    gorc.step(*tick, &mut |_| true, &mut |_, bytes| body = bytes.to_vec());
    let progress = Some(Progress { applied: *applied, durable: *applied });
    ServerMessage::State(State { epoch: Some(Epoch::new(1, 1)), tick: *tick, progress, body })
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
    let mut newest = Tick(0);
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
            Update::Frame(frame) => newest = frame.tick,
            _ => {}
        }
    }
    assert_eq!(echoes, (1..=10).collect::<Vec<_>>());
    assert_eq!((breaks, resumes), (3, 3));
    assert_eq!(counter.enters, counter.resets);
    assert_eq!(client.world().len(), 1);
    assert_eq!(client.world().strays(), 0);
    let drawn = client.world().drawn(AVATAR).expect("it is held");
    assert_eq!((drawn.tick, drawn.precision_metres), (Tick(newest.0 - 6), 0.09));
    let metres = drawn.pose.position.distance(&road(drawn.tick).position);
    assert!(metres < 0.09, "{metres} m off at {}", drawn.tick);
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
