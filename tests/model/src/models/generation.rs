//! The store loses its latest writes, and the world goes on under the next generation.
//!
//! ```text
//!   store ── restart on older data ──▶ suspended ── reports of regions, all journals ──▶ generation + 1
//!            (its run id is another)   no lease, no commit,    highest epoch wins         record and leases written anew
//!                                      no acknowledgement                                 from what they say
//! ```
//!
//! Invariant: an epoch is never granted twice, although the counter has gone back, and what was acknowledged is in the
//! record or in a journal that counts for it. Rules that the model needed: a store that finds another run id than the
//! last serves nobody until it has been recovered. Recovery asks every region and reads every journal, of the dead,
//! too; of two that speak of one entity the higher epoch counts, and of the same epoch the higher input. All that it
//! writes has the next generation, so that whoever did not report acts under an epoch that is lower for ever. A region
//! that reported its player and is named in the new record goes on with what it has; one that had given it away reads
//! its journal again. **A region uses its new lease only after it has read what it owns in the new generation**, and has
//! dropped everything else. Otherwise two things go wrong, each of which the model has shown: a late answer from before
//! the loss says *won* to a region that has reported, so that it acknowledges inputs of a player of whom the recovery knows
//! nothing; and an owner that was named again acknowledges what it has journalled under its old epoch, where nobody will
//! look for it.
//!
//! A region may report or not, and runs on either way. Without a report it loses its lease.

use std::collections::BTreeSet;
use std::fmt;

use horizon_handoff::{Claim, Expect, Holder, LeaseGuard, Verdict, Witness, judge};
use horizon_model::{Epoch, HandoffId, RegionId, WorkerId};
use stateright::{Model, Property};

use crate::check::{Bound, Subject};
use crate::mutant::Mutant;

/// The attempt of a recovery.
const RECOVERY: u8 = u8::MAX;

/// The model: two regions with one process each, one player.
#[derive(Debug, Clone)]
pub(super) struct Generation {
    inputs: u8,
    /// Nobody freezes at this count or above.
    counts: u64,
    losses: u8,
    without: Option<Mutant>,
}

/// What the store has of the player. `by` is a region, and its only process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct Record {
    epoch: Epoch,
    by: u8,
    attempt: u8,
    applied: u8,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Role {
    Idle,
    Owner { epoch: Epoch, applied: u8 },
    Frozen { epoch: Epoch, applied: u8 },
    Staged { epoch: Epoch, applied: u8 },
}

/// Newest first: by epoch, then by input.
type Evidence = (Epoch, u8, u8);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct Process {
    role: Role,
    seen: Epoch,
    /// The last that its journal has of the player.
    journal: Option<(Epoch, u8)>,
    /// Its lease is of this generation; none without.
    lease: Option<u16>,
    reported: Option<Option<(Epoch, u8)>>,
    /// The lease that a recovery has granted, until the region has read what it owns.
    granted: Option<u16>,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    generation: u16,
    is_serving: bool,
    /// All records there ever were since the last recovery; the last one counts. A loss takes some from the end.
    records: Vec<Record>,
    processes: [Process; 2],
    granted: BTreeSet<Epoch>,
    was_reused: bool,
    sent: u8,
    acknowledged: u8,
    losses: u8,
    network: BTreeSet<Message>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Message {
    Final { to: u8, epoch: Epoch, applied: u8 },
    Cas { by: u8, from: u8, epoch: Epoch, applied: u8 },
    Record(Record),
}

/// One step of anybody.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// The client numbers one more input.
    Send,
    /// The owner applies the next input.
    Apply(u8),
    /// The owner's journal is synced; if the store confirms the lease, the client is told.
    Flush(u8),
    /// The owner freezes and, its journal durable and its lease confirmed, sends the final.
    Freeze(u8),
    /// The source asks to keep.
    Keep(u8),
    /// The target asks again.
    Move(u8),
    /// The store begins again with so many of its records.
    Lose(usize),
    /// A region tells the recovery what it has.
    Report(u8),
    /// The recovery writes the new generation.
    Recover,
    /// A message arrives at a process.
    Deliver(Message, u8),
}

const STORE: u8 = u8::MAX;

