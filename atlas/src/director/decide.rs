//! What follows from what the director knows: the decisions at the end of every input.

use std::time::Duration;

use horizon_model::RegionId;

use super::{
    ALONE, DEAF, Director, LINK_PATIENCE, Output, Region, RegionState, SHUTDOWN_PATIENCE, START_PATIENCE,
    Worker, WorkerState,
};

impl Director {
    pub(super) fn end_the_overdue(&mut self, now: Duration, out: &mut Vec<Output>) {
        let (mut unlinked, mut unreachable) = (Vec::new(), Vec::new());
        for (&id, worker) in &mut self.workers {
            if let Some((at, missed)) = worker.deadline(self.settings.place_within)
                && at <= now
            {
                let Some(pid) = worker.pid else {
                    unreachable.push(id);
                    out.push(Output::Forget { worker: id, missed });
                    continue;
                };
                if let WorkerState::Serving(region) = worker.state {
                    unlinked.push((region, id));
                }
                out.push(Output::Kill { pid, missed });
                worker.postpone(now);
            }
        }
        // Its process may be out of reach, too, but its region is not.
        for (region, id) in unlinked {
            self.fence(now, region, id, out);
        }
        for id in unreachable {
            self.forget(id, out);
        }
        for (&pid, since) in &mut self.starting {
            if *since + START_PATIENCE <= now {
                out.push(Output::Kill { pid, missed: "registration" });
                *since = now;
            }
        }
    }

    /// Regions that nobody hears go to a worker that is ready; without one they are better off as they are.
    pub(super) fn give_up_the_silent(&mut self, now: Duration, out: &mut Vec<Output>) {
        let silent: Vec<_> = self
            .regions
            .values()
            .filter_map(|region| Some((region.id, region.silence_at_edge(now)?)))
            .collect();
        let free = self.workers.values().filter(|worker| worker.is_free()).count();
        let mut lost = Vec::new();
        for &(id, silence) in &silent {
            let region = &self.regions[&id];
            let neighbours = self.neighbours[&id].iter().map(|other| &self.regions[other]);
            let others = neighbours.filter(|other| other.placement().is_some()).count();
            let heard =
                others - silent.iter().filter(|(other, _)| self.neighbours[&id].contains(other)).count();
            let alone = if silent.len() > 1 { DEAF } else { ALONE };
            if region.is_lost_by_neighbour(now) || (heard == 0 && silence >= alone) {
                lost.extend(region.worker().map(|worker| (id, worker)));
            }
        }
        for (region, worker) in lost.into_iter().take(free) {
            self.fence(now, region, worker, out);
        }
    }

    /// When the oldest worker that serves is too old, and its region; nothing while another one is being replaced.
    pub(super) fn next_to_replace(&self) -> Option<(Duration, RegionId)> {
        let greatest = self.settings.max_lifetime?;
        let busy = |worker: &Worker| matches!(worker.state, WorkerState::Retiring { .. });
        if !self.evacuating.is_empty() || self.workers.values().any(busy) {
            return None;
        }
        let serving = self.workers.values().filter_map(|worker| match worker.state {
            WorkerState::Serving(region) => Some((worker.since + greatest, region)),
            _ => None,
        });
        serving.min()
    }

    pub(super) fn replace_the_oldest(&mut self, now: Duration) {
        if let Some((at, region)) = self.next_to_replace()
            && at <= now
        {
            self.evacuating.insert(region);
        }
    }

    /// Regions that are to go on elsewhere do so when whoever goes on with them is ready.
    pub(super) fn evacuate_the_asked(&mut self, now: Duration, out: &mut Vec<Output>) {
        for id in std::mem::take(&mut self.evacuating) {
            let region = &self.regions[&id];
            let RegionState::Serving(placement) = &region.state else {
                // Whoever gets it next is another one already.
                continue;
            };
            let (worker, corners) = (placement.worker, self.boxes[&id]);
            // Whoever is ready may be meant for a region that is given back at this moment.
            let promised = self.regions.values().filter(|region| region.is_relieved()).count();
            let fit = self.workers.values().filter(|worker| worker.is_free() && worker.serves(corners));
            let ready = fit.count() > promised;
            let linked = |worker: &&mut Worker| worker.unlinked_since.is_none();
            let Some(entry) = self.workers.get_mut(&worker).filter(linked).filter(|_| ready) else {
                self.evacuating.insert(id);
                continue;
            };
            entry.state = WorkerState::Retiring { region: id, exit: true, since: now };
            let region = self.regions.get_mut(&id).expect("just looked at");
            region.relieve(now, worker);
            out.push(Output::Relieve { worker, region: id });
        }
    }

