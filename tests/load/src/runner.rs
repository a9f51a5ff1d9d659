//! Runners: to and fro over a border, so that everybody knows where they are at every tick.

use horizon_model::{Pose, Position, TICKS_PER_SECOND, Tick};

/// Metres per second: at 60 steps a second a step is 40 cm, four times what a picture may be off nearby.
pub const RUN_MPS: f64 = 24.0;
/// A runner stands so long where it joined, so that everybody has met it.
const STAND_TICKS: u64 = TICKS_PER_SECOND;
/// Around a turn pictures cut the corner for as long as they are drawn behind.
const TURN_TICKS: u64 = 20;
/// Metres between two lanes.
const LANE_METRES: f64 = 5.0;

/// The way of one runner.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Run {
    /// Where a border is crossed, metres.
    border: [f64; 2],
    /// The axis along which it runs.
    axis: usize,
    /// Metres from the border to either turn.
    reach: f64,
    /// When it appeared.
    began: Tick,
}

impl Run {
    /// The way of runner `number` around the corner at `centre`, metres: runners with even numbers cross
    /// the border between west and east, the others that between south and north.
    pub fn new(number: u64, centre: [f64; 2]) -> Self {
        let axis = (number % 2) as usize;
        let lane =
            (number / 4 + 1) as f64 * LANE_METRES * if (number / 2).is_multiple_of(2) { 1.0 } else { -1.0 };
        let mut border = centre;
        border[1 - axis] += lane;
        Self { border, axis, reach: 30.0 + (number % 5) as f64 * 4.0, began: Tick(0) }
    }

    /// The same, appearing at `tick`.
    pub const fn beginning(self, tick: Tick) -> Self {
        Self { began: tick, ..self }
    }

    /// Metres gone at `tick`.
    fn way(&self, tick: Tick) -> f64 {
        let ticks = tick.saturating_since(self.began + STAND_TICKS);
        ticks as f64 * RUN_MPS / TICKS_PER_SECOND as f64
    }

    /// Where it is at `tick`.
    pub fn pose(&self, tick: Tick) -> Pose {
        let lap = self.way(tick) % (4.0 * self.reach);
        let (from_border, sign) =
            if lap < 2.0 * self.reach { (lap - self.reach, 1.0) } else { (3.0 * self.reach - lap, -1.0) };
        let mut metres = [self.border[0], self.border[1], 1.0];
        metres[self.axis] += from_border;
        let mut velocity = [0.0; 3];
        if tick >= self.began + STAND_TICKS {
            velocity[self.axis] = (sign * RUN_MPS) as f32;
        }
        Pose { position: Position::from_metres(metres).unwrap_or_default(), velocity, yaw: 0.0 }
    }

    /// Ticks by which what is drawn at `metres` is behind where the runner is at `tick`; negative ahead.
    /// `None` near a turn, where ahead and behind are the same place.
    pub fn behind(&self, tick: Tick, metres: [f64; 3]) -> Option<f64> {
        let way = self.way(tick);
        let per_tick = RUN_MPS / TICKS_PER_SECOND as f64;
        let since_turn = way % (2.0 * self.reach) / per_tick;
        let to_turn = 2.0 * self.reach / per_tick - since_turn;
        if way == 0.0 || since_turn.min(to_turn) < TURN_TICKS as f64 {
            return None;
        }
        let right = self.pose(tick);
        let along = right.position.metres()[self.axis] - metres[self.axis];
        Some(along * f64::from(right.velocity[self.axis].signum()) / per_tick)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runners_stand_run_and_turn() {
        let run = Run::new(0, [200.0, 0.0]).beginning(Tick(600));
        let x = |tick| run.pose(Tick(tick)).position.metres()[0];
        assert_eq!(
            [x(600), x(660), x(660 + 75), x(660 + 150), x(660 + 300)],
            [170.0, 170.0, 200.0, 230.0, 170.0]
        );
        assert_eq!(run.pose(Tick(640)).velocity, [0.0; 3]);
        assert_eq!(run.pose(Tick(700)).velocity, [24.0, 0.0, 0.0]);
        assert_eq!(run.pose(Tick(900)).velocity, [-24.0, 0.0, 0.0]);
        assert_eq!(Run::new(3, [0.0, 0.0]).pose(Tick(0)).position.metres(), [-5.0, -42.0, 1.0]);
    }

    #[test]
    fn behind_and_ahead_are_told_in_ticks_except_at_turns() {
        let run = Run::new(0, [0.0, 0.0]).beginning(Tick(600));
        let behind = |tick, by: i64| {
            run.behind(Tick(tick), run.pose(Tick((tick as i64 - by) as u64)).position.metres())
        };
        for tick in [710, 735, 860, 885] {
            assert!((behind(tick, 0).expect("no turn")).abs() < 0.01);
            assert!((behind(tick, 2).expect("no turn") - 2.0).abs() < 0.01);
            assert!((behind(tick, -1).expect("no turn") + 1.0).abs() < 0.01);
        }
        for tick in [640, 670, 800, 811, 825] {
            assert_eq!(behind(tick, 0), None, "{tick}");
        }
    }
}
