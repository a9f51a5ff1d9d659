//! Wishes to hand an entity over, one for each region it may enter, until one of them is frozen.

use std::time::Duration;

use horizon_model::{Epoch, HandoffId, RegionId, Tick, WorkerId};

use super::{
    CALM_TICKS, FORECAST_FOR, FULL_AGAIN_TICKS, HURRY_METRES, MAX_ATTEMPTS, Near, OFFER_RETRY, Output,
    PREPARE_METRES, SWITCH_AFTER, StepEnd, WANTED_FOR,
};

/// At most [`MAX_ATTEMPTS`], each for another region.
#[derive(Debug, Clone)]
pub(super) struct Attempts(Vec<Attempt>);

#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) to: RegionId,
    pub(super) handoff: HandoffId,
    /// When a forecast or the entity's place last asked for this target.
    wanted_at: Duration,
    /// When a forecast last did.
    forecast_at: Option<Duration>,
    pub(super) phase: Phase,
}

#[derive(Debug, Clone)]
pub(super) enum Phase {
    Offered { again_at: Duration },
    Refused { retry_at: Duration },
    Streaming(Stream),
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Stream {
    pub(super) worker: WorkerId,
    pub(super) lease: Epoch,
    pub(super) acked: Option<Tick>,
    sent: Option<Tick>,
    /// When to offer again if nothing is heard until then.
    pub(super) again_at: Duration,
}

impl Attempts {
    pub(super) const fn none() -> Self {
        Self(Vec::new())
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Attempt> {
        self.0.iter()
    }

    pub(super) fn of(&self, to: RegionId) -> Option<&Attempt> {
        self.0.iter().find(|attempt| attempt.to == to)
    }

    pub(super) fn of_mut(&mut self, to: RegionId) -> Option<&mut Attempt> {
        self.0.iter_mut().find(|attempt| attempt.to == to)
    }

    pub(super) fn named(&mut self, handoff: HandoffId) -> Option<&mut Attempt> {
        self.0.iter_mut().find(|attempt| attempt.handoff == handoff)
    }

    /// A forecast asks for `target`: it renews that attempt or begins one.
    pub(super) fn prepare(&mut self, now: Duration, target: RegionId, handoff: HandoffId) -> Vec<Output> {
        let begun = match self.of(target) {
            Some(_) => vec![],
            None => self.begin(now, target, handoff, SWITCH_AFTER),
        };
        if let Some(attempt) = self.of_mut(target) {
            (attempt.wanted_at, attempt.forecast_at) = (now, Some(now));
        }
        begun
    }

    /// The entity is in the cells of `over`, and near others: renews and begins what that calls for,
    /// withdraws what nothing did, and repeats what was not answered. One nonce begins one attempt;
    /// the next has to wait for the next step.
    pub(super) fn step(
        &mut self,
        now: Duration,
        over: Option<RegionId>,
        near: &Near,
        fresh: HandoffId,
    ) -> Vec<Output> {
        let mut outputs = vec![];
        self.0.retain_mut(|attempt| {
            if over == Some(attempt.to) || near.metres(attempt.to).is_some() {
                attempt.wanted_at = now;
            }
            let wanted = now < attempt.wanted_at + WANTED_FOR;
            outputs.extend((!wanted).then(|| attempt.withdraw()).flatten());
            wanted
        });
        let close = near.iter().filter(|(_, metres)| *metres <= PREPARE_METRES);
        let close = close.map(|(region, _)| (region, SWITCH_AFTER));
        let mut fresh = Some(fresh);
        for (to, stale) in over.map(|to| (to, Duration::ZERO)).into_iter().chain(close) {
            if self.of(to).is_none()
                && let Some(handoff) = fresh
            {
                let begun = self.begin(now, to, handoff, stale);
                fresh = fresh.filter(|_| begun.is_empty());
                outputs.extend(begun);
            }
        }
        outputs.extend(self.again(now, fresh));
        outputs
    }

    /// A new attempt; where there are too many, in the place of the one that was unwanted longest, if
    /// that is for `stale` at least.
    fn begin(&mut self, now: Duration, to: RegionId, handoff: HandoffId, stale: Duration) -> Vec<Output> {
        let mut outputs = vec![];
        if self.0.len() >= MAX_ATTEMPTS
            && let Some(at) = (0..self.0.len()).min_by_key(|&at| self.0[at].wanted_at)
        {
            if now < self.0[at].wanted_at + stale {
                return vec![];
            }
            outputs.extend(self.0.remove(at).withdraw());
        }
        let phase = Phase::Offered { again_at: now + OFFER_RETRY };
        self.0.push(Attempt { to, handoff, wanted_at: now, forecast_at: None, phase });
        outputs.push(Output::SendOffer { to, handoff });
        outputs
    }

    /// Repeats offers without an answer, makes one new one after a refusal.
    pub(super) fn again(&mut self, now: Duration, fresh: Option<HandoffId>) -> Vec<Output> {
        let mut fresh = fresh;
        self.0.iter_mut().filter_map(|attempt| attempt.again(now, &mut fresh)).collect()
    }

    /// The states that are to be sent at the end of `step`.
    pub(super) fn stream(&mut self, now: Duration, step: &StepEnd) -> Vec<Output> {
        self.0.iter_mut().filter_map(|attempt| attempt.send(now, step)).collect()
    }
}

impl Attempt {
    pub(super) const fn stream(&self) -> Option<&Stream> {
        match &self.phase {
            Phase::Streaming(stream) => Some(stream),
            _ => None,
        }
    }

