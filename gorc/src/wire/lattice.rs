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
pub(super) const STEPS_PER_CELL: [i32; 4] = [1000, 200, 100, 100];
/// Position steps in a metre, by channel. Dividing by them gives the nearest number there is.
const STEPS_PER_METRE: [f32; 4] = [20.0, 4.0, 2.0, 2.0];
/// Velocity steps in a metre per second, by channel.
const STEPS_PER_MPS: [f32; 4] = [10.0, 5.0, 2.5, 2.5];

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
#[inline(always)]
pub fn heading(velocity: [f32; 3]) -> Option<f32> {
    let [x, y, _] = velocity;
    let (wide, high) = (x.abs(), y.abs());
    let long = wide.max(high);
    let slope = wide.min(high) / long;
    let square = slope * slope;
    let fourth = square * square;
    // In an order that keeps the processor busy: the terms do not wait for each other.
    let (near, far) = (0.999_866 - 0.330_299_5 * square, 0.180_141 - 0.085_133 * square);
    let arc = slope * (near + fourth * (far + 0.020_835_1 * fourth));
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

/// Metres per second of velocity steps of `channel`, as they are told.
#[inline(always)]
pub(super) fn told_mps(channel: u8, velocity: [i32; 3]) -> [f32; 3] {
    let per_mps = STEPS_PER_MPS[usize::from(channel & 3)];
    [velocity[0] as f32 / per_mps, velocity[1] as f32 / per_mps, velocity[2] as f32 / per_mps]
}

/// The cell of a lattice point of `channel` and the steps from its lower corner, or `None` outside the
/// world.
pub(super) fn split(channel: u8, place: [i64; 3]) -> Option<([i32; 3], [i32; 3])> {
    let steps = i64::from(STEPS_PER_CELL[usize::from(channel & 3)]);
    let [x, y, z] = place.map(|axis| i32::try_from(axis.div_euclid(steps)));
    let local = place.map(|axis| axis.rem_euclid(steps) as i32);
    Some(([x.ok()?, y.ok()?, z.ok()?], local))
}

/// The place that is `steps` from the lower corner of `cell`, fewer than it has.
#[inline(always)]
pub(super) fn place_in(channel: u8, cell: [i32; 3], steps: [i32; 3]) -> Position {
    let per_metre = STEPS_PER_METRE[usize::from(channel & 3)];
    let [x, y, z] = cell;
    let local = [steps[0] as f32 / per_metre, steps[1] as f32 / per_metre, steps[2] as f32 / per_metre];
    Position::in_cell(Cell { x, y, z }, local).expect("an offset inside its cell is kept")
}

/// The place of a lattice point of `channel`, or `None` outside the world.
#[cfg(test)]
pub(super) fn point(channel: u8, place: [i64; 3]) -> Option<Position> {
    split(channel, place).map(|(cell, steps)| place_in(channel, cell, steps))
}
