//! From every reachable state, once faults stop, the player ends with exactly one owner that lives.
//!
//! ```text
//!   any state of `crossing` ── what is on its way: lost │ arrives once │ arrives once, newest first
//!        └──▶ superseded processes are dead ──▶ each of the others repeats what it waits for ──▶ one live owner
//! ```
//!
//! Invariant (I8, no limbo): the repairing schedule below ends within [`MAX_ROUNDS`] rounds with one process that
//! holds its region's lease, owns the player at the record's epoch, and goes on to apply what the client has sent.
//!
//! The checker's own *eventually* takes a cycle for a path that has not ended, so it can overlook a protocol that turns
//! in circles. This is checked in every state instead: safe states from which nothing leads out would be found here. The
//! schedule is a fixed one, and fair: every process that waits asks again, and every answer arrives. What the
//! network still holds is treated in three ways; the worst case is that all of it is lost.

use stateright::{Model, Property};

use super::crossing::{Action, Crossing, Message, Role, State};
use crate::check::{Bound, Subject};
use crate::mutant::Mutant;

/// Rounds in which everybody asks once and hears the answers. One to ask, one to hear who won, and the last
/// to apply what the client sends again.
const MAX_ROUNDS: usize = 4;

/// The model: `crossing`, and the repair from each of its states.
#[derive(Debug, Clone)]
pub(super) struct Liveness(Crossing<2>);

/// What becomes of messages that were on their way when the faults stopped.
#[derive(Debug, Clone, Copy)]
enum Rest {
    Lost,
    InOrder,
    Backwards,
}

impl Liveness {
    fn heals(&self, state: &State, rest: Rest) -> bool {
        let mut state = state.clone();
        for by in 0..4 {
            // Dead is the hardest way to be superseded: a process that lives could still tell what it knows.
            let lives = self.0.is_current(&state, by);
            state.processes[usize::from(by)].running &= lives;
        }
        let on_their_way: Vec<Message> = match rest {
            Rest::Lost => vec![],
            Rest::InOrder => state.network.iter().copied().collect(),
            Rest::Backwards => state.network.iter().rev().copied().collect(),
        };
        state.network.clear();
        for message in on_their_way {
            self.arrive(&mut state, message);
        }
        (0..MAX_ROUNDS).any(|_| {
            self.round(&mut state);
            self.is_well(&state)
        })
    }

    /// Everybody who waits asks again, and all answers arrive.
    fn round(&self, state: &mut State) {
        for by in 0..4 {
            let process = &state.processes[usize::from(by)];
            if !process.running {
                continue;
            }
            match process.role {
                Role::Idle => {}
                Role::Owner { player, .. } => {
                    if player.applied < state.sent {
                        self.0.step(state, &Action::Apply(by));
                    }
                    self.0.step(state, &Action::Flush(by));
                    // A journal that is refused makes its owner read the record.
                    let record = Message::Record { owner: state.store.owner, player: state.store.player };
                    state.network.insert(record);
                }
                Role::Frozen { .. } if self.0.is_without(Mutant::NeverReclaims) => {}
                Role::Frozen { .. } => self.0.step(state, &Action::Reclaim(by)),
                Role::Staged { .. } if self.0.is_without(Mutant::AsksOnce) => {}
                Role::Staged { epoch, from, player } => {
                    state.network.insert(Message::CasMove { by, from, epoch, player });
                }
                Role::Recovering { epoch } => {
                    state.network.insert(Message::CasKeep { by, epoch });
                }
            }
            while let Some(message) = state.network.pop_first() {
                self.arrive(state, message);
            }
        }
    }

    fn arrive(&self, state: &mut State, message: Message) {
        let to: Vec<u8> = match message {
            Message::Final { to, .. } => vec![to, to + 2],
            Message::Record { .. } => vec![0, 1, 2, 3],
            Message::Durable { by, .. } => vec![by],
            _ => vec![u8::MAX],
        };
        for to in to {
            let runs = state.processes.get(usize::from(to)).is_none_or(|process| process.running);
            if runs {
                self.0.step(state, &Action::Deliver(message, to));
            }
        }
    }

    fn is_well(&self, state: &State) -> bool {
        let owner = state.store.owner;
        let owns = |(_, process): &(u8, &super::crossing::Process)| {
            process.running && matches!(process.role, Role::Owner { .. })
        };
        let owners: Vec<_> = (0..).zip(&state.processes).filter(owns).collect();
        let [(by, process)] = owners[..] else { return false };
        let Role::Owner { epoch, player, flushed } = process.role else { return false };
        let waits =
            |role: Role| matches!(role, Role::Frozen { .. } | Role::Staged { .. } | Role::Recovering { .. });
        let nobody_waits = !state.processes.iter().any(|process| process.running && waits(process.role));
        let plays_on = player.applied == state.sent && flushed == player.applied;
        (epoch, by) == (owner.epoch, owner.by) && self.0.is_current(state, by) && plays_on && nobody_waits
    }
}

impl Model for Liveness {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        self.0.init_states()
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.0.actions(state, actions);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        self.0.next_state(last, action)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::<Self>::always("I8 one live owner, with everything on its way lost", |model, state| {
                model.heals(state, Rest::Lost)
            }),
            Property::<Self>::always("I8b one live owner, with everything arriving", |model, state| {
                model.heals(state, Rest::InOrder)
            }),
            Property::<Self>::always(
                "I8c one live owner, with everything arriving newest first",
                |model, state| model.heals(state, Rest::Backwards),
            ),
            Property::<Self>::sometimes("the record names a process that is dead", |model, state| {
                !model.0.is_current(state, state.store.owner.by)
            }),
            Property::<Self>::sometimes("frozen and staged at once", |_, state| {
                let is_frozen = matches!(state.processes[0].role, Role::Frozen { .. });
                is_frozen && matches!(state.processes[1].role, Role::Staged { .. })
            }),
        ]
    }
}

impl Subject for Liveness {
    const NAME: &'static str = "liveness";
    const ABOUT: &'static str =
        "from every state of `crossing`, once faults stop, one live owner who plays on";

    fn new(bound: Bound, without: Option<Mutant>) -> Self {
        Self(Crossing::with(bound.choose(1, 2), 3, 1, without))
    }
}
