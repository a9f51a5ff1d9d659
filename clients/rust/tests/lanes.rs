//! The session against a server that loses, repeats, crashes and forgets everything but what is durable.

use std::collections::VecDeque;
use std::time::Duration;

use horizon_client::{Delivery, Profile, Session};
use horizon_model::{EntityId, Epoch, ObjectSchema, PlayerId, Pose, SessionId, Tick};
use horizon_protocol::client::{
    ClientMessage, Event, EventName, INPUT_WINDOW, Progress, Refused, RefusedReason, ServerMessage, State,
    Welcome,
};
use proptest::prelude::*;

/// The server's side of one session, as little as it may know.
#[derive(Default)]
struct Server {
    /// Payloads in the order in which they were applied.
    applied: Vec<u32>,
    durable: usize,
    /// How many events were emitted; their payload is their number.
    events: u32,
    acked: u32,
    known: bool,
    crashes: u64,
}

impl Server {
    fn handle(&mut self, message: ClientMessage) -> Vec<ServerMessage> {
        match message {
            ClientMessage::Hello(hello) => {
                assert_eq!(
                    self.known,
                    hello.resume.is_some(),
                    "a known session is resumed, never begun again"
                );
                let resumed = std::mem::replace(&mut self.known, true);
                let has = hello.resume.map_or(0, |resume| resume.events);
                self.acked = self.acked.max(has);
                let mut answer = vec![self.welcome(resumed)];
                answer.extend((has + 1..=self.events).map(event));
                answer
            }
            ClientMessage::Input(input) => {
                let payload = u32::from_le_bytes(input.payload.try_into().expect("four bytes"));
                match (input.seq as usize).cmp(&(self.applied.len() + 1)) {
                    std::cmp::Ordering::Less => Vec::new(),
                    std::cmp::Ordering::Equal => {
                        self.applied.push(payload);
                        Vec::new()
                    }
                    std::cmp::Ordering::Greater => {
                        vec![ServerMessage::Nack { from: self.applied.len() as u32 + 1 }]
                    }
                }
            }
            ClientMessage::Ack { events } => {
                assert!(events <= self.events, "nobody acknowledges what was never sent");
                self.acked = self.acked.max(events);
                Vec::new()
            }
            ClientMessage::Ping { token } => vec![ServerMessage::Pong { token, grid_us: token + 5_000_000 }],
            ClientMessage::Move(_) | ClientMessage::Bye => Vec::new(),
        }
    }

    fn welcome(&self, resumed: bool) -> ServerMessage {
        ServerMessage::Welcome(Box::new(Welcome {
            version: 1,
            resumed,
            session: SessionId(1),
            player: PlayerId(1),
            entity: EntityId::from_bits(1).expect("not zero"),
            epoch: Epoch::new(1, 1 + self.crashes),
            tick: Tick(600),
            rate_hz: 30,
            applied: self.applied.len() as u32,
            durable: self.durable as u32,
            ticket: vec![1],
            names: if resumed { Vec::new() } else { vec![("test".to_owned(), "count".to_owned())] },
            tables_hash: 1,
            schemas: if resumed { Vec::new() } else { vec![ObjectSchema::named("player")] },
        }))
    }

    fn progress(&self) -> Progress {
        Progress { applied: self.applied.len() as u32, durable: self.durable as u32 }
    }

    fn crash(&mut self) -> ServerMessage {
        self.applied.truncate(self.durable);
        self.crashes += 1;
        ServerMessage::Resync { epoch: Epoch::new(1, 1 + self.crashes), tick: Tick(600) }
    }
}

fn event(number: u32) -> ServerMessage {
    let payload = number.to_le_bytes().to_vec();
    ServerMessage::Event(Event { number, name: EventName::Known(0), payload })
}

/// Both ends and the wires between them.
struct Net {
    session: Session,
    server: Server,
    up: VecDeque<ClientMessage>,
    down: VecDeque<ServerMessage>,
    connected: bool,
    now: Duration,
    /// What the program sent and received.
    sent: u32,
    received: Vec<u32>,
    nonce: u64,
}

#[derive(Debug, Clone, Copy)]
enum Step {
    Send,
    Up(usize),
    Down(usize),
    Cut,
    Connect,
    Crash,
    Flush,
    Emit,
    RepeatTail,
    Move,
    Wait(u64),
}

