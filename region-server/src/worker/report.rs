//! Telling a store that was started again what is known here.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use horizon_handoff::Lease;
use horizon_state_store::{LeaseError, Report, StateStore};
use tracing::{info, warn};

use super::Shared;
use super::handle::{ThreadInput, deliver};
use super::place::PlaceError;
use super::queue::Inbox;
use crate::journal::highest_lease;
use crate::region::{Input, Recovery};

/// Reports to one start of the store, and the time between them.
const MAX_REPORTS: u32 = 40;
const REPORT_AGAIN: Duration = Duration::from_millis(50);

/// Reports until the store decides again, asks for states, or is lost once more. The next renewal that is
/// refused begins anew.
pub(super) async fn tell(store: Arc<dyn StateStore>, report: Report, inbox: Inbox<ThreadInput>) {
    for _ in 0..MAX_REPORTS {
        match store.report(report.clone()).await {
            Ok(told) if !told.missing.is_empty() => {
                warn!(
                    count = told.missing.len(),
                    "the store has lost entities of this region; telling their states"
                );
                let missing = told.missing.into_iter().collect();
                deliver(&inbox, ThreadInput::Region(Input::StoreAsks(missing))).await;
                return;
            }
            Ok(told) if told.settled => {
                info!(generation = told.generation, "the store decides again");
                return;
            }
            Ok(_) => tokio::time::sleep(REPORT_AGAIN).await,
            Err(LeaseError::Lost) => {
                deliver(&inbox, ThreadInput::Region(Input::LeaseLost)).await;
                return;
            }
            Err(LeaseError::Store(error)) => {
                info!(%error, "the store did not take the report");
                return;
            }
        }
    }
}

/// A lease above everything that was written in this region's journal. A store that has forgotten a lease
/// would grant its number again, and what was written under it would not be read.
pub(super) async fn above_the_journal(shared: &Shared, lease: Lease) -> Result<Lease, PlaceError> {
    let folder = shared.journal_folder(lease.region);
    let written = tokio::task::spawn_blocking(move || highest_lease(&folder)).await;
    let written = written.expect("listing a journal does not panic")?;
    let Some(epoch) = written.filter(|&epoch| epoch >= lease.epoch) else {
        return Ok(lease);
    };
    warn!(region = %lease.region, granted = %lease.epoch, written = %epoch, "the store has forgotten a lease");
    let ttl = shared.config.store.lease_ttl;
    if epoch > lease.epoch {
        let report = Report { lease: Some(Lease { epoch, ..lease }), ttl, ..Report::default() };
        shared.store.report(report).await.map_err(PlaceError::Report)?;
    }
    Ok(shared.store.acquire(lease.region, lease.worker, ttl).await?)
}

/// Tells the store what the journal knows: its records are older where it was started on older data while
/// nobody served this region. Whether there was anything to tell.
pub(super) async fn tell_journal(shared: &Shared, recovery: &mut Recovery) -> Result<bool, PlaceError> {
    let ttl = shared.config.store.lease_ttl;
    let report = recovery.report(ttl, &BTreeSet::new());
    if report.entities.is_empty() {
        return Ok(false);
    }
    let told = shared.store.report(report).await.map_err(PlaceError::Report)?;
    if !told.missing.is_empty() {
        warn!(count = told.missing.len(), "the store has lost entities that the journal has");
        let report = recovery.report(ttl, &told.missing.into_iter().collect());
        shared.store.report(report).await.map_err(PlaceError::Report)?;
    }
    Ok(true)
}
