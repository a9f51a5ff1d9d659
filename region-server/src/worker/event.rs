//! Everything that can happen to a worker, as its hub is told.

use horizon_link::PeerSender;
use horizon_model::{EdgeId, RegionId, WorkerId};
use horizon_protocol::link::{EdgeToRegion, Placement, RegionToRegion};

use super::handle::RegionThread;

/// Everything that can happen to a worker.
pub(crate) enum Event {
    /// A link, with its serial number in this process: the end of an older one means nothing.
    EdgeUp(EdgeId, u64, PeerSender),
    EdgeDown(EdgeId, u64),
    Edge(EdgeId, Box<EdgeToRegion>),
    WorkerUp(WorkerId, u64, PeerSender),
    WorkerDown(WorkerId, u64),
    Worker(WorkerId, Box<RegionToRegion>),
    /// A worker did not answer the call.
    NotReached(WorkerId),
    Placed(Box<Result<Placed, (RegionId, String)>>),
    /// The tick thread stands still, or steps again.
    Stalled(bool),
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
