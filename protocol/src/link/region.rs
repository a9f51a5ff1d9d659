//! Messages between two region servers.

use horizon_model::{Cell, EntityId, Epoch, HandoffId, Position, RegionId, Tick, WorkerId};
use rkyv::{Archive, Deserialize, Serialize};

use super::EntityKey;

/// A wish to move authority over one entity.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct Offer {
    /// This attempt.
    pub handoff: HandoffId,
    /// Who.
    pub key: EntityKey,
    /// Its id in the world.
    pub entity: EntityId,
    /// Authority epoch at the source.
    pub epoch: Epoch,
    /// The offering region.
    pub from: RegionId,
    /// The region asked.
    pub to: RegionId,
    /// Size of the capsule in bytes.
    pub size: u32,
    /// Hash of plugins and schemas: must be equal at both ends.
    pub plugins_hash: u64,
}

/// Why an offer is not accepted. The source keeps the entity and asks again later.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefuseReason {
    /// The worker does not serve that region (any more).
    NotServing,
    /// Plugins or schemas differ.
    Schema,
    /// No room.
    Full,
    /// The store is out of reach, or the lease is about to end.
    Unhealthy,
    /// More than a second behind.
    Behind,
}

/// One named piece of a capsule. Names are stable within an entity.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Which piece.
    pub name: String,
    /// Its bytes; `None` where the piece is gone.
    pub bytes: Option<Vec<u8>>,
}

/// One named piece of a capsule that is another than in the state before.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct PartChange {
    /// Which piece.
    pub name: String,
    /// What became of it.
    pub change: Change,
}

/// What became of a piece.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// It is this now.
    Whole(Vec<u8>),
    /// It is made of the bytes that it had in the state before, and of new ones, in this order.
    Edited(Vec<Edit>),
    /// It is gone.
    Gone,
}

/// One stretch of an edited piece.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub enum Edit {
    /// Bytes of the state before.
    Keep {
        /// Where they began.
        at: u32,
        /// How many.
        len: u32,
    },
    /// Other bytes.
    New(Vec<u8>),
}

impl PartChange {
    /// Bytes of the name and of what the change carries: 8 for a stretch that stays, 4 and the bytes for a
    /// new one.
    pub fn bytes_moved(&self) -> usize {
        let change = match &self.change {
            Change::Whole(bytes) => bytes.len(),
            Change::Edited(edits) => edits.iter().map(Edit::bytes_moved).sum(),
            Change::Gone => 0,
        };
        self.name.len() + change
    }
}

impl Edit {
    /// As in [`PartChange::bytes_moved`].
    pub const fn bytes_moved(&self) -> usize {
        match self {
            Self::Keep { .. } => 8,
            Self::New(bytes) => 4 + bytes.len(),
        }
    }
}

/// The state of an entity that may cross, as of `tick`.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct PresyncState {
    /// The attempt.
    pub handoff: HandoffId,
    /// As of the end of this tick.
    pub tick: Tick,
    /// `None`: `parts` is everything. Else only what changed since that tick.
    pub base: Option<Tick>,
    /// Pieces.
    pub parts: Vec<PartChange>,
}

/// The frozen state of an entity: the offer to commit.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct FinalState {
    /// The attempt.
    pub handoff: HandoffId,
    /// Who.
    pub key: EntityKey,
    /// Authority epoch at the source.
    pub epoch: Epoch,
    /// Source region.
    pub from: RegionId,
    /// Target region.
    pub to: RegionId,
    /// Only this process, under this lease, may commit it.
    pub to_worker: WorkerId,
    /// The lease named in the accept.
    pub to_lease: Epoch,
    /// Frozen at the end of this tick.
    pub tick: Tick,
    /// Highest input applied.
    pub applied: u32,
    /// `None`: `parts` is everything. Else only what changed since that tick.
    pub base: Option<Tick>,
    /// Pieces.
    pub parts: Vec<PartChange>,
    /// Hash of the whole capsule after `parts` are laid over `base`.
    pub hash: u64,
    /// Nanoseconds of grid time at the freeze.
    pub frozen_ns: u64,
    /// No accepted offer, or a copy that was behind, when the border was two metres back.
    pub late: bool,
    /// Metres beyond the border.
    pub overhang_m: f32,
    /// A jump: nobody interpolates across it.
    pub teleport: bool,
    /// Bytes of complete pre-sync so far.
    pub full_bytes: u32,
    /// The attempts of its group, this one among them, the same in each of them: all are committed or none is.
    /// Empty for whoever travels alone.
    pub group: Vec<HandoffId>,
}

