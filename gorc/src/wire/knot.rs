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
        let [vx, vy, vz] = self.velocity;
        let moved = [
            i64::from(vx).wrapping_mul(ticks),
            i64::from(vy).wrapping_mul(ticks),
            i64::from(vz).wrapping_mul(ticks),
        ];
        // In one lattice, a velocity step is a position step in 30 ticks on channel 0, in 75 on others.
        match (own, channel) {
            (0, 0) => advanced::<30>(self.place, moved),
            (1, 1) | (2..4, 2..4) => advanced::<75>(self.place, moved),
            _ => self.expected_elsewhere(own, channel, moved),
        }
    }

    #[cold]
    fn expected_elsewhere(&self, own: u8, channel: u8, moved: [i64; 3]) -> [i64; 3] {
        let own = usize::from(own & 3);
        let step = STEP_CM[own] * TICKS_PER_SECOND as i64;
        let sixtieths = [0, 1, 2].map(|n: usize| {
            self.place[n].wrapping_mul(step).wrapping_add(moved[n].wrapping_mul(SPEED_CMPS[own]))
        });
        match channel & 3 {
            0 => advanced::<300>([0; 3], sixtieths),
            1 => advanced::<1500>([0; 3], sixtieths),
            _ => advanced::<3000>([0; 3], sixtieths),
        }
    }
}

/// `place` and `by / DIVISOR` more, rounded, halves upwards.
#[inline]
fn advanced<const DIVISOR: i64>(place: [i64; 3], by: [i64; 3]) -> [i64; 3] {
    let axis = |n: usize| {
        let whole = by[n].wrapping_mul(2).wrapping_add(DIVISOR).div_euclid(2 * DIVISOR);
        place[n].wrapping_add(whole)
    };
    [axis(0), axis(1), axis(2)]
}
