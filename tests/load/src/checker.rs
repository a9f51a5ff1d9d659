//! What one observer sees, judged entry by entry, and what it draws.
//!
//! | fault | meaning |
//! |---|---|
//! | flicker | an object comes back within two seconds of leaving, enters while it is held, or a player appears under another id |
//! | stray | an update for an object that is not held |
//! | astray | an object is drawn elsewhere than its channel allows; judged by [`crate::references`] |
//!
//! A reset of the body starts everything anew. Times are source ticks, never arrivals; only [`GapMeter`] looks
//! at the clock, and always beside a control of the same kind.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use horizon_client::{Curve, EnterEntry, Frame, LeaveReason, UpdateEntry, Witness};
use horizon_model::{
    ChannelSpec, EntityId, Epoch, ObjectSchema, ObjectTypeId, PlayerId, Position, TICKS_PER_SECOND, Tick,
    TickRate,
};
use tracing::debug;

use crate::references::{EVERY_TICKS, Role, Sighting};
use crate::steps::Picture;

/// An object that returns sooner than this has flickered: nobody walks out of sight and back that fast.
const FLICKER_TICKS: u64 = 2 * TICKS_PER_SECOND;
/// Ticks after an enter, a jump, a repetition or a change of channel for which nothing is compared: a
/// respawn is told to every channel within its delay, and half a second is enough for the curve to be true.
const SETTLING_TICKS: u64 = TICKS_PER_SECOND / 2;

/// Broken promises seen by one observer; all zero is the only good value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Faults {
    /// Objects that went and came.
    pub flickers: u64,
    /// Updates about nothing.
    pub strays: u64,
}

/// Watches the entries of one client's frames.
#[derive(Debug)]
pub struct Checker {
    rate: TickRate,
    /// Per object type, what its channels promise.
    promises: Vec<[Promise; 4]>,
    now: Tick,
    /// Frame of the last [`Self::look`].
    looked: Tick,
    held: BTreeMap<EntityId, Seen>,
    left: BTreeMap<EntityId, Tick>,
    avatars: BTreeMap<PlayerId, Avatar>,
    sightings: Vec<Sighting>,
    faults: Faults,
}

/// What holds for the objects of one type on one channel.
#[derive(Debug, Clone, Copy)]
struct Promise {
    /// How far behind the newest frame they are drawn.
    delay_ticks: u64,
    /// How far off they may be then.
    bound_metres: f64,
}

#[derive(Debug)]
struct Seen {
    type_id: ObjectTypeId,
    player: Option<PlayerId>,
    curve: Curve,
    channel: u8,
    /// Frame of the last enter, jump, repetition or change of channel.
    disturbed: Tick,
}

#[derive(Debug)]
struct Avatar {
    entity: EntityId,
    left: Option<Tick>,
}

impl Checker {
    /// An observer in a region of `rate_hz` steps per second; 60 where that does not divide the grid.
    pub fn new(rate_hz: u32) -> Self {
        let rate = TickRate::from_hz(rate_hz.into()).or_else(|_| TickRate::from_hz(TICKS_PER_SECOND));
        Self {
            rate: rate.expect("the grid divides itself"),
            promises: Vec::new(),
            now: Tick(0),
            looked: Tick(0),
            held: BTreeMap::new(),
            left: BTreeMap::new(),
            avatars: BTreeMap::new(),
            sightings: Vec::new(),
            faults: Faults::default(),
        }
    }

    /// What was found so far.
    pub const fn faults(&self) -> Faults {
        self.faults
    }

