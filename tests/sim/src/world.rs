//! The whole world on virtual time: one queue, one clock, one source of chance.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::time::Duration;

use horizon_client::Spelling;
use horizon_history::{Event, History, ViewRules};
use horizon_model::{
    EdgeId, Epoch, GridMap, PlayerId, RegionId, RegionMap, SessionId, Tick, TickRate, WorkerId,
};
use horizon_protocol::client::{ClientMessage, ServerMessage};
use horizon_protocol::link::Placement;
use horizon_region_server::region::Input;
use horizon_state_store::{Reply, Report, Request};
use tempfile::TempDir;

use crate::client::Client;
use crate::dice::Dice;
use crate::director::{Director, Taking};
use crate::edge::Edge;
use crate::message::Message;
use crate::network::{Network, Node};
use crate::options::{Options, Profile};
use crate::store::{Store, Then};
use crate::worker::Worker;

/// How long a lease lasts without renewal.
pub(crate) const TTL: Duration = Duration::from_secs(2);
/// Avatars stay this long without a connection, in ticks.
pub(crate) const LINGER_TICKS: u64 = 1800;
/// Virtual time at which a run begins: grid time zero is no time of a world.
const BEGIN: Duration = Duration::from_secs(1000);
const LINKS_EVERY: Duration = Duration::from_millis(100);
/// What a fault explains lasts this much longer than the fault: a takeover that nobody saw coming, and
/// connections that begin anew.
const AFTERMATH: Duration = Duration::from_secs(6);

/// Everything that can happen next.
pub(crate) enum Happening {
    Step(WorkerId, Epoch),
    Renew(WorkerId, Epoch),
    Tell(WorkerId, Box<Input>),
    Arrive(Node, Node, u64, Message),
    Linked(Node, Node, u64),
    Unlinked(Node, Node, u64),
    Links,
    ReportAgain(WorkerId, Box<Report>, u32),
    Question(Node, Box<Request>, Then),
    Answer(Then, Option<Box<Reply>>),
    Synced(WorkerId, Epoch),
    AskAgain(WorkerId, Epoch),
    Resume(WorkerId),
    ExitSeen(WorkerId),
    Direct,
    Take(WorkerId, RegionId, Box<Taking>),
    Routes(u8, u64, Vec<Placement>),
    EdgeTurn(u8),
    EdgeBack(u8),
    FromClient(u8, EdgeId, PlayerId, u64, Box<ClientMessage>),
    ToClient(PlayerId, u64, Box<ServerMessage>),
    Credit(u8, PlayerId, u64),
    SocketGone(PlayerId, u64),
    SocketLost(u8, EdgeId, PlayerId, u64),
    ClientTurn(PlayerId),
    Fault,
}

/// One reliable input of a client.
pub(crate) struct Sent {
    pub(crate) player: PlayerId,
    pub(crate) session: SessionId,
    pub(crate) seq: u32,
    pub(crate) namespace: String,
    pub(crate) event: String,
    pub(crate) payload: Vec<u8>,
}

struct Entry {
    at: Duration,
    count: u64,
    happening: Happening,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.count == other.count
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.count).cmp(&(other.at, other.count))
    }
}

