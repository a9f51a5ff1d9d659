//! What each step of a crossing does.

use super::{Action, Crossing, Message, Player, Process, Role, State};
use crate::decision::{Answer, Owner, Wish, decide};
use crate::mutant::Mutant;

/// The attempt of one process at one epoch; it makes at most one of each kind.
const fn attempt(by: u8, epoch: u8, is_keep: bool) -> u8 {
    by * 16 + epoch * 2 + is_keep as u8
}

impl<const REGIONS: u8> Crossing<REGIONS> {
    /// Carries `action` out; what means nothing in this state changes nothing.
    pub(crate) fn step(&self, state: &mut State, action: &Action) {
        match *action {
            Action::Send => state.sent += 1,
            Action::Apply(by) => {
                let process = &mut state.processes[usize::from(by)];
                if let Role::Owner { epoch, ref mut player, .. } = process.role {
                    apply(player, &mut process.ground);
                    state.network.insert(Message::Frame { epoch, applied: player.applied });
                }
            }
            Action::Flush(by) => {
                let process = &state.processes[usize::from(by)];
                if let Role::Owner { epoch, player, .. } = process.role {
                    state.network.insert(Message::Journal { by, epoch, player, ground: process.ground });
                }
            }
            Action::Freeze(by, to) => self.freeze(state, by, to),
            Action::Reclaim(by) => self.reclaim(state, by),
            Action::TakeOver(region) => self.take_over(state, region),
            Action::Deliver(message, to) => self.deliver(state, message, to),
        }
    }

    fn freeze(&self, state: &mut State, by: u8, to: u8) {
        let role = &mut state.processes[usize::from(by)].role;
        if let Role::Owner { epoch, player, flushed } = *role {
            *role = Role::Frozen { epoch, player, to };
            let copy = Player { applied: flushed.saturating_sub(1), ..player };
            let player = if self.is_without(Mutant::CopyInsteadOfFinal) { copy } else { player };
            state.network.insert(Message::Final { from: Self::region(by), to, epoch, player });
        }
    }

    fn reclaim(&self, state: &mut State, by: u8) {
        let Role::Frozen { epoch, player, to } = state.processes[usize::from(by)].role else {
            return;
        };
        let on = Role::Owner { epoch, player, flushed: player.applied };
        if self.is_without(Mutant::ResumeWithoutCas) {
            state.processes[usize::from(by)].role = on;
        } else if self.is_without(Mutant::ResumeOnPromise) && has_not_begun(state, to, epoch) {
            let target = &mut state.processes[usize::from(to)];
            target.seen = target.seen.max(epoch + 1);
            state.processes[usize::from(by)].role = on;
        } else {
            state.network.insert(Message::CasKeep { by, epoch });
        }
    }

    fn take_over(&self, state: &mut State, region: u8) {
        state.takeovers += 1;
        state.store.taken[usize::from(region)] = true;
        let by = region + REGIONS;
        let successor = &mut state.processes[usize::from(by)];
        successor.running = true;
        successor.ground = state.store.ground[usize::from(region)];
        if state.store.owner.region != region {
            return;
        }
        let (epoch, player) = (state.store.owner.epoch, state.store.player);
        if self.is_without(Mutant::RecoverWithoutBump) {
            successor.role = Role::Owner { epoch, player, flushed: player.applied };
            state.store.owner.by = by;
        } else {
            successor.role = Role::Recovering { epoch };
            state.network.insert(Message::CasKeep { by, epoch });
        }
    }

    fn deliver(&self, state: &mut State, message: Message, to: u8) {
        match message {
            Message::Final { from, epoch, player, .. } => self.final_arrives(state, to, from, epoch, player),
            Message::CasMove { by, from, epoch, player } => {
                let region = Self::region(by);
                let wish = Wish { epoch, from, region, by, attempt: attempt(by, epoch, false) };
                self.compare_and_set(state, &wish, Some(player));
            }
            Message::CasKeep { by, epoch } => {
                let region = Self::region(by);
                let wish = Wish { epoch, from: region, region, by, attempt: attempt(by, epoch, true) };
                self.compare_and_set(state, &wish, None);
            }
            Message::Journal { by, epoch, player, ground } => {
                let owner = state.store.owner;
                let is_current = self.is_current(state, by)
                    && (owner.epoch, owner.by) == (epoch, by)
                    && player.applied >= state.store.player.applied;
                if is_current || self.is_without(Mutant::JournalNotFenced) {
                    state.store.player = player;
                    state.store.ground[usize::from(Self::region(by))] = ground;
                    state.network.insert(Message::Durable { by, epoch, applied: player.applied });
                    state.network.insert(Message::Acknowledge { applied: player.applied });
                }
            }
            Message::Durable { epoch: of, applied, .. } => {
                if let Role::Owner { epoch, ref mut flushed, .. } = state.processes[usize::from(to)].role
                    && epoch == of
                {
                    *flushed = applied.max(*flushed);
                }
            }
            Message::Record { owner, player } => {
                let process = &mut state.processes[usize::from(to)];
                if process.running {
                    let frame = self.record_arrives(process, to, owner, player);
                    state.network.extend(frame);
                }
            }
            Message::Frame { epoch, applied } => self.frame_arrives(state, epoch, applied),
            Message::Acknowledge { applied } => state.acknowledged = state.acknowledged.max(applied),
        }
    }

