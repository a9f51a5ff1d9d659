//! Coins cross a border: the sender's outbox, the receiver's memory, crashes of both, and a receiver who moves.
//!
//! ```text
//!   sender: coin leaves + outbox{tid}, one journal record ──▶ Give{tid} ──▶ whoever owns the receiver
//!              ▲                                                               │ tid is the next one? apply, journal
//!              └── outbox without tid ◀── Taken{tid} ◀─────────────────────────┘ when that is durable
//! ```
//!
//! Invariant: a coin is with the sender, in the outbox, or with the receiver: never in two of them and never in none.
//! What is sent may come late, twice, or to a region that the receiver has left. The receiver remembers the highest
//! number it has had, and that memory is part of its capsule, so it moves along. Because it is a high-water mark,
//! only the next number may be applied.

use std::fmt;

use stateright::{Model, Property};

use crate::check::{Bound, Subject};
use crate::mutant::Mutant;

/// Most coins that any bound has.
const MAX_COINS: usize = 3;

/// The model: a sender in one region, a receiver in one of two others.
#[derive(Debug, Clone)]
pub(super) struct Transfer {
    coins: u8,
    crashes: u8,
    moves: u8,
    without: Option<Mutant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Sender {
    coins: u8,
    /// Coin `tid` waits here.
    outbox: [bool; MAX_COINS],
    given: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Receiver {
    coins: u8,
    /// Numbers below this one have been applied.
    next: u8,
}

/// Everything: each side in memory and on its disk, and what was ever sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    sender: Sender,
    sender_disk: Sender,
    receiver: Receiver,
    receiver_disk: Receiver,
    gives: [bool; MAX_COINS],
    taken: [bool; MAX_COINS],
    crashes: u8,
    moves: u8,
}

/// One step of anybody.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// The sender gives a coin.
    Give,
    /// The sender's journal is durable.
    FlushSender,
    /// What is in the outbox is sent, again or for the first time.
    Send(u8),
    /// It arrives.
    Take(u8),
    /// The receiver's journal is durable.
    FlushReceiver,
    /// The receiver's region says that it has it.
    Taken(u8),
    /// The sender hears that.
    Drop(u8),
    /// The sender's region begins again from its journal.
    CrashSender,
    /// The receiver's region begins again from its journal.
    CrashReceiver,
    /// The receiver is handed to the other region.
    Move,
}

impl Transfer {
    fn is_without(&self, guard: Mutant) -> bool {
        self.without == Some(guard)
    }

    fn is_taken(&self, tid: u8, next: u8) -> bool {
        match self.without {
            Some(Mutant::NoInboxDedup) => true,
            Some(Mutant::HighWaterSkips) => tid >= next,
            _ => tid == next,
        }
    }
}

