//! The trait's calls as data, so that they can be queued, sent and wrapped.

use std::time::Duration;

use async_trait::async_trait;
use horizon_handoff::{
    CasOutcome, CasRequest, EntityKey, Lease, Record, SessionCas, SessionOutcome, SessionRecord,
};
use horizon_model::{EdgeId, Epoch, PlayerId, RegionId, Tick, WorkerId};
use rkyv::{Archive, Deserialize, Serialize};

use crate::store::{AcquireError, LeaseError, SealingKey, StateStore, StoreError};

/// One call of [`StateStore`].
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub enum Request {
    /// [`StateStore::generation`].
    Generation,
    /// [`StateStore::acquire`].
    Acquire(RegionId, WorkerId, Duration),
    /// [`StateStore::renew`].
    Renew(Lease, Duration, Tick),
    /// [`StateStore::confirm`].
    Confirm(Lease),
    /// [`StateStore::release`].
    Release(Lease),
    /// [`StateStore::evict`].
    Evict(RegionId, WorkerId, Epoch),
    /// [`StateStore::record`].
    Record(EntityKey),
    /// [`StateStore::records`].
    Records(Vec<EntityKey>),
    /// [`StateStore::cas`].
    Cas(Vec<CasRequest>),
    /// [`StateStore::owned`].
    Owned(RegionId),
    /// [`StateStore::session`].
    Session(PlayerId),
    /// [`StateStore::cas_session`].
    CasSession(SessionCas),
    /// [`StateStore::leases`].
    Leases,
    /// [`StateStore::acquire_director`].
    AcquireDirector(EdgeId, Duration),
    /// [`StateStore::sealing_keys`].
    SealingKeys,
    /// [`StateStore::tick_high`].
    TickHigh,
    /// [`StateStore::report`].
    Report(Box<Report>),
}

/// What a process knows of a world, for a store that may have lost it.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
pub struct Report {
    /// A region server's lease.
    pub lease: Option<Lease>,
    /// For how long a lease is put in again that the store has lost.
    pub ttl: Duration,
    /// The last tick simulated under it.
    pub tick: Tick,
    /// What it owns.
    pub entities: Vec<Known>,
    /// Sessions whose sockets an edge holds.
    pub sessions: Vec<(PlayerId, SessionRecord)>,
    /// An edge, and the epoch under which it directs.
    pub director: Option<(EdgeId, Epoch)>,
}

/// One entity in a [`Report`].
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct Known {
    /// Which.
    pub key: EntityKey,
    /// The epoch under which it is owned.
    pub epoch: Epoch,
    /// What to put in again if the store has lost that; region, holder and epoch in it are not read.
    /// Absent at first: most stores have lost nothing.
    pub record: Option<Record>,
}

/// What a store makes of a [`Report`].
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub struct Reported {
    /// Whether the store decides again.
    pub settled: bool,
    /// The generation of epochs that are granted from now on.
    pub generation: u16,
    /// Keys that the store has lost: report them once more with their records.
    pub missing: Vec<EntityKey>,
}

impl Request {
    /// Whether a client waits by itself for a store that is unsettled. Holders of leases have to report
    /// instead, and ask themselves.
    pub(crate) const fn waits(&self) -> bool {
        matches!(self, Self::Acquire(..) | Self::CasSession(_) | Self::Evict(..))
    }

    /// Whether asking twice answers the same, so that a client may repeat it by itself after a
    /// lost answer. The others answer [`StoreError::Unknown`], and their callers repeat them.
    pub fn is_repeatable(&self) -> bool {
        !matches!(self, Self::Acquire(..) | Self::Cas(_) | Self::CasSession(_))
    }
}

/// The answer to one [`Request`].
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq)]
pub enum Reply {
    /// To [`Request::Generation`].
    Generation(u16),
    /// To [`Request::Acquire`]: granted.
    Granted(Lease),
    /// To [`Request::Acquire`]: refused, with the holder and the time left.
    Held(WorkerId, Duration),
    /// To a renewal, confirmation, release or eviction.
    Done,
    /// To a renewal, confirmation or release under a lease that is not the current one, or an eviction by
    /// who directs no longer.
    Lost,
    /// To [`Request::Record`].
    Record(Option<Record>),
    /// To [`Request::Records`], in its order.
    Records(Vec<Option<Record>>),
    /// To [`Request::Cas`], in its order.
    Cas(Vec<CasOutcome>),
    /// To [`Request::Owned`].
    Owned(Vec<(EntityKey, Epoch)>),
    /// To [`Request::Session`].
    Session(Option<SessionRecord>),
    /// To [`Request::CasSession`].
    CasSession(SessionOutcome),
    /// To [`Request::Leases`].
    Leases(Vec<Lease>),
    /// To [`Request::AcquireDirector`].
    Director(Option<Epoch>),
    /// To [`Request::SealingKeys`].
    SealingKeys(Vec<SealingKey>),
    /// To [`Request::TickHigh`].
    Tick(Tick),
    /// To [`Request::Report`].
    Reported(Reported),
    /// To any request.
    Failed(StoreError),
}

