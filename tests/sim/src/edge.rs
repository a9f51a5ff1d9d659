//! Edges: sessions of players, and the way to the region that owns each.
//!
//! Route and order of frames are the real machines. The search for a region follows the real edge's, stage
//! by stage; what is modelled is the task around it.

use std::collections::BTreeMap;
use std::time::Duration;

use horizon_handoff::{EntityKey, SessionCas, SessionOutcome};
use horizon_model::{EdgeId, Epoch, PlayerId, Pose, Position, RegionId, SessionId, WorkerId};
use horizon_protocol::client::{
    ClientMessage, Closing, ClosingReason, Hello, Refused, RefusedReason, ServerMessage,
};
use horizon_protocol::link::{EdgeToRegion, Lane, Placement, RegionToEdge, StateBatch};
use horizon_state_store::{Reply, Request};

use crate::message::Message;
use crate::network::{Node, pair};
use crate::session::{Session, Way};
use crate::world::{Happening, World};

const TURN: Duration = Duration::from_millis(20);
/// A socket on which nothing is heard is closed.
const SILENT: Duration = Duration::from_secs(5);
const JOIN_PATIENCE: Duration = Duration::from_secs(10);
/// The id under which workers know the director.
const DIRECTOR: EdgeId = EdgeId(1);

pub(crate) struct Edge {
    /// This life of the process; `None` while it is down.
    pub(crate) life: Option<EdgeId>,
    pub(crate) sessions: BTreeMap<PlayerId, Session>,
    routes: BTreeMap<RegionId, Placement>,
    version: u64,
}

impl Edge {
    pub(crate) const fn is_alive(&self) -> bool {
        self.life.is_some()
    }
}

/// A ticket is what the real one seals.
fn seal(player: PlayerId, session: SessionId, epoch: Epoch) -> Vec<u8> {
    let mut ticket = player.0.to_le_bytes().to_vec();
    ticket.extend_from_slice(&session.0.to_le_bytes());
    ticket.extend_from_slice(&epoch.0.to_le_bytes());
    ticket
}

fn open(ticket: &[u8]) -> Option<(PlayerId, SessionId, Epoch)> {
    let player = u128::from_le_bytes(ticket.get(..16)?.try_into().ok()?);
    let session = u128::from_le_bytes(ticket.get(16..32)?.try_into().ok()?);
    let epoch = u64::from_le_bytes(ticket.get(32..40)?.try_into().ok()?);
    Some((PlayerId(player), SessionId(session), Epoch(epoch)))
}

impl World {
    pub(crate) fn found_edges(&mut self, count: u8) {
        for edge in 0..count {
            self.edges.push(Edge {
                life: None,
                sessions: BTreeMap::new(),
                routes: BTreeMap::new(),
                version: 0,
            });
            self.edge_back(edge);
        }
    }

    /// The id under which workers know an edge, or the director.
    pub(crate) fn edge_id(&self, node: Node) -> Option<EdgeId> {
        match node {
            Node::Edge(edge) => self.edges[usize::from(edge)].life,
            Node::Director => Some(DIRECTOR),
            _ => None,
        }
    }

    /// The process starts.
    pub(crate) fn edge_back(&mut self, index: u8) {
        self.edge_lives += 1;
        let life = EdgeId(100 + self.edge_lives);
        let edge = &mut self.edges[usize::from(index)];
        edge.life = Some(life);
        edge.version = 0;
        let version = self.routes_version();
        let placements = self.placements();
        self.plan(Duration::from_millis(20), Happening::Routes(index, version, placements));
        self.plan(TURN, Happening::EdgeTurn(index));
    }

    pub(crate) fn kill_edge(&mut self, node: Node) -> bool {
        let Node::Edge(index) = node else { return false };
        let edge = &mut self.edges[usize::from(index)];
        if edge.life.take().is_none() {
            return false;
        }
        edge.routes.clear();
        let sessions = std::mem::take(&mut edge.sessions);
        for (player, session) in sessions {
            // The system resets the sockets of a process that is gone.
            let wait = self.dice.millis(1, 30);
            self.plan(wait, Happening::SocketGone(player, session.conn));
        }
        let peers: Vec<WorkerId> = self.workers.keys().copied().collect();
        for worker in peers {
            let worker = Node::Worker(worker);
            self.network.set_view(node, worker, None);
            let Some(link) = self.network.links.remove(&pair(node, worker)) else { continue };
            // Some hear of it at once, some when nothing is heard for too long.
            let wait = if self.dice.chance(500) { self.dice.millis(1, 50) } else { crate::network::IDLE };
            self.plan(wait, Happening::Unlinked(worker, node, link.serial));
        }
        let wait = self.dice.millis(100, 2500);
        self.plan(wait, Happening::EdgeBack(index));
        true
    }

