//! The director: decides which worker serves which region. Pure; the shell is [`crate::hub`].
//!
//! ```text
//!            Ensure            ready worker           Placed            idle for `grace`
//!  Unplaced ───────▶ Wanted ───────────────▶ Placing ───────▶ Serving ───────────────────▶ Retiring
//!     ▲                ▲  ▲    NotPlaced        │                │                             │
//!     │                │  └──── Failed ◀────────┤                │ process gone, or silent     │
//!     │  nobody needs  │ (backoff)              ▼                ▼                             │
//!     ├────────────────┴───────────────────── Evicting ◀─────────┘                             │
//!     └──────────────────────────────────────────────────────────────── Retired ◀─────────────┘
//! ```
//!
//! Invariants: a region is with at most one worker and a worker with at most one region; a lease is
//! evicted only when its process is known to be gone or has fallen silent, and what its holder says under
//! it afterwards is believed no more; nobody is placed or spawned without the director lease, nor before
//! workers that are already running had time to register again.
//!
//! A region is silent where its edge has not heard it for half a second and a neighbour says the same.
//! Where no neighbour is served that could say otherwise, the edge waits for [`ALONE`]; where it hears none
//! of several regions, which is more likely its own fault, for [`DEAF`]. A region that its edge hears keeps
//! its worker, whatever neighbours say. Eviction fences whoever is evicted, so that a wrong guess costs its
//! players a hiccup and nothing else.
//!
//! What it remembers is re-created from registrations: a restart of Atlas loses nothing but its
//! learned times. An edge that does not direct feeds its own director all the same, since workers register
//! everywhere: it ends, places and spawns nobody, and when it gets the lease it goes on with what it knows.
//! What it does not know (that a worker was told to take a region, that a process was started) costs a
//! refusal by the store or a spare process, and nothing else.

mod decide;
mod life;
mod message;
mod news;
mod pool;
mod reason;
mod region;
mod worker;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use horizon_handoff::predict::EnsureModel;
use horizon_model::{RegionId, RegionMap, WorkerId};
use horizon_protocol::link::Placement;

use news::Registrant;

pub use life::{Event, Life, Outcome};
pub use message::{Input, Output};
pub use reason::{Because, Decision, Pool};
pub use region::{Accuser, Region, RegionState, Why};
pub use worker::Worker;

/// A spawned process has this long to register. Loading plugins takes well below a second.
pub const START_PATIENCE: Duration = Duration::from_secs(10);
/// A worker has this long to save and give back a region, or to end: a slow disk.
pub const RETIRE_PATIENCE: Duration = Duration::from_secs(10);
/// A worker whose link is gone and whose process lives is ended after this long: it may hang, and
/// only a confirmed exit frees its region at once. A healthy one dials again within 200 ms.
pub const LINK_PATIENCE: Duration = Duration::from_millis(1_000);
/// The whole world has this long to stop before what is left is ended by force.
pub const SHUTDOWN_PATIENCE: Duration = Duration::from_secs(10);
/// Longest pause between attempts to place a region or to spawn a process.
pub const MAX_BACKOFF: Duration = Duration::from_secs(5);
/// What somebody says about a region's silence holds for this long: it is said ten times a second.
pub const ACCUSATION: Duration = Duration::from_millis(300);
/// Silence that counts where only the edge can notice it.
pub const ALONE: Duration = Duration::from_millis(1_000);
/// Silence that counts where the edge hears none of several regions.
pub const DEAF: Duration = Duration::from_millis(2_000);
/// A worker whose region was given to another one ends by itself as soon as it notices. It is ended by
/// force after this long, where that can be done.
pub const FENCED_PATIENCE: Duration = Duration::from_millis(5_000);
/// Placements that are remembered.
const TOOK: usize = 256;
const FIRST_BACKOFF: Duration = Duration::from_millis(100);

