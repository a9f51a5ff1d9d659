//! What one observer sees, judged entry by entry.
//!
//! | fault | meaning |
//! |---|---|
//! | stall | a due update never came: two positions of an object that moved lie further apart than its channel's period, and the channel did not change between them |
//! | double step | a position whose source tick is not newer than the one before |
//! | flicker | an object comes back within two seconds of leaving, enters while it is held, or a player appears under another id |
//! | stray | an update for an object that is not held |
//!
//! A reset of the body starts everything anew. Times are source ticks, never arrivals; only [`GapMeter`] looks
//! at the clock, and always beside a control of the same kind.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use horizon_client::{EnterEntry, Frame, LeaveReason, UpdateEntry, Witness};
use horizon_model::{
    EntityId, Epoch, ObjectSchema, ObjectTypeId, PlayerId, Position, TICKS_PER_SECOND, Tick,
};
use tracing::debug;

/// An object that returns sooner than this has flickered: nobody walks out of sight and back that fast.
const FLICKER_TICKS: u64 = 2 * TICKS_PER_SECOND;

/// Broken promises seen by one observer; all zero is the only good value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// Due updates that never came.
    pub stalls: u64,
    /// Positions that were not newer.
    pub double_steps: u64,
    /// Objects that went and came.
    pub flickers: u64,
    /// Updates about nothing.
    pub strays: u64,
}

/// Watches the entries of one client's frames.
#[derive(Debug, Default)]
pub struct Checker {
    /// Grid ticks from one step of the region to the next.
    step: u64,
    /// Per object type, the longest regular distance of two updates on each channel, in ticks.
    periods: Vec<[u64; 4]>,
    now: Tick,
    held: BTreeMap<EntityId, Seen>,
    left: BTreeMap<EntityId, Tick>,
    avatars: BTreeMap<PlayerId, Avatar>,
    faults: Faults,
}

#[derive(Debug)]
struct Seen {
    type_id: ObjectTypeId,
    player: Option<PlayerId>,
    tick: Tick,
    position: Position,
    channel: u8,
    /// The channel changed since the last position, so the distance to the next says nothing.
    changed: bool,
}

#[derive(Debug)]
struct Avatar {
    entity: EntityId,
    left: Option<Tick>,
}

impl Checker {
    /// An observer in a region of `rate_hz` steps per second.
    pub fn new(rate_hz: u32) -> Self {
        Self { step: TICKS_PER_SECOND / u64::from(rate_hz.clamp(1, 60)), ..Self::default() }
    }

    /// What was found so far.
    pub const fn faults(&self) -> Faults {
        self.faults
    }

    /// Updates are sent on steps: a period that is no multiple of the step alternates below the next one.
    fn learn(&mut self, schemas: &[ObjectSchema]) {
        let step = self.step.max(1);
        let regular =
            |schema: &ObjectSchema| schema.channels.map(|spec| spec.period_ticks().div_ceil(step) * step);
        self.periods = schemas.iter().map(regular).collect();
    }

    fn flicker(&mut self, entity: EntityId, why: &'static str) {
        self.faults.flickers += 1;
        debug!(%entity, tick = %self.now, why, "flicker");
    }

    fn meet_player(&mut self, player: PlayerId, entity: EntityId) {
        let known = self.avatars.insert(player, Avatar { entity, left: None });
        if let Some(before) = known
            && before.entity != entity
            && before.left.is_none_or(|left| self.now.saturating_since(left) < FLICKER_TICKS)
        {
            self.flicker(entity, "the player had another id");
        }
    }
}

impl Witness for Checker {
    fn frame(&mut self, frame: &Frame, schemas: &[ObjectSchema]) {
        if self.periods.len() != schemas.len() {
            self.learn(schemas);
        }
        self.now = frame.tick;
        self.left.retain(|_, left| frame.tick.saturating_since(*left) < FLICKER_TICKS);
    }

    fn reset(&mut self) {
        self.held.clear();
        self.left.clear();
        self.avatars.clear();
    }

