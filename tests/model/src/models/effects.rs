//! What others do to a frozen player waits in an outbox, and reaches whoever owns the player afterwards.
//!
//! ```text
//!   giver in A ──▶ outbox of A, in one journal record with the coin it leaves ──▶ post ──▶ A or B, who owns the player
//!                       ▲ removed when the receiver has it durably                            │ applies it once, flushes
//!                       └──────────────────────── taken ─────────────────────────────────────┘
//! ```
//!
//! Invariant: the coin is on the ground of A, in A's outbox, or with the player, never in two of them and never in none,
//! whatever wins while the player is frozen. The player remembers which posts it has had, and carries that along.

use std::fmt;

use stateright::{Model, Property};

use crate::check::{Bound, Subject};
use crate::decision::{Answer, Owner, Wish, decide};
use crate::mutant::Mutant;

/// The model: a giver in region 0, a player who may cross to region 1, one coin.
#[derive(Debug, Clone)]
pub(super) struct Effects {
    epochs: u8,
    crashes: u8,
    without: Option<Mutant>,
}

/// The player: coins, and whether it has had the post.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub(super) struct Player {
    coins: u8,
    had: bool,
}

/// A region's own part: the coin on its ground, the coin in its outbox.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Ground {
    coin: bool,
    outbox: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Role {
    Idle,
    Owner { epoch: u8, player: Player },
    Frozen { epoch: u8, player: Player, sent: bool },
    Staged { epoch: u8, player: Player },
}

/// What is on its way, for ever; `None` until it was sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub(super) struct Network {
    /// Finals by their epoch: from which region, and the state.
    finals: [Option<(u8, Player)>; 6],
    post: bool,
    taken: bool,
}

/// Everything.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) struct State {
    /// The record, and what the record or its owner's journal has of the player.
    owner: Owner,
    durable: Player,
    /// Region 0 in memory, and in its journal.
    ground: Ground,
    journal: Ground,
    roles: [Role; 2],
    /// What each region knows of the record's epoch.
    seen: [u8; 2],
    network: Network,
    crashes: u8,
    was_posted: bool,
}

/// One step of anybody.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Action {
    /// The giver gives its coin to the player.
    Give,
    /// A region's journal is durable: its own part, and the player's where it owns it.
    Flush(u8),
    /// The owner freezes.
    Freeze(u8),
    /// The frozen source's journal is durable, and the final leaves.
    SendFinal(u8),
    /// The final arrives.
    Final(u8, u8),
    /// The target's compare-and-set arrives.
    Move(u8),
    /// The source's keep arrives.
    Keep(u8),
    /// A region reads the record.
    Read(u8),
    /// The post leaves the outbox.
    Post,
    /// The post arrives.
    Take(u8),
    /// The receiver's word that it has the post durably leaves.
    Taken(u8),
    /// That word arrives.
    Drop,
    /// A region's process ends, and its successor begins with the journal and the record.
    Crash(u8),
}

impl Effects {
    fn is_without(&self, guard: Mutant) -> bool {
        self.without == Some(guard)
    }

