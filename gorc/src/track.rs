//! Where an object lately was, and the curve that clients draw of it on each channel.
//!
//! ```text
//!   step      s = now - delay          hi = s + period       newest
//!   ───────────┼──────────────────────────┼──────────────────────┤
//!   drawn      │ will be drawn before the │ known here, not yet  │
//!              │ next chance to tell      │ needed by any client │
//! ```
//!
//! At each chance of a channel the continuation of its last knot is compared with the samples up to
//! `hi`. While it keeps within the bound nothing is told. When it would not, the furthest knot is chosen
//! to which a straight line keeps within the bound: dead reckoning (IEEE 1278.1, section on dead
//! reckoning) with the look-ahead that the delay of interpolation gives, which makes it the swinging
//! door of process recorders (Bristol, 1990) where a client is behind by more than one period.
//!
//! Invariant: after the frame of step `now`, the curve of every channel is within its bound at every
//! step up to `now - delay`, if all samples up to there are known and its knots were told.

use crate::cadence;
use crate::load::Relief;
use crate::registry::Pace;
use crate::wire::{Knot, LATTICES, quantise_yaw};
use horizon_model::{Tick, TickRate};

/// Steps that are remembered: at least the longest delay at 60 Hz.
pub(crate) const RING: usize = 64;
/// Steps after which what stands still is told exactly on the two inner channels.
const SETTLE: i64 = 8;
/// Radians between heading and velocity below which the velocity says the heading, by channel.
const HEADING: [f32; 2] = [0.08, 0.17];
/// Metres per second of climb that are left out, by channel: a byte less where it hardly shows.
const CLIMB_MPS: [f64; 4] = [0.0, 0.3, 0.7, 0.7];
/// Knots that are tried before the nearest is taken.
const TRIES: i64 = 6;

/// A knot was made on channel `n`: bit `n` of what [`Track::run`] returns; and it is a snap: bit `4 + n`.
pub(crate) type Made = u8;

/// Where the object was at one step, in metres from the origin of the index.
#[derive(Debug, Clone, Copy, Default)]
struct Past {
    at: [f32; 3],
    yaw: f32,
}

/// The curve of one channel beyond its last knot.
#[derive(Debug, Clone, Copy, Default)]
struct Course {
    /// Step of the last knot.
    knot: i64,
    at: [f32; 3],
    /// Metres per step.
    velocity: [f32; 3],
    yaw: f32,
    /// Newest step at which the curve is known to keep within the bound.
    checked: i64,
    /// Next chance.
    next: i64,
}

impl Course {
    fn at(&self, step: i64) -> [f32; 3] {
        let dt = (step - self.knot) as f32;
        [0, 1, 2].map(|axis| self.at[axis] + self.velocity[axis] * dt)
    }
}

/// What a new knot of a channel must do.
#[derive(Debug, Clone, Copy)]
struct Line {
    /// Where the curve is at `start`, the newest step that may have been drawn.
    from: [f32; 3],
    start: i64,
    /// First step at which the curve as told would be too far off.
    bad: i64,
    /// Last step before the next chance can help.
    hi: i64,
    /// Newest step that may be told.
    upper: i64,
    /// Metres.
    bound: f32,
}

/// What stays the same for all tracks of a step.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Clock {
    pub(crate) now: i64,
    pub(crate) rate: TickRate,
    /// The rate of the world, by which clients draw and lags are told.
    pub(crate) world: TickRate,
    /// What each channel gives up.
    pub(crate) relief: [Relief; 4],
    /// Whether what moves as foretold is left out.
    pub(crate) suppress: bool,
    /// Metres of the origin of the index from that of the world.
    pub(crate) origin: [f64; 3],
}

/// The recent past of one object and its four curves.
#[derive(Debug)]
pub(crate) struct Track {
    ring: [Past; RING],
    /// Step of the newest sample, or up to which the object is taken to stand.
    newest: i64,
    /// Step of the newest sample that came.
    heard: i64,
    /// The newest sample was as the one before.
    stands: bool,
    /// Newest step that stands in the ring.
    written: i64,
    /// Oldest step that belongs to the present stretch.
    oldest: i64,
    /// Step since which nothing changed.
    still_since: i64,
    /// Slots of the ring that were reached by a jump.
    jumped: u64,
    /// Nothing will be told before the next change.
    quiet: bool,
    courses: [Course; 4],
    knots: [Knot; 4],
}

