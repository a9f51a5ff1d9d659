//! Ending the lease of a worker that is gone, in the store, for as long as it takes.

use std::sync::Arc;
use std::time::Duration;

use horizon_model::{Epoch, RegionId, WorkerId};
use tokio::sync::watch;

use crate::edge::Edge;
use crate::inbox::ToHub;

/// Pause between attempts to end a lease while the store does not answer.
const EVICT_AGAIN_AFTER: Duration = Duration::from_millis(200);

/// Ends the lease of a process that is gone or that nobody hears, however long the store takes to answer
/// and however long it takes this edge to direct.
pub(crate) async fn evict(
    edge: Arc<Edge>,
    mut directs: watch::Receiver<Option<Epoch>>,
    region: RegionId,
    worker: WorkerId,
) {
    loop {
        let epoch = match directs.wait_for(Option::is_some).await {
            Ok(epoch) => epoch.expect("just waited for"),
            Err(_) => return,
        };
        match edge.store.evict(region, worker, epoch).await {
            Ok(()) => break,
            Err(error) => {
                tracing::warn!(%region, %worker, %error, "a lease could not be ended; trying again");
                tokio::time::sleep(EVICT_AGAIN_AFTER).await;
            }
        }
    }
    let _ = edge.hub.send(ToHub::Evicted(region)).await;
}
