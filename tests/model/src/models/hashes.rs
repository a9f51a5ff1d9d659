//! A commit that carries epochs and a hash alone; the capsule is durable in the target's journal before it.
//!
//! ```text
//!        Final (whole, or what changed since a copy)        append, sync          ask            Record: mine
//!   Idle ────────────────────────────────────────▶ Staged ─────────────▶ journalled ────▶ asked ─────────────▶ Owner
//!            put together, hash compared; if not equal: NeedFull
//! ```
//!
//! Invariant: **the record names a state that every later holder of the region finds.** The rules that this needs:
//!
//! 1. A compare-and-set, move or keep, leaves only when the state whose hash it names is durable in the writer's own
//!    segment: an `Arrival{attempt, capsule}` at a target, the frozen state at a source, the claimed state at a
//!    successor. So a source whose flush is late cannot keep before it either.
//! 2. The record keeps `attempt` and `hash`. A target compares the hash of what it has put together with the one in
//!    the final *before* it journals it; what is not equal is asked for as a whole.
//! 3. A successor raises the lease, *then* reads the journal and writes its cut, *then* reads the record. In any
//!    other order it misses an arrival whose commit still wins.
//! 4. It finds the state so: parts journalled at the record's epoch, the newest; otherwise the arrival of the
//!    record's attempt; otherwise what has the record's hash. Arrivals of other attempts mean nothing. One that finds
//!    nothing must stop and say so, never begin with an older state.
//! 5. What a segment holds beyond the successor's cut is void, arrivals included.
//! 6. It journals what it found in its own segment before it claims.
//!
//! The lease check inside the compare-and-set is what makes rule 3 enough: after the lease has risen no commit of the
//! predecessor wins, so whatever was won had been journalled before, and is read.
//!
//! Absent: removing old segments (one with an arrival stays until a newer snapshot is durable), records of parked
//! players (nobody's journal has them, so their record keeps the capsule), and the loss of the disk that the journal
//! is on: by hash alone, the region's journal is the only copy.

mod step;

use std::collections::BTreeSet;
use std::fmt;

use stateright::{Model, Property};

use crate::check::{Bound, Subject};
use crate::decision::Owner;
use crate::mutant::Mutant;

/// The model: two regions, one player, inputs that count.
#[derive(Debug, Clone)]
pub(super) struct Hashes {
    inputs: u8,
    /// Nobody freezes at this epoch or above.
    epochs: u8,
    takeovers: u8,
    without: Option<Mutant>,
}

/// A player's state; equal states have equal hashes, so it stands for its hash, too.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Player {
    applied: u8,
    /// Put together from a copy that the change was not meant for.
    is_garbage: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Role {
    Idle,
    /// `written`: in the file; `flushed`: confirmed besides.
    Owner {
        epoch: u8,
        player: Player,
        written: u8,
        flushed: u8,
    },
    /// `base`: the copy against which the final is told, if any.
    Frozen {
        epoch: u8,
        player: Player,
        base: Option<u8>,
        written: bool,
    },
    Staged {
        epoch: u8,
        player: Player,
        written: bool,
    },
    /// A successor that has the lease and has not read yet.
    Raised,
    /// A successor that has read and written its cut.
    Read,
    Recovering {
        epoch: u8,
        player: Player,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Process {
    running: bool,
    seen: u8,
    /// The pre-synced copy: inputs that it contains.
    copy: Option<u8>,
    role: Role,
}

/// A record of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Entry {
    /// What a target is about to commit.
    Arrival { attempt: u8, player: Player },
    /// What an owner, a source or a successor at this epoch has.
    Part { epoch: u8, player: Player },
}

/// One region: its two segments, how much of the first counts, and which process has the lease.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Region {
    first: Vec<Entry>,
    cut: Option<usize>,
    second: Vec<Entry>,
    taken: bool,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    /// The record: who owns, and the hash of the state at that moment.
    owner: Owner,
    hash: Player,
    regions: [Region; 2],
    /// The first process of region `r` is `r`, its successor `r + 2`.
    processes: [Process; 4],
    sent: u8,
    acknowledged: u8,
    takeovers: u8,
    network: BTreeSet<Message>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Message {
    Copy { to: u8, epoch: u8, applied: u8 },
    Final { to: u8, epoch: u8, base: Option<u8>, hash: Player },
    NeedFull { to: u8, epoch: u8 },
    Cas { by: u8, from: u8, epoch: u8, hash: Player },
    Record { owner: Owner },
}

/// One step of anybody.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// The client numbers one more input.
    Send,
    /// The owner applies the next input.
    Apply(u8),
    /// What a process has, or is about to commit, gets into its segment and is synced.
    Append(u8),
    /// The store is asked whether the lease still stands; a yes makes what is written durable.
    Confirm(u8),
    /// The owner streams a copy to the other region.
    Presync(u8),
    /// The owner freezes; its final will be told against a copy, or whole.
    Freeze(u8, Option<u8>),
    /// A compare-and-set leaves.
    Ask(u8),
    /// A successor takes the lease of a region.
    TakeOver(u8),
    /// A successor reads the predecessor's segment and writes its cut.
    Read(u8),
    /// A successor reads the record, journals what it found, and claims it.
    Claim(u8),
    /// A message arrives at a process.
    Deliver(Message, u8),
}