impl Track {
    /// A track that begins at `step`. `velocity` is in metres per second.
    pub(crate) fn new(step: i64, at: [f32; 3], yaw: f32, velocity: [f32; 3], clock: &Clock) -> Self {
        let mut ring = [Past::default(); RING];
        ring[slot(step)] = Past { at, yaw };
        let mut track = Self {
            ring,
            newest: step,
            heard: step,
            stands: false,
            written: step,
            oldest: step,
            still_since: step,
            jumped: 0,
            quiet: false,
            courses: [Course::default(); 4],
            knots: [Knot { tick: Tick(0), place: [0; 3], velocity: [0; 3], yaw: 0, own_yaw: true }; 4],
        };
        let per_step = velocity.map(|axis| axis / clock.rate.hz() as f32);
        for channel in 0..4 {
            track.tie(channel, step, per_step, clock);
            track.courses[channel].checked = step;
            track.knots[channel].own_yaw = true;
            track.knots[channel].yaw = quantise_yaw(yaw);
        }
        track
    }

    pub(crate) fn is_quiet(&self) -> bool {
        self.quiet
    }

    /// The last knot of a channel.
    pub(crate) fn knot(&self, channel: usize) -> &Knot {
        &self.knots[channel]
    }

    /// Moves the origin of all coordinates by `by` metres.
    pub(crate) fn rebase(&mut self, by: [f64; 3]) {
        let shift = |at: &mut [f32; 3]| {
            for axis in 0..3 {
                at[axis] = (f64::from(at[axis]) + by[axis]) as f32;
            }
        };
        self.ring.iter_mut().for_each(|past| shift(&mut past.at));
        self.courses.iter_mut().for_each(|course| shift(&mut course.at));
    }

    /// The newest sample is as the one before.
    pub(crate) fn stand(&mut self, step: i64) {
        if step <= self.heard {
            return;
        }
        (self.heard, self.stands) = (step, true);
        self.go_on(step);
    }

    /// The newest sample is where it came to stand.
    pub(crate) fn rest(&mut self) {
        self.stands = true;
    }

    /// Metres of the last step.
    pub(crate) fn last_step(&self) -> [f32; 3] {
        if self.quiet || self.is_jump(self.newest) {
            [0.0; 3]
        } else {
            self.slope(self.newest - 1, self.newest)
        }
    }

    /// Where it was at a step that is remembered with the one before it, and metres of that step.
    pub(crate) fn past(&self, step: i64) -> Option<([f32; 3], [f32; 3])> {
        if step <= self.oldest || step > self.written || self.is_jump(step) {
            return None;
        }
        Some((self.ring[slot(step)].at, self.slope(step - 1, step)))
    }

    /// Of what its owner last told that it stands nothing is heard before it moves.
    pub(crate) fn assume(&mut self, step: i64) {
        if self.stands {
            self.go_on(step);
        }
    }

    fn go_on(&mut self, step: i64) {
        if step > self.newest {
            self.newest = step;
            if !self.quiet {
                self.fill(step, self.ring[slot(self.written)]);
            }
        }
    }

    /// Takes the newest sample, unless there is one for its step; `snap`: nothing lies between the last one and this.
    pub(crate) fn sample(&mut self, step: i64, at: [f32; 3], yaw: f32, snap: bool) -> bool {
        if step <= self.heard {
            return false;
        }
        if step <= self.newest {
            // It was taken to stand and had moved already.
            self.newest = step - 1;
            self.written = self.written.min(step - 1);
            self.courses.iter_mut().for_each(|course| course.checked = course.checked.min(step - 1));
        }
        (self.heard, self.stands) = (step, false);
        let last = self.ring[slot(self.written)];
        // What stood still did so up to the sample before this one.
        let before = if self.quiet { step - 1 } else { self.newest };
        self.fill(before, last);
        let missing = step - before;
        for n in 1..missing.min(RING as i64) {
            let past = if snap { last } else { between(&last, at, yaw, n as f32 / missing as f32) };
            self.put(before + n, past, false);
        }
        if missing >= RING as i64 {
            self.oldest = step;
        }
        self.put(step, Past { at, yaw }, snap);
        (self.newest, self.written, self.still_since) = (step, step, step);
        self.oldest = self.oldest.max(step - RING as i64 + 1);
        self.quiet = false;
        true
    }

    fn put(&mut self, step: i64, past: Past, snap: bool) {
        let slot = slot(step);
        self.ring[slot] = past;
        self.jumped = self.jumped & !(1 << slot) | u64::from(snap) << slot;
    }

    fn is_jump(&self, step: i64) -> bool {
        self.jumped >> slot(step) & 1 != 0
    }

    /// The jumps that are remembered of the steps after `from` up to `to`.
    fn jumps(&self, from: i64, to: i64) -> impl DoubleEndedIterator<Item = i64> {
        let first = if self.jumped == 0 { to + 1 } else { from.max(self.oldest) + 1 };
        (first..=to).filter(|step| self.is_jump(*step))
    }

