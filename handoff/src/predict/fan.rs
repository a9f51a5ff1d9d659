//! The fan of arcs that a body may take: nine of them side by side, and which regions they enter when.
//!
//! ```text
//!             ╭── faster, to the left        each arc: 16 points, dense at first,
//!   body ─────┼── as it moves now            turning for a second, then straight on
//!             ╰── slower, to the right
//! ```
//!
//! Metres are single precision and counted from the body, exact to a tenth of a millimetre. Arcs lie side by side in
//! memory, so that the compiler treats four at once. Invariant: what is left out for being quick would not have
//! changed the answer.

use horizon_model::{Position, RegionId, RegionMap};

/// Arcs of the fan: along × across, each off by no unrest or by one to either side.
const ARCS: usize = 9;
/// Points on one arc, beside the one where the body is.
const STEPS: usize = 16;
/// Of [`WHOLE`]; the likely arcs come first.
const WEIGHTS: [u8; ARCS] = [4, 2, 2, 2, 2, 1, 1, 1, 1];
/// What all arcs weigh.
const WHOLE: u8 = 16;
/// Nine arcs, and three that fill the third vector of four.
const LANES: usize = 12;
/// How far each arc is off, in unrest.
const ALONG: Lanes = [0.0, 0.0, 0.0, -1.0, 1.0, -1.0, -1.0, 1.0, 1.0, 0.0, 0.0, 0.0];
const ACROSS: Lanes = [0.0, -1.0, 1.0, 0.0, 0.0, -1.0, 1.0, -1.0, 1.0, 0.0, 0.0, 0.0];
/// Accelerations and turns are taken to last so long, seconds; then the body goes straight on.
const MANOEUVRE: f32 = 1.0;
/// A body slower than this, m/s, has no heading: it may start in any direction.
const SLOW: f32 = super::SLOW as f32;
/// Regions that one arc is followed through.
const PER_ARC: u32 = 3;
/// Regions that a fan names. Likely arcs are followed first, so what goes beyond is improbable.
pub(super) const MAX_ENTERED: usize = 8;

type Lanes = [f32; LANES];

/// How a body moves, in the units of the fan.
#[derive(Debug, Clone, Copy)]
pub(super) struct Motion {
    /// m/s along x and y.
    pub velocity: [f32; 2],
    /// Forwards and to the left, m/s².
    pub acceleration: [f32; 2],
    /// How much the acceleration may be off, m/s².
    pub unrest: f32,
}

/// A rectangle in metres from the body: the lower edges belong to it, the upper ones do not.
#[derive(Debug, Clone, Copy)]
pub(super) struct Area {
    low: [f32; 2],
    high: [f32; 2],
}

/// When the points of the arcs are reached.
#[derive(Debug, Clone, Copy)]
struct Times {
    /// Seconds from now; the first is 0.
    at: [f32; STEPS + 1],
    /// The last point that is reached turning.
    turned: usize,
}

/// The points of all arcs, each as far as it was asked for.
#[derive(Debug)]
struct Points {
    x: [Lanes; STEPS + 1],
    y: [Lanes; STEPS + 1],
    /// At the last point so far.
    velocity: [Lanes; 2],
    /// Of this velocity.
    speed: Lanes,
}

/// A region that arcs enter.
#[derive(Debug, Clone, Copy)]
struct Entered {
    region: RegionId,
    area: Area,
    /// Of the arcs that enter it at each point.
    weights: [u8; STEPS + 1],
}

/// The regions that a fan enters, in the order in which they were found.
#[derive(Debug)]
pub(super) struct Entries {
    entered: [Entered; MAX_ENTERED],
    len: usize,
    times: Times,
}

/// Where arcs are followed.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    /// Who owns what.
    pub map: &'a RegionMap,
    /// The region that is left.
    pub home: RegionId,
    /// [`Area::of`] it.
    pub area: Area,
    /// The body, metres from the world's origin.
    pub body: [f64; 3],
}

impl Area {
    /// Holds nothing.
    const NOWHERE: Self = Self { low: [f32::INFINITY; 2], high: [f32::NEG_INFINITY; 2] };

    /// The rectangle of `region` as seen from `body`; of a region that is not on the map, none.
    pub(super) fn of(map: &RegionMap, region: RegionId, body: [f64; 3]) -> Self {
        map.bounds(region).map_or(Self::NOWHERE, |(low, high)| Self {
            low: [(low[0] - body[0]) as f32, (low[1] - body[1]) as f32],
            high: [(high[0] - body[0]) as f32, (high[1] - body[1]) as f32],
        })
    }

    /// Metres from the body to the nearest edge; negative outside.
    pub(super) fn room(&self) -> f32 {
        (-self.low[0]).min(self.high[0]).min(-self.low[1]).min(self.high[1])
    }

