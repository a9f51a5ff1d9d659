//! Source side of a handoff: the owner of one entity, which may give it to a neighbour.
//!
//! ```text
//!          Prepare, near, outside     Accepted            2 m, 500 ms, copy fresh
//!   Alone ─────────────────▶ Offered ──────────▶ Streaming ──────────────▶ Frozen ─┐
//!     ▲ ▲   Refused: 500 ms    │                     │                        │    │ Durable: Final
//!     │ └───────────────────────┴── unwanted: Withdraw┘                       │◀───┘ silence: CasKeep
//!     │                     newer record, won by our own CasKeep              │
//!     └───────────────────────────────────────────────────────────────────────┤
//!                                              any other newer record         ▼
//!                                                                          Released
//! ```
//!
//! Up to the freeze there may be three attempts, each for another region and in a phase of its own:
//! near a corner nobody can say which neighbour it will be. The place at the end of a step decides
//! which of them is frozen; the others are withdrawn then.
//!
//! Invariant: after the freeze only a record decides. The entity acts here again if and only if our
//! own compare-and-set won a newer epoch; silence, promises and hints never give it back. Nothing
//! that a crash could undo leaves: neither the final state nor a compare-and-set goes out before the
//! journal is durable up to the frozen tick.

mod attempt;
mod message;
mod near;

use std::time::Duration;

use horizon_model::{Epoch, HandoffId, RegionId, Tick, WorkerId};
use horizon_protocol::link::EntityKey;

use crate::LeaseGuard;
use crate::mutant::{Mutant, Switch};

use attempt::{Attempts, Phase, Stream};
pub use message::{Decision, Input, Output, StepEnd};
pub use near::Near;

/// Metres beyond the own cells at which an entity is handed over: wide enough that jitter on the
/// border moves nobody.
pub const CROSSING_METRES: f64 = 2.0;
/// Time an entity stays where it arrived before it may be handed over again.
pub const MIN_DWELL: Duration = Duration::from_millis(500);
/// Shortest time a frozen entity waits for its target before it is taken back.
pub const MIN_FREEZE_TIMEOUT: Duration = Duration::from_millis(100);
/// Steps a frozen entity waits for its target, where that is longer.
pub const FREEZE_TIMEOUT_STEPS: u64 = 2;
/// Attempts that one entity has at most: at a corner of the grid three other regions meet.
pub const MAX_ATTEMPTS: usize = 3;
/// Whoever is so near to a region is offered there whatever was forecast, in metres: half a second of
/// the fastest player, 23 m/s, who may turn on the spot. That is time for an offer, a complete copy
/// and its acknowledgement at any step rate.
pub const PREPARE_METRES: f64 = 12.0;
/// Up to this distance an attempt stays wanted, in metres: wider than [`PREPARE_METRES`], so that a
/// body to and fro around it does not begin anew each time.
pub const RELEASE_METRES: f64 = 20.0;
/// Up to this distance the target's copy follows every step, in metres: at 23 m/s there are 300 ms
/// from here to the freeze. Further away it follows every [`CALM_TICKS`], beyond [`RELEASE_METRES`]
/// every step again if a forecast asks: whoever is expected from there is fast.
pub const HURRY_METRES: f64 = 5.0;
/// Ticks between two states sent in no hurry: 7.5 a second keep a shadow's interest right.
pub const CALM_TICKS: u64 = 8;
/// Ticks after which a complete state without an answer is sent again: more than a round trip between
/// regions, for nothing else is so big.
pub const FULL_AGAIN_TICKS: u64 = 6;
/// Time that a forecast stands without being repeated.
pub const FORECAST_FOR: Duration = Duration::from_secs(1);
/// Time between two offers after a refusal or without an answer. A target that fell silent may have
/// forgotten its copy, so it is offered the entity again too.
pub const OFFER_RETRY: Duration = Duration::from_millis(500);
/// An attempt that nothing asked for in this time is withdrawn.
pub const WANTED_FOR: Duration = Duration::from_secs(2);
/// Beyond [`MAX_ATTEMPTS`], a new target replaces one that nothing asked for in this time.
pub const SWITCH_AFTER: Duration = Duration::from_millis(500);
/// Time outside after which a copy or a journal that lags more than a step is good enough: what is
/// slower than a step must delay a handoff, not forbid it.
pub const LAG_PATIENCE: Duration = Duration::from_millis(250);

/// Beyond so many entities that want to cross at one time their copies follow every [`CALM_TICKS`] only:
/// a state and an answer for each of a thousand do not fit into a step, and what is late is sent again.
pub const CROWD: usize = 64;
/// How old a copy may be at the freeze in a crowd, in ticks. The final state is a little longer for it.
pub const CROWD_LAG_TICKS: u64 = 3 * CALM_TICKS;
/// Entities of one region that are frozen at one time. Whoever is one too many plays on beyond the border
/// for another step, so that none of a crowd stands still for as long as all of it takes. A thousand are three
/// batches of that size.
pub const MAX_FROZEN: usize = 344;