    pub(super) fn withdraw(&self) -> Option<Output> {
        let answered_no = matches!(self.phase, Phase::Refused { .. });
        (!answered_no).then_some(Output::SendWithdraw { to: self.to, handoff: self.handoff })
    }

    fn again(&mut self, now: Duration, fresh: &mut Option<HandoffId>) -> Option<Output> {
        match &mut self.phase {
            Phase::Offered { again_at } | Phase::Streaming(Stream { again_at, .. }) if now >= *again_at => {
                *again_at = now + OFFER_RETRY;
            }
            Phase::Refused { retry_at } if now >= *retry_at => {
                self.handoff = fresh.take()?;
                self.phase = Phase::Offered { again_at: now + OFFER_RETRY };
            }
            _ => return None,
        }
        Some(Output::SendOffer { to: self.to, handoff: self.handoff })
    }

    /// Every step where the entity may cross soon, else now and then: the distance says which, and for
    /// one that is not near, whether a forecast expects it. A complete state is not repeated
    /// before it can have been answered.
    fn send(&mut self, now: Duration, step: &StepEnd) -> Option<Output> {
        let forecast = self.forecast_at.is_some_and(|at| now < at + FORECAST_FOR);
        let soon = step.near.metres(self.to).map_or(forecast, |metres| metres <= HURRY_METRES);
        let hurried = !step.crowded && (soon || step.owner == Some(self.to));
        let Phase::Streaming(stream) = &mut self.phase else { return None };
        let pause = match stream.acked {
            None => FULL_AGAIN_TICKS,
            Some(_) if hurried => 0,
            Some(_) => CALM_TICKS,
        };
        if stream.sent.is_some_and(|sent| step.tick.saturating_since(sent) < pause) {
            return None;
        }
        stream.sent = Some(step.tick);
        Some(Output::SendPresync { to: self.to, handoff: self.handoff, base: stream.acked })
    }

    /// A repeated offer may be accepted by a restarted target: the higher lease counts.
    pub(super) fn accepted(&mut self, now: Duration, new_lease: Epoch, worker: WorkerId) {
        let news = match self.phase {
            Phase::Offered { .. } => true,
            Phase::Streaming(Stream { lease, .. }) => new_lease > lease,
            Phase::Refused { .. } => false,
        };
        if news {
            let again_at = now + OFFER_RETRY;
            let stream = Stream { worker, lease: new_lease, acked: None, sent: None, again_at };
            self.phase = Phase::Streaming(stream);
        }
    }

    /// The target cannot be had now.
    pub(super) fn refused(&mut self, now: Duration) {
        self.phase = Phase::Refused { retry_at: now + OFFER_RETRY };
    }

    /// The target's copy is complete up to `tick`, or it has none that can be built upon.
    pub(super) fn acked(&mut self, now: Duration, tick: Option<Tick>) {
        if let Phase::Streaming(stream) = &mut self.phase {
            stream.acked = tick.and(tick.max(stream.acked));
            stream.sent = stream.sent.filter(|_| tick.is_some());
            stream.again_at = now + OFFER_RETRY;
        }
    }
}