const fn attempt(by: u8, epoch: Epoch, is_keep: bool) -> u8 {
    by * 64 + (epoch.generation() as u8) * 16 + (epoch.count() as u8) * 2 + is_keep as u8
}

impl Generation {
    fn is_without(&self, guard: Mutant) -> bool {
        self.without == Some(guard)
    }

    fn step(&self, state: &mut State, action: &Action) {
        match *action {
            Action::Send => state.sent += 1,
            Action::Apply(by) => {
                if let Role::Owner { applied, .. } = &mut state.processes[usize::from(by)].role {
                    *applied += 1;
                }
            }
            Action::Flush(by) => {
                state.flush(by);
            }
            Action::Freeze(by) => {
                let is_durable = state.flush(by);
                let role = &mut state.processes[usize::from(by)].role;
                if let Role::Owner { epoch, applied } = *role
                    && is_durable
                {
                    *role = Role::Frozen { epoch, applied };
                    state.network.insert(Message::Final { to: 1 - by, epoch, applied });
                }
            }
            Action::Keep(by) => {
                if let Role::Frozen { epoch, applied } = state.processes[usize::from(by)].role {
                    state.network.insert(Message::Cas { by, from: by, epoch, applied });
                }
            }
            Action::Move(by) => {
                if let Role::Staged { epoch, applied } = state.processes[usize::from(by)].role {
                    state.network.insert(Message::Cas { by, from: 1 - by, epoch, applied });
                }
            }
            Action::Lose(kept) => {
                state.losses += 1;
                state.records.truncate(kept);
                state.is_serving = self.is_without(Mutant::ServesAfterLoss);
            }
            Action::Report(by) => {
                let process = &mut state.processes[usize::from(by)];
                process.reported = Some(match process.role {
                    Role::Owner { epoch, applied } | Role::Frozen { epoch, applied } => {
                        Some((epoch, applied))
                    }
                    Role::Idle | Role::Staged { .. } => None,
                });
            }
            Action::Recover => self.recover(state),
            Action::Deliver(message, to) => state.deliver(message, to),
        }
    }

    fn recover(&self, state: &mut State) {
        let record = state.record();
        let mut evidence: Vec<Evidence> = vec![(record.epoch, record.applied, record.by)];
        for (by, process) in (0..).zip(&state.processes) {
            let heard = [process.journal, process.reported.flatten()];
            evidence.extend(heard.into_iter().flatten().map(|(epoch, applied)| (epoch, applied, by)));
        }
        let newest = match self.without {
            Some(Mutant::ReportsIgnored) => evidence.first(),
            Some(Mutant::LowestEpochWins) => evidence.iter().min(),
            _ => evidence.iter().max(),
        };
        let &(epoch, applied, by) = newest.expect("the store has a record");
        if !self.is_without(Mutant::GenerationNotRaised) {
            state.generation += 1;
        }
        let record = Record { epoch: epoch.next_in(state.generation), by, attempt: RECOVERY, applied };
        state.records.clear();
        state.write(record);
        state.is_serving = true;
        for process in &mut state.processes {
            // Whoever did not report is taken for dead, and comes back as a stranger.
            process.granted = process.reported.take().map(|_| state.generation);
            process.lease = None;
            if self.is_without(Mutant::LeaseBeforeRecords) {
                process.lease = process.granted;
            }
        }
        state.network.insert(Message::Record(record));
    }
}

impl State {
    fn record(&self) -> Record {
        *self.records.last().expect("a loss leaves the first record")
    }

    fn write(&mut self, record: Record) {
        let highest = self.granted.last().copied().unwrap_or(Epoch::ZERO);
        self.was_reused |= record.epoch <= highest;
        self.granted.insert(record.epoch);
        self.records.push(record);
    }

    fn confirms(&self, by: u8) -> bool {
        self.is_serving && self.processes[usize::from(by)].lease == Some(self.generation)
    }

    /// Writes the owner's journal; true if the lease was confirmed after it.
    fn flush(&mut self, by: u8) -> bool {
        let confirms = self.confirms(by);
        let process = &mut self.processes[usize::from(by)];
        let Role::Owner { epoch, applied } = process.role else { return false };
        process.journal = Some((epoch, applied));
        if confirms {
            self.acknowledged = self.acknowledged.max(applied);
        }
        confirms
    }

