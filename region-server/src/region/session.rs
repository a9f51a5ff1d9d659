//! Sessions: players who come, go on, linger and leave.
//!
//! ```text
//!           no record: first      parked: keep
//!   Open ─▶ look up the record ─────────────────▶ compare-and-set ─▶ in the world ─▶ Attach
//!     │ owned already: the lanes go on or begin anew                    │  Close: lingers
//!     └────────────────────────────────────────────▶ Attach             ▼
//!                                      gone ◀── record without holder ◀── Parking
//! ```

use horizon_handoff::lanes::{Admission, EventTail, InputLane, MoveBuffer, SessionState};
use horizon_handoff::{Capsule, CasOutcome, CasRequest, Expect, Record};
use horizon_model::{EdgeId, EntityId, Epoch, HandoffId, ObjectTypeId, PlayerId, Tick};
use horizon_protocol::link::{EntityKey, Lane, OpenSession, RegionToEdge, Tables};
use tracing::{debug, error, info, warn};

use super::crossing::{Recorded, observer_of};
use super::{Output, Region};
use crate::journal::Gone;
use crate::plugin::{CoreEvent, PlayerConnectedEvent, PlayerDisconnectedEvent, RegionStoppingEvent};
use crate::world::{Entity, PendingInput, PlayerState};

/// Frames in flight to one client at the most.
pub(super) const MAX_CREDIT: u8 = 2;

