//! Target side of handoffs: takes entities that neighbours offer to this region.
//!
//! ```text
//!           Offer: Accept            Final, ours and whole     Staged: CasMove       Won, at a newer epoch
//!   Absent ──────────────▶ Shadow ────────────────────────▶ Staging ────────▶ Asked ─────────────────▶ Activated
//!     ▲                    │  ▲ │                             │               │ ▲  │
//!     │                    │  └─┘ Presync: Ack                │               │ └──┘ no answer: same again
//!     └────────────────────┴──────────────────────────────────┴───────────────┘
//!        Withdraw, 5 s of silence, link lost                    Lost
//! ```
//!
//! The members of a group (a vehicle and its riders) are asked for in one call once all of them are staged; the
//! store writes all of them or none. Until then each of them may be withdrawn like a shadow.
//!
//! Invariant: a copy is inert until a record that names us was won with it, and no record is asked for
//! whose state is not durable in our journal. What was said for another
//! process, under another lease, or about an epoch below one that was ever seen for the entity (its
//! tombstone) is dropped, so any message may come late, twice or never.

mod message;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use horizon_model::{EntityId, Epoch, HandoffId, RegionId};
use horizon_protocol::link::{EntityKey, FinalState, Offer, PresyncState, RefuseReason};

use crate::mutant::{Mutant, Switch};
use crate::{Baselines, Capsule, CasOutcome, CasRequest, Expect, Kept, LeaseGuard, Record};

pub use message::{Arrival, Input, Output, StagedState};

/// A copy that nothing was heard about for so long is forgotten.
pub const SHADOW_EXPIRY: Duration = Duration::from_secs(5);
/// Time between two requests for the same decision after the store failed to answer.
pub const UNKNOWN_RETRY: Duration = Duration::from_millis(20);
/// Time after which a request without any answer is repeated.
pub const ANSWER_PATIENCE: Duration = Duration::from_secs(1);
/// Entities on their way here at one time; more offers are refused as full.
pub const MAX_COPIES: usize = 1024;
/// Entities that move together at most.
pub const MAX_GROUP: usize = 16;
/// Entities whose highest epoch is remembered after they left. The oldest half is forgotten when they
/// are more: no message is minutes late, and the store compares epochs as well.
pub const MAX_TOMBSTONES: usize = 16 * 1024;

/// Everything that is on its way to one region under one lease.
#[derive(Debug)]
pub struct Target {
    me: LeaseGuard,
    lost: bool,
    copies: BTreeMap<EntityKey, Incoming>,
    keys: BTreeMap<HandoffId, EntityKey>,
    tombstones: BTreeMap<EntityKey, Tombstone>,
    switch: Switch,
}

#[derive(Debug)]
struct Incoming {
    handoff: HandoffId,
    epoch: Epoch,
    from: RegionId,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Shadow {
        entity: EntityId,
        states: Baselines,
        expires: Duration,
    },
    Staged {
        request: Box<CasRequest>,
        capsule: Arc<Capsule>,
        arrival: Arrival,
        /// The attempts of the group, or this one alone.
        group: Arc<[HandoffId]>,
        progress: Progress,
    },
}

/// How far a final state is.
#[derive(Debug, Clone)]
enum Progress {
    /// On its way to the disk.
    Syncing,
    /// There, and the others of its group are awaited.
    Gathering { until: Duration },
    /// The store is asked for all of the group, and will be asked the same again.
    Asked { call: Arc<[CasRequest]>, again_at: Duration },
}

#[derive(Debug, Clone, Copy)]
struct Tombstone {
    epoch: Epoch,
    at: Duration,
}

impl Target {
    /// Nothing on its way yet, to the region and under the lease of `me`.
    pub fn new(me: LeaseGuard) -> Self {
        Self {
            me,
            lost: false,
            copies: BTreeMap::new(),
            keys: BTreeMap::new(),
            tombstones: BTreeMap::new(),
            switch: Switch::default(),
        }
    }

    /// The same machine with one guard switched off.
    #[cfg(any(test, feature = "mutants"))]
    #[must_use]
    pub fn without(mut self, guard: Mutant) -> Self {
        self.switch = Switch::without(guard);
        self
    }

    /// Copies that are held, staged ones included.
    pub fn copies(&self) -> usize {
        self.copies.len()
    }

    /// Final states whose fate is not known: what a new part of the journal must hold.
    pub fn staged(&self) -> impl Iterator<Item = StagedState> {
        self.copies.values().filter_map(|copy| match &copy.stage {
            Stage::Staged { request, capsule, .. } => {
                Some(StagedState::of(request, copy.epoch, Arc::clone(capsule)))
            }
            Stage::Shadow { .. } => None,
        })
    }

