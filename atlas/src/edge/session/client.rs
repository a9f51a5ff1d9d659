//! What a client says after its hello, and how much of it.

use std::sync::Arc;
use std::time::Duration;

use horizon_handoff::route::Input as RouteInput;
use horizon_protocol::client::{
    ClientMessage, ClosingReason, INPUT_WINDOW, Input, MoveSample, ServerMessage,
};
use horizon_protocol::link::{EdgeToRegion, Lane};
use horizon_service::config::Limits;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};

use super::super::bucket::Bucket;
use super::super::fragments::FragmentError;
use super::super::spelling;
use super::{End, Session};

/// A client beyond its rate is not read for this long.
const PAUSE: Duration = Duration::from_millis(100);
/// Pauses in a row, each right after the other, before the connection is closed: two seconds beyond
/// the rate and its burst.
const MAX_PAUSES: u32 = 20;
/// What one event takes from a bucket that is filled per second with what is allowed per minute.
const PER_MINUTE: u32 = 60;
/// Bytes of one input beside its payload, for the cap of the ring.
const INPUT_OVERHEAD_BYTES: usize = 64;

/// What one connection may still send.
pub(super) struct Budget {
    frames: Bucket,
    bytes: Bucket,
    controls: Bucket,
    invalid: Bucket,
    max_message_bytes: usize,
    paused_until: Option<Duration>,
    pauses: u32,
}

impl Budget {
    /// Full at `now`: a second's worth above the rate, and room for a whole window that is sent again.
    pub(super) fn new(now: Duration, limits: &Limits) -> Self {
        let frames = limits.frames_per_second;
        let message = u32::try_from(limits.message_bytes).unwrap_or(u32::MAX);
        let invalid = limits.invalid_messages_per_minute;
        Self {
            frames: Bucket::new(now, frames, frames.saturating_add(INPUT_WINDOW)),
            bytes: Bucket::new(now, limits.bytes_per_second, limits.bytes_per_second.max(message)),
            controls: Bucket::new(now, limits.control_frames_per_second, limits.control_frames_per_second),
            invalid: Bucket::new(now, invalid, invalid.saturating_mul(PER_MINUTE)),
            max_message_bytes: limits.message_bytes,
            paused_until: None,
            pauses: 0,
        }
    }

    pub(super) fn is_paused(&self, now: Duration) -> bool {
        self.paused_until.is_some_and(|until| now < until)
    }

    pub(super) fn paused_until(&self) -> Option<Duration> {
        self.paused_until
    }

    /// Counts one data message. Beyond the rate the client is read more slowly, and in the end not at
    /// all.
    fn spend(&mut self, now: Duration, bytes: usize) -> Result<(), &'static str> {
        if self.paused_until.is_some_and(|until| now >= until + PAUSE) {
            self.pauses = 0;
        }
        let bytes = u32::try_from(bytes).unwrap_or(u32::MAX);
        let within = self.frames.take(now, 1) & self.bytes.take(now, bytes);
        self.paused_until =
            if within { self.paused_until.filter(|&at| now < at + PAUSE) } else { Some(now + PAUSE) };
        self.pauses += u32::from(!within);
        if self.pauses > MAX_PAUSES { Err("too many messages or bytes per second") } else { Ok(()) }
    }
}

impl Session {
    pub(super) fn client(&mut self, message: Option<Result<Message, SocketError>>) -> Result<(), End> {
        let message = match message {
            Some(Ok(message)) => message,
            Some(Err(SocketError::Capacity(_))) => {
                let limit = self.budget.max_message_bytes;
                return Err(protocol(format!("a message is at most {limit} bytes")));
            }
            Some(Err(SocketError::Protocol(error))) => return Err(protocol(error.to_string())),
            Some(Err(SocketError::Io(error))) => return Err(broken(&error)),
            Some(Err(_)) | None => return Err(End::Gone),
        };
        let now = self.edge.uptime();
        self.heard_at = now;
        match message {
            Message::Close(_) | Message::Frame(_) => return Err(End::Gone),
            Message::Ping(_) | Message::Pong(_) => {
                // The library has queued the answer; it goes out with the next flush.
                self.unflushed = true;
                return if self.budget.controls.take(now, 1) {
                    Ok(())
                } else {
                    Err(protocol("too many pings".to_owned()))
                };
            }
            Message::Text(_) | Message::Binary(_) => {}
        }
        self.budget.spend(now, message.len()).map_err(|why| protocol(why.to_owned()))?;
        match spelling::read(self.stay.spelling, &message) {
            Ok(message) => self.act(message),
            Err(error) => {
                tracing::debug!(player = %self.stay.player, %error, "invalid message");
                self.edge.figures.invalid_messages.inc();
                if self.budget.invalid.take(now, PER_MINUTE) {
                    Ok(())
                } else {
                    Err(protocol(error.to_string()))
                }
            }
        }
    }

    fn act(&mut self, message: ClientMessage) -> Result<(), End> {
        match message {
            ClientMessage::Input(input) => self.input(input),
            ClientMessage::Move(samples) => {
                self.movement(samples);
                Ok(())
            }
            ClientMessage::Ack { events } => {
                if events > self.acked_event && events <= self.last_event {
                    self.acked_event = events;
                    self.acknowledge();
                }
                Ok(())
            }
            ClientMessage::Ping { token } => {
                let grid = self.edge.clock.grid_now().unwrap_or_default();
                let grid_us = u64::try_from(grid.as_micros()).unwrap_or(u64::MAX);
                self.tell(&ServerMessage::Pong { token, grid_us })
            }
            ClientMessage::Bye => Err(End::Bye),
            ClientMessage::Hello(_) => Err(protocol("a hello comes once, at the start".to_owned())),
        }
    }

    /// Keeps the input until it is durable and sends it on. Beyond the window the client has to wait.
    fn input(&mut self, input: Input) -> Result<(), End> {
        let (_, durable) = self.route.progress();
        if input.seq == 0 || input.seq > durable.saturating_add(INPUT_WINDOW) {
            return Ok(());
        }
        self.edge.figures.inputs.inc();
        let (seq, bytes) = (input.seq, input.payload.len() + INPUT_OVERHEAD_BYTES);
        let outputs = self.route.handle(RouteInput::ClientInput { seq, bytes, input: Arc::new(input) });
        self.obey(outputs)
    }

    /// Latest wins: what finds no region is worth nothing later.
    fn movement(&self, samples: Vec<MoveSample>) {
        if !samples.is_empty() && samples.iter().all(|sample| sample.pose.is_finite()) {
            let (player, session_epoch) = (self.stay.player, self.stay.session_epoch);
            self.to_region(Lane::of_player(player), &EdgeToRegion::Move { player, session_epoch, samples });
        }
    }

    /// Tells the region how far the client's events have come.
    pub(super) fn acknowledge(&self) {
        let (player, session_epoch) = (self.stay.player, self.stay.session_epoch);
        let ack = EdgeToRegion::EventAck { player, session_epoch, events: self.acked_event };
        self.to_region(Lane::of_player(player), &ack);
    }
}

/// The socket broke, or what came over it did.
fn broken(error: &std::io::Error) -> End {
    match error.get_ref().and_then(|cause| cause.downcast_ref::<FragmentError>()) {
        Some(fragments) => protocol(fragments.to_string()),
        None => End::Gone,
    }
}

fn protocol(message: String) -> End {
    End::Closing(ClosingReason::Protocol, message)
}
