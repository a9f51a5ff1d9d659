//! One player crosses between regions: freeze, final, compare-and-set, reclaim, takeover, hand-back.
//!
//! ```text
//!             freeze            Record: another          Final            Record: mine
//!   Owner ─────────────▶ Frozen ───────────────▶ Idle ──────────▶ Staged ──────────────▶ Owner
//!     ▲  Record: my keep   │                      ▲  Record: another │
//!     └────────────────────┘                      └──────────────────┘
//!   takeover: a successor ──▶ Recovering ── Record: my keep ──▶ Owner
//! ```
//!
//! Invariant: of all processes that believe to own the player at one epoch, the record names one. Its first input
//! picks a token up from the ground of the region, its second drops it again, so that a lost or repeated effect shows
//! as a token too few or too many.
//!
//! A superseded process is never stopped: it runs on as a zombie and does everything it did before. The same model
//! with three regions is the *corner*, where a stale message may be from two owners ago.

mod step;

use std::collections::BTreeSet;
use std::fmt;

use stateright::{Model, Property};

use crate::check::{Bound, Subject};
use crate::decision::Owner;
use crate::mutant::Mutant;

/// The model, for so many regions.
#[derive(Debug, Clone)]
pub(super) struct Crossing<const REGIONS: u8> {
    /// Inputs that the client sends.
    inputs: u8,
    /// Nobody freezes at this epoch or above.
    epochs: u8,
    /// Regions that a second process takes over, at most.
    takeovers: u8,
    without: Option<Mutant>,
}

/// What a process is to the player.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Role {
    Idle,
    /// `flushed`: inputs that its journal is known to hold.
    Owner {
        epoch: u8,
        player: Player,
        flushed: u8,
    },
    Frozen {
        epoch: u8,
        player: Player,
        to: u8,
    },
    Staged {
        epoch: u8,
        from: u8,
        player: Player,
    },
    Recovering {
        epoch: u8,
    },
}

/// The player's state: inputs applied, and whether the token is in the pocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Player {
    pub(crate) applied: u8,
    pub(crate) token: bool,
}

/// One process. `seen` is the highest epoch it knows: the tombstone.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Process {
    pub(crate) running: bool,
    pub(crate) ground: bool,
    pub(crate) seen: u8,
    pub(crate) role: Role,
}

/// What is durable: the record, the journals' last word on the player and on the ground, and the leases.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Store {
    pub(crate) owner: Owner,
    pub(crate) player: Player,
    pub(crate) ground: Vec<bool>,
    /// Whether the region's lease has gone to its second process.
    pub(crate) taken: Vec<bool>,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    pub(crate) store: Store,
    /// The first process of region `r` is `r`, its successor `r + REGIONS`.
    pub(crate) processes: Vec<Process>,
    pub(crate) sent: u8,
    /// Highest durable acknowledgement that the client has heard.
    pub(crate) acknowledged: u8,
    /// Epoch and input of the last frame the client has seen.
    pub(crate) shown: (u8, u8),
    pub(crate) rolled_back: bool,
    pub(crate) takeovers: u8,
    pub(crate) network: BTreeSet<Message>,
}

/// What is on its way, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Message {
    Final { from: u8, to: u8, epoch: u8, player: Player },
    CasMove { by: u8, from: u8, epoch: u8, player: Player },
    CasKeep { by: u8, epoch: u8 },
    Record { owner: Owner, player: Player },
    Journal { by: u8, epoch: u8, player: Player, ground: bool },
    Durable { by: u8, epoch: u8, applied: u8 },
    Frame { epoch: u8, applied: u8 },
    Acknowledge { applied: u8 },
}

/// One step of anybody.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// The client numbers one more input.
    Send,
    /// The owner applies the next input.
    Apply(u8),
    /// The owner writes its journal.
    Flush(u8),
    /// The owner freezes the player for another region.
    Freeze(u8, u8),
    /// The frozen source has waited long enough.
    Reclaim(u8),
    /// A second process takes the lease of a region and reads.
    TakeOver(u8),
    /// A message arrives.
    Deliver(Message, u8),
}

/// The store, or the client, as a receiver.
const ELSEWHERE: u8 = u8::MAX;

