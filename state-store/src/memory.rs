//! The reference: every table a map, every call done when it returns.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use horizon_handoff::{EntityKey, Record, SessionRecord};
use horizon_model::{EdgeId, Epoch, PlayerId, RegionId, Tick, WorkerId, WorldId};

use crate::env::Env;
use crate::request::{Backend, Reply, Request};
use crate::store::{SealingKey, StoreError};
use crate::tables::{StoredLease, StoredWorld, Tables};
use crate::world::World;

/// The generation of every new store.
const FIRST_GENERATION: u16 = 1;

/// A store that ends with its last handle. Deterministic as far as its [`Env`] is.
#[derive(Debug, Clone)]
pub struct Memory {
    world: WorldId,
    state: Arc<Mutex<State>>,
}

#[derive(Debug)]
struct State {
    env: Env,
    opened: Duration,
    tables: Maps,
    worlds: BTreeMap<WorldId, World>,
}

impl Memory {
    /// An empty store.
    pub fn new(world: WorldId, env: Env) -> Self {
        let state = State { opened: env.now(), env, tables: Maps::default(), worlds: BTreeMap::new() };
        Self { world, state: Arc::new(Mutex::new(state)) }
    }

    /// Another world of the same store.
    pub fn world(&self, world: WorldId) -> Self {
        Self { world, state: Arc::clone(&self.state) }
    }

    /// Another store with the same data, as a backup is.
    pub fn copy(&self) -> Self {
        let state = self.state.lock().expect("no request panics");
        let State { env, opened, tables, .. } = &*state;
        let state =
            State { env: env.clone(), opened: *opened, tables: tables.clone(), worlds: BTreeMap::new() };
        Self { world: self.world, state: Arc::new(Mutex::new(state)) }
    }

    /// Forgets what a restart of a store forgets: deadlines, and nothing else. Handles stay valid.
    pub fn restart(&self) {
        let mut state = self.state.lock().expect("no request panics");
        state.opened = state.env.now();
        state.worlds.clear();
    }

    /// Answers at once; for callers that have no runtime.
    pub fn perform(&self, request: Request) -> Reply {
        let State { env, opened, tables, worlds } = &mut *self.state.lock().expect("no request panics");
        let world = worlds.entry(self.world).or_insert_with(|| {
            let Ok(world) = World::load(self.world, tables.generation, tables, *opened);
            world
        });
        let Ok(reply) = world.perform(tables, env, request);
        reply
    }
}

#[async_trait]
impl Backend for Memory {
    async fn call(&self, request: Request) -> Result<Reply, StoreError> {
        Ok(self.perform(request))
    }
}

#[derive(Debug, Clone)]
struct Maps {
    generation: u16,
    records: BTreeMap<(WorldId, EntityKey), Record>,
    sessions: BTreeMap<(WorldId, PlayerId), SessionRecord>,
    keys: BTreeMap<WorldId, Vec<SealingKey>>,
    worlds: BTreeMap<WorldId, StoredWorld>,
}

impl Default for Maps {
    fn default() -> Self {
        Self {
            generation: FIRST_GENERATION,
            records: BTreeMap::new(),
            sessions: BTreeMap::new(),
            keys: BTreeMap::new(),
            worlds: BTreeMap::new(),
        }
    }
}

impl Tables for Maps {
    type Error = Infallible;

    fn record(&mut self, world: WorldId, key: EntityKey) -> Result<Option<Record>, Infallible> {
        Ok(self.records.get(&(world, key)).cloned())
    }

    fn put_record(&mut self, world: WorldId, key: EntityKey, record: &Record) -> Result<(), Infallible> {
        self.records.insert((world, key), record.clone());
        Ok(())
    }

    fn owned(&mut self, world: WorldId, region: RegionId) -> Result<Vec<(EntityKey, Epoch)>, Infallible> {
        let here = self
            .records
            .iter()
            .filter(|((of, _), record)| *of == world && record.region == region && record.holder.is_some());
        Ok(here.map(|((_, key), record)| (*key, record.epoch)).collect())
    }

    fn session(&mut self, world: WorldId, player: PlayerId) -> Result<Option<SessionRecord>, Infallible> {
        Ok(self.sessions.get(&(world, player)).copied())
    }

    fn put_session(
        &mut self,
        world: WorldId,
        player: PlayerId,
        session: &SessionRecord,
    ) -> Result<(), Infallible> {
        self.sessions.insert((world, player), *session);
        Ok(())
    }

    fn sealing_keys(&mut self, world: WorldId) -> Result<Vec<SealingKey>, Infallible> {
        Ok(self.keys.get(&world).cloned().unwrap_or_default())
    }

    fn add_sealing_key(&mut self, world: WorldId, key: SealingKey) -> Result<(), Infallible> {
        self.keys.entry(world).or_default().insert(0, key);
        Ok(())
    }

    fn put_lease(
        &mut self,
        world: WorldId,
        region: RegionId,
        lease: &StoredLease<WorkerId>,
    ) -> Result<(), Infallible> {
        self.worlds.entry(world).or_default().leases.insert(region, *lease);
        Ok(())
    }

    fn put_director(&mut self, world: WorldId, lease: &StoredLease<EdgeId>) -> Result<(), Infallible> {
        self.worlds.entry(world).or_default().director = *lease;
        Ok(())
    }

    fn put_generation(&mut self, generation: u16) -> Result<(), Infallible> {
        self.generation = generation;
        Ok(())
    }

    fn put_tick(&mut self, world: WorldId, tick: Tick) -> Result<(), Infallible> {
        self.worlds.entry(world).or_default().tick = tick;
        Ok(())
    }

    fn load(&mut self, world: WorldId) -> Result<StoredWorld, Infallible> {
        Ok(self.worlds.get(&world).cloned().unwrap_or_default())
    }
}