/// Whatever answers requests is a [`StateStore`]: stores implement this, and so do wrappers that
/// lose, delay or count requests.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Answers one request.
    ///
    /// # Errors
    ///
    /// Those of the call that the request stands for.
    async fn call(&self, request: Request) -> Result<Reply, StoreError>;
}

/// A reply to another question. Only a broken peer gives one.
fn mismatch(reply: &Reply) -> StoreError {
    match reply {
        Reply::Failed(error) => error.clone(),
        other => StoreError::Refused(format!("the reply does not fit the request: {other:?}")),
    }
}

fn lease_answer(reply: &Reply) -> Result<(), LeaseError> {
    match reply {
        Reply::Done => Ok(()),
        Reply::Lost => Err(LeaseError::Lost),
        other => Err(mismatch(other).into()),
    }
}

/// Makes the request and takes the one reply that fits it.
macro_rules! ask {
    ($backend:expr, $request:expr, $reply:pat => $value:expr) => {
        match $backend.call($request).await? {
            $reply => Ok($value),
            other => Err(mismatch(&other).into()),
        }
    };
}

#[async_trait]
impl<B: Backend> StateStore for B {
    async fn generation(&self) -> Result<u16, StoreError> {
        ask!(self, Request::Generation, Reply::Generation(generation) => generation)
    }

    async fn acquire(
        &self,
        region: RegionId,
        worker: WorkerId,
        ttl: Duration,
    ) -> Result<Lease, AcquireError> {
        match self.call(Request::Acquire(region, worker, ttl)).await? {
            Reply::Granted(lease) => Ok(lease),
            Reply::Held(by, remaining) => Err(AcquireError::Held { by, remaining }),
            other => Err(mismatch(&other).into()),
        }
    }

    async fn renew(&self, lease: &Lease, ttl: Duration, tick: Tick) -> Result<(), LeaseError> {
        lease_answer(&self.call(Request::Renew(*lease, ttl, tick)).await?)
    }

    async fn confirm(&self, lease: &Lease) -> Result<(), LeaseError> {
        lease_answer(&self.call(Request::Confirm(*lease)).await?)
    }

    async fn release(&self, lease: &Lease) -> Result<(), LeaseError> {
        lease_answer(&self.call(Request::Release(*lease)).await?)
    }

    async fn evict(&self, region: RegionId, worker: WorkerId, director: Epoch) -> Result<(), LeaseError> {
        lease_answer(&self.call(Request::Evict(region, worker, director)).await?)
    }

    async fn record(&self, key: EntityKey) -> Result<Option<Record>, StoreError> {
        ask!(self, Request::Record(key), Reply::Record(record) => record)
    }

    async fn records(&self, keys: Vec<EntityKey>) -> Result<Vec<Option<Record>>, StoreError> {
        ask!(self, Request::Records(keys), Reply::Records(records) => records)
    }

    async fn cas(&self, batch: Vec<CasRequest>) -> Result<Vec<CasOutcome>, StoreError> {
        ask!(self, Request::Cas(batch), Reply::Cas(outcomes) => outcomes)
    }

    async fn owned(&self, region: RegionId) -> Result<Vec<(EntityKey, Epoch)>, StoreError> {
        ask!(self, Request::Owned(region), Reply::Owned(keys) => keys)
    }

    async fn session(&self, player: PlayerId) -> Result<Option<SessionRecord>, StoreError> {
        ask!(self, Request::Session(player), Reply::Session(session) => session)
    }

    async fn cas_session(&self, cas: SessionCas) -> Result<SessionOutcome, StoreError> {
        ask!(self, Request::CasSession(cas), Reply::CasSession(outcome) => outcome)
    }

    async fn leases(&self) -> Result<Vec<Lease>, StoreError> {
        ask!(self, Request::Leases, Reply::Leases(leases) => leases)
    }

    async fn acquire_director(&self, edge: EdgeId, ttl: Duration) -> Result<Option<Epoch>, StoreError> {
        ask!(self, Request::AcquireDirector(edge, ttl), Reply::Director(epoch) => epoch)
    }

    async fn sealing_keys(&self) -> Result<Vec<SealingKey>, StoreError> {
        ask!(self, Request::SealingKeys, Reply::SealingKeys(keys) => keys)
    }

    async fn report(&self, report: Report) -> Result<Reported, LeaseError> {
        match self.call(Request::Report(Box::new(report))).await? {
            Reply::Reported(reported) => Ok(reported),
            Reply::Lost => Err(LeaseError::Lost),
            other => Err(mismatch(&other).into()),
        }
    }

    async fn tick_high(&self) -> Result<Tick, StoreError> {
        ask!(self, Request::TickHigh, Reply::Tick(tick) => tick)
    }
}