/// `[director]` of the configuration, and how long running workers have to register again.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Settings {
    /// Ready workers kept for whoever comes next, at least.
    pub warm_workers: usize,
    /// Workers are started while a larger share of them than this has a region, above 0, up to 1.
    pub grow_above: f64,
    /// Workers that have been ready for [`grace`](Self::grace) end while a smaller share of all than this has a
    /// region, 0 to 1.
    pub shrink_below: f64,
    /// Processes at most, all states together.
    pub max_workers: usize,
    /// Whether processes are started and ended here. Where they are not, whoever does it decides how many
    /// there are, and a worker that has given back its region stays.
    pub starts_workers: bool,
    /// No worker is to serve for longer than this.
    pub max_lifetime: Option<Duration>,
    /// Share of [`max_lifetime`](Self::max_lifetime) after which another one relieves it, above 0, up to 1.
    pub replace_at: f64,
    /// An idle region retires after this long, unless somebody is expected.
    pub grace: Duration,
    /// A worker has this long to take over a region before it is given up for another.
    pub place_within: Duration,
    /// No spawning or placing before this time, or [`Input::Settled`].
    pub settle: Duration,
}

/// How long a placement took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Took {
    /// Which region.
    pub region: RegionId,
    /// For whom.
    pub why: Why,
    /// From the need until a worker was ready and told.
    pub waited: Duration,
    /// From there until the region was served.
    pub took: Duration,
}

/// Workers that have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Ended {
    /// Because they were told to.
    pub retired: u64,
    /// Unasked, or by force.
    pub failed: u64,
}

/// Why a region is to go on elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Relief {
    Operator,
    Age,
}

/// The machine. Feed it everything; do what it says.
#[derive(Debug, Clone)]
pub struct Director {
    settings: Settings,
    leads: bool,
    workers: BTreeMap<WorkerId, Worker>,
    /// Processes that have not registered, by process id: what they do, and since when.
    starting: BTreeMap<u32, (Life, Duration)>,
    requested: usize,
    regions: BTreeMap<RegionId, Region>,
    neighbours: BTreeMap<RegionId, Vec<RegionId>>,
    /// Lower and upper corner of each region, metres.
    boxes: BTreeMap<RegionId, ([f64; 2], [f64; 2])>,
    learned: EnsureModel,
    /// Regions that are to go on elsewhere as soon as another worker is ready, and for whom.
    evacuating: BTreeMap<RegionId, Relief>,
    /// Workers that have ended while this edge directed: as they were told, and otherwise.
    ended: Ended,
    /// The last placements, oldest first.
    took: VecDeque<Took>,
    spawn_failures: u32,
    spawn_not_before: Option<Duration>,
    settled_at: Option<Duration>,
    shutdown_by: Option<Duration>,
    finished: bool,
    announced: Vec<Placement>,
    spawned_by_prediction: u64,
}

impl Director {
    /// A director of all regions of `map`, with none of them placed. Time starts at zero.
    pub fn new(settings: Settings, map: &RegionMap) -> Self {
        Self {
            settings,
            leads: false,
            workers: BTreeMap::new(),
            starting: BTreeMap::new(),
            requested: 0,
            regions: map.regions().map(|region| (region, Region::new(region))).collect(),
            neighbours: map.regions().map(|region| (region, map.neighbours_within(region, 0.0))).collect(),
            boxes: map.regions().filter_map(|region| Some((region, map.bounds(region)?))).collect(),
            learned: EnsureModel::new(),
            evacuating: BTreeMap::new(),
            ended: Ended::default(),
            took: VecDeque::new(),
            spawn_failures: 0,
            spawn_not_before: None,
            settled_at: Some(settings.settle),
            shutdown_by: None,
            finished: false,
            announced: Vec::new(),
            spawned_by_prediction: 0,
        }
    }

