//! Two or more regions on virtual time: real regions, plugins and store rules; links, disk and sockets
//! are queues with delays drawn from a seed.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, VecDeque};
use std::path::Path;
use std::time::Duration;

use horizon_handoff::{CasOutcome, Lease};
use horizon_model::{
    EdgeId, Epoch, GridMap, PlayerId, Pose, Position, RegionId, RegionMap, SessionId, Tick, TickRate,
    WorkerId, WorldId,
};
use horizon_protocol::client::{MoveSample, Spelling};
use horizon_protocol::link::{EdgeToRegion, Placement, RegionToEdge, RegionToRegion};
use horizon_region_server::journal::{Snapshot, Staged, TickRecord};
use horizon_region_server::plugin::PluginHost;
use horizon_region_server::region::{Input, Output, Recovery, Region, RegionConfig};
use horizon_state_store::{Env, Memory, Reply, Request};

use crate::chance::{Delays, Dice};
use crate::client::Client;
use crate::references::{References, Sighting};

mod clock;
mod edge;
mod groups;
mod load;
mod posts;
mod relief;
mod trail;

/// When worlds begin.
const BEGIN: Duration = Duration::from_secs(1000);
pub(crate) const EDGE: EdgeId = EdgeId(7);
const TTL: Duration = Duration::from_secs(2);

struct Running {
    region: Region,
    placement: Placement,
    /// On the disk.
    journal: Snapshot,
    /// On the way to the disk.
    unsynced: VecDeque<TickRecord>,
    /// States that records may name: on the disk, and on the way there.
    staged: Vec<Staged>,
    staging: Vec<Staged>,
    /// The last snapshot it asked for.
    rotated: Option<Snapshot>,
    /// The last tick it told clients of.
    told: Tick,
    next: Tick,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Due(Duration, u64);

/// When a target is killed during its first handoff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Moment {
    /// The final state is on its way to the disk.
    Staging,
    /// It is there, and the store has not been asked.
    Staged,
    /// The store has decided, and the answer is on its way.
    Decided,
    /// The entity acts, and nothing of that is durable.
    Activated,
}

enum Happening {
    ToRegion(RegionId, Epoch, Input),
    ToEdge(RegionId, RegionToEdge),
    Frames(RegionId, horizon_protocol::link::StateBatch),
}

/// The whole small world.
pub(crate) struct Harness {
    pub(crate) now: Duration,
    pub(crate) store: Memory,
    pub(crate) clients: BTreeMap<PlayerId, Client>,
    pub(crate) arrivals: u64,
    pub(crate) object_arrivals: u64,
    /// Arrivals whose target was not ready when it was needed.
    pub(crate) late: u64,
    /// Whether the edge foresees anything.
    pub(crate) foresight: bool,
    /// The edge asks the store for whoever is not where it believed; players who jump every second outrun it.
    pub(crate) looks_up: bool,
    /// A disk that says it has what it has not: the control of every test that kills.
    pub(crate) lying_disk: bool,
    /// Plugins' messages between regions come twice, or get lost as in a full queue.
    pub(crate) rough_posts: bool,
    /// A disk that says it has staged states which it has not.
    pub(crate) forgetful_disk: bool,
    /// A store that writes the members of a group one after the other.
    pub(crate) one_by_one: bool,
    /// Kill the next target of a handoff at this moment, and which region that was.
    pub(crate) kill_target_at: Option<Moment>,
    pub(crate) killed_target: Option<RegionId>,
    has_killed: bool,
    /// Regions with an odd number step this much later than the others.
    pub(crate) odd_late: Duration,
    /// And lose so many microseconds a second more, from the start of the world on.
    pub(crate) odd_slow_ppm: u32,
    /// Regions that do not step and hear nothing, as a stopped process.
    pub(crate) stopped: BTreeSet<RegionId>,
    /// Who told the edge that it does not hear whom, and when.
    pub(crate) silences: Vec<(Duration, RegionId, RegionId)>,
    /// Share of its period that every step works; nobody says where it is none.
    pub(crate) work_share: Option<f32>,
    pub(crate) said: BTreeMap<RegionId, load::Said>,
    pub(crate) references: References,
    /// Steps of handoffs, and who did them.
    pub(crate) trail: Vec<(RegionId, &'static str)>,
    /// Of each region that ended, ticks that it told clients of and that its successor does not know.
    pub(crate) shown_and_lost: Vec<u64>,
    map: RegionMap,
    rates: [TickRate; 2],
    running: BTreeMap<RegionId, Running>,
    dead: BTreeMap<RegionId, (Snapshot, Vec<Staged>)>,
    queue: BinaryHeap<Reverse<Due>>,
    happenings: BTreeMap<u64, Happening>,
    lanes: BTreeMap<(u8, u16, u16), Duration>,
    count: u64,
    workers: u64,
    dice: Dice,
    delays: Delays,
    plugins: std::path::PathBuf,
    configs: BTreeMap<String, serde_json::Value>,
}

impl Harness {
    /// `columns` regions of 200 m in a row from x = −200, all running.
    pub(crate) fn new(plugins: &Path, columns: u32, hz: u64, seed: u64, delays: Delays) -> Self {
        Self::with_configs(plugins, columns, hz, seed, delays, BTreeMap::new())
    }