    pub(super) fn place_the_wanted(&mut self, now: Duration, out: &mut Vec<Output>) {
        self.regions.values_mut().for_each(|region| region.end_pause(now));
        let mut wanted: Vec<_> = self.regions.values().filter_map(Region::waiting).collect();
        wanted.sort_unstable();
        for (_, region, why) in wanted {
            let corners = self.boxes[&region];
            let fit =
                self.workers.iter_mut().filter(|(_, worker)| worker.is_free() && worker.serves(corners));
            // Whoever can do nothing else first.
            let Some((&id, worker)) = fit.min_by_key(|(_, worker)| worker.bounds.is_none()) else {
                continue;
            };
            worker.state = WorkerState::Placing { region, since: now };
            let entry = self.regions.get_mut(&region).expect("listed a moment ago");
            entry.state = RegionState::Placing { worker: id, why };
            out.push(Output::Place { worker: id, region, why });
        }
    }

    pub(super) fn spawn_the_missing(&mut self, out: &mut Vec<Output>) {
        let waiting = self.regions.values().filter(|region| region.waiting().is_some()).count();
        let free = self.workers.values().filter(|worker| worker.is_free()).count();
        if !self.settings.starts_workers {
            return;
        }
        let needed = waiting + self.evacuating.len() + self.settings.warm_workers.saturating_sub(free);
        while self.starting() < needed
            && self.workers.len() + self.starting() < self.settings.max_workers
            && self.spawn_not_before.is_none()
        {
            self.requested += 1;
            out.push(Output::Spawn);
        }
    }

    pub(super) fn retire_the_idle(&mut self, now: Duration, out: &mut Vec<Output>) {
        let idle: Vec<_> = self
            .regions
            .values()
            .filter(|region| region.retires_at(self.settings.grace).is_some_and(|at| at <= now))
            .filter_map(|region| Some((region.id, region.worker()?)))
            .collect();
        for (region, id) in idle {
            let spare =
                self.workers.values().filter(|worker| worker.will_be_free()).count() + self.starting();
            let entry = self.regions.get_mut(&region).expect("listed a moment ago");
            let Some(worker) = self.workers.get_mut(&id).filter(|worker| worker.unlinked_since.is_none())
            else {
                entry.postpone_retiring(now + LINK_PATIENCE);
                continue;
            };
            let exit = self.settings.starts_workers && spare >= self.settings.warm_workers;
            worker.state = WorkerState::Retiring { region, exit, since: now };
            entry.retire(id);
            out.push(Output::Retire { worker: id, region: Some(region), exit });
        }
    }

    pub(super) fn stop_everything(&mut self, now: Duration, out: &mut Vec<Output>) {
        for (&id, worker) in &mut self.workers {
            let region = match worker.state {
                WorkerState::Ready => None,
                WorkerState::Serving(region) => Some(region),
                _ => continue,
            };
            if worker.unlinked_since.is_some() {
                continue;
            }
            worker.state = match region {
                Some(region) => WorkerState::Retiring { region, exit: true, since: now },
                None => WorkerState::Draining { since: now },
            };
            if let Some(region) = region.and_then(|region| self.regions.get_mut(&region)) {
                region.retire(id);
            }
            out.push(Output::Retire { worker: id, region, exit: true });
        }
        if self.shutdown_by.is_some_and(|by| by <= now) {
            let pids =
                self.workers.values().filter_map(|worker| worker.pid).chain(self.starting.keys().copied());
            out.extend(pids.map(|pid| Output::Kill { pid, missed: "end of the world" }));
            self.shutdown_by = Some(now + SHUTDOWN_PATIENCE);
        }
        if self.workers.is_empty() && self.starting() == 0 && !self.finished {
            self.finished = true;
            out.push(Output::Finished);
        }
    }
}
