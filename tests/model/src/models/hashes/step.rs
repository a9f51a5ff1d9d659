//! What each step of a commit by hash does.

use super::{Action, Entry, Hashes, Message, Player, Process, Role, State};
use crate::decision::{Answer, Owner, Wish, decide};
use crate::mutant::Mutant;

const fn region(by: u8) -> u8 {
    by % 2
}

/// The attempt of one process at one epoch; it makes at most one of each kind.
const fn attempt(by: u8, epoch: u8, is_keep: bool) -> u8 {
    by * 16 + epoch * 2 + is_keep as u8
}

impl Hashes {
    pub(super) fn own_actions(&self, state: &State, by: u8, process: &Process, actions: &mut Vec<Action>) {
        let is_early = self.is_without(Mutant::CasBeforeJournal);
        match process.role {
            Role::Owner { epoch, player, written, flushed } => {
                if player.applied < state.sent {
                    actions.push(Action::Apply(by));
                }
                if written < player.applied {
                    actions.push(Action::Append(by));
                } else if flushed < written {
                    actions.push(Action::Confirm(by));
                }
                if epoch < self.epochs {
                    actions.push(Action::Presync(by));
                    actions.push(Action::Freeze(by, None));
                    let copies = state.network.iter().filter_map(|message| match *message {
                        Message::Copy { to, epoch: of, applied } if to != region(by) && of == epoch => {
                            Some(applied)
                        }
                        _ => None,
                    });
                    actions.extend(copies.map(|base| Action::Freeze(by, Some(base))));
                }
            }
            Role::Frozen { written: false, .. } => {
                actions.push(Action::Append(by));
                if self.is_without(Mutant::KeepBeforeJournal) {
                    actions.push(Action::Ask(by));
                }
            }
            Role::Frozen { written: true, .. } => actions.extend([Action::Confirm(by), Action::Ask(by)]),
            Role::Staged { written, .. } => {
                if !written {
                    actions.push(Action::Append(by));
                }
                if written || is_early {
                    actions.push(Action::Ask(by));
                }
            }
            Role::Raised => actions.push(Action::Read(by)),
            Role::Read => {
                // Without the lease check first, a successor that has read waits for its lease.
                if self.is_current(state, by) {
                    actions.push(Action::Claim(by));
                }
            }
            Role::Recovering { .. } => actions.push(Action::Ask(by)),
            Role::Idle => {}
        }
    }

    pub(super) fn step(&self, state: &mut State, action: &Action) {
        match *action {
            Action::Send => state.sent += 1,
            Action::Apply(by) => {
                if let Role::Owner { player, .. } = &mut state.processes[usize::from(by)].role {
                    player.applied += 1;
                }
            }
            Action::Append(by) => self.append(state, by),
            Action::Confirm(by) => self.confirm(state, by),
            Action::Presync(by) => {
                if let Role::Owner { epoch, player, .. } = state.processes[usize::from(by)].role {
                    let to = 1 - region(by);
                    state.network.insert(Message::Copy { to, epoch, applied: player.applied });
                }
            }
            Action::Freeze(by, base) => {
                let role = &mut state.processes[usize::from(by)].role;
                if let Role::Owner { epoch, player, .. } = *role {
                    *role = Role::Frozen { epoch, player, base, written: false };
                }
            }
            Action::Ask(by) => {
                let (from, epoch, hash) = match state.processes[usize::from(by)].role {
                    Role::Staged { epoch, player, .. } => (1 - region(by), epoch, player),
                    Role::Frozen { epoch, player, .. } | Role::Recovering { epoch, player } => {
                        (region(by), epoch, player)
                    }
                    _ => return,
                };
                state.network.insert(Message::Cas { by, from, epoch, hash });
            }
            Action::TakeOver(of) => {
                state.takeovers += 1;
                state.regions[usize::from(of)].taken = true;
                let successor = &mut state.processes[usize::from(of) + 2];
                successor.running = true;
                if successor.role == Role::Idle {
                    successor.role = Role::Raised;
                }
            }
            Action::Read(by) => {
                let journal = &mut state.regions[usize::from(region(by))];
                journal.cut = Some(journal.first.len());
                state.processes[usize::from(by)].role = Role::Read;
            }
            Action::Claim(by) => self.claim(state, by),
            Action::Deliver(message, to) => self.deliver(state, message, to),
        }
    }

    fn is_current(&self, state: &State, by: u8) -> bool {
        state.regions[usize::from(region(by))].taken == (by >= 2)
    }