impl<const REGIONS: u8> Crossing<REGIONS> {
    pub(crate) const fn region(process: u8) -> u8 {
        process % REGIONS
    }

    pub(crate) fn is_without(&self, guard: Mutant) -> bool {
        self.without == Some(guard)
    }

    pub(crate) fn with(inputs: u8, epochs: u8, takeovers: u8, without: Option<Mutant>) -> Self {
        Self { inputs, epochs, takeovers, without }
    }
}

impl<const REGIONS: u8> Model for Crossing<REGIONS> {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let player = Player { applied: 0, token: false };
        let process = |index: u8| Process {
            running: index < REGIONS,
            ground: index == 0,
            seen: 0,
            role: if index == 0 { Role::Owner { epoch: 1, player, flushed: 0 } } else { Role::Idle },
        };
        let store = Store {
            owner: Owner { epoch: 1, region: 0, by: 0, attempt: 0 },
            player,
            ground: (0..REGIONS).map(|region| region == 0).collect(),
            taken: vec![false; REGIONS.into()],
        };
        vec![State {
            store,
            processes: (0..2 * REGIONS).map(process).collect(),
            sent: 0,
            acknowledged: 0,
            shown: (1, 0),
            rolled_back: false,
            takeovers: 0,
            network: BTreeSet::new(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.sent < self.inputs {
            actions.push(Action::Send);
        }
        for (index, process) in (0..).zip(&state.processes).filter(|(_, process)| process.running) {
            match process.role {
                Role::Owner { epoch, player, flushed } => {
                    if player.applied < state.sent {
                        actions.push(Action::Apply(index));
                    }
                    if player.applied > flushed {
                        actions.push(Action::Flush(index));
                    }
                    let is_durable = player.applied == flushed || self.is_without(Mutant::FinalBeforeFlush);
                    if is_durable && epoch < self.epochs {
                        let others = (0..REGIONS).filter(|&region| region != Self::region(index));
                        actions.extend(others.map(|region| Action::Freeze(index, region)));
                    }
                }
                Role::Frozen { .. } => actions.push(Action::Reclaim(index)),
                Role::Idle | Role::Staged { .. } | Role::Recovering { .. } => {}
            }
        }
        if state.takeovers < self.takeovers {
            let free = (0..REGIONS).filter(|&region| !state.store.taken[usize::from(region)]);
            actions.extend(free.map(Action::TakeOver));
        }
        for &message in &state.network {
            let deliver = |to| Action::Deliver(message, to);
            match message {
                Message::Final { to, .. } => actions.extend([to, to + REGIONS].map(deliver)),
                Message::Record { .. } => actions.extend((0..2 * REGIONS).map(deliver)),
                Message::Durable { by, .. } => actions.push(deliver(by)),
                Message::CasMove { .. }
                | Message::CasKeep { .. }
                | Message::Journal { .. }
                | Message::Frame { .. }
                | Message::Acknowledge { .. } => actions.push(deliver(ELSEWHERE)),
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        self.step(&mut state, &action);
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut properties = vec![
            Property::<Self>::always("I1 one owner per epoch", |_, state| {
                let mut epochs: Vec<u8> = owners(state).map(|(_, epoch)| epoch).collect();
                epochs.sort_unstable();
                epochs.windows(2).all(|pair| pair[0] != pair[1])
            }),
            Property::<Self>::always(
                "I1b the owner at the record's epoch is the one it names",
                |_, state| {
                    let record = state.store.owner;
                    owners(state)
                        .all(|(by, epoch)| epoch < record.epoch || (epoch, by) == (record.epoch, record.by))
                },
            ),
            Property::<Self>::always("I1c without a takeover there is at most one owner", |_, state| {
                state.takeovers > 0 || owners(state).count() <= 1
            }),
            Property::<Self>::always("I3 no acknowledged input is lost", |_, state| {
                state.store.player.applied >= state.acknowledged
            }),
            Property::<Self>::always("I5 the token is in one place", |_, state| {
                let durable = state.store.ground.iter().chain([&state.store.player.token]);
                durable.filter(|&&there| there).count() == 1
            }),
            Property::<Self>::always("I6 the client's view goes back only after a takeover", |_, state| {
                !state.rolled_back
            }),
            Property::<Self>::sometimes("moved with all inputs", |model, state| {
                let all = |process: &Process| matches!(process.role, Role::Owner { player, .. } if player.applied == model.inputs);
                state.store.owner.region == 1 && all(&state.processes[1])
            }),
            Property::<Self>::sometimes("taken back after a freeze", |_, state| {
                matches!(state.processes[0].role, Role::Owner { epoch: 2, .. })
            }),
        ];
        if self.takeovers > 0 {
            properties
                .push(Property::<Self>::sometimes("recovered by a successor, then moved", |_, state| {
                    state.store.owner.by == 1 && state.store.taken[0] && state.store.owner.epoch >= 3
                }));
            properties.push(Property::<Self>::sometimes(
                "a zombie still owns while another does",
                |_, state| {
                    matches!(state.processes[0].role, Role::Owner { .. })
                        && owners(state).any(|(by, _)| Self::region(by) == 1)
                },
            ));
        }
        if REGIONS == 3 {
            properties.push(Property::<Self>::sometimes("round the corner and home again", |_, state| {
                state.store.owner == Owner { epoch: 4, region: 0, by: 0, ..state.store.owner }
                    && state.processes.iter().take(3).all(|process| process.seen >= 2)
            }));
            properties.push(Property::<Self>::sometimes("two targets have staged one player", |_, state| {
                let staged = |process: &&Process| matches!(process.role, Role::Staged { .. });
                state.processes.iter().filter(staged).count() == 2
            }));
        }
        properties
    }
}

fn owners(state: &State) -> impl Iterator<Item = (u8, u8)> + '_ {
    (0..).zip(&state.processes).filter_map(|(by, process)| match process.role {
        Role::Owner { epoch, .. } if process.running => Some((by, epoch)),
        _ => None,
    })
}

impl Subject for Crossing<2> {
    const NAME: &'static str = "crossing";
    const ABOUT: &'static str = "two regions: freeze, final, commit, reclaim, takeovers, zombies, hand-back";

    fn new(bound: Bound, without: Option<Mutant>) -> Self {
        Self::with(2, 3, bound.choose(1, 2), without)
    }
}

impl Subject for Crossing<3> {
    const NAME: &'static str = "corner";
    const ABOUT: &'static str =
        "three regions: finals for two of them, A to B to C to A, messages of older hops";

    fn new(bound: Bound, without: Option<Mutant>) -> Self {
        Self::with(bound.choose(1, 2), 4, 0, without)
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send => write!(f, "the client sends its next input"),
            Self::Apply(by) => write!(f, "process {by} applies the next input"),
            Self::Flush(by) => write!(f, "process {by} writes its journal"),
            Self::Freeze(by, to) => write!(f, "process {by} freezes the player for region {to}"),
            Self::Reclaim(by) => write!(f, "process {by} has waited long enough"),
            Self::TakeOver(region) => {
                write!(f, "a successor takes over region {region}; the old process runs on")
            }
            Self::Deliver(message, ELSEWHERE) => write!(f, "{message}"),
            Self::Deliver(message, to) => write!(f, "process {to} hears: {message}"),
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Final { from, to, epoch, player } => {
                let applied = player.applied;
                write!(f, "region {from}'s final for region {to} at epoch {epoch}, input {applied}")
            }
            Self::CasMove { by, epoch, .. } => {
                write!(f, "the store hears process {by} ask to move epoch {epoch}")
            }
            Self::CasKeep { by, epoch } => {
                write!(f, "the store hears process {by} ask to keep epoch {epoch}")
            }
            Self::Record { owner, player } => {
                let Owner { epoch, region, by, .. } = owner;
                let applied = player.applied;
                write!(f, "the record is epoch {epoch}, region {region}, process {by}, input {applied}")
            }
            Self::Journal { by, epoch, player, .. } => {
                write!(f, "the disk has what process {by} wrote at epoch {epoch}, input {}", player.applied)
            }
            Self::Durable { applied, .. } => write!(f, "input {applied} is durable"),
            Self::Frame { epoch, applied } => write!(f, "the client sees epoch {epoch}, input {applied}"),
            Self::Acknowledge { applied } => write!(f, "the client hears that input {applied} is durable"),
        }
    }
}
