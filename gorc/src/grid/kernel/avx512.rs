//! Sixteen points at once.

use std::arch::x86_64::*;

use super::super::hits::Hits;
use super::super::limits::Limits;
use super::LANES;
use super::axis::Axis;
use super::plain::{self, Bounds};
use super::plane::Plane;

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn query(plane: &Plane, x: f32, y: f32, z: f32, limits: &Limits, hits: &mut Hits) {
    let (spans, blocks) = plane.spans(x, y, limits.reach(), hits.spans_mut());
    let (spans, slots, squared, bands) = hits.room(spans, blocks);
    let (cx, cy, cz) = (_mm512_set1_ps(x), _mm512_set1_ps(y), _mm512_set1_ps(z));
    let outer = _mm512_set1_ps(limits.outer());
    let mut found = 0;
    for span in spans {
        for number in span.first..span.end {
            // SAFETY: every block of a span has room.
            let block = unsafe { plane.blocks.block(number) };
            debug_assert!(found + LANES <= slots.len().min(squared.len()));
            // SAFETY: a block has whole vectors. Hits have room for every lane of the blocks up to this
            // one and of one more, so a whole vector fits behind the last hit.
            unsafe {
                let dx = _mm512_sub_ps(_mm512_loadu_ps(block.xs.as_ptr()), cx);
                let dy = _mm512_sub_ps(_mm512_loadu_ps(block.ys.as_ptr()), cy);
                let dz = _mm512_sub_ps(_mm512_loadu_ps(block.zs.as_ptr()), cz);
                let sum = _mm512_add_ps(_mm512_mul_ps(dx, dx), _mm512_mul_ps(dy, dy));
                let sum = _mm512_add_ps(sum, _mm512_mul_ps(dz, dz));
                let hit = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(sum, outer);
                let ids = _mm512_loadu_si512(block.slots.as_ptr().cast());
                // Compressing to memory instead is microcode on some processors, and many times slower.
                let ids = _mm512_maskz_compress_epi32(hit, ids);
                _mm512_storeu_si512(slots.as_mut_ptr().add(found).cast(), ids);
                _mm512_storeu_ps(squared.as_mut_ptr().add(found), _mm512_maskz_compress_ps(hit, sum));
                found += hit.count_ones() as usize;
            }
        }
    }
    let squared = &squared[..found.next_multiple_of(LANES)];
    match *limits.inner() {
        [] => bands[..squared.len()].fill(0),
        [a] => classify([a], squared, bands),
        [a, b] => classify([a, b], squared, bands),
        [a, b, c] => classify([a, b, c], squared, bands),
        [a, b, c, d] => classify([a, b, c, d], squared, bands),
        [a, b, c, d, e] => classify([a, b, c, d, e], squared, bands),
        [a, b, c, d, e, f] => classify([a, b, c, d, e, f], squared, bands),
        [a, b, c, d, e, f, g, ..] => classify([a, b, c, d, e, f, g], squared, bands),
    }
    hits.finish(found);
}

/// Bands of whole vectors of squared distances.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2,lzcnt,popcnt")]
fn classify<const N: usize>(limits: [f32; N], squared: &[f32], bands: &mut [u8]) {
    let limits: [__m512; N] = std::array::from_fn(|n| _mm512_set1_ps(limits[n]));
    let one = _mm_set1_epi8(1);
    for (squared, bands) in squared.as_chunks::<LANES>().0.iter().zip(bands.as_chunks_mut::<LANES>().0) {
        // SAFETY: both are whole vectors.
        unsafe {
            let squared = _mm512_loadu_ps(squared.as_ptr());
            let mut count = _mm_setzero_si128();
            for limit in limits {
                let beyond = _mm512_cmp_ps_mask::<_CMP_GT_OQ>(squared, limit);
                count = _mm_mask_add_epi8(count, beyond, count, one);
            }
            _mm_storeu_si128(bands.as_mut_ptr().cast(), count);
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn bounds(xs: &[f32], ys: &[f32], zs: &[f32]) -> Bounds {
    plain::bounds(xs, ys, zs)
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn cells(x: &Axis, y: &Axis, points: [&[f32]; 3], cells: &mut [u32]) {
    plain::cells(x, y, points, cells);
}
