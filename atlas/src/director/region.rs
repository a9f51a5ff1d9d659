//! What the director knows of one region.

use std::collections::BTreeMap;
use std::time::Duration;

use horizon_model::{Epoch, RegionId, WorkerId};
use horizon_protocol::link::Placement;

use super::{ACCUSATION, backoff};

/// Who needs a region. The earlier one is served first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Why {
    /// It was served and had something in it when its worker was lost.
    Lost,
    /// A player is there or joins there.
    Player,
    /// Somebody is expected.
    Prediction,
}

impl Why {
    /// The word for it, as the status shows it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lost => "lost",
            Self::Player => "player",
            Self::Prediction => "prediction",
        }
    }
}

/// Who does not hear a region.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Accuser {
    /// This edge.
    Edge,
    /// A neighbour region.
    Neighbour(RegionId),
}

/// Where a region is in its life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RegionState {
    /// Nobody serves it and nobody needs it.
    Unplaced,
    /// Waits for a worker.
    Wanted,
    /// Could not be placed; waits, then wants again.
    Failed {
        /// Until when.
        until: Duration,
    },
    /// A worker takes it over.
    Placing {
        /// Who.
        worker: WorkerId,
        /// For whom.
        why: Why,
    },
    /// Served.
    Serving(Placement),
    /// A worker saves it and gives it back.
    Retiring {
        /// Who.
        worker: WorkerId,
    },
    /// Its worker is gone; its lease is being ended.
    Evicting {
        /// Who it was.
        worker: WorkerId,
    },
}

impl RegionState {
    /// The word for it, as the status shows it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Unplaced => "unplaced",
            Self::Wanted => "wanted",
            Self::Failed { .. } => "failed",
            Self::Placing { .. } => "placing",
            Self::Serving(_) => "serving",
            Self::Retiring { .. } => "retiring",
            Self::Evicting { .. } => "evicting",
        }
    }
}

/// One region of the map.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Region {
    /// Which.
    pub id: RegionId,
    /// Where it is in its life.
    pub state: RegionState,
    wish: Option<(Why, Duration)>,
    expected_until: Duration,
    idle_since: Option<Duration>,
    failures: u32,
    /// Leases up to this one were given up: their holders are not believed.
    fenced: Epoch,
    /// Who does not hear it, when they said so last, and for how long it was.
    accusers: BTreeMap<Accuser, (Duration, Duration)>,
    /// The lease under which it stands still.
    stalled: Option<Epoch>,
}

impl Region {
    pub(super) const fn new(id: RegionId) -> Self {
        Self {
            id,
            state: RegionState::Unplaced,
            wish: None,
            expected_until: Duration::ZERO,
            idle_since: None,
            failures: 0,
            fenced: Epoch::ZERO,
            accusers: BTreeMap::new(),
            stalled: None,
        }
    }

    /// Who serves it, if it is served.
    pub const fn placement(&self) -> Option<&Placement> {
        match &self.state {
            RegionState::Serving(placement) => Some(placement),
            _ => None,
        }
    }

    /// The worker that has it, in whatever way.
    pub const fn worker(&self) -> Option<WorkerId> {
        match &self.state {
            RegionState::Serving(placement) => Some(placement.worker),
            RegionState::Placing { worker, .. }
            | RegionState::Retiring { worker }
            | RegionState::Evicting { worker } => Some(*worker),
            RegionState::Unplaced | RegionState::Wanted | RegionState::Failed { .. } => None,
        }
    }

    /// Since when it is wanted, while it is not served.
    pub(super) fn wished_at(&self) -> Option<Duration> {
        self.wish.map(|(_, at)| at)
    }

    pub(super) fn ensure(&mut self, now: Duration, why: Why, grace: Duration) {
        self.expected_until = self.expected_until.max(now + grace);
        match self.state {
            RegionState::Serving(_) | RegionState::Placing { .. } => {}
            _ => {
                // The first reason counts, so that a player who arrives where somebody was
                // expected does not rewrite why the region was started.
                self.wish.get_or_insert((why, now));
                if self.state == RegionState::Unplaced {
                    self.state = RegionState::Wanted;
                }
            }
        }
    }

    /// Somebody does not hear its holder any more.
    pub(super) fn accuse(&mut self, now: Duration, lease: Epoch, by: Accuser, silence: Duration) {
        if self.placement().is_some_and(|placement| placement.lease == lease) {
            self.accusers.insert(by, (now, silence));
        }
    }

    /// Its worker says that it stands still, or steps again.
    pub(super) fn stall(&mut self, lease: Epoch, stalled: bool) {
        self.stalled = stalled.then_some(lease);
    }

