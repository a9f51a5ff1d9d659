//! The kernels of every machine. The others are held against these.

use super::super::span::Span;
use super::Points;

pub(super) fn scan(
    points: &Points,
    spans: &[Span],
    centre: [f32; 3],
    outer: f32,
    slots: &mut [u32],
    squared: &mut [f32],
) -> usize {
    let mut found = 0;
    for span in &spans[..spans.len() - 1] {
        let range = span.start as usize..span.end as usize;
        let (xs, ys, zs) = (&points.xs[range.clone()], &points.ys[range.clone()], &points.zs[range.clone()]);
        for (((&x, &y), &z), &slot) in xs.iter().zip(ys).zip(zs).zip(&points.slots[range]) {
            let (dx, dy, dz) = (x - centre[0], y - centre[1], z - centre[2]);
            let distance = dx * dx + dy * dy + dz * dz;
            slots[found] = slot;
            squared[found] = distance;
            found += usize::from(distance <= outer);
        }
    }
    found
}
