//! A region server: the real region, with the shell's duties on virtual time.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use horizon_handoff::{CasOutcome, CasRequest, Lease};
use horizon_model::{EdgeId, Epoch, RegionId, Tick, WorkerId};
use horizon_protocol::link::Lane;
use horizon_region_server::journal::Staged;
use horizon_region_server::region::{Input, Output, Region};
use horizon_state_store::{Reply, Report, Request};

use crate::disk::Disk;
use crate::message::Message;
use crate::network::Node;
use crate::store::Then;
use crate::world::{Happening, TTL, World};

/// Steps that are made up for in a row; beyond that tick numbers are skipped.
const MAX_LATE_STEPS: u32 = 8;
/// Reports to one start of the store, and the time between them.
const MAX_REPORTS: u32 = 40;
const REPORT_AGAIN: Duration = Duration::from_millis(50);
/// Pause after a call of the store that was not answered.
const CAS_PAUSE: Duration = Duration::from_millis(20);

pub(crate) struct Serving {
    pub(crate) region: Region,
    pub(crate) lease: Lease,
    pub(crate) disk: Disk,
    next: Tick,
    /// Compare-and-sets that wait for the call under way.
    asking: VecDeque<CasRequest>,
    is_asking: bool,
}

/// One process.
pub(crate) struct Worker {
    pub(crate) serving: Option<Box<Serving>>,
    pub(crate) paused_until: Option<Duration>,
    /// What happened while it was stopped.
    pub(crate) missed: Vec<Happening>,
    pub(crate) slow_disk_until: Duration,
    pub(crate) disk_fails: bool,
    /// Its clock, against the true grid.
    pub(crate) offset_ns: i64,
    latest: Duration,
    /// Edges as it sees them.
    pub(crate) edges: BTreeMap<EdgeId, Node>,
}

impl Worker {
    pub(crate) const fn new(offset_ns: i64) -> Self {
        Self {
            serving: None,
            paused_until: None,
            missed: Vec::new(),
            slow_disk_until: Duration::ZERO,
            disk_fails: false,
            offset_ns,
            latest: Duration::ZERO,
            edges: BTreeMap::new(),
        }
    }

    pub(crate) const fn serves(&self) -> bool {
        self.serving.is_some()
    }

    /// Its own grid time, which never goes back.
    pub(crate) fn local(&mut self, now: Duration) -> Duration {
        let ns = (now.as_nanos() as i64).saturating_add(self.offset_ns).max(0);
        self.latest = self.latest.max(Duration::from_nanos(ns as u64));
        self.latest
    }

    /// Until its clock shows that time.
    fn until(&self, local: Duration, now: Duration) -> Duration {
        let ns = (local.as_nanos() as i64).saturating_sub(self.offset_ns).max(0);
        Duration::from_nanos(ns as u64).saturating_sub(now)
    }
}

impl World {
    /// The region begins to step.
    pub(crate) fn begin_serving(&mut self, id: WorkerId, lease: Lease, region: Region, disk: Disk) {
        let next = self.rate.align_up(region.tick() + 1);
        let serving = Serving { region, lease, disk, next, asking: VecDeque::new(), is_asking: false };
        self.regions.insert(id, lease.region);
        let Some(worker) = self.workers.get_mut(&id) else { return };
        worker.serving = Some(Box::new(serving));
        let linked: Vec<EdgeId> = worker.edges.keys().copied().collect();
        for edge in linked {
            self.tell_worker(id, Input::EdgeUp(edge));
        }
        let others: Vec<WorkerId> = self.workers.keys().copied().filter(|other| *other != id).collect();
        for other in others {
            if self.network.view(Node::Worker(id), Node::Worker(other)).is_some() {
                self.tell_worker(id, Input::WorkerUp(other));
            }
        }
        self.plan(Duration::ZERO, Happening::Step(id, lease.epoch));
        let wait = self.dice.millis(0, 400);
        self.plan(wait, Happening::Renew(id, lease.epoch));
        self.obey(id);
    }

    /// Something for the region of this process.
    pub(crate) fn tell_worker(&mut self, id: WorkerId, input: Input) {
        let now = self.now;
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if worker.paused_until.is_some() {
            worker.missed.push(Happening::Tell(id, Box::new(input)));
            return;
        }
        let local = worker.local(now);
        let Some(serving) = worker.serving.as_deref_mut() else { return };
        serving.region.handle(local, input);
        self.obey(id);
    }

