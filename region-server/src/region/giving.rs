//! The source side of handoffs: what an owner's machine says, done.

use std::sync::Arc;

use gorc::LeaveReason;
use horizon_handoff::mutant::Mutant;
use horizon_handoff::source;
use horizon_handoff::{Capsule, CasOutcome, CasRequest, Expect, Kept, MAX_CAPSULE_BYTES};
use horizon_model::{EntityId, Epoch, HandoffId, RegionId, Tick, WorkerId};
use horizon_protocol::link::{
    EntityKey, FinalState, Lane, Offer, PresyncState, RegionToEdge, RegionToRegion,
};
use tracing::{error, info, warn};

use super::crossing::{Frozen, Recorded, Wish, observer_of};
use super::{Output, Region};
use crate::fault;
use crate::journal::Gone;
use horizon_handoff::target;

/// Attempts that have ended and are still remembered, beside twice those that may be open.
const SPARE_ATTEMPTS: usize = 256;

impl Region {
    /// Where an entity that waits for a decision is to go.
    pub(super) fn frozen_target(&self, id: EntityId) -> Option<RegionId> {
        self.crossings.get(&id)?.source.target()
    }

    /// The edge expects this entity to need that neighbour.
    pub(super) fn prepare(&mut self, key: EntityKey, target: RegionId) {
        let Some(id) = self.world.owned_by_key(key) else {
            return;
        };
        for member in self.world.group_of(id) {
            if self.ensure_recorded(member) {
                let handoff = self.nonces.fresh();
                self.feed_source(member, source::Input::Prepare { target, handoff });
            }
        }
    }

    /// An object gets its first record when it first nears a border; until then nothing is offered.
    pub(super) fn ensure_recorded(&mut self, id: EntityId) -> bool {
        let Some(crossing) = self.crossings.get_mut(&id) else {
            return false;
        };
        match crossing.recorded {
            Recorded::Yes => true,
            Recorded::Asked(_) => false,
            Recorded::No => {
                let handoff = self.nonces.fresh();
                crossing.recorded = Recorded::Asked(handoff);
                let request = self.claim(id, None, handoff, false);
                // Held: the store must not know what a crash can still undo.
                if let Some(request) = request {
                    self.hold(Output::Cas(vec![request]));
                }
                false
            }
        }
    }

    /// A compare-and-set with the durable state of an owned entity.
    pub(super) fn claim(
        &self,
        id: EntityId,
        expect: Option<Expect>,
        handoff: HandoffId,
        park: bool,
    ) -> Option<CasRequest> {
        let entity = self.world.entities.get(&id)?;
        let capsule = fault::luggage(entity.durable_capsule(self.world.field_names(entity.type_id)));
        Some(CasRequest {
            key: entity.key,
            guard: self.lease.guard(),
            expect,
            handoff,
            applied: entity.player.as_ref().map_or(0, |player| player.applied()),
            tick: entity.stepped,
            capsule: Kept::Here(capsule.encode()),
            park,
            group: None,
        })
    }

    /// What plugins have spawned is owned from its first step on, without a record.
    pub(super) fn own_spawned_objects(&mut self) {
        let entities = self.world.entities.values();
        let spawned: Vec<_> = entities
            .filter(|entity| {
                matches!(entity.key, EntityKey::Object(_)) && !self.crossings.contains_key(&entity.id)
            })
            .map(|entity| (entity.id, entity.key))
            .collect();
        for (id, key) in spawned {
            self.own(id, key, Epoch::ZERO, Recorded::No);
        }
    }

    /// The journal is durable up to `tick`: frozen entities may go.
    pub(super) fn flushed(&mut self, tick: Tick) {
        let frozen: Vec<EntityId> = self
            .crossings
            .iter()
            .filter(|(_, crossing)| crossing.source.is_frozen() && crossing.frozen.is_some())
            .map(|(id, _)| *id)
            .collect();
        for id in frozen {
            self.feed_source(id, source::Input::Durable { tick });
        }
    }

