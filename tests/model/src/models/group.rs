//! A vehicle and its rider: gathered under one owner, then moved in one commit.
//!
//! ```text
//!   vehicle at A, rider at B ── rider crosses to A ──▶ linked ── both frozen, one Final, one CAS of both ──▶ B
//!                                                         ▲        all records change, or none          │
//!                                                         └────────────── keep: of both ───────────────┘
//! ```
//!
//! Invariant (I16): **linked members have one region in their records.** Rules that the model needed: a link is a journal
//! record, and only who owns all members may write it; a freeze takes all of them or none; the store changes all of
//! their records or none; an attempt that has lost one member has lost all. A successor may claim them one by one, since
//! that changes no region, and defeats a commit of the group that is still on its way.

use std::collections::BTreeSet;
use std::fmt;

use stateright::{Model, Property};

use crate::check::{Bound, Subject};
use crate::decision::{Answer, Owner, Wish, decide};
use crate::mutant::Mutant;

/// The model: two regions, two members.
#[derive(Debug, Clone)]
pub(super) struct Group {
    /// How often anybody freezes.
    freezes: u8,
    takeovers: u8,
    without: Option<Mutant>,
}

/// What a process is to one member.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Role {
    Idle,
    Owner { epoch: u8 },
    Frozen { epoch: u8 },
    Staged { epoch: u8 },
    Recovering { epoch: u8 },
}

/// Epoch of each member that takes part; 0 for one that does not.
type Part = [u8; 2];

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    records: [Owner; 2],
    /// In the members' capsules and in the journal of who owns them.
    linked: bool,
    taken: [bool; 2],
    /// What process `r`, or the successor `r + 2` of region `r`, is to each member.
    roles: [[Role; 2]; 4],
    seen: [[u8; 2]; 4],
    freezes: u8,
    takeovers: u8,
    network: BTreeSet<Message>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Message {
    Final { to: u8, part: Part },
    Cas { by: u8, from: u8, part: Part },
    Records { owners: [Owner; 2] },
}

/// One step of anybody.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// The rider gets on.
    Link(u8),
    /// The rider gets off.
    Unlink(u8),
    /// A process freezes these members.
    Freeze(u8, [bool; 2]),
    /// A source that waits, or a successor, asks to keep what it has.
    Keep(u8),
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

impl Group {
    fn is_without(&self, guard: Mutant) -> bool {
        self.without == Some(guard)
    }

    fn is_current(state: &State, by: u8) -> bool {
        state.taken[usize::from(region(by))] == (by >= 2)
    }

    /// Whether a journal record of `by` about the member is accepted.
    fn holds(state: &State, by: u8, member: usize) -> bool {
        let record = state.records[member];
        let role = state.roles[usize::from(by)][member];
        Self::is_current(state, by) && record.by == by && role == Role::Owner { epoch: record.epoch }
    }

    fn may_link(&self, state: &State, by: u8) -> bool {
        let is_rider_here = Self::holds(state, by, 1) || self.is_without(Mutant::LinksForeignMember);
        !state.linked && Self::holds(state, by, 0) && is_rider_here
    }

    fn own_actions(&self, state: &State, by: u8, actions: &mut Vec<Action>) {
        if self.may_link(state, by) {
            actions.push(Action::Link(by));
        }
        let roles = state.roles[usize::from(by)];
        if state.linked && Self::holds(state, by, 0) && Self::holds(state, by, 1) {
            actions.push(Action::Unlink(by));
        }
        let may_freeze = |role: Role| matches!(role, Role::Owner { .. }) && state.freezes < self.freezes;
        match (state.linked, roles.map(may_freeze)) {
            (true, [true, true]) => actions.push(Action::Freeze(by, [true, true])),
            (true, [true, false]) if self.is_without(Mutant::FreezesPartOfGroup) => {
                actions.push(Action::Freeze(by, [true, false]));
            }
            (false, may) => {
                for member in (0..2).filter(|&member| may[member]) {
                    actions.push(Action::Freeze(by, [member == 0, member == 1]));
                }
            }
            (true, _) => {}
        }
        if roles.iter().any(|role| matches!(role, Role::Frozen { .. } | Role::Recovering { .. })) {
            actions.push(Action::Keep(by));
        }
    }

