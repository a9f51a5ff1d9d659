//! A stay in the world, whatever becomes of its sockets: numbering, window, resending, deduplication.
//!
//! ```text
//!             hello()                 handle_message(Welcome)
//!   Apart ──────────────▶ Greeting ───────────────────────────▶ Present
//!     ▲                      │ handle_disconnect                   │
//!     └──────────────────────┴─────────────────────────────────────┘
//! ```
//!
//! Invariant: an input stays here until the server calls it durable, and an event leaves here at most once.
//! Both hold across any number of connections, so the server may forget everything but what is durable.
//! Knows no socket and no clock: `now` is an argument, messages go in and out. `docs/protocol.md`, section 5.

mod movement;

use std::collections::VecDeque;
use std::time::Duration;

use horizon_model::{Epoch, ObjectSchema, Tick};
use horizon_protocol::client::{
    ClientMessage, Closing, EventName, Hello, INPUT_WINDOW, Input, MoveSample, Progress, Refused,
    RefusedReason, Resume, ServerMessage, Spelling, VERSION, Welcome,
};

use crate::Clock;

/// Longest time an event waits for its acknowledgement.
const ACK_DELAY: Duration = Duration::from_millis(200);
/// Events that are acknowledged at once: a quarter of the server's usual tail.
const ACK_AFTER: u32 = 16;
/// Pings that follow each other quickly on a new connection, until the clock is good.
const QUICK_PINGS: u32 = 4;
const QUICK_PING_INTERVAL: Duration = Duration::from_millis(250);
const PING_INTERVAL: Duration = Duration::from_secs(1);

/// Who wants to be in the world.
#[derive(Debug, Clone, PartialEq)]
pub struct Profile {
    /// Display name, 1 to 32 bytes.
    pub name: String,
    /// Identity token; `guest` in development worlds.
    pub token: String,
    /// Where a development guest wants to appear, metres.
    pub spawn: Option<[f64; 3]>,
}

/// The reliable window is closed: 64 inputs wait to become durable. Try again after the next update.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{INPUT_WINDOW} inputs are not durable yet; wait for the next update")]
pub struct WindowFull;

/// What a session passes on to the program.
#[derive(Debug, Clone, PartialEq)]
pub enum Delivery {
    /// The server knows us; read [`Session::welcome`].
    Welcome {
        /// Whether the session goes on.
        resumed: bool,
        /// Inputs that went down with an older session: sent, and perhaps never applied.
        abandoned: u32,
    },
    /// A tick of the world, to be decoded with the session's spelling.
    State {
        /// Authority epoch of the player.
        epoch: Epoch,
        /// The tick.
        tick: Tick,
        /// GORC body.
        body: Vec<u8>,
    },
    /// A reliable event, delivered once.
    Event(Event),
    /// Inputs came further.
    Progress(Progress),
    /// The world may have gone back to `tick`; frames that follow say how.
    Resync {
        /// Authority epoch from now on.
        epoch: Epoch,
        /// Last certain tick.
        tick: Tick,
    },
    /// The hello was not accepted.
    Refused(Refused),
    /// The server is about to close the socket.
    Closing(Closing),
}

/// A reliable event from a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// Its number within the session.
    pub number: u32,
    /// Numbers below it that never came. Always 0 unless the server broke its promise.
    pub skipped: u32,
    /// The plugin's namespace.
    pub namespace: String,
    /// The event within it.
    pub event: String,
    /// MessagePack or JSON, by the session's spelling.
    pub payload: Vec<u8>,
}

impl Event {
    /// The payload as a type of the program's own.
    ///
    /// # Errors
    ///
    /// [`PayloadError`] where it is something else.
    pub fn read<T: serde::de::DeserializeOwned>(&self, spelling: Spelling) -> Result<T, PayloadError> {
        match spelling {
            Spelling::Binary => {
                rmp_serde::from_slice(&self.payload).map_err(|error| PayloadError(error.to_string()))
            }
            Spelling::Json => {
                serde_json::from_slice(&self.payload).map_err(|error| PayloadError(error.to_string()))
            }
        }
    }
}

