//! Eight points at once.

use std::arch::x86_64::*;

use super::super::hits::Hits;
use super::super::limits::Limits;
use super::LANES;
use super::axis::Axis;
use super::plain::{self, Bounds};
use super::plane::Plane;

/// For each set of eight lanes, the numbers of those lanes from the lowest, a byte each.
const ORDER: [i64; 256] = {
    let mut order = [0; 256];
    let mut set = 0;
    while set < 256 {
        let (mut lane, mut bit) = (0, 0);
        while lane < 8 {
            if set >> lane & 1 == 1 {
                order[set] |= lane << bit;
                bit += 8;
            }
            lane += 1;
        }
        set += 1;
    }
    order
};

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn query(plane: &Plane, x: f32, y: f32, z: f32, limits: &Limits, hits: &mut Hits) {
    let (spans, blocks) = plane.spans(x, y, limits.reach(), hits.spans_mut());
    let (spans, slots, squared, bands) = hits.room(spans, blocks);
    let (cx, cy, cz) = (_mm256_set1_ps(x), _mm256_set1_ps(y), _mm256_set1_ps(z));
    let outer = _mm256_set1_ps(limits.outer());
    let mut found = 0;
    for span in spans {
        for number in span.first..span.end {
            // SAFETY: every block of a span has room.
            let block = unsafe { plane.blocks.block(number) };
            for half in [0, LANES / 2] {
                debug_assert!(found + LANES / 2 <= slots.len().min(squared.len()));
                // SAFETY: a block has two vectors of eight, and `ORDER` an entry for every mask of eight
                // bits. Hits have room for every lane of the blocks up to this one and of one more, so
                // a whole vector fits behind the last hit.
                unsafe {
                    let dx = _mm256_sub_ps(_mm256_loadu_ps(block.xs.as_ptr().add(half)), cx);
                    let dy = _mm256_sub_ps(_mm256_loadu_ps(block.ys.as_ptr().add(half)), cy);
                    let dz = _mm256_sub_ps(_mm256_loadu_ps(block.zs.as_ptr().add(half)), cz);
                    let sum = _mm256_add_ps(_mm256_mul_ps(dx, dx), _mm256_mul_ps(dy, dy));
                    let sum = _mm256_add_ps(sum, _mm256_mul_ps(dz, dz));
                    let hit = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LE_OQ>(sum, outer)) as u8;
                    let ids = _mm256_loadu_si256(block.slots.as_ptr().add(half).cast());
                    let order = _mm256_cvtepu8_epi32(_mm_cvtsi64_si128(ORDER[usize::from(hit)]));
                    let ids = _mm256_permutevar8x32_epi32(ids, order);
                    _mm256_storeu_si256(slots.as_mut_ptr().add(found).cast(), ids);
                    let sum = _mm256_permutevar8x32_ps(sum, order);
                    _mm256_storeu_ps(squared.as_mut_ptr().add(found), sum);
                    found += hit.count_ones() as usize;
                }
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
#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn classify<const N: usize>(limits: [f32; N], squared: &[f32], bands: &mut [u8]) {
    let limits: [__m256; N] = std::array::from_fn(|n| _mm256_set1_ps(limits[n]));
    for (squared, bands) in squared.as_chunks::<LANES>().0.iter().zip(bands.as_chunks_mut::<LANES>().0) {
        // SAFETY: sixteen distances are two vectors, and sixteen bands one of bytes.
        unsafe {
            let squared =
                [_mm256_loadu_ps(squared.as_ptr()), _mm256_loadu_ps(squared.as_ptr().add(LANES / 2))];
            let mut counts = [_mm256_setzero_si256(); 2];
            for limit in limits {
                for (count, squared) in counts.iter_mut().zip(squared) {
                    let beyond = _mm256_castps_si256(_mm256_cmp_ps::<_CMP_GT_OQ>(squared, limit));
                    *count = _mm256_sub_epi32(*count, beyond);
                }
            }
            // Packing goes by halves of vectors, hence the permutation.
            let words = _mm256_packs_epi32(counts[0], counts[1]);
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(words);
            let bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storeu_si128(bands.as_mut_ptr().cast(), bytes);
        }
    }
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn bounds(xs: &[f32], ys: &[f32], zs: &[f32]) -> Bounds {
    plain::bounds(xs, ys, zs)
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn cells(x: &Axis, y: &Axis, points: [&[f32]; 3], cells: &mut [u32]) {
    plain::cells(x, y, points, cells);
}