    /// A newer list of who serves what.
    pub(crate) fn edge_routes(&mut self, index: u8, version: u64, placements: Vec<Placement>) {
        let edge = &mut self.edges[usize::from(index)];
        if edge.life.is_none() || version < edge.version {
            return;
        }
        edge.version = version;
        edge.routes = placements.into_iter().map(|placement| (placement.region, placement)).collect();
        self.edge_routes_changed(index);
    }

    pub(crate) fn edge_routes_changed(&mut self, index: u8) {
        let players: Vec<PlayerId> = self.edges[usize::from(index)].sessions.keys().copied().collect();
        for player in players {
            self.look_for_region(index, player);
        }
    }

    /// The link to whoever serves a region, where it is announced and linked.
    pub(crate) fn way(&self, index: u8, region: RegionId) -> Option<Way> {
        let placement = self.edges[usize::from(index)].routes.get(&region)?;
        let serial = self.network.view(Node::Edge(index), Node::Worker(placement.worker))?;
        Some(Way { region, worker: placement.worker, lease: placement.lease, serial })
    }

    /// Timers of all sessions.
    pub(crate) fn edge_turn(&mut self, index: u8) {
        if !self.edges[usize::from(index)].is_alive() {
            return;
        }
        self.plan(TURN, Happening::EdgeTurn(index));
        let now = self.now;
        let mut due = Vec::new();
        let mut silent = Vec::new();
        for (player, session) in &mut self.edges[usize::from(index)].sessions {
            let limit =
                if session.welcomed { session.heard_at + SILENT } else { session.began + JOIN_PATIENCE };
            if now >= limit {
                silent.push(*player);
            } else {
                let ready = session.frames.expire(now);
                let is_due = session.deadline().is_some_and(|at| at <= now);
                if is_due || !ready.frames.is_empty() || ready.missing {
                    due.push((*player, ready));
                }
            }
        }
        for (player, ready) in due {
            self.release(index, player, ready);
            self.look_for_region(index, player);
        }
        for player in silent {
            self.end_session(index, player, false);
        }
    }

    /// The socket is gone, for the edge.
    pub(crate) fn socket_lost(&mut self, index: u8, life: EdgeId, player: PlayerId, conn: u64) {
        let edge = &self.edges[usize::from(index)];
        if edge.life == Some(life) && edge.sessions.get(&player).is_some_and(|held| held.conn == conn) {
            self.end_session(index, player, false);
        }
    }

    fn end_session(&mut self, index: u8, player: PlayerId, bye: bool) {
        let Some(session) = self.edges[usize::from(index)].sessions.get(&player) else { return };
        let (session_epoch, conn) = (session.session_epoch, session.conn);
        let close = EdgeToRegion::Close { player, session_epoch, bye };
        self.pass_on(index, player, 0, close);
        self.edges[usize::from(index)].sessions.remove(&player);
        let wait = self.dice.millis(1, 30);
        self.plan(wait, Happening::SocketGone(player, conn));
        if bye && let Some(life) = self.edges[usize::from(index)].life {
            let session = SessionId((u128::from(self.dice.next()) << 64) | u128::from(self.dice.next()));
            let nonce = self.dice.next();
            let cas = SessionCas { player, expect: Some(session_epoch), session, nonce, edge: life };
            let _ = self.store_now(Request::CasSession(cas));
        }
    }