    /// What is drawn as of the newest frame at ticks of [`EVERY_TICKS`]; nothing if it was asked before.
    /// `own` is the client's avatar.
    pub fn look(&mut self, own: EntityId) -> &[Sighting] {
        self.sightings.clear();
        if self.now > self.looked {
            self.looked = self.now;
            let (now, promises) = (self.now, &self.promises);
            let sighting = |(entity, seen): (&EntityId, &Seen)| {
                let promise = promise(promises, seen.type_id, seen.channel, self.rate);
                let tick = Tick(now.0.checked_sub(promise.delay_ticks)?);
                if !tick.0.is_multiple_of(EVERY_TICKS) {
                    return None;
                }
                let position = Position::from_metres(seen.curve.at(tick.0 as f64).0)?;
                let role = match seen.player {
                    Some(_) if *entity == own => Role::Own,
                    Some(_) => Role::Other,
                    None => Role::Ownerless,
                };
                Some(Sighting {
                    entity: *entity,
                    tick,
                    position,
                    channel: seen.channel,
                    bound_metres: promise.bound_metres,
                    calm: tick > seen.disturbed + SETTLING_TICKS,
                    role,
                })
            };
            self.sightings.extend(self.held.iter().filter_map(sighting));
        }
        &self.sightings
    }

    /// What is drawn on the nearest channel as of the newest frame.
    pub fn pictures(&self) -> impl Iterator<Item = Picture> {
        self.held.iter().filter(|(_, seen)| seen.channel == 0).filter_map(|(entity, seen)| {
            let delay = promise(&self.promises, seen.type_id, 0, self.rate).delay_ticks;
            let tick = Tick(self.now.0.checked_sub(delay)?);
            Some(Picture { entity: *entity, tick, metres: seen.curve.at(tick.0 as f64).0 })
        })
    }

    /// The world went back in time: curves may jump.
    pub fn forgive(&mut self) {
        let now = self.now;
        self.held.values_mut().for_each(|seen| seen.disturbed = now);
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

impl Promise {
    fn of(spec: &ChannelSpec, rate: TickRate) -> Self {
        let bound_metres = f64::from(spec.precision_cm) / 100.0;
        Self { delay_ticks: spec.delay_ticks(rate), bound_metres }
    }
}

fn promise(promises: &[[Promise; 4]], type_id: ObjectTypeId, channel: u8, rate: TickRate) -> Promise {
    let channel = usize::from(channel.min(3));
    let known = promises.get(usize::from(type_id.0)).map(|channels| channels[channel]);
    known.unwrap_or_else(|| Promise::of(&ChannelSpec::DEFAULT[channel], rate))
}

impl Witness for Checker {
    fn frame(&mut self, frame: &Frame, schemas: &[ObjectSchema]) {
        if self.promises.len() != schemas.len() {
            let rate = self.rate;
            let promises = |schema: &ObjectSchema| schema.channels.map(|spec| Promise::of(&spec, rate));
            self.promises = schemas.iter().map(promises).collect();
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
        if held && !enter.again {
            self.flicker(enter.entity, "it enters while it is held");
        } else if !held && self.left.remove(&enter.entity).is_some() {
            self.flicker(enter.entity, "it left a moment ago");
        }
        if let Some(player) = enter.player {
            self.meet_player(player, enter.entity);
        }
        let velocity = enter.pose.velocity.map(f64::from);
        let seen = Seen {
            type_id: enter.type_id,
            player: enter.player,
            curve: Curve::new(enter.tick, enter.pose.position.metres(), velocity, enter.pose.yaw),
            channel: enter.channel,
            disturbed: self.now,
        };
        self.held.insert(enter.entity, seen);
    }

    fn update(&mut self, update: &UpdateEntry<'_>) {
        let Some(seen) = self.held.get_mut(&update.entity) else {
            self.faults.strays += 1;
            debug!(entity = %update.entity, tick = %self.now, "update for an object that is not held");
            return;
        };
        if seen.channel != update.channel || update.snap || update.complete {
            seen.disturbed = self.now;
        }
        let delay = promise(&self.promises, seen.type_id, seen.channel, self.rate).delay_ticks;
        seen.channel = update.channel;
        let (Some(position), Some(velocity)) = (update.position, update.velocity) else { return };
        seen.curve.forget_before(self.now.0.saturating_sub(2 * TICKS_PER_SECOND) as f64);
        seen.curve.push(
            self.now,
            delay,
            update.tick,
            position.metres(),
            velocity.map(f64::from),
            update.yaw,
            update.snap,
        );
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
