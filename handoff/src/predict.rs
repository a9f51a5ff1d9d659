//! Which region an entity needs next, and how early somebody has to act.
//!
//! ```text
//!   poses ──▶ Predictor ── forecasts: region, when, how likely ──▶ Wanted ── Place, Prepare ──▶ director, owner
//!   cold starts ──▶ EnsureModel ── how early a region must be asked for ──────┘
//! ```
//!
//! Invariant: a forecast is only ever early, late or wrong, never harmful. It starts regions and
//! streams copies; where an entity is handed over its place alone decides. So a wrong one costs a copy,
//! a missing one a few steps beyond the border.

mod ensure;
mod wanted;

use std::time::Duration;

use horizon_model::{Pose, Position, RegionId, RegionMap, Tick};

pub use ensure::EnsureModel;
pub use wanted::{DEFAULT_PREPARE_WITHIN, Need, Policy, Wanted};

/// A body this far from where it was expected, in metres, jumped: what was learned about it is void.
pub const JUMP_METRES: f64 = 8.0;
/// Share of the fan that makes a forecast's time: fewer arcs say where, not yet when.
pub const LIKELY: f32 = 0.2;

/// Time constant of the estimated velocity.
const VELOCITY_MEMORY: f64 = 0.08;
/// Time constant of the estimated acceleration.
const ACCELERATION_MEMORY: f64 = 0.25;
/// Time constant of the estimated unrest.
const UNREST_MEMORY: f64 = 0.5;
/// Unrest of a body that nothing is known about, m/s²: a walker who makes up his mind.
const UNREST_AT_FIRST: f64 = 4.0;
/// Unrest of a body that moves evenly: even that one may turn.
const LEAST_UNREST: f64 = 1.0;
/// Unrest is believed up to here, about 3 g; more is noise.
const MOST_UNREST: f64 = 30.0;
/// Accelerations and turns are taken to last so long, seconds; then the body goes straight on.
const MANOEUVRE: f64 = 1.0;
/// A body slower than this, m/s, has no heading: it may start in any direction.
const SLOW: f64 = 0.5;
/// Points on one arc.
const STEPS: u32 = 16;
/// Deviations on the fan, in unrest, with their weights. Nine arcs: along × across.
const FAN: [(f64, f32); 3] = [(0.0, 0.5), (-1.0, 0.25), (1.0, 0.25)];

/// A region that an entity may enter.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Forecast {
    /// Which, never the one at home.
    pub region: RegionId,
    /// Time until a fifth of all arcs is there ([`LIKELY`]), or the earliest where fewer ever are.
    pub eta: Duration,
    /// Share of the arcs that enter it within the horizon, `0.0..=1.0`.
    pub likelihood: f32,
}

/// What is known about the motion of one entity.
#[derive(Debug, Clone, Default)]
pub struct Predictor {
    motion: Option<Motion>,
}

#[derive(Debug, Clone, Copy)]
struct Motion {
    tick: Tick,
    position: Position,
    velocity: [f64; 2],
    /// Forwards and to the left, m/s²: in an even turn both stay the same.
    acceleration: [f64; 2],
    /// How much the acceleration is off as a rule, m/s².
    unrest: f64,
}

impl Predictor {
    /// Nothing known yet.
    pub const fn new() -> Self {
        Self { motion: None }
    }

    /// Learns where the body was at `tick`. An older tick than the last one is ignored; a jump of more
    /// than [`JUMP_METRES`] from where the body was expected starts over.
    pub fn observe(&mut self, tick: Tick, pose: &Pose) {
        if !pose.is_finite() {
            return;
        }
        self.motion = match self.motion {
            Some(last) if tick <= last.tick => Some(last),
            Some(last) => Some(last.next(tick, pose).unwrap_or_else(|| Motion::fresh(tick, pose))),
            None => Some(Motion::fresh(tick, pose)),
        };
    }

    /// Estimated speed in metres per second, 0 while nothing is known.
    pub fn speed(&self) -> f64 {
        self.motion.map_or(0.0, |motion| length(motion.velocity))
    }

