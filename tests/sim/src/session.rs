//! One player's connection at an edge: the stages of the search for the region, as in the real edge.

use std::time::Duration;

use horizon_handoff::frames::{Frame, FrameOrder, Ready};
use horizon_handoff::route::{Input as RouteInput, Route};
use horizon_history::{Event, Source, Who};
use horizon_model::{EdgeId, Epoch, PlayerId, Pose, RegionId, SessionId, Tick, WorkerId};
use horizon_protocol::client::{self, Progress, ServerMessage, Spelling, State, VERSION, Welcome};
use horizon_protocol::link::{AttachRecord, EdgeToRegion, EntityKey, FrameOut, OpenSession};
use horizon_state_store::{Reply, Request};

use crate::network::Node;
use crate::options::Broken;
use crate::store::Then;
use crate::world::{Happening, World};

const ASK_EVERY: Duration = Duration::from_millis(500);
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
const ATTACH_WITHIN: Duration = Duration::from_millis(500);
const READ_AGAIN_AFTER: Duration = Duration::from_millis(100);

/// A link to a region that is served.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Way {
    pub(crate) region: RegionId,
    pub(crate) worker: WorkerId,
    pub(crate) lease: Epoch,
    pub(crate) serial: u64,
}

#[derive(Debug)]
pub(crate) enum Stage {
    Reading { again_at: Option<Duration> },
    Waiting { region: RegionId, ask_at: Duration },
    Opening { way: Way, until: Duration },
    Expecting { region: RegionId, way: Option<Way>, until: Duration },
    Attached { way: Way },
}

/// A frame's body, and who made it.
#[derive(Debug, Default)]
pub(crate) struct Body {
    worker: u64,
    bytes: Vec<u8>,
}

pub(crate) struct Session {
    pub(crate) conn: u64,
    pub(crate) session: SessionId,
    pub(crate) session_epoch: Epoch,
    pub(crate) resumed: bool,
    pub(crate) name: String,
    pub(crate) spawn: Pose,
    pub(crate) welcomed: bool,
    pub(crate) began: Duration,
    pub(crate) heard_at: Duration,
    pub(crate) last_event: u32,
    pub(crate) acked_event: u32,
    pub(crate) route: Route<client::Input>,
    pub(crate) frames: FrameOrder<Body>,
    /// When the last message to the client arrives.
    pub(crate) down: Duration,
    spelling: Spelling,
    pub(crate) stage: Stage,
    pub(crate) resend: Option<(Duration, u32)>,
    pub(crate) early_events: Vec<client::Event>,
    pub(crate) told: Progress,
}

impl Session {
    pub(crate) fn new(
        conn: u64,
        session: SessionId,
        session_epoch: Epoch,
        spelling: Spelling,
        home: RegionId,
        now: Duration,
    ) -> Self {
        Self {
            conn,
            session,
            session_epoch,
            resumed: false,
            name: String::new(),
            spawn: Pose::default(),
            welcomed: false,
            began: now,
            heard_at: now,
            last_event: 0,
            acked_event: 0,
            route: Route::new(Epoch::ZERO, home),
            frames: FrameOrder::default(),
            down: now,
            spelling,
            stage: Stage::Reading { again_at: None },
            resend: None,
            early_events: Vec::new(),
            told: Progress::default(),
        }
    }

    pub(crate) const fn way(&self) -> Option<&Way> {
        match &self.stage {
            Stage::Opening { way, .. } | Stage::Attached { way } => Some(way),
            Stage::Expecting { way, .. } => way.as_ref(),
            Stage::Reading { .. } | Stage::Waiting { .. } => None,
        }
    }

    pub(crate) fn deadline(&self) -> Option<Duration> {
        let stage = match self.stage {
            Stage::Reading { again_at } => again_at,
            Stage::Waiting { ask_at, .. } => Some(ask_at),
            Stage::Opening { until, .. } | Stage::Expecting { until, .. } => Some(until),
            Stage::Attached { .. } => None,
        };
        stage.into_iter().chain(self.resend.map(|(at, _)| at)).min()
    }
}

impl World {
    pub(crate) fn session(&mut self, index: u8, player: PlayerId) -> Option<&mut Session> {
        self.edges[usize::from(index)].sessions.get_mut(&player)
    }

    /// Asks the store who owns the player.
    pub(crate) fn read_owner(&mut self, index: u8, player: PlayerId) {
        let Some(life) = self.edges[usize::from(index)].life else { return };
        let Some(session) = self.session(index, player) else { return };
        session.stage = Stage::Reading { again_at: None };
        let conn = session.conn;
        let request = Request::Record(EntityKey::Player(player));
        self.ask(Node::Edge(index), request, Then::Owner(index, life, player, conn));
    }