    /// Writes `past` up to `step`.
    fn fill(&mut self, step: i64, past: Past) {
        let first = (self.written + 1).max(step - RING as i64 + 1);
        for n in first..=step {
            self.put(n, past, false);
        }
        self.written = self.written.max(step);
        self.oldest = self.oldest.max(step - RING as i64 + 1);
    }

    /// Gives every channel whose chance has come a knot if it needs one.
    pub(crate) fn run(&mut self, clock: &Clock, paces: &[Pace; 4], entity: u64) -> Made {
        let mut made = 0;
        let mut needed = false;
        for (channel, pace) in paces.iter().enumerate() {
            if clock.now >= self.courses[channel].next {
                self.courses[channel].next = next_chance(clock, pace, entity, channel);
                made |= self.chance(channel, clock, pace);
            }
            needed |= self.courses[channel].velocity != [0.0; 3]
                || self.courses[channel].checked < self.still_since;
        }
        let still = clock.now - self.still_since;
        self.quiet = !needed && still > RING as i64 && self.newest >= clock.now - RING as i64;
        made
    }

    fn chance(&mut self, channel: usize, clock: &Clock, pace: &Pace) -> Made {
        let course = self.courses[channel];
        let bound = pace.bound * clock.relief[channel].wide;
        if !clock.suppress {
            if self.newest > course.knot && (self.still_since > course.knot || course.velocity != [0.0; 3]) {
                let snap = self.jumps(course.knot, self.newest).next().is_some();
                let velocity = if snap { [0.0; 3] } else { self.slope(self.newest - 1, self.newest) };
                self.tie(channel, self.newest, velocity, clock);
                self.courses[channel].checked = self.newest;
                return (1 | u8::from(snap) << 4) << channel;
            }
            return 0;
        }
        let upper = self.written.min(self.newest);
        let hi = (clock.now + pace.period - pace.delay).min(upper);
        let mut step = (course.checked + 1).max(self.oldest);
        let (jump, last_jump) =
            (self.jumps(course.knot, upper).next(), self.jumps(course.knot, hi).next_back());
        let limit = jump.map_or(hi, |jump| jump - 1);
        while step <= hi.min(limit) {
            let past = &self.ring[slot(step)];
            if squared(&course.at(step), &past.at) > bound * bound
                || turn(course.yaw, past.yaw).abs() > pace.yaw_bound
            {
                break;
            }
            step += 1;
        }
        // One knot a chance: of several jumps that are to be drawn before the next, the last.
        if let Some(jump) = last_jump {
            let until = self.jumps(jump, upper).next().map_or(upper, |next| next - 1);
            self.tie(channel, jump, self.slope(jump, until.min(jump + 2)), clock);
            self.courses[channel].checked = jump;
            return 0x11 << channel;
        }
        if step > hi {
            self.courses[channel].checked = hi.max(course.checked);
            return self.settle(channel, clock, pace, upper);
        }
        if step > limit {
            return 0;
        }
        let upper = jump.map_or(upper, |jump| upper.min(jump - 1));
        let start = (clock.now - pace.delay).max(course.knot);
        let line = Line { from: course.at(start), start, bad: step, hi, upper, bound };
        let knot = self.furthest(channel, &line, pace, clock);
        self.tie(channel, knot, self.velocity_at(knot, upper, pace), clock);
        self.courses[channel].checked = knot;
        1 << channel
    }

    /// The furthest step to which the line keeps within the bound, and from which its continuation does
    /// up to `hi`; where there is none, the nearest.
    fn furthest(&self, channel: usize, line: &Line, pace: &Pace, clock: &Clock) -> i64 {
        let stride = ((line.upper - line.bad) / TRIES).max(1);
        let mut knot = line.upper;
        while knot > line.start {
            let (_, course) = self.knot_at(channel, knot, self.velocity_at(knot, line.upper, pace), clock);
            if self.is_straight(line, knot, &course) {
                return knot;
            }
            knot -= if knot > line.bad { stride.min(knot - line.bad) } else { 1 };
        }
        line.bad.max(line.start + 1).min(line.upper)
    }

    fn is_straight(&self, line: &Line, knot: i64, course: &Course) -> bool {
        let span = 1.0 / (knot - line.start) as f32;
        let velocity = [0, 1, 2].map(|axis| (course.at[axis] - line.from[axis]) * span);
        let near =
            |at: &[f32; 3], step: i64| squared(at, &self.ring[slot(step)].at) <= line.bound * line.bound;
        (line.start.max(self.oldest) + 1..=knot).all(|step| {
            let dt = (step - line.start) as f32;
            near(&[0, 1, 2].map(|axis| line.from[axis] + velocity[axis] * dt), step)
        }) && (knot + 1..=line.hi).all(|step| near(&course.at(step), step))
    }