    fn step(&self, state: &mut State, action: &Action) {
        match *action {
            Action::Link(_) => state.linked = true,
            Action::Unlink(_) => state.linked = false,
            Action::Freeze(by, members) => {
                state.freezes += 1;
                let mut part = [0; 2];
                for member in (0..2).filter(|&member| members[member]) {
                    let role = &mut state.roles[usize::from(by)][member];
                    if let Role::Owner { epoch } = *role {
                        *role = Role::Frozen { epoch };
                        part[member] = epoch;
                    }
                }
                // Journal and lease come before the final.
                if Self::is_current(state, by) {
                    state.network.insert(Message::Final { to: 1 - region(by), part });
                }
            }
            Action::Keep(by) => {
                // Each by itself: one member that is kept is enough to undo the move of all.
                for (member, role) in state.roles[usize::from(by)].into_iter().enumerate() {
                    if let Role::Frozen { epoch } | Role::Recovering { epoch } = role {
                        let mut part = [0; 2];
                        part[member] = epoch;
                        state.network.insert(Message::Cas { by, from: region(by), part });
                    }
                }
            }
            Action::TakeOver(of) => {
                state.takeovers += 1;
                state.taken[usize::from(of)] = true;
                for (role, record) in state.roles[usize::from(of) + 2].iter_mut().zip(&state.records) {
                    if record.region == of {
                        *role = Role::Recovering { epoch: record.epoch };
                    }
                }
            }
            Action::Deliver(Message::Final { part, .. }, to) => Self::final_arrives(state, to, part),
            Action::Deliver(Message::Cas { by, from, part }, _) => {
                self.compare_and_set(state, by, from, part)
            }
            Action::Deliver(Message::Records { owners }, to) => Self::records_arrive(state, to, owners),
        }
    }

    fn final_arrives(state: &mut State, to: u8, part: Part) {
        let index = usize::from(to);
        let runs = to < 2 || state.taken[usize::from(region(to))];
        let free = |member: usize| {
            part[member] == 0
                || (state.roles[index][member] == Role::Idle && part[member] >= state.seen[index][member])
        };
        if runs && free(0) && free(1) {
            for member in (0..2).filter(|&member| part[member] > 0) {
                state.roles[index][member] = Role::Staged { epoch: part[member] };
            }
            state.network.insert(Message::Cas { by: to, from: 1 - region(to), part });
        }
    }

    fn compare_and_set(&self, state: &mut State, by: u8, from: u8, part: Part) {
        let is_current = Self::is_current(state, by);
        let judged: Vec<(usize, Answer)> = (0..2)
            .filter(|&member| part[member] > 0)
            .map(|member| {
                let epoch = part[member];
                let attempt = attempt(by, epoch, from == region(by));
                let wish = Wish { epoch, from, region: region(by), by, attempt };
                (member, decide(&state.records[member], is_current, &wish))
            })
            .collect();
        let all = judged.iter().all(|(_, answer)| matches!(answer, Answer::Written(_)));
        for (member, answer) in judged {
            if let Answer::Written(owner) = answer
                && (all || self.is_without(Mutant::MembersOneByOne))
            {
                state.records[member] = owner;
            }
        }
        state.network.insert(Message::Records { owners: state.records });
    }

    fn records_arrive(state: &mut State, to: u8, owners: [Owner; 2]) {
        let index = usize::from(to);
        let mut lost_attempt = false;
        for (member, owner) in owners.into_iter().enumerate() {
            let role = &mut state.roles[index][member];
            let (epoch, is_keep) = match *role {
                Role::Idle => continue,
                Role::Owner { epoch } => (epoch, None),
                Role::Staged { epoch } => (epoch, Some(false)),
                Role::Frozen { epoch } | Role::Recovering { epoch } => (epoch, Some(true)),
            };
            if owner.epoch <= epoch {
                continue;
            }
            let mine = is_keep.is_some_and(|is_keep| owner.attempt == attempt(to, epoch, is_keep));
            lost_attempt |= is_keep == Some(false) && !mine;
            *role = if mine { Role::Owner { epoch: owner.epoch } } else { Role::Idle };
            let seen = &mut state.seen[index][member];
            *seen = owner.epoch.max(*seen);
        }
        if lost_attempt {
            for role in &mut state.roles[index] {
                if matches!(role, Role::Staged { .. }) {
                    *role = Role::Idle;
                }
            }
        }
    }
}