    /// The regions other than `home` that the body may enter within `horizon`, the soonest first.
    ///
    /// A body that is already in another region has that one at once and for certain.
    pub fn forecast(&self, map: &RegionMap, home: RegionId, horizon: Duration) -> Vec<Forecast> {
        let Some(motion) = self.motion else { return vec![] };
        let horizon = horizon.as_secs_f64();
        let bounds = map.bounds(home);
        let room = bounds.map_or(f64::NEG_INFINITY, |bounds| motion.room(bounds));
        if room > motion.greatest_reach(horizon) {
            return vec![];
        }
        let is_home = |[x, y]: [f64; 2]| {
            bounds.is_some_and(|(low, high)| low[0] <= x && x < high[0] && low[1] <= y && y < high[1])
        };
        let z = motion.position.metres()[2];
        let mut entries: Vec<(RegionId, f64, f32)> = vec![];
        for (along, along_weight) in FAN {
            for (across, across_weight) in FAN {
                let weight = along_weight * across_weight;
                let mut seen = [home; 4];
                let mut count = 1;
                if room > motion.reach(along, across, horizon) {
                    continue;
                }
                motion.arc(along, across, horizon, is_home, |at, [x, y]| {
                    let position = Position::from_metres([x, y, z]);
                    let Some(region) = position.and_then(|position| map.owner_of(&position)) else { return };
                    if count < seen.len() && !seen[..count].contains(&region) {
                        seen[count] = region;
                        count += 1;
                        entries.push((region, at, weight));
                    }
                });
            }
        }
        entries.sort_by(|a, b| (a.0, a.1).partial_cmp(&(b.0, b.1)).expect("times are finite"));
        let mut forecasts: Vec<_> = entries.chunk_by(|a, b| a.0 == b.0).map(forecast_of).collect();
        forecasts.sort_by_key(|forecast| (forecast.eta, forecast.region));
        forecasts
    }
}

/// One region's entries, in order of time.
fn forecast_of(entries: &[(RegionId, f64, f32)]) -> Forecast {
    let (region, earliest, _) = entries[0];
    let mut likelihood = 0.0;
    let mut eta = None;
    for &(_, at, weight) in entries {
        likelihood += weight;
        if likelihood >= LIKELY {
            eta.get_or_insert(at);
        }
    }
    Forecast {
        region,
        eta: Duration::from_secs_f64(eta.unwrap_or(earliest)),
        likelihood: f32::min(likelihood, 1.0),
    }
}

impl Motion {
    fn fresh(tick: Tick, pose: &Pose) -> Self {
        let [x, y, _] = pose.velocity;
        Self {
            tick,
            position: pose.position,
            velocity: [f64::from(x), f64::from(y)],
            acceleration: [0.0; 2],
            unrest: UNREST_AT_FIRST,
        }
    }

    /// The motion after a further observation, `None` after a jump.
    fn next(&self, tick: Tick, pose: &Pose) -> Option<Self> {
        let dt = Tick(tick.saturating_since(self.tick)).since_origin().as_secs_f64();
        let [dx, dy, _] = pose.position.since(&self.position);
        let expected = |axis: usize| self.velocity[axis] * dt;
        if length([dx - expected(0), dy - expected(1)]) > JUMP_METRES {
            return None;
        }
        // Where the body went says more than the velocity it claims.
        let measured = [dx / dt, dy / dt];
        let blend = |memory: f64| 1.0 - (-dt / memory).exp();
        let mut next = Self { tick, position: pose.position, ..*self };
        let change = blend(VELOCITY_MEMORY);
        next.velocity =
            [0, 1].map(|axis| self.velocity[axis] + change * (measured[axis] - self.velocity[axis]));
        let pushed = [0, 1].map(|axis| (next.velocity[axis] - self.velocity[axis]) / dt);
        let [fx, fy] = heading([0, 1].map(|axis| (next.velocity[axis] + self.velocity[axis]) / 2.0));
        let seen = [pushed[0] * fx + pushed[1] * fy, pushed[1] * fx - pushed[0] * fy];
        let surprise = [0, 1].map(|axis| seen[axis] - self.acceleration[axis]);
        let change = blend(ACCELERATION_MEMORY);
        next.acceleration = [0, 1].map(|axis| self.acceleration[axis] + change * surprise[axis]);
        let unrest = self.unrest + blend(UNREST_MEMORY) * (length(surprise) - self.unrest);
        next.unrest = unrest.clamp(LEAST_UNREST, MOST_UNREST);
        Some(next)
    }

