//! Taking a region: lease first, then the journal, then the store, then the first tick.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use horizon_handoff::{CasOutcome, Lease};
use horizon_model::{ChannelSpec, ObjectSchema, RegionId, RegionMap, TICKS_PER_SECOND};
use horizon_protocol::link::{EntityKey, Placement};
use horizon_state_store::{AcquireError, LeaseError, StateStore, StoreError};
use tokio::sync::mpsc;
use tokio::time::{sleep, timeout};
use tracing::{debug, info};

use super::Shared;
use super::event::{Event, Placed};
use super::report::{above_the_journal, tell_journal};
use super::thread::{self, Start};
use crate::journal::{JournalError, Segment, recover};
use crate::plugin::{LoadError, PluginHost};
use crate::region::{Recovery, RegionConfig};

/// A clock that is off by more than this is not ready to serve.
const CLOCK_SURE: Duration = Duration::from_millis(5);
/// How long a worker waits for its clock.
const CLOCK_WAIT: Duration = Duration::from_secs(5);

/// Why a region could not be taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PlaceError {
    #[error("the clock does not follow the edge yet")]
    Clock,
    #[error(transparent)]
    Plugins(#[from] LoadError),
    #[error(transparent)]
    Lease(#[from] AcquireError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Journal(#[from] JournalError),
    #[error("the store did not take what the journal knows: {0}")]
    Report(LeaseError),
    #[error("the lease was lost while the region was recovered")]
    Lost,
}

pub(crate) async fn place(
    shared: Arc<Shared>,
    host: Option<PluginHost>,
    region: RegionId,
    map: RegionMap,
    events: mpsc::Sender<Event>,
) -> Result<Placed, PlaceError> {
    let mut phases = Phases::begin(&shared);
    let sure = || shared.clock.uncertainty().is_some_and(|off| off <= CLOCK_SURE);
    if !wait_until(CLOCK_WAIT, sure).await {
        return Err(PlaceError::Clock);
    }
    let host = match host {
        Some(host) => host,
        None => PluginHost::load(&shared.config.paths.plugins, &shared.config.plugins)?,
    };
    phases.ends("prepare");
    let ttl = shared.config.store.lease_ttl;
    let started = shared.clock.grid_now().ok_or(PlaceError::Clock)?;
    let lease = shared.store.acquire(region, shared.id, ttl).await?;
    let lease = above_the_journal(&shared, lease).await?;
    phases.ends("lease");
    let result = take(&shared, host, lease, map, started, events, &mut phases).await;
    if result.is_err() {
        let _ = shared.store.release(&lease).await;
    }
    let phases_us = &phases.told;
    debug!(%region, lease = %lease.epoch, ?phases_us, taken = result.is_ok(), "placed");
    result
}

async fn take(
    shared: &Arc<Shared>,
    host: PluginHost,
    lease: Lease,
    map: RegionMap,
    started: Duration,
    events: mpsc::Sender<Event>,
    phases: &mut Phases<'_>,
) -> Result<Placed, PlaceError> {
    let folder = shared.journal_folder(lease.region);
    let journal = tokio::task::spawn_blocking(move || {
        let recovered = recover(&folder, lease.epoch)?;
        let segment = Segment::create(&folder, lease.epoch, &recovered)?;
        Ok::<_, JournalError>((recovered, segment))
    });
    // The store says under this lease what the region owns while the disk reads and syncs.
    let (journal, owned) = tokio::join!(journal, shared.store.owned(lease.region));
    let (recovered, segment) = journal.expect("reading a journal does not panic")?;
    let mut owned = owned?;
    phases.ends("read");
    let mut recovery = Recovery::new(lease, recovered.state, recovered.staged);
    if tell_journal(shared, &mut recovery).await? {
        owned = shared.store.owned(lease.region).await?;
    }
    let mut keys = recovery.keys();
    keys.extend(owned.into_iter().map(|(key, _)| key));
    let mut records = BTreeMap::new();
    if !keys.is_empty() {
        let asked: Vec<EntityKey> = keys.iter().copied().collect();
        records = keys.into_iter().zip(shared.store.records(asked).await?).collect();
    }
    phases.ends("look_up");
    let requests = recovery.decide(&records);
    let count = requests.len();
    if count > 0 {
        let outcomes = claim(&*shared.store, requests).await?;
        if !recovery.claimed(outcomes) {
            return Err(PlaceError::Lost);
        }
        phases.ends("claim");
        let phases_us = &phases.told;
        info!(region = %lease.region, lease = %lease.epoch, entities = count, ?phases_us, "recovered");
    }
    let world = &shared.config.world;
    let region = &shared.config.region;
    let schemas = host.schemas().iter().map(|schema| configured(shared, schema)).collect();
    let ticks = |time: Duration| (time.as_secs_f64() * TICKS_PER_SECOND as f64) as u64;
    let config = RegionConfig {
        map,
        rate: world.rate_of(lease.region),
        world_rate: world.rate,
        linger_ticks: ticks(region.linger),
        pose_ticks: ticks(region.pose_journal),
        max_players: region.max_players,
        lease_ttl: shared.config.store.lease_ttl,
        client_bytes_s: region.client_bytes_s,
        schemas,
    };
    let start = Start { shared: Arc::clone(shared), recovery, config, host, started, segment, lease };
    let thread = thread::start(start, events);
    let endpoint = shared.endpoint();
    let placement = Placement { region: lease.region, worker: shared.id, lease: lease.epoch, endpoint };
    Ok(Placed { placement, thread })
}

/// How long each phase of a takeover took, one after the other, in microseconds.
struct Phases<'a> {
    shared: &'a Shared,
    begun: Instant,
    told: Vec<(&'static str, u128)>,
}

impl<'a> Phases<'a> {
    fn begin(shared: &'a Shared) -> Self {
        Self { shared, begun: Instant::now(), told: Vec::new() }
    }

    fn ends(&mut self, phase: &'static str) {
        let took = self.begun.elapsed();
        self.begun = Instant::now();
        self.shared.metrics.recovered(phase, took);
        self.told.push((phase, took.as_micros()));
    }
}

/// A type's channels: the configuration's entry for it, what its plugin declared, or the default.
fn configured(shared: &Shared, schema: &ObjectSchema) -> ObjectSchema {
    let gorc = &shared.config.gorc;
    let declared = schema.channels != ChannelSpec::DEFAULT;
    let named = gorc.types.contains_key(&schema.name);
    let channels = if declared && !named { schema.channels } else { gorc.channels_for(&schema.name) };
    ObjectSchema { channels, ..schema.clone() }
}

/// Asks until every claim is decided: the same request twice is one request.
async fn claim(
    store: &dyn StateStore,
    requests: Vec<horizon_handoff::CasRequest>,
) -> Result<Vec<CasOutcome>, PlaceError> {
    for _ in 0..20 {
        match store.cas(requests.clone()).await {
            Err(StoreError::Unknown) => {}
            other => return Ok(other?),
        }
    }
    Err(StoreError::Unknown.into())
}

/// Waits until `what` is so, asking often; `false` after `within`.
async fn wait_until(within: Duration, mut what: impl FnMut() -> bool) -> bool {
    timeout(within, async {
        while !what() {
            sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .is_ok()
}
