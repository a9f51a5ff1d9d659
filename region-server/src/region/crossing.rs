//! Handoffs of this region: the machines' words turned into messages and changes of the world.

use std::sync::Arc;

use gorc::{Anchor, LeaveReason, ObserverId, ObserverSpec, View};
use horizon_handoff::source::{self, Decision, Source, StepEnd};
use horizon_handoff::target::{self, Arrival};
use horizon_handoff::{Baselines, Capsule, CasOutcome, CasRequest, Expect, MAX_CAPSULE_BYTES, Record};
use horizon_model::{EntityId, Epoch, HandoffId, RegionId, Tick, WorkerId};
use horizon_protocol::client::Spelling;
use horizon_protocol::link::{
    AttachRecord, EntityKey, FinalState, HandoffReport, Lane, Offer, PresyncState, RefuseReason, RegionToEdge,
    RegionToRegion,
};
use tracing::{debug, error, info, warn};

use super::{Output, Region};
use crate::journal::Gone;
use crate::world::Entity;

/// Steps that an arrival makes up for at most, so that nobody sees a missing tick.
const MAX_CATCH_UP_STEPS: u64 = 4;
/// A region further behind than this refuses offers, in ticks: one second.
const BEHIND_TICKS: u64 = 60;

/// The observer of an avatar, here or as a shadow.
pub(super) const fn observer_of(id: EntityId) -> ObserverId {
    ObserverId(id.bits())
}

/// One owned entity's side of handoffs.
#[derive(Debug)]
pub(super) struct Crossing {
    pub(super) source: Source,
    sent: Baselines,
    full_bytes: u32,
    frozen: Option<Frozen>,
    wishes: Vec<Wish>,
    /// Whether the store has a record of it. Resting objects have none until they first near a border.
    pub(super) recorded: Recorded,
}

/// Whether a record in the store exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Recorded {
    No,
    Asked(HandoffId),
    Yes,
}

#[derive(Debug)]
struct Frozen {
    capsule: Arc<Capsule>,
    tick: Tick,
    ns: u64,
    overhang_m: f32,
    teleport: bool,
}

/// What the source asked for that needs the state after GORC has run.
#[derive(Debug, Clone, Copy)]
enum Wish {
    Presync { to: RegionId, handoff: HandoffId, base: Option<Tick> },
    Freeze { tick: Tick },
}

impl Region {
    /// Begins to own an entity.
    pub(super) fn own(&mut self, id: EntityId, key: EntityKey, epoch: Epoch, recorded: Recorded) {
        let source = Source::new(key, self.lease.guard(), epoch, self.now);
        let crossing = Crossing {
            source,
            sent: Baselines::new(),
            full_bytes: 0,
            frozen: None,
            wishes: Vec::new(),
            recorded,
        };
        self.crossings.insert(id, crossing);
        let _ = self.target.handle(self.now, target::Input::Observed { key, epoch });
    }

    /// Whether its handoff is as far as an accepted offer or further.
    pub(super) fn frozen_target(&self, id: EntityId) -> Option<RegionId> {
        self.crossings.get(&id).filter(|crossing| crossing.source.is_frozen())?.source.target()
    }

    /// Ends an entity's machine because the entity is gone.
    pub(super) fn forget_crossing(&mut self, id: EntityId) {
        let Some(crossing) = self.crossings.remove(&id) else {
            return;
        };
        if let (Some(to), Some(handoff)) = (crossing.source.target(), crossing.source.handoff()) {
            self.send_region(to, RegionToRegion::Withdraw { handoff });
        }
    }

    fn send_region(&mut self, to: RegionId, message: RegionToRegion) -> bool {
        let Some(worker) = self.worker_of(to) else {
            return false;
        };
        let lane = match message {
            RegionToRegion::Presync(_) | RegionToRegion::PresyncAck { .. } => Lane::Presync,
            _ => Lane::Control,
        };
        self.out.push(Output::Worker(worker, lane, message));
        true
    }

    /// The edge expects this entity to need that neighbour.
    pub(super) fn prepare(&mut self, key: EntityKey, target: RegionId) {
        let Some(id) = self.world.owned_by_key(key) else {
            return;
        };
        if self.ensure_recorded(id) {
            let handoff = self.nonces.fresh();
            self.feed_source(id, source::Input::Prepare { target, handoff });
        }
    }