/// The payload of an event is not what the program expects of it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the payload is something else: {0}")]
pub struct PayloadError(String);

/// An input that may still be needed. Its name becomes a number only when it is sent: a resumed session
/// may have other tables.
#[derive(Debug, Clone)]
struct Kept {
    seq: u32,
    namespace: String,
    event: String,
    payload: Vec<u8>,
}

/// Counters for whoever watches the protocol itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SessionStats {
    /// Inputs numbered.
    pub inputs: u32,
    /// Inputs sent again after a resume, a resync or a nack.
    pub resent: u64,
    /// Events that came again and were dropped.
    pub repeated_events: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Presence {
    Apart,
    Greeting,
    Present,
}

/// One stay. Feed it messages, take messages from it; see the module's picture.
#[derive(Debug)]
pub struct Session {
    profile: Profile,
    presence: Presence,
    /// Of the attempt that has not been answered.
    nonce: Option<u64>,
    ticket: Option<Vec<u8>>,
    welcome: Option<Welcome>,
    epoch: Epoch,
    newest: Tick,
    next_seq: u32,
    progress: Progress,
    /// Inputs above `durable`, in order.
    kept: VecDeque<Kept>,
    events: u32,
    acked: u32,
    ack_due: Option<Duration>,
    pings: u32,
    ping_due: Duration,
    samples: VecDeque<MoveSample>,
    clock: Clock,
    outbox: VecDeque<ClientMessage>,
    inbox: VecDeque<Delivery>,
    stats: SessionStats,
}

impl Session {
    /// A stay that has not begun.
    pub fn new(profile: Profile) -> Self {
        Self {
            profile,
            presence: Presence::Apart,
            nonce: None,
            ticket: None,
            welcome: None,
            epoch: Epoch::ZERO,
            newest: Tick(0),
            next_seq: 1,
            progress: Progress::default(),
            kept: VecDeque::new(),
            events: 0,
            acked: 0,
            ack_due: None,
            pings: 0,
            ping_due: Duration::ZERO,
            samples: VecDeque::new(),
            clock: Clock::default(),
            outbox: VecDeque::new(),
            inbox: VecDeque::new(),
            stats: SessionStats::default(),
        }
    }

    /// The first message of a new connection. `fresh_nonce` is random; an attempt that nobody answered
    /// is repeated under its old one.
    pub fn hello(&mut self, fresh_nonce: u64) -> ClientMessage {
        self.presence = Presence::Greeting;
        self.outbox.clear();
        let nonce = *self.nonce.get_or_insert(fresh_nonce);
        let resume = self.ticket.clone().map(|ticket| Resume { ticket, events: self.events });
        let Profile { name, token, spawn } = self.profile.clone();
        let spawn = if resume.is_some() { None } else { spawn };
        ClientMessage::Hello(Hello { version: VERSION, name, token, nonce, resume, spawn })
    }

    /// The connection is gone. Inputs stay; so does everything else that a resume needs.
    pub fn handle_disconnect(&mut self) {
        self.presence = Presence::Apart;
        self.outbox.clear();
        self.ack_due = None;
        self.samples.clear();
        self.clock.handle_disconnect();
    }

    /// Numbers an input and keeps it until it is durable. While apart it waits for the resume.
    ///
    /// # Errors
    ///
    /// [`WindowFull`]; nothing was numbered.
    pub fn send(&mut self, namespace: &str, event: &str, payload: Vec<u8>) -> Result<u32, WindowFull> {
        if self.kept.len() >= INPUT_WINDOW as usize {
            return Err(WindowFull);
        }
        let seq = self.next_seq;
        self.next_seq += 1;
        self.stats.inputs += 1;
        let kept = Kept { seq, namespace: namespace.to_owned(), event: event.to_owned(), payload };
        if self.presence == Presence::Present {
            self.outbox.push_back(self.input(&kept));
        }
        self.kept.push_back(kept);
        Ok(seq)
    }

