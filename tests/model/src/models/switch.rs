//! The scheduled switch: the target simulates from a named tick on, and holds what it does until its commit wins.
//!
//! ```text
//!   source  Owner ──name T──▶ Owner, until T ──▶ Stopped ─┬─ Record: target's ──▶ Idle
//!                                  │ journal, confirm     └─ Record: my keep ──▶ Owner: lives T + 1 … again
//!                                  ▼ Final as of T
//!   target  Idle ────────────▶ Ahead: T + 1, T + 2 … ─┬─ Record: mine ──▶ Owner: shows T + 1 …, in order
//!                              nothing leaves         └─ Record: another ──▶ Idle, all of it discarded
//! ```
//!
//! Invariant: **every tick is lived in public exactly once**. A client is shown tick t + 1 only as the successor of
//! the tick t that it was shown. What a tick was is the list of who lived each tick so far and whether an input was
//! applied in it, so a tick lived by two processes, left out, or shown and then taken back is a list that does not
//! continue the last one.
//!
//! *Zero missed ticks* means: without a crash, no list a client is shown ever leaves a tick out or repeats one,
//! whatever the network does and whoever wins. They may be shown late, by as much as the commit takes: clients draw
//! two ticks behind. After an aborted switch the source lives the ticks since T itself, before it goes on.
//!
//! Rules that the model needed: the source lives no tick beyond T before it has won a keep, and by then has shown all of
//! them up to T. What the target did ahead becomes a journal record only after the commit, and an acknowledgement only
//! after that. A target that has lost begins the next attempt with the next final alone.

mod step;

use std::collections::BTreeSet;
use std::fmt;

use stateright::{Model, Property};

use crate::check::{Bound, Subject};
use crate::decision::Owner;
use crate::mutant::Mutant;

/// The model: two regions and a successor for each, one player.
#[derive(Debug, Clone)]
pub(super) struct Switch {
    inputs: u8,
    /// Ticks of the world.
    ticks: u8,
    epochs: u8,
    takeovers: u8,
    without: Option<Mutant>,
}

/// One tick of the player's life: who lived it under which epoch, and whether an input was applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Lived {
    by: u8,
    epoch: u8,
    input: bool,
}

/// A player's life from tick 1 on.
pub(super) type Life = Vec<Lived>;

