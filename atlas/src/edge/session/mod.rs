//! One player's connection, from the accepted hello to the end of the socket.
//!
//! ```text
//!              ┌── socket: inputs, moves, acks ──▶ ring ──▶ region that owns the player
//!   one task ──┤
//!              └── inbox: frames, events, routing ──▶ outbox ──▶ socket
//! ```
//!
//! The task polls its socket, its inbox and one timer together: nothing it does blocks, so a client
//! that does not read holds up nobody, itself included. Credit goes back when the socket has taken a
//! frame. [`road`] finds the region, [`client`] reads the client.

mod client;
mod road;

use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::{Sink, Stream};
use horizon_handoff::route::Route;
use horizon_handoff::{Record, SessionCas};
use horizon_model::{Epoch, PlayerId, Pose, SessionId};
use horizon_protocol::client::{
    Closing, ClosingReason, Event, Input, Progress, Refused, RefusedReason, ServerMessage, Spelling,
};
use horizon_protocol::link::{EdgeToRegion, Lane};
use horizon_state_store::StoreError;
use tokio::time::{Instant, Sleep};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use super::credit::CreditPace;
use super::farewell::farewell;
use super::frames::{FrameOrder, Ready};
use super::outbox::Outbox;
use super::registry::{Inbox, ToSession};
use super::socket::{Socket, written};
use super::{Edge, spelling};
use client::Budget;
use road::Road;

/// A player is in the world this long after an accepted hello, or is told to try again.
const JOIN_PATIENCE: Duration = Duration::from_secs(10);
/// Messages taken from the inbox before the socket is looked at again.
const INBOX_BATCH: usize = 64;
/// Events that may come before the welcome.
const EARLY_EVENTS: usize = 256;

/// Who is connected, as the hello and the store said.
#[derive(Debug)]
pub(super) struct Stay {
    /// The account.
    pub(super) player: PlayerId,
    /// Display name.
    pub(super) name: String,
    /// The stay.
    pub(super) session: SessionId,
    /// Session epoch of this connection.
    pub(super) session_epoch: Epoch,
    /// How messages are spelled.
    pub(super) spelling: Spelling,
    /// Whether an earlier stay goes on.
    pub(super) resumed: bool,
    /// Highest event the client has.
    pub(super) events: u32,
    /// Where a new player appears.
    pub(super) spawn: Pose,
}

/// Why a connection ends.
#[derive(Debug)]
enum End {
    /// The socket is gone.
    Gone,
    /// The client said goodbye.
    Bye,
    /// The server closes it.
    Closing(ClosingReason, String),
    /// The player could not be brought into the world.
    Refused(RefusedReason, &'static str),
}

/// What made the task go on.
enum Wake {
    Heard(ToSession),
    Client(Option<Result<Message, SocketError>>),
    Record(Result<Option<Record>, StoreError>),
    Timer,
    Broken,
}

type Reading = BoxFuture<'static, Result<Option<Record>, StoreError>>;

pub(super) struct Session {
    edge: Arc<Edge>,
    socket: Socket,
    inbox: Inbox,
    stay: Stay,
    road: Road,
    route: Route<Arc<Input>>,
    reading: Option<Reading>,
    frames: FrameOrder,
    outbox: Outbox,
    credit: CreditPace,
    early_events: Vec<Event>,
    last_event: u32,
    acked_event: u32,
    welcomed: bool,
    budget: Budget,
    began: Duration,
    heard_at: Duration,
    unflushed: bool,
    stalled: Option<(Duration, u64)>,
    timer: Pin<Box<Sleep>>,
    timer_at: Duration,
}

impl Session {
    pub(super) fn new(edge: Arc<Edge>, socket: Socket, inbox: Inbox, stay: Stay) -> Self {
        let now = edge.uptime();
        let home = edge.config.world.map.owner_of(&stay.spawn.position).expect("checked with the hello");
        Self {
            road: Road::new(now),
            route: Route::new(Epoch::ZERO, home),
            reading: None,
            frames: FrameOrder::default(),
            outbox: Outbox::new(stay.spelling),
            credit: CreditPace::new(now, edge.config.limits.state_frames_per_second),
            early_events: Vec::new(),
            last_event: stay.events,
            acked_event: stay.events,
            welcomed: false,
            budget: Budget::new(now, &edge.config.limits),
            began: now,
            heard_at: now,
            unflushed: false,
            stalled: None,
            timer: Box::pin(tokio::time::sleep(Duration::ZERO)),
            timer_at: now,
            edge,
            socket,
            inbox,
            stay,
        }
    }