/// How long an entity may be frozen at steps of `step_ticks` before it is taken back.
pub fn freeze_timeout(step_ticks: u64) -> Duration {
    Tick(FREEZE_TIMEOUT_STEPS * step_ticks).since_origin().max(MIN_FREEZE_TIMEOUT)
}

/// The owner of one entity, which may give it away.
#[derive(Debug, Clone)]
pub struct Source {
    key: EntityKey,
    me: LeaseGuard,
    epoch: Epoch,
    since: Duration,
    state: State,
    switch: Switch,
}

#[derive(Debug, Clone)]
enum State {
    Owner { attempts: Attempts, outside_since: Option<Duration>, late: bool },
    Frozen(Frozen),
    Released,
}

#[derive(Debug, Clone)]
struct Frozen {
    to: RegionId,
    worker: WorkerId,
    lease: Epoch,
    handoff: HandoffId,
    base: Option<Tick>,
    tick: Tick,
    late: bool,
    durable: bool,
    patience: Duration,
    deadline: Duration,
    reclaim: Option<HandoffId>,
}

impl Source {
    /// The owner of `key` under lease `me`, at `epoch`, since grid time `since`.
    pub fn new(key: EntityKey, me: LeaseGuard, epoch: Epoch, since: Duration) -> Self {
        Self { key, me, epoch, since, state: State::alone(), switch: Switch::default() }
    }

    /// The same machine with one guard switched off.
    #[cfg(any(test, feature = "mutants"))]
    #[must_use]
    pub fn without(mut self, guard: Mutant) -> Self {
        self.switch = Switch::without(guard);
        self
    }

    /// Whose authority this is about.
    pub const fn key(&self) -> EntityKey {
        self.key
    }

    /// Whether the entity may be changed here now.
    pub const fn is_owner(&self) -> bool {
        matches!(self.state, State::Owner { .. })
    }

    /// Whether the entity waits for a decision and must not change.
    pub const fn is_frozen(&self) -> bool {
        matches!(self.state, State::Frozen(_))
    }

    /// The epoch under which the entity acts or was frozen here.
    pub const fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Where a frozen entity is to go; `None` while it acts here.
    pub const fn target(&self) -> Option<RegionId> {
        match &self.state {
            State::Frozen(frozen) => Some(frozen.to),
            State::Owner { .. } | State::Released => None,
        }
    }

    /// Every attempt with its region; the frozen one alone after the freeze.
    pub fn attempts(&self) -> impl Iterator<Item = (RegionId, HandoffId)> {
        let (open, frozen) = match &self.state {
            State::Owner { attempts, .. } => (Some(attempts), None),
            State::Frozen(frozen) => (None, Some((frozen.to, frozen.handoff))),
            State::Released => (None, None),
        };
        let open = open.into_iter().flat_map(Attempts::iter);
        open.map(|attempt| (attempt.to, attempt.handoff)).chain(frozen)
    }

    /// Whether an answer about `handoff` is for this machine.
    pub fn has_attempt(&self, handoff: HandoffId) -> bool {
        self.attempts().any(|(_, other)| other == handoff)
    }

    /// No state older than this will be built upon; `None` while that cannot be said.
    pub fn oldest_base(&self) -> Option<Tick> {
        let State::Owner { attempts, .. } = &self.state else { return None };
        let mut streams = attempts.iter().filter_map(|attempt| attempt.stream());
        streams.try_fold(None, |oldest: Option<Tick>, stream| {
            let acked = stream.acked?;
            Some(Some(oldest.map_or(acked, |oldest| oldest.min(acked))))
        })?
    }

    /// When to call [`Self::handle`] with [`Input::Timeout`], and what is being awaited.
    pub fn next_timeout(&self) -> Option<(Duration, &'static str)> {
        match &self.state {
            State::Owner { attempts, .. } => {
                let due = attempts.iter().filter_map(|attempt| match attempt.phase {
                    Phase::Offered { again_at } => Some((again_at, "answer to offer")),
                    Phase::Refused { retry_at } => Some((retry_at, "next offer after a refusal")),
                    Phase::Streaming(_) => None,
                });
                due.min_by_key(|(at, _)| *at)
            }
            State::Frozen(frozen) if frozen.durable => {
                Some((frozen.deadline, "decision about a frozen entity"))
            }
            State::Frozen(frozen) => Some((frozen.deadline, "durable journal before the final state")),
            State::Released => None,
        }
    }

