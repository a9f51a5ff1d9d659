//! Handoffs of this region: messages and answers find the machine they are for.

use std::sync::Arc;

use gorc::{ObserverId, ObserverSpec, View};
use horizon_handoff::mutant::Mutant;
use horizon_handoff::source::{self, Decision, Source};
use horizon_handoff::target;
use horizon_handoff::{Baselines, Capsule, CasOutcome, CasRequest, Record};
use horizon_model::{EntityId, Epoch, HandoffId, ObjectSchema, RegionId, Tick, WorkerId};
use horizon_protocol::client::Spelling;
use horizon_protocol::link::{AttachRecord, EntityKey, Lane, RegionToEdge, RegionToRegion};
use tracing::{debug, warn};

use super::record::farewell;
use super::{Output, Region};
use crate::world::Entity;

/// The observer of an avatar, here or as a shadow.
pub(super) const fn observer_of(id: EntityId) -> ObserverId {
    ObserverId(id.bits())
}

/// One owned entity's side of handoffs.
#[derive(Debug)]
pub(super) struct Crossing {
    pub(super) source: Source,
    /// Its states by tick, shared by all attempts.
    pub(super) sent: Baselines,
    /// Size of the newest complete state that was sent.
    pub(super) full_bytes: u32,
    pub(super) frozen: Option<Frozen>,
    pub(super) wishes: Vec<Wish>,
    /// The store would take its capsule. One that grew too large stays where it is.
    pub(super) fits: bool,
    /// The attempts of all that were frozen with it, itself included; empty for one alone.
    pub(super) group: Vec<HandoffId>,
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

/// What was frozen, and how.
#[derive(Debug)]
pub(super) struct Frozen {
    pub(super) capsule: Arc<Capsule>,
    pub(super) tick: Tick,
    pub(super) ns: u64,
    pub(super) overhang_m: f32,
    pub(super) teleport: bool,
}

/// What the source asked for that needs the state after GORC has run.
#[derive(Debug, Clone, Copy)]
pub(super) enum Wish {
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
            fits: true,
            group: Vec::new(),
            recorded,
        };
        self.crossings.insert(id, crossing);
        #[cfg(feature = "faults")]
        self.break_crossing(id);
        let _ = self.target.handle(self.now, target::Input::Observed { key, epoch });
    }

    /// Takes the guard that is switched off out of an entity's machines.
    #[cfg(feature = "faults")]
    pub(super) fn break_crossing(&mut self, id: EntityId) {
        let (Some(guard), Some(crossing)) = (self.broken, self.crossings.get_mut(&id)) else {
            return;
        };
        crossing.source = crossing.source.clone().without(guard);
        if let Some(player) = self.world.entities.get_mut(&id).and_then(|entity| entity.player.as_deref_mut())
        {
            let fresh = horizon_handoff::lanes::InputLane::new(player.inputs.applied());
            player.inputs = std::mem::replace(&mut player.inputs, fresh).without(guard);
        }
    }

    /// Ends an entity's machine because the entity is gone.
    pub(super) fn forget_crossing(&mut self, id: EntityId) {
        let Some(crossing) = self.crossings.remove(&id) else {
            return;
        };
        for (to, handoff) in crossing.source.attempts() {
            self.send_region(to, RegionToRegion::Withdraw { handoff });
        }
    }

    /// Whether a player waits for a decision here.
    #[cfg(feature = "faults")]
    pub(crate) fn has_frozen_player(&self) -> bool {
        let waits = |crossing: &Crossing| crossing.source.is_frozen() && crossing.frozen.is_some();
        self.crossings.values().any(|one| waits(one) && matches!(one.source.key(), EntityKey::Player(_)))
    }

    pub(super) fn send_region(&mut self, to: RegionId, message: RegionToRegion) -> bool {
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

    pub(super) fn run_timeouts(&mut self) {
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
            RegionToRegion::Alive { .. }
            | RegionToRegion::Superseded { .. }
            | RegionToRegion::Observe(_)
            | RegionToRegion::Ghosts(_)
            | RegionToRegion::Post(_)
            | RegionToRegion::PostAck { .. } => {
                warn!(%worker, "a message that is no part of a handoff");
            }
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

    /// The link to a region, or its lease, is gone.
    pub(super) fn handoff_peer_lost(&mut self, region: RegionId) {
        let ids: Vec<EntityId> = self.crossings.keys().copied().collect();
        for id in ids {
            self.feed_source(id, source::Input::TargetLost { region });
        }
        self.feed_target(target::Input::SourceLost { region });
    }

    pub(super) fn observer_spec(&self, entity: &Entity, muted: bool) -> ObserverSpec {
        let spelling = match entity.player.as_ref().map(|player| player.session.spelling) {
            Some(Spelling::Json) => gorc::Spelling::Json,
            Some(Spelling::Binary) | None => gorc::Spelling::Binary,
        };
        let per_step = self.config.client_bytes_s / self.config.rate.hz() as u32;
        let capped = |schema: &ObjectSchema| schema.channels[3].nearest > 0;
        ObserverSpec {
            spelling,
            muted,
            budget_bytes: Some(per_step),
            density: self.config.schemas.iter().any(capped),
            ..ObserverSpec::client(entity.pose.position)
        }
    }

    pub(super) fn restore(
        &self,
        key: EntityKey,
        capsule: &Capsule,
    ) -> Result<(Entity, Option<View>), crate::world::RestoreError> {
        Entity::restore(key, capsule, |type_id| self.world.field_names(type_id).to_vec())
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
            // Where our clock is behind, the region before has shown later ticks, and they count.
            tick: self.world.tick.max(entity.stepped),
            applied: state.applied(),
            durable: state.durable,
            rate_hz: self.config.world_rate.hz() as u32,
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
                } else if request.group.is_none() {
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
            let again = self.lacks(Mutant::NoTombstone) && self.target.is_staged(request.key);
            if let Some(id) = self.world.owned_by_key(request.key).filter(|_| !again)
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
            if request.expect.is_none() && !self.holds(request.key) {
                // The first record of an object that is gone by now.
                if let CasOutcome::Won(record) = &outcome {
                    let handoff = self.nonces.fresh();
                    let request = farewell(&self.lease, request.key, record.epoch, handoff, self.world.tick);
                    self.out.push(Output::Cas(vec![request]));
                }
                continue;
            }
            self.feed_target(target::Input::Outcome { handoff, outcome });
        }
    }

    /// A record that was looked up.
    pub(super) fn record_answer(&mut self, key: EntityKey, record: Result<Option<Record>, ()>) {
        if let Some(id) = self.world.owned_by_key(key) {
            if let Ok(Some(record)) = &record {
                self.feed_source(id, source::Input::Decided(Decision::from(record)));
            }
            return;
        }
        if let Ok(record) = &record {
            self.route_by_record(key, record.as_ref());
        }
        if let EntityKey::Player(player) = key {
            self.join_record(player, record);
        }
    }
}
