//! Reliable lanes of a session at an edge: events to the client, inputs to the region.

use std::time::Duration;

use horizon_handoff::route::{Input as RouteInput, Output as RouteOutput};
use horizon_model::{Epoch, PlayerId, RegionId};
use horizon_protocol::client::{self, EventName, INPUT_WINDOW, Progress, ServerMessage};
use horizon_protocol::link::{EdgeToRegion, Lane};

use crate::session::Stage;
use crate::world::World;

const SEND_AGAIN_AFTER: Duration = Duration::from_millis(50);
const EARLY_EVENTS: usize = 256;
const INPUT_OVERHEAD_BYTES: usize = 64;

impl World {
    #[allow(clippy::too_many_arguments, reason = "one message, spelled out")]
    pub(crate) fn edge_event(
        &mut self,
        index: u8,
        player: PlayerId,
        session_epoch: Epoch,
        number: u32,
        name: u16,
        spelled: Option<(String, String)>,
        payload: Vec<u8>,
    ) {
        let Some(session) = self.session(index, player) else { return };
        if session.session_epoch != session_epoch {
            return;
        }
        let name = match spelled {
            Some((namespace, event)) => EventName::Named { namespace, event },
            None => EventName::Known(name),
        };
        let event = client::Event { number, name, payload };
        if !session.welcomed {
            if matches!(session.stage, Stage::Attached { .. }) && session.early_events.len() < EARLY_EVENTS {
                session.early_events.push(event);
            }
            return;
        }
        self.pass_event(index, player, event);
    }

    pub(crate) fn pass_event(&mut self, index: u8, player: PlayerId, event: client::Event) {
        let Some(session) = self.session(index, player) else { return };
        if event.number <= session.last_event {
            if event.number <= session.acked_event {
                let (session_epoch, events) = (session.session_epoch, session.acked_event);
                let Lane::Session(shard) = Lane::of_player(player) else { return };
                let ack = EdgeToRegion::EventAck { player, session_epoch, events };
                self.pass_on(index, player, 16 + shard, ack);
            }
            return;
        }
        if event.number != session.last_event + 1 {
            if let Stage::Attached { way } = session.stage {
                self.go_to(index, player, way.region);
            }
            return;
        }
        session.last_event = event.number;
        self.tell_client(index, player, ServerMessage::Event(event));
    }

    pub(crate) fn progress(
        &mut self,
        index: u8,
        player: PlayerId,
        session_epoch: Epoch,
        applied: u32,
        durable: u32,
    ) {
        let Some(session) = self.session(index, player) else { return };
        if session.session_epoch != session_epoch {
            return;
        }
        let epoch = session.route.epoch();
        session.route.handle(RouteInput::Progress { epoch, applied, durable });
        let progress = Progress { applied, durable };
        if session.welcomed && progress != session.told {
            session.told = progress;
            self.tell_client(index, player, ServerMessage::Progress(progress));
        }
    }

    pub(crate) fn client_input(&mut self, index: u8, player: PlayerId, input: client::Input) {
        let Some(session) = self.session(index, player) else { return };
        let (_, durable) = session.route.progress();
        if input.seq == 0 || input.seq > durable.saturating_add(INPUT_WINDOW) {
            return;
        }
        let (seq, bytes) = (input.seq, input.payload.len() + INPUT_OVERHEAD_BYTES);
        let outputs = session.route.handle(RouteInput::ClientInput { seq, bytes, input });
        self.obey_route(index, player, outputs);
    }

    /// A region misses inputs.
    pub(crate) fn misses(&mut self, index: u8, player: PlayerId, region: RegionId, from: u32) {
        let Some(session) = self.session(index, player) else { return };
        let outputs = session.route.handle(RouteInput::Nack { region, from });
        self.obey_route(index, player, outputs);
    }

    pub(crate) fn obey_route(
        &mut self,
        index: u8,
        player: PlayerId,
        outputs: Vec<RouteOutput<client::Input>>,
    ) {
        for output in outputs {
            match output {
                RouteOutput::Forward { seq, input, .. } => {
                    let waits = self.session(index, player).is_none_or(|session| session.resend.is_some());
                    if !waits && !self.forward(index, player, seq, &input) {
                        let at = self.now + SEND_AGAIN_AFTER;
                        if let Some(session) = self.session(index, player) {
                            session.resend = Some((at, seq));
                        }
                    }
                }
                RouteOutput::NackClient { from } => {
                    self.tell_client(index, player, ServerMessage::Nack { from });
                }
                RouteOutput::Accept | RouteOutput::Drop | RouteOutput::Reopen { .. } => {}
            }
        }
    }

    fn forward(&mut self, index: u8, player: PlayerId, seq: u32, input: &client::Input) -> bool {
        let (name, spelled) = match &input.name {
            EventName::Known(place) => (*place, None),
            EventName::Named { namespace, event } => (u16::MAX, Some((namespace.clone(), event.clone()))),
        };
        let Some(session) = self.session(index, player) else { return false };
        let session_epoch = session.session_epoch;
        let Lane::Session(shard) = Lane::of_player(player) else { return false };
        let payload = input.payload.clone();
        let message = EdgeToRegion::Input { player, session_epoch, seq, name, spelled, payload };
        self.pass_on(index, player, 16 + shard, message)
    }
}
