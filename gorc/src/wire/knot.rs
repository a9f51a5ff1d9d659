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
    pub(super) fn expected(&self, own: u8, channel: u8, tick: Tick) -> [i64; 3] {
        let ticks = tick.0.wrapping_sub(self.tick.0) as i64;
        let (from, to) = (usize::from(own & 3), usize::from(channel & 3));
        let (step, speed) = (STEP_CM[from] * TICKS_PER_SECOND as i64, SPEED_CMPS[from].wrapping_mul(ticks));
        let divisor = STEP_CM[to] * TICKS_PER_SECOND as i64;
        [0, 1, 2].map(|n: usize| {
            let sixtieths = self.place[n]
                .wrapping_mul(step)
                .wrapping_add(i64::from(self.velocity[n]).wrapping_mul(speed));
            sixtieths.wrapping_mul(2).wrapping_add(divisor).div_euclid(2 * divisor)
        })
    }
}
