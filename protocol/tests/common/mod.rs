//! One named message of every kind, as the golden vectors spell them.

use horizon_model::{
    Cell, Channel, EntityId, Epoch, FieldSpec, ObjectSchema, PlayerId, Pose, Position, RegionId, SessionId,
    Tick,
};
use horizon_protocol::client::{
    ClientMessage, Closing, ClosingReason, Event, EventName, Hello, Input, MoveSample, Progress, Refused,
    RefusedReason, Resume, ServerMessage, State, Welcome,
};

/// The tick that state frames of the vectors are read against.
pub(crate) const REFERENCE: Tick = Tick(0x1_fff0);

/// The body of the vectors' state frames; what stands in it is not this crate's affair.
pub(crate) const JSON_BODY: &[u8] = br#"[{"gone": ["0001000100000002"]}]"#;

fn named(namespace: &str, event: &str) -> EventName {
    EventName::Named { namespace: namespace.to_owned(), event: event.to_owned() }
}

fn sample(tick: u64, cell: Cell, local: [f32; 3]) -> MoveSample {
    let position = Position::in_cell(cell, local).expect("inside the lattice");
    MoveSample { tick: Tick(tick), pose: Pose { position, velocity: [1.5, -2.0, 0.0], yaw: 0.75 } }
}

/// Every kind of client message; payloads suit the spelling.
pub(crate) fn client(payload: &[u8]) -> Vec<(&'static str, ClientMessage)> {
    let hello = Hello {
        version: 1,
        name: "Zoë".to_owned(),
        token: "guest".to_owned(),
        nonce: 0x0123_4567_89ab_cdef,
        resume: None,
        spawn: Some([10.5, -20.25, 0.0]),
    };
    let resume = Resume { ticket: vec![0xca, 0xfe, 0x00, 0x7f], events: 300 };
    let near = sample(0x1_fffe, Cell { x: 0, y: -1, z: 0 }, [12.5, 49.75, 0.25]);
    let next = sample(0x2_0000, Cell { x: 1, y: -1, z: 0 }, [0.5, 0.0, 0.25]);
    vec![
        ("hello-guest-with-spawn", ClientMessage::Hello(hello.clone())),
        ("hello-resume", ClientMessage::Hello(Hello { resume: Some(resume), spawn: None, ..hello })),
        (
            "input-named",
            ClientMessage::Input(Input { seq: 1, name: named("chat", "say"), payload: payload.to_vec() }),
        ),
        (
            "input-known",
            ClientMessage::Input(Input { seq: 300, name: EventName::Known(2), payload: payload.to_vec() }),
        ),
        ("move-one", ClientMessage::Move(vec![near])),
        ("move-redundant", ClientMessage::Move(vec![near, next])),
        ("ack", ClientMessage::Ack { events: 128 }),
        ("ping", ClientMessage::Ping { token: 0xffee_ddcc_bbaa_9988 }),
        ("bye", ClientMessage::Bye),
    ]
}

/// Every kind of server message; payloads and bodies suit the spelling.
pub(crate) fn server(payload: &[u8], body: &[u8]) -> Vec<(&'static str, ServerMessage)> {
    let mut schema = ObjectSchema::named("player");
    schema.fields.push(FieldSpec { name: "health".to_owned(), channel: Channel::Critical });
    schema.fields.push(FieldSpec { name: "name".to_owned(), channel: Channel::Metadata });
    let epoch = Epoch::new(1, 5);
    let welcome = Welcome {
        version: 1,
        resumed: false,
        session: SessionId(0x0011_2233_4455_6677_8899_aabb_ccdd_eeff),
        player: PlayerId(7),
        entity: EntityId::mint(RegionId(1), Epoch::new(1, 1), 2).expect("counter is not zero"),
        epoch,
        tick: Tick(0x1_fff0),
        rate_hz: 30,
        applied: 0,
        durable: 0,
        ticket: vec![0xca, 0xfe, 0x00, 0x7f],
        names: vec![("chat".to_owned(), "say".to_owned()), ("chat".to_owned(), "said".to_owned())],
        tables_hash: 0x1122_3344_5566_7788,
        schemas: vec![schema],
    };
    let resumed = Welcome {
        resumed: true,
        applied: 300,
        durable: 290,
        names: Vec::new(),
        schemas: Vec::new(),
        ..welcome.clone()
    };
    let progress = Progress { applied: 300, durable: 290 };
    vec![
        ("welcome", ServerMessage::Welcome(Box::new(welcome))),
        ("welcome-resumed", ServerMessage::Welcome(Box::new(resumed))),
        (
            "state-plain",
            ServerMessage::State(State {
                epoch: None,
                tick: Tick(0x1_fff2),
                progress: None,
                body: body.to_vec(),
            }),
        ),
        (
            "state-full-header",
            ServerMessage::State(State {
                epoch: Some(epoch),
                tick: Tick(0x2_0002),
                progress: Some(progress),
                body: body.to_vec(),
            }),
        ),
        (
            "event-known",
            ServerMessage::Event(Event { number: 1, name: EventName::Known(1), payload: payload.to_vec() }),
        ),
        (
            "event-named",
            ServerMessage::Event(Event {
                number: 2,
                name: named("ledger", "noted"),
                payload: payload.to_vec(),
            }),
        ),
        ("progress", ServerMessage::Progress(progress)),
        ("pong", ServerMessage::Pong { token: 0xffee_ddcc_bbaa_9988, grid_us: 2_184_566_666 }),
        ("nack", ServerMessage::Nack { from: 291 }),
        ("resync", ServerMessage::Resync { epoch: Epoch::new(1, 6), tick: Tick(0x1_ffe0) }),
        ("ticket", ServerMessage::Ticket(vec![0xbe, 0xef])),
        (
            "refused",
            ServerMessage::Refused(Refused {
                reason: RefusedReason::Token,
                message: "the token has expired; sign in again".to_owned(),
            }),
        ),
        (
            "closing",
            ServerMessage::Closing(Closing {
                reason: ClosingReason::Slow,
                message: "nothing was read for 10 s; resume with the ticket".to_owned(),
            }),
        ),
    ]
}