    fn holds(&self, [x, y]: [f32; 2]) -> bool {
        (self.low[0] <= x) & (x < self.high[0]) & (self.low[1] <= y) & (y < self.high[1])
    }
}

impl Times {
    fn until(horizon: f32) -> Self {
        let mut at = [0.0; STEPS + 1];
        for (step, at) in at.iter_mut().enumerate() {
            // Dense at first, where a decision is due, and wide where it is not.
            let share = step as f32 / STEPS as f32;
            *at = horizon * (share * share);
        }
        let turned = at[..STEPS].iter().filter(|at| **at < MANOEUVRE).count();
        Self { at, turned }
    }
}

impl Motion {
    /// Metres that no arc goes beyond within `horizon` seconds: the cheap answer for nearly every body.
    pub(super) fn greatest_reach(&self, horizon: f32) -> f32 {
        let push = length(self.acceleration) + 2.0 * self.unrest;
        let pushed = horizon.min(MANOEUVRE);
        let reach = (length(self.velocity) + push * pushed) * horizon - push * pushed * pushed / 2.0;
        // More than all rounding on the way.
        reach * 1.0001 + 0.001
    }

    /// What the fan enters within `horizon` seconds.
    pub(super) fn entries(&self, place: &Place<'_>, horizon: f32) -> Entries {
        let mut entries = Entries::none(horizon);
        let times = entries.times;
        let mut points = Points::at_the_body(self.velocity);
        points.turn(self, &times);
        if points.stay_in(&place.area, &times) {
            return entries;
        }
        points.go_straight(&times);
        let left = points.left(&place.area);
        for (arc, first) in left.into_iter().enumerate().take(ARCS) {
            entries.follow(place, &points, arc, first);
        }
        entries
    }
}

impl Points {
    fn at_the_body(velocity: [f32; 2]) -> Self {
        Self {
            x: [[0.0; LANES]; STEPS + 1],
            y: [[0.0; LANES]; STEPS + 1],
            velocity: velocity.map(|axis| [axis; LANES]),
            speed: [length(velocity); LANES],
        }
    }

    /// As long as the manoeuvre lasts: the estimated acceleration and turn rate, off by each arc's share of the unrest.
    fn turn(&mut self, motion: &Motion, times: &Times) {
        let forwards = ALONG.map(|share| motion.acceleration[0] + share * motion.unrest);
        let left = ACROSS.map(|share| motion.acceleration[1] + share * motion.unrest);
        // Copies, and loops without a branch: otherwise the compiler does one lane after the other.
        let ([mut vx, mut vy], mut speed) = (self.velocity, self.speed);
        let (mut x, mut y) = (self.x[0], self.y[0]);
        for step in 1..=times.turned {
            let before = times.at[step - 1];
            let half = (times.at[step] - before) / 2.0;
            let push = times.at[step].min(MANOEUVRE) - before;
            for lane in 0..LANES {
                let (faster, sideways) = (forwards[lane] * push, left[lane] * push);
                let moves = speed[lane] > SLOW;
                let inverse = 1.0 / above(speed[lane], SLOW);
                let fx = if moves { vx[lane] * inverse } else { 1.0 };
                let fy = if moves { vy[lane] * inverse } else { 0.0 };
                let ax = vx[lane] + fx * faster - fy * sideways;
                let ay = vy[lane] + fy * faster + fx * sideways;
                let size = length([ax, ay]);
                // Sideways turns, it does not speed up.
                let kept = above(speed[lane] + faster, 0.0) / above(size, SLOW);
                let scale = if moves { kept } else { 1.0 };
                let (ax, ay) = (ax * scale, ay * scale);
                x[lane] += (vx[lane] + ax) * half;
                y[lane] += (vy[lane] + ay) * half;
                vx[lane] = ax;
                vy[lane] = ay;
                speed[lane] = size * scale;
            }
            self.x[step] = x;
            self.y[step] = y;
        }
        (self.velocity, self.speed) = ([vx, vy], speed);
    }

    /// Whether every arc stays in `area` to its end: all points of the turn are inside, and so is the end of the
    /// straight line. A line between two places in a rectangle does not leave it.
    fn stay_in(&self, area: &Area, times: &Times) -> bool {
        let turned = times.turned;
        let rest = times.at[STEPS] - times.at[turned];
        let mut inside = [1.0_f32; LANES];
        for (x, y) in self.x[..=turned].iter().zip(&self.y[..=turned]) {
            for lane in 0..LANES {
                let holds = area.holds([x[lane], y[lane]]);
                inside[lane] = if holds { inside[lane] } else { 0.0 };
            }
        }
        let [vx, vy] = &self.velocity;
        for lane in 0..LANES {
            let end = [self.x[turned][lane] + vx[lane] * rest, self.y[turned][lane] + vy[lane] * rest];
            inside[lane] = if area.holds(end) { inside[lane] } else { 0.0 };
        }
        inside.iter().sum::<f32>() == LANES as f32
    }

