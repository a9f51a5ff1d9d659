//! The last second of what objects did.

use super::Truth;

/// Where every object was at the steps of the last second and a little more.
#[derive(Debug)]
pub struct History {
    step_ticks: u64,
    newest: Option<u64>,
    /// By step number modulo their count.
    steps: Vec<Vec<Truth>>,
    known: usize,
}

impl History {
    /// Nothing yet, for a world whose steps are `step_ticks` of the grid apart.
    pub fn new(step_ticks: u64) -> Self {
        let depth = (60 / step_ticks + 4) as usize;
        Self { step_ticks, newest: None, steps: vec![Vec::new(); depth], known: 0 }
    }

    /// What holds at `tick`, one step after the one before.
    pub fn push(&mut self, tick: u64, now: &[Truth]) {
        let slot = self.slot(tick / self.step_ticks);
        self.steps[slot].clear();
        self.steps[slot].extend_from_slice(now);
        self.newest = Some(tick);
        self.known = (self.known + 1).min(self.steps.len());
    }

    /// Where the object was at `tick`, on a straight line between steps; `None` where it did not exist or
    /// that is not known any more.
    pub fn at(&self, object: usize, tick: u64) -> Option<[f64; 3]> {
        let before = tick / self.step_ticks;
        let from = self.truth(object, before)?;
        let share = (tick % self.step_ticks) as f64 / self.step_ticks as f64;
        if share == 0.0 {
            return Some(from.metres);
        }
        let to = self.truth(object, before + 1).filter(|to| !to.snap).unwrap_or(from);
        Some([0, 1, 2].map(|axis| from.metres[axis] + (to.metres[axis] - from.metres[axis]) * share))
    }

    fn truth(&self, object: usize, step: u64) -> Option<&Truth> {
        let newest = self.newest? / self.step_ticks;
        if step > newest || newest - step >= self.known as u64 {
            return None;
        }
        self.steps[self.slot(step)].get(object).filter(|truth| truth.present)
    }

    fn slot(&self, step: u64) -> usize {
        (step % self.steps.len() as u64) as usize
    }
}
