//! Numbers as they travel: each channel's steps of place and velocity, and 256ths of a turn.
//!
//! Lattices are fixed in the world, so two regions and two observers say the same number for the same
//! place, and quantising what was dequantised gives the same number again.

use std::f32::consts::{FRAC_PI_2, PI};
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
        let mps = |axis: i32| f64::from(axis) * self.velocity_step_mps;
        [mps(velocity[0]), mps(velocity[1]), mps(velocity[2])]
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

/// Radians from x to the direction of `velocity` seen from above, within 0.00002, or `None` where it has
/// none: the heading of what moves and says no other.
///
/// The arc tangent is formula 4.4.49 of Abramowitz and Stegun, Handbook of Mathematical Functions: the
/// same bits on every machine, and cheap enough for every entry of a body.
#[inline]
pub fn heading(velocity: [f32; 3]) -> Option<f32> {
    let [x, y, _] = velocity;
    let (wide, high) = (x.abs(), y.abs());
    let (short, long) = if high > wide { (wide, high) } else { (high, wide) };
    let slope = short / long;
    let square = slope * slope;
    let terms = [0.999_866, -0.330_299_5, 0.180_141, -0.085_133, 0.020_835_1_f32];
    let arc = slope
        * (terms[0] + square * (terms[1] + square * (terms[2] + square * (terms[3] + square * terms[4]))));
    let arc = if high > wide { FRAC_PI_2 - arc } else { arc };
    let arc = if x < 0.0 { PI - arc } else { arc };
    (long > 0.0).then_some(if y < 0.0 { -arc } else { arc })
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

/// Dividing by [`STEPS_PER_CELL`] is the upper half of a product with these: exact below 2^52.
const CELLS_PER_STEP: [u64; 4] = [
    inverse(STEPS_PER_CELL[0]),
    inverse(STEPS_PER_CELL[1]),
    inverse(STEPS_PER_CELL[2]),
    inverse(STEPS_PER_CELL[3]),
];

const fn inverse(steps: i64) -> u64 {
    u64::MAX / steps as u64 + 1
}

/// The place of a lattice point of `channel`, or `None` outside the world.
#[inline(always)]
pub(super) fn point(channel: u8, place: [i64; 3]) -> Option<Position> {
    let channel = usize::from(channel & 3);
    let (steps, inverse) = (STEPS_PER_CELL[channel], CELLS_PER_STEP[channel]);
    let step = LATTICES[channel].position_step_metres;
    let axis = |place: i64| {
        let above = place.wrapping_add(steps << 31) as u64;
        let cell = ((u128::from(above) * u128::from(inverse)) >> 64) as u64;
        let local = above.wrapping_sub(cell.wrapping_mul(steps as u64)) as u32;
        let inside = above < (steps as u64) << 32;
        (inside, (cell as i64 + i64::from(i32::MIN)) as i32, (f64::from(local as i32) * step) as f32)
    };
    let [(x_inside, x, lx), (y_inside, y, ly), (z_inside, z, lz)] =
        [axis(place[0]), axis(place[1]), axis(place[2])];
    if !(x_inside & y_inside & z_inside) {
        return None;
    }
    Position::in_cell(Cell { x, y, z }, [lx, ly, lz])
}
