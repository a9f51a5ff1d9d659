//! The hub: one task that knows all peers and decides what this worker serves.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use horizon_link::{Lane, Peer, PeerReceiver, PeerSender, Role};
use horizon_model::{EdgeId, RegionId, RegionMap, WorkerId};
use horizon_protocol::link::{EdgeToRegion, Placement, RegionToEdge, RegionToRegion, Registration};
use horizon_service::clock::boot_time;
use horizon_service::signals;
use tokio::sync::mpsc;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tracing::{debug, error, info, warn};

use super::Shared;
use super::edges::Edges;
use super::event::{Event, Placed};
use super::handle::{RegionThread, ThreadInput};
use super::place;
use crate::plugin::PluginHost;
use crate::region::Input;

/// Events that wait for the hub.
const QUEUE: usize = 65_536;
/// Time between two attempts to reach a peer.
pub(super) const REDIAL: Duration = Duration::from_millis(200);
/// Clock questions until the clock is sure, and afterwards.
const CLOCK_FAST: Duration = Duration::from_millis(20);
const CLOCK_SLOW: Duration = Duration::from_millis(500);
/// How many fast ones.
const CLOCK_FAST_COUNT: u32 = 16;
/// A worker that no edge has spoken to for so long saves its region and ends.
const ORPHANED: Duration = Duration::from_secs(60);
/// A worker that is told to end and cannot save (the store is gone) ends all the same after this: its
/// journal holds everything that was acknowledged, and the next holder recovers from it.
const SAVE_WITHIN: Duration = Duration::from_secs(8);
/// Time to say the last words on all links.
const FAREWELL: Duration = Duration::from_secs(1);

struct Hub {
    shared: Arc<Shared>,
    events: mpsc::Sender<Event>,
    edges: BTreeMap<EdgeId, (u64, PeerSender)>,
    known_edges: Edges,
    workers: BTreeMap<WorkerId, (u64, PeerSender)>,
    placements: Vec<Placement>,
    dialling: std::collections::BTreeSet<WorkerId>,
    serving: Option<(Placement, RegionThread)>,
    placing: bool,
    spare_host: Option<PluginHost>,
    exit_when_free: bool,
    /// A successor is to go on with the region as it is.
    relieved: bool,
    exit_by: Option<Instant>,
    clock_token: u64,
    clock_asked: BTreeMap<u64, Duration>,
    heard_at: Instant,
}

/// Runs until the worker is to end.
pub(crate) async fn run(shared: Arc<Shared>, host: PluginHost) {
    let (events, mut queue) = mpsc::channel(QUEUE);
    tokio::spawn(accept(Arc::clone(&shared), events.clone()));
    let mut hub = Hub {
        known_edges: Edges::new(Arc::clone(&shared), events.clone()),
        shared,
        events,
        edges: BTreeMap::new(),
        workers: BTreeMap::new(),
        placements: Vec::new(),
        dialling: std::collections::BTreeSet::new(),
        serving: None,
        placing: false,
        spare_host: Some(host),
        exit_when_free: false,
        relieved: false,
        exit_by: None,
        clock_token: 0,
        clock_asked: BTreeMap::new(),
        heard_at: Instant::now(),
    };
    let mut clock = interval(CLOCK_FAST);
    clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut fast = CLOCK_FAST_COUNT;
    let shutdown = signals::shutdown();
    tokio::pin!(shutdown);
    let mut signalled = false;
    loop {
        tokio::select! {
            event = queue.recv() => {
                let Some(event) = event else { break };
                if !hub.handle(event).await {
                    break;
                }
            }
            _ = clock.tick() => {
                hub.ask_clock();
                if fast > 0 {
                    fast -= 1;
                    if fast == 0 {
                        clock = interval(CLOCK_SLOW);
                        clock.set_missed_tick_behavior(MissedTickBehavior::Delay);
                    }
                }
                if hub.edges.is_empty() && hub.heard_at.elapsed() > ORPHANED {
                    warn!("no edge for a minute; saving and ending");
                    hub.exit_when_free = true;
                }
                if hub.exit_when_free && (!hub.leave() || hub.is_overdue()) {
                    break;
                }
            }
            _ = &mut shutdown, if !signalled => {
                info!("told to end; saving");
                signalled = true;
                hub.exit_when_free = true;
                hub.relieved = true;
                if !hub.leave() {
                    break;
                }
            }
        }
    }
    for (_, peer) in hub.edges.values().chain(hub.workers.values()) {
        peer.finish(FAREWELL).await;
    }
}