    /// Whether a final state of `key` waits for the store's decision.
    pub fn is_staged(&self, key: EntityKey) -> bool {
        self.copies.get(&key).is_some_and(|copy| matches!(copy.stage, Stage::Staged { .. }))
    }

    /// The highest epoch that was seen for `key` and is still remembered.
    pub fn high_water(&self, key: EntityKey) -> Epoch {
        self.tombstones.get(&key).map_or(Epoch::ZERO, |tombstone| tombstone.epoch)
    }

    /// When to call [`Self::handle`] with [`Input::Timeout`], and what is being awaited.
    pub fn next_timeout(&self) -> Option<(Duration, &'static str)> {
        let due = |copy: &Incoming| match copy.stage {
            Stage::Shadow { expires, .. } => Some((expires, "news about a copy")),
            Stage::Staged { ref progress, .. } => match *progress {
                Progress::Syncing => None,
                Progress::Gathering { until } => Some((until, "the others of a group")),
                Progress::Asked { again_at, .. } => Some((again_at, "the store's decision")),
            },
        };
        self.copies.values().filter_map(due).min_by_key(|(at, _)| *at)
    }

    /// Advances the machine. Late, repeated and unexpected inputs produce no output, or the same
    /// answer again.
    ///
    /// `now` is grid time and must not go backwards between calls.
    pub fn handle(&mut self, now: Duration, input: Input) -> Vec<Output> {
        match input {
            Input::Offer { offer, ready } => self.offer(now, &offer, ready),
            Input::LeaseLost => self.lease_lost(),
            _ if self.lost => vec![],
            Input::Presync(state) => self.presync(now, &state),
            Input::Final(last) => self.last(now, &last),
            Input::Withdraw { handoff } => {
                self.forget_where(|copy| copy.handoff == handoff && copy.may_end())
            }
            Input::Staged { handoff } => self.staged_durably(now, handoff),
            Input::Outcome { handoff, outcome } => self.outcome(now, handoff, outcome),
            Input::Unknown { handoff } => self.ask_again_at(handoff, now + UNKNOWN_RETRY),
            Input::SourceLost { region } => self.forget_where(|copy| copy.from == region && copy.may_end()),
            Input::Observed { key, epoch } => {
                self.raise(now, key, epoch);
                let passed = self.copies.get(&key).is_some_and(|copy| copy.may_end() && copy.epoch < epoch);
                if passed { self.forget(key) } else { vec![] }
            }
            Input::Timeout => self.timeout(now),
        }
    }

    fn offer(&mut self, now: Duration, offer: &Offer, ready: Result<(), RefuseReason>) -> Vec<Output> {
        let (to, handoff, key) = (offer.from, offer.handoff, offer.key);
        let refuse = |why| vec![Output::SendRefuse { to, handoff, why }];
        if self.lost || offer.to != self.me.region || offer.from == self.me.region {
            return refuse(RefuseReason::NotServing);
        }
        if offer.epoch < self.high_water(key) {
            return vec![];
        }
        match self.copies.get(&key) {
            Some(copy) if copy.handoff == handoff => return vec![Output::SendAccept { to, handoff }],
            Some(copy) if copy.epoch > offer.epoch || !copy.may_end() => return vec![],
            None if self.copies.len() >= MAX_COPIES => return refuse(RefuseReason::Full),
            _ => {}
        }
        if let Err(why) = ready {
            return refuse(why);
        }
        let stage =
            Stage::Shadow { entity: offer.entity, states: Baselines::new(), expires: now + SHADOW_EXPIRY };
        self.put(key, Incoming { handoff, epoch: offer.epoch, from: offer.from, stage });
        vec![Output::SendAccept { to, handoff }]
    }

    fn presync(&mut self, now: Duration, state: &PresyncState) -> Vec<Output> {
        let Some((key, copy)) = self.copy_of(state.handoff) else { return vec![] };
        let (to, handoff) = (copy.from, copy.handoff);
        let Stage::Shadow { entity, states, expires } = &mut copy.stage else { return vec![] };
        if let Some((tick, _)) = states.newest().filter(|(newest, _)| *newest >= state.tick) {
            return vec![Output::SendPresyncAck { to, handoff, tick }];
        }
        let Some(capsule) = states.assemble(state.base, &state.parts) else {
            return vec![Output::SendNeedFull { to, handoff }];
        };
        let capsule = Arc::new(capsule);
        if let Some(base) = state.base {
            states.forget_before(base);
        }
        states.put(state.tick, Arc::clone(&capsule));
        *expires = now + SHADOW_EXPIRY;
        let shadow = Output::Shadow { key, entity: *entity, from: to, tick: state.tick, capsule };
        vec![Output::SendPresyncAck { to, handoff, tick: state.tick }, shadow]
    }

