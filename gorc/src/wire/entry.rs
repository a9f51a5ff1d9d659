//! Writes the parts of a binary body.

use horizon_model::{EntityId, ObjectTypeId, PlayerId};

use super::knot::Knot;
use super::visitor::{Density, LeaveReason};
use super::{REASON_SHIFT, enter_flag, long_flag, update_byte};
use crate::varint;

/// The sections of a body. Their numbers are not their order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Section {
    Reset = 0,
    Leaves = 1,
    Enters = 2,
    Updates = 3,
    Density = 4,
}

/// An update that says its numbers in full, or no knot at all.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Long<'a> {
    pub(crate) channel: u8,
    /// Only with a knot.
    pub(crate) snap: bool,
    pub(crate) complete: bool,
    /// Ticks from the knot to the frame, and the knot.
    pub(crate) knot: Option<(i64, &'a Knot)>,
    /// Never empty without a knot.
    pub(crate) fields: &'a [(u8, &'a [u8])],
}

/// Appends a long update, `gap` aliases after the one before.
pub(crate) fn put_long(out: &mut Vec<u8>, gap: u32, long: &Long<'_>) {
    debug_assert!(long.knot.is_some() || !long.fields.is_empty(), "an update says something");
    let first = update_byte::LONG | (long.channel & 3) << update_byte::CHANNEL_SHIFT;
    out.push(first | (gap.min(update_byte::GAP_FOLLOWS) as u8) << update_byte::GAP_SHIFT);
    if gap >= update_byte::GAP_FOLLOWS {
        put_gap(out, gap - update_byte::GAP_FOLLOWS);
    }
    let mut flags = if long.complete { long_flag::COMPLETE } else { 0 };
    if !long.fields.is_empty() {
        flags |= long_flag::FIELDS;
    }
    match long.knot {
        None => out.push(flags),
        Some((lag_ticks, knot)) => {
            flags |= long_flag::PLACE;
            flags |= if long.snap { long_flag::SNAP } else { 0 };
            flags |= if knot.velocity == [0; 3] { 0 } else { long_flag::VELOCITY };
            flags |= if knot.own_yaw { long_flag::YAW } else { 0 };
            out.push(flags);
            put_knot(out, lag_ticks, knot);
            if knot.own_yaw {
                out.push(knot.yaw);
            }
        }
    }
    put_fields(out, long.fields);
}

/// The complete first state of an object, and how late it is told.
#[derive(Debug, Clone, Copy)]
pub(crate) struct EnterEntry<'a> {
    pub(crate) entity: EntityId,
    pub(crate) type_id: ObjectTypeId,
    pub(crate) player: Option<PlayerId>,
    pub(crate) channel: u8,
    /// Ticks from the knot to the frame.
    pub(crate) lag_ticks: i64,
    pub(crate) knot: &'a Knot,
    pub(crate) again: bool,
    pub(crate) fields: &'a [(u8, &'a [u8])],
}

/// Appends an enter, `gap` aliases after the one before, which was that of `before`.
pub(crate) fn put_enter(out: &mut Vec<u8>, gap: u32, before: Option<EntityId>, enter: &EnterEntry<'_>) {
    let (bits, knot) = (enter.entity.bits(), enter.knot);
    let same_upper = before.is_some_and(|before| before.bits() >> 32 == bits >> 32);
    let mut flags = enter.channel & 3;
    flags |= if knot.velocity == [0; 3] { 0 } else { enter_flag::VELOCITY };
    flags |= if knot.yaw == 0 { 0 } else { enter_flag::YAW };
    flags |= if enter.fields.is_empty() { 0 } else { enter_flag::FIELDS };
    flags |= if enter.player.is_some() { enter_flag::PLAYER } else { 0 };
    flags |= if enter.again { enter_flag::AGAIN } else { 0 };
    flags |= if same_upper { enter_flag::SAME_UPPER } else { 0 };
    put_gap(out, gap);
    out.push(flags);
    if !same_upper {
        out.extend_from_slice(&((bits >> 32) as u32).to_le_bytes());
    }
    varint::write(out, bits & u64::from(u32::MAX));
    varint::write(out, enter.type_id.0.into());
    if let Some(player) = enter.player {
        out.extend_from_slice(&player.0.to_le_bytes());
    }
    put_knot(out, enter.lag_ticks, knot);
    if knot.yaw != 0 {
        out.push(knot.yaw);
    }
    put_fields(out, enter.fields);
}

/// Lag, place and, unless it is zero, velocity.
fn put_knot(out: &mut Vec<u8>, lag_ticks: i64, knot: &Knot) {
    varint::write_signed(out, lag_ticks);
    for axis in knot.place {
        varint::write_signed(out, axis);
    }
    if knot.velocity != [0; 3] {
        for axis in knot.velocity {
            varint::write_signed(out, axis.into());
        }
    }
}

fn put_fields(out: &mut Vec<u8>, fields: &[(u8, &[u8])]) {
    if fields.is_empty() {
        return;
    }
    let mut mask = fields.iter().fold(0_u32, |mask, (index, _)| mask | 1 << (index & 31));
    varint::write(out, mask.into());
    while mask != 0 {
        let index = mask.trailing_zeros() as u8;
        let bytes = fields.iter().find(|(other, _)| other & 31 == index).map_or(&[][..], |(_, b)| b);
        varint::write(out, bytes.len() as u64);
        out.extend_from_slice(bytes);
        mask &= mask - 1;
    }
}

/// Begins a section. Leaves have [`put_leaves_header`], density has [`put_density`]; enters need
/// their count after this, updates run to the end of the body, a reset has no more.
pub(crate) fn put_header(out: &mut Vec<u8>, section: Section) {
    out.push(section as u8);
}

/// Begins the leaves for `reason`; `count` calls of [`put_gap`] follow.
pub(crate) fn put_leaves_header(out: &mut Vec<u8>, reason: LeaveReason, count: u32) {
    out.push(Section::Leaves as u8 | (reason as u8) << REASON_SHIFT);
    put_gap(out, count);
}

/// Appends a gap or a count as a varint.
pub(crate) fn put_gap(out: &mut Vec<u8>, gap: u32) {
    varint::write(out, gap.into());
}

/// Appends the whole density layer: `cells` by rising x, then y, each with at least one object.
pub(crate) fn put_density(out: &mut Vec<u8>, cells: &[Density]) {
    put_header(out, Section::Density);
    varint::write(out, cells.len() as u64);
    let (mut before_x, mut before_y) = (0_i32, 0_i32);
    for &(x, y, number) in cells {
        varint::write_signed(out, i64::from(x) - i64::from(before_x));
        varint::write_signed(out, i64::from(y) - i64::from(before_y));
        varint::write(out, number.into());
        (before_x, before_y) = (x, y);
    }
}
