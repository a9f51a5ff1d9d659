//! What the hub is told: everything that concerns regions, from links, sessions and operators.

use std::sync::Arc;
use std::time::Duration;

use horizon_model::{Epoch, RegionId, WorkerId};
use horizon_protocol::link::{Band, Placement, Registration, Summary};
use tokio::sync::oneshot;

use crate::director::Why;
use crate::evacuation;
use crate::lease::Directing;
use crate::peers::PeerNews;
use crate::routes::WorkerLink;

/// Messages that may wait for the hub. Readers of links wait where it is full.
pub const HUB_MESSAGES: usize = 4_096;

/// What concerns regions.
#[derive(Debug)]
pub enum ToHub {
    /// A worker said who it is.
    Registered {
        /// What it said.
        registration: Box<Registration>,
        /// Its link.
        link: Arc<WorkerLink>,
    },
    /// A link is gone.
    LinkLost {
        /// Whose.
        worker: WorkerId,
        /// Which of its links.
        serial: u64,
    },
    /// A process has ended.
    Exited(u32),
    /// A worker serves a region.
    Placed(Placement),
    /// A worker could not take over a region.
    NotPlaced {
        /// Who.
        worker: WorkerId,
        /// Which.
        region: RegionId,
        /// Why, in a sentence.
        why: String,
    },
    /// A worker gave a region back.
    Retired {
        /// Who.
        worker: WorkerId,
        /// Which.
        region: RegionId,
    },
    /// The lease of a worker that is gone has ended.
    Evicted(RegionId),
    /// A region does not hear its neighbour any more.
    Silent {
        /// Whom.
        region: RegionId,
        /// Under which lease it was heard last.
        lease: Epoch,
        /// Who says so.
        by: RegionId,
    },
    /// A region stands still, or steps again.
    Stalled {
        /// Which.
        region: RegionId,
        /// Under which lease.
        lease: Epoch,
        /// Whether it stands still.
        stalled: bool,
    },
    /// Bodies near a border.
    Band(Band),
    /// A region at a glance.
    Summary(Box<Summary>),
    /// A player of this edge needs a region.
    Ensure {
        /// Which.
        region: RegionId,
        /// Who.
        why: Why,
    },
    /// Who directs has changed.
    Directs {
        /// Who.
        directing: Directing,
        /// Time of the highest stored tick, where this edge directs and has no time of its own.
        stored: Option<Duration>,
    },
    /// Something happened between this edge and the others.
    Peer(PeerNews),
    /// A player of another edge needs a region.
    Needed {
        /// Which.
        region: RegionId,
        /// Who.
        why: Why,
    },
    /// The operator stops the world, says the edge that directs.
    WorldStops,
    /// What is going on, as JSON.
    Status(oneshot::Sender<String>),
    /// Handoffs after a number, as JSON.
    Handoffs(u64, oneshot::Sender<String>),
    /// Let another worker go on with a region; answered when it does.
    Evacuate(RegionId, evacuation::Reply),
    /// Stop the whole world; answered when every worker is gone, and dropped where this edge may not.
    Shutdown(oneshot::Sender<()>),
}