    /// An object gets its first record when it first nears a border; until then nothing is offered.
    fn ensure_recorded(&mut self, id: EntityId) -> bool {
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
                self.out.extend(request.map(|request| Output::Cas(vec![request])));
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
        let capsule = entity.durable_capsule(self.world.field_names(entity.type_id));
        Some(CasRequest {
            key: entity.key,
            guard: self.lease.guard(),
            expect,
            handoff,
            applied: entity.player.as_ref().map_or(0, |player| player.inputs.applied()),
            tick: entity.stepped,
            capsule: capsule.encode(),
            park,
        })
    }

    /// Tells every owner's machine that the step is complete.
    pub(super) fn step_handoffs(&mut self, tick: Tick) {
        let healthy = self.retiring.is_none()
            && self.keeper.may_hand_over(self.now, source::freeze_timeout(self.config.rate.step()) * 3);
        let ids: Vec<EntityId> = self.crossings.keys().copied().collect();
        for id in ids {
            let Some(entity) = self.world.entities.get(&id) else {
                continue;
            };
            let (pose, parked) = (entity.pose, entity.parked);
            if parked {
                continue;
            }
            let owner = self.world.map.owner_of(&pose.position);
            let beyond_metres = self.world.beyond_metres(&pose);
            if beyond_metres > 0.0 && !self.ensure_recorded(id) {
                continue;
            }
            let fresh_handoff = self.nonces.fresh();
            let step_ticks = self.config.rate.step();
            let step = StepEnd { tick, step_ticks, owner, beyond_metres, healthy, fresh_handoff };
            self.feed_source(id, source::Input::StepEnd(step));
        }
        self.run_timeouts();
    }