    /// A message of a client.
    pub(crate) fn edge_reads(
        &mut self,
        index: u8,
        life: EdgeId,
        player: PlayerId,
        conn: u64,
        message: ClientMessage,
    ) {
        let now = self.now;
        if self.edges[usize::from(index)].life != Some(life) || self.is_dead(player, conn) {
            return;
        }
        if let ClientMessage::Hello(hello) = message {
            self.hello(index, life, player, conn, &hello);
            return;
        }
        let session = self.edges[usize::from(index)].sessions.get_mut(&player);
        let Some(session) = session.filter(|session| session.conn == conn) else { return };
        session.heard_at = now;
        let session_epoch = session.session_epoch;
        let Lane::Session(shard) = Lane::of_player(player) else { return };
        let lane = 16 + shard;
        match message {
            ClientMessage::Input(input) => self.client_input(index, player, input),
            ClientMessage::Move(samples) => {
                let moved = EdgeToRegion::Move { player, session_epoch, samples };
                self.pass_on(index, player, lane, moved);
            }
            ClientMessage::Ack { events } => {
                if events > session.acked_event && events <= session.last_event {
                    session.acked_event = events;
                    let ack = EdgeToRegion::EventAck { player, session_epoch, events };
                    self.pass_on(index, player, lane, ack);
                }
            }
            ClientMessage::Ping { token } => {
                let grid_us = now.as_micros() as u64;
                self.tell_client(index, player, ServerMessage::Pong { token, grid_us });
            }
            ClientMessage::Bye => self.end_session(index, player, true),
            ClientMessage::Hello(_) => {}
        }
    }

    /// Who it is, and the session that begins or goes on.
    fn hello(&mut self, index: u8, life: EdgeId, player: PlayerId, conn: u64, hello: &Hello) {
        let claimed = match &hello.resume {
            Some(resume) => self.go_on(life, hello.nonce, &resume.ticket),
            None => self.begin(life, player, hello.nonce),
        };
        let claimed = match claimed {
            // The answer was lost on its way to the edge.
            Ok(_) if self.dice.chance(self.profile.unanswered) => Err(RefusedReason::Busy),
            other => other,
        };
        let (session, session_epoch) = match claimed {
            Ok(claimed) => claimed,
            Err(reason) => {
                let refused = Refused { reason, message: String::new() };
                let wait = self.dice.micros(self.profile.socket);
                let message = Box::new(ServerMessage::Refused(refused));
                self.plan(wait, Happening::ToClient(player, conn, message));
                self.plan(wait + Duration::from_millis(1), Happening::SocketGone(player, conn));
                return;
            }
        };
        // Another connection of the same player at this edge ends.
        if let Some(older) = self.edges[usize::from(index)].sessions.remove(&player) {
            let wait = self.dice.millis(1, 5);
            self.plan(wait, Happening::SocketGone(player, older.conn));
        }
        let Some(client) = self.clients.get(&player) else { return };
        let spawn = Pose::at(Position::from_metres(client.spawn).expect("in range"));
        let home = self.map.owner_of(&spawn.position).expect("on the map");
        let events = hello.resume.as_ref().map_or(0, |resume| resume.events);
        let mut held = Session::new(conn, session, session_epoch, client.spelling, home, self.now);
        held.resumed = hello.resume.is_some();
        held.name.clone_from(&hello.name);
        held.spawn = spawn;
        (held.last_event, held.acked_event) = (events, events);
        self.edges[usize::from(index)].sessions.insert(player, held);
        self.read_owner(index, player);
    }

    fn go_on(
        &mut self,
        edge: EdgeId,
        nonce: u64,
        ticket: &[u8],
    ) -> Result<(SessionId, Epoch), RefusedReason> {
        let (player, session, epoch) = open(ticket).ok_or(RefusedReason::Ticket)?;
        let cas = SessionCas { player, expect: Some(epoch), session, nonce, edge };
        match self.store_now(Request::CasSession(cas)) {
            Some(Reply::CasSession(SessionOutcome::Won(record))) => Ok((record.session, record.epoch)),
            Some(Reply::Failed(_)) | None => Err(RefusedReason::Busy),
            Some(_) => Err(RefusedReason::Ticket),
        }
    }