/// One world.
pub(crate) struct World {
    pub(crate) options: Options,
    pub(crate) profile: Profile,
    pub(crate) dice: Dice,
    pub(crate) now: Duration,
    pub(crate) safety_until: Duration,
    pub(crate) map: RegionMap,
    pub(crate) rate: TickRate,
    pub(crate) network: Network,
    pub(crate) store: Store,
    pub(crate) director: Director,
    pub(crate) workers: BTreeMap<WorkerId, Worker>,
    pub(crate) edges: Vec<Edge>,
    pub(crate) clients: BTreeMap<PlayerId, Client>,
    pub(crate) configs: BTreeMap<String, serde_json::Value>,
    pub(crate) folder: TempDir,
    pub(crate) history: History,
    pub(crate) faults: BTreeMap<&'static str, u64>,
    /// Moves that the store has written.
    pub(crate) handoffs: u64,
    /// Handoffs that targets have reported.
    pub(crate) reported: u64,
    pub(crate) edge_lives: u64,
    pub(crate) conns: u64,
    /// Players whose tokens exist.
    pub(crate) minted: BTreeSet<PlayerId>,
    pub(crate) has_tokens: bool,
    /// The one that somebody called.
    pub(crate) vehicle: Option<serde_json::Value>,
    /// Its arrivals, as riders were told of them.
    pub(crate) rides: u64,
    /// Which region a process has served, also after its end.
    pub(crate) regions: BTreeMap<WorkerId, RegionId>,
    pub(crate) broken: Vec<(&'static str, String)>,
    /// Every reliable input in the order of sending.
    pub(crate) inputs: Vec<Sent>,
    queue: BinaryHeap<Reverse<Entry>>,
    count: u64,
    hash: u64,
    excused_until: Duration,
    crashed_at: BTreeMap<RegionId, Duration>,
}

impl World {
    pub(crate) fn new(options: Options) -> Self {
        let mut dice = Dice::new(options.seed);
        let profile = Profile::draw(&mut dice);
        let metres = 100.0;
        let origin = [-metres * f64::from(profile.columns / 2), -metres];
        let grid = GridMap::new(origin, metres, profile.columns, profile.rows).expect("a valid grid");
        let rules = ViewRules { step: 60 / profile.hz, most_missing: None };
        let shm = std::path::Path::new("/dev/shm");
        let folder = if shm.is_dir() { tempfile::tempdir_in(shm) } else { tempfile::tempdir() };
        let mut configs = BTreeMap::new();
        if let Some(ball) = &options.ball {
            let replay = serde_json::json!({ "trace": ball, "pitches": [[0.0, 0.0]] });
            configs.insert("replay".to_owned(), replay);
        }
        Self {
            dice,
            now: BEGIN,
            safety_until: BEGIN + Duration::from_secs(profile.safety_s),
            map: RegionMap { map_epoch: 1, grid },
            rate: TickRate::from_hz(profile.hz).expect("a valid rate"),
            network: Network::default(),
            store: Store::new(),
            director: Director::default(),
            workers: BTreeMap::new(),
            edges: Vec::new(),
            clients: BTreeMap::new(),
            configs,
            folder: folder.expect("a temporary folder"),
            history: History::new(rules),
            faults: BTreeMap::new(),
            handoffs: 0,
            reported: 0,
            edge_lives: 0,
            conns: 0,
            minted: BTreeSet::new(),
            has_tokens: true,
            vehicle: None,
            rides: 0,
            regions: BTreeMap::new(),
            broken: Vec::new(),
            inputs: Vec::new(),
            queue: BinaryHeap::new(),
            count: 0,
            hash: 0xcbf2_9ce4_8422_2325,
            excused_until: BEGIN + AFTERMATH,
            crashed_at: BTreeMap::new(),
            options,
            profile,
        }
    }

    /// Regions, edges and players, and the first misfortune.
    pub(crate) fn found(&mut self) {
        self.found_edges(2);
        self.found_regions();
        self.plan(Duration::ZERO, Happening::Links);
        for number in 0..self.profile.players {
            let spelling = if number % 4 == 3 { Spelling::Json } else { Spelling::Binary };
            self.found_client(number, spelling);
        }
        self.plan_fault();
    }

    pub(crate) fn plan(&mut self, wait: Duration, happening: Happening) {
        self.plan_at(self.now + wait, happening);
    }

    pub(crate) fn plan_at(&mut self, at: Duration, happening: Happening) {
        self.count += 1;
        self.queue.push(Reverse(Entry { at: at.max(self.now), count: self.count, happening }));
    }

    /// Lets time pass.
    pub(crate) fn run_until(&mut self, end: Duration) {
        while let Some(Reverse(entry)) = self.queue.peek() {
            if entry.at > end {
                break;
            }
            let Some(Reverse(entry)) = self.queue.pop() else { break };
            self.now = entry.at;
            self.mix(entry.at.as_nanos() as u64 ^ entry.count << 40);
            self.happen(entry.happening);
        }
        self.now = end;
    }

