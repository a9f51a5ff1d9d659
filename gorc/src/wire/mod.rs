//! The binary body: what it says, how it is written and how it is read. `WIRE.md` specifies every byte.
//!
//! ```text
//!   Knot ──short──▶ bytes, the same for every receiver ──put_short──▶ body ──Decoder──▶ Visitor
//! ```
//!
//! A receiver knows an object by its **alias**, a small number that an enter hands out. What an entry
//! says of a place is the low bits of its lattice numbers; the [`Decoder`] adds the rest from where the
//! object was heading. So the bytes of an entry depend on the object and the channel alone.

mod decoder;
mod entry;
mod held;
mod knot;
mod lattice;
mod short;
mod visitor;

#[cfg(test)]
mod tests;

pub use crate::error::DecodeError;
pub use decoder::Decoder;
pub(crate) use entry::{
    EnterEntry, Long, Section, put_density, put_enter, put_gap, put_header, put_leaves_header, put_long,
};
pub use knot::Knot;
pub use lattice::{
    LATTICES, Lattice, MAX_VELOCITY_STEPS, dequantise_yaw, heading, metres_of, position_of, quantise_yaw,
};
pub(crate) use short::{Short, put_short, short};
pub use visitor::{Density, Enter, LeaveReason, MAX_FIELDS, Spelling, Update, Visitor};

/// Largest alias. Tables that are indexed by one are bounded by it.
pub const MAX_ALIAS: u32 = u16::MAX as u32;

/// Header bits that name the kind of a section.
pub(crate) const KIND_MASK: u8 = 0b111;
/// First header bit of the reason of leaves.
pub(crate) const REASON_SHIFT: u8 = 3;

/// Bits of the flags of an enter. The two lowest are the channel.
pub(crate) mod enter_flag {
    pub(crate) const VELOCITY: u8 = 1 << 2;
    pub(crate) const YAW: u8 = 1 << 3;
    pub(crate) const FIELDS: u8 = 1 << 4;
    pub(crate) const PLAYER: u8 = 1 << 5;
    pub(crate) const AGAIN: u8 = 1 << 6;
    pub(crate) const SAME_UPPER: u8 = 1 << 7;
}

/// Bits of the flags of a long update.
pub(crate) mod long_flag {
    pub(crate) const SNAP: u8 = 1 << 0;
    pub(crate) const COMPLETE: u8 = 1 << 1;
    pub(crate) const PLACE: u8 = 1 << 2;
    pub(crate) const VELOCITY: u8 = 1 << 3;
    pub(crate) const YAW: u8 = 1 << 4;
    pub(crate) const FIELDS: u8 = 1 << 5;
}

/// The first byte of an update: shape, channel and gap.
pub(crate) mod update_byte {
    pub(crate) const SHAPE_MASK: u8 = 0b111;
    /// Added to the shapes 0 to 2 where a heading follows.
    pub(crate) const YAW: u8 = 4;
    pub(crate) const LONG: u8 = 3;
    pub(crate) const RESERVED: u8 = 7;
    pub(crate) const CHANNEL_SHIFT: u8 = 3;
    pub(crate) const GAP_SHIFT: u8 = 5;
    /// This gap and those above follow the first byte.
    pub(crate) const GAP_FOLLOWS: u32 = 7;
}
