//! An index of moving points.

mod axis;
mod hits;
mod isa;
mod kernel;
mod limits;
mod span;

use std::fmt;

use axis::Axis;
pub use hits::Hits;
pub use isa::Isa;
use kernel::{Lattice, Points};
pub use limits::{Limits, LimitsError};
use span::Span;

const COLUMNS_PER_CELL: f32 = 2.0;
const MAX_DENSE: u32 = 1 << 24;

/// doc
pub struct Grid {
    cell_metres: f32,
    isa: Isa,
    points: Points,
    x: Axis,
    y: Axis,
    starts: Vec<u32>,
    cells: Vec<u32>,
    ranks: Vec<u32>,
}

impl Grid {
    /// doc
    pub fn new(cell_metres: f32) -> Self {
        assert!(cell_metres.is_normal() && cell_metres > 0.0, "a cell of {cell_metres} m");
        let mut grid = Self {
            cell_metres,
            isa: Isa::detect(),
            points: Points::default(),
            x: Axis::default(),
            y: Axis::default(),
            starts: Vec::new(),
            cells: Vec::new(),
            ranks: Vec::new(),
        };
        grid.rebuild(&[], &[], &[]);
        grid
    }

    /// doc
    pub fn rebuild(&mut self, xs: &[f32], ys: &[f32], zs: &[f32]) {
        assert!(xs.len() == ys.len() && ys.len() == zs.len(), "as many of each coordinate");
        let slots = u32::try_from(xs.len()).expect("slots are numbered by 32 bits");
        self.cells.resize(xs.len(), 0);
        self.ranks.resize(xs.len(), 0);
        let bounds = kernel::bounds(self.isa, xs, ys, zs);
        if !(bounds.low[0] <= bounds.high[0]) {
            self.points.resize(0);
            self.x.fit(0.0, -1.0, 0.0);
            return;
        }
        let most = slots.saturating_mul(4).clamp(1024, MAX_DENSE);
        if !self.fit(&bounds, most) {
            self.squeeze(&bounds, most, xs, ys, zs);
        }
        let cells = (self.x.count * self.y.count) as usize;
        if self.x.has_gaps() {
            for n in 0..xs.len() {
                let here = self.y.rank(ys[n]) * self.x.count + self.x.rank(xs[n]);
                let there = kernel::absence(xs[n], ys[n], zs[n]) == 0.0;
                self.cells[n] = if there { here } else { cells as u32 };
            }
        } else {
            let lattice = Lattice {
                origin: [self.x.origin, self.y.origin],
                inverse: [self.x.inverse, self.y.inverse],
                columns: self.x.count,
                rows: self.y.count,
            };
            kernel::cells(self.isa, lattice, xs, ys, zs, &mut self.cells);
        }
        // count
        self.starts.clear();
        self.starts.resize(cells + 1, 0);
        for (&cell, rank) in self.cells.iter().zip(&mut self.ranks) {
            let count = &mut self.starts[cell as usize];
            *rank = *count;
            *count += 1;
        }
        let mut start = 0;
        for count in &mut self.starts {
            (*count, start) = (start, start + *count);
        }
        let len = self.starts[cells] as usize;
        self.points.resize(xs.len());
        self.points.len = len;
        let points = &mut self.points;
        for (slot, (&cell, &rank)) in self.cells.iter().zip(&self.ranks).enumerate() {
            let at = (self.starts[cell as usize] + rank) as usize;
            points.xs[at] = xs[slot];
            points.ys[at] = ys[slot];
            points.zs[at] = zs[slot];
            points.slots[at] = slot as u32;
        }
    }

    fn fit(&mut self, bounds: &kernel::Bounds, most: u32) -> bool {
        let mut inverse = 1.0 / self.cell_metres;
        for _ in 0..3 {
            self.x.fit(bounds.low[0], bounds.high[0], inverse * COLUMNS_PER_CELL);
            self.y.fit(bounds.low[1], bounds.high[1], inverse);
            let cells = u64::from(self.x.count) * u64::from(self.y.count);
            if cells <= u64::from(most) {
                return true;
            }
            inverse *= 0.5;
        }
        false
    }

