//! The loops that see every point, once for each set of instructions.
//!
//! All of them do the same arithmetic in the same order: subtract, multiply, add, each rounded by itself.
#![allow(unsafe_code, reason = "vector instructions are called through std::arch, which cannot check them")]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod scalar;
mod whole;

use super::isa::{Isa, Set};
use super::limits::Limits;
use super::span::Span;
pub(super) use whole::{Bounds, Lattice, Reach, absence};

/// The most points a kernel looks at in one go, and how many places behind the last hit or point it may
/// touch.
pub(super) const LANES: usize = 16;

/// The points of a grid in grid order, with [`LANES`] of anything behind them.
#[derive(Debug, Default)]
pub(super) struct Points {
    pub(super) xs: Vec<f32>,
    pub(super) ys: Vec<f32>,
    pub(super) zs: Vec<f32>,
    pub(super) slots: Vec<u32>,
    pub(super) len: usize,
}

impl Points {
    /// Makes room for this many.
    pub(super) fn resize(&mut self, len: usize) {
        let room = len + LANES;
        self.xs.resize(room, 0.0);
        self.ys.resize(room, 0.0);
        self.zs.resize(room, 0.0);
        self.slots.resize(room, 0);
        self.len = len;
    }
}

/// Writes slot and squared distance of every point in `spans` that is within `outer` square metres of
/// `centre`, and tells how many. `spans` ends with one that is not looked at.
#[inline]
pub(super) fn scan(
    isa: Isa,
    points: &Points,
    spans: &[Span],
    centre: [f32; 3],
    outer: f32,
    slots: &mut [u32],
    squared: &mut [f32],
) -> usize {
    match isa.set() {
        Set::Scalar => scalar::scan(points, spans, centre, outer, slots, squared),
        // SAFETY: an `Isa` that exists was detected.
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => unsafe { avx2::scan(points, spans, centre, outer, slots, squared) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 => unsafe { avx512::scan(points, spans, centre, outer, slots, squared) },
    }
}

/// Writes the band of the first `len` of `squared`.
#[inline]
pub(super) fn classify(isa: Isa, limits: &Limits, squared: &[f32], len: usize, bands: &mut [u8]) {
    match isa.set() {
        Set::Scalar => whole::classify(limits.squared(), squared, len, bands),
        // SAFETY: an `Isa` that exists was detected.
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => unsafe { avx2::classify(limits.squared(), squared, len, bands) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 => unsafe { avx512::classify(limits.squared(), squared, len, bands) },
    }
}

/// What [`Bounds`] says about these points.
pub(super) fn bounds(isa: Isa, xs: &[f32], ys: &[f32], zs: &[f32]) -> Bounds {
    match isa.set() {
        Set::Scalar => whole::bounds(xs, ys, zs),
        // SAFETY: an `Isa` that exists was detected.
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => unsafe { avx2::bounds(xs, ys, zs) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 => unsafe { avx512::bounds(xs, ys, zs) },
    }
}

/// Writes the cell of every point, and for who does not exist the one behind the last.
pub(super) fn cells(isa: Isa, lattice: Lattice, xs: &[f32], ys: &[f32], zs: &[f32], cells: &mut [u32]) {
    match isa.set() {
        Set::Scalar => whole::cells(lattice, xs, ys, zs, cells),
        // SAFETY: an `Isa` that exists was detected.
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => unsafe { avx2::cells(lattice, xs, ys, zs, cells) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 => unsafe { avx512::cells(lattice, xs, ys, zs, cells) },
    }
}

/// Spans
pub(super) fn spans(isa: Isa, reach: Reach, starts: &[u32], spans: &mut [Span]) -> (usize, usize) {
    match isa.set() {
        Set::Scalar => whole::spans(reach, starts, spans),
        // SAFETY: an `Isa` that exists was detected.
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => unsafe { avx2::spans(reach, starts, spans) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 => unsafe { avx512::spans(reach, starts, spans) },
    }
}
