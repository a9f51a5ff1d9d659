//! Putting points in the order of their cells, by counting.

use super::super::isa::Isa;
use super::axis::Axis;
use super::plain::{Bounds, absence};
use super::plane::{Plane, RATIO};
use super::{LANES, bounds, cells};

/// Cells per slot, where slots are many: more of them cost more to count than they save.
const CELLS_PER_SLOT: u32 = 4;

/// Cells there may be however few the slots are.
const MIN_CELLS: u32 = 1024;

/// How often cells are made twice as wide before lines without anyone are left out. A world that is
/// sparse everywhere needs a little of the first; one lost point far away needs the second, or everyone
/// else would be in one cell.
const WIDENINGS: u32 = 2;

impl Plane {
    /// Replaces all points.
    pub(in super::super) fn rebuild(
        &mut self,
        isa: Isa,
        cell_metres: f32,
        xs: &[f32],
        ys: &[f32],
        zs: &[f32],
    ) {
        self.ready = false;
        self.order.clear();
        let bounds = bounds(isa, xs, ys, zs);
        if bounds.low[0] > bounds.high[0] {
            return;
        }
        self.choose_cells(cell_metres, &bounds, xs, ys, zs);
        self.number_cells(isa, xs, ys, zs);
        self.sort();
        self.lay(xs, ys, zs);
        self.ready = true;
    }

    /// Every slot that exists, in the order of their cells.
    pub(in super::super) fn order(&self) -> &[u32] {
        &self.order
    }

    /// Columns and rows; none if there is nobody.
    pub(in super::super) fn size(&self) -> (u32, u32) {
        if self.ready { (self.x.count(), self.y.count()) } else { (0, 0) }
    }

    fn choose_cells(&mut self, cell_metres: f32, bounds: &Bounds, xs: &[f32], ys: &[f32], zs: &[f32]) {
        let Self { x, y, .. } = self;
        let most = (xs.len() as u32).saturating_mul(CELLS_PER_SLOT).clamp(MIN_CELLS, Axis::MAX);
        let few = |x: &Axis, y: &Axis| u64::from(x.count()) * u64::from(y.count()) <= u64::from(most);
        // As large as a square, and `RATIO` times as high as wide.
        let row = 1.0 / (cell_metres * RATIO.sqrt());
        for widening in 0..=WIDENINGS {
            let row = row / (1 << widening) as f32;
            let fits = x.fit(bounds.low[0], bounds.high[0], row * RATIO)
                && y.fit(bounds.low[1], bounds.high[1], row);
            if fits && few(x, y) {
                return;
            }
        }
        let exist = || (0..xs.len()).filter(|&slot| absence(xs[slot], ys[slot], zs[slot]) == 0.0);
        x.squeeze(exist().map(|slot| xs[slot]), row * RATIO);
        y.squeeze(exist().map(|slot| ys[slot]), row);
        while !few(x, y) {
            x.widen();
            y.widen();
        }
    }

    fn number_cells(&mut self, isa: Isa, xs: &[f32], ys: &[f32], zs: &[f32]) {
        self.cells.resize(xs.len(), 0);
        let nowhere = self.cell_count();
        let Self { x, y, cells: numbers, .. } = self;
        if !x.has_gaps() {
            cells(isa, x, y, [xs, ys, zs], numbers);
            return;
        }
        for (slot, number) in numbers.iter_mut().enumerate() {
            let exists = absence(xs[slot], ys[slot], zs[slot]) == 0.0;
            let here = || y.rank(ys[slot]) * x.count() + x.rank(xs[slot]);
            *number = if exists { here() } else { nowhere };
        }
    }

    /// Sorts slots by cell. Stable, so slots in one cell rise.
    fn sort(&mut self) {
        let all = self.cell_count() as usize;
        let Self { starts, order, cells, ranks, .. } = self;
        starts.clear();
        starts.resize(all + 1, 0);
        ranks.resize(cells.len(), 0);
        order.resize(cells.len(), 0);
        // A loop over slices keeps their addresses in registers.
        let (starts, slots, places) = (starts.as_mut_slice(), order.as_mut_slice(), ranks.as_mut_slice());
        for (&cell, rank) in cells.iter().zip(&mut *places) {
            let count = &mut starts[cell as usize];
            *rank = *count;
            *count += 1;
        }
        let mut start = 0;
        for count in &mut *starts {
            (*count, start) = (start, start + *count);
        }
        for (&cell, place) in cells.iter().zip(&mut *places) {
            *place += starts[cell as usize];
        }
        for (slot, &place) in places.iter().enumerate() {
            slots[place as usize] = slot as u32;
        }
        // Who does not exist is behind the last cell.
        order.truncate(starts[all] as usize);
    }

    /// Copies points into blocks, and moves the starts of cells to where their rows begin.
    fn lay(&mut self, xs: &[f32], ys: &[f32], zs: &[f32]) {
        let Self { x, y, starts, blocks, order, .. } = self;
        let (columns, rows) = (x.count() as usize, y.count() as usize);
        // A row has no more blocks than points, and one that is not full.
        blocks.reserve(order.len() / LANES + rows.min(order.len()));
        let mut blocks = blocks.iter_mut();
        let mut next = 0;
        for row in 0..rows {
            let (first, end) = (starts[row * columns], starts[(row + 1) * columns]);
            for slots in order[first as usize..end as usize].chunks(LANES) {
                blocks.next().expect("there is room for each").fill(slots, xs, ys, zs);
            }
            for start in &mut starts[row * columns..(row + 1) * columns] {
                *start += next - first;
            }
            next += (end - first).next_multiple_of(LANES as u32);
        }
        starts[rows * columns] = next;
    }
}
