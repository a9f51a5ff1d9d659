//! Why the director decided something, in numbers.

use std::time::Duration;

use horizon_model::{Epoch, RegionId};

use super::{Output, Why};

/// Something to do, and why.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// What.
    pub output: Output,
    /// What led to it.
    pub because: Because,
}

/// What led to a decision, with the numbers that were compared. Times are as of the decision.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Because {
    /// A region waits for a worker, and one is ready.
    Needed {
        /// For whom.
        why: Why,
        /// For how long it has waited.
        waited: Duration,
        /// Workers that were ready.
        free: usize,
    },
    /// The worker has registered again and has not taken its region: the request may have been lost.
    Unheard,
    /// Fewer workers are ready or starting than are needed.
    TooFew(Pool),
    /// More workers are ready than are needed, and the pool is hardly used.
    TooMany(Pool),
    /// Something was not done in time.
    Overdue {
        /// What.
        missed: &'static str,
        /// For how long after its deadline.
        late: Duration,
    },
    /// The process has ended or is out of reach.
    Gone,
    /// The worker serves its region no more.
    Lost,
    /// The region is not heard.
    Silent {
        /// For how long this edge has not heard it.
        silence: Duration,
        /// Whether a neighbour says the same.
        neighbour: bool,
        /// Served neighbours that are heard.
        heard: usize,
        /// Workers that were ready.
        free: usize,
    },
    /// Nobody is in the region and nobody is expected.
    Idle {
        /// For how long.
        idle: Duration,
        /// `[director] grace_seconds`.
        grace: Duration,
        /// Workers that are or will be ready.
        spare: usize,
        /// As many are wanted.
        wanted: usize,
    },
    /// An operator wants another worker for the region.
    Asked {
        /// Workers that were ready.
        free: usize,
    },
    /// The worker is old.
    Aged {
        /// How old.
        age: Duration,
        /// The greatest age.
        greatest: Duration,
    },
    /// The worker follows another clock than this edge.
    OtherClock,
    /// Another worker has the region under a higher lease, or this lease was given up.
    Superseded {
        /// The region.
        region: RegionId,
        /// The worker's lease.
        lease: Epoch,
    },
    /// It was told to end before.
    Dismissed,
    /// The world stops.
    Shutdown,
    /// Who serves what has changed, or somebody has not been told.
    Changed,
}

/// The workers that are not given to a region, and how many should be.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pool {
    /// Regions that wait for a worker.
    pub waiting: usize,
    /// Regions that are to go on elsewhere.
    pub evacuating: usize,
    /// Served regions that stand still: they may need another worker soon.
    pub stalled: usize,
    /// Workers with a region.
    pub busy: usize,
    /// Workers that are ready.
    pub free: usize,
    /// Processes that have not registered yet.
    pub starting: usize,
    /// As many are to be ready beyond those that are waited for.
    pub wanted: usize,
    /// Registered workers and processes that are starting.
    pub workers: usize,
    /// As many may be.
    pub max_workers: usize,
    /// Share of workers that have a region, 0 to 1.
    pub occupancy: f64,
}

impl Output {
    pub(super) const fn because(self, because: Because) -> Decision {
        Decision { output: self, because }
    }

    /// Whether no process but this one notices.
    pub const fn concerns_this_edge_alone(&self) -> bool {
        matches!(self, Self::Announce(_) | Self::Finished)
    }

    /// The word for it, as metrics show it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Spawn => "spawn",
            Self::Kill { .. } => "kill",
            Self::Forget { .. } => "forget",
            Self::Place { .. } => "place",
            Self::Retire { .. } => "retire",
            Self::Relieve { .. } => "relieve",
            Self::Evict { .. } => "evict",
            Self::Announce(_) => "announce",
            Self::Finished => "finished",
        }
    }
}
