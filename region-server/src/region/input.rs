//! Everything that can make a region advance, and everything it asks for.

use horizon_handoff::target::StagedState;
use std::collections::BTreeSet;

use horizon_handoff::{CasOutcome, CasRequest, Record};
use horizon_model::{EdgeId, Epoch, HandoffId, RegionId, Tick, WorkerId};
use horizon_protocol::link::{
    EdgeToRegion, EntityKey, GhostBatch, Lane, RegionToEdge, RegionToRegion, StateBatch,
};
use horizon_state_store::Report;

use crate::journal::{Snapshot, Staged, TickRecord};

/// What arrived since the last look.
#[derive(Debug)]
pub enum Input {
    /// An edge is linked.
    EdgeUp(EdgeId),
    /// An edge is gone.
    EdgeDown(EdgeId),
    /// An edge says something.
    Edge(EdgeId, Box<EdgeToRegion>),
    /// State frames to this edge were given up on the way.
    EdgeFramesLost(EdgeId),
    /// Another worker is linked.
    WorkerUp(WorkerId),
    /// Another worker is gone.
    WorkerDown(WorkerId),
    /// Another worker says something.
    Worker(WorkerId, Box<RegionToRegion>),
    /// Ghosts to this worker were given up on the way.
    WorkerFramesLost(WorkerId),
    /// Everything up to this tick is durable, under a lease that is still ours.
    Durable(Tick),
    /// The final states of these attempts are durable in the journal.
    Staged(Vec<HandoffId>),
    /// The journal part is full.
    WantSnapshot,
    /// Answers to compare-and-sets; `None` where the store did not answer: ask again.
    Cas(Vec<(CasRequest, Option<CasOutcome>)>),
    /// Answer to a lookup; `Err` where the store did not answer.
    Record(EntityKey, Result<Option<Record>, ()>),
    /// A lease renewal was answered; it was asked at this grid time.
    LeaseRenewed {
        /// Nanoseconds of grid time when the request left.
        started_ns: u64,
    },
    /// The store was started again and asks what is owned here; in particular, with their states, these.
    StoreAsks(BTreeSet<EntityKey>),
    /// Another holder has the region: fall silent.
    LeaseLost,
    /// Save everybody and everything, so that nobody is in it, and give the region back.
    Retire,
    /// Write everything down as it is, and give the region back: a successor goes on with it.
    Relieve,
}

/// What the shell does for a region, in order.
#[derive(Debug)]
pub enum Output {
    /// To an edge.
    Edge(EdgeId, Lane, RegionToEdge),
    /// State frames to an edge.
    Frames(EdgeId, StateBatch),
    /// To another worker.
    Worker(WorkerId, Lane, RegionToRegion),
    /// Ghosts to another worker.
    Ghosts(WorkerId, GhostBatch),
    /// Append; report when durable.
    Journal(Box<TickRecord>),
    /// Nothing to append; confirm the lease and report.
    Mark(Tick),
    /// Start a new part of the journal, with the states whose fate is open.
    Rotate(Box<Snapshot>, Vec<Staged>),
    /// Append a state that a record may name; report when durable.
    Stage(StagedState),
    /// Compare-and-set.
    Cas(Vec<CasRequest>),
    /// Read a record.
    Lookup(EntityKey),
    /// Tell a store that was started again.
    Report(Box<Report>),
    /// Everything is saved and told: release the lease.
    Retired(RegionId),
    /// The lease is lost: stop without another word.
    Superseded,
}

/// Makes handoff ids: this process, this lease, counted; never the same one twice.
#[derive(Debug)]
pub(crate) struct Nonces {
    prefix: u128,
    next: u64,
}

impl Nonces {
    /// Bits that count within one lease: years at thousands a second.
    const COUNT_BITS: u32 = 40;

    pub(crate) fn new(worker: WorkerId, lease: Epoch) -> Self {
        let lease = u128::from(lease.0 & 0xff_ffff) << Self::COUNT_BITS;
        Self { prefix: (u128::from(worker.0) << 64) | lease, next: 0 }
    }

    pub(crate) fn fresh(&mut self) -> HandoffId {
        self.next += 1;
        HandoffId(self.prefix | u128::from(self.next))
    }
}
