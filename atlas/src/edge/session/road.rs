//! The way to the region that owns a player.
//!
//! ```text
//!            record            not served                served             Attach
//!  Reading ─────────▶ Waiting ◀────────── (region) ──────────▶ Opening ─────────────▶ Attached
//!     ▲                  └── asks the director every 500 ms ──▶ ▲                       │  │
//!     │ not owner, no answer                                     └── worker lost, placed ┘  │
//!     └──────────────── Expecting ◀──────────────── a region shows a newer epoch ──────────┘
//! ```
//!
//! The socket stays open all the while: inputs pile up in the ring, and the client keeps them too.

use std::sync::Arc;
use std::time::Duration;

use horizon_handoff::route::{Input as RouteInput, Output as RouteOutput};
use horizon_handoff::{EntityKey, Record};
use horizon_model::{Epoch, RegionId};
use horizon_protocol::client::{EventName, Input, Progress, ServerMessage, VERSION, Welcome};
use horizon_protocol::link::{AttachRecord, EdgeToRegion, Lane, OpenSession, Tables};
use horizon_state_store::StoreError;

use super::super::ticket::Ticket;
use super::{End, Session};
use crate::director::Why;
use crate::inbox::ToHub;
use crate::routes::Way;

/// The director is asked again this often: a question may be lost, and a wish is forgotten after a
/// while.
const ASK_EVERY: Duration = Duration::from_millis(500);
/// A region that was asked answers within this time, or is asked again.
const ANSWER_WITHIN: Duration = Duration::from_secs(2);
/// After a hint the new owner attaches by itself within this time, or the record is read.
const ATTACH_WITHIN: Duration = Duration::from_millis(500);
/// Pause before the record is read again: the answer of another region may be on its way.
const READ_AGAIN_AFTER: Duration = Duration::from_millis(100);
/// Inputs that did not fit on the link are sent again after this pause.
const SEND_AGAIN_AFTER: Duration = Duration::from_millis(50);
/// Stands for "both names are spelled out".
const SPELLED: u16 = u16::MAX;

/// Where the search for a player's region stands.
pub(super) struct Road {
    stage: Stage,
    resend: Option<(Duration, u32)>,
}

enum Stage {
    Reading { again_at: Option<Duration> },
    Waiting { region: RegionId, ask_at: Duration },
    Opening { way: Way, until: Duration },
    Expecting { region: RegionId, way: Option<Way>, until: Duration },
    Attached { way: Way },
}

impl Road {
    pub(super) const fn new(_now: Duration) -> Self {
        Self { stage: Stage::Reading { again_at: None }, resend: None }
    }

    /// The link to whoever owns the player or is about to answer.
    pub(super) const fn way(&self) -> Option<&Way> {
        match &self.stage {
            Stage::Opening { way, .. } | Stage::Attached { way } => Some(way),
            Stage::Expecting { way, .. } => way.as_ref(),
            Stage::Reading { .. } | Stage::Waiting { .. } => None,
        }
    }

    pub(super) const fn is_attached(&self) -> bool {
        matches!(self.stage, Stage::Attached { .. })
    }

    pub(super) fn deadline(&self) -> Option<Duration> {
        let stage = match self.stage {
            Stage::Reading { again_at } => again_at,
            Stage::Waiting { ask_at, .. } => Some(ask_at),
            Stage::Opening { until, .. } | Stage::Expecting { until, .. } => Some(until),
            Stage::Attached { .. } => None,
        };
        stage.into_iter().chain(self.resend.map(|(at, _)| at)).min()
    }
}

impl Session {
    /// Asks the store who owns the player.
    pub(super) fn read_record(&mut self) {
        self.road.stage = Stage::Reading { again_at: None };
        let (store, player) = (Arc::clone(&self.edge.store), self.stay.player);
        self.reading = Some(Box::pin(async move { store.record(EntityKey::Player(player)).await }));
    }

    /// The store's answer.
    pub(super) fn found(&mut self, record: Result<Option<Record>, StoreError>) {
        let now = self.edge.uptime();
        if !matches!(self.road.stage, Stage::Reading { .. }) {
            return;
        }
        match record {
            Ok(record) => {
                if let Some(record) = record {
                    self.route.handle(RouteInput::Hint { epoch: record.epoch, region: record.region });
                }
                self.go_to(now, self.route.region());
            }
            Err(error) => {
                tracing::debug!(%error, "the owner of a player could not be read");
                self.road.stage = Stage::Reading { again_at: Some(now + READ_AGAIN_AFTER) };
            }
        }
    }

