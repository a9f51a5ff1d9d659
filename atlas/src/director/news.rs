//! What workers say and what happens to them, as far as it is no decision.

use std::time::Duration;

use horizon_model::{RegionId, WorkerId};
use horizon_protocol::link::Placement;

use super::{
    Because, Decision, Director, Event, Life, Outcome, Output, RegionState, TOOK, Took, Why, Worker,
};

/// Who registers.
pub(super) struct Registrant {
    pub(super) worker: WorkerId,
    pub(super) pid: Option<u32>,
    pub(super) endpoint: String,
    pub(super) bounds: Option<[f64; 4]>,
}

impl Director {
    pub(super) fn registered(
        &mut self,
        now: Duration,
        who: Registrant,
        serving: Option<Placement>,
        out: &mut Vec<Decision>,
    ) {
        let Registrant { worker: id, pid, endpoint, bounds } = who;
        let started = pid.and_then(|pid| self.starting.remove(&pid));
        if started.is_some() {
            self.spawn_failures = 0;
            self.spawn_not_before = None;
        }
        let life = started.map_or(Life::Starting, |(life, _)| life);
        let known = self.workers.remove(&id);
        let mut worker = known.unwrap_or_else(|| Worker::new(now, life));
        (worker.pid, worker.endpoint, worker.bounds) = (pid, endpoint, bounds);
        worker.unlinked_since = None;
        let retire = |region, because| Output::Retire { worker: id, region, exit: true }.because(because);
        match serving {
            Some(Placement { region, lease, .. }) if worker.life() == Life::Failed => {
                out.push(retire(Some(region), Because::Superseded { region, lease }));
            }
            Some(placement) => {
                let (region, lease) = (placement.region, placement.lease);
                if let Some(other) = worker.region().filter(|&other| other != region) {
                    self.give_up(other, id, Because::Lost, out);
                }
                if self.regions.get_mut(&region).is_some_and(|region| region.adopt(now, &placement)) {
                    worker.serve(now, region);
                } else {
                    // Somebody else serves it under a higher lease, or the map has no such region.
                    // If that was this one itself, it has nothing that anybody could go by.
                    self.give_up(region, id, Because::Lost, out);
                    out.push(retire(Some(region), Because::Superseded { region, lease }));
                    worker.dismiss(now);
                }
            }
            None => match (worker.life(), worker.region()) {
                (Life::Serving, region) => {
                    if let Some(region) = region {
                        self.give_up(region, id, Because::Lost, out);
                    }
                    worker.pass(now, Event::Registered);
                }
                // The request may have been lost with the link; a second one is harmless.
                (Life::Placed, Some(region)) => {
                    let place = Output::Place { worker: id, region, why: Why::Lost };
                    out.push(place.because(Because::Unheard));
                    worker.postpone(now);
                }
                (Life::Draining, region) => {
                    if let Some(region) = region.and_then(|region| self.regions.get_mut(&region))
                        && region.worker() == Some(id)
                    {
                        region.vacate(now);
                    }
                    if worker.ends() {
                        out.push(retire(None, Because::Dismissed));
                    }
                    worker.give_back(now);
                }
                (Life::Failed, _) => out.push(retire(None, Because::Dismissed)),
                _ => {
                    worker.pass(now, Event::Registered);
                }
            },
        }
        self.workers.insert(id, worker);
    }

    pub(super) fn exited(&mut self, now: Duration, pid: u32, out: &mut Vec<Decision>) {
        if let Some((life, _)) = self.starting.remove(&pid) {
            self.count(life.after(Event::Crashed));
            self.postpone_spawning(now);
        }
        let Some(id) = self.workers.iter().find(|(_, w)| w.pid == Some(pid)).map(|(&id, _)| id) else {
            return;
        };
        self.forget(now, id, out);
    }

    /// The worker is gone, or nobody can tell.
    pub(super) fn forget(&mut self, now: Duration, id: WorkerId, out: &mut Vec<Decision>) {
        let Some(mut worker) = self.workers.remove(&id) else { return };
        let told = worker.ends() && worker.life() == Life::Draining && worker.region().is_none();
        worker.pass(now, if told { Event::Ended } else { Event::Crashed });
        self.count(Outcome::To(worker.life()));
        if let Some(region) = worker.region() {
            self.give_up(region, id, Because::Gone, out);
        }
    }

    fn count(&mut self, outcome: Outcome) {
        if !self.leads {
            return;
        }
        match outcome {
            Outcome::To(Life::Retired) => self.ended.retired += 1,
            _ => self.ended.failed += 1,
        }
    }

    /// The worker will not serve `region` any more: free the lease before anybody else tries.
    pub(super) fn give_up(
        &mut self,
        region: RegionId,
        worker: WorkerId,
        because: Because,
        out: &mut Vec<Decision>,
    ) {
        if let Some(region) = self.regions.get_mut(&region)
            && region.worker() == Some(worker)
        {
            region.evict(worker);
            out.push(Output::Evict { region: region.id, worker }.because(because));
        }
    }

    /// The worker may live and does not count any more.
    pub(super) fn fence(
        &mut self,
        now: Duration,
        region: RegionId,
        id: WorkerId,
        because: Because,
        out: &mut Vec<Decision>,
    ) {
        self.give_up(region, id, because, out);
        if let Some(worker) = self.workers.get_mut(&id) {
            worker.fence(now);
        }
    }

    pub(super) fn placed(&mut self, now: Duration, placement: &Placement) {
        let Some(worker) = self.workers.get_mut(&placement.worker) else { return };
        let Some(region) = self.regions.get_mut(&placement.region) else { return };
        let elsewhere = worker.region().is_some_and(|other| other != placement.region);
        if worker.life() == Life::Failed || elsewhere {
            return;
        }
        let wished = region.wished_at();
        if let Some(wished) = wished {
            self.learned.observe(now.saturating_sub(wished));
        }
        let predicted = matches!(region.state, RegionState::Placing { why: Why::Prediction, .. });
        if let (Life::Placed, RegionState::Placing { why, .. }) = (worker.life(), &region.state) {
            if self.took.len() == TOOK {
                self.took.pop_front();
            }
            let told = worker.life_since();
            let waited = told.saturating_sub(wished.unwrap_or(told));
            let took = now.saturating_sub(told);
            self.took.push_back(Took { region: region.id, why: *why, waited, took });
        }
        if region.adopt(now, placement) {
            worker.serve(now, placement.region);
            self.spawned_by_prediction += u64::from(predicted);
        }
    }

    pub(super) fn not_placed(&mut self, now: Duration, id: WorkerId, region: RegionId) {
        let Some(worker) = self.workers.get_mut(&id).filter(|worker| worker.takes(region)) else { return };
        worker.pass(now, Event::Refused);
        if let Some(region) = self.regions.get_mut(&region)
            && region.worker() == Some(id)
        {
            region.fail(now);
        }
    }

    pub(super) fn retired(&mut self, now: Duration, id: WorkerId, region: RegionId) {
        if let Some(worker) = self.workers.get_mut(&id)
            && worker.region() == Some(region)
        {
            worker.give_back(now);
        }
        if let Some(region) = self.regions.get_mut(&region)
            && region.worker() == Some(id)
        {
            region.vacate(now);
        }
    }
}