impl Hub {
    /// Takes one event; `false` ends the worker.
    async fn handle(&mut self, event: Event) -> bool {
        match event {
            Event::EdgeUp(edge, serial, sender) => {
                self.heard_at = Instant::now();
                if self.edges.contains_key(&edge) {
                    self.to_region(ThreadInput::EdgeGone(edge)).await;
                }
                self.register(&sender);
                self.to_region(ThreadInput::EdgeLink(edge, sender.clone())).await;
                self.edges.insert(edge, (serial, sender));
                self.ask_clock();
            }
            Event::EdgeDown(edge, serial) => {
                self.heard_at = Instant::now();
                if self.edges.get(&edge).is_some_and(|(current, _)| *current == serial) {
                    self.edges.remove(&edge);
                    self.to_region(ThreadInput::EdgeGone(edge)).await;
                }
            }
            Event::Edge(edge, message) => return self.edge_says(edge, *message).await,
            Event::WorkerUp(worker, serial, sender) => {
                self.dialling.remove(&worker);
                if self.workers.contains_key(&worker) {
                    self.to_region(ThreadInput::WorkerGone(worker)).await;
                }
                self.to_region(ThreadInput::WorkerLink(worker, sender.clone())).await;
                self.workers.insert(worker, (serial, sender));
            }
            Event::WorkerDown(worker, serial) => {
                if self.workers.get(&worker).is_some_and(|(current, _)| *current == serial) {
                    self.workers.remove(&worker);
                    self.to_region(ThreadInput::WorkerGone(worker)).await;
                    self.dial_workers();
                }
            }
            Event::NotReached(worker) => {
                self.dialling.remove(&worker);
                self.dial_workers();
            }
            Event::Worker(worker, message) => {
                self.to_region(ThreadInput::Region(Input::Worker(worker, message))).await;
            }
            Event::Placed(result) => self.placed(*result).await,
            Event::Stalled(stalled) => self.stalled(stalled),
            Event::Ended { retired } => return self.ended(retired),
        }
        true
    }

    async fn edge_says(&mut self, edge: EdgeId, message: EdgeToRegion) -> bool {
        match message {
            EdgeToRegion::Place { region, map } => self.place(region, map),
            EdgeToRegion::Retire { relieve, exit } => {
                self.exit_when_free |= exit;
                self.relieved |= relieve;
                if self.serving.is_some() {
                    self.to_region(ThreadInput::Region(self.farewell())).await;
                } else if exit && !self.placing {
                    return false;
                }
            }
            EdgeToRegion::ClockPong { token, grid_ns } => {
                if let Some(asked) = self.clock_asked.remove(&token) {
                    self.shared.clock.sample(asked, boot_time(), grid_ns);
                    self.clock_asked.retain(|other, _| *other > token);
                }
            }
            EdgeToRegion::Regions(placements) => {
                self.placements = placements.clone();
                self.dial_workers();
                let message = Box::new(EdgeToRegion::Regions(placements));
                self.to_region(ThreadInput::Region(Input::Edge(edge, message))).await;
            }
            EdgeToRegion::Edges(addresses) => {
                let linked = &self.edges;
                self.known_edges.told(edge, addresses, |edge| linked.contains_key(&edge));
            }
            other => self.to_region(ThreadInput::Region(Input::Edge(edge, Box::new(other)))).await,
        }
        true
    }

    async fn to_region(&self, input: ThreadInput) {
        if let Some((_, thread)) = &self.serving {
            thread.send(input).await;
        }
    }

