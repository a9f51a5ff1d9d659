//! Everything that can happen to a worker, as its hub is told.

use horizon_link::PeerSender;
use horizon_model::{EdgeId, RegionId, WorkerId};
use horizon_protocol::link::{EdgeToRegion, Placement, RegionToRegion};

use super::handle::RegionThread;

/// Everything that can happen to a worker.
pub(crate) enum Event {
    EdgeUp(EdgeId, PeerSender),
    EdgeDown(EdgeId),
    Edge(EdgeId, Box<EdgeToRegion>),
    WorkerUp(WorkerId, PeerSender),
    WorkerDown(WorkerId),
    Worker(WorkerId, Box<RegionToRegion>),
    Placed(Box<Result<Placed, (RegionId, String)>>),
    /// The tick thread ended: the region was given back, or lost.
    Ended {
        retired: bool,
    },
}

/// A region that is served from now on.
pub(crate) struct Placed {
    pub(crate) placement: Placement,
    pub(crate) thread: RegionThread,
}
