//! One region: everything that happens to it, in order, on one thread.
//!
//! ```text
//!  edges ───▶ handle ─┐                          ┌─▶ state frames, ghosts       at once
//!  workers ─▶ handle ─┼▶ World ─▶ step(tick) ────┼─▶ journal ─▶ durable ─▶ events, progress, posts
//!  store ───▶ handle ─┘  inputs, plugins, GORC   └─▶ handoff machines ─▶ offers, finals, commits
//! ```
//!
//! [`Region::handle`] takes what arrived between two steps and [`Region::step`] simulates one tick.
//! Both fill [`Region::take_outputs`]; neither blocks, reads a clock or touches a socket. What a
//! crash could undo (reliable events, progress, messages to other regions) is held back until the
//! journal record of the tick that caused it is durable under a lease that is still ours.

mod crossing;
mod giving;
mod groups;
mod input;
mod leaving;
mod neighbour;
mod post;
mod record;
mod recovery;
mod relief;
mod report;
mod routing;
mod session;
mod step;
mod taking;
mod witness;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use horizon_handoff::Lease;
use horizon_handoff::lease::{self, LeaseKeeper};
use horizon_handoff::mutant::{self, Mutant};
use horizon_handoff::silence::Watch;
use horizon_handoff::target::{self, Target};
use horizon_model::{
    EdgeId, EntityId, Epoch, HandoffId, ObjectSchema, PlayerId, RegionId, RegionMap, Tick, TickRate, WorkerId,
};
use horizon_protocol::link::{EdgeToRegion, EntityKey, Lane, Placement, RegionToEdge, RegionToRegion};
use tracing::{info, warn};

pub use input::{Input, Output};
pub use recovery::{Claim, Recovery};
pub use report::Stats;

use crate::journal::{EarlyPost, Inbound, Outbound, TickRecord};
use crate::plugin::PluginHost;
use crate::world::World;
use crossing::Crossing;
use input::Nonces;
use leaving::{Parking, Retiring};
use post::Broadcast;
use relief::Relief;
use session::Join;

/// What a region is told at its start.
#[derive(Debug, Clone)]
pub struct RegionConfig {
    /// The division of space.
    pub map: RegionMap,
    /// Steps per second.
    pub rate: TickRate,
    /// Those of the world, of which `rate` is a multiple: how clients read what any region tells them.
    pub world_rate: TickRate,
    /// Avatars that nobody is connected to stay this long, in ticks.
    pub linger_ticks: u64,
    /// Poses reach the journal at least this often, in ticks.
    pub pose_ticks: u64,
    /// Offers and joins beyond this many players are refused.
    pub max_players: usize,
    /// How long a lease lasts without renewal.
    pub lease_ttl: Duration,
    /// State bytes per second for one client.
    pub client_bytes_s: u32,
    /// Object types by number, with the channels of the configuration.
    pub schemas: Vec<ObjectSchema>,
}

/// One region under one lease.
pub struct Region {
    config: RegionConfig,
    lease: Lease,
    keeper: LeaseKeeper,
    host: PluginHost,
    plugins_hash: u64,
    names: BTreeMap<(String, String), u16>,
    name_table: Vec<(String, String)>,
    tables_hash: u64,
    world: World,
    nonces: Nonces,

    edges: BTreeSet<EdgeId>,
    workers: BTreeSet<WorkerId>,
    placements: BTreeMap<RegionId, Placement>,
    observers: BTreeMap<RegionId, (WorkerId, Epoch)>,
    /// What is needed to read the ghosts of each neighbour under its lease.
    readers: BTreeMap<RegionId, (Epoch, gorc::Decoder)>,
    /// Which neighbours say something.
    silence: Watch<RegionId>,
    hull_was_wide: bool,

    crossings: BTreeMap<EntityId, Crossing>,
    /// Whom an answer about an attempt is for; ended ones stay until they are swept out.
    attempts: BTreeMap<HandoffId, EntityId>,
    target: Target,
    shadows: BTreeMap<EntityKey, EntityId>,

    joins: BTreeMap<PlayerId, Join>,
    parking: BTreeMap<PlayerId, Parking>,
    waiting_opens: Vec<(EdgeId, horizon_protocol::link::OpenSession)>,
    recovered: BTreeSet<PlayerId>,

    broadcasts: u64,
    recent: VecDeque<Broadcast>,
    outbound: BTreeMap<RegionId, Outbound>,
    inbound: BTreeMap<RegionId, Inbound>,
    /// The oldest unconfirmed message to each region when it was last looked at.
    overdue: BTreeMap<RegionId, u64>,
    buried: Vec<(EntityKey, Epoch)>,
    early_posts: Vec<EarlyPost>,
    early_changed: bool,
    /// Players for whom messages wait and of whom the store has no record, since when.
    unrecorded: BTreeMap<PlayerId, Tick>,

