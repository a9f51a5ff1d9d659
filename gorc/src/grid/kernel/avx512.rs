//! Sixteen points at once.

use std::arch::x86_64::*;

use super::super::span::Span;
use super::whole::{self, Bounds, Lattice, Reach};
use super::{LANES, Points};

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn scan(
    points: &Points,
    spans: &[Span],
    centre: [f32; 3],
    outer: f32,
    slots: &mut [u32],
    squared: &mut [f32],
) -> usize {
    let (cx, cy, cz) = (_mm512_set1_ps(centre[0]), _mm512_set1_ps(centre[1]), _mm512_set1_ps(centre[2]));
    let outer = _mm512_set1_ps(outer);
    let mut found = 0;
    let (xs, ys, zs, ids) =
        (points.xs.as_ptr(), points.ys.as_ptr(), points.zs.as_ptr(), points.slots.as_ptr());
    if spans.len() < 2 {
        return 0;
    }
    let last = spans.len() - 1;
    let (mut span, mut at, mut end) = (0, spans[0].start as usize, spans[0].end as usize);
    let slots = slots.as_mut_ptr();
    let squared = squared.as_mut_ptr();
    loop {
        let lanes = (1_u32 << (end - at).min(LANES)) - 1;
        unsafe {
            let dx = _mm512_sub_ps(_mm512_loadu_ps(xs.add(at)), cx);
            let dy = _mm512_sub_ps(_mm512_loadu_ps(ys.add(at)), cy);
            let dz = _mm512_sub_ps(_mm512_loadu_ps(zs.add(at)), cz);
            let sum = _mm512_add_ps(_mm512_mul_ps(dx, dx), _mm512_mul_ps(dy, dy));
            let sum = _mm512_add_ps(sum, _mm512_mul_ps(dz, dz));
            let hit = _mm512_mask_cmp_ps_mask::<_CMP_LE_OQ>(lanes as u16, sum, outer);
            let id = _mm512_loadu_si512(ids.add(at).cast());
            _mm512_storeu_si512(slots.add(found).cast(), _mm512_maskz_compress_epi32(hit, id));
            _mm512_storeu_ps(squared.add(found), _mm512_maskz_compress_ps(hit, sum));
            found += hit.count_ones() as usize;
            at += LANES;
            let over = at >= end;
            span += usize::from(over);
            let next = *spans.get_unchecked(span);
            at = std::hint::select_unpredictable(over, next.start as usize, at);
            end = std::hint::select_unpredictable(over, next.end as usize, end);
        }
        if span == last {
            break;
        }
    }
    found
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn classify(limits: &[f32], squared: &[f32], len: usize, bands: &mut [u8]) {
    match limits.len() {
        1 => counted::<0>(limits, squared, len, bands),
        2 => counted::<1>(limits, squared, len, bands),
        3 => counted::<2>(limits, squared, len, bands),
        4 => counted::<3>(limits, squared, len, bands),
        _ => counted::<7>(limits, squared, len, bands),
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2,lzcnt,popcnt")]
fn counted<const N: usize>(limits: &[f32], squared: &[f32], len: usize, bands: &mut [u8]) {
    let limits: [__m512; N] = std::array::from_fn(|n| unsafe { _mm512_set1_ps(limits[n]) });
    let one = _mm_set1_epi8(1);
    let mut at = 0;
    while at < len {
        unsafe {
            let sq = _mm512_loadu_ps(squared.as_ptr().add(at));
            let mut band = _mm_setzero_si128();
            for limit in limits {
                band = _mm_mask_add_epi8(band, _mm512_cmp_ps_mask::<_CMP_GT_OQ>(sq, limit), band, one);
            }
            _mm_storeu_si128(bands.as_mut_ptr().add(at).cast(), band);
        }
        at += 16;
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn bounds(xs: &[f32], ys: &[f32], zs: &[f32]) -> Bounds {
    whole::bounds(xs, ys, zs)
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn cells(lattice: Lattice, xs: &[f32], ys: &[f32], zs: &[f32], cells: &mut [u32]) {
    whole::cells(lattice, xs, ys, zs, cells);
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,bmi1,bmi2,lzcnt,popcnt")]
pub(super) fn spans(reach: Reach, starts: &[u32], spans: &mut [Span]) -> (usize, usize) {
    whole::spans(reach, starts, spans)
}
