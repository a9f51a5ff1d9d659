//! All objects of one region, in slots: what every observer of a step reads.

use std::borrow::Cow;

use horizon_model::{EntityId, ObjectTypeId, PlayerId, Pose, TICKS_PER_SECOND, Tick, TickRate};

use crate::cadence::since_due;
use crate::fields::Fields;
use crate::ids::Ids;
use crate::object::NewObject;
use crate::registry::Registry;
use crate::track::{Clock, Track};
use crate::wire::{Knot, LATTICES, LeaveReason, Short, metres_of, quantise_yaw, short};

/// What is new about an object in this step.
pub(crate) mod fresh {
    /// Bit `n`: a knot on channel `n`.
    pub(crate) const KNOT: u16 = 0x000f;
    /// Bit `4 + n`: fields of channel `n`.
    pub(crate) const FIELDS: u16 = 0x00f0;
    /// Bit `8 + n`: channel `n` has its chance, for regions.
    pub(crate) const CHANCE: u16 = 0x0f00;
    /// The newest sample differs from the one before.
    pub(crate) const MOVED: u16 = 0x1000;
    /// The object is gone; its slot is free after the step.
    pub(crate) const DEAD: u16 = 0x2000;
    /// The newest sample is a jump.
    pub(crate) const SNAP: u16 = 0x4000;
}

/// Metres from the origin beyond which the origin moves: f32 is exact to a millimetre up to there.
const MAX_REACH: f32 = 8192.0;

/// One encoded knot.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Packed {
    /// Without the gap.
    pub(crate) entry: Short,
    /// Whether `entry` holds the knot; otherwise it needs a long one.
    pub(crate) fits: bool,
    pub(crate) snap: bool,
    /// Low half of the knot's tick.
    pub(crate) tick: u32,
}

const UNTIED: Knot = Knot { tick: Tick(0), place: [0; 3], velocity: [0; 3], yaw: 0, own_yaw: true };
const EMPTY: Packed = Packed { entry: Short { bytes: [0; 16], len: 0 }, fits: false, snap: false, tick: 0 };

/// What a step seldom asks of an object.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) entity: EntityId,
    pub(crate) type_id: ObjectTypeId,
    pub(crate) player: Option<PlayerId>,
    pub(crate) tick: Tick,
    pub(crate) pose: Pose,
    pub(crate) fields: Fields,
    /// Why it went.
    pub(crate) reason: LeaveReason,
    moved: bool,
    jumped: bool,
    /// The newest sample differed from the one before.
    going: bool,
    /// It lay between two steps and the track has another for the one before it; whether it was a jump.
    between: Option<bool>,
}

/// Slot 0 is never used, so it can stand for none.
#[derive(Debug)]
pub(crate) struct Objects {
    ids: Ids,
    facts: Vec<Option<Facts>>,
    tracks: Vec<Option<Box<Track>>>,
    /// Per table of reach: coordinates from the origin; not a number where another table holds.
    pub(crate) coordinates: Vec<[Vec<f32>; 3]>,
    pub(crate) profile: Vec<u16>,
    pub(crate) fresh: Vec<u16>,
    pub(crate) ghost: Vec<bool>,
    /// Knots of this step by channel.
    pub(crate) packed: Vec<[Packed; 4]>,
    /// The last knot of each channel.
    knots: Vec<[Knot; 4]>,
    /// Tick of the newest jump; 0 before the first.
    jumps: Vec<u64>,
    free: Vec<u32>,
    dead: Vec<u32>,
    /// Slots with something in `fresh`.
    touched: Vec<u32>,
    /// Metres of the origin from that of the world; `None` before the first object.
    origin: Option<[f64; 3]>,
}

impl Objects {
    pub(crate) fn new() -> Self {
        let mut objects = Self {
            ids: Ids::default(),
            facts: Vec::new(),
            tracks: Vec::new(),
            coordinates: Vec::new(),
            profile: Vec::new(),
            fresh: Vec::new(),
            ghost: Vec::new(),
            packed: Vec::new(),
            knots: Vec::new(),
            jumps: Vec::new(),
            free: Vec::new(),
            dead: Vec::new(),
            touched: Vec::new(),
            origin: None,
        };
        objects.grow();
        objects
    }

    /// Metres of the origin of coordinates from that of the world.
    pub(crate) fn origin(&self) -> [f64; 3] {
        self.origin.unwrap_or([0.0; 3])
    }

