//! Kernels in plain Rust: the query of every machine, and loops over whole arrays in which the compiler
//! finds the vectors by itself.

use super::super::hits::Hits;
use super::super::limits::Limits;
use super::LANES;
use super::axis::Axis;
use super::plane::Plane;

pub(super) fn query(plane: &Plane, x: f32, y: f32, z: f32, limits: &Limits, hits: &mut Hits) {
    let (spans, blocks) = plane.spans(x, y, limits.reach(), hits.spans_mut());
    let (spans, slots, squared, bands) = hits.room(spans, blocks);
    let outer = limits.outer();
    let mut found = 0;
    for span in spans {
        for number in span.first..span.end {
            // SAFETY: every block of a span has room.
            let block = unsafe { plane.blocks.block(number) };
            for lane in 0..LANES {
                let (dx, dy, dz) = (block.xs[lane] - x, block.ys[lane] - y, block.zs[lane] - z);
                let distance = dx * dx + dy * dy + dz * dz;
                slots[found] = block.slots[lane];
                squared[found] = distance;
                found += usize::from(distance <= outer);
            }
        }
    }
    classify(limits.inner(), &squared[..found.next_multiple_of(LANES)], bands);
    hits.finish(found);
}

/// Bands of whole vectors of squared distances.
fn classify(limits: &[f32], squared: &[f32], bands: &mut [u8]) {
    for (squared, bands) in squared.as_chunks::<LANES>().0.iter().zip(bands.as_chunks_mut::<LANES>().0) {
        let mut counts = [0_u32; LANES];
        for &limit in limits {
            for lane in 0..LANES {
                counts[lane] += u32::from(squared[lane] > limit);
            }
        }
        *bands = counts.map(|count| count as u8);
    }
}

/// The lowest and the highest x and y of those who exist. If nobody does, low is above high.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) low: [f32; 2],
    pub(super) high: [f32; 2],
}

/// Zero for who exists; not a number for who has a coordinate that is not finite.
#[inline(always)]
pub(in super::super) fn absence(x: f32, y: f32, z: f32) -> f32 {
    x * 0.0 + y * 0.0 + z * 0.0
}

#[inline(always)]
pub(super) fn bounds(xs: &[f32], ys: &[f32], zs: &[f32]) -> Bounds {
    let mut low = [[f32::INFINITY; LANES]; 2];
    let mut high = [[f32::NEG_INFINITY; LANES]; 2];
    let mut take = |lane: usize, x: f32, y: f32, z: f32| {
        let absence = absence(x, y, z);
        for (axis, at) in [x + absence, y + absence].into_iter().enumerate() {
            // Neither if it is not a number.
            low[axis][lane] = if at < low[axis][lane] { at } else { low[axis][lane] };
            high[axis][lane] = if at > high[axis][lane] { at } else { high[axis][lane] };
        }
    };
    let (x_chunks, xs) = xs.as_chunks::<LANES>();
    let (y_chunks, ys) = ys.as_chunks::<LANES>();
    let (z_chunks, zs) = zs.as_chunks::<LANES>();
    for ((xs, ys), zs) in x_chunks.iter().zip(y_chunks).zip(z_chunks) {
        for lane in 0..LANES {
            take(lane, xs[lane], ys[lane], zs[lane]);
        }
    }
    for ((&x, &y), &z) in xs.iter().zip(ys).zip(zs) {
        take(0, x, y, z);
    }
    Bounds {
        low: low.map(|lanes| lanes.into_iter().fold(f32::INFINITY, f32::min)),
        high: high.map(|lanes| lanes.into_iter().fold(f32::NEG_INFINITY, f32::max)),
    }
}

#[inline(always)]
pub(super) fn cells(x: &Axis, y: &Axis, [xs, ys, zs]: [&[f32]; 3], cells: &mut [u32]) {
    let (across, along) = (x.line(), y.line());
    let (columns, nowhere) = (x.count(), x.count() * y.count());
    for (((&x, &y), &z), cell) in xs.iter().zip(ys).zip(zs).zip(cells) {
        let column = across.cell_or_first(across.measure(x));
        let row = along.cell_or_first(along.measure(y));
        let here = row.wrapping_mul(columns).wrapping_add(column);
        *cell = if absence(x, y, z) == 0.0 { here } else { nowhere };
    }
}