    fn squeeze(&mut self, bounds: &kernel::Bounds, most: u32, xs: &[f32], ys: &[f32], zs: &[f32]) {
        let inverse = 1.0 / self.cell_metres;
        let _ = bounds;
        let there = |n: &usize| kernel::absence(xs[*n], ys[*n], zs[*n]) == 0.0;
        self.x.squeeze((0..xs.len()).filter(there).map(|n| xs[n]), inverse * COLUMNS_PER_CELL);
        self.y.squeeze((0..xs.len()).filter(there).map(|n| ys[n]), inverse);
        while u64::from(self.x.count) * u64::from(self.y.count) > u64::from(most) {
            self.x.widen();
            self.y.widen();
        }
    }

    /// doc
    pub fn query(&self, isa: Isa, centre: [f32; 3], limits: &Limits, hits: &mut Hits) {
        hits.len = 0;
        if self.points.len == 0 || centre.iter().any(|at| !at.is_finite()) {
            return;
        }
        let (count, candidates) = self.spans(isa, centre, limits.reach(), &mut hits.spans);
        if count == 0 {
            return;
        }
        hits.reserve(candidates);
        let Hits { slots, squared, bands, spans, .. } = hits;
        let found =
            kernel::scan(isa, &self.points, &spans[..count + 1], centre, limits.outer(), slots, squared);
        kernel::classify(isa, limits, squared, found, bands);
        hits.len = found;
    }

    fn spans(&self, isa: Isa, centre: [f32; 3], reach: f32, spans: &mut Vec<Span>) -> (usize, usize) {
        let mut candidates = 0;
        let (x, y) = (&self.x, &self.y);
        if x.has_gaps() {
            spans.clear();
            let (first, last) = (x.rank(centre[0] - reach) as usize, x.rank(centre[0] + reach) as usize);
            for row in y.rank(centre[1] - reach)..=y.rank(centre[1] + reach) {
                let row = row as usize * x.count as usize;
                let span = Span { start: self.starts[row + first], end: self.starts[row + last + 1] };
                candidates += (span.end - span.start) as usize;
                if span.start < span.end {
                    spans.push(span);
                }
            }
        } else {
            let (tx, ty) = ((centre[0] - x.origin) * x.inverse, (centre[1] - y.origin) * y.inverse);
            let (reach_x, reach_y) = (reach * x.inverse, reach * y.inverse);
            let slack = (x.count as f32 + y.count as f32 + tx.abs() + ty.abs() + reach_x) * 1e-6;
            let rows = y.count as f32;
            let (low, high) = (ty - reach_y - slack, ty + reach_y + slack);
            if low >= rows || high < 0.0 {
                return (0, 0);
            }
            let low = if low > 0.0 { low } else { 0.0 };
            let high = if high < rows - 1.0 { high } else { rows - 1.0 };
            let reach = kernel::Reach {
                column: tx,
                row: ty,
                square: reach_x * reach_x,
                ratio: COLUMNS_PER_CELL,
                slack,
                columns: x.count,
                first: low as u32,
                last: high as u32,
            };
            let room = (reach.last - reach.first + 2) as usize;
            if spans.len() < room {
                spans.resize(room, Span::default());
            }
            let (count, candidates) = kernel::spans(isa, reach, &self.starts, spans);
            spans[count] = Span::default();
            return (count, candidates);
        }
        spans.push(Span::default());
        (spans.len() - 1, candidates)
    }

    /// doc
    pub fn cell_order(&self) -> &[u32] {
        &self.points.slots[..self.points.len]
    }
}

impl fmt::Debug for Grid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grid").field("points", &self.points.len).finish_non_exhaustive()
    }
}
