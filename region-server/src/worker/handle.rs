//! The hub's handle to the tick thread, and what goes through it.

use std::time::Duration;

use horizon_link::PeerSender;
use horizon_model::{EdgeId, WorkerId};
use tracing::warn;

use super::queue::{Inbox, Refused};
use crate::region::Input;

/// What the tick thread is told.
pub(crate) enum ThreadInput {
    Region(Input),
    EdgeLink(EdgeId, PeerSender),
    EdgeGone(EdgeId),
    WorkerLink(WorkerId, PeerSender),
    WorkerGone(WorkerId),
    JournalLost,
}

/// The hub's handle to the tick thread.
pub(crate) struct RegionThread {
    inbox: Inbox<ThreadInput>,
}

impl RegionThread {
    pub(super) const fn new(inbox: Inbox<ThreadInput>) -> Self {
        Self { inbox }
    }

    /// Queues an input; waits where the thread is far behind.
    pub(crate) async fn send(&self, input: ThreadInput) {
        deliver(&self.inbox, input).await;
    }

    /// Queues an input if there is room.
    pub(crate) fn try_send(&self, input: ThreadInput) {
        if self.inbox.try_send(input).is_err() {
            warn!("the tick thread takes nothing now");
        }
    }
}

/// Backpressure without blocking a runtime thread.
pub(super) async fn deliver(inbox: &Inbox<ThreadInput>, mut input: ThreadInput) {
    loop {
        match inbox.try_send(input) {
            Ok(()) | Err(Refused::Over) => return,
            Err(Refused::Full(back)) => {
                input = back;
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
    }
}
