//! The shell around the director: one task that owns links, regions and predictions.
//!
//! Everything that concerns regions arrives here as a message; what sessions need to know leaves as a
//! snapshot of [`Routes`] and a nudge. On an edge that does not direct the same task runs, follows what
//! workers say, and passes on what its players need.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use horizon_handoff::EntityKey;
use horizon_handoff::predict::{Need, Policy};
use horizon_handoff::silence::{SILENCE, Watch};
use horizon_model::{Epoch, RegionId, WorkerId};
use horizon_protocol::link::{Band, EdgeToEdge, EdgeToRegion, Lane, Registration, Summary};
use horizon_service::clock::boot_time;
use horizon_service::processes::visible;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

use crate::decisions::Decisions;
use crate::director::{Accuser, Director, Input, Output, Settings, Why};
use crate::edge::Edge;
use crate::edge::registry::ToSession;
use crate::evacuation::Evacuations;
use crate::eviction;
pub use crate::inbox::{HUB_MESSAGES, ToHub};
use crate::lease::Directing;
use crate::live;
use crate::peers::Peers;
use crate::prediction::Prediction;
use crate::provision::Provisioner;
use crate::routes::{Routes, Way, WorkerLink};
use crate::view::View;

/// Beyond the life of a lease, workers that run already have this long after the start of Atlas to
/// register again. They dial every 200 ms; a lease that nobody renews has ended by then.
pub const SETTLE_MARGIN: Duration = Duration::from_millis(700);
/// A fresh grid starts this far above the highest stored tick: above every tick that a region may
/// have said and not stored.
pub const CLOCK_MARGIN: Duration = Duration::from_secs(2);
/// A worker's clock this near to ours follows it: more than a slow registration takes, and less than a
/// minute of slewing.
const CLOCK_TOLERANCE: Duration = Duration::from_millis(250);
/// Deadlines are not looked at more often than this, so that none becomes a busy loop.
const SHORTEST_WAIT: Duration = Duration::from_millis(5);

/// How often it is looked which regions say nothing any more.
const LISTEN: Duration = Duration::from_millis(50);

/// How the grid begins: what the store knew at the start of this process.
#[derive(Debug, Clone, Copy)]
pub struct ClockStart {
    /// Time of the highest stored tick.
    pub stored: Duration,
    /// Workers that hold leases, and so may run already.
    pub holders: usize,
}

/// The task's own state.
pub struct Hub {
    edge: Arc<Edge>,
    peers: Peers,
    provisioner: Arc<dyn Provisioner>,
    inbox: mpsc::Receiver<ToHub>,
    routes: watch::Sender<Arc<Routes>>,
    director: Director,
    links: BTreeMap<WorkerId, Arc<WorkerLink>>,
    prediction: Prediction,
    view: View,
    clock_start: ClockStart,
    /// Workers that may be running have not all registered, and have time left for it.
    settling: bool,
    settled_at: Duration,
    /// Highest grid time that a worker brought, and the boot time at which it did.
    clock_brought: Option<(Duration, Duration)>,
    /// Which regions say that they step, under which lease.
    silence: Watch<(RegionId, Epoch)>,
    /// Under which epoch this edge directs, if it does.
    directs: watch::Sender<Option<Epoch>>,
    shutdown: Vec<oneshot::Sender<()>>,
    evacuations: Evacuations,
    decisions: Decisions,
}

