//! What a player's program and Atlas say to each other.
//!
//! The types are the meaning; [`binary`] and [`json`] are two spellings of it.

pub mod binary;
mod bytes;
mod error;
pub mod json;

pub use error::{DecodeError, Problem};

use horizon_model::{EntityId, Epoch, ObjectSchema, PlayerId, Pose, SessionId, Tick};

/// Version of the client protocol, named in the hello and in a refusal.
pub const VERSION: u16 = 1;
/// WebSocket subprotocol of the binary spelling.
pub const SUBPROTOCOL_BINARY: &str = "horizon.v1";
/// WebSocket subprotocol of the text spelling.
pub const SUBPROTOCOL_JSON: &str = "horizon.v1.json";

/// Reliable inputs a client may have beyond the last durable one.
pub const INPUT_WINDOW: u32 = 64;
/// Movement samples in one message: the newest and the redundant ones before it.
pub const MAX_MOVE_SAMPLES: usize = 8;
/// Longest message before the hello is accepted, in bytes.
pub const MAX_HELLO_BYTES: usize = 2 * 1024;
/// Longest message of a client, in bytes.
pub const MAX_CLIENT_MESSAGE_BYTES: usize = 16 * 1024;
/// Longest display name, in bytes of UTF-8.
pub const MAX_NAME_BYTES: usize = 32;
/// Longest token or ticket, in bytes.
pub const MAX_TOKEN_BYTES: usize = 1024;
/// Longest namespace or event name, in bytes.
pub const MAX_EVENT_NAME_BYTES: usize = 48;
/// Most names in the welcome's table; also bounds the numbers that stand for them.
pub const MAX_EVENT_NAMES: usize = 4096;
/// Most object types in a welcome.
pub const MAX_SCHEMAS: usize = 1024;
/// Most fields of an object type.
pub const MAX_FIELDS: usize = 32;
/// Longest sentence in a refusal or a closing, in bytes.
pub const MAX_SENTENCE_BYTES: usize = 512;

/// How the messages of a session are spelled.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[rkyv(derive(Clone, Copy, PartialEq, Eq, Debug))]
pub enum Spelling {
    /// `horizon.v1`; plugin payloads are MessagePack.
    Binary,
    /// `horizon.v1.json`; plugin payloads are JSON.
    Json,
}

/// Names one plugin message. On the wire a number from the welcome's table, or both names in full.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EventName {
    /// Place in the table of names that the welcome carried.
    Known(u16),
    /// Spelled out; always allowed.
    Named {
        /// The plugin's namespace, as `chat`.
        namespace: String,
        /// The event within it, as `say`.
        event: String,
    },
}

/// From client to Atlas.
#[derive(Debug, Clone, PartialEq)]
pub enum ClientMessage {
    /// First message of a connection; anything else before it closes the socket.
    Hello(Hello),
    /// A reliable input: applied exactly once, in order of `seq`.
    Input(Input),
    /// The movement lane: oldest first, latest wins.
    Move(Vec<MoveSample>),
    /// Every event up to this number has been received.
    Ack {
        /// Highest event number received without a gap.
        events: u32,
    },
    /// Answered at once with [`ServerMessage::Pong`].
    Ping {
        /// Given back unchanged; the client's own clock in microseconds, for example.
        token: u64,
    },
    /// The player leaves for good: no linger.
    Bye,
}

/// Who is there, and whether an earlier session goes on.
#[derive(Debug, Clone, PartialEq)]
pub struct Hello {
    /// [`VERSION`] of the client.
    pub version: u16,
    /// Display name, 1 to 32 bytes of UTF-8 without control characters.
    pub name: String,
    /// Identity token. Development worlds accept `guest`.
    pub token: String,
    /// Random per attempt to join or resume; the same attempt repeated is recognised by it.
    pub nonce: u64,
    /// Continues a session instead of starting one.
    pub resume: Option<Resume>,
    /// Where a development guest wants to appear, metres; refused for others.
    pub spawn: Option<[f64; 3]>,
}

/// What a returning client still knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// The newest ticket received.
    pub ticket: Vec<u8>,
    /// Highest event number received without a gap.
    pub events: u32,
}

/// One numbered plugin message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Input {
    /// 1, 2, 3 … within the session.
    pub seq: u32,
    /// Which handler it is for.
    pub name: EventName,
    /// MessagePack or JSON, by the session's spelling.
    pub payload: Vec<u8>,
}

/// Where the player's body was at one tick of the world grid, by the client's clock.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, Debug, Clone, Copy, PartialEq)]
pub struct MoveSample {
    /// The tick that the client means.
    pub tick: Tick,
    /// What it claims; the `movement` plugin decides.
    pub pose: Pose,
}

/// From Atlas to client.
#[derive(Debug, Clone, PartialEq)]
pub enum ServerMessage {
    /// Answer to an accepted hello.
    Welcome(Box<Welcome>),
    /// One tick of the world as this client sees it.
    State(State),
    /// A numbered plugin message; reaches the client exactly once.
    Event(Event),
    /// Progress of the input lane where no state frame carries it.
    Progress(Progress),
    /// Answer to [`ClientMessage::Ping`].
    Pong {
        /// As sent.
        token: u64,
        /// Microseconds of world grid time since its origin when the ping was answered.
        grid_us: u64,
    },
    /// Inputs from this number on are missing here: send them again.
    Nack {
        /// First missing number.
        from: u32,
    },
    /// What was shown and not acknowledged after `tick` may have been rolled back by a crash.
    Resync {
        /// Authority epoch from now on.
        epoch: Epoch,
        /// Last tick that is certain.
        tick: Tick,
    },
    /// A fresh resume ticket; the older ones stay valid until used.
    Ticket(Vec<u8>),
    /// The hello was not accepted; the socket closes.
    Refused(Refused),
    /// The server closes the socket on purpose.
    Closing(Closing),
}