    /// Advances the machine. Late, repeated and unexpected inputs produce no output.
    ///
    /// `now` is grid time and must not go backwards between calls.
    pub fn handle(&mut self, now: Duration, input: Input) -> Vec<Output> {
        match input {
            Input::Decided(decision) => return self.decided(now, decision),
            Input::Superseded { epoch } if epoch > self.epoch || self.switch.off(Mutant::AnyHintCounts) => {
                return self.superseded(epoch);
            }
            Input::Superseded { .. } => return vec![],
            _ => {}
        }
        match &mut self.state {
            State::Owner { .. } => self.handle_as_owner(now, input),
            State::Frozen(_) => self.handle_frozen(now, input),
            State::Released => vec![],
        }
    }

    fn handle_as_owner(&mut self, now: Duration, input: Input) -> Vec<Output> {
        let State::Owner { attempts, .. } = &mut self.state else { return vec![] };
        match input {
            Input::StepEnd(step) => return self.step_end(now, &step),
            Input::Prepare { target, handoff } if target != self.me.region => {
                return attempts.prepare(now, target, handoff);
            }
            Input::Timeout { fresh_handoff } => return attempts.again(now, Some(fresh_handoff)),
            Input::Accepted { handoff, lease, worker } => {
                attempts.named(handoff).into_iter().for_each(|one| one.accepted(now, lease, worker));
            }
            Input::Refused { handoff, .. } => {
                attempts.named(handoff).into_iter().for_each(|one| one.refused(now));
            }
            Input::TargetLost { region } => {
                attempts.of_mut(region).into_iter().for_each(|one| one.refused(now));
            }
            Input::PresyncAck { handoff, tick } => {
                attempts.named(handoff).into_iter().for_each(|one| one.acked(now, Some(tick)));
            }
            Input::NeedFull { handoff } => {
                attempts.named(handoff).into_iter().for_each(|one| one.acked(now, None));
            }
            _ => {}
        }
        vec![]
    }

    /// Whether [`Input::StepEnd`] with this `step` would freeze the entity, if nobody of its group held it back.
    pub fn would_freeze(&self, now: Duration, step: &StepEnd) -> bool {
        let State::Owner { attempts, outside_since, .. } = &self.state else { return false };
        let crossing = self.crossing(step);
        let since = crossing.and(Some(outside_since.unwrap_or(now)));
        crossing.is_some_and(|to| Due::of(attempts, to, now, step).may_freeze(now, self.since, since, step))
    }

    /// Whose cells the entity is in by so much that it is to cross.
    fn crossing(&self, step: &StepEnd) -> Option<RegionId> {
        let over = step.owner.filter(|&owner| owner != self.me.region && step.beyond_metres > 0.0);
        over.filter(|_| step.beyond_metres >= CROSSING_METRES || self.switch.off(Mutant::NoHysteresis))
    }

    fn step_end(&mut self, now: Duration, step: &StepEnd) -> Vec<Output> {
        let crossing = self.crossing(step);
        let State::Owner { attempts, outside_since, late } = &mut self.state else { return vec![] };
        let over = step.owner.filter(|&owner| owner != self.me.region && step.beyond_metres > 0.0);
        if over.is_none() {
            (*outside_since, *late) = (None, false);
        } else if crossing.is_some() {
            outside_since.get_or_insert(now);
        }

        let mut outputs = attempts.step(now, over, &step.near, step.fresh_handoff);
        let due = crossing.map(|to| Due::of(attempts, to, now, step)).unwrap_or_default();
        *late |= crossing.is_some() && !due.fresh;
        let held = step.held && !self.switch.off(Mutant::FreezesPartOfGroup);
        let freezes = !held && due.may_freeze(now, self.since, *outside_since, step);
        let (Some(to), Some((handoff, stream)), true) = (crossing, due.ready, freezes) else {
            outputs.extend(attempts.stream(now, step));
            return outputs;
        };

        let Stream { worker, lease, acked: base, .. } = stream;
        let patience = freeze_timeout(step.step_ticks);
        let frozen = Frozen {
            to,
            worker,
            lease,
            handoff,
            base,
            tick: step.tick,
            late: *late,
            durable: false,
            patience,
            deadline: now + patience,
            reclaim: None,
        };
        outputs.extend(attempts.iter().filter(|other| other.to != to).filter_map(|other| other.withdraw()));
        outputs.extend([Output::Freeze { tick: step.tick }, Output::Flush { tick: step.tick }]);
        if self.switch.off(Mutant::FinalBeforeFlush) {
            outputs.push(frozen.send_final());
        }
        self.state = State::Frozen(frozen);
        outputs
    }

