//! Who hides behind each alias.

use std::collections::BTreeMap;

use horizon_model::{EntityId, Position, Tick};

use super::knot::Knot;
use super::lattice::{STEPS_PER_CELL, place_in, split};
use super::short::Low;

/// Aliases per page: few enough that one far alias costs little, enough that most of a page is used.
const PAGE: usize = 16;

/// Ticks and velocity steps up to which the quick way of [`Held::advance`] is exact.
const QUICK_TICKS: i64 = 1 << 11;
const QUICK_STEPS: i32 = 1 << 9;

/// How far a velocity step reaches, by channel: `ticks` ticks for a position step.
struct Gait {
    ticks: i32,
    /// Half of `ticks`, rounded down: whole numbers round alike with it.
    half: i32,
    /// Dividing by `ticks` is a product with this and a shift by 32: exact from 0 to 2^23.
    inverse: u64,
}

const GAITS: [Gait; 4] = [gait(30), gait(75), gait(75), gait(75)];

const fn gait(ticks: i32) -> Gait {
    Gait { ticks, half: ticks / 2, inverse: (1 << 32) / ticks as u64 + 1 }
}

/// One held object: who it is, and the last knot told, in the numbers of its channel.
#[derive(Debug, Clone, Copy)]
pub(super) struct Held {
    pub(super) entity: EntityId,
    tick: Tick,
    cell: [i32; 3],
    /// Lattice steps from the lower corner of the cell.
    steps: [i32; 3],
    velocity: [i32; 3],
    channel: u8,
    /// No velocity is beyond [`QUICK_STEPS`].
    is_quick: bool,
}

impl Held {
    /// `None` if the place is outside the world.
    pub(super) fn new(entity: EntityId, channel: u8, knot: &Knot) -> Option<Self> {
        let (cell, steps) = split(channel, knot.place)?;
        let is_quick = knot.velocity.iter().all(|axis| axis.abs() <= QUICK_STEPS);
        let (tick, velocity) = (knot.tick, knot.velocity);
        Some(Self { entity, tick, cell, steps, velocity, channel, is_quick })
    }

    #[inline(always)]
    pub(super) fn position(&self) -> Position {
        place_in(self.channel, self.cell, self.steps)
    }

    /// The last knot, without its heading.
    pub(super) fn knot(&self) -> Knot {
        let steps = STEPS_PER_CELL[usize::from(self.channel & 3)];
        let place = [0, 1, 2].map(|n| i64::from(self.cell[n]) * i64::from(steps) + i64::from(self.steps[n]));
        Knot { tick: self.tick, place, velocity: self.velocity, yaw: 0, own_yaw: false }
    }

    /// Takes the knot of a short update. Its place is the one with the low bits told in the window
    /// around where the object is expected. `None`, and nothing taken, if only [`Self::advance_far`] can.
    #[inline(always)]
    pub(super) fn advance(
        &mut self,
        channel: u8,
        tick: Tick,
        low: Low,
        velocity: [i32; 3],
    ) -> Option<Position> {
        let ticks = tick.0.wrapping_sub(self.tick.0) as i64;
        let is_quick = self.is_quick & (ticks.wrapping_add(QUICK_TICKS) as u64 <= 2 * QUICK_TICKS as u64);
        // The two outer channels have one lattice.
        let same_lattice = (self.channel == channel) | (self.channel.min(channel) >= 2);
        if !(is_quick & same_lattice) {
            return None;
        }
        let gait = &GAITS[usize::from(channel & 3)];
        let steps = STEPS_PER_CELL[usize::from(channel & 3)];
        let ticks = ticks as i32;
        let bias = gait.ticks << 16;
        let spare = 32 - low.bits;
        let axis = |n: usize| {
            let above = (self.velocity[n] * ticks + gait.half + bias) as u32;
            let moved = ((u64::from(above) * gait.inverse) >> 32) as i32 - (1 << 16);
            let expected = self.cell[n].wrapping_mul(steps).wrapping_add(self.steps[n] + moved);
            let beside = low.axes[n].wrapping_sub(expected) << spare >> spare;
            self.steps[n] + moved + beside
        };
        let moved = [axis(0), axis(1), axis(2)];
        let stays = |n: usize| (moved[n] as u32) < steps as u32;
        if !(stays(0) & stays(1) & stays(2)) {
            return None;
        }
        (self.tick, self.steps, self.velocity, self.channel) = (tick, moved, velocity, channel);
        Some(place_in(channel, self.cell, moved))
    }

    /// The same for any knot, exact in whole numbers. `None` if the place is outside the world.
    #[cold]
    pub(super) fn advance_far(
        &mut self,
        channel: u8,
        tick: Tick,
        low: Low,
        velocity: [i32; 3],
    ) -> Option<Position> {
        let expected = self.knot().expected(self.channel, channel, tick);
        let half = 1_i64 << (low.bits - 1);
        let place = [0, 1, 2].map(|n: usize| {
            let lowest = expected[n].wrapping_sub(half);
            lowest.wrapping_add(i64::from(low.axes[n]).wrapping_sub(lowest) & (2 * half - 1))
        });
        let knot = Knot { tick, place, velocity, yaw: 0, own_yaw: false };
        *self = Self::new(self.entity, channel, &knot)?;
        Some(self.position())
    }
}

/// The held objects of one receiver.
///
/// Invariant: `aliases` names exactly the objects in `pages`, so no entity has two aliases.
#[derive(Debug, Default, Clone)]
pub(super) struct HeldObjects {
    pages: Vec<Option<Box<[Option<Held>; PAGE]>>>,
    aliases: BTreeMap<EntityId, u16>,
}

impl HeldObjects {
    pub(super) fn clear(&mut self) {
        self.pages.clear();
        self.aliases.clear();
    }

    #[inline]
    pub(super) fn get_mut(&mut self, alias: u16) -> Option<&mut Held> {
        let alias = usize::from(alias);
        self.pages.get_mut(alias / PAGE)?.as_mut()?[alias % PAGE].as_mut()
    }

    pub(super) fn remove(&mut self, alias: u16) -> Option<EntityId> {
        let index = usize::from(alias);
        let held = self.pages.get_mut(index / PAGE)?.as_mut()?[index % PAGE].take()?;
        self.aliases.remove(&held.entity);
        Some(held.entity)
    }

    /// Puts `held` behind `alias` and nowhere else. Returns the other object that was there.
    pub(super) fn insert(&mut self, alias: u16, held: Held) -> Option<EntityId> {
        let displaced = self.remove(alias).filter(|before| *before != held.entity);
        if let Some(before) = self.aliases.insert(held.entity, alias)
            && let Some(page) = self.pages.get_mut(usize::from(before) / PAGE).and_then(Option::as_mut)
        {
            page[usize::from(before) % PAGE] = None;
        }
        let index = usize::from(alias);
        if self.pages.len() <= index / PAGE {
            self.pages.resize_with(index / PAGE + 1, || None);
        }
        self.pages[index / PAGE].get_or_insert_with(|| Box::new([None; PAGE]))[index % PAGE] = Some(held);
        displaced
    }

    /// Bytes allocated, about.
    #[cfg(test)]
    pub(super) fn memory_bytes(&self) -> usize {
        let pages = self.pages.iter().flatten().count() * size_of::<[Option<Held>; PAGE]>();
        pages + self.pages.capacity() * size_of::<usize>() + self.aliases.len() * 32
    }

    /// The last knot of an object, without its heading.
    #[cfg(test)]
    pub(super) fn last_knot(&mut self, alias: u16) -> Option<Knot> {
        self.get_mut(alias).map(|held| held.knot())
    }
}
