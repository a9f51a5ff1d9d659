//! What the director knows of one worker process.

use std::time::Duration;

use horizon_model::RegionId;

use super::life::{Event, Life, Outcome};
use super::{FENCED_PATIENCE, LINK_PATIENCE, RETIRE_PATIENCE};

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
    /// Since when its link is gone; `None` while it is there.
    pub unlinked_since: Option<Duration>,
    life: Life,
    /// Since when it does what it does, or is given more time for it.
    life_since: Duration,
    region: Option<RegionId>,
    /// It was told to end.
    ends: bool,
}

impl Worker {
    /// A process in state `life` of which nothing else is known yet.
    pub(super) const fn new(now: Duration, life: Life) -> Self {
        Self {
            pid: None,
            endpoint: String::new(),
            bounds: None,
            since: now,
            unlinked_since: None,
            life,
            life_since: now,
            region: None,
            ends: false,
        }
    }

    /// What it is doing.
    pub const fn life(&self) -> Life {
        self.life
    }

    /// The region it has, is getting or is giving back.
    pub const fn region(&self) -> Option<RegionId> {
        self.region
    }

    /// Whether it can be given a region now.
    pub fn is_free(&self) -> bool {
        self.life == Life::Ready && self.unlinked_since.is_none()
    }

    /// Whether it was told to end.
    pub(super) const fn ends(&self) -> bool {
        self.ends
    }

    /// Whether it takes over `region`.
    pub(super) fn takes(&self, region: RegionId) -> bool {
        self.life == Life::Placed && self.region == Some(region)
    }

    /// Since when it does what it does.
    pub(super) const fn life_since(&self) -> Duration {
        self.life_since
    }

    /// Whether it serves regions with these corners, metres.
    pub(super) fn serves(&self, (low, high): ([f64; 2], [f64; 2])) -> bool {
        self.bounds
            .is_none_or(|[x0, y0, x1, y1]| x0 <= low[0] && y0 <= low[1] && high[0] <= x1 && high[1] <= y1)
    }

    pub(super) fn will_be_free(&self) -> bool {
        self.is_free() || (self.life == Life::Draining && !self.ends)
    }

    /// Goes on as the table says. Whether the state has changed.
    pub(super) fn pass(&mut self, now: Duration, event: Event) -> bool {
        let outcome = self.life.after(event);
        debug_assert!(outcome != Outcome::Never, "{event:?} happened to a worker that is {:?}", self.life);
        let Outcome::To(life) = outcome else { return false };
        (self.life, self.life_since) = (life, now);
        if matches!(life, Life::Ready | Life::Serving) {
            self.ends = false;
        }
        if life == Life::Ready {
            self.region = None;
        }
        true
    }

    /// It is told to take over a region.
    pub(super) fn tell(&mut self, now: Duration, region: RegionId) {
        if self.pass(now, Event::Told) {
            self.region = Some(region);
        }
    }

    /// It serves a region.
    pub(super) fn serve(&mut self, now: Duration, region: RegionId) {
        self.pass(now, Event::Served);
        if self.life == Life::Serving {
            self.region = Some(region);
        }
    }

    /// It is told to give back what it has, and to end.
    pub(super) fn dismiss(&mut self, now: Duration) {
        self.pass(now, Event::Dismissed);
        self.ends = true;
    }

    /// It has given back its region.
    pub(super) fn give_back(&mut self, now: Duration) {
        if self.ends || self.life == Life::Failed {
            (self.region, self.life_since) = (None, now);
        } else {
            self.pass(now, Event::Freed);
        }
    }

    /// Its region was given to another one.
    pub(super) fn fence(&mut self, now: Duration) {
        self.pass(now, Event::Fenced);
        (self.region, self.life_since) = (None, now);
    }

    /// When it must be ended, and what it will have missed.
    pub(super) fn deadline(&self, place_within: Duration) -> Option<(Duration, &'static str)> {
        // Whoever was told to end closes its links first.
        let ends = self.ends || self.life == Life::Failed;
        let link = self.unlinked_since.filter(|_| !ends);
        let link = link.map(|since| (since + LINK_PATIENCE, "return of its link"));
        let task = match self.life {
            Life::Placed => Some((place_within, "takeover of its region")),
            Life::Draining if self.region.is_some() => Some((RETIRE_PATIENCE, "return of its region")),
            Life::Draining => Some((RETIRE_PATIENCE, "its own end")),
            Life::Failed => Some((FENCED_PATIENCE, "its own end")),
            Life::Starting | Life::Ready | Life::Serving | Life::Retired => None,
        };
        let task = task.map(|(patience, missed)| (self.life_since + patience, missed));
        link.into_iter().chain(task).min()
    }

    /// It has its whole time again.
    pub(super) fn postpone(&mut self, now: Duration) {
        if let Some(since) = &mut self.unlinked_since {
            *since = now;
        }
        if matches!(self.life, Life::Placed | Life::Draining | Life::Failed) {
            self.life_since = now;
        }
    }
}
