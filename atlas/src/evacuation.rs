//! Operators who wait for a region to go on elsewhere.

use std::time::Duration;

use horizon_model::{RegionId, WorkerId};
use tokio::sync::oneshot;

use crate::director::Director;

/// Where the answer goes.
pub type Reply = oneshot::Sender<Result<Evacuated, Refused>>;

/// A region goes on elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Evacuated {
    /// Who serves it now.
    pub worker: WorkerId,
    /// From the operator's word until then.
    pub took: Duration,
}

/// Why a region cannot go on elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// This edge decides nothing.
    #[error("another atlas directs this world; ask that one")]
    Elsewhere,
    /// There is nobody to take it from.
    #[error("nobody serves this region now; `atlasctl status` shows those that are served")]
    NotServed,
}

/// Who waits for what.
#[derive(Debug, Default)]
pub struct Evacuations {
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    region: RegionId,
    from: WorkerId,
    since: Duration,
    reply: Reply,
}

impl Evacuations {
    /// Somebody asks for `region` to go on elsewhere. Whether it can: otherwise that was answered.
    pub fn ask(
        &mut self,
        now: Duration,
        director: &Director,
        directs: bool,
        region: RegionId,
        reply: Reply,
    ) -> bool {
        let placement = director.region(region).and_then(|region| region.placement());
        let refused = match placement {
            _ if !directs => Refused::Elsewhere,
            None => Refused::NotServed,
            Some(placement) => {
                self.waiting.push(Waiting { region, from: placement.worker, since: now, reply });
                return true;
            }
        };
        let _ = reply.send(Err(refused));
        false
    }

    /// Answers those whose region is served by somebody else now.
    pub fn answer(&mut self, now: Duration, director: &Director) {
        let successor = |waiting: &Waiting| {
            let worker = director.region(waiting.region)?.placement()?.worker;
            (worker != waiting.from).then_some(worker)
        };
        for waiting in self.waiting.extract_if(.., |waiting| successor(waiting).is_some()) {
            let took = now.saturating_sub(waiting.since);
            let evacuated = successor(&waiting).map(|worker| Evacuated { worker, took });
            let _ = waiting.reply.send(evacuated.ok_or(Refused::NotServed));
        }
    }
}