/// What a region looks at in its neighbour: its cells and everything it owns beyond them.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct Hull {
    /// The observing region.
    pub region: RegionId,
    /// Its lease.
    pub lease: Epoch,
    /// Lower corner of its cells.
    pub low: Cell,
    /// Upper corner of its cells, inclusive.
    pub high: Cell,
    /// Owned bodies outside those cells.
    pub beyond: Vec<Position>,
}

/// One tick's ghosts for one neighbour.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct GhostBatch {
    /// The tick described.
    pub tick: Tick,
    /// Sending region.
    pub region: RegionId,
    /// Its lease.
    pub lease: Epoch,
    /// GORC body in the binary spelling.
    pub body: Vec<u8>,
}

/// Who a posted message is for.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub enum PostTarget {
    /// One player or object, wherever it is.
    Entity(EntityKey),
    /// Every player of the receiving region who has not heard it yet.
    Everyone {
        /// 1, 2, 3 … from this sender under this lease, the same for all receivers.
        broadcast: u64,
    },
}

/// A plugin message on its way to another region. Delivered once: the receiver remembers the
/// highest number per sender.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct Post {
    /// Sending region.
    pub from: RegionId,
    /// Sender's lease when the message was made.
    pub lease: Epoch,
    /// 1, 2, 3 … from this sender to this receiver, on and on from lease to lease.
    pub number: u64,
    /// For whom.
    pub target: PostTarget,
    /// Plugin namespace.
    pub namespace: String,
    /// Event.
    pub event: String,
    /// MessagePack, spelled for each session on delivery.
    pub payload: Vec<u8>,
}

/// From region server to region server.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub enum RegionToRegion {
    /// May I hand you this entity?
    Offer(Box<Offer>),
    /// Yes: stream it, it runs here as a shadow.
    Accept {
        /// The attempt.
        handoff: HandoffId,
        /// The target's lease.
        lease: Epoch,
        /// The target's process.
        worker: WorkerId,
    },
    /// No.
    Refuse {
        /// The attempt.
        handoff: HandoffId,
        /// Why.
        why: RefuseReason,
    },
    /// The source changed its mind: forget the copy.
    Withdraw {
        /// The attempt.
        handoff: HandoffId,
    },
    /// Pre-sync.
    Presync(Box<PresyncState>),
    /// The copy is complete up to this tick.
    PresyncAck {
        /// The attempt.
        handoff: HandoffId,
        /// Up to.
        tick: Tick,
    },
    /// Frozen; commit it.
    Final(Box<FinalState>),
    /// The copy does not match: send the final state in full.
    NeedFull {
        /// The attempt.
        handoff: HandoffId,
    },
    /// Another region owns the entity now; a hint.
    Moved {
        /// Who.
        key: EntityKey,
        /// Authority epoch there.
        epoch: Epoch,
        /// Where.
        region: RegionId,
    },
    /// The sender steps: said ten times a second, so that its silence means something.
    Alive {
        /// Which region.
        region: RegionId,
        /// Under which lease.
        lease: Epoch,
    },
    /// The receiver's region is served under a higher lease: fall silent.
    Superseded {
        /// Which region.
        region: RegionId,
        /// The lease that counts.
        lease: Epoch,
    },
    /// What the sender wants to see from now on.
    Observe(Hull),
    /// Ghosts of one tick, on a stream of their own.
    Ghosts(GhostBatch),
    /// A plugin message.
    Post(Box<Post>),
    /// Messages up to this number of this lease are durable here.
    PostAck {
        /// Acknowledging region.
        region: RegionId,
        /// Sender's lease.
        lease: Epoch,
        /// Highest number.
        number: u64,
    },
}
