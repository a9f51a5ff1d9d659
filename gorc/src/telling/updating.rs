//! The updates of one body. The common one is a copy of what was encoded once for all observers.

use horizon_model::{EntityId, Tick};

use super::{Pen, knot_of, pose_of};
use crate::glance::{Due, Scene, Tools};
use crate::json;
use crate::objects::is_near;
use crate::observer::Observer;
use crate::row::{CHANNEL, COMPLETE, KNOT, PENDING, SNAP, WHOLE};
use crate::wire::{
    Knot, Long, MAX_FIELDS, Section, Spelling, Update, heading, put_header, put_long, put_short, short,
};

impl Observer {
    pub(super) fn tell_updates(&mut self, scene: &Scene<'_>, tools: &mut Tools, pen: &mut Pen<'_>) {
        if pen.limit != usize::MAX {
            let room = pen.limit.saturating_sub(pen.out.len() + 1);
            self.choose(scene, tools, room, pen.spelling);
        }
        let due = std::mem::take(&mut tools.due);
        let mut previous: i64 = -1;
        let mut stats = tools.stats;
        for (place, row) in due.iter().enumerate() {
            if pen.is_full() && place > 0 {
                for late in &due[place..] {
                    self.defer(late, scene);
                }
                stats.deferred += (due.len() - place) as u64;
                break;
            }
            let alias = row.alias as usize;
            let slot = self.rows.slots[alias] as usize;
            let channel = row.word & CHANNEL;
            let start = pen.out.len();
            if previous < 0 && pen.spelling == Spelling::Binary {
                put_header(pen.out, Section::Updates);
            }
            let gap = (i64::from(row.alias) - previous - 1) as u32;
            let packed = &scene.objects.packed[slot][channel as usize];
            let is_fresh = scene.objects.fresh[slot] & 1 << channel != 0;
            // Who knows the knot before this one, and is owed nothing else.
            if self.rows.words[alias] == channel
                && row.word & PENDING == KNOT
                && is_fresh
                && packed.fits
                && row.changed == 0
                && self.spec.sees_ghosts
                && pen.spelling == Spelling::Binary
            {
                put_short(pen.out, gap, &packed.entry);
                self.rows.ticks[alias] = packed.tick;
            } else if let Some(tick) = self.tell_slowly(scene, row, slot, gap, pen) {
                self.rows.ticks[alias] = tick.0 as u32;
            } else if pen.out.len() == start + 1 && previous < 0 {
                pen.out.truncate(start);
                self.rows.words[alias] = channel;
                continue;
            }
            self.rows.told(alias, channel, scene.clock.now);
            if pen.out.len() > start {
                previous = i64::from(row.alias);
                stats.updates += 1;
                stats.channel_bytes[channel as usize] += (pen.out.len() - start) as u64;
                stats.update_bytes += (pen.out.len() - start) as u64;
            }
        }
        tools.stats = stats;
        tools.due = due;
    }

    /// Whether the receiver finds `knot` from its low bits.
    fn expects(&self, scene: &Scene<'_>, row: &Due, slot: usize, knot: &Knot) -> bool {
        let told_on = (self.rows.words[row.alias as usize] & CHANNEL) as u8;
        let channel = (row.word & CHANNEL) as u8;
        if !self.spec.sees_ghosts {
            let told = self.rows.ticks[row.alias as usize];
            let known = scene.objects.told_exactly(slot, told, scene.clock.rate);
            return known.is_some_and(|known| is_near(&known, 0, knot, 0));
        }
        if told_on == channel {
            return scene.objects.packed[slot][usize::from(channel)].fits;
        }
        // It knows the knot of another channel, and perhaps not the last one.
        scene.objects.knot(slot, told_on).is_some_and(|known| {
            known.tick.0 as u32 == self.rows.ticks[row.alias as usize]
                && is_near(known, told_on, knot, channel)
        })
    }

    /// Writes an update that is not the common one. Returns the tick of its knot, if it has one.
    fn tell_slowly(
        &self,
        scene: &Scene<'_>,
        row: &Due,
        slot: usize,
        gap: u32,
        pen: &mut Pen<'_>,
    ) -> Option<Tick> {
        let facts = scene.objects.facts(slot)?;
        let kind = scene.registry.of(facts.type_id);
        let channel = (row.word & CHANNEL) as u8;
        let lattice = if self.spec.sees_ghosts { channel } else { 0 };
        let mut mask = 0;
        for (index, fields) in kind.fields.iter().enumerate().skip(usize::from(channel)) {
            if row.word & 0x10 << index != 0 {
                mask |= fields;
            } else if row.changed & 1 << index != 0 {
                mask |= fields & facts.fields.told();
            }
        }
        let mut slots = [(0, &[][..]); MAX_FIELDS];
        let fields = facts.fields.select(mask, &mut slots);
        let wants_knot = row.word & (KNOT | SNAP | WHOLE | COMPLETE) != 0;
        let knot = if wants_knot { knot_of(scene, slot, channel, self.spec.sees_ghosts) } else { None };
        if knot.is_none() && fields.is_empty() {
            return None;
        }
        let told = self.rows.ticks[row.alias as usize];
        let jump = scene.objects.jump(slot);
        // A jump between the knot that is known and the one that is told.
        let jumped = knot.is_some_and(|knot| {
            jump != 0 && knot.tick.0 >= jump && (told.wrapping_sub(jump as u32) as i32) < 0
        });
        let snap = row.word & SNAP != 0 || jumped;
        let complete = row.word & COMPLETE != 0;
        if pen.spelling == Spelling::Json {
            let update = spelled(&knot, scene, slot, lattice, channel, snap, complete, fields)?;
            json::write_update(pen.text, &update, &kind.schema);
            pen.item();
            return knot.map(|knot| knot.tick);
        }
        let Some(knot) = knot else {
            put_long(pen.out, gap, &Long { channel: lattice, snap: false, complete, knot: None, fields });
            return None;
        };
        let lag = scene.tick.0 as i64 - knot.tick.0 as i64;
        let whole = snap
            || row.word & (WHOLE | COMPLETE) != 0
            || !fields.is_empty()
            || !self.expects(scene, row, slot, &knot);
        let entry = if whole { None } else { short(lattice, lag, scene.clock.world.step(), &knot) };
        match entry {
            Some(entry) => put_short(pen.out, gap, &entry),
            None => {
                let long = Long { channel: lattice, snap, complete, knot: Some((lag, &knot)), fields };
                put_long(pen.out, gap, &long);
            }
        }
        Some(knot.tick)
    }
}

/// The knot and the fields as JSON says them.
#[allow(clippy::too_many_arguments)]
fn spelled<'a>(
    knot: &Option<Knot>,
    scene: &Scene<'_>,
    slot: usize,
    lattice: u8,
    channel: u8,
    snap: bool,
    complete: bool,
    fields: &'a [(u8, &'a [u8])],
) -> Option<Update<'a>> {
    let entity: EntityId = scene.objects.facts(slot)?.entity;
    let pose = knot.as_ref().and_then(|knot| pose_of(knot, lattice));
    Some(Update {
        entity,
        tick: knot.as_ref().map_or(scene.tick, |knot| knot.tick),
        channel,
        position: pose.map(|pose| pose.position),
        velocity: pose.map(|pose| pose.velocity),
        yaw: knot
            .as_ref()
            .zip(pose)
            .and_then(|(knot, pose)| if knot.own_yaw { Some(pose.yaw) } else { heading(pose.velocity) }),
        snap: snap && knot.is_some(),
        complete,
        fields,
    })
}
