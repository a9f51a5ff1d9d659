//! Eight points at once.

use std::arch::x86_64::*;

use super::super::span::Span;
use super::Points;
use super::whole::{self, Bounds, Lattice, Reach};

/// For each set of lanes, the numbers of those lanes in order, a byte each.
const ORDER: [u64; 256] = {
    let mut order = [0; 256];
    let mut set = 0;
    while set < 256 {
        let (mut lane, mut at) = (0, 0);
        while lane < 8 {
            if set >> lane & 1 == 1 {
                order[set] |= lane << (8 * at);
                at += 1;
            }
            lane += 1;
        }
        set += 1;
    }
    order
};

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn scan(
    points: &Points,
    spans: &[Span],
    centre: [f32; 3],
    outer: f32,
    slots: &mut [u32],
    squared: &mut [f32],
) -> usize {
    let (cx, cy, cz) = (_mm256_set1_ps(centre[0]), _mm256_set1_ps(centre[1]), _mm256_set1_ps(centre[2]));
    let outer = _mm256_set1_ps(outer);
    let mut found = 0;
    let (xs, ys, zs, ids) =
        (points.xs.as_ptr(), points.ys.as_ptr(), points.zs.as_ptr(), points.slots.as_ptr());
    for span in &spans[..spans.len() - 1] {
        let (mut at, end) = (span.start as usize, span.end as usize);
        while at < end {
            let lanes = (1_u32 << (end - at).min(8)) - 1;
            unsafe {
                let dx = _mm256_sub_ps(_mm256_loadu_ps(xs.add(at)), cx);
                let dy = _mm256_sub_ps(_mm256_loadu_ps(ys.add(at)), cy);
                let dz = _mm256_sub_ps(_mm256_loadu_ps(zs.add(at)), cz);
                let sum = _mm256_add_ps(_mm256_mul_ps(dx, dx), _mm256_mul_ps(dy, dy));
                let sum = _mm256_add_ps(sum, _mm256_mul_ps(dz, dz));
                let hit = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_LE_OQ>(sum, outer)) as u32 & lanes;
                let order = _mm256_cvtepu8_epi32(_mm_loadl_epi64(ORDER.as_ptr().add(hit as usize).cast()));
                let id = _mm256_loadu_si256(ids.add(at).cast());
                _mm256_storeu_si256(
                    slots.as_mut_ptr().add(found).cast(),
                    _mm256_permutevar8x32_epi32(id, order),
                );
                _mm256_storeu_ps(squared.as_mut_ptr().add(found), _mm256_permutevar8x32_ps(sum, order));
                found += hit.count_ones() as usize;
            }
            at += 8;
        }
    }
    found
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn classify(limits: &[f32], squared: &[f32], len: usize, bands: &mut [u8]) {
    match limits.len() {
        1 => counted::<0>(limits, squared, len, bands),
        2 => counted::<1>(limits, squared, len, bands),
        3 => counted::<2>(limits, squared, len, bands),
        4 => counted::<3>(limits, squared, len, bands),
        _ => counted::<7>(limits, squared, len, bands),
    }
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
fn counted<const N: usize>(limits: &[f32], squared: &[f32], len: usize, bands: &mut [u8]) {
    let limits: [__m256; N] = std::array::from_fn(|n| unsafe { _mm256_set1_ps(limits[n]) });
    let mut at = 0;
    while at < len {
        unsafe {
            let a = _mm256_loadu_ps(squared.as_ptr().add(at));
            let b = _mm256_loadu_ps(squared.as_ptr().add(at + 8));
            let (mut na, mut nb) = (_mm256_setzero_si256(), _mm256_setzero_si256());
            for limit in limits {
                na = _mm256_sub_epi32(na, _mm256_castps_si256(_mm256_cmp_ps::<_CMP_GT_OQ>(a, limit)));
                nb = _mm256_sub_epi32(nb, _mm256_castps_si256(_mm256_cmp_ps::<_CMP_GT_OQ>(b, limit)));
            }
            let words = _mm256_permute4x64_epi64::<0b11_01_10_00>(_mm256_packs_epi32(na, nb));
            let bytes = _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storeu_si128(bands.as_mut_ptr().add(at).cast(), bytes);
        }
        at += 16;
    }
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn bounds(xs: &[f32], ys: &[f32], zs: &[f32]) -> Bounds {
    whole::bounds(xs, ys, zs)
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn cells(lattice: Lattice, xs: &[f32], ys: &[f32], zs: &[f32], cells: &mut [u32]) {
    whole::cells(lattice, xs, ys, zs, cells);
}

#[target_feature(enable = "avx2,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn spans(reach: Reach, starts: &[u32], spans: &mut [Span]) -> (usize, usize) {
    whole::spans(reach, starts, spans)
}
