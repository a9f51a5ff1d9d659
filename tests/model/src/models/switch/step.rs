//! What each step of a scheduled switch does.

use super::{Action, Life, Lived, Message, Role, State, Switch, applied, attempt, region};
use crate::decision::{Answer, Owner, Wish, decide};
use crate::mutant::Mutant;

impl Switch {
    fn is_without(&self, guard: Mutant) -> bool {
        self.without == Some(guard)
    }

    pub(super) fn own_actions(&self, state: &State, by: u8, actions: &mut Vec<Action>) {
        let mut live = |life: &Life| {
            if life.len() < self.ticks.into() {
                actions.push(Action::Live(by, false));
                if applied(life) < state.sent {
                    actions.push(Action::Live(by, true));
                }
            }
        };
        match &state.processes[usize::from(by)].role {
            Role::Owner { epoch, life, shown, flushed, until } => {
                if until.is_none_or(|until| life.len() < until) || self.is_without(Mutant::StepsBeyondSwitch)
                {
                    live(life);
                }
                if *shown < life.len() {
                    actions.push(Action::Show(by));
                }
                if *flushed < life.len() {
                    actions.push(Action::Flush(by));
                }
                if until.is_none() && *epoch < self.epochs {
                    actions.extend((life.len()..=life.len() + 1).map(|tick| Action::Name(by, tick)));
                }
                // Everything up to T has left when it stops.
                if until.is_some_and(|until| life.len() >= until && *shown >= until) {
                    actions.push(Action::Stop(by));
                }
            }
            Role::Stopped { .. } | Role::Recovering { .. } => actions.push(Action::Ask(by)),
            Role::Ahead { life, at, .. } => {
                live(life);
                actions.push(Action::Ask(by));
                if self.is_without(Mutant::EffectsBeforeCommit) && life.len() > *at {
                    actions.push(Action::Show(by));
                }
                if self.is_without(Mutant::AcksBeforeCommit) && applied(&life[*at..]) > 0 {
                    actions.push(Action::Flush(by));
                }
            }
            Role::Idle => {}
        }
    }

    fn is_current(state: &State, by: u8) -> bool {
        state.taken[usize::from(region(by))] == (by >= 2)
    }

    pub(super) fn step(&self, state: &mut State, action: Action) {
        match action {
            Action::Send => state.sent += 1,
            Action::Live(by, input) => {
                if let Role::Owner { epoch, life, .. } | Role::Ahead { epoch, life, .. } =
                    &mut state.processes[usize::from(by)].role
                {
                    life.push(Lived { by, epoch: *epoch, input });
                }
            }
            Action::Show(by) => show(state, by),
            Action::Flush(by) => {
                let stands = Self::is_current(state, by);
                if let Role::Ahead { life, .. } = &state.processes[usize::from(by)].role {
                    state.acknowledged.clone_from(life);
                }
                if let Role::Owner { epoch, life, flushed, .. } = &mut state.processes[usize::from(by)].role
                    && stands
                    && (state.owner.epoch, state.owner.by) == (*epoch, by)
                {
                    *flushed = life.len();
                    state.durable.clone_from(life);
                    state.acknowledged.clone_from(life);
                }
            }
            Action::Name(by, tick) => {
                if let Role::Owner { until, .. } = &mut state.processes[usize::from(by)].role {
                    *until = Some(tick);
                }
            }
            Action::Stop(by) => self.stop(state, by),
            Action::Ask(by) => self.ask(state, by),
            Action::TakeOver(of) => {
                state.takeovers += 1;
                state.taken[usize::from(of)] = true;
                let successor = &mut state.processes[usize::from(of) + 2];
                successor.running = true;
                if state.owner.region == of {
                    successor.role = Role::Recovering { epoch: state.owner.epoch };
                }
            }
            Action::Deliver(message, to) => self.deliver(state, message, to),
        }
    }