    fn last(&mut self, now: Duration, last: &FinalState) -> Vec<Output> {
        let for_us = (last.to, last.to_worker, last.to_lease)
            == (self.me.region, self.me.worker, self.me.lease)
            && last.from != self.me.region;
        let passed = last.epoch < self.high_water(last.key) && !self.switch.off(Mutant::NoTombstone);
        if !for_us || passed {
            return vec![];
        }
        let named = last.group.contains(&last.handoff) && last.group.len() <= MAX_GROUP;
        if !(named || last.group.is_empty()) {
            return vec![];
        }
        let no_states = Baselines::new();
        let states = match self.copies.get(&last.key) {
            Some(Incoming { stage: Stage::Staged { .. }, epoch, .. }) if *epoch >= last.epoch => {
                return vec![];
            }
            Some(copy) if copy.epoch > last.epoch => return vec![],
            Some(Incoming { stage: Stage::Shadow { states, .. }, handoff, .. })
                if *handoff == last.handoff =>
            {
                states
            }
            _ => &no_states,
        };
        let assembled = states.assemble(last.base, &last.parts).filter(|capsule| capsule.hash() == last.hash);
        let older = || states.newest().map(|(_, capsule)| Capsule::clone(capsule));
        let assembled =
            if self.switch.off(Mutant::CopyInsteadOfFinal) { older().or(assembled) } else { assembled };
        let Some(capsule) = assembled else {
            let full = last.base.is_none();
            let ask = Output::SendNeedFull { to: last.from, handoff: last.handoff };
            return if full { vec![] } else { vec![ask] };
        };
        let capsule = Arc::new(capsule);
        let request = CasRequest {
            key: last.key,
            guard: self.me,
            expect: Some(Expect { epoch: last.epoch, region: last.from }),
            handoff: last.handoff,
            applied: last.applied,
            tick: last.tick,
            capsule: Kept::Journal { lease: self.me.lease, hash: last.hash },
            park: false,
            group: last.group.first().copied().filter(|_| !self.switch.off(Mutant::MembersOneByOne)),
        };
        let group = if request.group.is_some() { Arc::from(&*last.group) } else { Arc::from([last.handoff]) };
        let mut outputs = vec![Output::Stage(StagedState::of(&request, last.epoch, Arc::clone(&capsule)))];
        let (arrival, progress) = (Arrival::from(last), Progress::Syncing);
        let stage = Stage::Staged { request: Box::new(request.clone()), capsule, arrival, group, progress };
        let (handoff, epoch, from) = (last.handoff, last.epoch, last.from);
        self.put(last.key, Incoming { handoff, epoch, from, stage });
        if self.switch.off(Mutant::CasBeforeStaged) {
            outputs.extend(self.staged_durably(now, handoff));
        }
        if self.switch.off(Mutant::ActivateOnFinal) {
            let CasRequest { applied, tick, capsule, .. } = request;
            let (region, holder, epoch) = (self.me.region, Some(self.me.holder()), last.epoch.next());
            let record = Record { epoch, region, holder, handoff, applied, tick, capsule };
            outputs.extend(self.outcome(now, handoff, CasOutcome::Won(record)));
        }
        outputs
    }

    /// The state is where a successor looks for it: once that is so for all of its group, the store may be asked.
    fn staged_durably(&mut self, now: Duration, handoff: HandoffId) -> Vec<Output> {
        let Some((_, copy)) = self.copy_of(handoff) else { return vec![] };
        let Stage::Staged { group, progress: progress @ Progress::Syncing, .. } = &mut copy.stage else {
            return vec![];
        };
        *progress = Progress::Gathering { until: now + SHADOW_EXPIRY };
        let group = Arc::clone(group);
        let members = group.iter().map(|member| self.gathering(*member, &group));
        let Some(call) = members.collect::<Option<Vec<_>>>() else { return vec![] };
        let shared: Arc<[CasRequest]> = Arc::from(&*call);
        for member in group.iter() {
            let asked = Progress::Asked { call: Arc::clone(&shared), again_at: now + ANSWER_PATIENCE };
            if let Some((_, Incoming { stage: Stage::Staged { progress, .. }, .. })) = self.copy_of(*member) {
                *progress = asked;
            }
        }
        vec![Output::CasMove(call)]
    }

    /// The request of a member of `group` that is durable and waits for the others.
    fn gathering(&self, member: HandoffId, group: &Arc<[HandoffId]>) -> Option<CasRequest> {
        let copy = self.copies.get(self.keys.get(&member)?)?;
        match &copy.stage {
            Stage::Staged { request, group: named, progress: Progress::Gathering { .. }, .. }
                if named == group =>
            {
                Some(CasRequest::clone(request))
            }
            _ => None,
        }
    }