impl Hub {
    /// A hub with no workers yet.
    pub fn new(
        edge: Arc<Edge>,
        peers: Peers,
        provisioner: Arc<dyn Provisioner>,
        inbox: mpsc::Receiver<ToHub>,
        routes: watch::Sender<Arc<Routes>>,
        clock_start: ClockStart,
    ) -> Self {
        let config = &edge.config.director;
        let settled_at = edge.uptime() + edge.config.store.lease_ttl + SETTLE_MARGIN;
        let settings = Settings {
            warm_workers: config.warm_workers,
            grow_above: config.grow_above,
            shrink_below: config.shrink_below,
            max_workers: config.max_workers,
            starts_workers: config.start_workers,
            max_lifetime: config.max_lifetime,
            replace_at: config.replace_at,
            grace: config.grace,
            place_within: config.place_within,
            settle: settled_at,
        };
        Self {
            director: Director::new(settings, &edge.config.world.map),
            view: View::new(edge.config.world.map.clone()),
            edge,
            peers,
            provisioner,
            inbox,
            routes,
            links: BTreeMap::new(),
            prediction: Prediction::default(),
            clock_start,
            settling: true,
            settled_at,
            clock_brought: None,
            silence: Watch::default(),
            directs: watch::Sender::new(None),
            shutdown: Vec::new(),
            evacuations: Evacuations::default(),
            decisions: Decisions::default(),
        }
    }

    /// Runs until every sender is gone.
    pub async fn run(mut self) {
        let start = Instant::from_std(self.edge.started);
        let mut live = tokio::time::interval(live::PERIOD);
        live.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        let mut listen = tokio::time::interval(LISTEN);
        listen.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let settled = start + self.settled_at;
        self.settle();
        loop {
            let soon = Instant::now() + SHORTEST_WAIT;
            let timeout = self.director.next_timeout().map(|(at, _)| (start + at).max(soon));
            tokio::select! {
                message = self.inbox.recv() => match message {
                    Some(message) => self.handle(message),
                    None => return,
                },
                () = sleep_until(timeout.unwrap_or(soon)), if timeout.is_some() => self.direct(Input::Timeout),
                () = sleep_until(settled), if self.settling => self.settle(),
                _ = live.tick() => self.show(),
                _ = listen.tick() => self.listen(),
            }
        }
    }

    fn handle(&mut self, message: ToHub) {
        match message {
            ToHub::Registered { registration, link } => self.registered(*registration, link),
            ToHub::LinkLost { worker, serial } => {
                if self.links.get(&worker).is_some_and(|link| link.serial == serial) {
                    self.links.remove(&worker);
                    self.direct(Input::LinkLost(worker));
                    self.publish();
                }
            }
            ToHub::Exited(pid) => {
                // The other end of a dead process's link would only notice by a timeout.
                let dead =
                    self.director.workers().find(|(_, worker)| worker.pid == Some(pid)).map(|(&id, _)| id);
                if let Some(link) = dead.and_then(|id| self.links.remove(&id)) {
                    link.close();
                }
                self.direct(Input::Exited { pid });
                self.publish();
            }
            ToHub::Placed(placement) => self.direct(Input::Placed(placement)),
            ToHub::NotPlaced { worker, region, why } => {
                tracing::warn!(%worker, %region, %why, "a region could not be placed");
                self.direct(Input::NotPlaced { worker, region });
            }
            ToHub::Retired { worker, region } => self.direct(Input::Retired { worker, region }),
            ToHub::Evicted(region) => self.direct(Input::Evicted(region)),
            ToHub::Silent { region, lease, by } => {
                let (by, silence) = (Accuser::Neighbour(by), SILENCE);
                self.direct(Input::Silent { region, lease, by, silence });
            }
            ToHub::Stalled { region, lease, stalled } => {
                self.direct(Input::Stalled { region, lease, stalled });
            }
            ToHub::Band(band) => self.predict(&band),
            ToHub::Summary(summary) => self.summary(*summary),
            ToHub::Ensure { region, why } => self.ensure(region, why),
            ToHub::Needed { region, why } => self.direct(Input::Ensure { region, why }),
            ToHub::Directs { directing, stored } => self.directs(directing, stored),
            ToHub::Peer(news) => {
                if self.peers.handle(news) {
                    self.to_workers(&EdgeToRegion::Edges(self.peers.addresses()));
                }
            }
            ToHub::WorldStops => self.world_stops(),
            ToHub::Status(reply) => {
                let (directs, edges) = (self.directs.borrow().is_some(), self.peers.status());
                let around = (directs, &edges, self.decisions.last());
                let _ = reply.send(self.view.status(&self.edge, &self.director, around));
            }
            ToHub::Handoffs(since, reply) => {
                let _ = reply.send(self.view.handoffs_since(since));
            }
            ToHub::Evacuate(region, reply) => {
                let (now, directs) = (self.edge.uptime(), self.directs.borrow().is_some());
                if self.evacuations.ask(now, &self.director, directs, region, reply) {
                    self.direct(Input::Evacuate(region));
                }
            }
            ToHub::Shutdown(reply) => {
                if self.directs.borrow().is_some() {
                    self.shutdown.push(reply);
                    self.peers.tell(&EdgeToEdge::Shutdown);
                    self.world_stops();
                }
            }
        }
    }

