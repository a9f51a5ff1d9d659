//! A session that resumes beside a handoff, with welcomes that get lost.
//!
//! ```text
//!   client ── Resume{ticket, nonce} ──▶ edge ── compare-and-set of the session ──▶ store
//!      ▲                                 │                                           ▲
//!      └──── Welcome{next ticket} ───────┘ (may be lost)      CasMove of the player ─┘ touches no session
//! ```
//!
//! Invariant: the session epoch only rises, the rightful client always gets in again, and a ticket that was used is
//! worth nothing to somebody else. The session is a record of its own: were it part of the player's, a move could
//! write back the epoch that was there at the freeze. A client repeats a resume under one nonce, so that a welcome
//! that was lost locks nobody out.

use std::fmt;

use stateright::{Model, Property};

use crate::check::{Bound, Subject};
use crate::mutant::Mutant;

/// The model: one client, one crossing.
#[derive(Debug, Clone)]
pub(super) struct Session {
    resumes: u8,
    without: Option<Mutant>,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    has_moved: bool,
    /// The session record: epoch, and the client's attempt that wrote it.
    epoch: u8,
    by_nonce: u8,
    /// Highest epoch that was ever there.
    highest: u8,
    /// The session epoch as the frozen source knew it.
    frozen: Option<u8>,
    /// The client: the epoch its ticket is for, its present attempt, its socket.
    ticket: u8,
    nonce: u8,
    is_connected: bool,
    welcome: Option<u8>,
    resumes: u8,
    was_refused: bool,
    thief_got_in: bool,
}

/// One step of anybody.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// The socket breaks.
    Cut,
    /// The client resumes, or repeats a resume.
    Resume,
    /// The edge's welcome arrives.
    Welcome,
    /// It does not.
    LoseWelcome,
    /// The source freezes the player.
    Freeze,
    /// The target's compare-and-set arrives.
    Move,
    /// Somebody resumes with the first ticket, after its owner has used it.
    Thief,
}

impl Session {
    fn is_without(&self, guard: Mutant) -> bool {
        self.without == Some(guard)
    }
}

impl Model for Session {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![State {
            has_moved: false,
            epoch: 1,
            by_nonce: 0,
            highest: 1,
            frozen: None,
            ticket: 1,
            nonce: 0,
            is_connected: true,
            welcome: None,
            resumes: 0,
            was_refused: false,
            thief_got_in: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.is_connected {
            actions.push(Action::Cut);
        } else if state.welcome.is_none() && state.resumes < self.resumes {
            actions.push(Action::Resume);
        }
        if state.welcome.is_some() {
            actions.extend([Action::Welcome, Action::LoseWelcome]);
        }
        match state.frozen {
            None => actions.push(Action::Freeze),
            Some(_) if !state.has_moved => actions.push(Action::Move),
            Some(_) => {}
        }
        actions.push(Action::Thief);
    }

    fn next_state(&self, last: &State, action: Action) -> Option<State> {
        let mut state = last.clone();
        match action {
            Action::Cut => {
                state.is_connected = false;
                state.nonce += 1;
            }
            Action::Resume => {
                state.resumes += 1;
                let repeats = state.epoch == state.ticket + 1 && state.by_nonce == state.nonce;
                if state.epoch == state.ticket || (repeats && !self.is_without(Mutant::NoNonce)) {
                    state.epoch = state.ticket + 1;
                    state.by_nonce = state.nonce;
                    state.highest = state.highest.max(state.epoch);
                    state.welcome = Some(state.epoch);
                } else {
                    state.was_refused = true;
                }
            }
            Action::Welcome => {
                state.ticket = state.welcome.take().expect("offered only with a welcome");
                state.is_connected = true;
            }
            Action::LoseWelcome => state.welcome = None,
            Action::Freeze => state.frozen = Some(state.epoch),
            Action::Move => {
                state.has_moved = true;
                if self.is_without(Mutant::MoveWritesSession) {
                    state.epoch = state.frozen.expect("offered only after a freeze");
                }
            }
            Action::Thief => state.thief_got_in |= state.epoch == 1 && state.ticket != 1,
        }
        (state != *last).then_some(state)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        vec![
            Property::<Self>::always("I2 the session epoch only rises", |_, state| {
                state.epoch >= state.highest
            }),
            Property::<Self>::always("I8 the rightful client is never refused", |_, state| {
                !state.was_refused
            }),
            Property::<Self>::always("a used ticket stays used", |_, state| !state.thief_got_in),
            Property::<Self>::sometimes("resumed beside a move", |_, state| {
                state.has_moved && state.highest >= 2 && state.is_connected
            }),
            Property::<Self>::sometimes("resumed after a lost welcome", |_, state| {
                state.resumes >= 2 && state.ticket == 2 && state.is_connected
            }),
        ]
    }
}

impl Subject for Session {
    const NAME: &'static str = "session";
    const ABOUT: &'static str = "session epochs beside a handoff, and welcomes that get lost";

    fn new(bound: Bound, without: Option<Mutant>) -> Self {
        Self { resumes: bound.choose(3, 6), without }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cut => "the client's socket breaks",
            Self::Resume => "the client resumes",
            Self::Welcome => "the welcome arrives with the next ticket",
            Self::LoseWelcome => "the welcome is lost",
            Self::Freeze => "the source freezes the player",
            Self::Move => "the target's move arrives at the store",
            Self::Thief => "somebody tries the first ticket, after it was used",
        })
    }
}