    /// Regions next to this one that an offer would reach.
    pub(super) fn linked_neighbours(&self) -> Vec<RegionId> {
        let around = self.world.map.neighbours_within(self.world.region, source::RELEASE_METRES);
        around.into_iter().filter(|region| self.worker_of(*region).is_some()).collect()
    }

    pub(super) fn feed_attempt(&mut self, handoff: HandoffId, input: source::Input) {
        if let Some(id) = self.attempts.get(&handoff).copied() {
            self.feed_source(id, input);
        }
    }

    /// Notes whom answers about `handoff` are for. What has ended is swept out when it is the most.
    fn note_attempt(&mut self, handoff: HandoffId, id: EntityId) {
        self.attempts.insert(handoff, id);
        let live = self.crossings.len() * source::MAX_ATTEMPTS;
        if self.attempts.len() > 2 * live + SPARE_ATTEMPTS {
            let crossings = &self.crossings;
            self.attempts.retain(|handoff, id| {
                crossings.get(id).is_some_and(|crossing| crossing.source.has_attempt(*handoff))
            });
        }
    }

    pub(super) fn feed_source(&mut self, id: EntityId, input: source::Input) {
        let Some(crossing) = self.crossings.get_mut(&id) else {
            return;
        };
        for output in crossing.source.handle(self.now, input) {
            self.source_says(id, &output);
        }
    }

    fn source_says(&mut self, id: EntityId, output: &source::Output) {
        match *output {
            source::Output::SendOffer { to, handoff } => self.offer(id, to, handoff),
            source::Output::SendWithdraw { to, handoff } => {
                self.send_region(to, RegionToRegion::Withdraw { handoff });
            }
            source::Output::SendPresync { to, handoff, base } => {
                self.wish(id, Wish::Presync { to, handoff, base });
            }
            source::Output::Freeze { tick } => {
                // The tick that ends still counts: the flag goes up once GORC has shown it.
                self.wish(id, Wish::Freeze { tick });
            }
            source::Output::Flush { .. } => self.flush = true,
            source::Output::SendFinal { to, worker, lease, handoff, base, tick, late } => {
                self.send_final(id, to, worker, lease, handoff, base, tick, late);
            }
            source::Output::CasKeep { handoff, expect_epoch } => {
                let expect = Expect { epoch: expect_epoch, region: self.world.region };
                let request = self.claim(id, Some(expect), handoff, false);
                self.out.extend(request.map(|request| Output::Cas(vec![request])));
            }
            source::Output::ReadRecord => {
                let key = self.world.entities.get(&id).map(|entity| entity.key);
                self.out.extend(key.map(Output::Lookup));
            }
            source::Output::Resumed { epoch } => self.resumed(id, epoch),
            source::Output::Released { epoch, region, .. } => self.released(id, epoch, region),
        }
    }

    fn wish(&mut self, id: EntityId, wish: Wish) {
        if let Some(crossing) = self.crossings.get_mut(&id) {
            crossing.wishes.push(wish);
        }
    }

    fn offer(&mut self, id: EntityId, to: RegionId, handoff: HandoffId) {
        let Some(entity) = self.world.entities.get(&id) else {
            return;
        };
        let capsule = fault::luggage(entity.durable_capsule(self.world.field_names(entity.type_id)));
        let size = capsule.size();
        let offer = Offer {
            handoff,
            key: entity.key,
            entity: id,
            epoch: self.epoch_of(id),
            from: self.world.region,
            to,
            size: size as u32,
            plugins_hash: self.plugins_hash,
        };
        self.note_attempt(handoff, id);
        if size > MAX_CAPSULE_BYTES {
            // The other region refuses it, for as long as that is so.
            self.note_size(id, size);
        }
        if !self.send_region(to, RegionToRegion::Offer(Box::new(offer))) {
            self.feed_source(id, source::Input::TargetLost { region: to });
        }
    }