    fn world_stops(&mut self) {
        tracing::info!("the world stops");
        self.edge.sessions.broadcast(|| ToSession::Shutdown);
        self.direct(Input::Shutdown);
    }

    /// Who directs has changed. Whoever does leads the clock, too.
    fn directs(&mut self, directing: Directing, stored: Option<Duration>) {
        self.directs.send_replace(directing.here());
        self.clock_start.stored = self.clock_start.stored.max(stored.unwrap_or_default());
        if directing == Directing::Elsewhere && self.edge.clock.leads() {
            self.edge.clock.follow();
        }
        self.lead_clock();
        self.direct(Input::Lease(directing.here().is_some()));
    }

    /// A player of this edge needs a region, or will: whoever directs decides. The others remember it, for the
    /// case that they are next.
    fn ensure(&mut self, region: RegionId, why: Why) {
        self.peers.tell(&EdgeToEdge::Ensure { region, expected: why == Why::Prediction });
        self.direct(Input::Ensure { region, why });
    }

    fn registered(&mut self, registration: Registration, link: Arc<WorkerLink>) {
        let Registration { worker, endpoint, pid, processes, bounds, serving, grid_ns, .. } = registration;
        let pid = (processes == visible()).then_some(pid);
        tracing::info!(%worker, ?pid, %endpoint, serving = ?serving.as_ref().map(|p| p.region), "worker registered");
        if let Some(grid) = grid_ns.map(Duration::from_nanos) {
            let now = boot_time();
            let best = self.clock_brought.is_none_or(|(known, at)| known + now.saturating_sub(at) < grid);
            if best {
                self.clock_brought = Some((grid, now));
            }
        }
        let in_step = match (grid_ns.map(Duration::from_nanos), self.edge.clock.grid_now()) {
            (Some(theirs), Some(ours)) => theirs.abs_diff(ours) < CLOCK_TOLERANCE,
            _ => true,
        };
        if !in_step {
            tracing::warn!(%worker, "a worker follows another clock");
        }
        if let Some(pid) = pid {
            self.provisioner.watch(pid);
        }
        let _ = link.send(Lane::Control, &EdgeToRegion::Edges(self.peers.addresses()));
        if let Some(old) = self.links.insert(worker, link) {
            old.close();
        }
        self.direct(Input::Registered { worker, pid, endpoint, bounds, serving, in_step });
        self.settle();
    }

    /// Ends the time in which workers that run already may register again: when all who may have done so, or
    /// it is over.
    fn settle(&mut self) {
        let serving = self.director.placements().len();
        let over = self.edge.uptime() >= self.settled_at || serving >= self.clock_start.holders;
        if self.settling && over {
            self.settling = false;
            self.edge.settled.store(true, Ordering::Relaxed);
            self.lead_clock();
            self.direct(Input::Settled);
        }
    }

