//! Numbers as they travel: each channel's steps of place and velocity, and 256ths of a turn.
//!
//! Lattices are fixed in the world, so two regions and two observers say the same number for the same
//! place, and quantising what was dequantised gives the same number again.

use std::f64::consts::TAU;

use horizon_model::{Cell, Position};

/// Steps per second beyond which a velocity is cut off, either way.
pub const MAX_VELOCITY_STEPS: i32 = 1 << 24;

/// Lattice steps along one edge of a cell, by channel.
const STEPS_PER_CELL: [i64; 4] = [1000, 200, 100, 100];

/// The steps of one channel, and how many bits its short updates spend on them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Lattice {
    /// Size of a position step in metres; a cell is a whole number of them.
    pub position_step_metres: f64,
    /// Low bits of a lattice number in a short update, per axis.
    pub axis_bits: u32,
    /// Size of a velocity step in metres per second.
    pub velocity_step_mps: f64,
    /// Bits of a velocity in a short update, per axis, two's complement.
    pub velocity_bits: u32,
    /// Bits of the age of a knot in a short update, in units of two ticks.
    pub lag_bits: u32,
}

/// The lattices of the channels critical, detailed, cosmetic and metadata.
pub const LATTICES: [Lattice; 4] = [
    Lattice {
        position_step_metres: 0.05,
        axis_bits: 10,
        velocity_step_mps: 0.1,
        velocity_bits: 9,
        lag_bits: 2,
    },
    Lattice {
        position_step_metres: 0.25,
        axis_bits: 8,
        velocity_step_mps: 0.2,
        velocity_bits: 8,
        lag_bits: 3,
    },
    Lattice {
        position_step_metres: 0.5,
        axis_bits: 7,
        velocity_step_mps: 0.4,
        velocity_bits: 7,
        lag_bits: 4,
    },
    Lattice {
        position_step_metres: 0.5,
        axis_bits: 7,
        velocity_step_mps: 0.4,
        velocity_bits: 7,
        lag_bits: 5,
    },
];

impl Lattice {
    /// The lattice point nearest to `metres` from the world's origin, halves away from zero; NaN is 0.
    pub fn place(&self, metres: [f64; 3]) -> [i64; 3] {
        metres.map(|axis| (axis / self.position_step_metres).round() as i64)
    }

    /// Metres from the world's origin to a lattice point.
    pub fn metres(&self, place: [i64; 3]) -> [f64; 3] {
        place.map(|axis| axis as f64 * self.position_step_metres)
    }

    /// The steps nearest to `mps` metres per second, up to [`MAX_VELOCITY_STEPS`] either way; NaN is 0.
    pub fn velocity(&self, mps: [f64; 3]) -> [i32; 3] {
        let most = f64::from(MAX_VELOCITY_STEPS);
        mps.map(|axis| (axis / self.velocity_step_mps).round().clamp(-most, most) as i32)
    }

    /// Metres per second of velocity steps.
    pub fn mps(&self, velocity: [i32; 3]) -> [f64; 3] {
        velocity.map(|axis| f64::from(axis) * self.velocity_step_mps)
    }
}

/// Radians, of any turn, in 256ths of a turn.
pub fn quantise_yaw(radians: f32) -> u8 {
    (f64::from(radians) * (256.0 / TAU)).round() as i64 as u8
}

/// Radians in `-π..π` of 256ths of a turn.
pub fn dequantise_yaw(steps: u8) -> f32 {
    (f64::from(steps as i8) * (TAU / 256.0)) as f32
}

/// Radians from x to the direction of `velocity` seen from above, or `None` where it has none: the
/// heading of what moves and says no other.
pub fn heading(velocity: [f32; 3]) -> Option<f32> {
    let [x, y, _] = velocity;
    (x != 0.0 || y != 0.0).then(|| y.atan2(x))
}

/// Metres from the world's origin, within a hundredth of a millimetre anywhere.
pub fn metres_of(position: &Position) -> [f64; 3] {
    position.metres()
}

/// The place `metres` from the world's origin, or `None` outside the world or for a number that is not
/// finite.
pub fn position_of(metres: [f64; 3]) -> Option<Position> {
    Position::from_metres(metres)
}

/// The place of a lattice point of `channel`, or `None` outside the world.
#[inline]
pub(super) fn point(channel: u8, place: [i64; 3]) -> Option<Position> {
    match channel & 3 {
        0 => point_of::<0>(place),
        1 => point_of::<1>(place),
        2 => point_of::<2>(place),
        _ => point_of::<3>(place),
    }
}

#[inline]
fn point_of<const CHANNEL: usize>(place: [i64; 3]) -> Option<Position> {
    let steps = STEPS_PER_CELL[CHANNEL];
    let cell = place.map(|axis| axis.div_euclid(steps));
    let local = [0, 1, 2].map(|n: usize| {
        ((place[n] - cell[n] * steps) as f64 * LATTICES[CHANNEL].position_step_metres) as f32
    });
    let [x, y, z] = cell.map(i32::try_from);
    Position::in_cell(Cell { x: x.ok()?, y: y.ok()?, z: z.ok()? }, local)
}