    /// Time for a step, if its own clock says so too.
    pub(crate) fn step(&mut self, id: WorkerId, lease: Epoch) {
        let (now, rate) = (self.now, self.rate);
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if worker.paused_until.is_some() {
            worker.missed.push(Happening::Step(id, lease));
            return;
        }
        let local = worker.local(now);
        let Some(serving) = worker.serving.as_deref_mut().filter(|held| held.lease.epoch == lease) else {
            return;
        };
        let due = serving.next.since_origin();
        if local >= due {
            if local - due > rate.period() * MAX_LATE_STEPS {
                serving.next = rate.align_up(Tick::at(local));
            } else {
                serving.region.step(local, serving.next);
                serving.next = serving.next + rate.step();
            }
        }
        let next = serving.next.since_origin();
        self.look_for_split_groups(id);
        self.obey(id);
        let Some(worker) = self.workers.get(&id) else { return };
        // A microsecond more, because grid times are rounded down.
        let wait = worker.until(next, now) + Duration::from_micros(1);
        self.plan(wait, Happening::Step(id, lease));
    }

    pub(crate) fn renew(&mut self, id: WorkerId, lease: Epoch) {
        let now = self.now;
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if worker.paused_until.is_some() {
            worker.missed.push(Happening::Renew(id, lease));
            return;
        }
        let local = worker.local(now);
        let Some(held) = worker.serving.as_ref().map(|serving| serving.lease) else { return };
        if held.epoch == lease {
            let started_ns = local.as_nanos() as u64;
            let request = Request::Renew(held, TTL, Tick::at(local));
            self.ask(Node::Worker(id), request, Then::Renew(id, started_ns));
            self.plan(TTL / 5, Happening::Renew(id, lease));
        }
    }

    pub(crate) fn renew_answer(&mut self, id: WorkerId, started_ns: u64, reply: Option<&Reply>) {
        match reply {
            Some(Reply::Done) => self.tell_worker(id, Input::LeaseRenewed { started_ns }),
            // It was started again, and asks what is owned here.
            Some(Reply::Failed(_)) => self.tell_worker(id, Input::StoreAsks(BTreeSet::new())),
            Some(_) => self.tell_worker(id, Input::LeaseLost),
            None => {}
        }
    }

    /// Reports until the store decides again, asks for states, or the lease is lost.
    pub(crate) fn report_answer(
        &mut self,
        id: WorkerId,
        report: Box<Report>,
        left: u32,
        reply: Option<Reply>,
    ) {
        match reply {
            Some(Reply::Reported(told)) if !told.missing.is_empty() => {
                let missing = told.missing.into_iter().collect();
                self.tell_worker(id, Input::StoreAsks(missing));
            }
            Some(Reply::Reported(told)) if !told.settled && left > 0 => {
                self.plan(REPORT_AGAIN, Happening::ReportAgain(id, report, left - 1));
            }
            Some(Reply::Lost) => self.tell_worker(id, Input::LeaseLost),
            _ => {}
        }
    }

    /// Does what the region says, in order.
    pub(crate) fn obey(&mut self, id: WorkerId) {
        let Some(serving) = self.workers.get_mut(&id).and_then(|worker| worker.serving.as_deref_mut()) else {
            return;
        };
        let from = Node::Worker(id);
        for output in serving.region.take_outputs() {
            match output {
                Output::Edge(edge, lane, message) => {
                    let Some(to) = self.workers.get(&id).and_then(|worker| worker.edges.get(&edge)) else {
                        continue;
                    };
                    let lane = match lane {
                        Lane::Session(shard) => 16 + shard,
                        _ => 0,
                    };
                    self.send(from, *to, lane, Message::ToEdge(Box::new(message)));
                }
                Output::Frames(edge, batch) => {
                    let Some(to) = self.workers.get(&id).and_then(|worker| worker.edges.get(&edge)) else {
                        continue;
                    };
                    let to = *to;
                    if self.dice.below(10_000) < self.profile.given_up {
                        self.count_fault("frames_given_up");
                        self.plan(
                            Duration::from_millis(500),
                            Happening::Tell(id, Box::new(Input::EdgeFramesLost(edge))),
                        );
                        continue;
                    }
                    self.send(from, to, 1, Message::Frames(Box::new(batch)));
                }
                Output::Worker(worker, lane, message) => {
                    let lane = if matches!(lane, Lane::Presync) { 3 } else { 2 };
                    self.send(from, Node::Worker(worker), lane, Message::ToWorker(Box::new(message)));
                }
                Output::Ghosts(worker, batch) => {
                    if self.dice.below(10_000) < self.profile.given_up {
                        self.count_fault("ghosts_given_up");
                        self.plan(
                            Duration::from_millis(500),
                            Happening::Tell(id, Box::new(Input::WorkerFramesLost(worker))),
                        );
                        continue;
                    }
                    let message = horizon_protocol::link::RegionToRegion::Ghosts(batch);
                    self.send(from, Node::Worker(worker), 4, Message::ToWorker(Box::new(message)));
                }
                Output::Journal(record) => self.journal_tick(id, record),
                Output::Mark(tick) => self.journal_mark(id, tick),
                Output::Rotate(snapshot, staged) => self.journal_rotate(id, snapshot, staged),
                Output::Stage(state) => {
                    self.note_stay(state.key, &state.capsule);
                    self.journal_stage(id, Staged::from(&state));
                }
                Output::Cas(batch) => {
                    if let Some(serving) =
                        self.workers.get_mut(&id).and_then(|worker| worker.serving.as_deref_mut())
                    {
                        serving.asking.extend(batch);
                    }
                }
                Output::Lookup(key) => self.ask(from, Request::Record(key), Then::Lookup(id, key)),
                Output::Report(report) => {
                    self.ask(from, Request::Report(report.clone()), Then::Report(id, report, MAX_REPORTS));
                }
                Output::Retired(_) | Output::Superseded => {
                    self.say(|| format!("{id} is superseded"));
                    self.end_worker(id);
                    return;
                }
            }
        }
        self.ask_together(id);
    }