    /// Leads the grid where this edge directs: with the time it has, or else when nobody can know it better,
    /// with the best that workers brought, or above everything that was stored.
    fn lead_clock(&mut self) {
        let clock = &self.edge.clock;
        if self.directs.borrow().is_none() || clock.leads() {
            return;
        }
        let followed = clock.grid_now();
        if followed.is_none() && self.settling {
            return;
        }
        let time = followed.or_else(|| self.brought()).unwrap_or(self.clock_start.stored + CLOCK_MARGIN);
        clock.lead(time);
        let adopted = followed.is_some() || self.clock_brought.is_some();
        tracing::info!(seconds = time.as_secs_f64(), adopted, "world grid leads");
    }

    /// The grid as workers know it.
    fn brought(&self) -> Option<Duration> {
        let (grid, at) = self.clock_brought?;
        Some(grid + boot_time().saturating_sub(at))
    }

    /// Notes which regions have said that they step, and tells the director of those that do not.
    fn listen(&mut self) {
        let serving = |region| self.director.region(region)?.placement();
        for link in self.links.values() {
            let Some(lease) = link.take_step() else { continue };
            let of = self.director.workers().find(|(worker, _)| **worker == link.worker);
            if let Some(region) = of.and_then(|(_, worker)| worker.region())
                && serving(region).is_some_and(|placement| placement.lease == lease)
            {
                self.silence.hear((region, lease));
            }
        }
        self.silence.retain(|(region, lease)| serving(region).is_some_and(|known| known.lease == lease));
        for ((region, lease), silence) in self.silence.look(self.edge.uptime()) {
            self.direct(Input::Silent { region, lease, by: Accuser::Edge, silence });
        }
        if self.edge.config.director.dry_run {
            // Who does not direct waits for no deadline.
            self.direct(Input::Timeout);
        }
    }

    /// Feeds the director and does what it says; with `dry_run` only what concerns this edge alone.
    fn direct(&mut self, input: Input) {
        let dry_run = self.edge.config.director.dry_run;
        let routine = matches!(input, Input::Summary { .. } | Input::Timeout);
        let cause = if routine { None } else { Some(input.clone()) };
        let mut inputs = vec![input];
        while let Some(input) = inputs.pop() {
            for decision in self.director.handle(self.edge.uptime(), input) {
                let spared = dry_run && !decision.output.concerns_this_edge_alone();
                self.decisions.note(&self.edge, &decision, cause.as_ref(), spared);
                if !spared {
                    self.perform(decision.output, &mut inputs);
                }
            }
        }
        if dry_run {
            let would = self.director.would_decide(self.edge.uptime());
            self.decisions.would(&self.edge, would, cause.as_ref());
        }
        self.evacuations.answer(self.edge.uptime(), &self.director);
        let figures = &self.edge.figures;
        figures.stalled.set(i64::try_from(self.director.pool().stalled).unwrap_or(i64::MAX));
        figures
            .spawned_by_prediction
            .set(i64::try_from(self.director.spawned_by_prediction()).unwrap_or(i64::MAX));
    }

    fn perform(&mut self, output: Output, inputs: &mut Vec<Input>) {
        match output {
            Output::Spawn => inputs.insert(
                0,
                match self.provisioner.spawn() {
                    Ok(pid) => Input::Spawned { pid },
                    Err(error) => {
                        tracing::warn!(%error, "a worker could not be started");
                        Input::SpawnFailed
                    }
                },
            ),
            Output::Kill { pid, missed } => {
                tracing::warn!(pid, missed, "a worker is ended by force");
                self.provisioner.kill(pid);
            }
            Output::Forget { worker, missed } => {
                tracing::warn!(%worker, missed, "a worker out of reach does not count any more");
                if let Some(link) = self.links.remove(&worker) {
                    link.close();
                }
            }
            Output::Place { worker, region, .. } => {
                let map = self.edge.config.world.map.clone();
                self.to_worker(worker, &EdgeToRegion::Place { region, map });
            }
            Output::Retire { worker, exit, .. } => {
                self.to_worker(worker, &EdgeToRegion::Retire { relieve: false, exit });
            }
            Output::Relieve { worker, .. } => {
                self.to_worker(worker, &EdgeToRegion::Retire { relieve: true, exit: true });
            }
            Output::Evict { region, worker } => {
                self.edge.figures.evictions.inc();
                tokio::spawn(eviction::evict(self.edge.clone(), self.directs.subscribe(), region, worker));
            }
            Output::Announce(placements) => {
                if self.directs.borrow().is_some() {
                    self.to_workers(&EdgeToRegion::Regions(placements));
                }
                self.publish();
            }
            Output::Finished => {
                tracing::info!("every worker has ended");
                self.shutdown.drain(..).for_each(|reply| {
                    let _ = reply.send(());
                });
            }
        }
    }

