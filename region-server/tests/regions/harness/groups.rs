//! Groups, and a store that does not know them.

use horizon_handoff::CasRequest;
use horizon_model::RegionId;
use horizon_region_server::region::Input;
use horizon_state_store::{Reply, Request};

use super::{Happening, Harness};

impl Harness {
    /// Members of groups that acted without what they are attached to, in all regions that run.
    pub(crate) fn groups_split(&mut self) -> u64 {
        self.running.values_mut().map(|held| held.region.stats().groups_split).sum()
    }

    /// Each by itself, riders first, and each is answered a step after the one before.
    pub(super) fn cas_one_by_one(&mut self, id: RegionId, requests: Vec<CasRequest>) {
        let lease = self.running[&id].region.lease();
        for request in requests.into_iter().rev() {
            let alone = CasRequest { group: None, ..request.clone() };
            let Reply::Cas(outcomes) = self.store.perform(Request::Cas(vec![alone])) else {
                panic!("outcomes");
            };
            let answers = outcomes.into_iter().map(|outcome| (request.clone(), Some(outcome))).collect();
            let at = self.lane(6, id.0, id.0, (17_000, 1000));
            self.lanes.insert((6, id.0, id.0), at + std::time::Duration::from_millis(17));
            self.plan(at, Happening::ToRegion(id, lease.epoch, Input::Cas(answers)));
        }
    }
}
