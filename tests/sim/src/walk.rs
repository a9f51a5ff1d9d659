//! Where players go: over borders, around corners, and along recorded matches.

use std::time::Duration;

use horizon_load::trace::{Match, Track};
use horizon_model::{Pose, Position};

use crate::dice::Dice;

#[derive(Debug, Clone)]
pub(crate) enum Walk {
    /// To and fro through a place.
    Line { through: [f64; 2], along: [f64; 2], reach: f64, speed: f64 },
    /// Around a place.
    Ring { around: [f64; 2], radius: f64, speed: f64 },
    /// One body of a recording, between two of its respawns, to and fro in time.
    Recorded { track: Track, begins: Duration },
}

/// Stretches of recordings shorter than this are left out.
const SHORTEST: Duration = Duration::from_secs(8);

/// The stretches of a recording that somebody can walk.
pub(crate) fn stretches(recording: &Match) -> Vec<Track> {
    let long = |track: &Track| {
        let (first, last) = (track.samples.first(), track.samples.last());
        first.zip(last).is_some_and(|(first, last)| last.at - first.at >= SHORTEST)
    };
    let bodies = recording.tracks.iter().filter(|track| track.body != 0);
    bodies.flat_map(Track::split_at_jumps).filter(long).collect()
}

impl Walk {
    /// Something near the borders, which cross at the origin.
    pub(crate) fn draw(dice: &mut Dice, columns: u32) -> Self {
        let speed = 7.0 + dice.below(70) as f64 / 10.0;
        let beside = dice.below(400) as f64 / 10.0 - 20.0;
        // The third column of regions has a border of its own.
        let x = if columns == 3 && dice.chance(300) { 100.0 } else { 0.0 };
        match dice.below(4) {
            0 => Self::Ring { around: [x, 0.0], radius: 5.0 + dice.below(60) as f64 / 10.0, speed },
            1 => {
                let (through, along) = ([beside + x, 0.0], [0.0, 1.0]);
                Self::Line { through, along, reach: 4.0 + dice.below(60) as f64 / 10.0, speed }
            }
            2 => {
                let (through, along) = ([x, beside], [1.0, 0.0]);
                Self::Line { through, along, reach: 4.0 + dice.below(60) as f64 / 10.0, speed }
            }
            _ => {
                let half = std::f64::consts::FRAC_1_SQRT_2;
                let along = if dice.chance(500) { [half, half] } else { [half, -half] };
                Self::Line { through: [x, 0.0], along, reach: 6.0 + dice.below(80) as f64 / 10.0, speed }
            }
        }
    }

    pub(crate) fn recorded(dice: &mut Dice, stretches: &[Track]) -> Option<Self> {
        if stretches.is_empty() {
            return None;
        }
        let track = stretches[dice.below(stretches.len() as u64) as usize].clone();
        let length = track.samples.last()?.at - track.samples.first()?.at;
        Some(Self::Recorded { track, begins: Duration::from_millis(dice.below(length.as_millis() as u64)) })
    }

    /// Where somebody is after walking for that long.
    pub(crate) fn pose(&self, elapsed: Duration) -> Pose {
        let seconds = elapsed.as_secs_f64();
        let (metres, velocity) = match self {
            Self::Line { through, along, reach, speed } => {
                let lap = (speed * seconds).rem_euclid(4.0 * reach);
                let (way, sign) = match lap / reach {
                    part if part < 1.0 => (lap, 1.0),
                    part if part < 3.0 => (2.0 * reach - lap, -1.0),
                    _ => (lap - 4.0 * reach, 1.0),
                };
                let at = [through[0] + along[0] * way, through[1] + along[1] * way, 1.0];
                (at, [along[0] * speed * sign, along[1] * speed * sign, 0.0])
            }
            Self::Ring { around, radius, speed } => {
                let angle = speed / radius * seconds;
                let at = [around[0] + radius * angle.cos(), around[1] + radius * angle.sin(), 1.0];
                (at, [-speed * angle.sin(), speed * angle.cos(), 0.0])
            }
            Self::Recorded { track, begins } => {
                let first = track.samples.first().map_or(Duration::ZERO, |sample| sample.at);
                let last = track.samples.last().map_or(Duration::ZERO, |sample| sample.at);
                let length = (last - first).as_micros().max(1);
                let lap = (elapsed + *begins).as_micros() % (2 * length);
                let (into, sign) = if lap < length { (lap, 1.0) } else { (2 * length - lap, -1.0) };
                let at = first + Duration::from_micros(into as u64);
                let index = track.samples.partition_point(|sample| sample.at <= at).saturating_sub(1);
                let here = &track.samples[index];
                let next = track.samples.get(index + 1).unwrap_or(here);
                let span = (next.at - here.at).as_secs_f64().max(0.001);
                let part = ((at.saturating_sub(here.at)).as_secs_f64() / span).clamp(0.0, 1.0);
                let metres: [f64; 3] = std::array::from_fn(|axis| {
                    here.position[axis] + (next.position[axis] - here.position[axis]) * part
                });
                (metres, here.velocity.map(|speed| f64::from(speed) * sign))
            }
        };
        let position = Position::from_metres(metres).expect("walks stay near the origin");
        Pose { position, velocity: velocity.map(|speed| speed as f32), yaw: 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The plugin `movement` grants 30 m/s on average.
    #[test]
    fn nobody_runs() {
        let stretches = stretches(&Match::sample());
        assert!(stretches.len() >= 8, "{} stretches", stretches.len());
        let mut dice = Dice::new(7);
        for number in 0..200 {
            let walk = if number % 4 == 0 {
                Walk::recorded(&mut dice, &stretches).expect("there are some")
            } else {
                Walk::draw(&mut dice, 2)
            };
            let mut before = walk.pose(Duration::ZERO);
            for half in 1..120_u64 {
                let now = walk.pose(Duration::from_millis(500 * half));
                let metres = now.position.distance(&before.position);
                assert!(metres < 14.0, "{metres} m in half a second: {walk:?}");
                before = now;
            }
        }
    }
}