    /// After GORC: takes the state that the machines asked for in this step.
    pub(super) fn finish_handoffs(&mut self, tick: Tick) {
        let wished: Vec<(EntityId, Vec<Wish>)> = self
            .crossings
            .iter_mut()
            .filter(|(_, crossing)| !crossing.wishes.is_empty())
            .map(|(id, crossing)| (*id, std::mem::take(&mut crossing.wishes)))
            .collect();
        for (id, wishes) in wished {
            let Some(capsule) = self.travel_capsule(id) else {
                continue;
            };
            for wish in wishes {
                match wish {
                    Wish::Presync { to, handoff, base } => {
                        self.send_presync(id, tick, &capsule, to, handoff, base);
                    }
                    Wish::Freeze { tick } => self.freeze(id, tick, Arc::clone(&capsule)),
                }
            }
        }
    }

    fn travel_capsule(&mut self, id: EntityId) -> Option<Arc<Capsule>> {
        let entity = self.world.entities.get(&id)?;
        let view = self.world.gorc.view(observer_of(id)).unwrap_or_default();
        let capsule = fault::luggage(entity.travel_capsule(self.world.field_names(entity.type_id), &view));
        self.note_size(id, capsule.size());
        Some(Arc::new(capsule))
    }

    /// Who is too large stays, and is not frozen.
    fn note_size(&mut self, id: EntityId, bytes: usize) {
        let fits = bytes <= MAX_CAPSULE_BYTES || self.lacks(Mutant::AnySizeCrosses);
        if let Some(crossing) = self.crossings.get_mut(&id) {
            if crossing.fits && !fits {
                warn!(%id, bytes, "too large to cross; its plugins must keep less");
            }
            crossing.fits = fits;
        }
    }

    fn send_presync(
        &mut self,
        id: EntityId,
        tick: Tick,
        capsule: &Arc<Capsule>,
        to: RegionId,
        handoff: HandoffId,
        base: Option<Tick>,
    ) {
        let Some(crossing) = self.crossings.get_mut(&id) else {
            return;
        };
        if let Some(oldest) = crossing.source.oldest_base() {
            crossing.sent.forget_before(oldest);
        }
        let (base, parts) = crossing.sent.parts(base, capsule);
        if base.is_none() {
            crossing.full_bytes = capsule.size() as u32;
        }
        crossing.sent.put(tick, Arc::clone(capsule));
        self.stats.presync_bytes += parts.iter().map(|change| change.bytes_moved() as u64).sum::<u64>();
        let state = PresyncState { handoff, tick, base, parts };
        self.send_region(to, RegionToRegion::Presync(Box::new(state)));
    }

    fn freeze(&mut self, id: EntityId, tick: Tick, capsule: Arc<Capsule>) {
        let Some(entity) = self.world.entities.get_mut(&id) else {
            return;
        };
        entity.frozen = true;
        let (pose, teleport) = (entity.pose, entity.jumped);
        let overhang_m = self.world.beyond_metres(&pose) as f32;
        let ns = u64::try_from(self.now.as_nanos()).expect("grid time fits in 64 bits for centuries");
        if let Some(crossing) = self.crossings.get_mut(&id) {
            crossing.frozen = Some(Frozen { capsule, tick, ns, overhang_m, teleport });
        }
        self.world.gorc.set_muted(observer_of(id), true);
        if self.lacks(Mutant::FinalBeforeFlush) {
            self.feed_source(id, source::Input::Durable { tick });
        }
    }