    pub(crate) fn owner_answer(
        &mut self,
        index: u8,
        life: EdgeId,
        player: PlayerId,
        conn: u64,
        reply: Option<Reply>,
    ) {
        if self.edges[usize::from(index)].life != Some(life) {
            return;
        }
        let now = self.now;
        let Some(session) = self.session(index, player).filter(|session| session.conn == conn) else {
            return;
        };
        if !matches!(session.stage, Stage::Reading { .. }) {
            return;
        }
        match reply {
            Some(Reply::Record(record)) => {
                if let Some(record) = record {
                    session.route.handle(RouteInput::Hint { epoch: record.epoch, region: record.region });
                }
                let region = session.route.region();
                self.go_to(index, player, region);
            }
            _ => session.stage = Stage::Reading { again_at: Some(now + READ_AGAIN_AFTER) },
        }
    }

    /// Looks whether the way has changed or an answer is overdue.
    pub(crate) fn look_for_region(&mut self, index: u8, player: PlayerId) {
        let now = self.now;
        let Some(session) = self.session(index, player) else { return };
        if let Some((_, from)) = session.resend.take_if(|(at, _)| *at <= now) {
            let region = session.route.region();
            self.misses(index, player, region, from);
        }
        let current = self.is_current(index, player);
        let Some(session) = self.session(index, player) else { return };
        match &session.stage {
            Stage::Reading { again_at } => {
                if again_at.is_some_and(|at| at <= now) {
                    self.read_owner(index, player);
                }
            }
            Stage::Waiting { region, .. } => {
                let region = *region;
                self.go_to(index, player, region);
            }
            Stage::Opening { way, until } => {
                let (region, overdue) = (way.region, *until <= now);
                if overdue || !current {
                    self.go_to(index, player, region);
                }
            }
            Stage::Expecting { until, .. } => {
                if *until <= now {
                    self.read_owner(index, player);
                }
            }
            Stage::Attached { way } => {
                let region = way.region;
                if !current {
                    session.route.handle(RouteInput::RegionLost { region });
                    self.go_to(index, player, region);
                }
            }
        }
    }

    fn is_current(&self, index: u8, player: PlayerId) -> bool {
        let Some(session) = self.edges[usize::from(index)].sessions.get(&player) else { return false };
        session.way().is_some_and(|way| {
            self.way(index, way.region).is_some_and(|now| now.lease == way.lease && now.serial == way.serial)
        })
    }

    pub(crate) fn go_to(&mut self, index: u8, player: PlayerId, region: RegionId) {
        let now = self.now;
        let way = self.way(index, region);
        let Some(session) = self.session(index, player) else { return };
        let Some(way) = way else {
            if !matches!(session.stage, Stage::Waiting { ask_at, .. } if ask_at > now) {
                session.stage = Stage::Waiting { region, ask_at: now + ASK_EVERY };
            }
            return;
        };
        let open = OpenSession {
            player,
            session: session.session,
            session_epoch: session.session_epoch,
            spelling: session.spelling,
            name: session.name.clone(),
            events_acked: session.acked_event,
            spawn: session.spawn,
            fresh: !session.welcomed,
        };
        session.stage = Stage::Opening { way, until: now + ANSWER_WITHIN };
        self.pass_on(index, player, 0, EdgeToRegion::Open(Box::new(open)));
    }

    /// A region showed that somebody owns the player at `epoch`.
    pub(crate) fn saw_owner(&mut self, index: u8, player: PlayerId, epoch: Epoch, region: RegionId) {
        let (now, way) = (self.now, self.way(index, region));
        let Some(session) = self.session(index, player) else { return };
        if epoch > session.route.epoch() {
            session.route.handle(RouteInput::Hint { epoch, region });
            session.stage = Stage::Expecting { region, way, until: now + ATTACH_WITHIN };
        }
    }

    /// A region says that it does not have the player.
    pub(crate) fn not_at(&mut self, index: u8, player: PlayerId, region: RegionId) {
        let now = self.now;
        let Some(session) = self.session(index, player) else { return };
        let asked = match &session.stage {
            Stage::Opening { way, .. } | Stage::Attached { way } => way.region,
            Stage::Expecting { region, .. } => *region,
            Stage::Reading { .. } | Stage::Waiting { .. } => return,
        };
        if asked == region {
            session.route.handle(RouteInput::RegionLost { region });
            session.stage = Stage::Reading { again_at: Some(now + READ_AGAIN_AFTER) };
        }
    }