    /// Looks whether the way has changed or an answer is overdue.
    pub(super) fn look_for_region(&mut self, now: Duration) -> Result<(), End> {
        self.send_again(now)?;
        match &mut self.road.stage {
            Stage::Reading { again_at } => {
                if again_at.is_some_and(|at| at <= now) {
                    self.read_record();
                }
            }
            Stage::Waiting { region, .. } => {
                let region = *region;
                self.go_to(now, region);
            }
            Stage::Opening { way, until } => {
                let (region, overdue) = (way.placement.region, *until <= now);
                if overdue || !self.is_current() {
                    self.go_to(now, region);
                }
            }
            Stage::Expecting { region, way, until } => {
                let (region, expected, overdue) = (*region, way.is_some(), *until <= now);
                if overdue {
                    self.read_record();
                } else if expected && !self.is_current() {
                    // Whoever was to attach is gone, and a successor waits to be asked.
                    self.go_to(now, region);
                }
            }
            Stage::Attached { way } => {
                let region = way.placement.region;
                if !self.is_current() {
                    tracing::debug!(%region, player = %self.stay.player, "region lost; the session waits for it");
                    self.route.handle(RouteInput::RegionLost { region });
                    self.go_to(now, region);
                }
            }
        }
        Ok(())
    }

    /// Opens the session at `region`, or has it placed first.
    fn go_to(&mut self, now: Duration, region: RegionId) {
        let way = self.edge.routes.borrow().0.get(&region).cloned();
        let Some(way) = way else {
            if !matches!(self.road.stage, Stage::Waiting { ask_at, .. } if ask_at > now) {
                let _ = self.edge.hub.try_send(ToHub::Ensure { region, why: Why::Player });
                self.road.stage = Stage::Waiting { region, ask_at: now + ASK_EVERY };
            }
            return;
        };
        let open = OpenSession {
            player: self.stay.player,
            session: self.stay.session,
            session_epoch: self.stay.session_epoch,
            spelling: self.stay.spelling,
            name: self.stay.name.clone(),
            events_acked: self.acked_event,
            spawn: self.stay.spawn,
            fresh: !self.welcomed,
        };
        let sent = way.link.send(Lane::Control, &EdgeToRegion::Open(Box::new(open)));
        let within = if sent.is_ok() { ANSWER_WITHIN } else { SEND_AGAIN_AFTER };
        self.road.stage = Stage::Opening { way, until: now + within };
    }

    /// The region has to say again what it said: opens the session there once more.
    pub(super) fn open_again(&mut self, now: Duration) {
        if let Stage::Attached { way } = &self.road.stage {
            let region = way.placement.region;
            self.go_to(now, region);
        }
    }

    /// Whether the way at hand is still the one that is announced.
    fn is_current(&self) -> bool {
        self.road.way().is_some_and(|way| {
            let routes = self.edge.routes.borrow();
            routes.0.get(&way.placement.region).is_some_and(|now| {
                now.placement.lease == way.placement.lease && now.link.serial == way.link.serial
            })
        })
    }

    /// A region showed that somebody owns the player at `epoch`.
    pub(super) fn saw_owner(&mut self, now: Duration, epoch: Epoch, region: RegionId) {
        if epoch > self.route.epoch() {
            self.route.handle(RouteInput::Hint { epoch, region });
            let way = self.edge.routes.borrow().0.get(&region).cloned();
            if way.is_some() {
                self.road.stage = Stage::Expecting { region, way, until: now + ATTACH_WITHIN };
            } else {
                // Nobody is there who could attach by itself.
                self.go_to(now, region);
            }
        }
    }

    /// A region says that it does not have the player.
    pub(super) fn not_at(&mut self, now: Duration, region: RegionId) {
        let asked = match &self.road.stage {
            Stage::Opening { way, .. } | Stage::Attached { way } => way.placement.region,
            Stage::Expecting { region, .. } => *region,
            Stage::Reading { .. } | Stage::Waiting { .. } => return,
        };
        if asked == region {
            self.route.handle(RouteInput::RegionLost { region });
            self.road.stage = Stage::Reading { again_at: Some(now + READ_AGAIN_AFTER) };
        }
    }