    fn run_timeouts(&mut self) {
        let due: Vec<EntityId> = self
            .crossings
            .iter()
            .filter(|(_, crossing)| crossing.source.next_timeout().is_some_and(|(at, _)| at <= self.now))
            .map(|(id, _)| *id)
            .collect();
        for id in due {
            let fresh_handoff = self.nonces.fresh();
            self.feed_source(id, source::Input::Timeout { fresh_handoff });
        }
        if self.target.next_timeout().is_some_and(|(at, _)| at <= self.now) {
            self.feed_target(target::Input::Timeout);
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

    /// A neighbour's words about a handoff.
    pub(super) fn handle_handoff(&mut self, worker: WorkerId, message: RegionToRegion) {
        match message {
            RegionToRegion::Offer(offer) => {
                let ready = self.ready_for(&offer);
                self.feed_target(target::Input::Offer { offer: *offer, ready });
            }
            RegionToRegion::Presync(state) => self.feed_target(target::Input::Presync(*state)),
            RegionToRegion::Final(last) => self.feed_target(target::Input::Final(*last)),
            RegionToRegion::Withdraw { handoff } => self.feed_target(target::Input::Withdraw { handoff }),
            RegionToRegion::Accept { handoff, lease, worker } => {
                self.feed_attempt(handoff, source::Input::Accepted { handoff, lease, worker });
            }
            RegionToRegion::Refuse { handoff, why } => {
                debug!(%handoff, ?why, "offer refused");
                self.feed_attempt(handoff, source::Input::Refused { handoff, why });
            }
            RegionToRegion::PresyncAck { handoff, tick } => {
                self.feed_attempt(handoff, source::Input::PresyncAck { handoff, tick });
            }
            RegionToRegion::NeedFull { handoff } => {
                self.feed_attempt(handoff, source::Input::NeedFull { handoff });
            }
            RegionToRegion::Moved { key, epoch, region } => self.moved(key, epoch, region),
            RegionToRegion::Observe(_)
            | RegionToRegion::Ghosts(_)
            | RegionToRegion::Post(_)
            | RegionToRegion::PostAck { .. } => {
                warn!(%worker, "a message that is no part of a handoff");
            }
        }
    }

    fn ready_for(&self, offer: &Offer) -> Result<(), RefuseReason> {
        let late = Tick::at(self.now).saturating_since(self.world.tick) > BEHIND_TICKS;
        if self.retiring.is_some() || offer.to != self.world.region {
            Err(RefuseReason::NotServing)
        } else if offer.plugins_hash != self.plugins_hash {
            Err(RefuseReason::Schema)
        } else if self.world.players.len() >= self.config.max_players
            || offer.size as usize > MAX_CAPSULE_BYTES
        {
            Err(RefuseReason::Full)
        } else if late {
            Err(RefuseReason::Behind)
        } else if !self.keeper.may_acknowledge(self.now) {
            Err(RefuseReason::Unhealthy)
        } else {
            Ok(())
        }
    }

    fn moved(&mut self, key: EntityKey, epoch: Epoch, region: RegionId) {
        if let Some(id) = self.world.owned_by_key(key) {
            self.feed_source(id, source::Input::Superseded { epoch });
        } else if let Some(ghost) = match key {
            EntityKey::Player(player) => self.world.ghost_players.get(&player).copied(),
            EntityKey::Object(id) => Some(id),
        }
        .and_then(|id| self.world.ghosts.get_mut(&id))
        {
            ghost.origin = (region != self.world.region).then_some(region).or(ghost.origin);
        }
        self.feed_target(target::Input::Observed { key, epoch });
    }

    fn feed_attempt(&mut self, handoff: HandoffId, input: source::Input) {
        let id = self
            .crossings
            .iter()
            .find(|(_, crossing)| crossing.source.handoff() == Some(handoff))
            .map(|(id, _)| *id);
        if let Some(id) = id {
            self.feed_source(id, input);
        }
    }

    fn feed_source(&mut self, id: EntityId, input: source::Input) {
        let Some(crossing) = self.crossings.get_mut(&id) else {
            return;
        };
        for output in crossing.source.handle(self.now, input) {
            self.source_says(id, output);
        }
    }

    fn source_says(&mut self, id: EntityId, output: source::Output) {
        match output {
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
        let size = entity.durable_capsule(self.world.field_names(entity.type_id)).size();
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
        if let Some(crossing) = self.crossings.get_mut(&id) {
            crossing.sent = Baselines::new();
            crossing.full_bytes = 0;
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
            for wish in wishes {
                match wish {
                    Wish::Presync { to, handoff, base } => self.send_presync(id, tick, to, handoff, base),
                    Wish::Freeze { tick } => self.freeze(id, tick),
                }
            }
        }
    }

    fn travel_capsule(&self, id: EntityId) -> Option<Arc<Capsule>> {
        let entity = self.world.entities.get(&id)?;
        let view = self.world.gorc.view(observer_of(id)).unwrap_or_default();
        Some(Arc::new(entity.travel_capsule(self.world.field_names(entity.type_id), &view)))
    }

    fn send_presync(
        &mut self,
        id: EntityId,
        tick: Tick,
        to: RegionId,
        handoff: HandoffId,
        base: Option<Tick>,
    ) {
        let (Some(capsule), Some(crossing)) = (self.travel_capsule(id), self.crossings.get_mut(&id)) else {
            return;
        };
        if let Some(base) = base {
            crossing.sent.forget_before(base);
        }
        let (base, parts) = crossing.sent.parts(base, &capsule);
        if base.is_none() {
            crossing.full_bytes = capsule.size() as u32;
        }
        crossing.sent.put(tick, capsule);
        let state = PresyncState { handoff, tick, base, parts };
        self.send_region(to, RegionToRegion::Presync(Box::new(state)));
    }

    fn freeze(&mut self, id: EntityId, tick: Tick) {
        let Some(capsule) = self.travel_capsule(id) else {
            return;
        };
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
        let (key, applied) =
            (entity.key, entity.player.as_ref().map_or(0, |player| player.inputs.applied()));
        let Some(crossing) = self.crossings.get(&id) else {
            return;
        };
        let Some(frozen) = &crossing.frozen else {
            error!(%id, "a final state of an entity that is not frozen");
            return;
        };
        debug_assert_eq!(frozen.tick, tick, "one freeze per attempt");
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

    /// The link to a region, or its lease, is gone.
    pub(super) fn handoff_peer_lost(&mut self, region: RegionId) {
        let ids: Vec<EntityId> = self.crossings.keys().copied().collect();
        for id in ids {
            self.feed_source(id, source::Input::TargetLost { region });
        }
        self.feed_target(target::Input::SourceLost { region });
    }

    pub(super) fn feed_target(&mut self, input: target::Input) {
        for output in self.target.handle(self.now, input) {
            self.target_says(output);
        }
    }

    fn target_says(&mut self, output: target::Output) {
        match output {
            target::Output::SendAccept { to, handoff } => {
                let accept =
                    RegionToRegion::Accept { handoff, lease: self.lease.epoch, worker: self.lease.worker };
                self.send_region(to, accept);
            }
            target::Output::SendRefuse { to, handoff, why } => {
                self.send_region(to, RegionToRegion::Refuse { handoff, why });
            }
            target::Output::SendPresyncAck { to, handoff, tick } => {
                self.send_region(to, RegionToRegion::PresyncAck { handoff, tick });
            }
            target::Output::SendNeedFull { to, handoff } => {
                self.send_region(to, RegionToRegion::NeedFull { handoff });
            }
            target::Output::Shadow { key, entity, capsule, .. } => self.shadow(key, entity, &capsule),
            target::Output::CasMove(request) => self.out.push(Output::Cas(vec![request])),
            target::Output::Activated { key, record, capsule, arrival } => {
                self.activate(key, &record, &capsule, arrival);
            }
            target::Output::Forget { key } => {
                if let Some(id) = self.shadows.remove(&key)
                    && !self.world.entities.contains_key(&id)
                {
                    self.world.gorc.remove_observer(observer_of(id));
                }
            }
        }
    }

    /// Runs a player who may come as an observer without a voice.
    fn shadow(&mut self, key: EntityKey, id: EntityId, capsule: &Capsule) {
        let first = self.shadows.insert(key, id).is_none();
        if self.world.entities.contains_key(&id) || !matches!(key, EntityKey::Player(_)) {
            return;
        }
        let Ok((entity, _)) = self.restore(key, capsule) else {
            return;
        };
        let anchor = Anchor::Point(entity.pose.position);
        if first {
            self.world.gorc.add_observer(observer_of(id), self.observer_spec(&entity, true));
        } else {
            self.world.gorc.move_observer(observer_of(id), anchor);
        }
    }

    pub(super) fn observer_spec(&self, entity: &Entity, muted: bool) -> ObserverSpec {
        let spelling = match entity.player.as_ref().map(|player| player.session.spelling) {
            Some(Spelling::Json) => gorc::Spelling::Json,
            Some(Spelling::Binary) | None => gorc::Spelling::Binary,
        };
        ObserverSpec {
            anchor: Anchor::Point(entity.pose.position),
            spelling,
            muted,
            sees_ghosts: true,
            margin_metres: 0.0,
        }
    }

    pub(super) fn restore(
        &self,
        key: EntityKey,
        capsule: &Capsule,
    ) -> Result<(Entity, Option<View>), crate::world::RestoreError> {
        Entity::restore(key, capsule, |type_id| self.world.field_names(type_id).to_vec())
    }

    /// The commit is ours: the entity acts here from the tick after its freeze.
    fn activate(&mut self, key: EntityKey, record: &Record, capsule: &Capsule, arrival: Arrival) {
        let (mut entity, view) = match self.restore(key, capsule) {
            Ok(restored) => restored,
            Err(error) => {
                error!(%error, ?key, "a committed entity cannot be read; its record stays in the store");
                return;
            }
        };
        let id = entity.id;
        self.shadows.remove(&key);
        entity.stepped = arrival.tick;
        entity.jumped = arrival.teleport;
        entity.snap = false;
        if let Some(player) = entity.player.as_deref_mut() {
            player.credit = super::session::MAX_CREDIT;
            player.durable = player.inputs.applied();
            if !player.connected {
                player.leaves_at = Some(self.world.tick + self.config.linger_ticks);
            }
        }
        let spec = self.observer_spec(&entity, false);
        let avatar = entity.player.is_some();
        self.world.insert(entity);
        self.own(id, key, record.epoch, Recorded::Yes);
        if avatar {
            self.world.gorc.remove_observer(observer_of(id));
            self.world.gorc.add_observer(observer_of(id), spec);
            if let Some(view) = view {
                self.world.gorc.adopt_view(observer_of(id), &view);
            }
        }
        self.catch_up(id);
        if avatar {
            self.attach(id, false, true);
            self.resend_events(id);
            self.catch_up_broadcasts(id);
        }
        let moved = RegionToRegion::Moved { key, epoch: record.epoch, region: self.world.region };
        self.send_region(arrival.from, moved);
        let ns = u64::try_from(self.now.as_nanos()).unwrap_or(u64::MAX);
        self.reports.push(HandoffReport {
            key,
            from: arrival.from,
            to: self.world.region,
            epoch: record.epoch,
            tick: arrival.tick,
            duration_us: u32::try_from(ns.saturating_sub(arrival.frozen_ns) / 1000).unwrap_or(u32::MAX),
            full_bytes: arrival.full_bytes,
            cutover_bytes: arrival.cutover_bytes,
            late: arrival.late,
            overhang_m: arrival.overhang_m,
            teleport: arrival.teleport,
        });
        self.stats.arrivals += 1;
        self.retry_waiting_opens();
    }

    /// Lives the steps that passed here while an entity was on its way, so that no tick is missing.
    fn catch_up(&mut self, id: EntityId) {
        let step = self.config.rate.step();
        let now = self.world.tick;
        let Some(entity) = self.world.entities.get(&id) else {
            return;
        };
        let key = entity.key;
        let mut tick = self.config.rate.align_up(entity.stepped + 1);
        if now.saturating_since(tick) >= MAX_CATCH_UP_STEPS * step {
            tick = now - (MAX_CATCH_UP_STEPS - 1) * step;
        }
        while tick <= now {
            if let EntityKey::Player(player) = key {
                self.advance_player(player, id, tick);
            }
            if let Some(entity) = self.world.entities.get_mut(&id) {
                self.world.gorc.sample(id, tick, &entity.pose, entity.snap);
                entity.snap = false;
                entity.stepped = tick;
            }
            tick = tick + step;
        }
        self.deliver_effects();
    }

    /// Tells the player's edge that this region owns it and from where inputs are wanted.
    pub(super) fn attach(&mut self, id: EntityId, tables: bool, continues: bool) {
        let epoch = self.epoch_of(id);
        let tables = tables.then(|| self.tables());
        let Some(entity) = self.world.entities.get(&id) else {
            return;
        };
        let (EntityKey::Player(player), Some(state)) = (entity.key, entity.player.as_deref()) else {
            return;
        };
        let record = AttachRecord {
            player,
            session: state.session.session,
            session_epoch: state.session.session_epoch,
            epoch,
            region: self.world.region,
            entity: id,
            tick: self.world.tick,
            applied: state.inputs.applied(),
            durable: state.durable,
            rate_hz: self.config.rate.hz() as u32,
            sequence: state.sequence,
            continues,
            tables,
        };
        let edge = state.session.edge;
        self.out.push(Output::Edge(edge, Lane::Control, RegionToEdge::Attach(Box::new(record))));
    }

    /// Answers of the store, each to whoever asked.
    pub(super) fn cas_answers(&mut self, answers: Vec<(CasRequest, Option<CasOutcome>)>) {
        for (request, outcome) in answers {
            let handoff = request.handoff;
            let Some(outcome) = outcome else {
                // Unknown: the same request again decides nothing new.
                if self.target.is_staged(request.key) {
                    self.feed_target(target::Input::Unknown { handoff });
                } else {
                    self.out.push(Output::Cas(vec![request]));
                }
                continue;
            };
            if outcome == CasOutcome::LeaseLost {
                self.supersede();
                return;
            }
            if self.join_answer(&request, &outcome) || self.parking_answer(&request, &outcome) {
                continue;
            }
            if let Some(id) = self.world.owned_by_key(request.key)
                && let Some(crossing) = self.crossings.get_mut(&id)
            {
                if crossing.recorded == Recorded::Asked(handoff) {
                    self.first_record(id, &outcome);
                    continue;
                }
                if let CasOutcome::Won(record) | CasOutcome::Lost(Some(record)) = &outcome {
                    let decision = Decision::from(record);
                    self.feed_source(id, source::Input::Decided(decision));
                    continue;
                }
            }
            self.feed_target(target::Input::Outcome { handoff, outcome });
        }
    }

    fn first_record(&mut self, id: EntityId, outcome: &CasOutcome) {
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

    /// A record that was looked up.
    pub(super) fn record_answer(&mut self, key: EntityKey, record: Result<Option<Record>, ()>) {
        if let Some(id) = self.world.owned_by_key(key) {
            if let Ok(Some(record)) = &record {
                self.feed_source(id, source::Input::Decided(Decision::from(record)));
            }
        } else if let EntityKey::Player(player) = key {
            self.join_record(player, record);
        }
    }
}