    pub(crate) fn any_dead(&self) -> bool {
        !self.dead.is_empty()
    }

    pub(crate) fn slots(&self) -> usize {
        self.facts.len()
    }

    pub(crate) fn slot(&self, entity: EntityId) -> Option<usize> {
        self.ids.get(entity.bits()).map(|slot| slot as usize)
    }

    pub(crate) fn facts(&self, slot: usize) -> Option<&Facts> {
        self.facts.get(slot)?.as_ref()
    }

    pub(crate) fn facts_mut(&mut self, slot: usize) -> Option<&mut Facts> {
        self.facts.get_mut(slot)?.as_mut()
    }

    /// Every object in order of ids.
    pub(crate) fn entities(&self) -> Vec<EntityId> {
        let alive = self.facts.iter().zip(&self.fresh).filter(|(_, fresh)| *fresh & fresh::DEAD == 0);
        let mut ids: Vec<_> = alive.filter_map(|(facts, _)| Some(facts.as_ref()?.entity)).collect();
        ids.sort_unstable();
        ids
    }

    /// The last knot that the clients on `channel` were told.
    pub(crate) fn knot(&self, slot: usize, channel: u8) -> Option<&Knot> {
        self.knots.get(slot).map(|knots| &knots[usize::from(channel)])
    }

    /// Tick of the newest jump; 0 before the first.
    pub(crate) fn jump(&self, slot: usize) -> u64 {
        self.jumps[slot]
    }

    /// The newest sample as regions are told it. Its velocity is that of the last step, so it is zero
    /// where the object stands.
    pub(crate) fn exact(&self, slot: usize, hz: u64) -> Option<Knot> {
        let facts = self.facts(slot)?;
        let per_step = self.tracks[slot].as_ref()?.last_step();
        let lattice = &LATTICES[0];
        Some(Knot {
            tick: facts.tick,
            place: lattice.place(metres_of(&facts.pose.position)),
            velocity: lattice.velocity(per_step.map(|axis| f64::from(axis) * hz as f64)),
            yaw: quantise_yaw(facts.pose.yaw),
            own_yaw: true,
        })
    }

    /// What a region was told of this object when the low half of the sample's tick was `told`, if that
    /// is not too long ago.
    pub(crate) fn told_exactly(&self, slot: usize, told: u32, rate: TickRate) -> Option<Knot> {
        let facts = self.facts(slot)?;
        let ago = u64::from((facts.tick.0 as u32).wrapping_sub(told));
        let tick = Tick(facts.tick.0.checked_sub(ago)?);
        let (at, per_step) = self.tracks[slot].as_ref()?.past((tick.0 / rate.step()) as i64)?;
        let lattice = &LATTICES[0];
        let metres = [0, 1, 2].map(|axis| self.origin()[axis] + f64::from(at[axis]));
        let velocity = lattice.velocity(per_step.map(|axis| f64::from(axis) * rate.hz() as f64));
        Some(Knot { tick, place: lattice.place(metres), velocity, yaw: 0, own_yaw: true })
    }

    fn grow(&mut self) -> usize {
        self.facts.push(None);
        self.tracks.push(None);
        self.profile.push(0);
        self.fresh.push(0);
        self.ghost.push(false);
        self.packed.push([EMPTY; 4]);
        self.knots.push([UNTIED; 4]);
        self.jumps.push(0);
        for axes in &mut self.coordinates {
            axes.iter_mut().for_each(|axis| axis.push(f32::NAN));
        }
        self.facts.len() - 1
    }