    fn final_arrives(&self, state: &mut State, to: u8, from: u8, epoch: u8, player: Player) {
        let process = &mut state.processes[usize::from(to)];
        let is_known = epoch < process.seen && !self.is_without(Mutant::NoTombstone);
        if !process.running || process.role != Role::Idle || is_known {
            return;
        }
        process.role = if self.is_without(Mutant::ActivateOnFinal) {
            Role::Owner { epoch: epoch + 1, player, flushed: player.applied }
        } else {
            Role::Staged { epoch, from, player }
        };
        state.network.insert(Message::CasMove { by: to, from, epoch, player });
    }

    /// A keep leaves the state to the journal; a move brings it.
    fn compare_and_set(&self, state: &mut State, wish: &Wish, player: Option<Player>) {
        let is_current = self.is_current(state, wish.by) || self.is_without(Mutant::NoLeaseCheck);
        if let Answer::Written(owner) = decide(&state.store.owner, is_current, wish) {
            state.store.owner = owner;
            state.store.player = player.unwrap_or(state.store.player);
        }
        let answer = Message::Record { owner: state.store.owner, player: state.store.player };
        state.network.insert(answer);
    }

    /// Reads a record; returns the first frame of a new owner.
    fn record_arrives(
        &self,
        process: &mut Process,
        by: u8,
        owner: Owner,
        durable: Player,
    ) -> Option<Message> {
        let (epoch, is_keep, player) = match process.role {
            Role::Idle => return None,
            Role::Owner { epoch, player, .. } => (epoch, None, player),
            Role::Staged { epoch, player, .. } => (epoch, Some(false), player),
            Role::Frozen { epoch, player, .. } => (epoch, Some(true), player),
            Role::Recovering { epoch } => (epoch, Some(true), durable),
        };
        if owner.epoch <= epoch {
            return None;
        }
        let mine = is_keep.is_some_and(|is_keep| owner.attempt == attempt(by, epoch, is_keep));
        let is_frozen = matches!(process.role, Role::Frozen { .. });
        process.seen = process.seen.max(owner.epoch);
        if mine || (is_frozen && self.is_without(Mutant::AnyRecordResumes)) {
            process.role = Role::Owner { epoch: owner.epoch, player, flushed: player.applied };
            return Some(Message::Frame { epoch: owner.epoch, applied: player.applied });
        }
        process.role = Role::Idle;
        None
    }

    fn frame_arrives(&self, state: &mut State, epoch: u8, applied: u8) {
        let (last_epoch, last_applied) = state.shown;
        if epoch < last_epoch {
            return;
        }
        if epoch > last_epoch {
            state.rolled_back |= applied < last_applied && state.takeovers == 0;
            state.shown = (epoch, applied);
        } else {
            state.shown.1 = applied.max(last_applied);
        }
        if self.is_without(Mutant::PruneOnApplied) {
            state.acknowledged = state.acknowledged.max(applied);
        }
    }

    /// Whether `by` holds the lease of its region.
    pub(crate) fn is_current(&self, state: &State, by: u8) -> bool {
        state.store.taken[usize::from(Self::region(by))] == (by >= REGIONS)
    }
}

/// The first input picks the token up, the second drops it.
fn apply(player: &mut Player, ground: &mut bool) {
    player.applied += 1;
    if player.applied == 1 && *ground {
        (*ground, player.token) = (false, true);
    } else if player.applied == 2 && player.token {
        (*ground, player.token) = (true, false);
    }
}

/// Whether the first process of region `to` could truthfully say that it has begun nothing.
fn has_not_begun(state: &State, to: u8, epoch: u8) -> bool {
    let asked =
        |message: &Message| matches!(message, Message::CasMove { epoch: asked, .. } if *asked == epoch);
    !state.network.iter().any(asked) && state.processes[usize::from(to)].role == Role::Idle
}