    /// Metres per step with which a knot goes on: as it went on, or as it came where nothing is newer.
    fn velocity_at(&self, knot: i64, upper: i64, pace: &Pace) -> [f32; 3] {
        if knot < upper {
            return self.slope(knot, upper);
        }
        let from = self.jumps(knot - pace.base, knot).next_back().unwrap_or(knot - pace.base);
        self.slope(from, knot)
    }

    /// What came to rest is told exactly, and what was told exactly is done.
    fn settle(&mut self, channel: usize, clock: &Clock, pace: &Pace, upper: i64) -> Made {
        let course = self.courses[channel];
        if channel > 1 || clock.now - self.still_since < pace.delay + pace.period + SETTLE {
            return 0;
        }
        let (knot, settled) = self.knot_at(channel, upper, [0.0; 3], clock);
        let known = &self.knots[channel];
        if (known.place, known.velocity, known.yaw) == (knot.place, knot.velocity, knot.yaw) {
            return 0;
        }
        self.courses[channel] = Course { checked: upper, next: course.next, ..settled };
        self.knots[channel] = knot;
        1 << channel
    }

    /// Mean metres per step from one step to another.
    fn slope(&self, from: i64, to: i64) -> [f32; 3] {
        let from = from.max(self.oldest);
        if to <= from {
            return [0.0; 3];
        }
        let (a, b) = (self.ring[slot(from)].at, self.ring[slot(to)].at);
        [0, 1, 2].map(|axis| (b[axis] - a[axis]) / (to - from) as f32)
    }

    /// Puts the knot of a channel where the object was at `step`, as it can be told.
    fn tie(&mut self, channel: usize, step: i64, velocity: [f32; 3], clock: &Clock) {
        let (knot, course) = self.knot_at(channel, step, velocity, clock);
        let Course { checked, next, .. } = self.courses[channel];
        self.courses[channel] = Course { checked, next, ..course };
        self.knots[channel] = knot;
    }

    fn knot_at(&self, channel: usize, step: i64, velocity: [f32; 3], clock: &Clock) -> (Knot, Course) {
        let lattice = &LATTICES[channel];
        let past = self.ring[slot(step)];
        let hz = clock.rate.hz() as f64;
        let metres = [0, 1, 2].map(|axis| clock.origin[axis] + f64::from(past.at[axis]));
        let place = lattice.place(metres);
        let mut told = lattice.velocity(velocity.map(|axis| f64::from(axis) * hz));
        if channel > 0 && f64::from(told[2].abs()) * lattice.velocity_step_mps < CLIMB_MPS[channel] {
            told[2] = 0;
        }
        let metres = lattice.metres(place);
        let mps = lattice.mps(told);
        let heading = (told[0] != 0 || told[1] != 0).then(|| (mps[1] as f32).atan2(mps[0] as f32));
        let own_yaw =
            channel < 2 && heading.is_none_or(|heading| turn(heading, past.yaw).abs() > HEADING[channel]);
        let tick = Tick((step.max(0) as u64) * clock.rate.step());
        let knot = Knot { tick, place, velocity: told, yaw: quantise_yaw(past.yaw), own_yaw };
        let course = Course {
            knot: step,
            at: [0, 1, 2].map(|axis| (metres[axis] - clock.origin[axis]) as f32),
            velocity: mps.map(|axis| (axis / hz) as f32),
            yaw: if own_yaw { past.yaw } else { heading.unwrap_or(past.yaw) },
            ..Course::default()
        };
        (knot, course)
    }
}

/// The first step after now at which the channel has a chance.
fn next_chance(clock: &Clock, pace: &Pace, entity: u64, channel: usize) -> i64 {
    let ticks = clock.rate.step() as i64;
    let past = cadence::since_due(clock.now * ticks, entity, channel, pace.period_ticks) as i64;
    clock.now + ((pace.period_ticks as i64 - past) + ticks - 1).div_euclid(ticks).max(1)
}

const fn slot(step: i64) -> usize {
    step as usize % RING
}

fn squared(a: &[f32; 3], b: &[f32; 3]) -> f32 {
    let d = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
}

/// Radians from one heading to another the shorter way.
fn turn(from: f32, to: f32) -> f32 {
    let turn = to - from;
    if turn.abs() <= std::f32::consts::PI {
        turn
    } else {
        turn - (turn / std::f32::consts::TAU).round() * std::f32::consts::TAU
    }
}

fn between(last: &Past, at: [f32; 3], yaw: f32, share: f32) -> Past {
    Past {
        at: [0, 1, 2].map(|axis| last.at[axis] + (at[axis] - last.at[axis]) * share),
        yaw: last.yaw + turn(last.yaw, yaw) * share,
    }
}