    fn register(&self, sender: &PeerSender) {
        let registration = Registration {
            worker: self.shared.id,
            endpoint: self.shared.endpoint(),
            pid: std::process::id(),
            processes: horizon_service::processes::visible(),
            bounds: self.shared.config.region.bounds,
            plugins_hash: self.shared.plugins_hash,
            serving: self.serving.as_ref().map(|(placement, _)| placement.clone()),
            grid_ns: self.shared.clock.grid_now().and_then(|now| u64::try_from(now.as_nanos()).ok()),
        };
        if let Err(error) = sender.send(Lane::Control, &RegionToEdge::Register(Box::new(registration))) {
            warn!(%error, "registration was not sent");
        }
    }

    fn to_edges(&self, message: &RegionToEdge) {
        for (_, sender) in self.edges.values() {
            if let Err(error) = sender.send(Lane::Control, message) {
                debug!(%error, "an edge is gone");
            }
        }
    }

    fn ask_clock(&mut self) {
        self.clock_token += 1;
        let token = self.clock_token;
        self.clock_asked.insert(token, boot_time());
        if self.clock_asked.len() > 64 {
            self.clock_asked.pop_first();
        }
        self.to_edges(&RegionToEdge::ClockPing { token });
    }

    fn place(&mut self, region: RegionId, map: RegionMap) {
        if let Some((placement, _)) = &self.serving {
            let message = if placement.region == region {
                RegionToEdge::Placed(placement.clone())
            } else {
                let why = format!("this worker serves region {} already", placement.region);
                RegionToEdge::NotPlaced { region, why }
            };
            self.to_edges(&message);
            return;
        }
        if self.placing || self.exit_when_free {
            let why = "this worker is being placed or is ending".to_owned();
            self.to_edges(&RegionToEdge::NotPlaced { region, why });
            return;
        }
        self.placing = true;
        let (shared, events, host) = (Arc::clone(&self.shared), self.events.clone(), self.spare_host.take());
        tokio::spawn(async move {
            let result = place::place(shared, host, region, map, events.clone()).await;
            let result = result.map_err(|error| (region, error.to_string()));
            let _ = events.send(Event::Placed(Box::new(result))).await;
        });
    }

    async fn placed(&mut self, result: Result<Placed, (RegionId, String)>) {
        self.placing = false;
        match result {
            Ok(Placed { placement, thread }) => {
                info!(region = %placement.region, lease = %placement.lease, "serving");
                self.serving = Some((placement.clone(), thread));
                for (edge, (_, sender)) in &self.edges {
                    self.to_region(ThreadInput::EdgeLink(*edge, sender.clone())).await;
                }
                for (worker, (_, sender)) in &self.workers {
                    self.to_region(ThreadInput::WorkerLink(*worker, sender.clone())).await;
                }
                if let Some(edge) = self.edges.keys().next() {
                    let known = Box::new(EdgeToRegion::Regions(self.placements.clone()));
                    self.to_region(ThreadInput::Region(Input::Edge(*edge, known))).await;
                }
                self.shared.readiness.ready();
                self.to_edges(&RegionToEdge::Placed(placement));
            }
            Err((region, why)) => {
                warn!(%region, why, "not placed");
                self.to_edges(&RegionToEdge::NotPlaced { region, why });
            }
        }
    }

    /// The region stands still, or steps again: it can be asked, and its edges hear of it.
    fn stalled(&self, stalled: bool) {
        let Some((Placement { region, lease, .. }, _)) = &self.serving else { return };
        if stalled {
            self.shared.readiness.not_ready("the region stands still: no step has ended for three periods");
        } else {
            self.shared.readiness.ready();
        }
        self.to_edges(&RegionToEdge::Stalled { region: *region, lease: *lease, stalled });
    }

    /// The region is free again. A lost one ends the process: its memory is no longer worth anything.
    fn ended(&mut self, retired: bool) -> bool {
        let Some((placement, _)) = self.serving.take() else {
            return true;
        };
        self.shared.readiness.not_ready("serving no region");
        if !retired {
            info!(region = %placement.region, "the lease went to another worker; ending");
            return false;
        }
        info!(region = %placement.region, "region given back");
        self.to_edges(&RegionToEdge::Retired { region: placement.region });
        !self.exit_when_free
    }