    fn step(&self, state: &mut State, action: &Action) {
        match *action {
            Action::Give => self.give(state),
            Action::Flush(at) => state.flush(at),
            Action::Freeze(at) => {
                if let Role::Owner { epoch, player } = state.roles[usize::from(at)] {
                    state.roles[usize::from(at)] = Role::Frozen { epoch, player, sent: false };
                }
            }
            Action::SendFinal(at) => {
                state.flush(at);
                if let Role::Frozen { epoch, player, sent } = &mut state.roles[usize::from(at)] {
                    *sent = true;
                    state.network.finals[usize::from(*epoch)] = Some((at, *player));
                }
            }
            Action::Final(epoch, to) => {
                let (_, player) = state.network.finals[usize::from(epoch)].expect("only sent finals arrive");
                state.roles[usize::from(to)] = Role::Staged { epoch, player };
            }
            Action::Move(by) => {
                if let Role::Staged { epoch, player } = state.roles[usize::from(by)] {
                    state.ask(by, 1 - by, epoch, player);
                }
            }
            Action::Keep(by) => {
                if let Role::Frozen { epoch, player, .. } = state.roles[usize::from(by)] {
                    state.ask(by, by, epoch, player);
                }
            }
            Action::Read(by) => state.read(by),
            Action::Post => state.network.post = true,
            Action::Take(at) => {
                if let Role::Owner { player, .. } = &mut state.roles[usize::from(at)]
                    && (!player.had || self.is_without(Mutant::NoInboxMemory))
                {
                    *player = Player { coins: player.coins + 1, had: true };
                }
            }
            Action::Taken(_) => state.network.taken = true,
            Action::Drop => state.ground.outbox = false,
            Action::Crash(at) => {
                state.crashes += 1;
                state.seen[usize::from(at)] = 1;
                if at == 0 {
                    state.ground = state.journal;
                }
                state.roles[usize::from(at)] = Role::Idle;
                if state.owner.region == at {
                    // The successor claims at once; a claim that comes late is what `crossing` has.
                    state.ask(at, at, state.owner.epoch, state.durable);
                    state.roles[usize::from(at)] =
                        Role::Owner { epoch: state.owner.epoch, player: state.durable };
                }
            }
        }
    }

    fn give(&self, state: &mut State) {
        state.ground.coin = false;
        match &mut state.roles[0] {
            Role::Owner { player, .. } => player.coins += 1,
            Role::Frozen { player, .. } if self.is_without(Mutant::GiveWhileFrozen) => player.coins += 1,
            _ => {
                state.ground.outbox = true;
                state.was_posted = true;
            }
        }
    }
}

impl State {
    fn flush(&mut self, at: u8) {
        if at == 0 {
            self.journal = self.ground;
        }
        if let Role::Owner { epoch, player } | Role::Frozen { epoch, player, .. } =
            self.roles[usize::from(at)]
            && (self.owner.epoch, self.owner.region) == (epoch, at)
        {
            self.durable = player;
        }
    }

    /// One compare-and-set. A region has one process at a time here, so its lease is the current one.
    fn ask(&mut self, by: u8, from: u8, epoch: u8, player: Player) {
        let attempt = by * 64 + epoch * 8 + u8::from(by == from) + 2 * self.crashes;
        if let Answer::Written(owner) =
            decide(&self.owner, true, &Wish { epoch, from, region: by, by, attempt })
        {
            (self.owner, self.durable) = (owner, player);
        }
    }

    fn read(&mut self, by: u8) {
        let owner = self.owner;
        let role = &mut self.roles[usize::from(by)];
        let (Role::Staged { epoch, player }
        | Role::Frozen { epoch, player, .. }
        | Role::Owner { epoch, player }) = *role
        else {
            return;
        };
        if owner.epoch > epoch {
            self.seen[usize::from(by)] = owner.epoch;
            *role = if owner.by == by { Role::Owner { epoch: owner.epoch, player } } else { Role::Idle };
        }
    }

    /// Coins that a crash of everything would leave. One in the outbox counts until the player has had it.
    fn coins(&self) -> u8 {
        let in_outbox = self.journal.outbox && !self.durable.had;
        u8::from(self.journal.coin) + u8::from(in_outbox) + self.durable.coins
    }
}

