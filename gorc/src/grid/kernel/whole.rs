//! Loops over whole arrays, plain enough for the compiler to find the vectors.
//!
//! Inlined into a function for each set of instructions.

use super::super::span::Span;
use super::LANES;

/// The lowest and the highest coordinates of those who exist. Low is above high if nobody does.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Bounds {
    pub(in super::super) low: [f32; 2],
    pub(in super::super) high: [f32; 2],
}

/// The cells of a plane without gaps.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Lattice {
    pub(in super::super) origin: [f32; 2],
    pub(in super::super) inverse: [f32; 2],
    pub(in super::super) columns: u32,
    pub(in super::super) rows: u32,
}

/// Zero for who exists; not a number for who has a coordinate that is not finite.
#[inline(always)]
pub(in super::super) fn absence(x: f32, y: f32, z: f32) -> f32 {
    (x - x) + (y - y) + (z - z)
}

#[inline(always)]
pub(super) fn bounds(xs: &[f32], ys: &[f32], zs: &[f32]) -> Bounds {
    const NOBODY: Lanes = Lanes {
        low_x: [f32::INFINITY; LANES],
        high_x: [f32::NEG_INFINITY; LANES],
        low_y: [f32::INFINITY; LANES],
        high_y: [f32::NEG_INFINITY; LANES],
    };
    let mut lanes = NOBODY;
    let (xs, x_rest) = xs.as_chunks::<LANES>();
    let (ys, y_rest) = ys.as_chunks::<LANES>();
    let (zs, z_rest) = zs.as_chunks::<LANES>();
    for ((x, y), z) in xs.iter().zip(ys).zip(zs) {
        for lane in 0..LANES {
            lanes.take(lane, x[lane], y[lane], z[lane]);
        }
    }
    for ((&x, &y), &z) in x_rest.iter().zip(y_rest).zip(z_rest) {
        lanes.take(0, x, y, z);
    }
    let least = |lanes: [f32; LANES]| lanes.into_iter().fold(f32::INFINITY, f32::min);
    let most = |lanes: [f32; LANES]| lanes.into_iter().fold(f32::NEG_INFINITY, f32::max);
    Bounds { low: [least(lanes.low_x), least(lanes.low_y)], high: [most(lanes.high_x), most(lanes.high_y)] }
}

struct Lanes {
    low_x: [f32; LANES],
    high_x: [f32; LANES],
    low_y: [f32; LANES],
    high_y: [f32; LANES],
}

impl Lanes {
    #[inline(always)]
    fn take(&mut self, lane: usize, x: f32, y: f32, z: f32) {
        let absence = absence(x, y, z);
        // Neither below nor above anything if it is not a number.
        let (x, y) = (x + absence, y + absence);
        self.low_x[lane] = if x < self.low_x[lane] { x } else { self.low_x[lane] };
        self.high_x[lane] = if x > self.high_x[lane] { x } else { self.high_x[lane] };
        self.low_y[lane] = if y < self.low_y[lane] { y } else { self.low_y[lane] };
        self.high_y[lane] = if y > self.high_y[lane] { y } else { self.high_y[lane] };
    }
}

#[inline(always)]
pub(super) fn cells(lattice: Lattice, xs: &[f32], ys: &[f32], zs: &[f32], cells: &mut [u32]) {
    let nowhere = lattice.columns * lattice.rows;
    for (((&x, &y), &z), cell) in xs.iter().zip(ys).zip(zs).zip(cells) {
        let column = ((x - lattice.origin[0]) * lattice.inverse[0]) as i32 as u32;
        let row = ((y - lattice.origin[1]) * lattice.inverse[1]) as i32 as u32;
        let here = row.wrapping_mul(lattice.columns).wrapping_add(column);
        *cell = if absence(x, y, z) == 0.0 { here } else { nowhere };
    }
}

#[inline(always)]
pub(super) fn classify(limits: &[f32], squared: &[f32], len: usize, bands: &mut [u8]) {
    match limits.len() {
        1 => bands[..len].fill(0),
        2 => counted::<1>(limits, squared, len, bands),
        3 => counted::<2>(limits, squared, len, bands),
        4 => counted::<3>(limits, squared, len, bands),
        5 => counted::<4>(limits, squared, len, bands),
        6 => counted::<5>(limits, squared, len, bands),
        7 => counted::<6>(limits, squared, len, bands),
        _ => counted::<7>(limits, squared, len, bands),
    }
}

/// Bands by the first `N` limits; no hit exceeds the last.
#[inline(always)]
fn counted<const N: usize>(limits: &[f32], squared: &[f32], len: usize, bands: &mut [u8]) {
    let limits: [f32; N] = std::array::from_fn(|n| limits[n]);
    // Whole vectors; there is room behind the last.
    let whole = len.next_multiple_of(LANES);
    let (squared, _) = squared[..whole].as_chunks::<LANES>();
    let (bands, _) = bands[..whole].as_chunks_mut::<LANES>();
    for (squared, bands) in squared.iter().zip(bands) {
        for lane in 0..LANES {
            let mut band = 0;
            for limit in limits {
                band += u32::from(squared[lane] > limit);
            }
            bands[lane] = band as u8;
        }
    }
}

/// What of a plane without gaps a query reaches, in columns and rows.
#[derive(Debug, Clone, Copy)]
pub(in super::super) struct Reach {
    pub(in super::super) column: f32,
    pub(in super::super) row: f32,
    /// Square of the reach in columns.
    pub(in super::super) square: f32,
    /// Columns in a row's height.
    pub(in super::super) ratio: f32,
    pub(in super::super) slack: f32,
    pub(in super::super) columns: u32,
    pub(in super::super) first: u32,
    pub(in super::super) last: u32,
}

#[inline(always)]
pub(super) fn spans(reach: Reach, starts: &[u32], spans: &mut [Span]) -> (usize, usize) {
    let (mut count, mut candidates) = (0, 0);
    let mut row = reach.first;
    let last_column = (reach.columns - 1) as f32;
    while row <= reach.last {
        let mut first_cells = [0_i32; LANES];
        let mut last_cells = [0_i32; LANES];
        for lane in 0..LANES {
            let at = (row as i32 + lane as i32) as f32;
            let below = at - reach.row;
            let above = reach.row - at - 1.0;
            let off = if below > above { below } else { above };
            let off = (off - reach.slack) * reach.ratio;
            let off = if off < 0.0 { 0.0 } else { off };
            let left = reach.square - off * off;
            let left = if left < 0.0 { 0.0 } else { left };
            let half = left.sqrt() + reach.slack;
            let (first, last) = (reach.column - half, reach.column + half);
            let first = if first > 0.0 { first } else { 0.0 };
            let first = if first < last_column { first } else { last_column };
            let last = if last > 0.0 { last } else { 0.0 };
            let last = if last < last_column { last } else { last_column };
            let base = (row as i32 + lane as i32).wrapping_mul(reach.columns as i32);
            first_cells[lane] = base + unsafe { first.to_int_unchecked::<i32>() };
            last_cells[lane] = base + unsafe { last.to_int_unchecked::<i32>() };
        }
        let rows = ((reach.last - row + 1) as usize).min(LANES);
        for lane in 0..rows {
            let span = Span {
                start: starts[first_cells[lane] as usize],
                end: starts[last_cells[lane] as usize + 1],
            };
            spans[count] = span;
            candidates += (span.end - span.start) as usize;
            count += usize::from(span.start < span.end);
        }
        row += LANES as u32;
    }
    (count, candidates)
}