    /// The same with tables `[plugin.NAME]`.
    pub(crate) fn with_configs(
        plugins: &Path,
        columns: u32,
        hz: u64,
        seed: u64,
        delays: Delays,
        configs: BTreeMap<String, serde_json::Value>,
    ) -> Self {
        Self::with_rates(plugins, columns, [hz, hz], seed, delays, configs)
    }

    /// The same where even and odd regions step at rates of their own; the slower is that of the world.
    pub(crate) fn with_rates(
        plugins: &Path,
        columns: u32,
        hz: [u64; 2],
        seed: u64,
        delays: Delays,
        configs: BTreeMap<String, serde_json::Value>,
    ) -> Self {
        eprintln!("SEED={seed} hz={hz:?} columns={columns}");
        let grid = GridMap::new([-200.0, -100.0 - 100.0], 200.0, columns, 2).expect("a valid grid");
        let store = Memory::new(WorldId(1), Env::new(|| Duration::ZERO, || [0; 32]));
        let mut harness = Self {
            now: BEGIN,
            store,
            clients: BTreeMap::new(),
            arrivals: 0,
            object_arrivals: 0,
            late: 0,
            foresight: true,
            looks_up: false,
            lying_disk: false,
            rough_posts: false,
            forgetful_disk: false,
            one_by_one: false,
            kill_target_at: None,
            killed_target: None,
            has_killed: false,
            odd_late: Duration::ZERO,
            odd_slow_ppm: 0,
            stopped: BTreeSet::new(),
            silences: Vec::new(),
            work_share: None,
            said: BTreeMap::new(),
            references: References::default(),
            trail: Vec::new(),
            shown_and_lost: Vec::new(),
            map: RegionMap { map_epoch: 1, grid },
            rates: hz.map(|hz| TickRate::from_hz(hz).expect("a valid rate")),
            running: BTreeMap::new(),
            dead: BTreeMap::new(),
            queue: BinaryHeap::new(),
            happenings: BTreeMap::new(),
            lanes: BTreeMap::new(),
            count: 0,
            workers: 0,
            dice: Dice::new(seed),
            delays,
            plugins: plugins.to_owned(),
            configs,
        };
        let regions: Vec<RegionId> = harness.map.regions().collect();
        for region in regions {
            harness.start(region);
        }
        harness.announce();
        harness
    }

    pub(crate) fn owner_of(&self, position: &Position) -> RegionId {
        self.map.owner_of(position).expect("on the map")
    }