const STORE: u8 = u8::MAX;

impl Hashes {
    fn is_without(&self, guard: Mutant) -> bool {
        self.without == Some(guard)
    }
}

impl Region {
    /// What whoever serves the region after `by` reads.
    fn readable(&self) -> impl DoubleEndedIterator<Item = Entry> + '_ {
        let first = &self.first[..self.cut.unwrap_or(self.first.len())];
        first.iter().chain(&self.second).copied()
    }

    /// The state that the record names, by rule 4.
    fn find(&self, owner: Owner, hash: Player) -> Option<Player> {
        let newest = |wanted: &dyn Fn(Entry) -> Option<Player>| self.readable().rev().find_map(wanted);
        let part = newest(&|entry| match entry {
            Entry::Part { epoch, player } if epoch == owner.epoch => Some(player),
            _ => None,
        });
        let arrival = || {
            newest(&|entry| match entry {
                Entry::Arrival { attempt, player } if attempt == owner.attempt => Some(player),
                _ => None,
            })
        };
        let same = || {
            newest(&|entry| match entry {
                Entry::Part { player, .. } if player == hash => Some(player),
                _ => None,
            })
        };
        part.or_else(arrival).or_else(same)
    }
}

impl State {
    /// What a crash of everything would leave of the player.
    fn recoverable(&self) -> Option<Player> {
        self.regions[usize::from(self.owner.region)].find(self.owner, self.hash)
    }

    fn owners(&self) -> impl Iterator<Item = (u8, u8)> + '_ {
        (0..).zip(&self.processes).filter_map(|(by, process)| match process.role {
            Role::Owner { epoch, .. } => Some((by, epoch)),
            _ => None,
        })
    }
}