/// A player who is on the way into the world.
#[derive(Debug)]
pub(super) struct Join {
    edge: EdgeId,
    open: OpenSession,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Lookup,
    Claim { handoff: HandoffId, entity: Box<Entity>, brand_new: bool },
}

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
    /// The owned session of a player, if it is that one and may be changed.
    pub(super) fn session_of(&mut self, player: PlayerId, session_epoch: Epoch) -> Option<&mut PlayerState> {
        self.world
            .avatar(player)
            .filter(|entity| !entity.frozen)?
            .player
            .as_deref_mut()
            .filter(|state| state.session.session_epoch == session_epoch)
    }

    /// A player is there.
    pub(super) fn open(&mut self, edge: EdgeId, open: OpenSession) {
        let player = open.player;
        if self.retiring.is_some() {
            self.out.push(Output::Edge(edge, Lane::Control, RegionToEdge::NotOwner { player }));
            return;
        }
        match self.world.avatar(player).map(|entity| (entity.id, entity.frozen || entity.parked)) {
            Some((id, false)) => self.reopen(edge, id, &open),
            Some((_, true)) => self.wait_with_open(edge, open),
            None if self.expects(EntityKey::Player(player)) => self.wait_with_open(edge, open),
            None => {
                let newest =
                    self.joins.get(&player).is_none_or(|join| join.open.session_epoch <= open.session_epoch);
                if newest && !self.joins.contains_key(&player) {
                    self.out.push(Output::Lookup(EntityKey::Player(player)));
                    self.joins.insert(player, Join { edge, open, stage: Stage::Lookup });
                } else if newest && let Some(join) = self.joins.get_mut(&player) {
                    (join.edge, join.open) = (edge, open);
                }
            }
        }
    }

    fn wait_with_open(&mut self, edge: EdgeId, open: OpenSession) {
        self.waiting_opens.retain(|(_, waiting)| waiting.player != open.player);
        self.waiting_opens.push((edge, open));
    }

    /// A decision about a player was made: look at those who waited for it.
    pub(super) fn retry_waiting_opens(&mut self) {
        for (edge, open) in std::mem::take(&mut self.waiting_opens) {
            self.open(edge, open);
        }
    }

    /// The player is here already: another connection of the same stay, or a new stay.
    fn reopen(&mut self, edge: EdgeId, id: EntityId, open: &OpenSession) {
        let heard = self.heard_so_far();
        let recovered = self.recovered.remove(&open.player);
        let Some(entity) = self.world.entities.get_mut(&id) else {
            return;
        };
        let Some(state) = entity.player.as_deref_mut() else {
            return;
        };
        let before = state.session.clone();
        if open.session_epoch < before.session_epoch {
            let (player, session_epoch) = (open.player, open.session_epoch);
            let kicked = RegionToEdge::Kicked { player, session_epoch };
            self.out.push(Output::Edge(edge, Lane::Control, kicked));
            return;
        }
        if open.session_epoch > before.session_epoch {
            let (player, session_epoch) = (open.player, before.session_epoch);
            let kicked = RegionToEdge::Kicked { player, session_epoch };
            self.out.push(Output::Edge(before.edge, Lane::Control, kicked));
        }
        let new_stay = before.session != open.session;
        state.session = session_state(edge, open);
        if new_stay {
            state.inputs = InputLane::new(0);
            state.ready.clear();
            state.tail = EventTail::default();
            state.waiting.clear();
            state.moves = MoveBuffer::default();
            state.heard = heard;
            state.durable = 0;
        } else {
            state.tail.ack(open.events_acked);
        }
        state.connected = true;
        state.leaves_at = None;
        state.credit = MAX_CREDIT;
        state.sequence = 0;
        state.reported = (0, 0);
        entity.touch_session();
        entity.touch_inputs();
        entity.touch_tail();
        entity.touch_heard();
        self.marks.retain(|(_, player, _)| !(new_stay && *player == open.player));
        let entity = &self.world.entities[&id];
        let spec = self.observer_spec(entity, false);
        let stepped = entity.stepped;
        self.world.gorc.remove_observer(observer_of(id));
        self.world.gorc.add_observer(observer_of(id), spec);
        self.world.gorc.reset_view(observer_of(id));
        if recovered && !new_stay {
            let epoch = self.epoch_of(id);
            let resync = RegionToEdge::Resync { player: open.player, epoch, tick: stepped };
            self.out.push(Output::Edge(edge, Lane::Control, resync));
        }
        self.attach(id, open.fresh, false);
        if new_stay {
            self.connected_event(id, open, false);
        }
        self.fill_tail(id);
        self.resend_events(id);
    }

    fn connected_event(&mut self, id: EntityId, open: &OpenSession, fresh: bool) {
        self.host.core(
            &mut self.world,
            &CoreEvent::PlayerConnected(PlayerConnectedEvent {
                player_id: open.player,
                entity: id,
                name: open.name.clone(),
                session: open.session,
                spawn: Some(open.spawn.position.metres()),
                fresh,
            }),
        );
        self.deliver_effects();
    }

    /// The record of a player who wants in.
    pub(super) fn join_record(&mut self, player: PlayerId, record: Result<Option<Record>, ()>) {
        let Some(join) = self.joins.get(&player) else {
            return;
        };
        let (edge, open) = (join.edge, join.open.clone());
        let refuse = RegionToEdge::NotOwner { player };
        let (mut entity, expect) = match record {
            Err(()) => {
                self.out.push(Output::Lookup(EntityKey::Player(player)));
                return;
            }
            Ok(Some(record)) if record.region != self.world.region => {
                self.joins.remove(&player);
                self.out.push(Output::Edge(edge, Lane::Control, refuse));
                return;
            }
            Ok(Some(record)) if record.holder == Some(self.lease.holder()) => {
                // Won by a commit whose answer is still on its way to us.
                self.joins.remove(&player);
                if self.holds(EntityKey::Player(player)) {
                    self.wait_with_open(edge, open);
                } else {
                    self.out.push(Output::Edge(edge, Lane::Control, refuse));
                }
                return;
            }
            Ok(Some(record)) => {
                let restored =
                    Capsule::decode(&record.capsule).map_err(|error| error.to_string()).and_then(|capsule| {
                        self.restore(EntityKey::Player(player), &capsule).map_err(|error| error.to_string())
                    });
                match restored {
                    Ok((entity, _)) => (entity, Some(Expect { epoch: record.epoch, region: record.region })),
                    Err(error) => {
                        error!(%player, error, "a saved player cannot be read; the record is untouched");
                        self.joins.remove(&player);
                        self.out.push(Output::Edge(edge, Lane::Control, refuse));
                        return;
                    }
                }
            }
            Ok(None) => {
                let id = self.world.mint();
                let key = EntityKey::Player(player);
                let tick = self.world.tick;
                let fields = self.world.field_names(ObjectTypeId::PLAYER).len();
                (Entity::new(id, key, ObjectTypeId::PLAYER, open.spawn, tick, fields), None)
            }
        };
        let brand_new = expect.is_none();
        let same_stay = entity.player.as_ref().is_some_and(|state| state.session.session == open.session);
        let session = session_state(edge, &open);
        match entity.player.as_deref_mut().filter(|_| same_stay) {
            Some(state) => {
                state.session = session;
                state.tail.ack(open.events_acked);
            }
            None => {
                let mut state = PlayerState::new(session);
                state.heard = self.heard_so_far();
                entity.player = Some(Box::new(state));
            }
        }
        entity.parked = false;
        entity.stepped = entity.stepped.max(self.world.tick);
        let handoff = self.nonces.fresh();
        let names = self.world.field_names(entity.type_id);
        let request = CasRequest {
            key: entity.key,
            guard: self.lease.guard(),
            expect,
            handoff,
            applied: entity.player.as_ref().map_or(0, |state| state.inputs.applied()),
            tick: entity.stepped,
            capsule: entity.durable_capsule(names).encode(),
            park: false,
        };
        self.out.push(Output::Cas(vec![request]));
        let stage = Stage::Claim { handoff, entity: Box::new(entity), brand_new };
        self.joins.insert(player, Join { edge, open, stage });
    }

    /// An answer to a join's claim; whether it was one.
    pub(super) fn join_answer(&mut self, request: &CasRequest, outcome: &CasOutcome) -> bool {
        let EntityKey::Player(player) = request.key else {
            return false;
        };
        let ours = matches!(
            self.joins.get(&player),
            Some(Join { stage: Stage::Claim { handoff, .. }, .. }) if *handoff == request.handoff
        );
        if !ours {
            return false;
        }
        let Some(Join { edge, open, stage: Stage::Claim { entity, brand_new, .. } }) =
            self.joins.remove(&player)
        else {
            return false;
        };
        match outcome {
            CasOutcome::Won(record) => self.joined(edge, &open, *entity, record.epoch, brand_new),
            other => {
                debug!(%player, ?other, "join lost");
                let refuse = RegionToEdge::NotOwner { player };
                self.out.push(Output::Edge(edge, Lane::Control, refuse));
            }
        }
        true
    }

    fn joined(&mut self, edge: EdgeId, open: &OpenSession, mut entity: Entity, epoch: Epoch, new: bool) {
        let id = entity.id;
        entity.stepped = self.world.tick;
        let mut new_stay = true;
        if let Some(state) = entity.player.as_deref_mut() {
            // The newest request for the same player may have replaced the one that was looked up.
            new_stay = state.session.session != open.session || state.inputs.applied() == 0;
            state.session = session_state(edge, open);
            state.connected = true;
            state.credit = MAX_CREDIT;
            state.durable = state.inputs.applied();
        }
        let key = entity.key;
        let spec = self.observer_spec(&entity, false);
        self.world.insert(entity);
        self.own(id, key, epoch, Recorded::Yes);
        self.world.gorc.add_observer(observer_of(id), spec);
        self.world.gorc.reset_view(observer_of(id));
        self.stats.joins += 1;
        info!(player = %open.player, %id, new, "player joined");
        self.attach(id, open.fresh, false);
        if new || new_stay {
            self.connected_event(id, open, new);
        }
        self.resend_events(id);
    }

    /// A reliable input.
    #[allow(clippy::too_many_arguments, reason = "one message, spelled out")]
    pub(super) fn input(
        &mut self,
        edge: EdgeId,
        player: PlayerId,
        session_epoch: Epoch,
        seq: u32,
        name: u16,
        spelled: Option<(String, String)>,
        payload: Vec<u8>,
    ) {
        let named = spelled.or_else(|| self.name_table.get(usize::from(name)).cloned());
        let (namespace, event) = named.unwrap_or_default();
        if !self.world.players.contains_key(&player) {
            if !self.holds(EntityKey::Player(player)) && !self.joins.contains_key(&player) {
                self.out.push(Output::Edge(edge, Lane::Control, RegionToEdge::NotOwner { player }));
            }
            return;
        }
        let Some(state) = self.session_of(player, session_epoch) else {
            return;
        };
        match state.inputs.accept(seq, PendingInput { seq, namespace, event, payload }) {
            Admission::Accepted(run) => state.ready.extend(run.into_iter().map(|(_, input)| input)),
            Admission::Duplicate => state.reported = (0, 0),
            Admission::Held => {}
            Admission::Gap { from } => {
                let nack = RegionToEdge::Nack { player, from };
                self.out.push(Output::Edge(edge, Lane::of_player(player), nack));
            }
        }
    }

    /// The socket is gone; the avatar lingers, or leaves at once after a goodbye.
    pub(super) fn close(&mut self, player: PlayerId, session_epoch: Epoch, bye: bool) {
        self.joins.retain(|joining, join| {
            *joining != player
                || join.open.session_epoch > session_epoch
                || !matches!(join.stage, Stage::Lookup)
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

    /// State frames were lost on the way to an edge: what its clients hold is unknown.
    pub(super) fn frames_lost(&mut self, edge: EdgeId) {
        for entity in self.world.entities.values() {
            if entity.player.as_ref().is_some_and(|state| state.session.edge == edge) {
                self.world.gorc.reset_view(observer_of(entity.id));
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
        self.out.push(Output::Cas(vec![request]));
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
        if !matches!(outcome, CasOutcome::Won(_)) {
            warn!(%player, ?outcome, "a leaving player's record belongs to another region");
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

    /// Save everything and give the region back.
    pub(super) fn retire(&mut self) {
        if self.retiring.is_none() {
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

    /// The tables of a welcome.
    pub(super) fn tables(&self) -> Tables {
        Tables {
            names: self.name_table.clone(),
            schemas: self.world.schemas().to_vec(),
            hash: self.tables_hash,
        }
    }
}

fn session_state(edge: EdgeId, open: &OpenSession) -> SessionState {
    SessionState {
        session: open.session,
        session_epoch: open.session_epoch,
        spelling: open.spelling,
        edge,
        name: open.name.clone(),
    }
}
