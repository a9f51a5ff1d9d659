//! What a region would need to go on after a crash: its effects, tick by tick.
//!
//! One folder per region, one segment per lease epoch, in parts:
//!
//! ```text
//! journal/<world>/<region>/<lease>-<part>.seg
//!   part 0:  Takeover{lease, predecessor, cut} · Snapshot · Staged · Tick · Tick · Staged …
//!   part n:  Snapshot · Staged · Tick …           (a full part is followed by the next; older ones go)
//! frame:     u32 length · u32 CRC-32C of the payload · payload (rkyv)
//! ```
//!
//! The cut is what makes late writes of an earlier holder harmless: a successor names, durably and
//! before it applies anything, how much of its predecessor's segment it has read. What lies beyond
//! that cut is void for ever. Effects are acknowledged only after `append → sync → confirm the lease`.
//!
//! A staged state is what a record in the store may name in place of a capsule. The store is asked after
//! the sync and judges the lease itself, so that question needs no confirmation before it; and whoever
//! serves the region next has a higher lease, so it reads at least up to what was synced.

mod record;
mod segment;
mod writer;

pub use record::{
    Cut, EarlyPost, EntityPut, Gone, Inbound, JournalRecord, Outbound, Snapshot, Staged, TickRecord, bury,
};
pub use segment::{JournalError, Recovered, Segment, highest_lease, recover};
pub use writer::{Fence, FenceError, JournalBehind, JournalWriter, Written};