impl Model for Transfer {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let sender = Sender { coins: self.coins, outbox: [false; MAX_COINS], given: 0 };
        let receiver = Receiver { coins: 0, next: 0 };
        vec![State {
            sender,
            sender_disk: sender,
            receiver,
            receiver_disk: receiver,
            gives: [false; MAX_COINS],
            taken: [false; MAX_COINS],
            crashes: 0,
            moves: 0,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.sender.coins > 0 {
            actions.push(Action::Give);
        }
        actions.extend([Action::FlushSender, Action::FlushReceiver]);
        for tid in 0..self.coins {
            let index = usize::from(tid);
            let is_durable = state.sender_disk.outbox[index] || self.is_without(Mutant::SentBeforeJournal);
            if state.sender.outbox[index] && is_durable {
                actions.push(Action::Send(tid));
            }
            if state.gives[index] && self.is_taken(tid, state.receiver.next) {
                actions.push(Action::Take(tid));
            }
            let had =
                if self.is_without(Mutant::TakenInMemory) { state.receiver } else { state.receiver_disk };
            if tid < had.next && state.gives[index] {
                actions.push(Action::Taken(tid));
            }
            if state.taken[index] {
                actions.push(Action::Drop(tid));
            }
        }
        if state.crashes < self.crashes {
            actions.extend([Action::CrashSender, Action::CrashReceiver]);
        }
        // The source flushes before its final, so a capsule is never older than the journal.
        if state.moves < self.moves && state.receiver == state.receiver_disk {
            actions.push(Action::Move);
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Give => {
                let sender = &mut state.sender;
                sender.coins -= 1;
                sender.outbox[usize::from(sender.given)] = true;
                sender.given += 1;
            }
            Action::FlushSender => state.sender_disk = state.sender,
            Action::FlushReceiver => state.receiver_disk = state.receiver,
            Action::Send(tid) => {
                state.gives[usize::from(tid)] = true;
                if self.is_without(Mutant::DropsOnSend) {
                    state.sender.outbox[usize::from(tid)] = false;
                }
            }
            Action::Take(tid) => {
                state.receiver.coins += 1;
                state.receiver.next = state.receiver.next.max(tid + 1);
            }
            Action::Taken(tid) => state.taken[usize::from(tid)] = true,
            Action::Drop(tid) => state.sender.outbox[usize::from(tid)] = false,
            Action::CrashSender => {
                state.crashes += 1;
                state.sender = state.sender_disk;
            }
            Action::CrashReceiver => {
                state.crashes += 1;
                state.receiver = state.receiver_disk;
            }
            Action::Move => {
                state.moves += 1;
                if self.is_without(Mutant::HighWaterStaysBehind) {
                    (state.receiver.next, state.receiver_disk.next) = (0, 0);
                }
            }
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::<Self>::always("I5 no coin is lost or doubled", |model, state| {
                let waits = |tid: &u8| {
                    state.sender_disk.outbox[usize::from(*tid)] && *tid >= state.receiver_disk.next
                };
                let waiting = u8::try_from((0..model.coins).filter(waits).count()).unwrap_or(u8::MAX);
                state.sender_disk.coins + waiting + state.receiver_disk.coins == model.coins
            }),
            Property::<Self>::always(
                "I15 what the receiver has, the sender's journal has given",
                |_, state| state.receiver_disk.next <= state.sender_disk.given,
            ),
            Property::<Self>::always("I4 each is applied once, in order", |_, state| {
                state.receiver.coins == state.receiver.next
            }),
            Property::<Self>::sometimes("all arrived, and the outbox is empty", |model, state| {
                state.receiver_disk.coins == model.coins && state.sender_disk.outbox == [false; MAX_COINS]
            }),
            Property::<Self>::sometimes("sent before a move, and had after it", |_, state| {
                state.moves == 1 && state.receiver_disk.coins == 2 && state.taken[0] && !state.taken[1]
            }),
            Property::<Self>::sometimes("sent again after a crash that forgot the answer", |_, state| {
                state.crashes > 0 && state.receiver_disk.next == 1 && state.taken[0] && state.sender.outbox[0]
            }),
        ]
    }
}

impl Subject for Transfer {
    const NAME: &'static str = "transfer";
    const ABOUT: &'static str = "coins across a border, with crashes of both sides and a receiver who moves";

    fn new(bound: Bound, without: Option<Mutant>) -> Self {
        Self { coins: bound.choose(2, 3), crashes: bound.choose(2, 4), moves: bound.choose(1, 2), without }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Give => write!(f, "the sender gives a coin"),
            Self::FlushSender => write!(f, "the sender's journal is durable"),
            Self::Send(tid) => write!(f, "coin {tid} is sent from the outbox"),
            Self::Take(tid) => write!(f, "coin {tid} arrives, and the receiver has it in memory"),
            Self::FlushReceiver => write!(f, "the receiver's journal is durable"),
            Self::Taken(tid) => write!(f, "the receiver's region says that it has coin {tid}"),
            Self::Drop(tid) => write!(f, "the sender hears that, and takes coin {tid} from its outbox"),
            Self::CrashSender => write!(f, "the sender's region begins again from its journal"),
            Self::CrashReceiver => write!(f, "the receiver's region begins again from its journal"),
            Self::Move => write!(f, "the receiver is handed to another region"),
        }
    }
}