    /// Advances the machine. Late, repeated and unexpected inputs change nothing.
    ///
    /// `now` is time since the director was made and does not go backwards.
    pub fn handle(&mut self, now: Duration, input: Input) -> Vec<Decision> {
        let mut out = Vec::new();
        let mut announce = false;
        match input {
            Input::Lease(leads) => {
                announce = leads && !self.leads;
                if announce {
                    self.take_over(now);
                }
                self.leads = leads;
            }
            Input::Ensure { region, why } => {
                if let Some(region) = self.regions.get_mut(&region) {
                    region.ensure(now, why, self.settings.grace);
                }
            }
            Input::Spawned { pid } => {
                self.requested = self.requested.saturating_sub(1);
                self.starting.insert(pid, (Life::Starting, now));
            }
            Input::SpawnFailed => {
                self.requested = self.requested.saturating_sub(1);
                self.postpone_spawning(now);
            }
            Input::Registered { worker, pid, endpoint, bounds, serving, in_step } => {
                let ends = serving.is_none() && !in_step && self.leads;
                let who = Registrant { worker, pid, endpoint, bounds };
                self.registered(now, who, serving, &mut out);
                if ends && let Some(entry) = self.workers.get_mut(&worker).filter(|entry| entry.is_free()) {
                    entry.dismiss(now);
                    let retire = Output::Retire { worker, region: None, exit: true };
                    out.push(retire.because(Because::OtherClock));
                }
                announce = true;
            }
            Input::LinkLost(worker) => {
                if let Some(worker) = self.workers.get_mut(&worker) {
                    worker.unlinked_since.get_or_insert(now);
                }
            }
            Input::Exited { pid } => self.exited(now, pid, &mut out),
            Input::Placed(placement) => self.placed(now, &placement),
            Input::NotPlaced { worker, region } => self.not_placed(now, worker, region),
            Input::Retired { worker, region } => self.retired(now, worker, region),
            Input::Evicted(region) => {
                if let Some(region) = self.regions.get_mut(&region)
                    && matches!(region.state, RegionState::Evicting { .. })
                {
                    region.vacate(now);
                }
            }
            Input::Silent { region, lease, by, silence } => {
                if let Some(region) = self.regions.get_mut(&region) {
                    region.accuse(now, lease, by, silence);
                }
            }
            Input::Stalled { region, lease, stalled } => {
                if let Some(region) = self.regions.get_mut(&region) {
                    region.stall(lease, stalled);
                }
            }
            Input::Summary { region, idle } => {
                if let Some(region) = self.regions.get_mut(&region) {
                    region.observe(now, idle);
                }
            }
            Input::Evacuate(region) => {
                if self.regions.contains_key(&region) {
                    self.evacuating.insert(region, Relief::Operator);
                }
            }
            Input::Shutdown => {
                self.shutdown_by.get_or_insert(now + SHUTDOWN_PATIENCE);
            }
            Input::Settled => self.settled_at = None,
            Input::Timeout => {}
        }
        self.settled_at = self.settled_at.filter(|&at| now < at);
        self.spawn_not_before = self.spawn_not_before.filter(|&at| now < at);
        if self.leads {
            self.end_the_overdue(now, &mut out);
            if self.shutdown_by.is_some() {
                self.stop_everything(now, &mut out);
            } else if self.settled_at.is_none() {
                self.give_up_the_silent(now, &mut out);
                self.place_the_wanted(now, &mut out);
                self.replace_the_oldest(now);
                self.evacuate_the_asked(now, &mut out);
                self.spawn_the_missing(now, &mut out);
                self.end_the_surplus(now, &mut out);
                self.retire_the_idle(now, &mut out);
            }
        }
        let placements = self.placements();
        if announce || placements != self.announced {
            self.announced.clone_from(&placements);
            out.push(Output::Announce(placements).because(Because::Changed));
        }
        out
    }

    /// What it would do now if it directed, with nothing done.
    pub fn would_decide(&self, now: Duration) -> Vec<Decision> {
        let mut other = self.clone();
        other.leads = true;
        let mut decisions = other.handle(now, Input::Timeout);
        decisions.retain(|decision| !decision.output.concerns_this_edge_alone());
        decisions
    }