fn applied(life: &[Lived]) -> u8 {
    life.iter().map(|tick| u8::from(tick.input)).sum()
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Role {
    Idle,
    /// `shown`: ticks that have left as frames; `flushed`: ticks that are durable; `until`: the named tick.
    Owner {
        epoch: u8,
        life: Life,
        shown: usize,
        flushed: usize,
        until: Option<usize>,
    },
    Stopped {
        epoch: u8,
        life: Life,
    },
    /// The target; `at` is the named tick.
    Ahead {
        epoch: u8,
        life: Life,
        at: usize,
    },
    Recovering {
        epoch: u8,
    },
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Process {
    running: bool,
    seen: u8,
    role: Role,
    /// What a target keeps of an attempt that it lost; nothing, if it does what it should.
    kept: Option<Life>,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    owner: Owner,
    /// The durable life: the record's, or what the record's owner has journalled since.
    durable: Life,
    taken: [bool; 2],
    processes: [Process; 4],
    sent: u8,
    acknowledged: Life,
    /// Epoch and life of the last frame the client was shown.
    shown: (u8, Life),
    has_seam: bool,
    takeovers: u8,
    network: BTreeSet<Message>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Message {
    Final { to: u8, epoch: u8, life: Life },
    Cas { by: u8, from: u8, epoch: u8, life: Life },
    Record { owner: Owner },
}

/// One step of anybody.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// The client numbers one more input; every process gets it.
    Send,
    /// A process lives the next tick, with the next input or without.
    Live(u8, bool),
    /// The owner shows the next tick it has lived.
    Show(u8),
    /// The owner's journal is durable and its lease confirmed.
    Flush(u8),
    /// The owner names the tick after which it will stop.
    Name(u8, usize),
    /// The owner stops at the named tick; its journal is durable, and the final leaves.
    Stop(u8),
    /// A compare-and-set leaves.
    Ask(u8),
    /// A second process takes over a region.
    TakeOver(u8),
    /// A message arrives.
    Deliver(Message, u8),
}

const STORE: u8 = u8::MAX;

const fn region(by: u8) -> u8 {
    by % 2
}

const fn attempt(by: u8, epoch: u8, is_keep: bool) -> u8 {
    by * 16 + epoch * 2 + is_keep as u8
}

impl Model for Switch {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let process = |running, role| Process { running, seen: 0, role, kept: None };
        let owner = Role::Owner { epoch: 1, life: vec![], shown: 0, flushed: 0, until: None };
        vec![State {
            owner: Owner { epoch: 1, region: 0, by: 0, attempt: 0 },
            durable: vec![],
            taken: [false; 2],
            processes: [
                process(true, owner),
                process(true, Role::Idle),
                process(false, Role::Idle),
                process(false, Role::Idle),
            ],
            sent: 0,
            acknowledged: vec![],
            shown: (1, vec![]),
            has_seam: false,
            takeovers: 0,
            network: BTreeSet::new(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.sent < self.inputs {
            actions.push(Action::Send);
        }
        for by in (0..4).filter(|&by| state.processes[usize::from(by)].running) {
            self.own_actions(state, by, actions);
        }
        if state.takeovers < self.takeovers {
            let free = (0..2).filter(|&region| !state.taken[usize::from(region)]);
            actions.extend(free.map(Action::TakeOver));
        }
        for message in &state.network {
            let deliver = |to| Action::Deliver(message.clone(), to);
            match message {
                Message::Final { to, .. } => actions.extend([*to, *to + 2].map(deliver)),
                Message::Cas { .. } => actions.push(deliver(STORE)),
                Message::Record { .. } => actions.extend((0..4).map(deliver)),
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.step(&mut state, action);
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::<Self>::always("I1 one owner per epoch, the one the record names", |_, state| {
                let record = state.owner;
                (0..).zip(&state.processes).all(|(by, process)| match process.role {
                    Role::Owner { epoch, .. } => {
                        epoch < record.epoch || (epoch, by) == (record.epoch, record.by)
                    }
                    _ => true,
                })
            }),
            Property::<Self>::always("I3 no acknowledged tick is lost", |_, state| {
                state.durable.starts_with(&state.acknowledged)
            }),
            Property::<Self>::always("I7 no tick is missing, doubled or taken back", |_, state| {
                !state.has_seam
            }),
            Property::<Self>::always("I7b what is durable and what was shown are one life", |_, state| {
                let public = &state.shown.1;
                let common = state.durable.len().min(public.len());
                state.takeovers > 0 || state.durable[..common] == public[..common]
            }),
            Property::<Self>::sometimes(
                "the target was ahead, won, and showed what it had done",
                |_, state| {
                    let life = &state.shown.1;
                    let ahead = |tick: &&Lived| tick.by == 1 && tick.epoch == 1;
                    state.takeovers == 0
                        && life.iter().filter(ahead).count() >= 1
                        && life.first().is_some_and(|t| t.by == 0)
                },
            ),
            Property::<Self>::sometimes(
                "the target was ahead and lost; the source lived the tick itself",
                |_, state| {
                    let ahead =
                        |role: &Role| matches!(role, Role::Ahead { life, at, .. } if life.len() > *at);
                    ahead(&state.processes[1].role)
                        && state.shown.1.iter().any(|tick| tick.by == 0 && tick.epoch == 2)
                },
            ),
            Property::<Self>::sometimes("acknowledged by the target after the commit", |_, state| {
                state.acknowledged.last().is_some_and(|tick| tick.by == 1 && tick.input)
            }),
        ];
        if self.takeovers > 0 {
            properties.push(Property::<Self>::sometimes(
                "a successor goes on at the named tick",
                |_, state| {
                    let Role::Owner { epoch: 3, life, .. } = &state.processes[3].role else { return false };
                    life.last().is_some_and(|tick| tick.by == 0)
                },
            ));
        }
        properties
    }
}

impl Subject for Switch {
    const NAME: &'static str = "switch";
    const ABOUT: &'static str =
        "the scheduled switch: the target lives ahead and holds its effects until it has won";

    fn new(bound: Bound, without: Option<Mutant>) -> Self {
        Self { inputs: 1, ticks: 3, epochs: 3, takeovers: bound.choose(0, 1), without }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send => write!(f, "the client sends its next input, and every process has it"),
            Self::Live(by, true) => write!(f, "process {by} lives the next tick and applies the input in it"),
            Self::Live(by, false) => write!(f, "process {by} lives the next tick"),
            Self::Show(by) => write!(f, "process {by} shows the next tick it has lived"),
            Self::Flush(by) => write!(f, "process {by} has its journal durable and its lease confirmed"),
            Self::Name(by, tick) => write!(f, "process {by} will stop after tick {tick}"),
            Self::Stop(by) => write!(f, "process {by} stops and sends its final"),
            Self::Ask(by) => write!(f, "process {by} sends its compare-and-set"),
            Self::TakeOver(region) => {
                write!(f, "a successor takes over region {region}; the old process runs on")
            }
            Self::Deliver(message, STORE) => write!(f, "the store hears: {message}"),
            Self::Deliver(message, to) => write!(f, "process {to} hears: {message}"),
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Final { epoch, life, .. } => {
                write!(f, "the final of epoch {epoch} as of tick {}", life.len())
            }
            Self::Cas { by, epoch, life, .. } => {
                write!(f, "process {by} wants epoch {epoch} with the state of tick {}", life.len())
            }
            Self::Record { owner: Owner { epoch, region, by, .. } } => {
                write!(f, "the record is epoch {epoch}, region {region}, process {by}")
            }
        }
    }
}