    fn handle_frozen(&mut self, now: Duration, input: Input) -> Vec<Output> {
        let epoch = self.epoch;
        let State::Frozen(frozen) = &mut self.state else { return vec![] };
        match input {
            Input::Durable { tick } if tick >= frozen.tick && !frozen.durable => {
                frozen.durable = true;
                vec![frozen.send_final()]
            }
            Input::NeedFull { handoff }
                if handoff == frozen.handoff && frozen.durable && frozen.reclaim.is_none() =>
            {
                frozen.base = None;
                vec![frozen.send_final()]
            }
            Input::TargetLost { region } if region == frozen.to => {
                frozen.deadline = frozen.deadline.min(now);
                vec![]
            }
            Input::Timeout { .. } if now < frozen.deadline => vec![],
            Input::Timeout { .. } if self.switch.off(Mutant::ResumeWithoutCas) => self.resume(now, epoch),
            Input::Timeout { .. } if !frozen.durable => {
                frozen.deadline = now + frozen.patience;
                vec![Output::Flush { tick: frozen.tick }]
            }
            Input::Timeout { fresh_handoff } => {
                frozen.deadline = now + frozen.patience;
                let handoff = *frozen.reclaim.get_or_insert(fresh_handoff);
                vec![Output::CasKeep { handoff, expect_epoch: epoch }]
            }
            _ => vec![],
        }
    }

    fn decided(&mut self, now: Duration, decision: Decision) -> Vec<Output> {
        if decision.epoch <= self.epoch || matches!(self.state, State::Released) {
            return vec![];
        }
        if let State::Frozen(frozen) = &self.state {
            let ours = frozen.reclaim == Some(decision.handoff) && decision.holder == Some(self.me.holder());
            if ours || self.switch.off(Mutant::AnyRecordResumes) {
                let withdraw = Output::SendWithdraw { to: frozen.to, handoff: frozen.handoff };
                let mut outputs = vec![withdraw];
                outputs.extend(self.resume(now, decision.epoch));
                return outputs;
            }
        }
        self.state = State::Released;
        vec![Output::Released {
            epoch: decision.epoch,
            region: Some(decision.region),
            worker: decision.holder.map(|holder| holder.worker),
        }]
    }

    /// A hint takes authority away from an owner, which is always safe. It decides nothing for a
    /// frozen entity, whose own compare-and-set may be what the hint is about.
    fn superseded(&mut self, epoch: Epoch) -> Vec<Output> {
        match self.state {
            State::Owner { .. } => {
                self.state = State::Released;
                vec![Output::Released { epoch, region: None, worker: None }]
            }
            State::Frozen(_) => vec![Output::ReadRecord],
            State::Released => vec![],
        }
    }

    fn resume(&mut self, now: Duration, epoch: Epoch) -> Vec<Output> {
        self.epoch = epoch;
        self.since = now;
        self.state = State::alone();
        vec![Output::Resumed { epoch }]
    }
}

/// How ready a target is for an entity that is to cross to it.
#[derive(Debug, Default)]
struct Due {
    ready: Option<(HandoffId, Stream)>,
    /// Its copy is of the last step, or in a crowd not much older.
    fresh: bool,
    /// It has a copy and was heard of late.
    answers: bool,
}

impl Due {
    fn of(attempts: &Attempts, to: RegionId, now: Duration, step: &StepEnd) -> Self {
        let ready = attempts.of(to).and_then(|one| Some((one.handoff, *one.stream()?)));
        let lag = if step.crowded { CROWD_LAG_TICKS } else { step.step_ticks };
        let is_new = |acked: Tick| step.tick.saturating_since(acked) <= lag;
        let fresh = ready.is_some_and(|(_, stream)| stream.acked.is_some_and(is_new));
        let answers = ready.is_some_and(|(_, stream)| stream.acked.is_some() && now < stream.again_at);
        Self { ready, fresh, answers }
    }

    /// Whether the freeze may be now: of an owner since `owned`, that is outside since `outside`.
    fn may_freeze(&self, now: Duration, owned: Duration, outside: Option<Duration>, step: &StepEnd) -> bool {
        let patient = outside.is_some_and(|since| now >= since + LAG_PATIENCE);
        let good_enough = self.fresh && step.swift || patient && self.answers;
        step.healthy && now >= owned + MIN_DWELL && good_enough
    }
}

impl State {
    const fn alone() -> Self {
        Self::Owner { attempts: Attempts::none(), outside_since: None, late: false }
    }
}

impl Frozen {
    fn send_final(&self) -> Output {
        Output::SendFinal {
            to: self.to,
            worker: self.worker,
            lease: self.lease,
            handoff: self.handoff,
            base: self.base,
            tick: self.tick,
            late: self.late,
        }
    }
}

#[cfg(test)]
mod tests;
