//! Who takes over from a region that was killed or relieved.

use horizon_model::{Epoch, RegionId, Tick};
use horizon_protocol::link::{EdgeToRegion, OpenSession, Placement};
use horizon_region_server::journal::{Snapshot, Staged};
use horizon_region_server::region::Input;
use horizon_state_store::Request;

use super::{EDGE, Harness, Running};

impl Harness {
    /// `kill -9`: whatever was not durable is gone. Its clients stay; a successor takes over at once.
    pub(crate) fn kill(&mut self, id: RegionId) {
        self.has_killed = true;
        let Running { mut journal, placement, unsynced, staged, told, .. } =
            self.running.remove(&id).expect("running");
        // Of what was on its way, a prefix may have reached the disk without a word about it.
        let kept = if self.lying_disk { 0 } else { self.dice.below(unsynced.len() as u64 + 1) };
        unsynced.into_iter().take(kept as usize).for_each(|record| journal.apply(record));
        self.succeed(id, &placement, told, (journal, staged));
    }

    /// The operator's word: as it is, for the next one.
    pub(crate) fn relieve(&mut self, id: RegionId) {
        self.running.get_mut(&id).expect("running").region.handle(self.now, Input::Relieve);
        self.perform(id);
    }

    /// It has given itself back. What it wrote last is whole.
    pub(super) fn relieved(&mut self, id: RegionId) {
        let Running { placement, rotated, staged, told, .. } = self.running.remove(&id).expect("running");
        let last = rotated.expect("it was written whole");
        self.succeed(id, &placement, told, (last, staged));
    }

    /// Tells all regions of all placements, and links all pairs.
    pub(super) fn announce(&mut self) {
        let placements: Vec<Placement> = self.running.values().map(|held| held.placement.clone()).collect();
        let ids: Vec<RegionId> = self.running.keys().copied().collect();
        for id in ids {
            let held = self.running.get_mut(&id).expect("running");
            for placement in placements.iter().filter(|placement| placement.region != id) {
                held.region.handle(self.now, Input::WorkerUp(placement.worker));
            }
            let regions = EdgeToRegion::Regions(placements.clone());
            held.region.handle(self.now, Input::Edge(EDGE, Box::new(regions)));
            self.perform(id);
        }
    }

    fn succeed(&mut self, id: RegionId, placement: &Placement, told: Tick, kept: (Snapshot, Vec<Staged>)) {
        self.shown_and_lost.push(told.saturating_since(kept.0.tick));
        self.dead.insert(id, kept);
        for held in self.running.values_mut() {
            held.region.handle(self.now, Input::WorkerDown(placement.worker));
        }
        self.store.perform(Request::Evict(id, placement.worker, Epoch::ZERO));
        self.start(id);
        self.announce();
        let here = |client: &&super::Client| client.route == Some(id);
        let orphans: Vec<OpenSession> =
            self.clients.values().filter(here).map(|client| client.open(false)).collect();
        for open in orphans {
            self.send_region(id, EdgeToRegion::Open(Box::new(open)));
        }
    }
}