    pub(crate) fn insert(&mut self, mut new: NewObject, registry: &Registry, clock: &mut Clock) {
        if !new.pose.is_finite() {
            new.pose = Pose::at(new.pose.position);
        }
        let kind = registry.of(new.type_id);
        let slot = self.free.pop().map_or_else(|| self.grow(), |slot| slot as usize);
        let metres = metres_of(&new.pose.position);
        clock.origin = *self.origin.get_or_insert(metres.map(f64::round));
        while self.coordinates.len() <= usize::from(kind.profile) {
            let axis = vec![f32::NAN; self.facts.len()];
            self.coordinates.push([axis.clone(), axis.clone(), axis]);
        }
        self.profile[slot] = kind.profile;
        self.ghost[slot] = new.ghost;
        self.fresh[slot] = 0;
        self.jumps[slot] = 0;
        self.packed[slot] = [EMPTY; 4];
        let at = self.put(slot, metres, clock);
        let step = (new.tick.0 / clock.rate.step()) as i64;
        let track = Track::new(step, at, new.pose.yaw, new.pose.velocity, clock);
        self.knots[slot] = [0, 1, 2, 3].map(|channel| *track.knot(channel));
        match &mut self.tracks[slot] {
            Some(place) => **place = track,
            empty => *empty = Some(Box::new(track)),
        }
        self.ids.insert(new.entity.bits(), slot as u32);
        self.facts[slot] = Some(Facts {
            entity: new.entity,
            type_id: new.type_id,
            player: new.player,
            tick: new.tick,
            pose: new.pose,
            fields: Fields::new(new.fields, kind),
            reason: LeaveReason::Gone,
            moved: false,
            jumped: false,
            going: false,
            between: None,
        });
    }

    /// Coordinates of a slot; moves the origin where they grow too large.
    fn put(&mut self, slot: usize, metres: [f64; 3], clock: &mut Clock) -> [f32; 3] {
        let mut at = [0, 1, 2].map(|axis| (metres[axis] - clock.origin[axis]) as f32);
        if at.iter().any(|axis| axis.abs() > MAX_REACH) {
            let origin = metres.map(f64::round);
            // Objects further apart than the reach would move it each time; they get coarser distances.
            if self.fits(origin, clock.origin) {
                self.rebase(origin, clock);
                at = [0, 1, 2].map(|axis| (metres[axis] - origin[axis]) as f32);
            }
        }
        let axes = &mut self.coordinates[usize::from(self.profile[slot])];
        for axis in 0..3 {
            axes[axis][slot] = at[axis];
        }
        at
    }

    fn fits(&self, origin: [f64; 3], before: [f64; 3]) -> bool {
        self.coordinates.iter().all(|axes| {
            axes.iter().enumerate().all(|(axis, values)| {
                let by = (before[axis] - origin[axis]) as f32;
                values.iter().all(|value| value.is_nan() || (value + by).abs() <= MAX_REACH)
            })
        })
    }

    fn rebase(&mut self, origin: [f64; 3], clock: &mut Clock) {
        let by = [0, 1, 2].map(|axis| clock.origin[axis] - origin[axis]);
        for axes in &mut self.coordinates {
            for (axis, values) in axes.iter_mut().enumerate() {
                values.iter_mut().for_each(|value| *value = (f64::from(*value) + by[axis]) as f32);
            }
        }
        self.tracks.iter_mut().flatten().for_each(|track| track.rebase(by));
        self.origin = Some(origin);
        clock.origin = origin;
    }

    /// A sample between two steps, of a neighbour that steps more often, is taken back along its velocity to
    /// the step before it.
    pub(crate) fn sample(&mut self, slot: usize, tick: Tick, pose: &Pose, snap: bool, clock: &mut Clock) {
        let Some(facts) = self.facts[slot].as_mut() else {
            return;
        };
        if tick <= facts.tick || !pose.is_finite() {
            return;
        }
        facts.tick = tick;
        let step = (tick.0 / clock.rate.step()) as i64;
        let unheard = facts.between.take();
        let snap = snap || unheard == Some(true);
        let changed = facts.pose.position != pose.position || facts.pose.yaw != pose.yaw || unheard.is_some();
        // Regions are told that it stands, once.
        facts.moved |= changed || facts.going || facts.pose.velocity != pose.velocity;
        facts.going = changed;
        facts.pose = *pose;
        if changed {
            facts.jumped |= snap;
            if snap {
                self.jumps[slot] = tick.0;
            }
            let since = (tick.0 % clock.rate.step()) as f64 / TICKS_PER_SECOND as f64;
            let metres = metres_of(&pose.position);
            let metres = [0, 1, 2].map(|axis| metres[axis] - f64::from(pose.velocity[axis]) * since);
            let at = self.put(slot, metres, clock);
            if let Some(track) = &mut self.tracks[slot] {
                let taken = track.sample(step, at, pose.yaw, snap);
                if let Some(facts) = self.facts[slot].as_mut() {
                    facts.between = (!taken).then_some(snap);
                }
                if self.ghost[slot] && pose.velocity == [0.0; 3] {
                    track.rest();
                }
            }
        } else if let Some(track) = &mut self.tracks[slot] {
            track.stand(step);
        }
    }