    /// Leaves for good.
    pub fn bye(&mut self) {
        self.flush_ack();
        self.outbox.push_back(ClientMessage::Bye);
    }

    /// Advances by one message of the server.
    pub fn handle_message(&mut self, now: Duration, message: ServerMessage) {
        match message {
            ServerMessage::Welcome(welcome) => self.handle_welcome(now, *welcome),
            ServerMessage::State(state) => {
                self.newest = state.tick;
                self.epoch = state.epoch.unwrap_or(self.epoch);
                if let Some(progress) = state.progress {
                    self.handle_progress(progress);
                }
                self.inbox.push_back(Delivery::State {
                    epoch: self.epoch,
                    tick: state.tick,
                    body: state.body,
                });
            }
            ServerMessage::Event(event) => self.handle_event(now, event),
            ServerMessage::Progress(progress) => self.handle_progress(progress),
            ServerMessage::Pong { token, grid_us } => {
                self.clock.handle_pong(now, Duration::from_micros(token), grid_us);
            }
            ServerMessage::Nack { from } => self.resend_from(from),
            ServerMessage::Resync { epoch, tick } => {
                self.epoch = epoch;
                self.progress.applied = self.progress.durable;
                self.inbox.push_back(Delivery::Resync { epoch, tick });
                self.resend_from(self.progress.durable + 1);
            }
            ServerMessage::Ticket(ticket) => self.ticket = Some(ticket),
            ServerMessage::Refused(refused) => {
                // Busy is no answer: the attempt may have been noted, and is known by its nonce.
                self.nonce = self.nonce.filter(|_| refused.reason == RefusedReason::Busy);
                self.inbox.push_back(Delivery::Refused(refused));
            }
            ServerMessage::Closing(closing) => self.inbox.push_back(Delivery::Closing(closing)),
        }
    }

    fn handle_welcome(&mut self, now: Duration, mut welcome: Welcome) {
        self.nonce = None;
        self.presence = Presence::Present;
        let resumed = welcome.resumed;
        let mut abandoned = 0;
        if !resumed {
            abandoned = self.kept.len() as u32;
            self.kept.clear();
            self.next_seq = 1;
            self.progress = Progress::default();
            (self.events, self.acked) = (0, 0);
        }
        if welcome.names.is_empty()
            && welcome.schemas.is_empty()
            && let Some(known) = self.welcome.take_if(|known| known.tables_hash == welcome.tables_hash)
        {
            (welcome.names, welcome.schemas) = (known.names, known.schemas);
        }
        (self.epoch, self.newest) = (welcome.epoch, welcome.tick);
        self.ticket = Some(welcome.ticket.clone());
        (self.pings, self.ping_due) = (0, now);
        self.clock.handle_welcome(now, welcome.tick);
        let progress = Progress { applied: welcome.applied, durable: welcome.durable };
        self.welcome = Some(welcome);
        self.inbox.push_back(Delivery::Welcome { resumed, abandoned });
        // A crash may have undone what the older connection called applied.
        self.progress.applied = progress.applied.max(self.progress.durable);
        self.handle_progress(progress);
        self.resend_from(self.progress.applied + 1);
    }

    fn handle_event(&mut self, now: Duration, event: horizon_protocol::client::Event) {
        if event.number <= self.events {
            self.stats.repeated_events += 1;
            self.ack_due.get_or_insert(now + ACK_DELAY);
            self.acked = self.acked.min(event.number.saturating_sub(1));
            return;
        }
        let skipped = event.number - self.events - 1;
        self.events = event.number;
        self.ack_due.get_or_insert(now + ACK_DELAY);
        let (namespace, name) = match event.name {
            EventName::Named { namespace, event } => (namespace, event),
            EventName::Known(place) => {
                let names = self.welcome.as_ref().map_or(&[][..], |welcome| &welcome.names);
                names.get(usize::from(place)).cloned().unwrap_or_default()
            }
        };
        let number = event.number;
        self.inbox.push_back(Delivery::Event(Event {
            number,
            skipped,
            namespace,
            event: name,
            payload: event.payload,
        }));
        if self.events - self.acked >= ACK_AFTER {
            self.flush_ack();
        }
    }