    /// The points after the manoeuvre.
    fn go_straight(&mut self, times: &Times) {
        let turned = times.turned;
        let (x, y, [vx, vy]) = (self.x[turned], self.y[turned], self.velocity);
        for step in turned + 1..=STEPS {
            let since = times.at[step] - times.at[turned];
            for lane in 0..LANES {
                self.x[step][lane] = x[lane] + vx[lane] * since;
                self.y[step][lane] = y[lane] + vy[lane] * since;
            }
        }
    }

    /// The first point of each arc outside of `area`; beyond the last where there is none.
    fn left(&self, area: &Area) -> [usize; LANES] {
        let (mut inside, mut count) = ([1.0_f32; LANES], [0.0_f32; LANES]);
        for (x, y) in self.x.iter().zip(&self.y) {
            for lane in 0..LANES {
                inside[lane] = if area.holds([x[lane], y[lane]]) { inside[lane] } else { 0.0 };
                count[lane] += inside[lane];
            }
        }
        count.map(|count| count as usize)
    }

    fn on(&self, arc: usize, step: usize) -> [f32; 2] {
        [self.x[step][arc], self.y[step][arc]]
    }
}

impl Entries {
    fn none(horizon: f32) -> Self {
        let nobody = Entered { region: RegionId(0), area: Area::NOWHERE, weights: [0; STEPS + 1] };
        Self { entered: [nobody; MAX_ENTERED], len: 0, times: Times::until(horizon) }
    }

    /// Each region with what the arcs that enter it weigh in all, `0.0..=1.0`, and seconds until arcs of `weight` or more
    /// have entered it, or the first where they never weigh so much.
    pub(super) fn each(&self, weight: f32) -> impl Iterator<Item = (RegionId, f32, f32)> {
        let share = |weight: u8| f32::from(weight) / f32::from(WHOLE);
        self.entered[..self.len].iter().map(move |entered| {
            let (mut sum, mut first, mut due) = (0, None, None);
            for (weights, at) in
                entered.weights.iter().zip(&self.times.at).filter(|(weights, _)| **weights > 0)
            {
                sum += weights;
                first = first.or(Some(*at));
                due = due.or((share(sum) >= weight).then_some(*at));
            }
            (entered.region, share(sum), due.or(first).unwrap_or_default())
        })
    }

    /// Notes the regions on one arc from the point `first` on.
    fn follow(&mut self, place: &Place<'_>, points: &Points, arc: usize, first: usize) {
        let (mut step, mut seen) = (first, 0_u32);
        while step <= STEPS && seen.count_ones() < PER_ARC {
            let Some(index) = self.index_of(place, points.on(arc, step)) else {
                step += 1;
                continue;
            };
            let entered = &mut self.entered[index];
            if seen & (1 << index) == 0 {
                seen |= 1 << index;
                entered.weights[step] += WEIGHTS[arc];
            }
            if step >= self.times.turned && entered.area.holds(points.on(arc, STEPS)) {
                return;
            }
            step += 1;
            while step <= STEPS && entered.area.holds(points.on(arc, step)) {
                step += 1;
            }
        }
    }

    /// The row of the region at a point, a new one where it was not known. `None` at home, where nobody is, and in a
    /// region too many.
    fn index_of(&mut self, place: &Place<'_>, point: [f32; 2]) -> Option<usize> {
        if place.area.holds(point) {
            return None;
        }
        if let Some(index) = self.entered[..self.len].iter().position(|entered| entered.area.holds(point)) {
            return Some(index);
        }
        let [x, y, z] = place.body;
        let position = Position::from_metres([x + f64::from(point[0]), y + f64::from(point[1]), z])?;
        let region = place.map.owner_of(&position).filter(|region| *region != place.home)?;
        // Beside an edge, rounding says one thing to the rectangle and another to the map.
        if let Some(index) = self.entered[..self.len].iter().position(|entered| entered.region == region) {
            return Some(index);
        }
        let index = self.len;
        let row = self.entered.get_mut(index)?;
        *row = Entered { region, area: Area::of(place.map, region, place.body), weights: [0; STEPS + 1] };
        self.len += 1;
        Some(index)
    }
}

/// The greater one, without the care for numbers that are none.
fn above(value: f32, least: f32) -> f32 {
    if value > least { value } else { least }
}

fn length([x, y]: [f32; 2]) -> f32 {
    (x * x + y * y).sqrt()
}

#[cfg(test)]
mod tests;
