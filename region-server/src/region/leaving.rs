//! Players who linger and leave, and the region that is given back.
//!
//! ```text
//!   in the world ── Close, or its edge is gone ─▶ lingers ── nobody came back, or goodbye ─▶ Parking
//!                                                   │ Open: goes on                            │
//!                                                   ▼                                          ▼
//!                                              in the world            record without holder, gone
//! ```

use horizon_handoff::{CasOutcome, CasRequest, Expect};
use horizon_model::{EdgeId, EntityId, Epoch, HandoffId, PlayerId, Tick};
use horizon_protocol::link::{EntityKey, Lane, RegionToEdge};
use tracing::{error, info, warn};

use super::crossing::observer_of;
use super::{Output, Region};
use crate::journal::Gone;
use crate::plugin::{CoreEvent, PlayerDisconnectedEvent, RegionStoppingEvent};

/// Time between two attempts to save a player whom the store does not take, in ticks: five seconds.
const RETRY_TICKS: u64 = 300;

/// A player who is on the way out of the world.
#[derive(Debug)]
pub(super) struct Parking {
    handoff: HandoffId,
    id: EntityId,
}

/// A region that is being given back.
#[derive(Debug, Default)]
pub(super) struct Retiring {
    saved_at: Option<Tick>,
    told: bool,
}

impl Region {
    /// The socket is gone; the avatar lingers, or leaves at once after a goodbye.
    pub(super) fn close(&mut self, player: PlayerId, session_epoch: Epoch, bye: bool) {
        self.joins.retain(|joining, join| {
            *joining != player || join.open.session_epoch > session_epoch || !join.is_lookup()
        });
        let leaves_at = self.world.tick + if bye { 0 } else { self.config.linger_ticks };
        let Some(state) = self.world.avatar(player).and_then(|entity| entity.player.as_deref_mut()) else {
            return;
        };
        if state.session.session_epoch <= session_epoch {
            state.connected = false;
            state.leaves_at = Some(leaves_at);
        }
    }

    /// An edge is gone with all its sockets; their players resume at another one.
    pub(super) fn edge_down(&mut self, edge: EdgeId) {
        self.edges.remove(&edge);
        let leaves_at = self.world.tick + self.config.linger_ticks;
        for entity in self.world.entities.values_mut() {
            if let Some(state) = entity.player.as_deref_mut()
                && state.session.edge == edge
            {
                state.connected = false;
                state.leaves_at.get_or_insert(leaves_at);
            }
        }
    }

    /// Lets avatars leave whose time has come.
    pub(super) fn run_timers(&mut self, tick: Tick) {
        let retiring = self.retiring.is_some();
        let due: Vec<EntityId> = self
            .world
            .entities
            .values()
            .filter(|entity| !entity.frozen && !entity.parked)
            .filter(|entity| {
                entity
                    .player
                    .as_ref()
                    .is_some_and(|state| retiring || state.leaves_at.is_some_and(|at| at <= tick))
            })
            .map(|entity| entity.id)
            .collect();
        for id in due {
            self.park(id);
        }
    }

    /// Saves an avatar that leaves the world.
    fn park(&mut self, id: EntityId) {
        let Some(EntityKey::Player(player)) = self.world.entities.get(&id).map(|entity| entity.key) else {
            return;
        };
        let expect = Expect { epoch: self.epoch_of(id), region: self.world.region };
        self.host.core(
            &mut self.world,
            &CoreEvent::PlayerDisconnected(PlayerDisconnectedEvent { player_id: player, entity: id }),
        );
        self.deliver_effects();
        // Whoever leaves the world leaves alone.
        self.world.unlink_children(id);
        self.world.unlink(id);
        let handoff = self.nonces.fresh();
        let Some(request) = self.claim(id, Some(expect), handoff, true) else {
            return;
        };
        if let Some(entity) = self.world.entities.get_mut(&id) {
            // From here on nothing may change it: the record must be what was saved.
            entity.parked = true;
            entity.frozen = true;
        }
        self.world.gorc.set_muted(observer_of(id), true);
        self.parking.insert(player, Parking { handoff, id });
        // Held: what it carries may come from effects of this very tick.
        self.hold(Output::Cas(vec![request]));
    }

    /// An answer to a farewell; whether it was one.
    pub(super) fn parking_answer(&mut self, request: &CasRequest, outcome: &CasOutcome) -> bool {
        let EntityKey::Player(player) = request.key else {
            return false;
        };
        if self.parking.get(&player).is_none_or(|parking| parking.handoff != request.handoff) {
            return false;
        }
        let Some(Parking { id, .. }) = self.parking.remove(&player) else {
            return false;
        };
        match outcome {
            CasOutcome::Won(_) => {}
            CasOutcome::Lost(_) => warn!(%player, "a leaving player's record belongs to another region"),
            CasOutcome::TooLarge { .. } | CasOutcome::WrongGeneration { .. } | CasOutcome::LeaseLost => {
                self.keep_after_all(player, id, outcome);
                return true;
            }
        }
        let epoch = self.epoch_of(id);
        self.forget_crossing(id);
        self.world.gorc.remove_observer(observer_of(id));
        let edge = self
            .world
            .remove(id, gorc::LeaveReason::Gone)
            .and_then(|entity| entity.player)
            .map(|state| state.session.edge);
        self.record_gone(Gone { entity: id, key: request.key, epoch });
        if let Some(edge) = edge {
            self.out.push(Output::Edge(edge, Lane::Control, RegionToEdge::Left { player }));
        }
        self.retry_waiting_opens();
        self.retire_if_done();
        true
    }

    /// The store does not take the farewell: the avatar stays, and tries again later.
    fn keep_after_all(&mut self, player: PlayerId, id: EntityId, outcome: &CasOutcome) {
        error!(%player, ?outcome, "a leaving player could not be saved and stays");
        let again = self.world.tick + self.config.linger_ticks.max(RETRY_TICKS);
        if let Some(entity) = self.world.entities.get_mut(&id) {
            (entity.parked, entity.frozen) = (false, false);
            if let Some(state) = entity.player.as_deref_mut() {
                state.leaves_at = Some(again);
            }
        }
        self.world.gorc.set_muted(observer_of(id), false);
        self.retry_waiting_opens();
    }

    /// Save everything and give the region back.
    pub(super) fn retire(&mut self) {
        if !self.is_leaving() {
            info!(region = %self.world.region, "retiring");
            self.retiring = Some(Retiring::default());
            let region = self.world.region;
            self.host.core(&mut self.world, &CoreEvent::RegionStopping(RegionStoppingEvent { region }));
        }
    }

    /// Whether the last word can be said: nobody is on the way in or out, and all of it is durable.
    pub(super) fn retire_if_done(&mut self) {
        let busy = !self.parking.is_empty()
            || !self.joins.is_empty()
            || self.early_posts.iter().any(|post| self.expects(post.to))
            || !self.world.players.is_empty()
            || self.crossings.values().any(|crossing| crossing.source.is_frozen())
            || self.shadows.keys().any(|key| self.target.is_staged(*key));
        let (tick, durable) = (self.world.tick, self.durable);
        let Some(retiring) = self.retiring.as_mut().filter(|retiring| !busy && !retiring.told) else {
            return;
        };
        match retiring.saved_at {
            None => {
                retiring.saved_at = Some(tick + self.config.rate.step());
                self.flush = true;
                self.want_snapshot = true;
            }
            Some(at) if durable >= at => {
                retiring.told = true;
                self.silent = true;
                let region = self.world.region;
                self.out.push(Output::Retired(region));
            }
            Some(_) => self.flush = true,
        }
    }
}
