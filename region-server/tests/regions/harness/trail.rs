//! What a handoff is made of, in the order in which it happens.

use horizon_handoff::CasRequest;
use horizon_model::RegionId;
use horizon_protocol::link::{EdgeToRegion, RegionToEdge, RegionToRegion};
use horizon_region_server::region::Output;

use super::Harness;

/// Whether this takes an entity over from another region.
pub(super) fn moves(request: &CasRequest) -> bool {
    request.expect.is_some_and(|expect| expect.region != request.guard.region)
}

impl Harness {
    /// One more step, done by `region`.
    fn noted(&mut self, region: RegionId, step: &'static str) {
        self.trail.push((region, step));
    }

    pub(super) fn note_request(&mut self, region: RegionId, message: &EdgeToRegion) {
        if matches!(message, EdgeToRegion::Prepare { .. }) {
            self.noted(region, "the edge foresees it");
        }
    }

    pub(super) fn note_output(&mut self, region: RegionId, output: &Output) {
        let step = match output {
            Output::Worker(_, _, message) => match message {
                RegionToRegion::Offer(_) => "offers",
                RegionToRegion::Accept { .. } => "is ready",
                RegionToRegion::Presync(state) if state.base.is_none() => "sends the whole state",
                RegionToRegion::Presync(_) => "sends what changed",
                RegionToRegion::PresyncAck { .. } => "has a copy",
                RegionToRegion::Final(_) => "sends the final state",
                RegionToRegion::Moved { .. } => "tells the source",
                _ => return,
            },
            Output::Stage(_) => "writes the state down",
            Output::Cas(requests) => {
                if !requests.iter().any(moves) {
                    return;
                }
                "asks the store"
            }
            Output::Edge(_, _, RegionToEdge::Attach(_)) => "takes the inputs",
            Output::Frames(_, batch) if !batch.frames.is_empty() => "shows the world",
            _ => return,
        };
        self.noted(region, step);
    }
}
