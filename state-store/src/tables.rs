//! What a store must be able to keep. The rules of `world` are written once, against this.

use std::collections::BTreeMap;
use std::time::Duration;

use horizon_handoff::{EntityKey, Record, SessionRecord};
use horizon_model::{EdgeId, Epoch, PlayerId, RegionId, Tick, WorkerId, WorldId};

use crate::store::SealingKey;

/// Rows of all worlds. Writes of one transaction become durable together; an error ends the store.
pub(crate) trait Tables {
    type Error;

    fn record(&mut self, world: WorldId, key: EntityKey) -> Result<Option<Record>, Self::Error>;
    fn put_record(&mut self, world: WorldId, key: EntityKey, record: &Record) -> Result<(), Self::Error>;
    fn owned(&mut self, world: WorldId, region: RegionId) -> Result<Vec<(EntityKey, Epoch)>, Self::Error>;
    fn session(&mut self, world: WorldId, player: PlayerId) -> Result<Option<SessionRecord>, Self::Error>;
    fn put_session(
        &mut self,
        world: WorldId,
        player: PlayerId,
        session: &SessionRecord,
    ) -> Result<(), Self::Error>;
    /// Newest first.
    fn sealing_keys(&mut self, world: WorldId) -> Result<Vec<SealingKey>, Self::Error>;
    fn add_sealing_key(&mut self, world: WorldId, key: SealingKey) -> Result<(), Self::Error>;
    fn put_lease(
        &mut self,
        world: WorldId,
        region: RegionId,
        lease: &StoredLease<WorkerId>,
    ) -> Result<(), Self::Error>;
    fn put_director(&mut self, world: WorldId, lease: &StoredLease<EdgeId>) -> Result<(), Self::Error>;
    /// The generation is one for all worlds.
    fn put_generation(&mut self, generation: u16) -> Result<(), Self::Error>;
    fn put_tick(&mut self, world: WorldId, tick: Tick) -> Result<(), Self::Error>;
    /// Everything that is held in memory while the store runs.
    fn load(&mut self, world: WorldId) -> Result<StoredWorld, Self::Error>;
}

/// A lease as it outlives the store: who held it and for how long, not until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredLease<H> {
    /// The highest epoch granted so far, also when nobody holds the lease now.
    pub epoch: Epoch,
    pub holder: Option<H>,
    pub ttl: Duration,
}

impl<H> Default for StoredLease<H> {
    fn default() -> Self {
        Self { epoch: Epoch::ZERO, holder: None, ttl: Duration::ZERO }
    }
}

/// The part of a world that is held in memory while the store runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct StoredWorld {
    pub leases: BTreeMap<RegionId, StoredLease<WorkerId>>,
    pub director: StoredLease<EdgeId>,
    pub tick: Tick,
}