    record: TickRecord,
    last_recorded: Tick,
    durable: Tick,
    held: VecDeque<(Tick, Output)>,
    marks: VecDeque<(Tick, PlayerId, u32)>,
    flush: bool,
    want_snapshot: bool,

    stats: Stats,
    load: gorc::Load,
    reports: Vec<horizon_protocol::link::HandoffReport>,
    retiring: Option<Retiring>,
    relief: Option<Relief>,
    silent: bool,
    now: Duration,
    out: Vec<Output>,
    #[cfg(feature = "faults")]
    broken: Option<Mutant>,
}

impl Region {
    /// Takes in what arrived. `now` is grid time and never goes back.
    pub fn handle(&mut self, now: Duration, input: Input) {
        self.now = self.now.max(now);
        if self.silent {
            return;
        }
        match input {
            Input::EdgeUp(edge) => {
                self.edges.insert(edge);
            }
            Input::EdgeDown(edge) => self.edge_down(edge),
            Input::Edge(edge, message) => self.handle_edge(edge, *message),
            Input::EdgeFramesLost(edge) => self.frames_lost(edge),
            Input::WorkerUp(worker) => self.worker_up(worker),
            Input::WorkerDown(worker) => self.worker_down(worker),
            Input::Worker(worker, message) => self.handle_worker(worker, *message),
            Input::WorkerFramesLost(worker) => self.ghost_frames_lost(worker),
            Input::Durable(tick) => self.durable_up_to(tick),
            Input::Staged(handoffs) => {
                for handoff in handoffs {
                    self.feed_target(target::Input::Staged { handoff });
                }
            }
            Input::WantSnapshot => self.want_snapshot = true,
            Input::Cas(answers) => self.cas_answers(answers),
            Input::Record(key, record) => self.record_answer(key, record),
            Input::LeaseRenewed { started_ns } => {
                let started = Duration::from_nanos(started_ns);
                self.keeper.handle(self.now, lease::Input::Renewed { started });
            }
            Input::StoreAsks(missing) => self.tell_store(&missing),
            Input::LeaseLost => self.supersede(),
            Input::Retire => self.retire(),
            Input::Relieve => self.relieve(),
        }
    }

    fn handle_edge(&mut self, edge: EdgeId, message: EdgeToRegion) {
        match message {
            EdgeToRegion::Open(open) => self.open(edge, *open),
            EdgeToRegion::Close { player, session_epoch, bye } => self.close(player, session_epoch, bye),
            EdgeToRegion::Input { player, session_epoch, seq, name, spelled, payload } => {
                self.input(edge, player, session_epoch, seq, name, spelled, payload);
            }
            EdgeToRegion::Move { player, session_epoch, samples } => {
                if let Some(state) = self.session_of(player, session_epoch) {
                    for sample in samples {
                        if sample.pose.is_finite() {
                            state.moves.insert(sample);
                        }
                    }
                }
            }
            EdgeToRegion::EventAck { player, session_epoch, events } => {
                if let Some(state) = self.session_of(player, session_epoch) {
                    state.tail.ack(events);
                    let id = self.world.players[&player];
                    self.world.avatar(player).expect("it has a session here").touch_tail();
                    self.fill_tail(id);
                }
            }
            EdgeToRegion::Refresh { player, session_epoch } => {
                if let Some(state) = self.session_of(player, session_epoch) {
                    // Credit that was spent on frames that never came.
                    state.credit = session::MAX_CREDIT;
                    let id = self.world.players[&player];
                    self.world.gorc.reset_view(crossing::observer_of(id));
                }
            }
            EdgeToRegion::Credit(credits) => {
                for (player, frames) in credits {
                    if let Some(state) =
                        self.world.avatar(player).and_then(|entity| entity.player.as_deref_mut())
                    {
                        state.credit = state.credit.saturating_add(frames).min(session::MAX_CREDIT);
                    }
                }
            }
            EdgeToRegion::Prepare { key, target } => self.prepare(key, target),
            EdgeToRegion::Regions(placements) => self.place_neighbours(placements),
            EdgeToRegion::Place { .. }
            | EdgeToRegion::Retire { .. }
            | EdgeToRegion::ClockPong { .. }
            | EdgeToRegion::Edges(_) => {
                warn!("a message for the worker reached its region");
            }
        }
    }