    fn start(&mut self, id: RegionId) {
        self.workers += 1;
        let worker = WorkerId(self.workers);
        let Reply::Granted(lease) = self.store.perform(Request::Acquire(id, worker, TTL)) else {
            panic!("the lease is free");
        };
        let (kept, staged) =
            self.dead.remove(&id).map_or((None, Vec::new()), |(kept, staged)| (Some(kept), staged));
        let host = PluginHost::load(&self.plugins, &self.configs).expect("the plugins load");
        let mut recovery = Recovery::new(lease, kept.clone(), staged.clone());
        let mut keys = recovery.keys();
        let Reply::Owned(owned) = self.store.perform(Request::Owned(id)) else { panic!("a list") };
        keys.extend(owned.into_iter().map(|(key, _)| key));
        let mut records = BTreeMap::new();
        for key in keys {
            let Reply::Record(record) = self.store.perform(Request::Record(key)) else { panic!("a record") };
            records.insert(key, record);
        }
        let requests = recovery.decide(&records);
        let Reply::Cas(outcomes) = self.store.perform(Request::Cas(requests)) else { panic!("outcomes") };
        assert!(recovery.claimed(outcomes), "the lease is new");
        let config = RegionConfig {
            map: self.map.clone(),
            rate: self.rate_of(id),
            world_rate: self.world_rate(),
            linger_ticks: 1800,
            pose_ticks: 15,
            max_players: 100,
            lease_ttl: TTL,
            client_bytes_s: 64_000,
            schemas: host.schemas().to_vec(),
        };
        let tick = Tick::at(self.now);
        let mut region = recovery.finish(config, host, self.now, self.now, tick);
        region.handle(self.now, Input::EdgeUp(EDGE));
        let placement = Placement { region: id, worker, lease: lease.epoch, endpoint: String::new() };
        let next = self.rate_of(id).align_up(tick + 1);
        // What was recovered is the new journal's first word.
        let journal = kept.unwrap_or_default();
        let (unsynced, staging) = (VecDeque::new(), Vec::new());
        self.running.insert(
            id,
            Running {
                region,
                placement,
                journal,
                unsynced,
                staged,
                staging,
                rotated: None,
                told: tick,
                next,
            },
        );
    }

    /// A player joins at `at` metres.
    pub(crate) fn join(&mut self, player: u128, at: [f64; 3], spelling: Spelling) -> PlayerId {
        let player = PlayerId(player);
        let spawn = Pose::at(Position::from_metres(at).expect("in range"));
        let client = Client::new(player, SessionId(player.0 + 1000), spelling, spawn, self.world_rate());
        let region = self.owner_of(&spawn.position);
        let open = client.open(true);
        self.clients.insert(player, client);
        self.send_region(region, EdgeToRegion::Open(Box::new(open)));
        player
    }

    /// The client says where its body is.
    pub(crate) fn walk(&mut self, player: PlayerId, pose: Pose) {
        self.say(player, Tick::at(self.now), pose);
    }

    /// The client says where its body is at `tick`.
    pub(crate) fn say(&mut self, player: PlayerId, tick: Tick, pose: Pose) {
        let client = &self.clients[&player];
        let Some(route) = client.route else { return };
        let samples = vec![MoveSample { tick, pose }];
        let session_epoch = client.session_epoch;
        self.send_region(route, EdgeToRegion::Move { player, session_epoch, samples });
    }

    /// The client sends a reliable input; kept until durable.
    pub(crate) fn send(&mut self, player: PlayerId, namespace: &str, event: &str, payload: &[u8]) {
        let client = self.clients.get_mut(&player).expect("joined");
        let input = client.input(namespace, event, payload);
        if let Some(route) = client.route {
            self.send_region(route, input);
        }
    }

    fn send_region(&mut self, region: RegionId, message: EdgeToRegion) {
        let Some(lease) = self.running.get(&region).map(|held| held.placement.lease) else { return };
        self.note_request(region, &message);
        let at = self.lane(0, u16::MAX, region.0, self.delays.link);
        self.plan(at, Happening::ToRegion(region, lease, Input::Edge(EDGE, Box::new(message))));
    }

