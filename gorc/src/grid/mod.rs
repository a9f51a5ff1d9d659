//! An index of moving points: who is within so many metres?
//!
//! ```text
//!   every tick    x, y, z by slot ──▶ rebuild ──▶ points by cell, row by row
//!   per observer  centre, limits  ──▶ query   ──▶ slots, bands, squared distances
//! ```
//!
//! Cells lie on x and y; z counts in the distance only. Nothing is kept from one tick to the next but
//! memory, so what moves costs no more than what stands.
//!
//! ```
//! use gorc::grid::{Grid, Hits, Isa, Limits};
//!
//! let mut grid = Grid::new(25.0);
//! grid.rebuild(&[0.0, 30.0, 70.0], &[0.0, 40.0, 0.0], &[0.0, 0.0, 1.0]);
//!
//! let limits = Limits::new(&[10.0, 60.0])?;
//! let mut hits = Hits::default();
//! grid.query(Isa::detect(), [0.0, 0.0, 0.0], &limits, &mut hits);
//! assert_eq!(hits.slots(), [0, 1]);
//! assert_eq!(hits.bands(), [0, 1]);
//! assert_eq!(hits.squared(), [0.0, 2500.0]);
//! # Ok::<(), gorc::grid::LimitsError>(())
//! ```

mod hits;
mod isa;
mod kernel;
mod limits;

use std::fmt;

pub use hits::Hits;
pub use isa::Isa;
use kernel::{Plane, absence};
pub use limits::{Limits, LimitsError};

/// Points sorted by cell. Rebuilt every tick, asked any number of times.
pub struct Grid {
    cell_metres: f32,
    isa: Isa,
    plane: Plane,
}

impl Grid {
    /// A grid of cells that are as large as a square of this side. Half of a usual radius is right, a
    /// quarter or the whole costs little.
    ///
    /// # Panics
    ///
    /// Unless `cell_metres` is from a millimetre to a thousand kilometres.
    pub fn new(cell_metres: f32) -> Self {
        assert!((1e-3..=1e6).contains(&cell_metres), "cells of {cell_metres} m");
        Self { cell_metres, isa: Isa::detect(), plane: Plane::default() }
    }

    /// Replaces all points. Slot `n` stands at `xs[n]`, `ys[n]`, `zs[n]`, in metres from an origin of the
    /// caller's choice; a slot with a coordinate that is not finite does not exist.
    ///
    /// Memory is in proportion to the number of slots, wherever they are, and allocated only when there
    /// were never so many.
    ///
    /// # Panics
    ///
    /// If the three differ in length, or for more than 2^27 slots.
    pub fn rebuild(&mut self, xs: &[f32], ys: &[f32], zs: &[f32]) {
        assert!(xs.len() == ys.len() && ys.len() == zs.len(), "as many of each coordinate");
        assert!(xs.len() <= 1 << 27, "places of points have 32 bits");
        self.plane.rebuild(self.isa, self.cell_metres, xs, ys, zs);
    }

    /// Finds everyone within the last of `limits` of `centre` by distance in three dimensions, in grid
    /// order; who stands at the centre, too. If the centre is not finite, nobody.
    ///
    /// The same points give the same hits in the same order on every machine.
    #[inline]
    pub fn query(&self, isa: Isa, [x, y, z]: [f32; 3], limits: &Limits, hits: &mut Hits) {
        if absence(x, y, z) == 0.0 {
            kernel::query(isa, &self.plane, x, y, z, limits, hits);
        } else {
            hits.finish(0);
        }
    }

    /// Every slot that exists, in grid order: neighbours follow each other, so observers that are asked
    /// for in this order find the points they need still in the cache.
    pub fn cell_order(&self) -> &[u32] {
        self.plane.order()
    }
}

impl fmt::Debug for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (columns, rows) = self.plane.size();
        f.debug_struct("Grid")
            .field("cell_metres", &self.cell_metres)
            .field("points", &self.cell_order().len())
            .field("columns", &columns)
            .field("rows", &rows)
            .finish_non_exhaustive()
    }
}
