//! Short updates: one knot of a held object in five to ten bytes.
//!
//! ```text
//!   bit 0      3         5      8
//!   │ shape    │ channel │ gap  │ lag │ x │ y │ z │ vx │ vy │ vz │ yaw │ 0…
//! ```
//!
//! They are most of what is sent, so both ways work on whole words and look their widths up by the
//! first byte, without a branch per channel or shape.

use super::knot::Knot;
use super::lattice::{LATTICES, Lattice};
use super::update_byte;

/// A short update of one knot on one channel: the same bytes for every receiver but for the gap, whose
/// bits of the first byte are zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Short {
    pub(crate) bytes: [u8; 16],
    pub(crate) len: u8,
}

/// Where the parts of a short update begin, in bits after the gap.
#[derive(Clone, Copy)]
struct Layout {
    lag_bits: u8,
    axis_bits: u8,
    velocity_bits: u8,
    velocity_at: u8,
    velocities: u8,
    yaw_at: u8,
    bytes: u8,
    /// The spare bits of the last byte.
    spare: u8,
}

/// By the five low bits of the first byte. Those that are no short update are never looked up.
static LAYOUTS: [Layout; 32] = {
    let mut layouts = [layout(0); 32];
    let mut first = 1;
    while first < 32 {
        layouts[first as usize] = layout(first);
        first += 1;
    }
    layouts
};

const fn layout(first: u8) -> Layout {
    let lattice = LATTICES[(first >> update_byte::CHANNEL_SHIFT) as usize];
    let shape = first & update_byte::SHAPE_MASK;
    let velocities = match shape & !update_byte::YAW {
        0 => 0,
        1 => 2,
        _ => 3,
    };
    let velocity_at = lattice.lag_bits + 3 * lattice.axis_bits;
    let yaw_at = velocity_at + velocities * lattice.velocity_bits;
    let bits = yaw_at + if shape & update_byte::YAW == 0 { 0 } else { 8 };
    assert!(yaw_at > 0 && yaw_at < 64 && bits <= 72, "a short update is a word and a byte");
    Layout {
        lag_bits: lattice.lag_bits as u8,
        axis_bits: lattice.axis_bits as u8,
        velocity_bits: lattice.velocity_bits as u8,
        velocity_at: velocity_at as u8,
        velocities: velocities as u8,
        yaw_at: yaw_at as u8,
        bytes: bits.div_ceil(8) as u8,
        spare: if bits.is_multiple_of(8) { 0 } else { u8::MAX << (bits % 8) },
    }
}

/// The short update of `knot`, `lag_ticks` before the tick of its frame, in a world whose steps are
/// `step` ticks.
///
/// `None` where only a long one can say it: a lag that is negative, large or no number of steps, or a
/// velocity too wide.
#[inline]
pub(crate) fn short(channel: u8, lag_ticks: i64, step: u64, knot: &Knot) -> Option<Short> {
    let lag = lag_ticks as u64 / step;
    if lag * step != lag_ticks as u64 {
        return None;
    }
    match channel & 3 {
        0 => pack::<0>(lag, knot),
        1 => pack::<1>(lag, knot),
        2 => pack::<2>(lag, knot),
        _ => pack::<3>(lag, knot),
    }
}

#[inline]
fn pack<const CHANNEL: u8>(lag: u64, knot: &Knot) -> Option<Short> {
    let Lattice { axis_bits, velocity_bits, lag_bits, .. } = const { LATTICES[CHANNEL as usize] };
    let [vx, vy, vz] = knot.velocity;
    let half = 1_i32 << (velocity_bits - 1);
    let fits = |v: i32| (v.wrapping_add(half) as u32) < 2 * half as u32;
    if lag >> lag_bits != 0 || !(fits(vx) & fits(vy) & fits(vz)) {
        return None;
    }
    let axis = |n: usize| knot.place[n] as u64 & ((1 << axis_bits) - 1);
    let axes = axis(0) | axis(1) << axis_bits | axis(2) << (2 * axis_bits);
    let speed = |v: i32| v as u64 & ((1 << velocity_bits) - 1);
    let speeds = speed(vx) | speed(vy) << velocity_bits | speed(vz) << (2 * velocity_bits);
    let low = lag | axes << lag_bits | speeds << (lag_bits + 3 * axis_bits);

    let shape = if vz != 0 { 2 } else { u8::from(vx | vy != 0) };
    let first = shape | u8::from(knot.own_yaw) << 2 | CHANNEL << update_byte::CHANNEL_SHIFT;
    let layout = &LAYOUTS[usize::from(first & 31)];
    let yaw = if knot.own_yaw { u128::from(knot.yaw) << layout.yaw_at } else { 0 };
    let packed = u128::from(first) | (u128::from(low) | yaw) << 8;
    Some(Short { bytes: packed.to_le_bytes(), len: 1 + layout.bytes })
}