impl Model for Hashes {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let player = Player { applied: 0, is_garbage: false };
        let process = |running, role| Process { running, seen: 0, copy: None, role };
        let owner = Role::Owner { epoch: 1, player, written: 0, flushed: 0 };
        let region = |first| Region { first, cut: None, second: vec![], taken: false };
        vec![State {
            owner: Owner { epoch: 1, region: 0, by: 0, attempt: 0 },
            hash: player,
            regions: [region(vec![Entry::Part { epoch: 1, player }]), region(vec![])],
            processes: [
                process(true, owner),
                process(true, Role::Idle),
                process(false, Role::Idle),
                process(false, Role::Idle),
            ],
            sent: 0,
            acknowledged: 0,
            takeovers: 0,
            network: BTreeSet::new(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.sent < self.inputs {
            actions.push(Action::Send);
        }
        for (by, process) in (0..).zip(&state.processes).filter(|(_, process)| process.running) {
            self.own_actions(state, by, process, actions);
        }
        for region in 0..2 {
            if state.takeovers < self.takeovers && !state.regions[usize::from(region)].taken {
                let early = self.is_without(Mutant::ReadsBeforeLease)
                    && state.processes[usize::from(region) + 2].role == Role::Idle;
                actions.push(if early { Action::Read(region + 2) } else { Action::TakeOver(region) });
            }
        }
        for &message in &state.network {
            match message {
                Message::Copy { to, .. } | Message::Final { to, .. } => {
                    actions.extend([to, to + 2].map(|to| Action::Deliver(message, to)));
                }
                Message::NeedFull { to, .. } => actions.push(Action::Deliver(message, to)),
                Message::Record { .. } => actions.extend((0..4).map(|to| Action::Deliver(message, to))),
                Message::Cas { .. } => actions.push(Action::Deliver(message, STORE)),
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.step(&mut state, &action);
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::<Self>::always("I1 one owner per epoch, the one the record names", |_, state| {
                let record = state.owner;
                let named = |(by, epoch)| epoch < record.epoch || (epoch, by) == (record.epoch, record.by);
                let mut epochs: Vec<u8> = state.owners().map(|(_, epoch)| epoch).collect();
                epochs.sort_unstable();
                state.owners().all(named) && epochs.windows(2).all(|pair| pair[0] != pair[1])
            }),
            Property::<Self>::always("I3 the record names a state that a successor finds", |_, state| {
                state.recoverable().is_some()
            }),
            Property::<Self>::always("I3b no acknowledged input is lost", |_, state| {
                state.recoverable().is_none_or(|player| player.applied >= state.acknowledged)
            }),
            Property::<Self>::always("I4 no state is put together wrongly", |_, state| {
                state.recoverable().is_none_or(|player| !player.is_garbage)
            }),
            Property::<Self>::always("I9 what is found is at least what was committed", |_, state| {
                state.recoverable().is_none_or(|player| player.applied >= state.hash.applied)
            }),
            Property::<Self>::sometimes(
                "moved by a change against a copy, with an input after it",
                |_, state| {
                    let told = |message: &Message| matches!(message, Message::Final { base: Some(_), .. });
                    let plays = matches!(state.processes[1].role, Role::Owner { flushed: 1.., .. });
                    plays
                        && !state.network.iter().any(|m| matches!(m, Message::NeedFull { .. }))
                        && state.network.iter().any(told)
                },
            ),
            Property::<Self>::sometimes("a whole final was asked for, and won", |_, state| {
                let asked = |message: &Message| matches!(message, Message::NeedFull { .. });
                state.owner.region == 1 && state.owner.epoch == 2 && state.network.iter().any(asked)
            }),
            Property::<Self>::sometimes("taken back after a freeze", |_, state| {
                matches!(state.processes[0].role, Role::Owner { epoch: 2, .. })
            }),
            Property::<Self>::sometimes("a successor goes on from an arrival", |_, state| {
                matches!(
                    state.processes[3].role,
                    Role::Owner { epoch: 3, player: Player { applied: 1, .. }, .. }
                ) && state.regions[1].first.iter().all(|entry| matches!(entry, Entry::Arrival { .. }))
            }),
            Property::<Self>::sometimes("an arrival whose commit lost stays in a journal", |_, state| {
                state.owner.region == 0 && state.owner.epoch == 2 && !state.regions[1].first.is_empty()
            }),
        ]
    }
}

impl Subject for Hashes {
    const NAME: &'static str = "hashes";
    const ABOUT: &'static str =
        "commits of epochs and hashes, capsules durable in the target's journal before";

    fn new(bound: Bound, without: Option<Mutant>) -> Self {
        Self { inputs: 1, epochs: bound.choose(2, 3), takeovers: 1, without }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send => write!(f, "the client sends its next input"),
            Self::Apply(by) => write!(f, "process {by} applies the next input"),
            Self::Append(by) => write!(f, "process {by} has written and synced what it has"),
            Self::Confirm(by) => write!(f, "process {by} asks whether its lease stands"),
            Self::Presync(by) => write!(f, "process {by} streams a copy"),
            Self::Freeze(by, None) => write!(f, "process {by} freezes; the final will be whole"),
            Self::Freeze(by, Some(base)) => {
                write!(f, "process {by} freezes; the final will be what changed since input {base}")
            }
            Self::Ask(by) => write!(f, "process {by} sends its compare-and-set"),
            Self::TakeOver(region) => {
                write!(f, "a successor takes the lease of region {region}; the old process runs on")
            }
            Self::Read(by) => write!(f, "process {by} reads the predecessor's journal and writes its cut"),
            Self::Claim(by) => write!(f, "process {by} reads the record and claims what is its own"),
            Self::Deliver(message, STORE) => write!(f, "the store hears: {message}"),
            Self::Deliver(message, to) => write!(f, "process {to} hears: {message}"),
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Copy { epoch, applied, .. } => write!(f, "a copy of epoch {epoch} as of input {applied}"),
            Self::Final { epoch, base: None, hash, .. } => {
                write!(f, "the whole final of epoch {epoch}, input {}", hash.applied)
            }
            Self::Final { epoch, base: Some(base), hash, .. } => {
                write!(f, "the final of epoch {epoch}, what changed from input {base} to {}", hash.applied)
            }
            Self::NeedFull { epoch, .. } => write!(f, "send all of epoch {epoch}"),
            Self::Cas { by, epoch, hash, .. } => {
                write!(f, "process {by} wants epoch {epoch} with the hash of input {}", hash.applied)
            }
            Self::Record { owner: Owner { epoch, region, by, .. } } => {
                write!(f, "the record is epoch {epoch}, region {region}, process {by}")
            }
        }
    }
}
