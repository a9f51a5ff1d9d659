//! Sessions: players who come and go on, and their inputs.
//!
//! ```text
//!           no record: first      parked: keep
//!   Open ─▶ look up the record ─────────────────▶ compare-and-set ─▶ in the world ─▶ Attach
//!     │ owned already: the lanes go on or begin anew
//!     └────────────────────────────────────────────▶ Attach
//! ```

use horizon_handoff::lanes::{Admission, EventTail, InputLane, MoveBuffer, SessionState};
use horizon_handoff::{Capsule, CasOutcome, CasRequest, Expect, Kept, Record};
use horizon_model::{EdgeId, EntityId, Epoch, HandoffId, ObjectTypeId, PlayerId};
use horizon_protocol::link::{EntityKey, Lane, OpenSession, RegionToEdge, Tables};
use tracing::{debug, error, info};

use super::crossing::{Recorded, observer_of};
use super::{Output, Region};
use crate::plugin::{CoreEvent, PlayerConnectedEvent};
use crate::world::{Entity, PendingInput, PlayerState};

/// Frames in flight to one client at the most.
pub(super) const MAX_CREDIT: u8 = 2;

/// A player who is on the way into the world.
#[derive(Debug)]
pub(super) struct Join {
    edge: EdgeId,
    pub(super) open: OpenSession,
    stage: Stage,
}

impl Join {
    /// Whether nothing was asked of the store yet but who the player is.
    pub(super) const fn is_lookup(&self) -> bool {
        matches!(self.stage, Stage::Lookup)
    }
}

#[derive(Debug)]
enum Stage {
    Lookup,
    Claim { handoff: HandoffId, entity: Box<Entity>, brand_new: bool },
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
        if self.is_leaving() {
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
        let linked = self.edges.contains(&edge);
        let leaves_at = self.world.tick + self.config.linger_ticks;
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
        // A crash right after the first word of a stay takes back what plugins did about it. Once an input is
        // durable, so is that.
        let unheard = recovered && !new_stay && state.applied() == 0;
        let untouched = entity.components.is_empty();
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
        state.connected = linked;
        state.leaves_at = (!linked).then_some(leaves_at);
        state.credit = MAX_CREDIT;
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
        if new_stay || unheard {
            self.connected_event(id, open, unheard && untouched);
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
        // Records are also read to find out where a message has to go. A claim under way is decided by its own answer.
        let Some(join) = self.joins.get(&player).filter(|join| join.is_lookup()) else {
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
                let kept = record.capsule.here().ok_or_else(|| {
                    "its state is in the journal of an earlier holder, and was not recovered there".to_owned()
                });
                let restored = kept
                    .and_then(|bytes| Capsule::decode(bytes).map_err(|error| error.to_string()))
                    .and_then(|capsule| {
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
            applied: entity.player.as_ref().map_or(0, |state| state.applied()),
            tick: entity.stepped,
            capsule: Kept::Here(entity.durable_capsule(names).encode()),
            park: false,
            group: None,
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
        let linked = self.edges.contains(&edge);
        let heard = self.heard_so_far();
        let leaves_at = self.world.tick + self.config.linger_ticks;
        if let Some(state) = entity.player.as_deref_mut() {
            // The newest request for the same player may have replaced the one that was looked up.
            let other = state.session.session != open.session;
            if other {
                *state = PlayerState::new(session_state(edge, open));
                state.heard = heard;
            }
            new_stay = other || state.applied() == 0;
            state.session = session_state(edge, open);
            state.connected = linked;
            state.leaves_at = (!linked).then_some(leaves_at);
            state.credit = MAX_CREDIT;
            state.durable = state.applied();
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

    /// State frames were lost on the way to an edge: what its clients hold is unknown.
    pub(super) fn frames_lost(&mut self, edge: EdgeId) {
        for entity in self.world.entities.values_mut() {
            if let Some(state) = entity.player.as_deref_mut().filter(|state| state.session.edge == edge) {
                // Credit that was spent on frames that never came.
                state.credit = MAX_CREDIT;
                self.world.gorc.reset_view(observer_of(entity.id));
            }
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
