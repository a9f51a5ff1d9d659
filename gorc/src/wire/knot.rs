//! A point of a curve, in the numbers of its channel.

use horizon_model::{TICKS_PER_SECOND, Tick};

use super::lattice::LATTICES;

/// Centimetres in a position step, by channel.
const STEP_CM: [i64; 4] = [5, 25, 50, 50];
/// Centimetres per second in a velocity step, by channel.
const SPEED_CMPS: [i64; 4] = [10, 20, 40, 40];

/// One vertex of what a client draws of an object, and how it goes on from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Knot {
    /// Tick of the source at which it holds.
    pub tick: Tick,
    /// Lattice numbers of the channel.
    pub place: [i64; 3],
    /// Velocity steps of the channel.
    pub velocity: [i32; 3],
    /// Heading in 256ths of a turn, counter-clockwise from x.
    pub yaw: u8,
    /// The heading is told by itself, not by the velocity.
    pub own_yaw: bool,
}

impl Knot {
    /// Metres from the world's origin at `tick`, before or after the knot's own, if nothing changes.
    pub fn metres_at(&self, channel: u8, tick: i64) -> [f64; 3] {
        let lattice = &LATTICES[usize::from(channel & 3)];
        let (place, mps) = (lattice.metres(self.place), lattice.mps(self.velocity));
        let seconds = tick.wrapping_sub(self.tick.0 as i64) as f64 / TICKS_PER_SECOND as f64;
        [place[0] + mps[0] * seconds, place[1] + mps[1] * seconds, place[2] + mps[2] * seconds]
    }

    /// Where a knot of `channel` at `tick` is expected after this one, which is in the numbers of `own`:
    /// the lattice number nearest to the continuation, halves upwards. Exact, so that every reader
    /// expects the same.
    #[inline]
    pub(super) fn expected(&self, own: u8, channel: u8, tick: Tick) -> [i64; 3] {
        let ticks = tick.0.wrapping_sub(self.tick.0) as i64;
        let moved = |n: usize| i64::from(self.velocity[n]).wrapping_mul(ticks);
        // In one lattice, a velocity step is a position step in 30 ticks on channel 0, in 75 on others.
        match (own, channel) {
            (0, 0) => [0, 1, 2].map(|n| self.place[n].wrapping_add(nearest::<30>(moved(n)))),
            (1, 1) | (2..4, 2..4) => [0, 1, 2].map(|n| self.place[n].wrapping_add(nearest::<75>(moved(n)))),
            _ => {
                let (step, speed) = (STEP_CM[usize::from(own & 3)], SPEED_CMPS[usize::from(own & 3)]);
                let per_second = TICKS_PER_SECOND as i64;
                let sixtieths = |n: usize| {
                    self.place[n].wrapping_mul(step * per_second).wrapping_add(moved(n).wrapping_mul(speed))
                };
                match channel & 3 {
                    0 => [0, 1, 2].map(|n| nearest::<300>(sixtieths(n))),
                    1 => [0, 1, 2].map(|n| nearest::<1500>(sixtieths(n))),
                    _ => [0, 1, 2].map(|n| nearest::<3000>(sixtieths(n))),
                }
            }
        }
    }
}

/// `number / DIVISOR`, rounded, halves upwards.
#[inline]
fn nearest<const DIVISOR: i64>(number: i64) -> i64 {
    number.wrapping_mul(2).wrapping_add(DIVISOR).div_euclid(2 * DIVISOR)
}
