//! What the store keeps, and the requests that change it.

use horizon_model::{EdgeId, Epoch, HandoffId, PlayerId, RegionId, SessionId, Tick, WorkerId};
use horizon_protocol::link::EntityKey;
use rkyv::{Archive, Deserialize, Serialize};

/// Longest encoded capsule a store accepts, in bytes. A bigger one is refused when it is offered, so
/// that it never gets stuck half way.
pub const MAX_CAPSULE_BYTES: usize = 64 * 1024;

/// Who owns one entity, and its state at that moment: the witness of every handoff.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// Authority epoch; rises with every change of this record.
    pub epoch: Epoch,
    /// The owning region.
    pub region: RegionId,
    /// The process that may act; `None` while the entity is parked (saved, nowhere in the world).
    pub holder: Option<Holder>,
    /// The attempt that wrote this record, so that a repeated request recognises its own success.
    pub handoff: HandoffId,
    /// Highest reliable input that the capsule contains.
    pub applied: u32,
    /// The capsule is as of the end of this tick.
    pub tick: Tick,
    /// The state.
    pub capsule: Kept,
}

/// Where the state that belongs to a record is.
///
/// First records, keeps, claims and parked entities have it in the record. A move names it: the target
/// has made it durable in its journal *before* it asks, and the store refuses a target whose lease is
/// not current, so whoever serves the region next, under a higher lease, finds it there.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, Hash)]
pub enum Kept {
    /// In the record: an encoded [`Capsule`](crate::Capsule) of at most [`MAX_CAPSULE_BYTES`].
    Here(Vec<u8>),
    /// In the journal of the record's region, staged under this lease for the record's attempt.
    Journal {
        /// The lease that was current when the record was written.
        lease: Epoch,
        /// [`Capsule::hash`](crate::Capsule::hash) of it.
        hash: u64,
    },
}

impl Kept {
    /// Bytes in the record.
    pub const fn bytes(&self) -> usize {
        match self {
            Self::Here(bytes) => bytes.len(),
            Self::Journal { .. } => 0,
        }
    }

    /// The encoded capsule, where it is in the record.
    pub fn here(&self) -> Option<&[u8]> {
        match self {
            Self::Here(bytes) => Some(bytes),
            Self::Journal { .. } => None,
        }
    }
}

/// One process under one lease. A restarted process is another holder.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Holder {
    /// The life of the process.
    pub worker: WorkerId,
    /// The region lease it acts under.
    pub lease: Epoch,
}

/// Who writes, and under which lease: a store refuses a writer whose lease is not the current one.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaseGuard {
    /// The region that owns the entity afterwards.
    pub region: RegionId,
    /// The life of the process.
    pub worker: WorkerId,
    /// The region lease it acts under.
    pub lease: Epoch,
}

impl LeaseGuard {
    /// The holder a won record names.
    pub const fn holder(&self) -> Holder {
        Holder { worker: self.worker, lease: self.lease }
    }
}

/// What a record must say for a compare-and-set to win.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Expect {
    /// The epoch there.
    pub epoch: Epoch,
    /// The region there: the source for a move, the writer's own for a keep.
    pub region: RegionId,
}

/// One compare-and-set of an entity's record.
///
/// Another region in `expect` than in `guard` makes it a move, the same region a keep (a source that
/// takes back, or a successor that recovers). Asking again with the same `handoff` is harmless.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct CasRequest {
    /// Whose record.
    pub key: EntityKey,
    /// Who writes.
    pub guard: LeaseGuard,
    /// What must be there; `None` where no record may exist yet.
    pub expect: Option<Expect>,
    /// This attempt.
    pub handoff: HandoffId,
    /// Highest reliable input that the capsule contains.
    pub applied: u32,
    /// The capsule is as of the end of this tick.
    pub tick: Tick,
    /// The state, or where it is.
    pub capsule: Kept,
    /// The entity leaves the world: the record keeps its region and names no holder.
    pub park: bool,
    /// Neighbours in one batch with the same one are a group: all of them are written, or none is.
    pub group: Option<HandoffId>,
}

impl CasRequest {
    /// Whether `next`, which follows in a batch, is written with this one or not at all.
    pub fn stands_with(&self, next: &Self) -> bool {
        self.group.is_some() && self.group == next.group
    }
}

/// A store's answer to one [`CasRequest`].
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub enum CasOutcome {
    /// The record is this one now, durably.
    Won(Record),
    /// The record is another one, or stays as it is because another one of the group is; nothing changed.
    Lost(Option<Record>),
    /// The writer's lease is not the current one: it must fall silent for the whole region.
    LeaseLost,
    /// The request was made against another generation of the store: wait for its recovery.
    WrongGeneration {
        /// The store's generation.
        store: u16,
    },
    /// The capsule is too long; nothing changed and no retry will help.
    TooLarge {
        /// [`MAX_CAPSULE_BYTES`].
        max_bytes: usize,
    },
}

/// Which stay of a player is the current one. Only an edge's compare-and-set changes it, never a
/// handoff, so a crossing cannot undo a kick.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionRecord {
    /// The stay.
    pub session: SessionId,
    /// Session epoch; rises with every connection.
    pub epoch: Epoch,
    /// The client's attempt that wrote this record.
    pub nonce: u64,
    /// The edge that holds the socket.
    pub edge: EdgeId,
}

/// One compare-and-set of a session. Asking again with the same `nonce` is harmless, so a lost
/// welcome locks nobody out.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionCas {
    /// Whose.
    pub player: PlayerId,
    /// The session epoch that must be there; `None` where no session may exist yet.
    pub expect: Option<Epoch>,
    /// The stay that goes on or begins.
    pub session: SessionId,
    /// The client's attempt.
    pub nonce: u64,
    /// The edge that holds the socket.
    pub edge: EdgeId,
}

/// A store's answer to a [`SessionCas`].
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SessionOutcome {
    /// The record is this one now, durably.
    Won(SessionRecord),
    /// The record is another one; nothing changed.
    Lost(Option<SessionRecord>),
}

/// The right to serve one region, until it expires or a higher epoch is granted.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Lease {
    /// Which region.
    pub region: RegionId,
    /// Who serves it.
    pub worker: WorkerId,
    /// Its fencing token.
    pub epoch: Epoch,
}

impl Lease {
    /// The guard for writes under this lease.
    pub const fn guard(&self) -> LeaseGuard {
        LeaseGuard { region: self.region, worker: self.worker, lease: self.epoch }
    }

    /// The holder that records written under this lease name.
    pub const fn holder(&self) -> Holder {
        Holder { worker: self.worker, lease: self.epoch }
    }
}