    pub(crate) fn set_field(&mut self, slot: usize, field: u8, bytes: &[u8], registry: &Registry) {
        if let Some(facts) = self.facts[slot].as_mut() {
            facts.fields.set(field, Cow::Borrowed(bytes), registry.of(facts.type_id));
        }
    }

    /// The object is gone; those who hold it learn so in the next step.
    pub(crate) fn remove(&mut self, slot: usize, reason: LeaveReason) {
        let Some(facts) = self.facts[slot].as_mut() else {
            return;
        };
        facts.reason = reason;
        self.ids.remove(facts.entity.bits());
        for axis in &mut self.coordinates[usize::from(self.profile[slot])] {
            axis[slot] = f32::NAN;
        }
        self.fresh[slot] = fresh::DEAD;
        self.dead.push(slot as u32);
    }

    /// Makes the knots and publishes the fields of this step. `regions`: whether any region looks.
    pub(crate) fn prepare(&mut self, registry: &Registry, clock: &Clock, regions: bool) {
        let step = clock.rate.step();
        let tick = clock.now as u64 * step;
        for slot in 1..self.facts.len() {
            let (Some(facts), Some(track)) = (self.facts[slot].as_mut(), self.tracks[slot].as_mut()) else {
                continue;
            };
            if self.ghost[slot] {
                track.assume(clock.now);
            }
            if track.is_quiet() && !facts.moved && !facts.fields.is_changed() && !regions {
                continue;
            }
            if self.fresh[slot] & fresh::DEAD != 0 {
                continue;
            }
            let kind = registry.of(facts.type_id);
            let entity = facts.entity.bits();
            let made = if track.is_quiet() { 0 } else { track.run(clock, &kind.paces, entity) };
            let mut news = u16::from(made & 0xf);
            let mut rest = made & 0xf;
            while rest != 0 {
                let channel = rest.trailing_zeros() as u8;
                rest &= rest - 1;
                let knot = track.knot(usize::from(channel));
                let before = std::mem::replace(&mut self.knots[slot][usize::from(channel)], *knot);
                let snap = made & 0x10 << channel != 0;
                let whole = snap || !is_near(&before, channel, knot, channel);
                let lag = tick as i64 - knot.tick.0 as i64;
                let entry = if whole { None } else { short(channel, lag, clock.world.step(), knot) };
                self.packed[slot][usize::from(channel)] = Packed {
                    entry: entry.unwrap_or(EMPTY.entry),
                    fits: entry.is_some(),
                    snap,
                    tick: knot.tick.0 as u32,
                };
            }
            if facts.fields.is_changed() || regions {
                let mut due = 0;
                for (channel, pace) in kind.paces.iter().enumerate() {
                    let period = pace.period_ticks * clock.relief[channel].every;
                    if since_due(tick as i64, entity, channel, period) < clock.rate.step() {
                        news |= 0x100 << channel;
                        due |= kind.fields[channel];
                    }
                }
                let told = facts.fields.publish(due);
                for (channel, fields) in kind.fields.iter().enumerate() {
                    news |= if told & fields != 0 { 0x10 << channel } else { 0 };
                }
            }
            if std::mem::take(&mut facts.moved) {
                news |= fresh::MOVED;
                news |= if std::mem::take(&mut facts.jumped) { fresh::SNAP } else { 0 };
            }
            if news != 0 {
                self.fresh[slot] |= news;
                self.touched.push(slot as u32);
            }
        }
    }

    /// The step is over: nothing is new any more, and the slots of what is gone are free.
    pub(crate) fn settle(&mut self) {
        for slot in self.touched.drain(..) {
            self.fresh[slot as usize] = 0;
        }
        for slot in self.dead.drain(..) {
            self.fresh[slot as usize] = 0;
            self.facts[slot as usize] = None;
            self.free.push(slot);
        }
    }
}

/// Whether who knows `known` on its channel finds the whole place of `knot` from its low bits, with a
/// quarter to spare.
pub(crate) fn is_near(known: &Knot, known_on: u8, knot: &Knot, channel: u8) -> bool {
    let lattice = &LATTICES[usize::from(channel)];
    let expected = lattice.place(known.metres_at(known_on, knot.tick.0 as i64));
    let reach = 3 << (lattice.axis_bits - 3);
    (0..3).all(|axis| (knot.place[axis] - expected[axis]).abs() < reach)
}
