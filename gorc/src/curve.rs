//! What a client draws of an object: a line through the knots it was told, and straight on from the last.
//!
//! ```text
//!        A ────────● m            m = max(frame − delay, A): what was drawn stays as it was
//!                   ╲ line
//!                    ● B ─────▶   from B on, B's own continuation
//! ```
//!
//! An older knot than the one known begins the curve anew; what held before passes into it.
//!
//! Invariant: a push changes nothing before `frame − delay`, the newest tick that a client may have
//! drawn, and makes no jump unless it is a snap. `WIRE.md` states the rule; a region runs the same
//! code to know what its clients see.

use std::collections::VecDeque;
use std::f64::consts::{PI, TAU};

use horizon_model::{TICKS_PER_SECOND, Tick};

/// Most pieces a curve keeps; the oldest give way. Two per knot, so half a minute at the sparsest.
const MAX_PIECES: usize = 64;

/// Room that a curve begins with: what moves is told several times a second.
const FIRST_PIECES: usize = 8;

/// Ticks over which a curve passes into one that was told anew.
const MIX_TICKS: u64 = 8;

/// The curve of one held object.
#[derive(Debug, Clone)]
pub struct Curve {
    /// By rising start; never empty.
    pieces: VecDeque<Piece>,
    /// What held before it was told anew.
    before: Option<Box<Before>>,
}

/// The curve that holds up to a tick, and passes into the newer one after it.
#[derive(Debug, Clone)]
struct Before {
    until: u64,
    /// Ticks of the passage.
    mix: u64,
    curve: Curve,
}

/// Times that a curve may be told anew within the past that is kept.
const MAX_DEPTH: usize = 32;

/// A straight piece of the curve: it holds from its start to the start of the next one.
#[derive(Debug, Clone, Copy)]
struct Piece {
    start: u64,
    metres: [f64; 3],
    /// Metres per tick.
    velocity: [f64; 3],
    yaw: f64,
    /// Radians per tick.
    turn: f64,
}

impl Piece {
    /// From a knot on, straight on.
    fn continuation(start: u64, metres: [f64; 3], velocity_mps: [f64; 3], yaw: f64) -> Self {
        let velocity = velocity_mps.map(|axis| axis / TICKS_PER_SECOND as f64);
        Self { start, metres, velocity, yaw, turn: 0.0 }
    }

    fn metres_after(&self, ticks: f64) -> [f64; 3] {
        let (p, v) = (self.metres, self.velocity);
        [p[0] + v[0] * ticks, p[1] + v[1] * ticks, p[2] + v[2] * ticks]
    }

    fn yaw_after(&self, ticks: f64) -> f64 {
        self.yaw + self.turn * ticks
    }
}

impl Curve {
    /// The curve of an object that has just entered: one knot, `metres` from the world's origin, and its
    /// continuation either way. `yaw` is in radians.
    pub fn new(tick: Tick, metres: [f64; 3], velocity_mps: [f64; 3], yaw: f32) -> Self {
        Self::beginning(Piece::continuation(tick.0, metres, velocity_mps, yaw.into()))
    }

    fn beginning(knot: Piece) -> Self {
        let mut pieces = VecDeque::with_capacity(FIRST_PIECES);
        pieces.push_back(knot);
        Self { pieces, before: None }
    }