    /// The final leaves only with the journal durable up to T and the lease confirmed.
    fn stop(&self, state: &mut State, by: u8) {
        let stands = Self::is_current(state, by);
        let process = &mut state.processes[usize::from(by)];
        let Role::Owner { epoch, life, until: Some(until), .. } = &process.role else { return };
        if !stands || (state.owner.epoch, state.owner.by) != (*epoch, by) {
            process.role = Role::Idle;
            return;
        }
        let (epoch, mut life) = (*epoch, life.clone());
        life.truncate(*until);
        state.durable.clone_from(&life);
        state.acknowledged.clone_from(&life);
        state.network.insert(Message::Final { to: 1 - region(by), epoch, life: life.clone() });
        process.role = Role::Stopped { epoch, life };
    }

    fn ask(&self, state: &mut State, by: u8) {
        let (from, epoch, life) = match &state.processes[usize::from(by)].role {
            Role::Ahead { epoch, life, at } => (1 - region(by), *epoch, life[..*at].to_vec()),
            Role::Stopped { epoch, life } => (region(by), *epoch, life.clone()),
            Role::Recovering { epoch } => (region(by), *epoch, vec![]),
            _ => return,
        };
        state.network.insert(Message::Cas { by, from, epoch, life });
    }

    fn deliver(&self, state: &mut State, message: Message, to: u8) {
        match message {
            Message::Final { epoch, life, .. } => {
                let process = &mut state.processes[usize::from(to)];
                if process.running && process.role == Role::Idle && epoch >= process.seen {
                    let at = life.len();
                    let life = process.kept.take().unwrap_or(life);
                    process.role = Role::Ahead { epoch, at: at.min(life.len()), life };
                }
            }
            Message::Cas { by, from, epoch, life } => {
                let is_keep = from == region(by);
                let wish = Wish { epoch, from, region: region(by), by, attempt: attempt(by, epoch, is_keep) };
                if let Answer::Written(owner) = decide(&state.owner, Self::is_current(state, by), &wish) {
                    state.owner = owner;
                    if !is_keep {
                        state.durable = life;
                    }
                }
                state.network.insert(Message::Record { owner: state.owner });
            }
            Message::Record { owner } => self.record_arrives(state, to, owner),
        }
    }

    fn record_arrives(&self, state: &mut State, to: u8, owner: Owner) {
        let durable = state.durable.clone();
        let process = &mut state.processes[usize::from(to)];
        let mine = |epoch: u8, is_keep| owner.attempt == attempt(to, epoch, is_keep);
        let on = |life: Life, public: usize| Role::Owner {
            epoch: owner.epoch,
            life,
            shown: public,
            flushed: public,
            until: None,
        };
        process.role = match std::mem::replace(&mut process.role, Role::Idle) {
            Role::Ahead { epoch, life, at } if owner.epoch > epoch && mine(epoch, false) => on(life, at),
            Role::Ahead { epoch, life, .. } if owner.epoch > epoch => {
                if self.is_without(Mutant::KeepsAhead) {
                    process.kept = Some(life);
                }
                Role::Idle
            }
            Role::Stopped { epoch, life } if owner.epoch > epoch && mine(epoch, true) => {
                let public = life.len();
                on(life, public)
            }
            Role::Recovering { epoch } if owner.epoch > epoch && mine(epoch, true) => {
                let public = durable.len();
                on(durable, public)
            }
            Role::Owner { epoch, .. } | Role::Stopped { epoch, .. } | Role::Recovering { epoch }
                if owner.epoch > epoch =>
            {
                Role::Idle
            }
            same => same,
        };
        process.seen = process.seen.max(if process.running { owner.epoch } else { 0 });
    }
}

/// The next tick leaves as a frame. An older epoch is dropped; what does not continue the last frame is a seam, or,
/// after a crash, a resync.
fn show(state: &mut State, by: u8) {
    let (epoch, next) = match &mut state.processes[usize::from(by)].role {
        Role::Owner { epoch, life, shown, .. } => {
            *shown += 1;
            (*epoch, life[..*shown].to_vec())
        }
        // With effects that leave early: under the epoch it hopes for.
        Role::Ahead { epoch, life, at } => {
            *at += 1;
            (*epoch + 1, life[..*at].to_vec())
        }
        _ => return,
    };
    let (last_epoch, last) = &state.shown;
    if epoch < *last_epoch {
        return;
    }
    let goes_on = next.len() == last.len() + 1 && next.starts_with(last);
    state.has_seam |= !goes_on && state.takeovers == 0;
    state.shown = (epoch, next);
}