/// The start of a connection.
#[derive(Debug, Clone, PartialEq)]
pub struct Welcome {
    /// Server's [`VERSION`].
    pub version: u16,
    /// Whether an earlier session goes on; then inputs above `applied` must be sent again.
    pub resumed: bool,
    /// The stay that input and event numbers belong to.
    pub session: SessionId,
    /// The account.
    pub player: PlayerId,
    /// The player's own avatar.
    pub entity: EntityId,
    /// Authority epoch.
    pub epoch: Epoch,
    /// World tick of the region when it attached.
    pub tick: Tick,
    /// Steps per second of the region.
    pub rate_hz: u32,
    /// Highest input applied.
    pub applied: u32,
    /// Highest input that no crash can undo.
    pub durable: u32,
    /// Resume ticket.
    pub ticket: Vec<u8>,
    /// What events are called; inputs and events name their place in it.
    pub names: Vec<(String, String)>,
    /// Hash of `names` and `schemas`: the same hash means the same tables.
    pub tables_hash: u64,
    /// Object types, by their number.
    pub schemas: Vec<ObjectSchema>,
}

/// One tick for one client. Header by Atlas, body by the region.
#[derive(Debug, Clone, PartialEq)]
pub struct State {
    /// Authority epoch of the player, present on the first frame of a connection and where it changed.
    pub epoch: Option<Epoch>,
    /// The tick this frame describes.
    pub tick: Tick,
    /// Progress of the input lane, present where it changed.
    pub progress: Option<Progress>,
    /// GORC body: binary blocks, or a JSON array.
    pub body: Vec<u8>,
}

/// How far the reliable inputs of a session have come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Highest input applied by the simulation.
    pub applied: u32,
    /// Highest input that no crash can undo; the client may forget up to here.
    pub durable: u32,
}

/// A numbered plugin message to a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// 1, 2, 3 … within the session.
    pub number: u32,
    /// What happened.
    pub name: EventName,
    /// MessagePack or JSON, by the session's spelling.
    pub payload: Vec<u8>,
}

/// Why a hello was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// Machine-readable reason.
    pub reason: RefusedReason,
    /// Who must do what, in a sentence.
    pub message: String,
}

/// The reasons of [`Refused`], by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum RefusedReason {
    /// The two protocol versions differ; the message names both.
    Version = 1,
    /// The token proves nobody.
    Token = 2,
    /// Name, spawn or another field is not allowed.
    Field = 3,
    /// The ticket is broken, expired or already used by another connection; join anew.
    Ticket = 4,
    /// No region can take the player now; try again later.
    Busy = 5,
}

impl RefusedReason {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 5] = [Self::Version, Self::Token, Self::Field, Self::Ticket, Self::Busy];

    /// The reason with this number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u8 == code)
    }

    /// How the text spelling writes it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Version => "version",
            Self::Token => "token",
            Self::Field => "field",
            Self::Ticket => "ticket",
            Self::Busy => "busy",
        }
    }

    /// The WebSocket close code that follows.
    pub const fn close_code(self) -> u16 {
        match self {
            Self::Busy => 1013,
            Self::Version | Self::Token | Self::Field | Self::Ticket => 1008,
        }
    }
}

/// Why the server closes a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closing {
    /// Machine-readable reason.
    pub reason: ClosingReason,
    /// Who must do what, in a sentence.
    pub message: String,
}

/// The reasons of [`Closing`], by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ClosingReason {
    /// This edge goes away; resume with the ticket.
    Draining = 1,
    /// The whole world stops.
    Shutdown = 2,
    /// Another connection took the session or the account.
    Replaced = 3,
    /// Nothing was read for too long; resume with the ticket.
    Slow = 4,
    /// Nothing was heard for too long; resume with the ticket.
    Silent = 5,
    /// A message broke the protocol.
    Protocol = 6,
}

impl ClosingReason {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 6] =
        [Self::Draining, Self::Shutdown, Self::Replaced, Self::Slow, Self::Silent, Self::Protocol];

    /// The reason with this number.
    pub fn from_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|reason| *reason as u8 == code)
    }

    /// How the text spelling writes it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Draining => "draining",
            Self::Shutdown => "shutdown",
            Self::Replaced => "replaced",
            Self::Slow => "slow",
            Self::Silent => "silent",
            Self::Protocol => "protocol",
        }
    }

    /// The WebSocket close code that goes with it.
    pub const fn close_code(self) -> u16 {
        match self {
            Self::Draining | Self::Shutdown => 1001,
            Self::Replaced => 4001,
            Self::Slow => 1013,
            Self::Silent => 4002,
            Self::Protocol => 1008,
        }
    }

    /// Whether the session may go on over another connection.
    pub const fn resumable(self) -> bool {
        matches!(self, Self::Draining | Self::Shutdown | Self::Slow | Self::Silent)
    }
}
