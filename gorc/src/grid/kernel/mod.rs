//! The sorted points, and the loops that see every one of them, for each set of instructions.
//!
//! A distance is made of the same operations in the same order in each of them, every one rounded by
//! itself: differences, squares, the sum of those of x and y, and to that the one of z.
#![allow(unsafe_code, reason = "vector instructions, and what checks would cost; reasons at each block")]

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod axis;
mod block;
mod plain;
mod plane;
mod sort;

use axis::Axis;
pub(super) use block::{FREE, LANES, PAGE};
use plain::Bounds;
pub(super) use plain::absence;
pub(super) use plane::{Plane, Span};

use super::hits::Hits;
use super::isa::{Isa, Set};
use super::limits::Limits;

/// Writes the hits around a finite centre.
#[inline]
pub(super) fn query(isa: Isa, plane: &Plane, x: f32, y: f32, z: f32, limits: &Limits, hits: &mut Hits) {
    match isa.set() {
        Set::Scalar => plain::query(plane, x, y, z, limits, hits),
        // SAFETY: an `Isa` exists only where its instructions do.
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => unsafe { avx2::query(plane, x, y, z, limits, hits) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 => unsafe { avx512::query(plane, x, y, z, limits, hits) },
    }
}

/// How far the points reach.
#[inline]
fn bounds(isa: Isa, xs: &[f32], ys: &[f32], zs: &[f32]) -> Bounds {
    match isa.set() {
        Set::Scalar => plain::bounds(xs, ys, zs),
        // SAFETY: an `Isa` exists only where its instructions do.
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => unsafe { avx2::bounds(xs, ys, zs) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 => unsafe { avx512::bounds(xs, ys, zs) },
    }
}

/// Writes the cell of every slot, on axes without gaps. Who does not exist is in the one behind the last.
#[inline]
fn cells(isa: Isa, x: &Axis, y: &Axis, points: [&[f32]; 3], cells: &mut [u32]) {
    match isa.set() {
        Set::Scalar => plain::cells(x, y, points, cells),
        // SAFETY: an `Isa` exists only where its instructions do.
        #[cfg(target_arch = "x86_64")]
        Set::Avx2 => unsafe { avx2::cells(x, y, points, cells) },
        // SAFETY: as above.
        #[cfg(target_arch = "x86_64")]
        Set::Avx512 => unsafe { avx512::cells(x, y, points, cells) },
    }
}