    fn plan(&mut self, at: Duration, happening: Happening) {
        self.count += 1;
        self.queue.push(Reverse(Due(at, self.count)));
        self.happenings.insert(self.count, happening);
    }

    /// Lets time pass.
    pub(crate) fn run_until(&mut self, end: Duration) {
        loop {
            let step = self
                .running
                .iter()
                .filter(|(id, _)| !self.stopped.contains(id))
                .map(|(id, held)| (held.next.since_origin() + self.late_by(*id), *id))
                .min()
                .expect("a region runs");
            let message = self.queue.peek().map(|Reverse(Due(at, _))| *at);
            let next = message.map_or(step.0, |at| at.min(step.0));
            if next > end {
                self.now = end;
                return;
            }
            self.now = self.now.max(next);
            if message.is_some_and(|at| at <= step.0) {
                let Some(Reverse(Due(_, number))) = self.queue.pop() else { continue };
                let happening = self.happenings.remove(&number).expect("planned once");
                self.happen(happening);
            } else {
                let ticks = self.rate_of(step.1).step();
                let held = self.running.get_mut(&step.1).expect("running");
                held.region.step(self.now, held.next);
                held.next = held.next + ticks;
                if held.next.0.is_multiple_of(24) {
                    let started_ns = self.now.as_nanos() as u64;
                    held.region.handle(self.now, Input::LeaseRenewed { started_ns });
                }
                self.account(step.1);
                self.perform(step.1);
            }
        }
    }

    fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::ToRegion(region, lease, input) => {
                let Some(held) = self.running.get_mut(&region) else { return };
                if held.placement.lease == lease && !self.stopped.contains(&region) {
                    if let Input::Staged(handoffs) = &input {
                        let synced = |one: &mut Staged| handoffs.contains(&one.handoff);
                        let synced: Vec<Staged> = held.staging.extract_if(.., synced).collect();
                        held.staged.extend(synced.into_iter().filter(|_| !self.forgetful_disk));
                        if self.dies(region, Moment::Staged) {
                            return;
                        }
                    }
                    let Some(held) = self.running.get_mut(&region) else { return };
                    if let Input::Durable(tick) = &input
                        && !self.lying_disk
                    {
                        while let Some(record) = held.unsynced.pop_front_if(|record| record.tick <= *tick) {
                            held.journal.apply(record);
                        }
                    }
                    let arrivals = held.region.stats().arrivals;
                    held.region.handle(self.now, input);
                    if held.region.stats().arrivals > arrivals && self.dies(region, Moment::Activated) {
                        return;
                    }
                    self.perform(region);
                }
            }
            Happening::ToEdge(region, message) => self.edge_hears(region, message),
            Happening::Frames(region, batch) => {
                let (step, world_step) = (self.rate_of(region).step(), self.world_rate().step());
                for frame in batch.frames {
                    let Some(client) = self.clients.get_mut(&frame.player) else { continue };
                    client.frame(batch.tick, &frame, step);
                    // What every region steps: between its steps the curve of a slower one promises nothing.
                    let shared = |seen: &Sighting| seen.tick.0.is_multiple_of(world_step);
                    for sighting in client.sightings().into_iter().filter(shared) {
                        for (observer, words) in self.references.take(frame.player, sighting) {
                            let observer = self.clients.get_mut(&observer).expect("clients stay");
                            observer.faults.astray.push(words);
                        }
                    }
                    self.send_region(region, EdgeToRegion::Credit(vec![(frame.player, 1)]));
                }
            }
        }
    }

    fn perform(&mut self, id: RegionId) {
        let held = self.running.get_mut(&id).expect("running");
        let lease: Lease = held.region.lease();
        let outputs = held.region.take_outputs();
        for output in outputs {
            self.note_output(id, &output);
            match output {
                Output::Edge(_, lane, message) => {
                    let kind = match lane {
                        horizon_protocol::link::Lane::Session(shard) => 10 + shard,
                        _ => 1,
                    };
                    let at = self.lane(kind, id.0, u16::MAX, self.delays.link);
                    self.plan(at, Happening::ToEdge(id, message));
                }
                Output::Frames(_, batch) => {
                    self.running.get_mut(&id).expect("running").told = batch.tick;
                    let at = self.lane(2, id.0, u16::MAX, self.delays.link);
                    self.plan(at, Happening::Frames(id, batch));
                }
                Output::Worker(worker, _, message) => self.send_worker(id, worker, 3, &message),
                Output::Ghosts(worker, batch) => {
                    self.send_worker(id, worker, 4, &RegionToRegion::Ghosts(batch));
                }
                Output::Journal(record) => {
                    let tick = record.tick;
                    let at = self.lane(5, id.0, id.0, self.delays.disk);
                    let second = self.rate_of(id).hz() as usize;
                    let held = self.running.get_mut(&id).expect("running");
                    held.unsynced.push_back(*record);
                    // The liar writes a whole second behind.
                    while self.lying_disk && held.unsynced.len() > second {
                        held.journal.apply(held.unsynced.pop_front().expect("just counted"));
                    }
                    self.plan(at, Happening::ToRegion(id, lease.epoch, Input::Durable(tick)));
                }
                Output::Mark(tick) => {
                    let at = self.lane(5, id.0, id.0, self.delays.disk);
                    self.plan(at, Happening::ToRegion(id, lease.epoch, Input::Durable(tick)));
                }
                Output::Rotate(snapshot, _) => {
                    self.running.get_mut(&id).expect("running").rotated = Some(*snapshot);
                }
                Output::Report(_) => panic!("the store of these tests is never started again"),
                Output::Stage(state) => {
                    let staged = Staged::from(&state);
                    let handoff = staged.handoff;
                    self.running.get_mut(&id).expect("running").staging.push(staged);
                    if self.dies(id, Moment::Staging) {
                        return;
                    }
                    let at = self.lane(5, id.0, id.0, self.delays.disk);
                    self.plan(at, Happening::ToRegion(id, lease.epoch, Input::Staged(vec![handoff])));
                }
                Output::Cas(requests) if self.one_by_one && requests.len() > 1 => {
                    self.cas_one_by_one(id, requests)
                }
                Output::Cas(requests) => {
                    let moves = requests.iter().any(trail::moves);
                    let Reply::Cas(outcomes) = self.store.perform(Request::Cas(requests.clone())) else {
                        panic!("outcomes");
                    };
                    if moves && self.dies(id, Moment::Decided) {
                        return;
                    }
                    let answers: Vec<(_, Option<CasOutcome>)> =
                        requests.into_iter().zip(outcomes.into_iter().map(Some)).collect();
                    let at = self.lane(6, id.0, id.0, self.delays.store);
                    self.plan(at, Happening::ToRegion(id, lease.epoch, Input::Cas(answers)));
                }
                Output::Lookup(key) => {
                    let Reply::Record(record) = self.store.perform(Request::Record(key)) else {
                        panic!("a record");
                    };
                    let at = self.lane(6, id.0, id.0, self.delays.store);
                    self.plan(at, Happening::ToRegion(id, lease.epoch, Input::Record(key, Ok(record))));
                }
                Output::Retired(_) => return self.relieved(id),
                Output::Superseded => panic!("nobody has taken region {id}"),
            }
        }
    }

    /// Whether this is the moment to kill, and then that was done.
    fn dies(&mut self, id: RegionId, moment: Moment) -> bool {
        let dies = self.kill_target_at == Some(moment);
        if dies {
            self.kill_target_at = None;
            self.killed_target = Some(id);
            self.kill(id);
        }
        dies
    }
}