    /// When to call [`Self::handle`] with [`Input::Timeout`], and what is being awaited.
    pub fn next_timeout(&self) -> Option<(Duration, &'static str)> {
        let workers = self.workers.values().filter_map(|worker| worker.deadline(self.settings.place_within));
        let starting = self.starting.values().map(|&(_, since)| (since + START_PATIENCE, "registration"));
        let ages = self.next_to_replace().map(|(at, _)| (at, "a worker's age"));
        let surplus = self.next_surplus().map(|(at, _)| (at, "use of a worker that waits"));
        let pool = self.next_spare().map(|at| (at, "a placement"));
        let stop = self.shutdown_by.filter(|_| !self.finished).map(|by| (by, "end of the world"));
        let regions = self
            .regions
            .values()
            .filter_map(|region| region.deadline(self.settings.grace))
            .filter(|_| self.shutdown_by.is_none() && self.settled_at.is_none());
        let decisions = workers
            .chain(starting)
            .chain(ages)
            .chain(surplus)
            .chain(pool)
            .chain(stop)
            .chain(regions)
            .filter(|_| self.leads);
        let settle = self.settled_at.map(|at| (at, "registration of running workers"));
        let spawn = self.spawn_not_before.map(|at| (at, "end of a pause after failed spawns"));
        decisions.chain(settle).chain(spawn).min_by_key(|&(at, _)| at)
    }

    /// Who serves what, in region order. Workers whose link is gone are still listed.
    pub fn placements(&self) -> Vec<Placement> {
        self.regions.values().filter_map(|region| region.placement().cloned()).collect()
    }

    /// All regions of the map, in id order.
    pub fn regions(&self) -> impl Iterator<Item = &Region> {
        self.regions.values()
    }

    /// One region, or `None` if it is not on the map.
    pub fn region(&self, region: RegionId) -> Option<&Region> {
        self.regions.get(&region)
    }

    /// All registered workers, in id order.
    pub fn workers(&self) -> impl Iterator<Item = (&WorkerId, &Worker)> {
        self.workers.iter()
    }

    /// Whether what a worker says about its region counts.
    pub fn speaks(&self, worker: WorkerId) -> bool {
        let believed = self.workers.get(&worker).filter(|worker| worker.life() != Life::Failed);
        let Some(region) = believed.and_then(Worker::region) else { return false };
        self.regions.get(&region).is_some_and(|region| {
            region.worker() == Some(worker)
                && matches!(region.state, RegionState::Serving(_) | RegionState::Retiring { .. })
        })
    }

    /// Processes that have not registered yet.
    pub fn starting(&self) -> usize {
        self.starting.len() + self.requested
    }

    /// Workers that have ended while this edge directed.
    pub const fn ended(&self) -> Ended {
        self.ended
    }

    /// The last placements by this director, oldest first.
    pub fn took(&self) -> impl Iterator<Item = &Took> {
        self.took.iter()
    }

    /// Regions that were placed because somebody was expected, since the start.
    pub const fn spawned_by_prediction(&self) -> u64 {
        self.spawned_by_prediction
    }

    /// How far ahead a region must be asked for, learned from how long earlier wishes took.
    pub fn place_within(&self) -> Duration {
        self.learned.place_within()
    }

    /// Begins to direct with what is known: whoever is overdue may have been so for another director, or
    /// while nobody looked, and gets its whole time again.
    fn take_over(&mut self, now: Duration) {
        self.workers.values_mut().for_each(|worker| worker.postpone(now));
        self.starting.values_mut().for_each(|(_, since)| *since = now);
    }

    fn postpone_spawning(&mut self, now: Duration) {
        self.spawn_not_before = Some(now + backoff(self.spawn_failures));
        self.spawn_failures += 1;
    }
}

/// Pause after the `failures`-th failure in a row, doubling up to [`MAX_BACKOFF`].
fn backoff(failures: u32) -> Duration {
    FIRST_BACKOFF.saturating_mul(1 << failures.min(16)).min(MAX_BACKOFF)
}
