//! What is under way in the world, what may be broken in it, and what a run went through.

use horizon_model::{Epoch, HandoffId, RegionId, Tick};
use horizon_protocol::link::RegionToRegion;

use crate::mutant::Mutant;
use crate::{CasOutcome, CasRequest, LeaseGuard, Record};

/// What a process wants sent.
pub(super) type Outbox = Vec<Message>;

#[derive(Debug, Clone)]
pub(super) enum Message {
    Region {
        to: RegionId,
        body: RegionToRegion,
    },
    Cas(CasRequest),
    Outcome {
        to: LeaseGuard,
        handoff: HandoffId,
        outcome: CasOutcome,
    },
    Read {
        me: LeaseGuard,
    },
    Record {
        to: LeaseGuard,
        record: Record,
    },
    Attach {
        epoch: Epoch,
        region: RegionId,
        applied: u32,
    },
    Frame {
        epoch: Epoch,
        region: RegionId,
        tick: Tick,
        applied: u32,
    },
    Nack {
        region: RegionId,
        from: u32,
    },
    Input {
        region: RegionId,
        seq: u32,
    },
    /// The client is told that `seq` cannot be undone; never lost, so that promises are strictest.
    Durable {
        seq: u32,
    },
    Activated,
    Resumed,
}

/// Guards that are switched off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    Nothing,
    Machine(Mutant),
    /// A successor acts at the epoch it finds.
    RecoverWithoutCas,
    /// The journal takes what a superseded holder writes.
    UnfencedJournal,
}

/// What a run went through, to show that it went anywhere.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Reached {
    pub(super) moved: u32,
    pub(super) resumed: u32,
    pub(super) takeovers: u32,
    pub(super) moved_after_takeover: u32,
    pub(super) zombies: u32,
    pub(super) frames: u32,
}