    /// Runs until the connection ends, and tells client and region.
    pub(super) async fn run(mut self) {
        self.read_record();
        let end = self.live().await;
        let bye = matches!(end, End::Bye);
        self.edge.sessions.ended(self.stay.player, self.stay.session_epoch, bye);
        self.edge.sessions.leave(self.stay.player, self.stay.session_epoch, &self.inbox);
        self.farewell(end).await;
    }

    async fn live(&mut self) -> End {
        loop {
            let wake = poll_fn(|cx| self.poll(cx)).await;
            let handled = match wake {
                Wake::Heard(message) => self.hear(message),
                Wake::Client(message) => self.client(message),
                Wake::Record(record) => {
                    self.found(record);
                    Ok(())
                }
                Wake::Timer => self.on_time(),
                Wake::Broken => Err(End::Gone),
            };
            if let Err(end) = handled {
                return end;
            }
            if self.inbox.has_overflowed() {
                return slow("too much waited for you");
            }
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Wake> {
        if self.write(cx).is_err() {
            return Poll::Ready(Wake::Broken);
        }
        if let Some(reading) = &mut self.reading
            && let Poll::Ready(record) = reading.as_mut().poll(cx)
        {
            self.reading = None;
            return Poll::Ready(Wake::Record(record));
        }
        if let Poll::Ready(Some(message)) = self.inbox.messages.poll_recv(cx) {
            return Poll::Ready(Wake::Heard(message));
        }
        let now = self.edge.uptime();
        if self.welcomed
            && !self.budget.is_paused(now)
            && let Poll::Ready(message) = Pin::new(&mut self.socket).poll_next(cx)
        {
            return Poll::Ready(Wake::Client(message));
        }
        let at = self.deadline();
        if at != self.timer_at {
            self.timer_at = at;
            self.timer.as_mut().reset(Instant::now() + at.saturating_sub(now));
        }
        self.timer.as_mut().poll(cx).map(|()| Wake::Timer)
    }

    /// Writes what waits, as far as the socket takes it. Everything popped before one flush goes out
    /// together.
    fn write(&mut self, cx: &mut Context<'_>) -> Result<(), SocketError> {
        loop {
            match Pin::new(&mut self.socket).poll_ready(cx)? {
                Poll::Ready(()) => {}
                Poll::Pending => {
                    self.stall();
                    return Ok(());
                }
            }
            let Some(message) = self.outbox.pop() else { break };
            self.edge.figures.sent_bytes.inc_by(message.len() as u64);
            Pin::new(&mut self.socket).start_send(message)?;
            self.unflushed = true;
        }
        if self.unflushed {
            match Pin::new(&mut self.socket).poll_flush(cx)? {
                Poll::Ready(()) => {
                    self.unflushed = false;
                    self.stalled = None;
                    self.credit.freed(self.outbox.flushed());
                    self.give_credit();
                }
                Poll::Pending => self.stall(),
            }
        }
        Ok(())
    }

    /// Gives back to the region what credit is due.
    fn give_credit(&mut self) {
        let frames = self.credit.due(self.edge.uptime());
        if frames > 0
            && let Some(way) = self.road.way()
        {
            way.link.credit(self.stay.player, frames);
        }
    }

    /// The client has not taken everything; notes since when it takes nothing.
    fn stall(&mut self) {
        let taken = written(&self.socket);
        if self.stalled.is_none_or(|(_, before)| before != taken) {
            self.stalled = Some((self.edge.uptime(), taken));
        }
    }

    fn deadline(&self) -> Duration {
        let limits = &self.edge.config.limits;
        let mut at = self.heard_at + limits.silent;
        if !self.welcomed {
            at = self.began + JOIN_PATIENCE;
        }
        let stalled = self.stalled.map(|(since, _)| since + limits.slow);
        let others = [
            stalled,
            self.road.deadline(),
            self.frames.deadline(),
            self.budget.paused_until(),
            self.credit.deadline(),
        ];
        others.into_iter().flatten().fold(at, Duration::min)
    }

    fn on_time(&mut self) -> Result<(), End> {
        let now = self.edge.uptime();
        let limits = &self.edge.config.limits;
        if !self.welcomed && now >= self.began + JOIN_PATIENCE {
            return Err(End::Refused(RefusedReason::Busy, "the region is not ready; try again in a moment"));
        }
        if self.welcomed && now >= self.heard_at + limits.silent {
            return Err(End::Closing(
                ClosingReason::Silent,
                format!("nothing was heard for {} s; resume", limits.silent.as_secs_f32()),
            ));
        }
        if let Some((since, before)) = self.stalled
            && now >= since + limits.slow
        {
            if written(&self.socket) == before {
                return Err(slow("nothing was read for too long"));
            }
            self.stall();
        }
        self.give_credit();
        let ready = self.frames.expire(now);
        self.release(ready)?;
        self.look_for_region(now)
    }

    fn hear(&mut self, first: ToSession) -> Result<(), End> {
        self.handle(first)?;
        for _ in 1..INBOX_BATCH {
            match self.inbox.messages.try_recv() {
                Ok(message) => self.handle(message)?,
                Err(_) => break,
            }
        }
        Ok(())
    }

    fn handle(&mut self, message: ToSession) -> Result<(), End> {
        let now = self.edge.uptime();
        match message {
            ToSession::Frame(region, frame) => {
                self.saw_owner(now, frame.epoch, region);
                let ready = self.frames.push(now, frame);
                self.release(ready)
            }
            ToSession::Event { session_epoch, number, name, payload } => {
                // A region repeats to the newest connection what is not acknowledged.
                if session_epoch == self.stay.session_epoch {
                    self.event(Event { number, name, payload })?;
                }
                Ok(())
            }
            ToSession::Progress { session_epoch, applied, durable } => {
                if session_epoch == self.stay.session_epoch {
                    self.progress(self.route.epoch(), Progress { applied, durable })?;
                }
                Ok(())
            }
            ToSession::Attach(attach) => self.attached(now, &attach),
            ToSession::Moved { epoch, region } => {
                self.saw_owner(now, epoch, region);
                Ok(())
            }
            ToSession::Nack { region, from } => self.misses(region, from),
            ToSession::Resync { epoch, tick } => {
                if epoch < self.route.epoch() {
                    return Ok(());
                }
                self.frames.undone_above(self.route.progress().1);
                self.tell(&ServerMessage::Resync { epoch, tick })
            }
            ToSession::NotOwner(region) | ToSession::Left(region) => {
                self.not_at(now, region);
                Ok(())
            }
            ToSession::Routes => self.look_for_region(now),
            ToSession::Replaced(epoch) if epoch == self.stay.session_epoch => Err(End::Closing(
                ClosingReason::Replaced,
                "another connection took this session or account".to_owned(),
            )),
            ToSession::Replaced(_) => Ok(()),
            ToSession::Draining => Err(End::Closing(
                ClosingReason::Draining,
                "this edge goes away; resume with your ticket".to_owned(),
            )),
            ToSession::Shutdown => Err(End::Closing(
                ClosingReason::Shutdown,
                "the world stops; resume when it is back".to_owned(),
            )),
        }
    }

    /// Sends frames that are in order; asks for a complete picture where one is missing.
    fn release(&mut self, ready: Ready) -> Result<(), End> {
        for frame in ready.frames {
            if self.frames.undoes(&frame) {
                self.tell(&ServerMessage::Resync { epoch: frame.epoch, tick: frame.tick })?;
            }
            let progress = Progress { applied: frame.applied, durable: frame.durable };
            self.follow_progress(frame.epoch, progress);
            if self.outbox.push_frame(frame) {
                self.edge.figures.frames_beyond_credit.inc();
            }
        }
        if ready.missing {
            self.edge.figures.frames_missing.inc();
            let (player, session_epoch) = (self.stay.player, self.stay.session_epoch);
            self.to_region(Lane::Control, &EdgeToRegion::Refresh { player, session_epoch });
        }
        Ok(())
    }

    /// Reliable events leave in order, each once; what the client already has is not sent again.
    fn event(&mut self, event: Event) -> Result<(), End> {
        if !self.welcomed {
            // Before the region has attached it may be one of an earlier stay; the region repeats what
            // is not acknowledged.
            if self.road.is_attached() && self.early_events.len() < EARLY_EVENTS {
                self.early_events.push(event);
            }
            return Ok(());
        }
        if event.number <= self.last_event {
            if event.number <= self.acked_event {
                self.acknowledge();
            }
            return Ok(());
        }
        if event.number != self.last_event + 1 {
            tracing::debug!(
                number = event.number,
                last = self.last_event,
                "an event is missing; asking again"
            );
            self.open_again(self.edge.uptime());
            return Ok(());
        }
        self.last_event = event.number;
        self.tell(&ServerMessage::Event(event))
    }

    fn progress(&mut self, epoch: Epoch, progress: Progress) -> Result<(), End> {
        self.follow_progress(epoch, progress);
        if self.welcomed
            && let Some(progress) = self.outbox.progress(progress)
        {
            self.tell(&ServerMessage::Progress(progress))?;
        }
        Ok(())
    }

    fn tell(&mut self, message: &ServerMessage) -> Result<(), End> {
        self.outbox.push(message).map_err(|overflow| slow(&overflow.to_string()))
    }

    /// Sends to the region that owns the player, if it can be reached. Returns whether it was queued.
    fn to_region(&self, lane: Lane, message: &EdgeToRegion) -> bool {
        self.road.way().is_some_and(|way| way.link.send(lane, message).is_ok())
    }

    /// The last words: to the client why, to the region that the socket is gone.
    async fn farewell(mut self, end: End) {
        let bye = matches!(end, End::Bye);
        let replaced = matches!(end, End::Closing(ClosingReason::Replaced, _));
        if !replaced {
            let (player, session_epoch) = (self.stay.player, self.stay.session_epoch);
            let close = EdgeToRegion::Close { player, session_epoch, bye };
            self.to_region(Lane::of_player(player), &close);
        }
        let (message, code) = match end {
            End::Gone => return,
            End::Bye => {
                end_stay(&self.edge, self.stay.player, self.stay.session_epoch).await;
                (None, CloseCode::Normal)
            }
            End::Closing(reason, message) => {
                self.edge.figures.closed(reason);
                (Some(ServerMessage::Closing(Closing { reason, message })), reason.close_code().into())
            }
            End::Refused(reason, message) => {
                self.edge.figures.refused(reason);
                let refused = Refused { reason, message: message.to_owned() };
                (Some(ServerMessage::Refused(refused)), reason.close_code().into())
            }
        };
        let message = message.map(|message| spelling::write(self.stay.spelling, &message));
        farewell(&mut self.socket, message, code, "").await;
    }
}

/// Whoever says goodbye does not come back with the same ticket.
async fn end_stay(edge: &Edge, player: PlayerId, session_epoch: Epoch) {
    let mut random = [0; 24];
    if getrandom::fill(&mut random).is_err() {
        return;
    }
    let (session, nonce) = random.split_at(16);
    let cas = SessionCas {
        player,
        expect: Some(session_epoch),
        session: SessionId(u128::from_le_bytes(session.try_into().expect("sixteen bytes"))),
        nonce: u64::from_le_bytes(nonce.try_into().expect("eight bytes")),
        edge: edge.id,
    };
    if let Err(error) = edge.store.cas_session(cas).await {
        tracing::debug!(%error, "an ended session keeps its ticket");
    }
}

fn slow(why: &str) -> End {
    End::Closing(ClosingReason::Slow, format!("{why}; resume when you can read"))
}