    /// Metres to the nearest edge of a region with these corners; negative outside.
    fn room(&self, (low, high): ([f64; 2], [f64; 2])) -> f64 {
        let [x, y, _] = self.position.metres();
        (x - low[0]).min(high[0] - x).min(y - low[1]).min(high[1] - y)
    }

    /// Metres that no arc goes beyond: the cheap answer for nearly every body.
    fn greatest_reach(&self, horizon: f64) -> f64 {
        self.reach_with(length(self.acceleration) + 2.0 * self.unrest, horizon)
    }

    /// Metres that one arc does not go beyond.
    fn reach(&self, along: f64, across: f64, horizon: f64) -> f64 {
        self.reach_with(length(self.push(along, across)), horizon)
    }

    fn reach_with(&self, push: f64, horizon: f64) -> f64 {
        let pushed = horizon.min(MANOEUVRE);
        (length(self.velocity) + push * pushed) * horizon - push * pushed * pushed / 2.0
    }

    /// Forwards and to the left, m/s², on the arc that is off by so many times the unrest.
    fn push(&self, along: f64, across: f64) -> [f64; 2] {
        [self.acceleration[0] + along * self.unrest, self.acceleration[1] + across * self.unrest]
    }

    /// Visits the points of one arc outside of home, in metres from the world's origin: the estimated acceleration
    /// and turn rate, off by `along` and `across` times the unrest. Home is convex.
    fn arc(
        &self,
        along: f64,
        across: f64,
        horizon: f64,
        is_home: impl Fn([f64; 2]) -> bool,
        mut visit: impl FnMut(f64, [f64; 2]),
    ) {
        let mut visit = |at: f64, place: [f64; 2]| {
            if !is_home(place) {
                visit(at, place);
            }
        };
        let [faster, sideways] = self.push(along, across);
        let [x, y, _] = self.position.metres();
        let (mut v, mut place, mut before) = (self.velocity, [x, y], 0.0);
        visit(0.0, place);
        for step in 1..=STEPS {
            // Dense at first, where a decision is due, and wide where it is not.
            let at = horizon * (f64::from(step) / f64::from(STEPS)).powi(2);
            let (dt, push) = (at - before, (at.min(MANOEUVRE) - before).max(0.0));
            if push == 0.0 {
                // Straight on: nearly half of the points, and as a rule none of them is outside.
                let end = [0, 1].map(|axis| place[axis] + v[axis] * (horizon - before));
                if is_home(place) && is_home(end) {
                    return;
                }
                place = [0, 1].map(|axis| place[axis] + v[axis] * dt);
                before = at;
                visit(at, place);
                continue;
            }
            let size = length(v);
            let [fx, fy] = heading(v);
            let mut after =
                [v[0] + (fx * faster - fy * sideways) * push, v[1] + (fy * faster + fx * sideways) * push];
            if size > SLOW {
                // Sideways turns, it does not speed up.
                let scale = (size + faster * push).max(0.0) / length(after).max(SLOW);
                after = after.map(|axis| axis * scale);
            }
            place = [0, 1].map(|axis| place[axis] + (v[axis] + after[axis]) / 2.0 * dt);
            (v, before) = (after, at);
            visit(at, place);
        }
    }
}

/// The direction of `velocity`; along x for a body too slow to have one.
fn heading(velocity: [f64; 2]) -> [f64; 2] {
    let speed = length(velocity);
    if speed > SLOW { velocity.map(|axis| axis / speed) } else { [1.0, 0.0] }
}

fn length([x, y]: [f64; 2]) -> f64 {
    // `hypot` guards against an overflow that metres cannot reach, and takes several times as long.
    (x * x + y * y).sqrt()
}

#[cfg(test)]
mod tests;
