//! The points by cell, and where a query has to look.

use super::LANES;
use super::axis::Axis;
use super::block::Blocks;

/// Columns that are as wide as a row is high. Rows are read from column to column, so columns are narrow,
/// to leave out what is far; rows are few and long, for at their ends vectors are half empty.
pub(super) const RATIO: f32 = 4.0;

/// Rows that are looked at together.
const ROWS: usize = 8;

/// Secants and tangents of 22.5, 45 and 67.5 degrees: with the square, the polygon of sixteen sides
/// around a circle. It is 1.3 % larger than the circle and needs no square root, which takes longer than
/// to look at the rest.
const SIDES: [(f32, f32); 3] =
    [(1.082_392_2, 0.414_213_57), (std::f32::consts::SQRT_2, 1.0), (2.613_125_8, 2.414_213_7)];

/// Neighbouring blocks, from `first` up to but not with `end`.
#[derive(Debug, Clone, Copy, Default)]
pub(in super::super) struct Span {
    pub(super) first: u32,
    pub(super) end: u32,
}

impl Span {
    #[inline(always)]
    fn of_places(start: u32, end: u32) -> Self {
        Self { first: start / LANES as u32, end: end.div_ceil(LANES as u32) }
    }

    #[inline(always)]
    fn len(self) -> usize {
        (self.end - self.first) as usize
    }
}

/// Points sorted by cell, row by row. Each row begins with a new block, so that what a block shows beside
/// the cells it is looked at for is in the same row, and too far away to be a hit.
#[derive(Debug, Default)]
pub(in super::super) struct Plane {
    pub(super) x: Axis,
    pub(super) y: Axis,
    /// Place of the first point of each cell, and behind the last cell the place behind all points. A
    /// place is the number of a block times [`LANES`], plus a lane.
    pub(super) starts: Vec<u32>,
    pub(super) blocks: Blocks,
    /// Slots in the order of their cells.
    pub(super) order: Vec<u32>,
    /// Of each slot the cell, and how many slots before it are in the same.
    pub(super) cells: Vec<u32>,
    pub(super) ranks: Vec<u32>,
    /// Whether there are points, and all of the above is about the same ones: `starts` has one for each
    /// cell and one more, they never fall, and there is room for every block before the last of them.
    pub(super) ready: bool,
}

impl Plane {
    /// How many cells there are.
    pub(super) fn cell_count(&self) -> u32 {
        self.x.count() * self.y.count()
    }

    /// Finds what may be within `reach` of a finite centre. Rewrites the beginning of `spans` and tells
    /// how many there are, and how many blocks together; every block in them has room.
    #[inline(always)]
    pub(super) fn spans(&self, x: f32, y: f32, reach: f32, spans: &mut Vec<Span>) -> (usize, usize) {
        if !self.ready {
            (0, 0)
        } else if self.x.has_gaps() {
            self.sparse(x, y, reach, spans)
        } else {
            self.dense(x, y, reach, spans)
        }
    }

    /// The cells that the polygon around a circle touches.
    #[inline(always)]
    fn dense(&self, x: f32, y: f32, reach: f32, spans: &mut Vec<Span>) -> (usize, usize) {
        let (across, along) = (self.x.line(), self.y.line());
        let (column, row) = (across.measure(x), along.measure(y));
        let (width, height) = (reach * across.inverse, reach * along.inverse);
        // What rounding may have moved all of these, several times over.
        let slack = (across.count() + along.count() + column.abs() + row.abs() + width) * 1e-6;
        let (low, high) = (row - height - slack, row + height + slack);
        if low >= along.count() || high < 0.0 {
            return (0, 0);
        }
        let first = along.cell_or_first(low);
        let last = along.cell_or_last(high);
        let count = (last - first + 1) as usize;
        if spans.len() < count {
            grow(spans, count);
        }

        let width = width + slack;
        let sides = SIDES.map(|(secant, tangent)| (width * secant, tangent));
        let below = (row + slack) * RATIO;
        let above = (row - slack - 1.0) * RATIO;
        let (mut row, mut blocks) = (first, 0);
        for spans in spans[..count].chunks_mut(ROWS) {
            let (mut firsts, mut lasts) = ([0; ROWS], [0; ROWS]);
            for lane in 0..ROWS as u32 {
                let row = row + lane;
                let edge = row as i32 as f32 * RATIO;
                // Columns from the centre to the nearer edge of the row; too few, if anything.
                let off = if edge - below > above - edge { edge - below } else { above - edge };
                let mut half = width;
                for (width, tangent) in sides {
                    let side = width - off * tangent;
                    half = if side < half { side } else { half };
                }
                let first_column = across.cell_or_first(column - half);
                let last_column = across.cell_or_last(column + half);
                // Rows behind the last may wrap, and are not looked at.
                let row = row.wrapping_mul(self.x.count());
                firsts[lane as usize] = row.wrapping_add(first_column);
                lasts[lane as usize] = row.wrapping_add(last_column);
            }
            for ((span, &first), &last) in spans.iter_mut().zip(&firsts).zip(&lasts) {
                // SAFETY: `ready`, and no row or column is behind the last, so both are cells and there is
                // a start behind each. Checking costs two nanoseconds a query.
                *span = unsafe {
                    Span::of_places(
                        *self.starts.get_unchecked(first as usize),
                        *self.starts.get_unchecked(last as usize + 1),
                    )
                };
                blocks += span.len();
            }
            row += ROWS as u32;
        }
        (count, blocks)
    }

    /// The cells that the square around a circle touches, where lines without anyone are left out.
    #[cold]
    fn sparse(&self, x: f32, y: f32, reach: f32, spans: &mut Vec<Span>) -> (usize, usize) {
        let ends = |axis: &Axis, at: f32| (axis.rank(at - reach) as usize, axis.rank(at + reach) as usize);
        let (left, right) = ends(&self.x, x);
        let (first, last) = ends(&self.y, y);
        let columns = self.x.count() as usize;
        spans.clear();
        spans.extend((first..=last).map(|row| {
            Span::of_places(self.starts[row * columns + left], self.starts[row * columns + right + 1])
        }));
        (spans.len(), spans.iter().map(|span| span.len()).sum())
    }
}

#[cold]
#[inline(never)]
fn grow(spans: &mut Vec<Span>, count: usize) {
    spans.resize(count.next_multiple_of(ROWS), Span::default());
}
