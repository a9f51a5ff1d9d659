//! The ways to the regions: open links to their workers, and what each of them can reach.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use horizon_handoff::mutant::{self, Mutant};
use horizon_link::{PeerSender, SendError};
use horizon_model::{Epoch, PlayerId, RegionId, WorkerId};
use horizon_protocol::link::{EdgeToRegion, Lane, Placement};
use tokio::sync::Notify;

/// Credit is collected this long per link, so that a tick's worth of it is one message.
const CREDIT_PAUSE: Duration = Duration::from_millis(2);

static SERIALS: AtomicU64 = AtomicU64::new(0);

/// An open link to a worker.
#[derive(Debug)]
pub struct WorkerLink {
    /// Who.
    pub worker: WorkerId,
    /// Rises with every link, so that a late report about an old one is recognised.
    pub serial: u64,
    sender: PeerSender,
    /// Lease of the last word that its region steps; zero after it was taken.
    stepped: AtomicU64,
    /// Whether its region is the one that counts.
    voice: AtomicBool,
    credits: Mutex<Vec<(PlayerId, u8)>>,
    credits_due: Notify,
}

/// A region that can be reached.
#[derive(Debug, Clone)]
pub struct Way {
    /// Who serves it.
    pub placement: Placement,
    /// The link to them.
    pub link: Arc<WorkerLink>,
}

/// Every region that can be reached, at one moment.
#[derive(Debug, Default)]
pub struct Routes(pub BTreeMap<RegionId, Way>);

/// The number of a new link.
pub(crate) fn next_serial() -> u64 {
    SERIALS.fetch_add(1, Ordering::Relaxed)
}

impl WorkerLink {
    /// A link that is open now.
    pub(crate) fn new(worker: WorkerId, sender: PeerSender) -> Arc<Self> {
        let serial = next_serial();
        Arc::new(Self {
            worker,
            serial,
            sender,
            stepped: AtomicU64::new(Epoch::ZERO.0),
            voice: AtomicBool::new(false),
            credits: Mutex::default(),
            credits_due: Notify::new(),
        })
    }

    /// Its region steps, under `lease`.
    pub(crate) fn steps(&self, lease: Epoch) {
        self.stepped.store(lease.0, Ordering::Relaxed);
    }

    /// Under which lease its region has said that it steps, since this was asked last.
    pub(crate) fn take_step(&self) -> Option<Epoch> {
        Some(Epoch(self.stepped.swap(Epoch::ZERO.0, Ordering::Relaxed))).filter(|lease| *lease > Epoch::ZERO)
    }

    /// Whether players hear what its region says: not where the region was given to another worker.
    pub(crate) fn give_voice(&self, voice: bool) {
        self.voice.store(voice, Ordering::Release);
    }

    pub(crate) fn has_voice(&self) -> bool {
        self.voice.load(Ordering::Acquire) || mutant::is_off(Mutant::AnyEpochPasses)
    }

    /// Queues `message`; never blocks.
    ///
    /// # Errors
    ///
    /// [`SendError`]; the caller sends again or waits for another route.
    pub fn send(&self, lane: Lane, message: &EdgeToRegion) -> Result<(), SendError> {
        self.sender.send(lane, message)
    }

    /// Gives credit for `frames` back to the region, within a few milliseconds.
    pub fn credit(&self, player: PlayerId, frames: u8) {
        self.credits.lock().unwrap_or_else(PoisonError::into_inner).push((player, frames));
        self.credits_due.notify_one();
    }

    /// Ends the link.
    pub fn close(&self) {
        self.sender.close();
    }

    /// Waits, at most `within`, until the peer has everything that was queued, and closes.
    pub async fn finish(&self, within: Duration) {
        self.sender.finish(within).await;
    }

    /// Sends collected credit until the link does not take it.
    pub(crate) async fn pass_credit_on(&self) {
        loop {
            self.credits_due.notified().await;
            tokio::time::sleep(CREDIT_PAUSE).await;
            let credits = std::mem::take(&mut *self.credits.lock().unwrap_or_else(PoisonError::into_inner));
            if !credits.is_empty() && self.send(Lane::Control, &EdgeToRegion::Credit(credits)).is_err() {
                return;
            }
        }
    }
}
