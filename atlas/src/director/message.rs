//! What the director is told, and what it has done.

use std::time::Duration;

use horizon_model::{Epoch, RegionId, WorkerId};
use horizon_protocol::link::Placement;

use super::{Accuser, Why};

/// Everything that can make the director advance.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// Whether this edge holds the director lease.
    Lease(bool),
    /// Somebody needs this region, or will.
    Ensure {
        /// Which.
        region: RegionId,
        /// Who says so.
        why: Why,
    },
    /// An [`Output::Spawn`] made this process.
    Spawned {
        /// Its process id.
        pid: u32,
    },
    /// An [`Output::Spawn`] failed.
    SpawnFailed,
    /// A worker said who it is, for the first time or again.
    Registered {
        /// This life of the process.
        worker: WorkerId,
        /// Its process id; none where its process is out of reach, in another container or on another machine.
        pid: Option<u32>,
        /// Link address for others.
        endpoint: String,
        /// It serves only regions within this box: x and y of two corners, metres.
        bounds: Option<[f64; 4]>,
        /// What it serves already.
        serving: Option<Placement>,
        /// Whether it follows this edge's clock, or none yet. One that follows another clock could only
        /// slew towards ours for minutes: it is of use while it serves, and ends otherwise.
        in_step: bool,
    },
    /// The link to a worker is gone; its process may live.
    LinkLost(WorkerId),
    /// A process has ended.
    Exited {
        /// Its process id.
        pid: u32,
    },
    /// A worker serves a region.
    Placed(Placement),
    /// A worker could not take over a region and is free again.
    NotPlaced {
        /// Who.
        worker: WorkerId,
        /// Which.
        region: RegionId,
    },
    /// A worker gave its region back.
    Retired {
        /// Who.
        worker: WorkerId,
        /// Which.
        region: RegionId,
    },
    /// An [`Output::Evict`] is durable.
    Evicted(RegionId),
    /// A region is not heard any more.
    Silent {
        /// Which.
        region: RegionId,
        /// Under which lease it was heard last.
        lease: Epoch,
        /// Who says so.
        by: Accuser,
        /// For how long.
        silence: Duration,
    },
    /// A region stands still though its process lives, or steps again.
    Stalled {
        /// Which.
        region: RegionId,
        /// Under which lease.
        lease: Epoch,
        /// Whether it stands still.
        stalled: bool,
    },
    /// How a region fares.
    Summary {
        /// Which.
        region: RegionId,
        /// Nobody is there and nothing moves.
        idle: bool,
    },
    /// The operator wants another worker for a region.
    Evacuate(RegionId),
    /// Every worker that may have been running has registered.
    Settled,
    /// Stop the whole world.
    Shutdown,
    /// A deadline of [`next_timeout`](super::Director::next_timeout) has come.
    Timeout,
}

/// What the shell is to do, in this order.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Start one worker process.
    Spawn,
    /// End a process by force.
    Kill {
        /// Its process id.
        pid: u32,
        /// Because it did not do this in time.
        missed: &'static str,
    },
    /// Close the link to a worker whose process is out of reach, and count it no more. If it lives it registers
    /// again.
    Forget {
        /// Who.
        worker: WorkerId,
        /// Because it did not do this in time.
        missed: &'static str,
    },
    /// Tell a worker to serve a region.
    Place {
        /// Who.
        worker: WorkerId,
        /// Which.
        region: RegionId,
        /// For whom.
        why: Why,
    },
    /// Tell a worker to save and give back what it has.
    Retire {
        /// Who.
        worker: WorkerId,
        /// Which, if it has one.
        region: Option<RegionId>,
        /// End the process afterwards.
        exit: bool,
    },
    /// Tell a worker to give back its region as it is, for the next one, and to end.
    Relieve {
        /// Who.
        worker: WorkerId,
        /// Which.
        region: RegionId,
    },
    /// End the lease of a worker that is gone or silent; answer [`Input::Evicted`].
    Evict {
        /// Which.
        region: RegionId,
        /// Whose lease.
        worker: WorkerId,
    },
    /// Tell all sessions who serves what, and as the director all workers.
    Announce(Vec<Placement>),
    /// Every worker is gone after [`Input::Shutdown`].
    Finished,
}