    /// A region owns the player: inputs go there from now on.
    pub(super) fn attached(&mut self, now: Duration, attach: &AttachRecord) -> Result<(), End> {
        let ours = attach.session == self.stay.session && attach.session_epoch == self.stay.session_epoch;
        if !ours || attach.epoch < self.route.epoch() {
            return Ok(());
        }
        if !self.welcomed && attach.tables.is_none() {
            // It answers a handoff, not our request: the welcome needs the tables.
            self.route.handle(RouteInput::Hint { epoch: attach.epoch, region: attach.region });
            self.go_to(now, attach.region);
            return Ok(());
        }
        let Some(way) = self.edge.routes.borrow().0.get(&attach.region).cloned() else {
            // Announced any moment; the region attaches again, or is asked.
            self.route.handle(RouteInput::Hint { epoch: attach.epoch, region: attach.region });
            self.road.stage =
                Stage::Expecting { region: attach.region, way: None, until: now + READ_AGAIN_AFTER };
            return Ok(());
        };
        self.reading = None;
        self.road.stage = Stage::Attached { way };
        if !self.welcomed {
            self.welcome(attach)?;
        }
        let ready = self.frames.attach(attach.epoch, attach.tick, attach.sequence, attach.continues);
        let (epoch, region, applied) = (attach.epoch, attach.region, attach.applied);
        let outputs = self.route.handle(RouteInput::Attach { epoch, region, applied });
        self.follow_progress(epoch, Progress { applied, durable: attach.durable });
        self.obey(outputs)?;
        self.release(ready)
    }

    fn welcome(&mut self, attach: &AttachRecord) -> Result<(), End> {
        let Tables { names, schemas, hash } = attach.tables.clone().expect("asked for with the first open");
        let ticket = Ticket {
            player: self.stay.player,
            session: self.stay.session,
            session_epoch: self.stay.session_epoch,
            issued: attach.tick,
        };
        let welcome = Welcome {
            version: VERSION,
            resumed: self.stay.resumed,
            session: self.stay.session,
            player: self.stay.player,
            entity: attach.entity,
            epoch: attach.epoch,
            tick: attach.tick,
            rate_hz: attach.rate_hz,
            applied: attach.applied,
            durable: attach.durable,
            ticket: self.edge.tickets.seal(&ticket),
            names,
            tables_hash: hash,
            schemas,
        };
        self.tell(&ServerMessage::Welcome(Box::new(welcome)))?;
        self.outbox.told(Progress { applied: attach.applied, durable: attach.durable });
        self.welcomed = true;
        self.heard_at = self.edge.uptime();
        for event in std::mem::take(&mut self.early_events) {
            self.event(event)?;
        }
        Ok(())
    }

    /// A region misses inputs.
    pub(super) fn misses(&mut self, region: RegionId, from: u32) -> Result<(), End> {
        let outputs = self.route.handle(RouteInput::Nack { region, from });
        self.obey(outputs)
    }

    pub(super) fn follow_progress(&mut self, epoch: Epoch, progress: Progress) {
        let Progress { applied, durable } = progress;
        self.route.handle(RouteInput::Progress { epoch, applied, durable });
    }

    /// Does what the route says.
    pub(super) fn obey(&mut self, outputs: Vec<RouteOutput<Arc<Input>>>) -> Result<(), End> {
        for output in outputs {
            match output {
                RouteOutput::Forward { seq, input, .. } => {
                    if self.road.resend.is_none() && !self.forward(seq, &input) {
                        self.road.resend = Some((self.edge.uptime() + SEND_AGAIN_AFTER, seq));
                    }
                }
                RouteOutput::NackClient { from } => self.tell(&ServerMessage::Nack { from })?,
                RouteOutput::Accept | RouteOutput::Drop | RouteOutput::Reopen { .. } => {}
            }
        }
        Ok(())
    }

    fn send_again(&mut self, now: Duration) -> Result<(), End> {
        let Some((_, from)) = self.road.resend.filter(|&(at, _)| at <= now) else { return Ok(()) };
        self.road.resend = None;
        self.misses(self.route.region(), from)
    }

    fn forward(&self, seq: u32, input: &Input) -> bool {
        let (name, spelled) = match &input.name {
            EventName::Known(place) => (*place, None),
            EventName::Named { namespace, event } => (SPELLED, Some((namespace.clone(), event.clone()))),
        };
        let (player, session_epoch) = (self.stay.player, self.stay.session_epoch);
        let payload = input.payload.clone();
        let message = EdgeToRegion::Input { player, session_epoch, seq, name, spelled, payload };
        self.to_region(Lane::of_player(player), &message)
    }
}