    /// What a successor of the record's owner would begin with.
    fn durable(&self) -> u8 {
        let record = self.record();
        let journal = self.processes[usize::from(record.by)].journal;
        let later = journal.filter(|(epoch, _)| *epoch == record.epoch).map_or(0, |(_, applied)| applied);
        record.applied.max(later)
    }

    fn deliver(&mut self, message: Message, to: u8) {
        match message {
            Message::Final { epoch, applied, .. } => {
                let process = &mut self.processes[usize::from(to)];
                if process.role == Role::Idle && epoch >= process.seen {
                    process.role = Role::Staged { epoch, applied };
                }
            }
            Message::Cas { by, from, epoch, applied } => self.compare_and_set(by, from, epoch, applied),
            Message::Record(record) => {
                let process = &mut self.processes[usize::from(to)];
                process.hear(to, record);
            }
        }
    }

    fn compare_and_set(&mut self, by: u8, from: u8, epoch: Epoch, applied: u8) {
        if !self.is_serving {
            return;
        }
        let record = self.record();
        let holder =
            |by: u8, generation| Holder { worker: WorkerId(by.into()), lease: Epoch::new(generation, 1) };
        let there = Witness {
            epoch: record.epoch,
            region: RegionId(record.by.into()),
            holder: Some(holder(record.by, record.epoch.generation())),
            handoff: HandoffId(record.attempt.into()),
        };
        // A connection from before the loss is gone, so the lease is as of now.
        let Some(lease) = self.processes[usize::from(by)].lease else { return };
        let Holder { worker, lease } = holder(by, lease);
        let attempt = attempt(by, epoch, by == from);
        let claim = Claim {
            guard: LeaseGuard { region: RegionId(by.into()), worker, lease },
            expect: Some(Expect { epoch, region: RegionId(from.into()) }),
            handoff: HandoffId(attempt.into()),
            park: false,
        };
        if let Verdict::Write(won) = judge(self.generation, self.confirms(by), Some(&there), &claim) {
            self.write(Record { epoch: won.epoch, by, attempt, applied });
        }
        self.network.insert(Message::Record(self.record()));
    }
}

impl Process {
    fn hear(&mut self, by: u8, record: Record) {
        let (epoch, is_keep, mine) = match self.role {
            Role::Idle => (self.seen, None, None),
            Role::Owner { epoch, applied } => (epoch, None, Some(applied)),
            Role::Staged { epoch, applied } => (epoch, Some(false), Some(applied)),
            Role::Frozen { epoch, applied } => (epoch, Some(true), Some(applied)),
        };
        if record.attempt == RECOVERY && self.granted == Some(record.epoch.generation()) {
            self.lease = self.granted;
        }
        if record.epoch <= epoch {
            return;
        }
        self.seen = self.seen.max(record.epoch);
        let won = is_keep.is_some_and(|is_keep| record.attempt == attempt(by, epoch, is_keep));
        // Named by a recovery, and known to the store: it goes on with what it has, or with what it reads.
        let named =
            (record.attempt, record.by) == (RECOVERY, by) && self.lease == Some(record.epoch.generation());
        self.role = if won || named {
            let plays = matches!(self.role, Role::Owner { .. } | Role::Frozen { .. });
            let applied = if won || plays { mine.unwrap_or(record.applied) } else { record.applied };
            Role::Owner { epoch: record.epoch, applied }
        } else {
            Role::Idle
        };
    }
}