    fn to_workers(&self, message: &EdgeToRegion) {
        for link in self.links.values() {
            let _ = link.send(Lane::Control, message);
        }
    }

    fn to_worker(&self, worker: WorkerId, message: &EdgeToRegion) {
        // A lost message is found by its deadline in the director.
        if let Some(link) = self.links.get(&worker)
            && let Err(error) = link.send(Lane::Control, message)
        {
            tracing::debug!(%worker, %error, "a message to a worker was not sent");
        }
    }

    /// Shows sessions which regions can be reached.
    fn publish(&mut self) {
        let reachable = self.director.placements().into_iter().filter_map(|placement| {
            let link = self.links.get(&placement.worker)?.clone();
            Some((placement.region, Way { placement, link }))
        });
        let routes = Routes(reachable.collect());
        for (worker, link) in &self.links {
            link.give_voice(self.director.speaks(*worker));
        }
        let figures = &self.edge.figures;
        figures.regions.set(i64::try_from(routes.0.len()).unwrap_or(i64::MAX));
        figures.workers.set(i64::try_from(self.links.len()).unwrap_or(i64::MAX));
        self.routes.send_replace(Arc::new(routes));
        self.edge.sessions.broadcast(|| ToSession::Routes);
    }

    fn predict(&mut self, band: &Band) {
        let policy = Policy {
            prepare_within: self.edge.config.director.prepare_within,
            place_within: self.director.place_within(),
        };
        let Some(now) = self.edge.clock.grid_now().or_else(|| self.brought()) else { return };
        let map = &self.edge.config.world.map;
        let mut ensure = Vec::new();
        for due in self.prediction.observe(now, band, map, &policy) {
            match due.need {
                Need::Place { region } => ensure.push(region),
                Need::Prepare { region } => self.prepare(due.key, due.home, region),
            }
        }
        for region in ensure {
            self.ensure(region, Why::Prediction);
        }
        self.edge.figures.predicted_bodies.set(i64::try_from(self.prediction.len()).unwrap_or(i64::MAX));
    }

    /// Tells the owner to offer the entity to `target`, once that is served.
    fn prepare(&self, key: EntityKey, home: RegionId, target: RegionId) {
        let routes = self.routes.borrow();
        if let (Some(owner), true) = (routes.0.get(&home), routes.0.contains_key(&target)) {
            let _ = owner.link.send(Lane::Control, &EdgeToRegion::Prepare { key, target });
        }
    }

    fn summary(&mut self, summary: Summary) {
        let region = summary.placement.region;
        if self.lease_of(region) != Some(summary.placement.lease) {
            return;
        }
        let idle = summary.idle;
        self.view.learn(self.edge.uptime(), summary, &self.edge.figures);
        self.direct(Input::Summary { region, idle });
    }

    fn lease_of(&self, region: RegionId) -> Option<Epoch> {
        self.director.region(region)?.placement().map(|placement| placement.lease)
    }

    fn show(&mut self) {
        let (edge, director, view) = (&self.edge, &self.director, &mut self.view);
        view.forget(edge.uptime(), director);
        edge.live.write(|| view.live(edge, director));
    }
}