    fn outcome(&mut self, now: Duration, handoff: HandoffId, outcome: CasOutcome) -> Vec<Output> {
        let Some((key, copy)) = self.copy_of(handoff) else { return vec![] };
        let Stage::Staged { capsule, arrival, .. } = &copy.stage else { return vec![] };
        let (epoch, capsule, arrival) = (copy.epoch, Arc::clone(capsule), *arrival);
        match outcome {
            CasOutcome::Won(record) if self.is_ours(key, epoch, handoff, &record) => {
                self.raise(now, key, record.epoch);
                self.remove(key);
                vec![Output::Activated { key, record, capsule, arrival }]
            }
            CasOutcome::Won(record) | CasOutcome::Lost(Some(record)) => {
                self.raise(now, key, record.epoch);
                self.forget(key)
            }
            CasOutcome::Lost(None) | CasOutcome::TooLarge { .. } => self.forget(key),
            CasOutcome::LeaseLost => self.lease_lost(),
            CasOutcome::WrongGeneration { .. } => self.ask_again_at(handoff, now + ANSWER_PATIENCE),
        }
    }

    /// Whether `record` is the success of the attempt at hand, and nobody was seen beyond it.
    fn is_ours(&self, key: EntityKey, before: Epoch, handoff: HandoffId, record: &Record) -> bool {
        let ours = record.holder == Some(self.me.holder()) && record.handoff == handoff;
        let newest = record.epoch >= self.high_water(key) || self.switch.off(Mutant::NoTombstone);
        ours && record.epoch > before && newest
    }

    fn ask_again_at(&mut self, handoff: HandoffId, at: Duration) -> Vec<Output> {
        if let Some((_, Incoming { stage: Stage::Staged { progress, .. }, .. })) = self.copy_of(handoff)
            && let Progress::Asked { again_at, .. } = progress
        {
            *again_at = at;
        }
        vec![]
    }

    fn timeout(&mut self, now: Duration) -> Vec<Output> {
        let mut outputs = self.forget_where(|copy| match copy.stage {
            Stage::Shadow { expires, .. } => expires <= now,
            Stage::Staged { progress: Progress::Gathering { until }, .. } => until <= now,
            Stage::Staged { .. } => false,
        });
        let mut calls: Vec<Arc<[CasRequest]>> = vec![];
        for copy in self.copies.values_mut() {
            match &mut copy.stage {
                Stage::Staged { progress: Progress::Asked { call, again_at }, .. } if *again_at <= now => {
                    *again_at = now + ANSWER_PATIENCE;
                    // Asked for once, for whichever of its members comes first.
                    if !calls.iter().any(|other| Arc::ptr_eq(other, call)) {
                        calls.push(Arc::clone(call));
                    }
                }
                _ => {}
            }
        }
        outputs.extend(calls.into_iter().map(|call| Output::CasMove(call.to_vec())));
        outputs
    }

    fn lease_lost(&mut self) -> Vec<Output> {
        self.lost = true;
        self.forget_where(|_| true)
    }

    fn copy_of(&mut self, handoff: HandoffId) -> Option<(EntityKey, &mut Incoming)> {
        let key = *self.keys.get(&handoff)?;
        self.copies.get_mut(&key).map(|copy| (key, copy))
    }

    fn put(&mut self, key: EntityKey, copy: Incoming) {
        self.remove(key);
        self.keys.insert(copy.handoff, key);
        self.copies.insert(key, copy);
    }

    fn remove(&mut self, key: EntityKey) {
        if let Some(copy) = self.copies.remove(&key) {
            self.keys.remove(&copy.handoff);
        }
    }

    fn forget(&mut self, key: EntityKey) -> Vec<Output> {
        self.remove(key);
        vec![Output::Forget { key }]
    }

    fn forget_where(&mut self, gone: impl Fn(&Incoming) -> bool) -> Vec<Output> {
        let keys: Vec<_> = self.copies.iter().filter(|(_, copy)| gone(copy)).map(|(key, _)| *key).collect();
        keys.into_iter().flat_map(|key| self.forget(key)).collect()
    }

    fn raise(&mut self, now: Duration, key: EntityKey, epoch: Epoch) {
        let tombstone = self.tombstones.entry(key).or_insert(Tombstone { epoch, at: now });
        tombstone.at = now;
        tombstone.epoch = tombstone.epoch.max(epoch);
        if self.tombstones.len() > MAX_TOMBSTONES {
            let mut ages: Vec<_> = self.tombstones.values().map(|tombstone| tombstone.at).collect();
            let middle = ages.len() / 2;
            let median = *ages.select_nth_unstable(middle).1;
            self.tombstones.retain(|other, tombstone| *other == key || tombstone.at > median);
        }
    }
}

impl Incoming {
    /// Whether nothing has been asked of the store for it, and nothing is about to be.
    const fn may_end(&self) -> bool {
        matches!(
            self.stage,
            Stage::Shadow { .. } | Stage::Staged { progress: Progress::Gathering { .. }, .. }
        )
    }
}

#[cfg(test)]
mod tests;