    fn handle_progress(&mut self, progress: Progress) {
        let before = self.progress;
        self.progress.durable = before.durable.max(progress.durable);
        self.progress.applied = before.applied.max(progress.applied).max(self.progress.durable);
        while self.kept.front().is_some_and(|input| input.seq <= self.progress.durable) {
            self.kept.pop_front();
        }
        if self.progress != before {
            self.inbox.push_back(Delivery::Progress(self.progress));
        }
    }

    fn resend_from(&mut self, from: u32) {
        if self.presence != Presence::Present {
            return;
        }
        self.outbox.retain(|message| !matches!(message, ClientMessage::Input(_)));
        let again: Vec<_> =
            self.kept.iter().filter(|kept| kept.seq >= from).map(|kept| self.input(kept)).collect();
        self.stats.resent += again.len() as u64;
        self.outbox.extend(again);
    }

    fn flush_ack(&mut self) {
        self.ack_due = None;
        if self.events > self.acked && self.presence == Presence::Present {
            self.acked = self.events;
            self.outbox.push_back(ClientMessage::Ack { events: self.events });
        }
    }

    /// Acknowledges and pings where that is due.
    pub fn handle_timeout(&mut self, now: Duration) {
        if self.presence != Presence::Present {
            return;
        }
        if self.ack_due.is_some_and(|due| due <= now) {
            self.flush_ack();
        }
        if self.ping_due <= now {
            let token = u64::try_from(now.as_micros()).unwrap_or(u64::MAX);
            self.outbox.push_back(ClientMessage::Ping { token });
            self.pings += 1;
            self.ping_due = now + if self.pings < QUICK_PINGS { QUICK_PING_INTERVAL } else { PING_INTERVAL };
        }
    }

    /// When to call [`Self::handle_timeout`], and what for.
    pub fn next_timeout(&self) -> Option<(Duration, &'static str)> {
        if self.presence != Presence::Present {
            return None;
        }
        match self.ack_due {
            Some(due) if due < self.ping_due => Some((due, "acknowledgement")),
            _ => Some((self.ping_due, "ping")),
        }
    }

    /// The next message for the server, in the order in which they must travel.
    pub fn poll_transmit(&mut self) -> Option<ClientMessage> {
        self.outbox.pop_front()
    }

    /// Whether [`Self::poll_transmit`] has something.
    pub fn has_transmit(&self) -> bool {
        !self.outbox.is_empty()
    }

    /// The next thing for the program.
    pub fn poll_delivery(&mut self) -> Option<Delivery> {
        self.inbox.pop_front()
    }

    /// The newest welcome, with its tables complete.
    pub const fn welcome(&self) -> Option<&Welcome> {
        self.welcome.as_ref()
    }

    /// Object types by number; empty before the first welcome.
    pub fn schemas(&self) -> &[ObjectSchema] {
        self.welcome.as_ref().map_or(&[], |welcome| &welcome.schemas)
    }

    /// How far the inputs have come.
    pub const fn progress(&self) -> Progress {
        self.progress
    }

    /// Inputs that are not durable yet.
    pub fn pending_inputs(&self) -> usize {
        self.kept.len()
    }

    /// The newest tick known, against which the short ticks of binary frames are read.
    pub const fn newest_tick(&self) -> Tick {
        self.newest
    }

    /// Authority epoch of the newest frame.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// World time.
    pub const fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Counters so far.
    pub const fn stats(&self) -> SessionStats {
        self.stats
    }

    fn input(&self, kept: &Kept) -> ClientMessage {
        let names = self.welcome.as_ref().map_or(&[][..], |welcome| &welcome.names);
        let name = match names.iter().position(|(n, e)| *n == kept.namespace && *e == kept.event) {
            Some(place) => EventName::Known(place as u16),
            None => EventName::Named { namespace: kept.namespace.clone(), event: kept.event.clone() },
        };
        ClientMessage::Input(Input { seq: kept.seq, name, payload: kept.payload.clone() })
    }
}