    pub(crate) fn happen(&mut self, happening: Happening) {
        match happening {
            Happening::Step(worker, lease) => self.step(worker, lease),
            Happening::Renew(worker, lease) => self.renew(worker, lease),
            Happening::Tell(worker, input) => self.tell_worker(worker, *input),
            Happening::Arrive(from, to, serial, message) => self.arrive(from, to, serial, message),
            Happening::Linked(node, peer, serial) => self.linked(node, peer, serial),
            Happening::Unlinked(node, peer, serial) => self.unlinked(node, peer, serial),
            Happening::Links => {
                self.look_at_links();
                self.plan(LINKS_EVERY, Happening::Links);
            }
            Happening::ReportAgain(worker, report, left) => {
                let request = Request::Report(report.clone());
                self.ask(Node::Worker(worker), request, Then::Report(worker, report, left));
            }
            Happening::Question(from, request, then) => self.question(from, *request, then),
            Happening::Answer(then, reply) => self.answer(then, reply.map(|reply| *reply)),
            Happening::Synced(worker, lease) => self.synced(worker, lease),
            Happening::AskAgain(worker, lease) => self.ask_again(worker, lease),
            Happening::Resume(worker) => self.resume_worker(worker),
            Happening::ExitSeen(worker) => self.exit_seen(worker),
            Happening::Direct => self.direct(),
            Happening::Take(worker, region, stage) => self.take(worker, region, *stage),
            Happening::Routes(edge, version, placements) => self.edge_routes(edge, version, placements),
            Happening::EdgeTurn(edge) => self.edge_turn(edge),
            Happening::EdgeBack(edge) => self.edge_back(edge),
            Happening::FromClient(edge, life, player, conn, message) => {
                self.edge_reads(edge, life, player, conn, *message);
            }
            Happening::ToClient(player, conn, message) => self.client_reads(player, conn, *message),
            Happening::Credit(edge, player, conn) => self.edge_credit(edge, player, conn),
            Happening::SocketGone(player, conn) => self.socket_gone(player, conn),
            Happening::SocketLost(edge, life, player, conn) => self.socket_lost(edge, life, player, conn),
            Happening::ClientTurn(player) => self.client_turn(player),
            Happening::Fault => self.misfortune(),
        }
    }

    pub(crate) fn log_input(
        &mut self,
        player: PlayerId,
        session: SessionId,
        seq: u32,
        namespace: &str,
        event: &str,
        payload: &[u8],
    ) {
        let (namespace, event, payload) = (namespace.to_owned(), event.to_owned(), payload.to_vec());
        self.inputs.push(Sent { player, session, seq, namespace, event, payload });
    }

    pub(crate) fn observe(&mut self, event: &Event) {
        let before = self.history.violations();
        self.history.observe(Tick::at(self.now), event);
        if self.options.trace && self.history.violations() > before {
            eprintln!("{:?} VIOLATION {event:?}", self.now);
        }
    }

    pub(crate) fn count_fault(&mut self, kind: &'static str) {
        *self.faults.entry(kind).or_default() += 1;
        self.say(|| kind.to_owned());
    }

    /// Something goes on until then that explains gaps.
    pub(crate) fn trouble_until(&mut self, until: Duration) {
        self.excused_until = self.excused_until.max(until + AFTERMATH);
    }

    pub(crate) fn is_excused(&self) -> bool {
        self.now < self.excused_until
    }

    /// A region's owner ended, or was replaced.
    pub(crate) fn crashed(&mut self, region: RegionId) {
        self.crashed_at.insert(region, self.now);
        self.trouble_until(self.now);
    }

    /// Whether some region had to be taken over lately.
    pub(crate) fn has_crashed_lately(&self) -> bool {
        self.crashed_at.values().any(|at| self.now.saturating_sub(*at) < Duration::from_secs(60))
    }

    /// Everything works from now on.
    pub(crate) fn heal(&mut self) {
        self.network.heal();
        self.store.away_until = self.store.away_until.min(self.now);
        self.store.slow_until = self.now;
        let paused: Vec<WorkerId> = self.workers.keys().copied().collect();
        for worker in paused {
            self.resume_worker(worker);
        }
        for worker in self.workers.values_mut() {
            worker.slow_disk_until = Duration::ZERO;
            worker.disk_fails = false;
            worker.offset_ns = worker.offset_ns.clamp(-5_000_000, 5_000_000);
        }
        let profile = &mut self.profile;
        (profile.repeated, profile.echoed, profile.held_up) = (0, 0, 0);
        (profile.unanswered, profile.given_up) = (0, 0);
        self.heal_clients();
    }

    /// Adds to the fingerprint of the run.
    pub(crate) fn mix(&mut self, value: u64) {
        self.hash = (self.hash ^ value).wrapping_mul(0x0000_0100_0000_01b3).rotate_left(17);
    }

    pub(crate) const fn fingerprint(&self) -> u64 {
        self.hash
    }

    /// One line of the trace, if anybody reads it.
    pub(crate) fn say(&self, words: impl FnOnce() -> String) {
        if self.options.trace {
            eprintln!("{:.6} {}", self.now.as_secs_f64(), words());
        }
    }
}
