//! The trait behind which every store stands, and why a call may fail.

use std::time::Duration;

use crate::request::{Report, Reported};
use async_trait::async_trait;
use horizon_handoff::{
    CasOutcome, CasRequest, EntityKey, Lease, Record, SessionCas, SessionOutcome, SessionRecord,
};
use horizon_model::{EdgeId, Epoch, PlayerId, RegionId, Tick, WorkerId};
use rkyv::{Archive, Deserialize, Serialize};

/// Owners, leases and sessions of one world, durable before any answer.
///
/// Reads are linearizable: they see every write that was answered before they were asked.
#[async_trait]
pub trait StateStore: Send + Sync + 'static {
    /// The generation of the store; in the top bits of every epoch it grants.
    async fn generation(&self) -> Result<u16, StoreError>;

    /// Takes the lease of `region` for `ttl`. The epoch is higher than every one granted before,
    /// also where `worker` held the lease already.
    ///
    /// # Errors
    ///
    /// [`AcquireError::Held`] while another worker holds it and it has not expired.
    async fn acquire(&self, region: RegionId, worker: WorkerId, ttl: Duration)
    -> Result<Lease, AcquireError>;

    /// Extends `lease` to `ttl` from now, also after its expiry where nobody took it. `tick` is the
    /// holder's, and raises [`StateStore::tick_high`].
    ///
    /// # Errors
    ///
    /// [`LeaseError::Lost`] where it was taken, released or evicted.
    async fn renew(&self, lease: &Lease, ttl: Duration, tick: Tick) -> Result<(), LeaseError>;

    /// Whether `lease` is still the current one: the fence between a journal's sync and everything
    /// that is said because of it.
    ///
    /// # Errors
    ///
    /// [`LeaseError::Lost`] where it was taken, released or evicted.
    async fn confirm(&self, lease: &Lease) -> Result<(), LeaseError>;

    /// Gives `lease` back. Harmless to repeat.
    ///
    /// # Errors
    ///
    /// [`LeaseError::Lost`] where somebody else took it before.
    async fn release(&self, lease: &Lease) -> Result<(), LeaseError>;

    /// Ends the lease of `region` at once if `worker` holds it, whether it has expired or not: its process
    /// has ended, or nobody hears it any more. Where it lives after all it cannot renew, confirm or
    /// commit. `director` is the epoch of [`Self::acquire_director`]: who directs no longer evicts nobody.
    ///
    /// # Errors
    ///
    /// [`LeaseError::Lost`] where another edge has taken the right to direct since. Nothing was changed.
    async fn evict(&self, region: RegionId, worker: WorkerId, director: Epoch) -> Result<(), LeaseError>;

    /// The record of `key`, if it ever had one.
    async fn record(&self, key: EntityKey) -> Result<Option<Record>, StoreError>;

    /// The records of all `keys`, in their order, as of one moment.
    async fn records(&self, keys: Vec<EntityKey>) -> Result<Vec<Option<Record>>, StoreError>;

    /// Judges each request by itself, in order, and commits what won in one durable write.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] where the answer was lost: ask again with the same handoff ids.
    async fn cas(&self, batch: Vec<CasRequest>) -> Result<Vec<CasOutcome>, StoreError>;

    /// Keys whose record names `region` and a holder, with their epochs, in key order. Parked
    /// entities are not among them.
    async fn owned(&self, region: RegionId) -> Result<Vec<(EntityKey, Epoch)>, StoreError>;

    /// The session record of `player`, if there ever was one.
    async fn session(&self, player: PlayerId) -> Result<Option<SessionRecord>, StoreError>;

    /// Changes a session. The same session, nonce and edge as stored wins again without a change;
    /// the same session and nonce at another edge wins whatever it expected, with a new epoch.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unknown`] where the answer was lost: ask again with the same nonce.
    async fn cas_session(&self, cas: SessionCas) -> Result<SessionOutcome, StoreError>;

    /// Leases that have not expired, in region order.
    async fn leases(&self) -> Result<Vec<Lease>, StoreError>;

    /// Takes or extends the right to direct: `Some` epoch for the edge that holds it now, `None`
    /// while another one does. Extending keeps the epoch.
    async fn acquire_director(&self, edge: EdgeId, ttl: Duration) -> Result<Option<Epoch>, StoreError>;

    /// Keys for sealing tickets, newest first; the first is made on first use.
    async fn sealing_keys(&self) -> Result<Vec<SealingKey>, StoreError>;

    /// At least as high as every tick of a renewal or a record. Live it is exact; after a restart of
    /// the store it may be up to a second of ticks above.
    async fn tick_high(&self) -> Result<Tick, StoreError>;

    /// Tells a store that answers [`StoreError::Unsettled`] what this process knows, so that nothing is
    /// lost that the store has lost. Harmless to repeat, also to a store that is settled.
    ///
    /// # Errors
    ///
    /// [`LeaseError::Lost`] where the reported lease is not the current one.
    async fn report(&self, report: Report) -> Result<Reported, LeaseError>;
}

/// A key that every edge of a world seals its tickets with.
#[derive(Archive, Serialize, Deserialize, Clone, Copy, PartialEq, Eq)]
pub struct SealingKey {
    /// Travels with a ticket to say which key sealed it. Rises.
    pub id: u32,
    /// The secret.
    pub key: [u8; 32],
}

impl std::fmt::Debug for SealingKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SealingKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Why a store gave no answer.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreError {
    /// The write may or may not have happened. Ask again with the same handoff id or nonce.
    #[error("the store's answer was lost; the write may have happened")]
    Unknown,
    /// Nothing was changed. Go on degraded and try again.
    #[error("the store does not answer: {0}")]
    Unavailable(String),
    /// The store was started again and waits for reports before it decides anything: report, go on
    /// degraded and ask again. Nothing was changed.
    #[error("the store was started again and decides nothing yet")]
    Unsettled,
    /// The store will never serve this request: a caller's mistake.
    #[error("the store refuses the request: {0}")]
    Refused(String),
    /// The store cannot be opened as configured: a person has to act, the text says how.
    #[error("{0}")]
    Setup(String),
}

/// Why a lease was not granted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AcquireError {
    /// Another worker serves the region. Ask again after `remaining`, unless it renews.
    #[error("held by worker {by} for {remaining:?} more")]
    Held {
        /// The holder.
        by: WorkerId,
        /// Until its lease expires.
        remaining: Duration,
    },
    /// No answer; a repeated request gets a higher epoch, which is harmless.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a lease was not renewed, confirmed or released.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LeaseError {
    /// It is not the current lease any more: fall silent for the whole region.
    #[error("the lease is not the current one any more")]
    Lost,
    /// No answer; nothing is known about the lease.
    #[error(transparent)]
    Store(#[from] StoreError),
}