    fn append(&self, state: &mut State, by: u8) {
        let entry = match &mut state.processes[usize::from(by)].role {
            Role::Owner { epoch, player, written, .. } => {
                *written = player.applied;
                Entry::Part { epoch: *epoch, player: *player }
            }
            Role::Frozen { epoch, player, written, .. } => {
                *written = true;
                Entry::Part { epoch: *epoch, player: *player }
            }
            Role::Staged { epoch, player, written } => {
                *written = true;
                Entry::Arrival { attempt: attempt(by, *epoch, false), player: *player }
            }
            _ => return,
        };
        write(state, by, entry);
    }

    /// What is written is durable if the lease stands: an owner acknowledges, a source sends its final. If not, the
    /// process is silent for ever.
    fn confirm(&self, state: &mut State, by: u8) {
        let stands = self.is_current(state, by);
        let role = &mut state.processes[usize::from(by)].role;
        match role {
            _ if !stands => *role = Role::Idle,
            Role::Owner { written, flushed, .. } => {
                *flushed = *written;
                state.acknowledged = state.acknowledged.max(*written);
            }
            Role::Frozen { epoch, player, base, .. } => {
                state.acknowledged = state.acknowledged.max(player.applied);
                let last = Message::Final { to: 1 - region(by), epoch: *epoch, base: *base, hash: *player };
                state.network.insert(last);
            }
            _ => {}
        }
    }

    fn claim(&self, state: &mut State, by: u8) {
        let found = (state.owner.region == region(by)).then(|| state.recoverable());
        let epoch = state.owner.epoch;
        let process = &mut state.processes[usize::from(by)];
        process.role = Role::Idle;
        if let Some(Some(player)) = found {
            process.role = Role::Recovering { epoch, player };
            write(state, by, Entry::Part { epoch, player });
        }
    }

    fn deliver(&self, state: &mut State, message: Message, to: u8) {
        match message {
            Message::Copy { epoch, applied, .. } => {
                let process = &mut state.processes[usize::from(to)];
                if process.running && process.role == Role::Idle && epoch >= process.seen {
                    process.copy = Some(applied);
                }
            }
            Message::Final { epoch, base, hash, .. } => self.final_arrives(state, to, epoch, base, hash),
            Message::NeedFull { epoch: of, .. } => {
                if let Role::Frozen { epoch, player, written: true, .. } =
                    state.processes[usize::from(to)].role
                    && epoch == of
                {
                    let whole = Message::Final { to: 1 - region(to), epoch, base: None, hash: player };
                    state.network.insert(whole);
                }
            }
            Message::Cas { by, from, epoch, hash } => {
                let of = region(by);
                let wish = Wish { epoch, from, region: of, by, attempt: attempt(by, epoch, from == of) };
                if let Answer::Written(owner) = decide(&state.owner, self.is_current(state, by), &wish) {
                    (state.owner, state.hash) = (owner, hash);
                }
                state.network.insert(Message::Record { owner: state.owner });
            }
            Message::Record { owner } => record_arrives(&mut state.processes[usize::from(to)], to, owner),
        }
    }

    fn final_arrives(&self, state: &mut State, to: u8, epoch: u8, base: Option<u8>, hash: Player) {
        let process = &mut state.processes[usize::from(to)];
        if !process.running || process.role != Role::Idle || epoch < process.seen {
            return;
        }
        let is_garbage = base.is_some() && base != process.copy;
        if is_garbage && !self.is_without(Mutant::HashNotCompared) {
            let sources = [1 - region(to), 3 - region(to)];
            state.network.extend(sources.map(|to| Message::NeedFull { to, epoch }));
            return;
        }
        process.role = Role::Staged { epoch, player: Player { is_garbage, ..hash }, written: false };
    }
}

/// Appends to the segment of `by`'s lease. Nothing keeps a superseded process from it.
fn write(state: &mut State, by: u8, entry: Entry) {
    let journal = &mut state.regions[usize::from(region(by))];
    let segment = if by >= 2 { &mut journal.second } else { &mut journal.first };
    if segment.last() != Some(&entry) {
        segment.push(entry);
    }
}

fn record_arrives(process: &mut Process, by: u8, owner: Owner) {
    let (epoch, is_keep, player) = match process.role {
        Role::Idle | Role::Raised | Role::Read => return,
        Role::Owner { epoch, player, .. } => (epoch, None, player),
        Role::Staged { epoch, player, .. } => (epoch, Some(false), player),
        Role::Frozen { epoch, player, .. } | Role::Recovering { epoch, player } => {
            (epoch, Some(true), player)
        }
    };
    if !process.running || owner.epoch <= epoch {
        return;
    }
    process.seen = process.seen.max(owner.epoch);
    process.copy = None;
    let mine = is_keep.is_some_and(|is_keep| owner.attempt == attempt(by, epoch, is_keep));
    process.role = if mine {
        let Player { applied, .. } = player;
        Role::Owner { epoch: owner.epoch, player, written: applied, flushed: applied }
    } else {
        Role::Idle
    };
}