impl Model for Effects {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        let ground = Ground { coin: true, outbox: false };
        vec![State {
            owner: Owner { epoch: 1, region: 0, by: 0, attempt: 0 },
            durable: Player::default(),
            ground,
            journal: ground,
            roles: [Role::Owner { epoch: 1, player: Player::default() }, Role::Idle],
            seen: [1; 2],
            network: Network::default(),
            crashes: 0,
            was_posted: false,
        }]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.ground.coin {
            actions.push(Action::Give);
        }
        for at in 0..2 {
            match state.roles[usize::from(at)] {
                Role::Owner { epoch, player } => {
                    actions.push(Action::Flush(at));
                    if epoch < self.epochs {
                        actions.push(Action::Freeze(at));
                    }
                    if state.network.post {
                        actions.push(Action::Take(at));
                    }
                    let is_durable = state.durable.had && state.owner.region == at;
                    if player.had && (is_durable || self.is_without(Mutant::TakenBeforeDurable)) {
                        actions.push(Action::Taken(at));
                    }
                }
                Role::Frozen { sent, .. } => {
                    actions.push(Action::Flush(at));
                    actions.push(if sent { Action::Keep(at) } else { Action::SendFinal(at) });
                }
                Role::Staged { .. } => actions.push(Action::Move(at)),
                Role::Idle => {
                    actions.push(Action::Flush(at));
                    for (epoch, last) in (0..).zip(state.network.finals) {
                        if last.is_some_and(|(from, _)| from != at) && epoch >= state.seen[usize::from(at)] {
                            actions.push(Action::Final(epoch, at));
                        }
                    }
                }
            }
            actions.push(Action::Read(at));
            if state.crashes < self.crashes {
                actions.push(Action::Crash(at));
            }
        }
        if state.journal.outbox && state.ground.outbox {
            actions.push(Action::Post);
        }
        if state.network.taken {
            actions.push(Action::Drop);
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
                let epoch = |role: &Role| match role {
                    Role::Owner { epoch, .. } => Some(*epoch),
                    _ => None,
                };
                let [a, b] = [epoch(&state.roles[0]), epoch(&state.roles[1])];
                a.is_none() || a != b
            }),
            Property::<Self>::always("I5 the coin is in one place", |_, state| state.coins() == 1),
            Property::<Self>::always("I9 a frozen player is as it was", |_, state| {
                (0..).zip(&state.roles).all(|(by, role)| match role {
                    Role::Frozen { epoch, player, sent: true } => {
                        state.network.finals[usize::from(*epoch)] == Some((by, *player))
                    }
                    _ => true,
                })
            }),
            Property::<Self>::sometimes(
                "given to the frozen player, who had it in the other region",
                |_, state| {
                    let target =
                        matches!(state.roles[1], Role::Owner { player: Player { coins: 1, .. }, .. });
                    state.was_posted && target && state.durable.coins == 1 && state.owner.region == 1
                },
            ),
            Property::<Self>::sometimes(
                "given to the frozen player, who had it here after the keep",
                |_, state| {
                    let source =
                        matches!(state.roles[0], Role::Owner { epoch: 2, player: Player { coins: 1, .. } });
                    state.was_posted && source && state.durable.coins == 1
                },
            ),
            Property::<Self>::sometimes("the outbox is empty again", |_, state| {
                state.was_posted && !state.journal.outbox && !state.journal.coin
            }),
            Property::<Self>::sometimes("posted again after a crash", |_, state| {
                state.crashes > 0 && state.network.post && state.ground.outbox && state.durable.had
            }),
        ]
    }
}

impl Subject for Effects {
    const NAME: &'static str = "effects";
    const ABOUT: &'static str = "what others do to a frozen player, through the outbox";

    fn new(bound: Bound, without: Option<Mutant>) -> Self {
        Self { epochs: bound.choose(3, 4), crashes: bound.choose(1, 2), without }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Give => write!(f, "the giver in region 0 gives its coin to the player"),
            Self::Flush(at) => write!(f, "region {at}'s journal is durable"),
            Self::Freeze(at) => write!(f, "region {at} freezes the player"),
            Self::SendFinal(at) => write!(f, "region {at}'s journal is durable, and the final leaves"),
            Self::Final(epoch, to) => write!(f, "region {to} hears the final of epoch {epoch}"),
            Self::Move(by) => write!(f, "the store hears region {by} ask to move the player"),
            Self::Keep(by) => write!(f, "the store hears region {by} ask to keep the player"),
            Self::Read(by) => write!(f, "region {by} reads the record"),
            Self::Post => write!(f, "the post leaves the outbox"),
            Self::Take(at) => write!(f, "region {at} hears the post and applies it to the player"),
            Self::Taken(at) => write!(f, "region {at} says that the post is durable with the player"),
            Self::Drop => write!(f, "region 0 hears that the post is durable, and empties its outbox"),
            Self::Crash(at) => {
                write!(f, "region {at}'s process ends; a successor begins with what is durable")
            }
        }
    }
}
