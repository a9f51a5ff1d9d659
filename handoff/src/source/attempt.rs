//! One wish to hand an entity over, until it is frozen or withdrawn.

use std::time::Duration;

use horizon_model::{Epoch, HandoffId, RegionId, Tick, WorkerId};

use super::{LAG_PATIENCE, OFFER_RETRY, Output, SWITCH_AFTER};

#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) to: RegionId,
    pub(super) handoff: HandoffId,
    /// When a forecast or the entity's place last asked for this target.
    pub(super) wanted_at: Duration,
    /// When the entity was last in the target's cells.
    pub(super) inside_at: Option<Duration>,
    pub(super) phase: Phase,
}

#[derive(Debug, Clone)]
pub(super) enum Phase {
    Offered {
        again_at: Duration,
    },
    Refused {
        retry_at: Duration,
    },
    /// `again_at`: when to offer again if nothing is heard until then.
    Streaming {
        worker: WorkerId,
        lease: Epoch,
        acked: Option<Tick>,
        again_at: Duration,
    },
}

/// A forecast asks for `target`: it renews the attempt at hand, begins one, or replaces one that no
/// forecast has asked for lately. A body that is already in a target's cells needs no forecast.
pub(super) fn prepare(
    slot: &mut Option<Attempt>,
    now: Duration,
    target: RegionId,
    handoff: HandoffId,
) -> Vec<Output> {
    match slot {
        Some(attempt) if attempt.to == target => {
            attempt.wanted_at = now;
            vec![]
        }
        Some(attempt) if now < attempt.wanted_at + SWITCH_AFTER => vec![],
        _ => replace(slot, now, target, handoff),
    }
}

/// The entity is in the cells of `to`: that is the target now, unless the body only sways on the
/// line between two neighbours.
pub(super) fn be_in(
    slot: &mut Option<Attempt>,
    now: Duration,
    to: RegionId,
    crossing: bool,
    fresh: HandoffId,
) -> Vec<Output> {
    let outputs = match slot {
        Some(attempt) if attempt.to == to => vec![],
        Some(attempt) => {
            let sways = attempt.inside_at.is_some_and(|inside| now < inside + LAG_PATIENCE);
            let forecast = !crossing && now < attempt.wanted_at + SWITCH_AFTER;
            if sways || forecast {
                return vec![];
            }
            replace(slot, now, to, fresh)
        }
        None => replace(slot, now, to, fresh),
    };
    if let Some(attempt) = slot {
        attempt.wanted_at = now;
        attempt.inside_at = Some(now);
    }
    outputs
}

fn replace(slot: &mut Option<Attempt>, now: Duration, to: RegionId, handoff: HandoffId) -> Vec<Output> {
    let mut outputs: Vec<_> = slot.take().and_then(|old| old.withdraw()).into_iter().collect();
    let phase = Phase::Offered { again_at: now + OFFER_RETRY };
    *slot = Some(Attempt { to, handoff, wanted_at: now, inside_at: None, phase });
    outputs.push(Output::SendOffer { to, handoff });
    outputs
}

impl Attempt {
    pub(super) fn withdraw(&self) -> Option<Output> {
        let answered_no = matches!(self.phase, Phase::Refused { .. });
        (!answered_no).then_some(Output::SendWithdraw { to: self.to, handoff: self.handoff })
    }

    /// Repeats an offer without an answer, makes a new one after a refusal.
    pub(super) fn again(&mut self, now: Duration, fresh: HandoffId) -> Vec<Output> {
        match &mut self.phase {
            Phase::Offered { again_at } | Phase::Streaming { again_at, .. } if now >= *again_at => {
                *again_at = now + OFFER_RETRY;
            }
            Phase::Refused { retry_at } if now >= *retry_at => {
                self.handoff = fresh;
                self.phase = Phase::Offered { again_at: now + OFFER_RETRY };
            }
            _ => return vec![],
        }
        vec![Output::SendOffer { to: self.to, handoff: self.handoff }]
    }

    /// A repeated offer may be accepted by a restarted target: the higher lease counts.
    pub(super) fn accepted(&mut self, now: Duration, new_lease: Epoch, worker: WorkerId) {
        let news = match self.phase {
            Phase::Offered { .. } => true,
            Phase::Streaming { lease, .. } => new_lease > lease,
            Phase::Refused { .. } => false,
        };
        if news {
            let again_at = now + OFFER_RETRY;
            self.phase = Phase::Streaming { worker, lease: new_lease, acked: None, again_at };
        }
    }

    /// The target's copy is complete up to `tick`, or it has none that can be built upon.
    pub(super) fn acked(&mut self, now: Duration, tick: Option<Tick>) {
        if let Phase::Streaming { acked, again_at, .. } = &mut self.phase {
            *acked = tick.and(tick.max(*acked));
            *again_at = now + OFFER_RETRY;
        }
    }
}
