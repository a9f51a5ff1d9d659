//! What the director knows of one worker process.

use std::time::Duration;

use horizon_model::RegionId;

use super::{FENCED_PATIENCE, LINK_PATIENCE, RETIRE_PATIENCE};

/// What a worker is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerState {
    /// Free.
    Ready,
    /// Was told to take over a region.
    Placing {
        /// Which.
        region: RegionId,
        /// When.
        since: Duration,
    },
    /// Serves a region.
    Serving(RegionId),
    /// Was told to give its region back.
    Retiring {
        /// Which.
        region: RegionId,
        /// Whether it ends afterwards.
        exit: bool,
        /// When.
        since: Duration,
    },
    /// Its region was given to another worker, because it was silent. It ends when it notices.
    Fenced {
        /// Since when.
        since: Duration,
    },
    /// Has nothing and ends.
    Draining {
        /// Since when.
        since: Duration,
    },
}

impl WorkerState {
    /// The word for it, as the status shows it.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::Placing { .. } => "placing",
            Self::Serving(_) => "serving",
            Self::Retiring { .. } => "retiring",
            Self::Fenced { .. } => "fenced",
            Self::Draining { .. } => "draining",
        }
    }
}

/// One registered process.
#[derive(Debug, Clone, PartialEq)]
pub struct Worker {
    /// Process id; none where the process is out of reach.
    pub pid: Option<u32>,
    /// Link address for others.
    pub endpoint: String,
    /// It serves only regions within this box: x and y of the lower corner, then of the upper one, metres.
    pub bounds: Option<[f64; 4]>,
    /// When it registered first.
    pub since: Duration,
    /// What it is doing.
    pub state: WorkerState,
    /// Since when its link is gone; `None` while it is there.
    pub unlinked_since: Option<Duration>,
}

impl Worker {
    /// Whether it can be given a region now.
    pub fn is_free(&self) -> bool {
        self.state == WorkerState::Ready && self.unlinked_since.is_none()
    }

    /// Whether it serves regions with these corners, metres.
    pub(super) fn serves(&self, (low, high): ([f64; 2], [f64; 2])) -> bool {
        self.bounds
            .is_none_or(|[x0, y0, x1, y1]| x0 <= low[0] && y0 <= low[1] && high[0] <= x1 && high[1] <= y1)
    }

    /// The region it has, is getting or is giving back.
    pub const fn region(&self) -> Option<RegionId> {
        match self.state {
            WorkerState::Placing { region, .. }
            | WorkerState::Serving(region)
            | WorkerState::Retiring { region, .. } => Some(region),
            WorkerState::Ready | WorkerState::Fenced { .. } | WorkerState::Draining { .. } => None,
        }
    }

    pub(super) fn will_be_free(&self) -> bool {
        self.is_free() || matches!(self.state, WorkerState::Retiring { exit: false, .. })
    }

    /// When it must be ended, and what it will have missed.
    pub(super) fn deadline(&self, place_within: Duration) -> Option<(Duration, &'static str)> {
        // Whoever was told to end closes its links first.
        let ends = matches!(
            self.state,
            WorkerState::Draining { .. }
                | WorkerState::Fenced { .. }
                | WorkerState::Retiring { exit: true, .. }
        );
        let link = self.unlinked_since.filter(|_| !ends);
        let link = link.map(|since| (since + LINK_PATIENCE, "return of its link"));
        let task = match self.state {
            WorkerState::Placing { since, .. } => Some((since + place_within, "takeover of its region")),
            WorkerState::Retiring { since, .. } => Some((since + RETIRE_PATIENCE, "return of its region")),
            WorkerState::Fenced { since } => Some((since + FENCED_PATIENCE, "its own end")),
            WorkerState::Draining { since } => Some((since + RETIRE_PATIENCE, "its own end")),
            WorkerState::Ready | WorkerState::Serving(_) => None,
        };
        link.into_iter().chain(task).min()
    }

    /// It was told to end by force; look again after the same patience.
    pub(super) fn postpone(&mut self, now: Duration) {
        if let Some(since) = &mut self.unlinked_since {
            *since = now;
        }
        match &mut self.state {
            WorkerState::Placing { since, .. }
            | WorkerState::Retiring { since, .. }
            | WorkerState::Fenced { since }
            | WorkerState::Draining { since } => *since = now,
            WorkerState::Ready | WorkerState::Serving(_) => {}
        }
    }
}