impl Model for Generation {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let epoch = Epoch::new(1, 1);
        let process = |role| Process {
            role,
            seen: Epoch::ZERO,
            journal: None,
            lease: Some(1),
            reported: None,
            granted: None,
        };
        vec![State {
            generation: 1,
            is_serving: true,
            records: vec![Record { epoch, by: 0, attempt: 0, applied: 0 }],
            processes: [process(Role::Owner { epoch, applied: 0 }), process(Role::Idle)],
            granted: [epoch].into(),
            was_reused: false,
            sent: 0,
            acknowledged: 0,
            losses: 0,
            network: BTreeSet::new(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.sent < self.inputs {
            actions.push(Action::Send);
        }
        for (by, process) in (0..).zip(&state.processes) {
            match process.role {
                Role::Owner { epoch, applied } => {
                    if applied < state.sent {
                        actions.push(Action::Apply(by));
                    }
                    actions.push(Action::Flush(by));
                    if epoch.count() < self.counts {
                        actions.push(Action::Freeze(by));
                    }
                }
                Role::Frozen { .. } => actions.push(Action::Keep(by)),
                Role::Staged { .. } => actions.push(Action::Move(by)),
                Role::Idle => {}
            }
            if !state.is_serving && process.reported.is_none() {
                actions.push(Action::Report(by));
            }
        }
        if state.losses < self.losses && state.is_serving {
            actions.extend((1..state.records.len()).map(Action::Lose));
        }
        if !state.is_serving {
            actions.push(Action::Recover);
        }
        for &message in &state.network {
            match message {
                Message::Final { to, .. } => actions.push(Action::Deliver(message, to)),
                Message::Cas { .. } => actions.push(Action::Deliver(message, STORE)),
                Message::Record(_) => actions.extend([0, 1].map(|to| Action::Deliver(message, to))),
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
            Property::<Self>::always("I1 one owner per epoch", |_, state| {
                let epoch =
                    |role: Role| if let Role::Owner { epoch, .. } = role { Some(epoch) } else { None };
                let [a, b] = [epoch(state.processes[0].role), epoch(state.processes[1].role)];
                a.is_none() || a != b
            }),
            Property::<Self>::always("I2 no epoch is granted twice, and none below another", |_, state| {
                !state.was_reused
            }),
            Property::<Self>::always("I3 no acknowledged input is lost", |_, state| {
                !state.is_serving || state.durable() >= state.acknowledged
            }),
            Property::<Self>::sometimes("a won move was lost, and its winner was named again", |_, state| {
                let record = state.record();
                state.losses > 0 && (record.attempt, record.by) == (RECOVERY, 1) && state.acknowledged > 0
            }),
            Property::<Self>::sometimes(
                "a region that had given its player away has it again",
                |_, state| {
                    let record = state.record();
                    (record.attempt, record.by) == (RECOVERY, 0)
                        && matches!(state.processes[0].role, Role::Owner { epoch, .. } if epoch == record.epoch)
                        && state.processes[0].seen == record.epoch
                        && state.granted.len() > 2
                },
            ),
            Property::<Self>::sometimes("one that did not report runs on below the new epoch", |_, state| {
                let old = |process: &Process| match process.role {
                    Role::Owner { epoch, .. } => process.lease.is_none() && epoch < state.record().epoch,
                    _ => false,
                };
                state.processes.iter().any(old)
            }),
            Property::<Self>::sometimes("handed over again in the new generation", |_, state| {
                state.generation == 2 && state.record().attempt != RECOVERY
            }),
        ]
    }
}

impl Subject for Generation {
    const NAME: &'static str = "generation";
    const ABOUT: &'static str = "a store that lost its latest writes, and the next generation";

    fn new(bound: Bound, without: Option<Mutant>) -> Self {
        Self { inputs: bound.choose(1, 2), counts: bound.choose(4, 4), losses: 1, without }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send => write!(f, "the client sends its next input"),
            Self::Apply(by) => write!(f, "region {by} applies the next input"),
            Self::Flush(by) => {
                write!(f, "region {by} syncs its journal, and acknowledges if its lease is confirmed")
            }
            Self::Freeze(by) => write!(f, "region {by} freezes the player and sends its final"),
            Self::Keep(by) => write!(f, "region {by} asks to keep the player"),
            Self::Move(by) => write!(f, "region {by} asks to take the player"),
            Self::Lose(kept) => write!(f, "the store begins again on older data: {kept} of its records"),
            Self::Report(by) => write!(f, "region {by} reports what it has"),
            Self::Recover => write!(f, "the recovery reads all journals and writes the next generation"),
            Self::Deliver(message, STORE) => write!(f, "the store hears: {message}"),
            Self::Deliver(message, to) => write!(f, "region {to} hears: {message}"),
        }
    }
}

impl fmt::Display for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Final { epoch, applied, .. } => write!(f, "the final of epoch {epoch}, input {applied}"),
            Self::Cas { by, epoch, .. } => write!(f, "region {by} wants epoch {epoch}"),
            Self::Record(Record { epoch, by, applied, .. }) => {
                write!(f, "the record is epoch {epoch}, region {by}, input {applied}")
            }
        }
    }
}
