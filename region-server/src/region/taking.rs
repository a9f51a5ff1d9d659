//! The target side of handoffs: what comes here, first as a shadow, then for good.

use gorc::Anchor;
use horizon_handoff::mutant::{self, Mutant};
use horizon_handoff::target::{self, Arrival};
use horizon_handoff::{Capsule, MAX_CAPSULE_BYTES, Record};
use horizon_model::{EntityId, Tick};
use horizon_protocol::link::{EntityKey, HandoffReport, Offer, RefuseReason, RegionToRegion};
use tracing::{debug, error};

use super::crossing::{Recorded, observer_of};
use super::{Output, Region};
use crate::world::Entity;

/// Steps that an arrival makes up for at most, so that nobody sees a missing tick.
const MAX_CATCH_UP_STEPS: u64 = 4;
/// A region further behind than this refuses offers, in ticks: one second.
const BEHIND_TICKS: u64 = 60;

impl Region {
    pub(super) fn ready_for(&self, offer: &Offer) -> Result<(), RefuseReason> {
        let late = Tick::at(self.now).saturating_since(self.world.tick) > BEHIND_TICKS;
        if self.is_leaving() || offer.to != self.world.region {
            Err(RefuseReason::NotServing)
        } else if offer.plugins_hash != self.plugins_hash {
            Err(RefuseReason::Schema)
        } else if self.world.players.len() >= self.config.max_players
            || offer.size as usize > MAX_CAPSULE_BYTES && !mutant::is_off(Mutant::AnySizeCrosses)
        {
            Err(RefuseReason::Full)
        } else if late {
            Err(RefuseReason::Behind)
        } else if self.is_degraded() && !self.lacks(Mutant::CrossesDegraded) {
            Err(RefuseReason::Unhealthy)
        } else {
            Ok(())
        }
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
            target::Output::Stage(state) => self.out.push(Output::Stage(state)),
            target::Output::CasMove(call) => self.out.push(Output::Cas(call)),
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
        if !first {
            if let Ok(pose) = Entity::pose_in(capsule) {
                self.world.gorc.move_observer(observer_of(id), Anchor::Point(pose.position));
            }
        } else if let Ok((entity, _)) = self.restore(key, capsule) {
            self.world.gorc.add_observer(observer_of(id), self.observer_spec(&entity, true));
        }
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
        let shadowed = self.shadows.remove(&key).is_some();
        entity.stepped = arrival.tick;
        entity.shown = arrival.tick;
        entity.jumped = arrival.teleport;
        entity.snap = false;
        if let Some(player) = entity.player.as_deref_mut() {
            player.credit = super::session::MAX_CREDIT;
            player.durable = player.applied();
            player.connected &= self.edges.contains(&player.session.edge);
            if !player.connected {
                player.leaves_at = Some(self.world.tick + self.config.linger_ticks);
            }
        }
        let spec = self.observer_spec(&entity, false);
        let avatar = entity.player.is_some();
        self.world.insert(entity);
        self.own(id, key, record.epoch, Recorded::Yes);
        if avatar {
            if shadowed {
                self.world.gorc.move_observer(observer_of(id), spec.anchor);
                self.world.gorc.set_muted(observer_of(id), false);
            } else {
                self.world.gorc.add_observer(observer_of(id), spec);
            }
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
        debug!(?key, from = %arrival.from, epoch = %record.epoch, frozen = %arrival.tick, now = %self.world.tick, late = arrival.late, "taken over");
        let ns = u64::try_from(self.now.as_nanos()).unwrap_or(u64::MAX);
        self.reports.push(HandoffReport {
            key,
            from: arrival.from,
            to: self.world.region,
            epoch: record.epoch,
            tick: arrival.tick,
            activated: self.world.tick,
            frozen_ns: arrival.frozen_ns,
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
    pub(super) fn catch_up(&mut self, id: EntityId) {
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
}
