//! Numbers as they travel: steps of the world lattice, of 1 cm/s and of a 65536th of a turn.
//!
//! Quantising what was dequantised gives the same steps again, so a copy of a copy is as good as the
//! first one.

use std::f64::consts::TAU;

use horizon_model::{Cell, Position};

const CELL_CM: u32 = 5000;

/// Size of a position step. Each divides a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precision {
    /// 5 cm, 10 bits per axis.
    Cm5 = 0,
    /// 25 cm, 8 bits per axis.
    Cm25 = 1,
    /// 50 cm, 7 bits per axis.
    Cm50 = 2,
    /// 200 cm, 5 bits per axis.
    Cm200 = 3,
}

impl Precision {
    /// The step of `cm` centimetres, or `None` unless that is 5, 25, 50 or 200.
    pub const fn from_cm(cm: u32) -> Option<Self> {
        match cm {
            5 => Some(Self::Cm5),
            25 => Some(Self::Cm25),
            50 => Some(Self::Cm50),
            200 => Some(Self::Cm200),
            _ => None,
        }
    }

    /// The step with this number on the wire; the number's two low bits count.
    pub const fn from_class(class: u8) -> Self {
        match class & 3 {
            0 => Self::Cm5,
            1 => Self::Cm25,
            2 => Self::Cm50,
            _ => Self::Cm200,
        }
    }

    /// 0 to 3, as it travels.
    pub const fn class(self) -> u8 {
        self as u8
    }

    /// Centimetres in a step.
    pub const fn cm(self) -> u32 {
        match self {
            Self::Cm5 => 5,
            Self::Cm25 => 25,
            Self::Cm50 => 50,
            Self::Cm200 => 200,
        }
    }

    /// Metres in a step.
    pub fn metres(self) -> f64 {
        f64::from(self.cm()) / 100.0
    }

    /// Steps along one edge of a cell.
    pub const fn steps(self) -> u32 {
        CELL_CM / self.cm()
    }

    /// Bits that hold one axis.
    pub const fn bits(self) -> u32 {
        match self {
            Self::Cm5 => 10,
            Self::Cm25 => 8,
            Self::Cm50 => 7,
            Self::Cm200 => 5,
        }
    }

    /// Bytes that hold three axes.
    pub const fn bytes(self) -> usize {
        (self.bits() as usize * 3).div_ceil(8)
    }
}

/// A position as it travels: a cell, and whole steps from its lower corner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// The cell, after rounding up to its end has moved on to the next one.
    pub cell: Cell,
    /// Steps along x, y and z; each below [`Precision::steps`].
    pub steps: [u16; 3],
}

/// The lattice point nearest to `position`, at most half a step away on each axis.
pub fn quantise(position: &Position, precision: Precision) -> Place {
    let axis = |cell: i32, local: f32| {
        let steps = (f64::from(local) * 100.0 / f64::from(precision.cm())).round() as u32;
        if steps < precision.steps() {
            return (cell, steps as u16);
        }
        match cell.checked_add(1) {
            Some(next) => (next, 0),
            None => (cell, (precision.steps() - 1) as u16),
        }
    };
    let (cell, local) = (position.cell(), position.local());
    let (x, qx) = axis(cell.x, local[0]);
    let (y, qy) = axis(cell.y, local[1]);
    let (z, qz) = axis(cell.z, local[2]);
    Place { cell: Cell { x, y, z }, steps: [qx, qy, qz] }
}

/// The position of a lattice point, or `None` where a step lies outside the cell.
pub fn dequantise(place: &Place, precision: Precision) -> Option<Position> {
    if place.steps.iter().any(|&steps| u32::from(steps) >= precision.steps()) {
        return None;
    }
    Position::in_cell(place.cell, place.steps.map(|q| (f64::from(q) * precision.metres()) as f32))
}

/// Metres per second in steps of 1 cm/s; faster than 327.67 m/s is sent as that, NaN as 0.
pub fn quantise_velocity(velocity: [f32; 3]) -> [i16; 3] {
    velocity.map(|v| (f64::from(v) * 100.0).round().clamp(-32767.0, 32767.0) as i16)
}

/// Metres per second of steps of 1 cm/s.
pub fn dequantise_velocity(steps: [i16; 3]) -> [f32; 3] {
    steps.map(|q| (f64::from(q) / 100.0) as f32)
}

/// Radians in steps of a 65536th of a turn.
pub fn quantise_yaw(yaw: f32) -> u16 {
    ((f64::from(yaw) / TAU).rem_euclid(1.0) * 65536.0).round() as u32 as u16
}

/// Radians in `-π..π` of steps of a 65536th of a turn.
pub fn dequantise_yaw(steps: u16) -> f32 {
    (f64::from(steps as i16) * TAU / 65536.0) as f32
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_end_of_a_cell_is_the_start_of_the_next() {
        let place = quantise(&Position::from_metres([49.98, -0.01, 49.97]).unwrap(), Precision::Cm5);
        assert_eq!(place, Place { cell: Cell { x: 1, y: 0, z: 0 }, steps: [0, 0, 999] });
        let corner = Position::in_cell(Cell { x: i32::MAX, y: 0, z: 0 }, [49.99, 0.0, 0.0]).unwrap();
        assert_eq!(quantise(&corner, Precision::Cm200).cell.x, i32::MAX);
        assert_eq!(dequantise(&Place { cell: Cell::default(), steps: [25, 0, 0] }, Precision::Cm200), None);
    }

    proptest! {
        /// Anywhere in the world, at most half a step is lost, and only once.
        #[test]
        fn half_a_step_once(
            cell in any::<(i16, i32, i16)>(), local in prop::array::uniform3(0.0_f32..50.0), class in 0_u8..4,
            velocity in prop::array::uniform3(-400.0_f32..400.0), yaw in -20.0_f32..20.0,
        ) {
            let precision = Precision::from_class(class);
            let y = cell.1.clamp(i32::MIN + 1, i32::MAX - 1);
            let cell = Cell { x: cell.0.into(), y, z: cell.2.into() };
            let position = Position::in_cell(cell, local).unwrap();
            let place = quantise(&position, precision);
            let back = dequantise(&place, precision).unwrap();
            for axis in back.since(&position) {
                prop_assert!(axis.abs() <= precision.metres() / 2.0 + 1e-4);
            }
            prop_assert_eq!(quantise(&back, precision), place);

            let steps = quantise_velocity(velocity);
            prop_assert_eq!(quantise_velocity(dequantise_velocity(steps)), steps);
            let steps = quantise_yaw(yaw);
            let told = dequantise_yaw(steps);
            prop_assert_eq!(quantise_yaw(told), steps);
            let turn = f64::from(told - yaw).rem_euclid(TAU);
            prop_assert!(turn.min(TAU - turn) < 1e-4);
        }
    }
}