    #[allow(clippy::too_many_arguments, reason = "one message, spelled out")]
    fn send_final(
        &mut self,
        id: EntityId,
        to: RegionId,
        to_worker: WorkerId,
        to_lease: Epoch,
        handoff: HandoffId,
        base: Option<Tick>,
        tick: Tick,
        late: bool,
    ) {
        let Some(entity) = self.world.entities.get(&id) else {
            return;
        };
        let (key, applied) = (entity.key, entity.player.as_ref().map_or(0, |player| player.applied()));
        let Some(crossing) = self.crossings.get(&id) else {
            return;
        };
        let Some(frozen) = &crossing.frozen else {
            if !self.lacks(Mutant::FinalBeforeFlush) {
                error!(%id, "a final state of an entity that is not frozen");
            }
            return;
        };
        debug_assert_eq!(frozen.tick, tick, "one freeze per attempt");
        let base = base.filter(|_| !fault::sends_whole_finals());
        let (base, parts) = crossing.sent.parts(base, &frozen.capsule);
        let last = FinalState {
            handoff,
            key,
            epoch: crossing.source.epoch(),
            from: self.world.region,
            to,
            to_worker,
            to_lease,
            tick,
            applied,
            base,
            parts,
            hash: frozen.capsule.hash(),
            frozen_ns: frozen.ns,
            late,
            overhang_m: frozen.overhang_m,
            teleport: frozen.teleport,
            full_bytes: crossing.full_bytes,
            group: crossing.group.clone(),
        };
        self.send_region(to, RegionToRegion::Final(Box::new(last)));
    }

    /// Our own compare-and-set won: the entity goes on here.
    fn resumed(&mut self, id: EntityId, epoch: Epoch) {
        info!(%id, %epoch, "handoff undone");
        if let Some(crossing) = self.crossings.get_mut(&id) {
            crossing.frozen = None;
        }
        let Some(entity) = self.world.entities.get_mut(&id) else {
            return;
        };
        entity.frozen = false;
        entity.unrecorded = true;
        let key = entity.key;
        self.feed_target(target::Input::Observed { key, epoch });
        self.world.gorc.set_muted(observer_of(id), false);
        self.catch_up(id);
        // Inputs that came while it was frozen were dropped; the edge holds them.
        self.attach(id, false, true);
        self.catch_up_broadcasts(id);
        self.retry_waiting_opens();
    }

    /// Another region owns the entity: keep a ghost, tell everybody who may ask.
    fn released(&mut self, id: EntityId, epoch: Epoch, region: Option<RegionId>) {
        self.crossings.remove(&id);
        self.world.gorc.remove_observer(observer_of(id));
        let Some(entity) = self.world.entities.get(&id) else {
            return;
        };
        let key = entity.key;
        // Whoever owns it may have begun to offer it here while this region did not know yet that it had given it
        // away. That shadow has no observer; the next state of it makes one.
        self.shadows.remove(&key);
        let elsewhere = region.filter(|region| *region != self.world.region);
        let edge = entity.player.as_ref().map(|player| player.session.edge);
        let gone = Gone { entity: id, key, epoch: Epoch(epoch.0 - 1) };
        match elsewhere {
            Some(region) => {
                self.world.release(id, region);
                if let Some(edge) = edge {
                    let hint = RegionToEdge::Moved { key, epoch, region };
                    self.out.push(Output::Edge(edge, Lane::Control, hint));
                }
            }
            None => {
                self.world.remove(id, LeaveReason::Gone);
            }
        }
        self.record_gone(gone);
        self.feed_target(target::Input::Observed { key, epoch });
        self.retry_waiting_opens();
    }

    pub(super) fn first_record(&mut self, id: EntityId, outcome: &CasOutcome) {
        let CasOutcome::Won(record) = outcome else {
            warn!(%id, ?outcome, "an object's first record is refused; it stays here");
            return;
        };
        let key = self.world.entities.get(&id).map(|entity| entity.key);
        if let Some(key) = key {
            self.own(id, key, record.epoch, Recorded::Yes);
            if let Some(entity) = self.world.entities.get_mut(&id) {
                entity.unrecorded = true;
            }
        }
    }
}