    /// Takes the knot that the frame of `frame_tick` brought.
    ///
    /// `delay_ticks` is how far behind its newest frame a client drew the channel that it held until now. A
    /// `yaw` of `None` did not change. After a `snap` the object is at the knot at once.
    #[allow(clippy::too_many_arguments)]
    pub fn push(
        &mut self,
        frame_tick: Tick,
        delay_ticks: u64,
        tick: Tick,
        metres: [f64; 3],
        velocity_mps: [f64; 3],
        yaw: Option<f32>,
        snap: bool,
    ) {
        let last = *self.last();
        let yaw = yaw.map_or(last.yaw, f64::from);
        let knot = Piece::continuation(tick.0, metres, velocity_mps, yaw);
        if snap {
            if self.before.as_ref().is_some_and(|before| before.until.saturating_add(before.mix) > tick.0) {
                return self.begin_anew(tick.0, 0, knot);
            }
            let mut is_first = true;
            self.pieces.retain(|piece| std::mem::take(&mut is_first) || piece.start < tick.0);
            self.add(knot);
            return;
        }
        let from = last.start.max(frame_tick.0.saturating_sub(delay_ticks));
        if tick.0 <= from {
            return self.begin_anew(from, MIX_TICKS, knot);
        }
        let ticks = (tick.0 - from) as f64;
        let ahead = (from - last.start) as f64;
        let (metres, yaw) = (last.metres_after(ahead), last.yaw_after(ahead));
        let line = Piece {
            start: from,
            metres,
            velocity: [0, 1, 2].map(|n| (knot.metres[n] - metres[n]) / ticks),
            yaw,
            turn: wrapped(knot.yaw - yaw) / ticks,
        };
        if from == last.start && self.pieces.len() > 1 {
            self.pieces.pop_back();
        }
        self.add(line);
        self.add(knot);
    }

    /// An older knot than the one known: another region or channel speaks. Its curve takes over at `from`.
    fn begin_anew(&mut self, from: u64, mix: u64, knot: Piece) {
        let curve = std::mem::replace(self, Self::beginning(knot));
        let mut before = Box::new(Before { until: from, mix, curve });
        before.curve.shorten(MAX_DEPTH);
        self.before = Some(before);
    }

    /// Forgets what held more than `depth` beginnings ago.
    fn shorten(&mut self, depth: usize) {
        match &mut self.before {
            Some(before) if depth > 0 => before.curve.shorten(depth - 1),
            _ => self.before = None,
        }
    }

    /// Where to draw the object at `tick`: metres from the world's origin, and radians in `-π..π`.
    ///
    /// Before the first vertex that is kept, the first piece goes on backwards.
    pub fn at(&self, tick: f64) -> ([f64; 3], f32) {
        let (metres, yaw) = self.drawn(tick);
        (metres, wrapped(yaw) as f32)
    }

    fn drawn(&self, tick: f64) -> ([f64; 3], f64) {
        let piece = self.pieces.iter().rev().find(|piece| piece.start as f64 <= tick);
        let piece = piece.unwrap_or(&self.pieces[0]);
        let ticks = tick - piece.start as f64;
        let (metres, yaw) = (piece.metres_after(ticks), piece.yaw_after(ticks));
        let Some(before) = &self.before else {
            return (metres, yaw);
        };
        let past = tick - before.until as f64;
        if past >= before.mix as f64 && past >= 0.0 {
            return (metres, yaw);
        }
        let (old, old_yaw) = before.curve.drawn(tick);
        let share = (past / before.mix.max(1) as f64).max(0.0);
        let mixed = [0, 1, 2].map(|n| old[n] + (metres[n] - old[n]) * share);
        (mixed, old_yaw + wrapped(yaw - old_yaw) * share)
    }

    /// Drops what only ticks before `tick` need.
    pub fn forget_before(&mut self, tick: f64) {
        let passed = self.pieces.iter().skip(1).take_while(|piece| piece.start as f64 <= tick).count();
        self.pieces.drain(..passed);
        match &mut self.before {
            Some(before) if tick >= before.until.saturating_add(before.mix) as f64 => self.before = None,
            Some(before) => before.curve.forget_before(tick),
            None => {}
        }
    }

    fn last(&self) -> &Piece {
        self.pieces.back().expect("a curve has at least one piece")
    }

    fn add(&mut self, piece: Piece) {
        if self.pieces.len() == MAX_PIECES {
            self.pieces.pop_front();
        }
        self.pieces.push_back(piece);
    }
}

/// The same angle in `-π..π`.
fn wrapped(radians: f64) -> f64 {
    if (-PI..PI).contains(&radians) { radians } else { (radians + PI).rem_euclid(TAU) - PI }
}