    fn begin(
        &mut self,
        edge: EdgeId,
        player: PlayerId,
        nonce: u64,
    ) -> Result<(SessionId, Epoch), RefusedReason> {
        let random = SessionId((u128::from(self.dice.next()) << 64) | u128::from(self.dice.next()));
        let Some(Reply::Session(known)) = self.store_now(Request::Session(player)) else {
            return Err(RefusedReason::Busy);
        };
        let same = known.filter(|record| record.nonce == nonce);
        let session = same.map_or(random, |record| record.session);
        let cas = SessionCas { player, expect: known.map(|record| record.epoch), session, nonce, edge };
        match self.store_now(Request::CasSession(cas)) {
            Some(Reply::CasSession(SessionOutcome::Won(record))) => Ok((record.session, record.epoch)),
            Some(Reply::Failed(_)) | None => Err(RefusedReason::Busy),
            Some(_) => Err(RefusedReason::Ticket),
        }
    }

    pub(crate) fn ticket(player: PlayerId, session: SessionId, epoch: Epoch) -> Vec<u8> {
        seal(player, session, epoch)
    }

    /// To a client, in order.
    pub(crate) fn tell_client(&mut self, index: u8, player: PlayerId, message: ServerMessage) {
        let delay = self.dice.micros(self.profile.socket);
        let now = self.now;
        let Some(session) = self.edges[usize::from(index)].sessions.get_mut(&player) else { return };
        let at = (now + delay).max(session.down);
        session.down = at;
        let conn = session.conn;
        self.plan_at(at, Happening::ToClient(player, conn, Box::new(message)));
    }

    /// A region speaks.
    pub(crate) fn edge_hears(&mut self, index: u8, worker: WorkerId, message: RegionToEdge) {
        let Some(region) = self.regions.get(&worker).copied() else { return };
        match message {
            RegionToEdge::Attach(attach) => self.attached(index, worker, &attach),
            RegionToEdge::Moved { key: EntityKey::Player(player), epoch, region } => {
                self.saw_owner(index, player, epoch, region);
            }
            RegionToEdge::NotOwner { player } | RegionToEdge::Left { player } => {
                self.not_at(index, player, region);
            }
            RegionToEdge::Kicked { player, session_epoch } => {
                let session = self.edges[usize::from(index)].sessions.get(&player);
                if session.is_some_and(|session| session.session_epoch == session_epoch) {
                    let closing = Closing { reason: ClosingReason::Replaced, message: String::new() };
                    self.tell_client(index, player, ServerMessage::Closing(closing));
                    self.end_session(index, player, false);
                }
            }
            RegionToEdge::Nack { player, from } => self.misses(index, player, region, from),
            RegionToEdge::Progress(progress) => {
                for (player, session_epoch, applied, durable) in progress {
                    self.progress(index, player, session_epoch, applied, durable);
                }
            }
            RegionToEdge::Event { player, session_epoch, number, name, spelled, payload, .. } => {
                self.edge_event(index, player, session_epoch, number, name, spelled, payload);
            }
            RegionToEdge::Resync { player, epoch, tick } => {
                let session = self.session(index, player);
                if let Some(session) = session.filter(|session| epoch >= session.route.epoch()) {
                    session.frames.undone_above(session.route.progress().1);
                    self.tell_client(index, player, ServerMessage::Resync { epoch, tick });
                }
            }
            _ => {}
        }
    }

    pub(crate) fn edge_frames(&mut self, index: u8, worker: WorkerId, batch: StateBatch) {
        let Some(region) = self.regions.get(&worker).copied() else { return };
        for frame in batch.frames {
            self.edge_frame(index, worker, region, batch.tick, frame);
        }
    }

    /// The client has taken a frame: one more may come.
    pub(crate) fn edge_credit(&mut self, index: u8, player: PlayerId, conn: u64) {
        let session = self.edges[usize::from(index)].sessions.get(&player);
        if session.is_some_and(|session| session.conn == conn) {
            self.pass_on(index, player, 0, EdgeToRegion::Credit(vec![(player, 1)]));
        }
    }

    /// Sends to the region that owns the player, if it can be reached.
    pub(crate) fn pass_on(&mut self, index: u8, player: PlayerId, lane: u8, message: EdgeToRegion) -> bool {
        let node = Node::Edge(index);
        let way = self.edges[usize::from(index)].sessions.get(&player).and_then(Session::way).copied();
        let Some(way) =
            way.filter(|way| self.network.view(node, Node::Worker(way.worker)) == Some(way.serial))
        else {
            return false;
        };
        self.send(node, Node::Worker(way.worker), lane, Message::ToRegion(Box::new(message)));
        true
    }
}