impl Net {
    fn new() -> Self {
        let profile = Profile { name: "fake".to_owned(), token: "guest".to_owned(), spawn: None };
        Self {
            session: Session::new(profile),
            server: Server::default(),
            up: VecDeque::new(),
            down: VecDeque::new(),
            connected: false,
            now: Duration::ZERO,
            sent: 0,
            received: Vec::new(),
            nonce: 0,
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Send => {
                let room = self.session.pending_inputs() < INPUT_WINDOW as usize;
                let outcome = self.session.send("test", "count", (self.sent + 1).to_le_bytes().to_vec());
                assert_eq!(outcome.is_ok(), room, "the window closes at 64 and not before");
                self.sent += u32::from(room);
            }
            Step::Up(count) => {
                for _ in 0..count {
                    let Some(message) = self.up.pop_front() else { break };
                    self.down.extend(self.server.handle(message));
                }
            }
            Step::Down(count) => {
                for _ in 0..count {
                    let Some(message) = self.down.pop_front() else { break };
                    self.session.handle_message(self.now, message);
                    self.deliver();
                }
            }
            Step::Cut => self.cut(),
            Step::Connect => {
                if !self.connected {
                    self.nonce += 1;
                    self.connected = true;
                    self.up.push_back(self.session.hello(self.nonce));
                }
            }
            Step::Crash => {
                let resync = self.server.crash();
                self.send_down(resync);
            }
            Step::Flush => {
                self.server.durable = self.server.applied.len();
                let (epoch, tick) = (None, Tick(self.now.as_millis() as u64));
                let progress = Some(self.server.progress());
                self.send_down(ServerMessage::State(State { epoch, tick, progress, body: Vec::new() }));
            }
            Step::Emit => {
                self.server.events += 1;
                self.send_down(event(self.server.events));
            }
            Step::RepeatTail => {
                for number in self.server.acked + 1..=self.server.events {
                    self.send_down(event(number));
                }
            }
            Step::Move => {
                let _ = self.session.movement(self.now, Pose::default());
            }
            Step::Wait(ms) => {
                self.now += Duration::from_millis(ms);
                self.session.handle_timeout(self.now);
            }
        }
        if self.connected {
            self.up.extend(std::iter::from_fn(|| self.session.poll_transmit()));
        }
    }

    /// A server speaks only to whom it has greeted.
    fn send_down(&mut self, message: ServerMessage) {
        if self.connected
            && self.server.known
            && !self.up.iter().any(|m| matches!(m, ClientMessage::Hello(_)))
        {
            self.down.push_back(message);
        }
    }

    fn cut(&mut self) {
        // A welcome that never arrived leaves the client without a ticket; the server then begins again.
        if self.session.welcome().is_none() {
            self.server.known = false;
            self.server.events = 0;
        }
        self.connected = false;
        self.up.clear();
        self.down.clear();
        self.session.handle_disconnect();
    }

    fn deliver(&mut self) {
        while let Some(delivery) = self.session.poll_delivery() {
            if let Delivery::Event(event) = delivery {
                assert_eq!(event.skipped, 0);
                assert_eq!((event.namespace.as_str(), event.event.as_str()), ("test", "count"));
                self.received.push(event.number);
            }
        }
    }

    fn heal(&mut self) {
        for _ in 0..6 {
            for step in [Step::Connect, Step::Up(999), Step::Down(999), Step::Flush, Step::Down(999)] {
                self.step(step);
            }
            self.step(Step::Wait(300));
        }
        self.step(Step::Up(999));
    }
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => Just(Step::Send),
        4 => (1_usize..6).prop_map(Step::Up),
        4 => (1_usize..6).prop_map(Step::Down),
        1 => Just(Step::Cut),
        2 => Just(Step::Connect),
        1 => Just(Step::Crash),
        2 => Just(Step::Flush),
        2 => Just(Step::Emit),
        1 => Just(Step::RepeatTail),
        1 => Just(Step::Move),
        2 => (1_u64..400).prop_map(Step::Wait),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, failure_persistence: None, ..ProptestConfig::default() })]

    /// Every input the program sent is applied once and in order, and every event the server emitted is
    /// delivered once and in order, whatever breaks in between.
    #[test]
    fn exactly_once_both_ways(steps in prop::collection::vec(any_step(), 0..200)) {
        let mut net = Net::new();
        net.heal();
        for step in steps {
            net.step(step);
        }
        net.heal();
        prop_assert_eq!(&net.server.applied, &(1..=net.sent).collect::<Vec<_>>());
        prop_assert_eq!(&net.received, &(1..=net.server.events).collect::<Vec<_>>());
        prop_assert_eq!(net.session.pending_inputs(), 0);
        prop_assert_eq!(net.server.acked, net.server.events);
        prop_assert_eq!(net.session.progress(), net.server.progress());
    }
}

