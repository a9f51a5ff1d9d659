//! What follows from what the director knows: the decisions at the end of every input.

use std::time::Duration;

use super::{
    ALONE, Because, DEAF, Decision, Director, Event, LINK_PATIENCE, Life, Output, Region, RegionState,
    Relief, SHUTDOWN_PATIENCE, START_PATIENCE, Worker,
};

impl Director {
    pub(super) fn end_the_overdue(&mut self, now: Duration, out: &mut Vec<Decision>) {
        let (mut unlinked, mut unreachable) = (Vec::new(), Vec::new());
        for (&id, worker) in &mut self.workers {
            let Some((at, missed)) = worker.deadline(self.settings.place_within) else { continue };
            if now < at {
                continue;
            }
            let because = Because::Overdue { missed, late: now - at };
            let was = worker.life();
            worker.pass(now, Event::Missed);
            let Some(pid) = worker.pid else {
                unreachable.push(id);
                out.push(Output::Forget { worker: id, missed }.because(because));
                continue;
            };
            if let (Life::Serving, Some(region)) = (was, worker.region()) {
                unlinked.push((region, id, because));
            }
            out.push(Output::Kill { pid, missed }.because(because));
            worker.postpone(now);
        }
        // Its process may be out of reach, too, but its region is not.
        for (region, id, because) in unlinked {
            self.fence(now, region, id, because, out);
        }
        for id in unreachable {
            self.forget(now, id, out);
        }
        for (&pid, (life, since)) in &mut self.starting {
            let at = *since + START_PATIENCE;
            if at <= now {
                let missed = "registration";
                let because = Because::Overdue { missed, late: now - at };
                out.push(Output::Kill { pid, missed }.because(because));
                (*life, *since) = (Life::Failed, now);
            }
        }
    }

    /// Regions that nobody hears go to a worker that is ready; without one they are better off as they are.
    pub(super) fn give_up_the_silent(&mut self, now: Duration, out: &mut Vec<Decision>) {
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
            let neighbour = region.is_lost_by_neighbour(now);
            if neighbour || (heard == 0 && silence >= alone) {
                let because = Because::Silent { silence, neighbour, heard, free };
                lost.extend(region.worker().map(|worker| (id, worker, because)));
            }
        }
        for (region, worker, because) in lost.into_iter().take(free) {
            self.fence(now, region, worker, because, out);
        }
    }

    /// Regions that are to go on elsewhere do so when whoever goes on with them is ready.
    pub(super) fn evacuate_the_asked(&mut self, now: Duration, out: &mut Vec<Decision>) {
        for (id, relief) in std::mem::take(&mut self.evacuating) {
            let region = &self.regions[&id];
            let RegionState::Serving(placement) = &region.state else {
                // Whoever gets it next is another one already.
                continue;
            };
            let (worker, corners) = (placement.worker, self.boxes[&id]);
            // Whoever is ready may be meant for a region that is given back at this moment.
            let promised = self.regions.values().filter(|region| region.is_relieved()).count();
            let fit = self.workers.values().filter(|worker| worker.is_free() && worker.serves(corners));
            let free = fit.count();
            let ready = free > promised;
            let able =
                |worker: &&mut Worker| worker.life() == Life::Serving && worker.unlinked_since.is_none();
            let Some(entry) = self.workers.get_mut(&worker).filter(able).filter(|_| ready) else {
                self.evacuating.insert(id, relief);
                continue;
            };
            entry.dismiss(now);
            let because = match (relief, self.settings.max_lifetime) {
                (Relief::Age, Some(greatest)) => {
                    Because::Aged { age: now.saturating_sub(entry.since), greatest }
                }
                _ => Because::Asked { free },
            };
            let region = self.regions.get_mut(&id).expect("just looked at");
            region.relieve(now, worker);
            out.push(Output::Relieve { worker, region: id }.because(because));
        }
    }

    pub(super) fn place_the_wanted(&mut self, now: Duration, out: &mut Vec<Decision>) {
        self.regions.values_mut().for_each(|region| region.end_pause(now));
        let mut wanted: Vec<_> = self.regions.values().filter_map(Region::waiting).collect();
        wanted.sort_unstable();
        for ((_, since), region, why) in wanted {
            let corners = self.boxes[&region];
            let free = self.workers.values().filter(|worker| worker.is_free()).count();
            let fit =
                self.workers.iter_mut().filter(|(_, worker)| worker.is_free() && worker.serves(corners));
            // Whoever can do nothing else first, and who is ready for longest: a process that has just started is
            // still busy with that.
            let first = fit.min_by_key(|(_, worker)| (worker.bounds.is_none(), worker.life_since()));
            let Some((&id, worker)) = first else {
                continue;
            };
            worker.tell(now, region);
            let entry = self.regions.get_mut(&region).expect("listed a moment ago");
            entry.state = RegionState::Placing { worker: id, why };
            let because = Because::Needed { why, waited: now.saturating_sub(since), free };
            out.push(Output::Place { worker: id, region, why }.because(because));
        }
    }

    pub(super) fn retire_the_idle(&mut self, now: Duration, out: &mut Vec<Decision>) {
        let idle: Vec<_> = self
            .regions
            .values()
            .filter(|region| region.retires_at(self.settings.grace).is_some_and(|at| at <= now))
            .filter_map(|region| Some((region.id, region.worker()?)))
            .collect();
        for (region, id) in idle {
            let spare =
                self.workers.values().filter(|worker| worker.will_be_free()).count() + self.starting();
            let (wanted, grace) = (self.pool().wanted, self.settings.grace);
            let entry = self.regions.get_mut(&region).expect("listed a moment ago");
            let able =
                |worker: &&mut Worker| worker.life() == Life::Serving && worker.unlinked_since.is_none();
            let Some(worker) = self.workers.get_mut(&id).filter(able) else {
                entry.postpone_retiring(now + LINK_PATIENCE);
                continue;
            };
            let exit = self.settings.starts_workers && spare >= wanted;
            if exit {
                worker.dismiss(now);
            } else {
                worker.pass(now, Event::Released);
            }
            let idle = entry.idle_for(now);
            entry.retire(id);
            let because = Because::Idle { idle, grace, spare, wanted };
            out.push(Output::Retire { worker: id, region: Some(region), exit }.because(because));
        }
    }

    pub(super) fn stop_everything(&mut self, now: Duration, out: &mut Vec<Decision>) {
        for (&id, worker) in &mut self.workers {
            if !matches!(worker.life(), Life::Ready | Life::Serving) || worker.unlinked_since.is_some() {
                continue;
            }
            worker.dismiss(now);
            let region = worker.region();
            if let Some(region) = region.and_then(|region| self.regions.get_mut(&region)) {
                region.retire(id);
            }
            out.push(Output::Retire { worker: id, region, exit: true }.because(Because::Shutdown));
        }
        if self.shutdown_by.is_some_and(|by| by <= now) {
            let pids =
                self.workers.values().filter_map(|worker| worker.pid).chain(self.starting.keys().copied());
            let (missed, late) = ("end of the world", self.shutdown_by.map_or(Duration::ZERO, |by| now - by));
            let because = Because::Overdue { missed, late };
            out.extend(pids.map(|pid| Output::Kill { pid, missed }.because(because)));
            self.shutdown_by = Some(now + SHUTDOWN_PATIENCE);
        }
        if self.workers.is_empty() && self.starting() == 0 && !self.finished {
            self.finished = true;
            out.push(Output::Finished.because(Because::Shutdown));
        }
    }
}
