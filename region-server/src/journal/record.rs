//! The records of a journal: effects, never inputs, so recovery runs no handler.

use horizon_handoff::target::StagedState;
use horizon_model::{EntityId, Epoch, HandoffId, RegionId, Tick};
use horizon_protocol::link::{EntityKey, Part, Post};
use rkyv::{Archive, Deserialize, Serialize};

/// How much of a predecessor's segment a successor has read.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    /// The predecessor's lease epoch.
    pub lease: Epoch,
    /// Its part.
    pub part: u32,
    /// Bytes of that part.
    pub bytes: u64,
}

/// State of one entity, complete or changed pieces of it.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct EntityPut {
    /// Who.
    pub entity: EntityId,
    /// Whose record in the store.
    pub key: EntityKey,
    /// Authority epoch; parts of a player apply only where the epoch is the same.
    pub epoch: Epoch,
    /// The parts are everything there is.
    pub complete: bool,
    /// Pieces of the entity's capsule.
    pub parts: Vec<Part>,
}

/// An entity that is not here any more: handed over, parked or despawned.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct Gone {
    /// Who.
    pub entity: EntityId,
    /// Whose record.
    pub key: EntityKey,
    /// Epoch under which it was owned here last.
    pub epoch: Epoch,
}

/// Messages to one other region that it has not confirmed.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
pub struct Outbound {
    /// Number of the last message made.
    pub last: u64,
    /// Oldest first.
    pub waiting: Vec<Post>,
}

/// What has been taken from one other region.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
pub struct Inbound {
    /// The sender.
    pub from: RegionId,
    /// The highest lease of the sender that was seen.
    pub lease: Epoch,
    /// Highest number taken.
    pub number: u64,
}

/// A plugin message that waits until its player or object is owned here, or it is known where.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct EarlyPost {
    /// For whom.
    pub to: EntityKey,
    /// Plugin namespace.
    pub namespace: String,
    /// Event.
    pub event: String,
    /// MessagePack.
    pub payload: Vec<u8>,
    /// The region that sent it.
    pub from: Option<RegionId>,
}

/// One tick's effects, all or nothing.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
pub struct TickRecord {
    /// The tick.
    pub tick: Tick,
    /// Ids handed out so far.
    pub minted: u32,
    /// Spawned, arrived and changed entities.
    pub puts: Vec<EntityPut>,
    /// Entities that left.
    pub gone: Vec<Gone>,
    /// Messages made for other regions.
    pub posted: Vec<(RegionId, Post)>,
    /// Messages that other regions confirmed, by number.
    pub confirmed: Vec<(RegionId, u64)>,
    /// Messages taken from other regions.
    pub taken: Vec<Inbound>,
    /// Messages that wait for their player or object, all of them, where that changed.
    pub early: Option<Vec<EarlyPost>>,
}

/// Everything at one tick.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
pub struct Snapshot {
    /// The tick.
    pub tick: Tick,
    /// All entities, complete.
    pub entities: Vec<EntityPut>,
    /// Unconfirmed messages, by receiver.
    pub outbound: Vec<(RegionId, Outbound)>,
    /// What was taken, by sender.
    pub inbound: Vec<Inbound>,
    /// Entities that left, with the epoch they had here last: a store that still names this region at
    /// that epoch or a lower one speaks of somebody who is gone.
    pub buried: Vec<(EntityKey, Epoch)>,
    /// Messages that wait for their player or object.
    pub early: Vec<EarlyPost>,
}

/// Entities remembered after they left; the oldest is forgotten first. A crash loses at most the last
/// moments of the store's answers, and nobody despawns thousands of recorded entities in moments.
const MAX_BURIED: usize = 4096;

/// Notes that an entity left at `epoch`. One without a record in the store needs no grave.
pub fn bury(buried: &mut Vec<(EntityKey, Epoch)>, key: EntityKey, epoch: Epoch) {
    if epoch == Epoch::ZERO {
        return;
    }
    buried.retain(|(other, _)| *other != key);
    if buried.len() == MAX_BURIED {
        buried.remove(0);
    }
    buried.push((key, epoch));
}

/// The final state of an entity that may become ours: a record in the store may name it.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct Staged {
    /// Who.
    pub key: EntityKey,
    /// The attempt that the record names.
    pub handoff: HandoffId,
    /// Authority epoch at the source: the record has the next one.
    pub epoch: Epoch,
    /// The encoded capsule.
    pub capsule: Vec<u8>,
}

impl From<&StagedState> for Staged {
    fn from(state: &StagedState) -> Self {
        let StagedState { key, handoff, epoch, capsule } = state;
        Self { key: *key, handoff: *handoff, epoch: *epoch, capsule: capsule.encode() }
    }
}

/// One frame of a segment.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub enum JournalRecord {
    /// First record of a segment.
    Takeover {
        /// The new holder's lease.
        lease: Epoch,
        /// What it has read; `None` for the first holder ever.
        predecessor: Option<Cut>,
    },
    /// Everything so far; what came before it in this segment is not needed any more.
    Snapshot(Snapshot),
    /// One tick.
    Tick(TickRecord),
    /// States that may become ours. What a record names stays readable until the entity itself is in the
    /// journal under that record's epoch, or a later one.
    Staged(Vec<Staged>),
}

impl Snapshot {
    /// Lays one tick over the state.
    pub fn apply(&mut self, record: TickRecord) {
        self.tick = self.tick.max(record.tick);
        for gone in record.gone {
            self.entities.retain(|put| put.entity != gone.entity);
            bury(&mut self.buried, gone.key, gone.epoch);
        }
        for put in record.puts {
            match self.entities.iter_mut().find(|held| held.entity == put.entity) {
                Some(held) if put.complete => *held = put,
                Some(held) => {
                    held.epoch = put.epoch;
                    for part in put.parts {
                        held.parts.retain(|old| old.name != part.name);
                        if part.bytes.is_some() {
                            held.parts.push(part);
                        }
                    }
                }
                None if put.complete => self.entities.push(put),
                // Changes of an entity that left in the meantime.
                None => {}
            }
        }
        for (to, post) in record.posted {
            let lane = self.lane(to);
            lane.last = lane.last.max(post.number);
            lane.waiting.push(post);
        }
        for (to, number) in record.confirmed {
            self.lane(to).waiting.retain(|post| post.number > number);
        }
        if let Some(early) = record.early {
            self.early = early;
        }
        for taken in record.taken {
            match self.inbound.iter_mut().find(|held| held.from == taken.from) {
                Some(held) => *held = taken,
                None => self.inbound.push(taken),
            }
        }
    }

    fn lane(&mut self, to: RegionId) -> &mut Outbound {
        let index = match self.outbound.iter().position(|(region, _)| *region == to) {
            Some(index) => index,
            None => {
                self.outbound.push((to, Outbound::default()));
                self.outbound.len() - 1
            }
        };
        &mut self.outbound[index].1
    }
}