    fn enter(&mut self, enter: &EnterEntry<'_>) {
        let held = self.held.contains_key(&enter.entity);
        if held && enter.again {
            return;
        }
        if held {
            self.flicker(enter.entity, "it enters while it is held");
        } else if self.left.remove(&enter.entity).is_some() {
            self.flicker(enter.entity, "it left a moment ago");
        }
        if let Some(player) = enter.player {
            self.meet_player(player, enter.entity);
        }
        let seen = Seen {
            type_id: enter.type_id,
            player: enter.player,
            tick: enter.tick,
            position: enter.pose.position,
            channel: enter.channel,
            changed: false,
        };
        self.held.insert(enter.entity, seen);
    }

    fn update(&mut self, update: &UpdateEntry<'_>) {
        let Some(seen) = self.held.get_mut(&update.entity) else {
            self.faults.strays += 1;
            debug!(entity = %update.entity, tick = %self.now, "update for an object that is not held");
            return;
        };
        if seen.channel != update.channel {
            seen.channel = update.channel;
            seen.changed = true;
        }
        let Some(position) = update.position else { return };
        if update.tick <= seen.tick {
            // A complete update repeats what a lost frame may have said.
            if !update.complete {
                self.faults.double_steps += 1;
                debug!(entity = %update.entity, tick = %update.tick, before = %seen.tick, "double step");
            }
            return;
        }
        let channels = self.periods.get(usize::from(seen.type_id.0));
        let period = channels.map_or(u64::MAX, |periods| periods[usize::from(seen.channel.min(3))]);
        let distance = update.tick.saturating_since(seen.tick);
        if distance > period && !seen.changed && !update.snap && position != seen.position {
            self.faults.stalls += 1;
            debug!(entity = %update.entity, tick = %update.tick, distance, period, "stall");
        }
        (seen.tick, seen.position, seen.changed) = (update.tick, position, false);
    }

    fn leave(&mut self, entity: EntityId, reason: LeaveReason) {
        let Some(seen) = self.held.remove(&entity) else { return };
        if reason != LeaveReason::Teleported {
            self.left.insert(entity, self.now);
        }
        if let Some(avatar) = seen.player.and_then(|player| self.avatars.get_mut(&player)) {
            avatar.left = Some(self.now);
        }
    }
}

/// Time between consecutive frames of one client, in ticks beyond the expected one: at rises of the epoch,
/// and between frames of one epoch as the control.
#[derive(Debug, Clone, Copy)]
pub struct GapMeter {
    period: Duration,
    last: Option<(Epoch, Instant)>,
}

/// One measured gap.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap {
    /// Whole periods without a frame.
    pub ticks: u64,
    /// Whether authority changed between the two frames.
    pub crossing: bool,
}

impl GapMeter {
    /// For a region of `rate_hz` steps per second.
    pub fn new(rate_hz: u32) -> Self {
        Self { period: Duration::from_secs(1) / rate_hz.max(1), last: None }
    }

    /// The next frame, as it arrived.
    pub fn observe(&mut self, epoch: Epoch, at: Instant) -> Option<Gap> {
        let (before, then) = self.last.replace((epoch, at))?;
        let periods = at.saturating_duration_since(then).as_nanos().div_ceil(self.period.as_nanos().max(1));
        let ticks = u64::try_from(periods).unwrap_or(u64::MAX).saturating_sub(1);
        Some(Gap { ticks, crossing: epoch > before })
    }

    /// The connection broke or a crash was announced: the next frame is a first one.
    pub const fn restart(&mut self) {
        self.last = None;
    }
}

/// Numbers of reliable events: 1, 2, 3 …
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EventNumbers {
    last: u32,
    /// Numbers that were skipped.
    pub lost: u64,
    /// Numbers that came again.
    pub duplicated: u64,
}

impl EventNumbers {
    /// The next event delivered to the program.
    pub fn observe(&mut self, number: u32) {
        if number <= self.last {
            self.duplicated += 1;
        } else {
            self.lost += u64::from(number - self.last - 1);
            self.last = number;
        }
    }

    /// A new session numbers from 1 again.
    pub const fn restart(&mut self) {
        self.last = 0;
    }
}

#[cfg(test)]
mod tests;
