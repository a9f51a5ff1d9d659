//! What a source is told, and what it asks for.

use horizon_model::{Epoch, HandoffId, RegionId, Tick, WorkerId};
use horizon_protocol::link::RefuseReason;

use super::Near;
use crate::{Holder, Record};

/// What makes the machine advance.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Input {
    /// The edge expects `target` to be needed. Repeated while that stands, at least every second.
    Prepare {
        /// Where to.
        target: RegionId,
        /// Fresh; used where this begins an offer.
        handoff: HandoffId,
    },
    /// The target takes the offer.
    Accepted {
        /// Which.
        handoff: HandoffId,
        /// The target's lease.
        lease: Epoch,
        /// The target's process.
        worker: WorkerId,
    },
    /// The target does not take it now.
    Refused {
        /// Which.
        handoff: HandoffId,
        /// Why.
        why: RefuseReason,
    },
    /// The link to a region is gone.
    TargetLost {
        /// Which.
        region: RegionId,
    },
    /// The target's copy is complete up to `tick`.
    PresyncAck {
        /// Which.
        handoff: HandoffId,
        /// Up to.
        tick: Tick,
    },
    /// The target cannot build on its copy.
    NeedFull {
        /// Which.
        handoff: HandoffId,
    },
    /// A simulation step is complete.
    StepEnd(StepEnd),
    /// The journal is durable up to the end of `tick` and the lease was confirmed after that.
    Durable {
        /// Up to.
        tick: Tick,
    },
    /// What the store says about this entity now: an answer to a compare-and-set or a read.
    Decided(Decision),
    /// A peer says that the entity has a higher epoch.
    Superseded {
        /// Which.
        epoch: Epoch,
    },
    /// The time of [`Source::next_timeout`](super::Source::next_timeout) has come.
    Timeout {
        /// A nonce the machine may use.
        fresh_handoff: HandoffId,
    },
}

/// The end of a simulation step.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct StepEnd {
    /// The tick that is complete.
    pub tick: Tick,
    /// Grid ticks per step.
    pub step_ticks: u64,
    /// Whose cells the entity is in; `None` off the map.
    pub owner: Option<RegionId>,
    /// Metres outside the own cells, 0 inside.
    pub beyond_metres: f64,
    /// The other regions that the entity could step into soon.
    pub near: Near,
    /// The store answers and the lease outlives three freeze timeouts.
    pub healthy: bool,
    /// A freeze now is a short one: the journal is durable up to the step before this one, and fewer than
    /// [`MAX_FROZEN`](super::MAX_FROZEN) entities of the region are frozen.
    pub swift: bool,
    /// More than [`CROWD`](super::CROWD) entities of the region want to cross now.
    pub crowded: bool,
    /// Another one of its group could not be frozen at this step, so nobody of the group is.
    pub held: bool,
    /// A nonce the machine may use.
    pub fresh_handoff: HandoffId,
}

/// The part of a [`Record`] that decides who owns.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// Authority epoch.
    pub epoch: Epoch,
    /// The owning region.
    pub region: RegionId,
    /// The owning process, `None` while parked.
    pub holder: Option<Holder>,
    /// The attempt that won.
    pub handoff: HandoffId,
}

impl From<&Record> for Decision {
    fn from(record: &Record) -> Self {
        Self { epoch: record.epoch, region: record.region, holder: record.holder, handoff: record.handoff }
    }
}

/// What the shell does next, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Ask `to` whether it would take the entity.
    SendOffer {
        /// Where to.
        to: RegionId,
        /// The attempt.
        handoff: HandoffId,
    },
    /// Tell `to` to forget its copy.
    SendWithdraw {
        /// Where to.
        to: RegionId,
        /// The attempt.
        handoff: HandoffId,
    },
    /// Send the state as of this step; older states than `base` are not needed any more.
    SendPresync {
        /// Where to.
        to: RegionId,
        /// The attempt.
        handoff: HandoffId,
        /// Only what changed since that tick, or everything.
        base: Option<Tick>,
    },
    /// Apply nothing to the entity from now on; keep its capsule as of the end of `tick`.
    Freeze {
        /// The last tick that counts.
        tick: Tick,
    },
    /// Make the journal durable up to `tick`, confirm the lease, answer [`Input::Durable`].
    Flush {
        /// Up to.
        tick: Tick,
    },
    /// Send the frozen capsule to be committed.
    SendFinal {
        /// Where to.
        to: RegionId,
        /// Only this process may commit it.
        worker: WorkerId,
        /// And only under this lease.
        lease: Epoch,
        /// The attempt.
        handoff: HandoffId,
        /// Only what changed since that tick, or everything.
        base: Option<Tick>,
        /// Frozen at the end of this tick.
        tick: Tick,
        /// The target was not ready when it was needed.
        late: bool,
    },
    /// Ask the store to keep the frozen capsule here; the answer is an [`Input::Decided`].
    CasKeep {
        /// The nonce: the same for every repetition.
        handoff: HandoffId,
        /// The epoch that must be there.
        expect_epoch: Epoch,
    },
    /// Read the record and answer [`Input::Decided`].
    ReadRecord,
    /// The entity acts here again, at this epoch.
    Resumed {
        /// The new epoch.
        epoch: Epoch,
    },
    /// Another one owns the entity: keep at most a ghost.
    Released {
        /// The newer epoch.
        epoch: Epoch,
        /// Where, as far as it is known.
        region: Option<RegionId>,
        /// Which process, as far as it is known.
        worker: Option<WorkerId>,
    },
}