/// Appends a short update, `gap` aliases after the one before.
#[inline]
pub(crate) fn put_short(out: &mut Vec<u8>, gap: u32, short: &Short) {
    let more = gap.wrapping_sub(update_byte::GAP_FOLLOWS);
    let packed = u128::from_le_bytes(short.bytes);
    let (packed, len) = if gap < update_byte::GAP_FOLLOWS {
        (packed | u128::from(gap << update_byte::GAP_SHIFT), short.len)
    } else if more < 0x80 {
        let first = packed as u8 | (update_byte::GAP_FOLLOWS << update_byte::GAP_SHIFT) as u8;
        (u128::from(first) | u128::from(more) << 8 | packed >> 8 << 16, short.len + 1)
    } else {
        after_long_gap(more, packed, short.len)
    };
    let end = out.len() + usize::from(len);
    out.extend_from_slice(&packed.to_le_bytes());
    out.truncate(end);
}

/// The same where the varint after the first byte has two or three bytes; aliases are below 2^16.
#[cold]
fn after_long_gap(more: u32, packed: u128, len: u8) -> (u128, u8) {
    let (varint, bytes) = if more < 0x4000 {
        (more & 0x7f | 0x80 | more >> 7 << 8, 2)
    } else {
        (more & 0x7f | 0x80 | (more >> 7 & 0x7f | 0x80) << 8 | (more >> 14) << 16, 3)
    };
    let first = packed as u8 | (update_byte::GAP_FOLLOWS << update_byte::GAP_SHIFT) as u8;
    (u128::from(first) | u128::from(varint) << 8 | packed >> 8 << (8 + 8 * bytes), len + bytes)
}

/// The low bits of three lattice numbers.
#[derive(Clone, Copy)]
pub(super) struct Low {
    pub(super) bits: u32,
    pub(super) axes: [i32; 3],
}

/// What a short update says, before it is known of whom.
pub(super) struct Unpacked {
    /// In steps of the world.
    pub(super) lag: u64,
    pub(super) low: Low,
    pub(super) velocity: [i32; 3],
    pub(super) yaw: Option<u8>,
    /// Padding that is not zero.
    pub(super) is_padded: bool,
    /// A velocity that a smaller shape can say.
    pub(super) is_longwinded: bool,
}

/// Reads what follows the gap of the update that begins with `first`, from the start of `body`. Returns
/// the rest too, or `None` if the body ends before.
#[inline(always)]
pub(super) fn unpack(first: u8, body: &[u8]) -> Option<(Unpacked, &[u8])> {
    let layout = &LAYOUTS[usize::from(first & 31)];
    let (said, rest) = body.split_at_checked(usize::from(layout.bytes))?;
    let word = match body.first_chunk::<8>() {
        Some(word) => u64::from_le_bytes(*word),
        None => said.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    };
    let last = *said.last()?;
    let axes = word >> layout.lag_bits;
    let axis_mask = (1_i32 << layout.axis_bits) - 1;
    let axis = |n: u8| (axes >> (n * layout.axis_bits)) as i32 & axis_mask;
    // A heading or the next update may follow in the word.
    let speeds = (word & ((1 << layout.yaw_at) - 1)) >> layout.velocity_at;
    let sign = 32 - layout.velocity_bits;
    let speed = |n: u8| ((speeds >> (n * layout.velocity_bits)) as i32) << sign >> sign;
    let [vx, vy, vz] = [speed(0), speed(1), speed(2)];
    // Of the byte after the word, only a heading is told, and only as its last byte.
    let beyond = if layout.bytes > 8 { u64::from(last) << (64 - layout.yaw_at) } else { 0 };
    let yaw = (word >> layout.yaw_at | beyond) as u8;
    let telling = if layout.velocities == 3 { vz } else { vx | vy };
    let unpacked = Unpacked {
        lag: word & ((1 << layout.lag_bits) - 1),
        low: Low { bits: layout.axis_bits.into(), axes: [axis(0), axis(1), axis(2)] },
        velocity: [vx, vy, vz],
        yaw: (first & update_byte::YAW != 0).then_some(yaw),
        is_padded: last & layout.spare != 0,
        is_longwinded: (telling == 0) & (layout.velocities != 0),
    };
    Some((unpacked, rest))
}
