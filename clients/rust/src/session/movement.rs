//! The movement lane of a session: where the body is, with the samples before it.

use std::time::Duration;

use horizon_model::{Pose, Tick};
use horizon_protocol::client::{ClientMessage, MoveSample};

use super::{Presence, Session};

/// Earlier movement samples sent along with the newest.
const REDUNDANT_SAMPLES: usize = 3;

impl Session {
    /// Says where the body is now, with the samples before it. While apart nothing is said.
    /// Returns the tick it was stamped with.
    pub fn movement(&mut self, now: Duration, pose: Pose) -> Option<Tick> {
        let tick = self.clock.tick_at(now)?;
        self.movement_at(tick, pose)
    }

    /// As [`Self::movement`], for a tick of the program's own choice: a little ahead of the world, and the
    /// sample waits there for the step of its tick, so that a network that is late by less costs nothing.
    pub fn movement_at(&mut self, tick: Tick, pose: Pose) -> Option<Tick> {
        if self.presence != Presence::Present {
            return None;
        }
        let newest = self.samples.back().map_or(Tick(0), |sample| sample.tick);
        let tick = tick.max(newest);
        if tick == newest {
            self.samples.pop_back();
        }
        self.samples.push_back(MoveSample { tick, pose });
        if self.samples.len() > 1 + REDUNDANT_SAMPLES {
            self.samples.pop_front();
        }
        // What still waits for the socket is older and contained in this one.
        self.outbox.retain(|message| !matches!(message, ClientMessage::Move(_)));
        self.outbox.push_back(ClientMessage::Move(self.samples.iter().copied().collect()));
        Some(tick)
    }

    /// Forgets earlier movement, so that a jump is not repeated as a redundant sample.
    pub fn forget_movement(&mut self) {
        self.samples.clear();
    }
}
