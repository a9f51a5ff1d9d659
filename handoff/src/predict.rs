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
mod fan;
mod wanted;

use std::ops::Deref;
use std::time::Duration;

use horizon_model::{Pose, Position, RegionId, RegionMap, Tick};

pub use ensure::EnsureModel;
use fan::{Area, Place};
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
/// A body slower than this, m/s, has no heading: it may start in any direction.
const SLOW: f64 = 0.5;

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

    /// The regions other than `home` that the body may enter within `horizon`, the soonest first; eight at most.
    ///
    /// A body that is already in another region has that one at once and for certain.
    pub fn forecast(&self, map: &RegionMap, home: RegionId, horizon: Duration) -> Forecasts {
        let mut forecasts = Forecasts::default();
        let Some(motion) = &self.motion else { return forecasts };
        let (body, horizon) = (motion.position.metres(), horizon.as_secs_f32());
        let place = Place { map, home, area: Area::of(map, home, body), body };
        let fan = motion.fan();
        if place.area.room() > fan.greatest_reach(horizon) {
            return forecasts;
        }
        for (region, likelihood, seconds) in fan.entries(&place, horizon).each(LIKELY) {
            forecasts.push(Forecast { region, eta: duration(seconds), likelihood });
        }
        forecasts.soonest_first();
        forecasts
    }
}

/// What [`Predictor::forecast`] says; a slice of [`Forecast`].
#[derive(Debug, Clone, Copy)]
pub struct Forecasts {
    list: [Forecast; fan::MAX_ENTERED],
    len: usize,
}

impl Forecasts {
    fn push(&mut self, forecast: Forecast) {
        self.list[self.len] = forecast;
        self.len += 1;
    }

    fn soonest_first(&mut self) {
        self.list[..self.len].sort_unstable_by_key(|forecast| (forecast.eta, forecast.region));
    }
}

impl Default for Forecasts {
    fn default() -> Self {
        let none = Forecast { region: RegionId(0), eta: Duration::ZERO, likelihood: 0.0 };
        Self { list: [none; fan::MAX_ENTERED], len: 0 }
    }
}

impl Deref for Forecasts {
    type Target = [Forecast];

    fn deref(&self) -> &[Forecast] {
        &self.list[..self.len]
    }
}

/// Whole microseconds, which is more than a forecast knows.
fn duration(seconds: f32) -> Duration {
    Duration::from_micros((seconds * 1e6) as u64)
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

    fn fan(&self) -> fan::Motion {
        let single = |axes: [f64; 2]| axes.map(|axis| axis as f32);
        fan::Motion {
            velocity: single(self.velocity),
            acceleration: single(self.acceleration),
            unrest: self.unrest as f32,
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
