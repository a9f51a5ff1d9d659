//! Space: a lattice of cells and a local offset inside one of them.
//!
//! A position far from the origin is as precise as one beside it, and quantisation is anchored to
//! the lattice, so two regions encode the same bytes for the same place.

use rkyv::{Archive, Deserialize, Serialize};

/// Edge of a lattice cell in metres. Divides every region and every precision step evenly.
pub const CELL_METRES: f64 = 50.0;

/// One cube of the world lattice.
#[derive(
    Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default,
)]
#[rkyv(derive(Clone, Copy, PartialEq, Eq, Debug))]
pub struct Cell {
    /// Index along x; cell 0 spans 0 to 50 m.
    pub x: i32,
    /// Index along y.
    pub y: i32,
    /// Index along z, upwards.
    pub z: i32,
}

/// A place in the world: a cell, and an offset of 0 to 50 m in it on each axis.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Default)]
#[rkyv(derive(Clone, Copy, Debug))]
pub struct Position {
    cell: Cell,
    local: [f32; 3],
}

impl Position {
    /// The place `metres` from the world's origin, or `None` if a coordinate is not finite or its
    /// cell does not fit in 32 bits (about ±10^11 m).
    pub fn from_metres(metres: [f64; 3]) -> Option<Self> {
        let (x, lx) = split(metres[0])?;
        let (y, ly) = split(metres[1])?;
        let (z, lz) = split(metres[2])?;
        Some(Self { cell: Cell { x, y, z }, local: [lx, ly, lz] })
    }

    /// The place at `local` metres in `cell`. Offsets inside the cell are kept bit for bit, however far
    /// from the origin; offsets outside it carry over.
    pub fn in_cell(cell: Cell, local: [f32; 3]) -> Option<Self> {
        if local.iter().all(|axis| (0.0..CELL_METRES as f32).contains(axis)) {
            return Some(Self { cell, local });
        }
        let origin = cell.origin();
        Self::from_metres([
            origin[0] + f64::from(local[0]),
            origin[1] + f64::from(local[1]),
            origin[2] + f64::from(local[2]),
        ])
    }

    /// The cell that holds this place.
    pub const fn cell(&self) -> Cell {
        self.cell
    }

    /// Metres from the cell's lower corner, each in `0.0..50.0`.
    pub const fn local(&self) -> [f32; 3] {
        self.local
    }

    /// Metres from the world's origin.
    pub fn metres(&self) -> [f64; 3] {
        let origin = self.cell.origin();
        [
            origin[0] + f64::from(self.local[0]),
            origin[1] + f64::from(self.local[1]),
            origin[2] + f64::from(self.local[2]),
        ]
    }

    /// Metres from `origin` to here, per axis; exact near by, whatever the distance to the origin.
    pub fn since(&self, origin: &Self) -> [f64; 3] {
        let axis = |a: i32, b: i32, la: f32, lb: f32| {
            (i64::from(a) - i64::from(b)) as f64 * CELL_METRES + (f64::from(la) - f64::from(lb))
        };
        [
            axis(self.cell.x, origin.cell.x, self.local[0], origin.local[0]),
            axis(self.cell.y, origin.cell.y, self.local[1], origin.local[1]),
            axis(self.cell.z, origin.cell.z, self.local[2], origin.local[2]),
        ]
    }

    /// Straight distance in metres.
    pub fn distance(&self, other: &Self) -> f64 {
        self.distance_squared(other).sqrt()
    }

    /// Square of the straight distance, in square metres.
    pub fn distance_squared(&self, other: &Self) -> f64 {
        let [x, y, z] = self.since(other);
        x * x + y * y + z * z
    }

    /// The place `metres` further along each axis; stays here where that leaves the lattice.
    #[must_use]
    pub fn moved(&self, metres: [f64; 3]) -> Self {
        let here = self.metres();
        Self::from_metres([here[0] + metres[0], here[1] + metres[1], here[2] + metres[2]]).unwrap_or(*self)
    }
}

impl Cell {
    /// Metres from the world's origin to this cell's lower corner.
    pub fn origin(self) -> [f64; 3] {
        [f64::from(self.x) * CELL_METRES, f64::from(self.y) * CELL_METRES, f64::from(self.z) * CELL_METRES]
    }
}

/// Splits a coordinate into cell index and offset. Rounding up to exactly 50 m moves to the next cell.
fn split(metres: f64) -> Option<(i32, f32)> {
    if !metres.is_finite() {
        return None;
    }
    let index = (metres / CELL_METRES).floor();
    let local = (metres - index * CELL_METRES) as f32;
    let (index, local) = if f64::from(local) >= CELL_METRES { (index + 1.0, 0.0) } else { (index, local) };
    if index < f64::from(i32::MIN) || index > f64::from(i32::MAX) {
        return None;
    }
    Some((index as i32, local.max(0.0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_stay_inside_their_cell() {
        for x in [-50.0, -1e-9, 0.0, 49.999_999_999, 50.0, 1e9 + 0.25] {
            let place = Position::from_metres([x, 0.0, 0.0]).expect("in range");
            assert!((0.0..50.0).contains(&place.local()[0]), "{x}: {place:?}");
            assert!((place.metres()[0] - x).abs() < 1e-5, "{x}: {place:?}");
        }
        assert!(Position::from_metres([f64::NAN, 0.0, 0.0]).is_none());
        assert!(Position::from_metres([1e300, 0.0, 0.0]).is_none());
    }

    #[test]
    fn distance_is_exact_far_from_the_origin() {
        let a = Position::from_metres([2e9, 0.0, 0.0]).expect("in range");
        let b = a.moved([3.0, 4.0, 0.0]);
        assert!((a.distance(&b) - 5.0).abs() < 1e-5);
    }
}