    /// Whether it is served and stands still.
    pub fn is_stalled(&self) -> bool {
        self.placement().is_some_and(|placement| self.stalled == Some(placement.lease))
    }

    /// For how long the edge has not heard it, if that is so now.
    pub(super) fn silence_at_edge(&self, now: Duration) -> Option<Duration> {
        self.placement()?;
        let &(said, silence) = self.accusers.get(&Accuser::Edge)?;
        (said + ACCUSATION >= now).then_some(silence)
    }

    /// Whether a neighbour does not hear it now.
    pub(super) fn is_lost_by_neighbour(&self, now: Duration) -> bool {
        let mut others = self.accusers.iter().filter(|(by, _)| **by != Accuser::Edge);
        others.any(|(_, (said, _))| *said + ACCUSATION >= now)
    }

    /// Its lease is to be ended: whatever its holder says from now on means nothing.
    pub(super) fn evict(&mut self, worker: WorkerId) {
        self.fenced = self.placement().map_or(self.fenced, |placement| placement.lease.max(self.fenced));
        self.accusers.clear();
        self.state = RegionState::Evicting { worker };
    }

    /// Takes `placement` for true, unless a higher lease is known or its own was given up.
    pub(super) fn adopt(&mut self, now: Duration, placement: &Placement) -> bool {
        if placement.lease <= self.fenced {
            return false;
        }
        if self.placement().is_some_and(|known| {
            known.lease > placement.lease
                || (known.worker != placement.worker && known.lease == placement.lease)
        }) {
            return false;
        }
        let fresh = self.placement().is_none_or(|known| known.lease != placement.lease);
        self.state = RegionState::Serving(placement.clone());
        self.wish = None;
        self.failures = 0;
        if fresh {
            self.accusers.clear();
            // Counts as busy until its own summary says otherwise.
            self.idle_since = None;
            self.expected_until = self.expected_until.max(now);
        }
        true
    }

    pub(super) fn observe(&mut self, now: Duration, idle: bool) {
        if !matches!(self.state, RegionState::Serving(_)) {
            return;
        }
        if idle {
            self.idle_since.get_or_insert(now);
        } else {
            self.idle_since = None;
        }
    }

    /// For how long nobody has been there.
    pub(super) fn idle_for(&self, now: Duration) -> Duration {
        self.idle_since.map_or(Duration::ZERO, |since| now.saturating_sub(since))
    }

    /// Its worker gives it back as it is, and the next one goes on.
    pub(super) fn relieve(&mut self, now: Duration, worker: WorkerId) {
        self.wish = Some((Why::Lost, now));
        self.retire(worker);
    }

    /// Whether it is given back for the next worker.
    pub(super) const fn is_relieved(&self) -> bool {
        matches!((&self.state, self.wish), (RegionState::Retiring { .. }, Some(_)))
    }

    pub(super) fn retire(&mut self, worker: WorkerId) {
        self.state = RegionState::Retiring { worker };
    }

    pub(super) fn fail(&mut self, now: Duration) {
        self.wish.get_or_insert((Why::Player, now));
        self.state = RegionState::Failed { until: now + backoff(self.failures) };
        self.failures += 1;
    }

    /// Nobody has it any more: wants another worker if somebody is there or is expected.
    pub(super) fn vacate(&mut self, now: Duration) {
        let held = matches!(self.state, RegionState::Evicting { .. } | RegionState::Serving(_));
        let lost = held && self.idle_since.is_none();
        if lost {
            self.wish = Some((Why::Lost, now));
        }
        self.idle_since = None;
        self.state = if self.wish.is_some() { RegionState::Wanted } else { RegionState::Unplaced };
    }

    pub(super) fn end_pause(&mut self, now: Duration) {
        if matches!(self.state, RegionState::Failed { until } if until <= now) {
            self.state = RegionState::Wanted;
        }
    }

    pub(super) fn postpone_retiring(&mut self, until: Duration) {
        self.expected_until = self.expected_until.max(until);
    }

    /// Its place in the queue for a worker, if it waits for one now.
    pub(super) fn waiting(&self) -> Option<((Why, Duration), RegionId, Why)> {
        let (why, since) = self.wish?;
        (self.state == RegionState::Wanted).then_some(((why, since), self.id, why))
    }

    /// When it may retire, if it is idle and nobody is expected before.
    pub(super) fn retires_at(&self, grace: Duration) -> Option<Duration> {
        self.placement()?;
        Some((self.idle_since? + grace).max(self.expected_until))
    }

    pub(super) fn deadline(&self, grace: Duration) -> Option<(Duration, &'static str)> {
        if let RegionState::Failed { until } = self.state {
            return Some((until, "end of a pause after a failed placement"));
        }
        self.retires_at(grace).map(|at| (at, "end of an idle region's grace"))
    }
}