impl Model for Group {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let mut roles = [[Role::Idle; 2]; 4];
        roles[0][0] = Role::Owner { epoch: 1 };
        roles[1][1] = Role::Owner { epoch: 1 };
        let record = |region| Owner { epoch: 1, region, by: region, attempt: 0 };
        vec![State {
            records: [record(0), record(1)],
            linked: false,
            taken: [false; 2],
            roles,
            seen: [[0; 2]; 4],
            freezes: 0,
            takeovers: 0,
            network: BTreeSet::new(),
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        for by in 0..4 {
            self.own_actions(state, by, actions);
        }
        if state.takeovers < self.takeovers {
            let free = (0..2).filter(|&region| !state.taken[usize::from(region)]);
            actions.extend(free.map(Action::TakeOver));
        }
        for &message in &state.network {
            let deliver = |to| Action::Deliver(message, to);
            match message {
                Message::Final { to, .. } => actions.extend([to, to + 2].map(deliver)),
                Message::Cas { .. } => actions.push(deliver(STORE)),
                Message::Records { .. } => actions.extend((0..4).map(deliver)),
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
            Property::<Self>::always("I1 who acts for a member is who its record names", |_, state| {
                (0..).zip(&state.roles).all(|(by, roles)| {
                    roles.iter().zip(&state.records).all(|(role, record)| match *role {
                        Role::Owner { epoch } | Role::Frozen { epoch } => {
                            epoch < record.epoch || (epoch, by) == (record.epoch, record.by)
                        }
                        _ => true,
                    })
                })
            }),
            Property::<Self>::always("I16 linked members have one region", |_, state| {
                !state.linked || state.records[0].region == state.records[1].region
            }),
            Property::<Self>::sometimes("gathered, linked, and moved together", |_, state| {
                state.linked && state.records.iter().all(|record| record.region == 1 && record.by == 1)
            }),
            Property::<Self>::sometimes("linked, frozen, and kept together", |_, state| {
                let kept = |role: Role| matches!(role, Role::Owner { epoch } if epoch >= 2);
                let attempt_of = |record: &Owner| record.attempt % 2 == 1 && record.by == 0;
                state.linked && state.roles[0].into_iter().all(kept) && state.records.iter().all(attempt_of)
            }),
            Property::<Self>::sometimes(
                "a successor has claimed one of two, and the group's commit is on its way",
                |_, state| {
                    let together = |message: &Message| matches!(message, Message::Cas { by: 1, part, .. } if !part.contains(&0));
                    let claimed = state.records.iter().filter(|record| record.by == 2).count() == 1;
                    state.linked && claimed && state.network.iter().any(together)
                },
            ),
        ]
    }
}

impl Subject for Group {
    const NAME: &'static str = "group";
    const ABOUT: &'static str = "a vehicle and its rider: gathered under one owner, moved in one commit";

    fn new(bound: Bound, without: Option<Mutant>) -> Self {
        Self { freezes: bound.choose(2, 3), takeovers: 1, without }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link(by) => write!(f, "in process {by} the rider gets on the vehicle"),
            Self::Unlink(by) => write!(f, "in process {by} the rider gets off"),
            Self::Freeze(by, [true, true]) => write!(f, "process {by} freezes both"),
            Self::Freeze(by, [true, false]) => write!(f, "process {by} freezes the vehicle"),
            Self::Freeze(by, _) => write!(f, "process {by} freezes the rider"),
            Self::Keep(by) => write!(f, "process {by} asks to keep what it has"),
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
            Self::Final { part, .. } => write!(f, "the final of epochs {part:?} (vehicle, rider; 0 is none)"),
            Self::Cas { by, part, .. } => write!(f, "process {by} wants epochs {part:?} (vehicle, rider)"),
            Self::Records { owners: [vehicle, rider] } => write!(
                f,
                "the records are vehicle: epoch {} of process {}, rider: epoch {} of process {}",
                vehicle.epoch, vehicle.by, rider.epoch, rider.by
            ),
        }
    }
}
