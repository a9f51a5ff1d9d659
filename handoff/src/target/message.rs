//! What a target is told, and what it asks for.

use std::sync::Arc;

use horizon_model::{EntityId, Epoch, HandoffId, RegionId, Tick};
use horizon_protocol::link::{EntityKey, FinalState, Offer, PartChange, PresyncState, RefuseReason};

use crate::{Capsule, CasOutcome, CasRequest, Record};

/// What makes the machine advance.
#[derive(Debug, Clone, PartialEq)]
pub enum Input {
    /// A neighbour would hand an entity over.
    Offer {
        /// Its words.
        offer: Offer,
        /// Whether this region could take it, judged by the shell: plugins, room, store, lag.
        ready: Result<(), RefuseReason>,
    },
    /// The entity's state at the source.
    Presync(PresyncState),
    /// The entity's last state at the source: commit it.
    Final(FinalState),
    /// The source changed its mind.
    Withdraw {
        /// About which attempt.
        handoff: HandoffId,
    },
    /// What [`Output::Stage`] asked for is durable in the journal.
    Staged {
        /// The attempt.
        handoff: HandoffId,
    },
    /// The store's answer to [`Output::CasMove`].
    Outcome {
        /// The attempt.
        handoff: HandoffId,
        /// The answer.
        outcome: CasOutcome,
    },
    /// The store did not answer; the request may have won.
    Unknown {
        /// The attempt.
        handoff: HandoffId,
    },
    /// The link to a region is gone.
    SourceLost {
        /// Which.
        region: RegionId,
    },
    /// Our lease is not the current one. Nothing is accepted under it any more.
    LeaseLost,
    /// Somebody owns the entity at this epoch: this region itself, or another one.
    Observed {
        /// Who.
        key: EntityKey,
        /// The epoch.
        epoch: Epoch,
    },
    /// The time of [`Target::next_timeout`](super::Target::next_timeout) has come.
    Timeout,
}

/// What the shell does next, in order.
#[derive(Debug, Clone, PartialEq)]
pub enum Output {
    /// Take the offer; the message names our lease and process.
    SendAccept {
        /// Where to.
        to: RegionId,
        /// The attempt.
        handoff: HandoffId,
    },
    /// Do not take the offer now.
    SendRefuse {
        /// Where to.
        to: RegionId,
        /// The attempt.
        handoff: HandoffId,
        /// Why.
        why: RefuseReason,
    },
    /// The copy is complete up to `tick`.
    SendPresyncAck {
        /// Where to.
        to: RegionId,
        /// The attempt.
        handoff: HandoffId,
        /// Up to.
        tick: Tick,
    },
    /// The message does not fit our copy: ask for everything.
    SendNeedFull {
        /// Where to.
        to: RegionId,
        /// The attempt.
        handoff: HandoffId,
    },
    /// The copy is new: move the shadow observer there. It acts on nothing.
    Shadow {
        /// Who.
        key: EntityKey,
        /// Its id in the world.
        entity: EntityId,
        /// The region that owns it.
        from: RegionId,
        /// As of the end of this tick.
        tick: Tick,
        /// The copy.
        capsule: Arc<Capsule>,
    },
    /// Make this durable in the journal and answer [`Input::Staged`]. It stays there until the entity is in
    /// the journal itself, or a record of a higher epoch is.
    Stage(StagedState),
    /// Send these to the store in one call, the members of a group or one alone; repeated with the same nonces
    /// until there is an answer.
    CasMove(Vec<CasRequest>),
    /// The record is ours: the entity acts here from the tick after `arrival.tick`.
    Activated {
        /// Who.
        key: EntityKey,
        /// The record that was won.
        record: Record,
        /// The state that was committed.
        capsule: Arc<Capsule>,
        /// How it came.
        arrival: Arrival,
    },
    /// The copy is gone; remove the shadow observer.
    Forget {
        /// Who.
        key: EntityKey,
    },
}

/// A final state that a record may name, as a journal keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StagedState {
    /// Who.
    pub key: EntityKey,
    /// The attempt that the record will name.
    pub handoff: HandoffId,
    /// Authority epoch at the source: the record that names this has the next one.
    pub epoch: Epoch,
    /// The state.
    pub capsule: Arc<Capsule>,
}

impl StagedState {
    pub(super) const fn of(request: &CasRequest, epoch: Epoch, capsule: Arc<Capsule>) -> Self {
        Self { key: request.key, handoff: request.handoff, epoch, capsule }
    }
}

/// How an entity came here.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Arrival {
    /// From which region.
    pub from: RegionId,
    /// The attempt.
    pub handoff: HandoffId,
    /// Frozen at the end of this tick.
    pub tick: Tick,
    /// Highest input applied.
    pub applied: u32,
    /// Nanoseconds of grid time at the freeze.
    pub frozen_ns: u64,
    /// We were not ready when we were needed.
    pub late: bool,
    /// Metres beyond the border at the freeze.
    pub overhang_m: f32,
    /// A jump.
    pub teleport: bool,
    /// Bytes of complete pre-sync.
    pub full_bytes: u32,
    /// Bytes of the names and parts of the final message.
    pub cutover_bytes: u32,
}

impl From<&FinalState> for Arrival {
    fn from(last: &FinalState) -> Self {
        let bytes = last.parts.iter().map(PartChange::bytes_moved).sum::<usize>();
        Self {
            from: last.from,
            handoff: last.handoff,
            tick: last.tick,
            applied: last.applied,
            frozen_ns: last.frozen_ns,
            late: last.late,
            overhang_m: last.overhang_m,
            teleport: last.teleport,
            full_bytes: last.full_bytes,
            cutover_bytes: u32::try_from(bytes).unwrap_or(u32::MAX),
        }
    }
}
