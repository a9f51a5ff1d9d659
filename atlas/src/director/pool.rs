//! How many workers there are to be, and which of them are to be replaced.

use std::time::Duration;

use horizon_model::{RegionId, WorkerId};

use super::{Because, Decision, Director, Life, Output, Pool, Relief, Worker};

/// A placement has the machine to itself for so long before a process is started in place of its worker. It takes a
/// tenth of that where nothing has to be recovered.
const PLACED_FIRST: Duration = Duration::from_millis(200);

impl Director {
    /// The workers that are not given to a region, and how many should be.
    pub fn pool(&self) -> Pool {
        let busy = self.workers.values().filter(|worker| worker.region().is_some()).count();
        let free = self.workers.values().filter(|worker| worker.is_free()).count();
        let usable = busy + free + self.starting();
        let occupancy = if usable == 0 { 0.0 } else { busy as f64 / usable as f64 };
        // The fewest with which no more than the share has a region.
        let above = self.settings.grow_above;
        let spare = (busy as f64 * (1.0 - above) / above - f64::EPSILON * busy as f64).ceil() as usize;
        let stalled = self.regions.values().filter(|region| region.is_stalled()).count();
        Pool {
            waiting: self.regions.values().filter(|region| region.waiting().is_some()).count(),
            evacuating: self.evacuating.len(),
            stalled,
            busy,
            free,
            starting: self.starting(),
            wanted: self.settings.warm_workers.max(spare).max(stalled),
            workers: self.workers.len() + self.starting(),
            max_workers: self.settings.max_workers,
            occupancy,
        }
    }

    pub(super) fn spawn_the_missing(&mut self, now: Duration, out: &mut Vec<Decision>) {
        if !self.settings.starts_workers {
            return;
        }
        let pool = self.pool();
        // Nobody waits for a process that fills up the pool, and its start would be felt by who waits for a region.
        let spare = if self.pool_waits_until().is_some_and(|at| now < at) { 0 } else { pool.wanted };
        let needed = pool.waiting + pool.evacuating + spare.saturating_sub(pool.free);
        while self.starting() < needed
            && self.workers.len() + self.starting() < self.settings.max_workers
            && self.spawn_not_before.is_none()
        {
            out.push(Output::Spawn.because(Because::TooFew(self.pool())));
            self.requested += 1;
        }
    }

    /// How long the pool is not filled up because a worker is just taking a region.
    fn pool_waits_until(&self) -> Option<Duration> {
        let placed = self.workers.values().filter(|worker| worker.life() == Life::Placed);
        placed.map(|worker| worker.life_since() + PLACED_FIRST).max()
    }

    /// When a pool that waits for a placement is filled up at the latest.
    pub(super) fn next_spare(&self) -> Option<Duration> {
        let pool = self.pool();
        let missing = pool.free + pool.starting < pool.wanted && pool.workers < pool.max_workers;
        let able = self.settings.starts_workers && self.spawn_not_before.is_none();
        self.pool_waits_until().filter(|_| missing && able)
    }

    /// The worker that has been ready for longest where there are more than needed, and when it may end.
    pub(super) fn next_surplus(&self) -> Option<(Duration, WorkerId)> {
        let pool = self.pool();
        let settled = pool.waiting + pool.evacuating + pool.starting == 0;
        let surplus = pool.free > pool.wanted && pool.occupancy < self.settings.shrink_below;
        if !self.settings.starts_workers || !settled || !surplus {
            return None;
        }
        let free = self.workers.iter().filter(|(_, worker)| worker.is_free());
        free.map(|(&id, worker)| (worker.life_since() + self.settings.grace, id)).min()
    }

    pub(super) fn end_the_surplus(&mut self, now: Duration, out: &mut Vec<Decision>) {
        while let Some((_, id)) = self.next_surplus().filter(|&(at, _)| at <= now) {
            let pool = self.pool();
            self.workers.get_mut(&id).expect("just looked at").dismiss(now);
            let retire = Output::Retire { worker: id, region: None, exit: true };
            out.push(retire.because(Because::TooMany(pool)));
        }
    }

    /// When the oldest worker that serves is to be replaced, and its region; nothing while another one is.
    pub(super) fn next_to_replace(&self) -> Option<(Duration, RegionId)> {
        let after = self.settings.max_lifetime?.mul_f64(self.settings.replace_at);
        let gives_back = |worker: &Worker| worker.life() == Life::Draining && worker.region().is_some();
        if !self.evacuating.is_empty() || self.workers.values().any(gives_back) {
            return None;
        }
        let serving = self.workers.values().filter(|worker| worker.life() == Life::Serving);
        serving.filter_map(|worker| Some((worker.since + after, worker.region()?))).min()
    }

    pub(super) fn replace_the_oldest(&mut self, now: Duration) {
        if let Some((at, region)) = self.next_to_replace()
            && at <= now
        {
            self.evacuating.insert(region, Relief::Age);
        }
    }
}