fn present() -> Net {
    let mut net = Net::new();
    net.heal();
    net
}

#[test]
fn the_window_closes_and_opens() {
    let mut net = present();
    for _ in 0..INPUT_WINDOW + 3 {
        net.step(Step::Send);
    }
    assert_eq!(net.sent, INPUT_WINDOW);
    net.heal();
    assert!(net.session.send("test", "count", vec![0; 4]).is_ok());
}

#[test]
fn an_attempt_without_an_answer_is_repeated_under_its_nonce() {
    let mut net = present();
    let nonce = |message: ClientMessage| match message {
        ClientMessage::Hello(hello) => hello.nonce,
        other => panic!("{other:?} instead of a hello"),
    };
    net.cut();
    assert_eq!(nonce(net.session.hello(70)), 70);
    net.session.handle_disconnect();
    assert_eq!(nonce(net.session.hello(71)), 70);
    net.cut();
    net.heal();
    net.cut();
    assert_eq!(nonce(net.session.hello(72)), 72);
}

#[test]
fn a_resumed_welcome_without_tables_keeps_them() {
    let mut net = present();
    net.cut();
    net.heal();
    let welcome = net.session.welcome().expect("welcomed");
    assert!(welcome.resumed);
    assert_eq!(welcome.names.len(), 1);
    assert_eq!(net.session.schemas().len(), 1);
}

#[test]
fn a_forgotten_session_begins_again_and_says_what_it_lost() {
    let mut net = present();
    net.step(Step::Send);
    net.step(Step::Send);
    net.session.handle_disconnect();
    let _ = net.session.hello(9);
    net.session.handle_message(net.now, Server::default().welcome(false));
    let deliveries: Vec<_> = std::iter::from_fn(|| net.session.poll_delivery()).collect();
    assert_eq!(deliveries[0], Delivery::Welcome { resumed: false, abandoned: 2 });
    assert_eq!(net.session.send("test", "count", Vec::new()), Ok(1));
}

#[test]
fn movement_carries_three_earlier_samples_and_never_waits_in_line() {
    let mut net = present();
    let samples = |net: &mut Net| {
        let moves: Vec<_> = std::iter::from_fn(|| net.session.poll_transmit())
            .filter_map(
                |message| if let ClientMessage::Move(samples) = message { Some(samples) } else { None },
            )
            .collect();
        assert!(moves.len() <= 1, "only the newest is worth sending");
        moves.into_iter().next().unwrap_or_default().iter().map(|sample| sample.tick.0).collect::<Vec<_>>()
    };
    let first = net.session.movement(net.now, Pose::default()).expect("the clock is known").0;
    for n in 1..6 {
        net.session.movement(net.now + Duration::from_millis(n * 50), Pose::default());
    }
    assert_eq!(samples(&mut net), [6, 9, 12, 15].map(|ahead| first + ahead));
    net.session.forget_movement();
    net.session.movement(net.now + Duration::from_millis(300), Pose::default());
    assert_eq!(samples(&mut net), [first + 18]);
    net.session.handle_disconnect();
    assert_eq!(net.session.movement(net.now, Pose::default()), None);
}

/// The edge had noted the attempt and could not say so: the same attempt again is recognised.
#[test]
fn an_attempt_that_found_the_world_busy_goes_on_under_its_nonce() {
    let profile = Profile { name: "Ada".to_owned(), token: "guest".to_owned(), spawn: None };
    let mut session = Session::new(profile);
    let nonce = |message| match message {
        ClientMessage::Hello(hello) => hello.nonce,
        other => panic!("{other:?} is no hello"),
    };
    let refused = |reason| ServerMessage::Refused(Refused { reason, message: String::new() });
    assert_eq!(nonce(session.hello(1)), 1);
    session.handle_message(Duration::ZERO, refused(RefusedReason::Busy));
    assert_eq!(nonce(session.hello(2)), 1, "busy is no answer");
    session.handle_message(Duration::ZERO, refused(RefusedReason::Ticket));
    assert_eq!(nonce(session.hello(3)), 3, "another attempt");
}