    /// Whether saving took too long.
    fn is_overdue(&mut self) -> bool {
        let overdue = Instant::now() >= *self.exit_by.get_or_insert_with(|| Instant::now() + SAVE_WITHIN);
        if overdue {
            warn!("the region could not be given back in time; the next holder recovers it from its journal");
        }
        overdue
    }

    /// How the region is given back.
    const fn farewell(&self) -> Input {
        if self.relieved { Input::Relieve } else { Input::Retire }
    }

    /// Starts giving the region back; `false` where there is none.
    fn leave(&mut self) -> bool {
        match &self.serving {
            Some((_, thread)) => {
                thread.try_send(ThreadInput::Region(self.farewell()));
                true
            }
            None => self.placing,
        }
    }

    /// Dials the workers with a higher id; the others dial us.
    fn dial_workers(&mut self) {
        let own = self.shared.id;
        for placement in &self.placements {
            let worker = placement.worker;
            if worker <= own || self.workers.contains_key(&worker) || !self.dialling.insert(worker) {
                continue;
            }
            let (shared, events, address) =
                (Arc::clone(&self.shared), self.events.clone(), placement.endpoint.clone());
            tokio::spawn(async move {
                match shared.node.connect(&address).await {
                    Ok(peer) => adopt(peer, events).await,
                    Err(error) => {
                        debug!(%worker, %error, "neighbour not reached");
                        sleep(REDIAL).await;
                        let _ = events.send(Event::NotReached(worker)).await;
                    }
                }
            });
        }
        let placed: std::collections::BTreeSet<WorkerId> =
            self.placements.iter().map(|placement| placement.worker).collect();
        self.dialling.retain(|worker| placed.contains(worker) && !self.workers.contains_key(worker));
    }
}

/// Takes links from others, for ever.
async fn accept(shared: Arc<Shared>, events: mpsc::Sender<Event>) {
    while let Some(peer) = shared.node.accept().await {
        match peer {
            Ok(peer) => {
                tokio::spawn(adopt(peer, events.clone()));
            }
            Err(error) => warn!(%error, "a link was refused"),
        }
    }
}

/// Links counted since the start.
static LINKS: AtomicU64 = AtomicU64::new(0);

/// Introduces a peer to the hub and reads it until it is gone.
pub(super) async fn adopt(peer: Peer, events: mpsc::Sender<Event>) {
    let Peer { role, sender, receiver, .. } = peer;
    let serial = LINKS.fetch_add(1, Ordering::Relaxed);
    match role {
        Role::Edge(edge) => {
            if events.send(Event::EdgeUp(edge, serial, sender)).await.is_ok() {
                read_edge(edge, receiver, &events).await;
                let _ = events.send(Event::EdgeDown(edge, serial)).await;
            }
        }
        Role::Region(worker) => {
            if events.send(Event::WorkerUp(worker, serial, sender)).await.is_ok() {
                read_worker(worker, receiver, &events).await;
                let _ = events.send(Event::WorkerDown(worker, serial)).await;
            }
        }
    }
}

async fn read_edge(edge: EdgeId, mut receiver: PeerReceiver, events: &mpsc::Sender<Event>) {
    while let Some((_, frame)) = receiver.recv().await {
        match frame.decode::<EdgeToRegion>() {
            Ok(message) => {
                if events.send(Event::Edge(edge, Box::new(message))).await.is_err() {
                    return;
                }
            }
            Err(error) => error!(%edge, %error, "an unreadable frame"),
        }
    }
}

async fn read_worker(worker: WorkerId, mut receiver: PeerReceiver, events: &mpsc::Sender<Event>) {
    while let Some((lane, frame)) = receiver.recv().await {
        let message = match lane {
            Lane::Batch => frame.decode().map(RegionToRegion::Ghosts),
            Lane::Control | Lane::Session(_) | Lane::Presync => frame.decode(),
        };
        match message {
            Ok(message) => {
                if events.send(Event::Worker(worker, Box::new(message))).await.is_err() {
                    return;
                }
            }
            Err(error) => error!(%worker, %error, "an unreadable frame"),
        }
    }
}
