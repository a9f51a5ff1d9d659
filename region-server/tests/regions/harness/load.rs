//! What regions say of their load and of who is beyond their cells, and regions that nobody serves.

use horizon_model::{Epoch, RegionId};
use horizon_protocol::link::Summary;
use horizon_region_server::region::Input;
use horizon_state_store::Request;

use super::{Harness, Running};

/// The last word of a region about itself.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Said {
    pub(crate) load_level: u8,
    pub(crate) overhang_m: f32,
}

impl Harness {
    pub(super) fn note_summary(&mut self, region: RegionId, summary: &Summary) {
        let said = Said { load_level: summary.load_level, overhang_m: summary.overhang_m };
        self.said.insert(region, said);
    }

    /// The shell's word about a step.
    pub(super) fn account(&mut self, id: RegionId) {
        if let (Some(share), Some(held)) = (self.work_share, self.running.get_mut(&id)) {
            held.region.adapt(share);
        }
    }

    /// Bytes of state that a region has told its clients.
    pub(crate) fn frame_bytes(&mut self, id: RegionId) -> u64 {
        self.running.get_mut(&id).expect("running").region.stats().frame_bytes
    }

    /// Nobody serves the region any more, and nobody can be found who would.
    pub(crate) fn close(&mut self, id: RegionId) {
        let Running { journal, placement, staged, .. } = self.running.remove(&id).expect("running");
        self.dead.insert(id, (journal, staged));
        for held in self.running.values_mut() {
            held.region.handle(self.now, Input::WorkerDown(placement.worker));
        }
        self.store.perform(Request::Evict(id, placement.worker, Epoch::ZERO));
        self.announce();
    }

    /// Somebody serves it after all.
    pub(crate) fn reopen(&mut self, id: RegionId) {
        self.start(id);
        self.announce();
    }
}