    /// Everything that waits goes in one call, one call at a time.
    fn ask_together(&mut self, id: WorkerId) {
        let Some(serving) = self.workers.get_mut(&id).and_then(|worker| worker.serving.as_deref_mut()) else {
            return;
        };
        if serving.is_asking || serving.asking.is_empty() {
            return;
        }
        serving.is_asking = true;
        let batch: Vec<CasRequest> = serving.asking.drain(..).collect();
        self.ask(Node::Worker(id), Request::Cas(batch.clone()), Then::Cas(id, batch));
    }

    pub(crate) fn cas_answer(&mut self, id: WorkerId, requests: Vec<CasRequest>, reply: Option<Reply>) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if worker.paused_until.is_some() {
            worker.missed.push(Happening::Answer(Then::Cas(id, requests), reply.map(Box::new)));
            return;
        }
        let Some(serving) = worker.serving.as_deref_mut() else { return };
        serving.is_asking = false;
        let answers: Vec<(CasRequest, Option<CasOutcome>)> = match reply {
            Some(Reply::Cas(outcomes)) => requests.into_iter().zip(outcomes.into_iter().map(Some)).collect(),
            _ => requests.into_iter().map(|request| (request, None)).collect(),
        };
        let unknown = answers.iter().any(|(_, outcome)| outcome.is_none());
        if unknown {
            self.plan(CAS_PAUSE, Happening::Tell(id, Box::new(Input::Cas(answers))));
        } else {
            self.tell_worker(id, Input::Cas(answers));
        }
        self.ask_together(id);
    }

    /// `kill -9`.
    pub(crate) fn kill_worker(&mut self, id: WorkerId, why: &str) {
        self.say(|| format!("{id}: {why}"));
        let lies = self.options.broken == Some(crate::Broken::LyingDisk);
        let now = self.now;
        let Some(worker) = self.workers.remove(&id) else { return };
        if let Some(serving) = &worker.serving {
            serving.disk.crash(&mut self.dice, now, lies);
            self.crashed(serving.lease.region);
        }
        self.gone(id);
    }

    /// The process ends by itself, with everything queued on the disk.
    pub(crate) fn end_worker(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.remove(&id) else { return };
        if let Some(serving) = &worker.serving {
            self.crashed(serving.lease.region);
        }
        self.gone(id);
    }

    fn gone(&mut self, id: WorkerId) {
        self.network.forget(Node::Worker(id));
        let seen_after = self.dice.millis(3, 60);
        self.plan(seen_after, Happening::ExitSeen(id));
    }

    /// `SIGSTOP`.
    pub(crate) fn pause_worker(&mut self, id: WorkerId, until: Duration) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if worker.paused_until.is_some() {
            return;
        }
        worker.paused_until = Some(until);
        let wait = until.saturating_sub(self.now);
        self.say(|| format!("{id} is stopped for {wait:?}"));
        self.plan(wait, Happening::Resume(id));
    }

    /// `SIGCONT`: whatever came in the meantime is there at once.
    pub(crate) fn resume_worker(&mut self, id: WorkerId) {
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if worker.paused_until.take().is_none() {
            return;
        }
        for happening in std::mem::take(&mut worker.missed) {
            self.happen(happening);
        }
    }

    /// The region a worker serves, if it does.
    pub(crate) fn region_of(&self, id: WorkerId) -> Option<RegionId> {
        Some(self.workers.get(&id)?.serving.as_ref()?.lease.region)
    }
}
