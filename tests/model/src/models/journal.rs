//! The journal of one region as plain files: segments with cuts, and two takeovers.
//!
//! ```text
//!   take the lease ─▶ read ─▶ write Takeover{cut}, sync ─▶ apply ─▶ append, sync ─▶ lease still mine? ─▶ acknowledge
//! ```
//!
//! Invariant: **whoever holds the newest lease knows everything that was ever acknowledged.** A file does not refuse
//! the append of a process that has lost its lease, so what lies beyond a successor's cut is void, for everybody who
//! comes later. One thing lies on the ground, and two players ask for it.
//!
//! Of the readings without a cut, none holds: not the first record of the file, not the last, and not with records of
//! an older lease passed over once a newer one was read.

use std::fmt;

use stateright::{Model, Property};

use crate::check::{Bound, Subject};
use crate::mutant::Mutant;

/// The model: so many holders one after another, none of which ever ends.
#[derive(Debug, Clone)]
pub(super) struct Journal {
    holders: u8,
    without: Option<Mutant>,
}

/// Who has the thing; 0 is the ground.
pub(super) type Player = u8;

/// A record of the region's journal, in the order of the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Entry {
    /// The holder of this lease gave the thing to a player.
    Given { lease: u8, to: Player },
    /// The holder of this lease has read so many records.
    Takeover { lease: u8, cut: u8 },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Phase {
    /// Has no lease yet.
    Waiting,
    Raised,
    Read,
    /// Acts.
    Ready,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Process {
    phase: Phase,
    /// As it knows.
    owner: Player,
    cut: u8,
    to_append: bool,
    to_confirm: bool,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    /// The lease at the store; holder `i` has lease `i + 1`.
    lease: u8,
    journal: Vec<Entry>,
    processes: Vec<Process>,
    /// Players who were told that the thing is theirs.
    told: [bool; 3],
}

/// One step of anybody.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// The next process takes the lease.
    Take,
    /// It reads the journal.
    Read(u8),
    /// It writes its cut.
    Cut(u8),
    /// It gives the thing to a player, in memory.
    Give(u8, Player),
    /// It appends that and syncs.
    Append(u8),
    /// It asks whether the lease still stands; on a yes the player is told.
    Confirm(u8),
}

impl Journal {
    fn is_without(&self, guard: Mutant) -> bool {
        self.without == Some(guard)
    }

    fn has_cuts(&self) -> bool {
        let guards = [Mutant::NoCut, Mutant::LastRecordWins, Mutant::SkipLowerLease];
        !guards.into_iter().any(|guard| self.is_without(guard))
    }

    /// Who has the thing, to somebody who reads the journal.
    fn replay(&self, journal: &[Entry]) -> Player {
        let is_void = |at: usize, of: u8| {
            let cut_off = |entry: &Entry| matches!(entry, Entry::Takeover { lease, cut } if of < *lease && at >= usize::from(*cut));
            self.has_cuts() && journal.iter().any(cut_off)
        };
        let (mut owner, mut highest) = (0, 0);
        for (at, entry) in journal.iter().enumerate() {
            let Entry::Given { lease, to } = *entry else { continue };
            let is_lower = self.is_without(Mutant::SkipLowerLease) && lease < highest;
            if is_void(at, lease) || is_lower {
                continue;
            }
            highest = highest.max(lease);
            if owner == 0 || self.is_without(Mutant::LastRecordWins) {
                owner = to;
            }
        }
        owner
    }
}

impl Model for Journal {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let process = |index: u8| Process {
            phase: if index == 0 { Phase::Ready } else { Phase::Waiting },
            owner: 0,
            cut: 0,
            to_append: false,
            to_confirm: false,
        };
        let processes = (0..self.holders).map(process).collect();
        vec![State { lease: 1, journal: vec![], processes, told: [false; 3] }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.lease < self.holders {
            actions.push(Action::Take);
        }
        for (by, process) in (0..).zip(&state.processes) {
            match process.phase {
                Phase::Waiting => {}
                Phase::Raised => actions.push(Action::Read(by)),
                Phase::Read => actions.push(Action::Cut(by)),
                Phase::Ready => {
                    if process.owner == 0 {
                        actions.extend([Action::Give(by, 1), Action::Give(by, 2)]);
                    }
                    if process.to_append {
                        actions.push(Action::Append(by));
                    }
                    if process.to_confirm {
                        actions.push(Action::Confirm(by));
                    }
                }
            }
        }
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Take => {
                state.processes[usize::from(state.lease)].phase = Phase::Raised;
                state.lease += 1;
            }
            Action::Read(by) => {
                let process = &mut state.processes[usize::from(by)];
                process.owner = self.replay(&state.journal);
                process.cut = u8::try_from(state.journal.len()).expect("a model has few records");
                process.phase = if self.has_cuts() { Phase::Read } else { Phase::Ready };
            }
            Action::Cut(by) => {
                let process = &mut state.processes[usize::from(by)];
                state.journal.push(Entry::Takeover { lease: by + 1, cut: process.cut });
                process.phase = Phase::Ready;
            }
            Action::Give(by, to) => {
                let process = &mut state.processes[usize::from(by)];
                (process.owner, process.to_append) = (to, true);
            }
            Action::Append(by) => {
                let process = &mut state.processes[usize::from(by)];
                (process.to_append, process.to_confirm) = (false, true);
                state.journal.push(Entry::Given { lease: by + 1, to: process.owner });
            }
            Action::Confirm(by) => {
                let process = &mut state.processes[usize::from(by)];
                process.to_confirm = false;
                if state.lease == by + 1 || self.is_without(Mutant::AckWithoutConfirm) {
                    state.told[usize::from(process.owner)] = true;
                }
            }
        }
        Some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::<Self>::always("I5 the thing was promised to one player only", |_, state| {
                !(state.told[1] && state.told[2])
            }),
            Property::<Self>::always("I3 the newest holder knows every acknowledgement", |_, state| {
                let newest = &state.processes[usize::from(state.lease) - 1];
                let knows = |player: Player| !state.told[usize::from(player)] || newest.owner == player;
                newest.phase != Phase::Ready || (knows(1) && knows(2))
            }),
            Property::<Self>::sometimes("acknowledged", |_, state| state.told[1]),
            Property::<Self>::sometimes("acknowledged after two takeovers", |_, state| {
                state.lease == 3 && state.told[2]
            }),
            Property::<Self>::sometimes("a superseded holder has appended beyond a cut", |_, state| {
                let late = |entry: &Entry| matches!(entry, Entry::Given { lease: 1, .. });
                let cut = |entry: &Entry| matches!(entry, Entry::Takeover { cut: 0, .. });
                state.journal.iter().position(cut) < state.journal.iter().position(late)
                    && state.journal.iter().any(cut)
            }),
        ]
    }
}

impl Subject for Journal {
    const NAME: &'static str = "journal";
    const ABOUT: &'static str = "segments with cuts, and two takeovers of one region";

    fn new(bound: Bound, without: Option<Mutant>) -> Self {
        Self { holders: bound.choose(3, 4), without }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Take => write!(f, "the next process takes the lease; those before run on"),
            Self::Read(by) => write!(f, "process {by} reads the journal"),
            Self::Cut(by) => write!(f, "process {by} writes how much it has read"),
            Self::Give(by, to) => write!(f, "process {by} gives the thing to player {to}, in memory"),
            Self::Append(by) => write!(f, "process {by} appends that and syncs"),
            Self::Confirm(by) => {
                write!(f, "process {by} asks whether its lease stands, and tells the player on a yes")
            }
        }
    }
}