    /// A region owns the player: inputs go there from now on.
    pub(crate) fn attached(&mut self, index: u8, worker: WorkerId, attach: &AttachRecord) {
        let (now, player) = (self.now, attach.player);
        let believes = self.options.broken == Some(Broken::NoEpochCheck);
        let way = self.way(index, attach.region);
        let Some(session) = self.session(index, player) else { return };
        let ours = attach.session == session.session && attach.session_epoch == session.session_epoch;
        if !ours || (attach.epoch < session.route.epoch() && !believes) {
            return;
        }
        if !session.welcomed && attach.tables.is_none() {
            session.route.handle(RouteInput::Hint { epoch: attach.epoch, region: attach.region });
            self.go_to(index, player, attach.region);
            return;
        }
        let Some(way) = way else {
            session.route.handle(RouteInput::Hint { epoch: attach.epoch, region: attach.region });
            let until = now + READ_AGAIN_AFTER;
            session.stage = Stage::Expecting { region: attach.region, way: None, until };
            return;
        };
        session.stage = Stage::Attached { way };
        let first = !session.welcomed;
        let (epoch, region, applied) = (attach.epoch, attach.region, attach.applied);
        let who = Who::Player(player);
        self.observe(&Event::Acted { who, epoch, worker, source: Source::Edge });
        if first {
            self.welcome(index, attach);
        }
        let Some(session) = self.session(index, player) else { return };
        let ready = session.frames.attach(epoch, attach.tick, attach.sequence, attach.continues);
        let outputs = session.route.handle(RouteInput::Attach { epoch, region, applied });
        session.route.handle(RouteInput::Progress { epoch, applied, durable: attach.durable });
        self.obey_route(index, player, outputs);
        self.release(index, player, ready);
    }

    fn welcome(&mut self, index: u8, attach: &AttachRecord) {
        let (now, player) = (self.now, attach.player);
        let Some(session) = self.session(index, player) else { return };
        let Some(tables) = attach.tables.clone() else { return };
        let welcome = Welcome {
            version: VERSION,
            resumed: session.resumed,
            session: session.session,
            player,
            entity: attach.entity,
            epoch: attach.epoch,
            tick: attach.tick,
            rate_hz: attach.rate_hz,
            applied: attach.applied,
            durable: attach.durable,
            ticket: Self::ticket(player, session.session, session.session_epoch),
            names: tables.names,
            tables_hash: tables.hash,
            schemas: tables.schemas,
        };
        session.welcomed = true;
        session.heard_at = now;
        session.told = Progress { applied: attach.applied, durable: attach.durable };
        let early = std::mem::take(&mut session.early_events);
        self.tell_client(index, player, ServerMessage::Welcome(Box::new(welcome)));
        for event in early {
            self.pass_event(index, player, event);
        }
    }

    pub(crate) fn edge_frame(
        &mut self,
        index: u8,
        worker: WorkerId,
        region: RegionId,
        tick: Tick,
        frame: FrameOut,
    ) {
        let player = frame.player;
        let believes = self.options.broken == Some(Broken::NoEpochCheck);
        self.saw_owner(index, player, frame.epoch, region);
        let now = self.now;
        let Some(session) = self.session(index, player) else { return };
        let frame = Frame {
            tick,
            epoch: frame.epoch,
            applied: frame.applied,
            durable: frame.durable,
            sequence: frame.sequence,
            body: Body { worker: worker.0, bytes: frame.body },
        };
        let ready = if believes {
            Ready { frames: vec![frame], missing: false }
        } else {
            session.frames.push(now, frame)
        };
        self.release(index, player, ready);
    }

    /// Sends frames that are in order; asks for a complete picture where one is missing.
    pub(crate) fn release(&mut self, index: u8, player: PlayerId, ready: Ready<Body>) {
        for frame in ready.frames {
            let (epoch, worker) = (frame.epoch, WorkerId(frame.body.worker));
            let progress = Progress { applied: frame.applied, durable: frame.durable };
            let who = Who::Player(player);
            self.observe(&Event::Acted { who, epoch, worker, source: Source::Edge });
            let slow = self.clients.get(&player).is_some_and(|client| self.now < client.slow_until);
            let Some(session) = self.session(index, player) else { return };
            if session.frames.undoes(&frame) {
                self.tell_client(index, player, ServerMessage::Resync { epoch, tick: frame.tick });
            }
            let Some(session) = self.session(index, player) else { return };
            session.route.handle(RouteInput::Progress {
                epoch,
                applied: progress.applied,
                durable: progress.durable,
            });
            session.told = progress;
            let (conn, welcomed) = (session.conn, session.welcomed);
            if welcomed {
                let state = State {
                    epoch: Some(epoch),
                    tick: frame.tick,
                    progress: Some(progress),
                    body: frame.body.bytes,
                };
                self.tell_client(index, player, ServerMessage::State(state));
            }
            let wait = if slow { self.dice.millis(100, 600) } else { self.dice.micros((300, 4000)) };
            self.plan(wait, Happening::Credit(index, player, conn));
        }
        if ready.missing {
            let Some(session) = self.session(index, player) else { return };
            let session_epoch = session.session_epoch;
            self.pass_on(index, player, 0, EdgeToRegion::Refresh { player, session_epoch });
        }
    }
}