    fn handle_worker(&mut self, worker: WorkerId, message: RegionToRegion) {
        match message {
            RegionToRegion::Alive { region, lease } => self.neighbour_steps(worker, region, lease),
            RegionToRegion::Superseded { region, lease } => {
                if region == self.world.region {
                    self.keeper.handle(self.now, lease::Input::Superseded { epoch: lease });
                    if self.keeper.standing(self.now) == lease::Standing::Lost {
                        self.supersede();
                    }
                }
            }
            RegionToRegion::Observe(hull) => self.observe(worker, hull),
            RegionToRegion::Ghosts(batch) => self.take_ghosts(&batch),
            RegionToRegion::Post(post) => self.take_post(*post),
            RegionToRegion::PostAck { region, lease, number } => self.posts_confirmed(region, lease, number),
            other => self.handle_handoff(worker, other),
        }
    }

    /// What the shell must do now, in order.
    pub fn take_outputs(&mut self) -> Vec<Output> {
        std::mem::take(&mut self.out)
    }

    /// What the region owns, under which epoch, and whether nothing about that is being decided.
    pub fn owned(&self) -> impl Iterator<Item = (EntityKey, Epoch, bool)> + '_ {
        let entities = self.world.entities.values();
        entities.map(|entity| (entity.key, self.epoch_of(entity.id), !entity.frozen && !entity.parked))
    }

    /// Messages of plugins that are on their way or wait, in words; for whoever looks for one that is lost.
    pub fn undelivered(&self) -> Vec<String> {
        let early = self
            .early_posts
            .iter()
            .map(|post| format!("{}/{} waits for {:?}", post.namespace, post.event, post.to));
        let waiting = self.outbound.iter().filter(|(_, lane)| !lane.waiting.is_empty()).map(|(to, lane)| {
            let numbers: Vec<_> = lane.waiting.iter().take(4).map(|post| (post.lease, post.number)).collect();
            format!("{} wait for region {to}: {numbers:?}, last {}", lane.waiting.len(), lane.last)
        });
        let taken = self
            .inbound
            .values()
            .map(|taken| format!("took {} under {} from {}", taken.number, taken.lease, taken.from));
        early.chain(waiting).chain(taken).collect()
    }

    /// Does without one guard from here on, so that a test sees what it is for.
    #[cfg(feature = "faults")]
    pub fn break_guard(&mut self, guard: Mutant) {
        self.broken = Some(guard);
        self.target = Target::new(self.lease.guard()).without(guard);
        let owned: Vec<EntityId> = self.crossings.keys().copied().collect();
        for id in owned {
            self.break_crossing(id);
        }
    }

    /// Whether a guard is switched off, here or in the whole process; in a build that cannot, never.
    fn lacks(&self, guard: Mutant) -> bool {
        #[cfg(feature = "faults")]
        let here = self.broken == Some(guard);
        #[cfg(not(feature = "faults"))]
        let here = false;
        here || mutant::is_off(guard)
    }

    /// The region served.
    pub const fn id(&self) -> RegionId {
        self.world.region
    }

    /// Steps per second.
    pub const fn rate(&self) -> TickRate {
        self.config.rate
    }

    /// The last tick simulated.
    pub const fn tick(&self) -> Tick {
        self.world.tick
    }

    /// The lease served under.
    pub const fn lease(&self) -> Lease {
        self.lease
    }

    /// Counters, for metrics and summaries.
    pub const fn stats(&mut self) -> &mut Stats {
        &mut self.stats
    }

    /// Sends `output` when the effects so far are durable.
    fn hold(&mut self, output: Output) {
        self.held.push_back((Tick(u64::MAX), output));
    }

    fn worker_of(&self, region: RegionId) -> Option<WorkerId> {
        let worker = self.placements.get(&region)?.worker;
        self.workers.contains(&worker).then_some(worker)
    }

    fn epoch_of(&self, id: EntityId) -> Epoch {
        self.crossings.get(&id).map_or(Epoch::ZERO, |crossing| crossing.source.epoch())
    }

    fn tell_edges(&mut self, message: &RegionToEdge) {
        for edge in &self.edges {
            self.out.push(Output::Edge(*edge, Lane::Control, message.clone()));
        }
    }

    /// A higher lease was shown: whatever we hold belongs to somebody else.
    fn supersede(&mut self) {
        if !self.silent && !self.lacks(Mutant::NeverSilent) {
            info!(region = %self.world.region, lease = %self.lease.epoch, "superseded, falling silent");
            self.silent = true;
            self.held.clear();
            self.out.clear();
            self.out.push(Output::Superseded);
        }
    }

    fn expects(&self, key: EntityKey) -> bool {
        self.shadows.contains_key(&key) || self.target.is_staged(key)
    }
}
