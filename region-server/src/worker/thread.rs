//! The tick thread: owns the region, sleeps until the next tick or message, does what it says.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::sync::mpsc::RecvTimeoutError;
use std::time::{Duration, Instant};

use horizon_handoff::Lease;
use horizon_handoff::mutant::{self, Mutant};
use horizon_link::{PeerSender, SendError};
use horizon_model::{EdgeId, Tick, WorkerId};
use horizon_service::clock::GridClock;
use horizon_service::exit;
use horizon_state_store::{LeaseError, StateStore, StoreError};
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tracing::{error, info, warn};

use super::Shared;
use super::asking::Asking;
use super::event::Event;
use super::handle::{RegionThread, ThreadInput, deliver};
use super::pulse::{self, Pulse};
use super::queue::{Inbox, Queue, Refused, queue};
use super::report::tell;
use crate::fault;
use crate::journal::{Fence, FenceError, JournalWriter, Segment, Staged, Written};
use crate::plugin::PluginHost;
use crate::region::{Input, Output, Recovery, Region, RegionConfig};

/// Messages that wait for the tick thread.
const INBOX: usize = 65_536;
/// A batch of state that the peer's machine has not taken by then is given up, and what it told is told
/// anew. Credit keeps frames fresh (two in flight); this is for a link that is broken, not late.
const BATCH_GIVE_UP: Duration = Duration::from_millis(500);
/// Steps that are made up for in a row; beyond that tick numbers are skipped.
const MAX_LATE_STEPS: u64 = 8;
/// Work times kept for the summary.
const WINDOW: usize = 256;
/// How often they are summarised, in ticks.
const SUMMARISE_TICKS: u64 = 12;
/// Inputs after which the region's outputs leave, however many more wait.
const DRAIN: usize = 256;
/// A step that starts later than this share of its period counts as an overrun.
const LATE_SHARE: u32 = 2;
/// The longest wait for one confirmation of the lease.
const CONFIRM_WITHIN: Duration = Duration::from_secs(1);

/// Everything a region needs to begin.
pub(crate) struct Start {
    pub(crate) shared: Arc<Shared>,
    pub(crate) recovery: Recovery,
    pub(crate) config: RegionConfig,
    pub(crate) host: PluginHost,
    pub(crate) started: Duration,
    pub(crate) segment: Segment,
    pub(crate) lease: Lease,
}

/// Starts the thread with the lease's renewal beside it.
pub(crate) fn start(start: Start, events: mpsc::Sender<Event>) -> RegionThread {
    let (inbox, queue) = queue(INBOX);
    let runtime = Handle::current();
    tokio::spawn(renew(Arc::clone(&start.shared), start.lease, inbox.clone()));
    let pulse = Arc::new(Pulse::default());
    let (shared, region, period) =
        (Arc::clone(&start.shared), start.lease.region, start.config.rate.period());
    tokio::spawn(pulse::watch(shared, region, period, Arc::downgrade(&pulse), events.clone()));
    let sender = inbox.clone();
    std::thread::Builder::new()
        .name("tick".into())
        .spawn(move || {
            let run = || Ticker::new(start, runtime.clone(), sender).run(&queue, pulse);
            let retired = exit::unless_panic("tick", run);
            drop(queue);
            let _ = runtime.block_on(events.send(Event::Ended { retired }));
        })
        .expect("a thread can be started");
    RegionThread::new(inbox)
}

/// Renews the lease until it is lost or the region is gone.
async fn renew(shared: Arc<Shared>, lease: Lease, inbox: Inbox<ThreadInput>) {
    let ttl = shared.config.store.lease_ttl;
    let mut every = tokio::time::interval(ttl / 5);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        let Some(started) = shared.clock.grid_now() else {
            continue;
        };
        let started_ns = u64::try_from(started.as_nanos()).unwrap_or(u64::MAX);
        let input = match shared.store.renew(&lease, ttl, Tick::at(started)).await {
            Ok(()) => Input::LeaseRenewed { started_ns },
            Err(LeaseError::Lost) => Input::LeaseLost,
            Err(LeaseError::Store(StoreError::Unsettled)) => Input::StoreAsks(BTreeSet::new()),
            Err(LeaseError::Store(error)) => {
                warn!(region = %lease.region, %error, "the lease was not renewed");
                continue;
            }
        };
        let lost = matches!(input, Input::LeaseLost);
        if inbox.try_send(ThreadInput::Region(input)).is_err_and(|error| matches!(error, Refused::Over))
            || lost
        {
            return;
        }
    }
}

/// The journal's question to the store, asked on the journal thread.
struct StoreFence {
    store: Arc<dyn StateStore>,
    lease: Lease,
    runtime: Handle,
}

impl Fence for StoreFence {
    fn confirm(&mut self) -> Result<(), FenceError> {
        if mutant::is_off(Mutant::JournalNotFenced) {
            return Ok(());
        }
        let asked = async { tokio::time::timeout(CONFIRM_WITHIN, self.store.confirm(&self.lease)).await };
        match self.runtime.block_on(asked) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(LeaseError::Lost)) => Err(FenceError::Lost),
            Ok(Err(LeaseError::Store(_))) | Err(_) => Err(FenceError::Unreachable),
        }
    }
}

struct Ticker {
    shared: Arc<Shared>,
    clock: GridClock,
    runtime: Handle,
    inbox: Inbox<ThreadInput>,
    region: Region,
    journal: JournalWriter,
    lease: Lease,
    asking: Asking,
    edges: BTreeMap<EdgeId, (PeerSender, u64)>,
    workers: BTreeMap<WorkerId, (PeerSender, u64)>,
    work: VecDeque<u32>,
    degraded_since: Option<Instant>,
    ended: Option<bool>,
    counted: (u64, u64, u64),
}

impl Ticker {
    fn new(start: Start, runtime: Handle, inbox: Inbox<ThreadInput>) -> Self {
        let Start { shared, recovery, config, host, started, segment, lease } = start;
        let clock = shared.clock.clone();
        let now = clock.grid_now().unwrap_or(started);
        let begun = Instant::now();
        let region = recovery.finish(config, host, now, started, Tick::at(now));
        shared.metrics.recovered("restore", begun.elapsed());
        let fence = StoreFence { store: Arc::clone(&shared.store), lease, runtime: runtime.clone() };
        let (reports, wants) = (inbox.clone(), inbox.clone());
        let report = move |written: Written| {
            let input = match written {
                Written::Staged(handoffs) => ThreadInput::Region(Input::Staged(handoffs)),
                Written::Durable(tick) => ThreadInput::Region(Input::Durable(tick)),
                Written::Unconfirmed => return,
                Written::Lost => ThreadInput::Region(Input::LeaseLost),
                Written::Failed(error) => {
                    error!(%error, "the journal failed; ending, so that another worker recovers");
                    ThreadInput::JournalLost
                }
            };
            // No more of them than ticks may wait for the journal.
            reports.send(input);
        };
        let journal = JournalWriter::start(
            segment,
            Box::new(fence),
            shared.config.region.journal_segment_bytes,
            Box::new(report),
            Box::new(move || {
                wants.send(ThreadInput::Region(Input::WantSnapshot));
            }),
        );
        Self {
            clock,
            runtime,
            inbox,
            region,
            journal,
            lease,
            asking: Asking::default(),
            edges: BTreeMap::new(),
            workers: BTreeMap::new(),
            work: VecDeque::with_capacity(WINDOW),
            degraded_since: None,
            ended: None,
            counted: (0, 0, 0),
            shared,
        }
    }

    /// Runs the region to its end; whether it was given back in order.
    fn run(mut self, queue: &Queue<ThreadInput>, pulse: Arc<Pulse>) -> bool {
        let rate = self.region.rate();
        let mut next = rate.align_up(self.region.tick() + 1);
        while self.ended.is_none() {
            let wait = self.clock.until(next).unwrap_or(Duration::ZERO);
            if !wait.is_zero() {
                match queue.recv_timeout(wait) {
                    Ok(input) => {
                        self.take(input);
                        self.drain(queue);
                    }
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return false,
                }
                continue;
            }
            while self.drain(queue) {}
            let now = self.now();
            let late = now.saturating_sub(next.since_origin());
            if late > rate.period() / LATE_SHARE {
                self.region.stats().overruns += 1;
            }
            if late > rate.period() * MAX_LATE_STEPS as u32 {
                warn!(region = %self.region.id(), late_ms = late.as_millis(), "skipping ticks");
                next = rate.align_up(Tick::at(now));
                continue;
            }
            let begun = Instant::now();
            self.region.step(now, next);
            fault::after_step(&self.region);
            self.perform();
            self.account(begun.elapsed());
            pulse.beat();
            self.tell_standing();
            next = next + rate.step();
        }
        drop(pulse);
        let retired = self.ended == Some(true);
        // Waits until everything queued is on the disk.
        drop(self.journal);
        if retired {
            let released = self.runtime.block_on(self.shared.store.release(&self.lease));
            if let Err(error) = released {
                warn!(region = %self.lease.region, %error, "the lease was not released; it will expire");
            }
        }
        retired
    }

    fn now(&self) -> Duration {
        self.clock.grid_now().unwrap_or_default()
    }

    /// Takes what has come, then does what the region says about all of it: moves that came together
    /// are asked about together. Whether more may wait.
    fn drain(&mut self, queue: &Queue<ThreadInput>) -> bool {
        let mut taken = 0;
        while taken < DRAIN
            && self.ended.is_none()
            && let Ok(input) = queue.try_recv()
        {
            self.take(input);
            taken += 1;
        }
        self.perform();
        taken == DRAIN && self.ended.is_none()
    }

    fn take(&mut self, input: ThreadInput) {
        let now = self.now();
        if !matches!(input, ThreadInput::Region(_)) {
            // What was said before a link changed is not for the new one.
            self.perform();
        }
        let input = match input {
            ThreadInput::Region(input) => input,
            ThreadInput::EdgeLink(edge, sender) => {
                let abandoned = sender.batches_abandoned();
                self.edges.insert(edge, (sender, abandoned));
                Input::EdgeUp(edge)
            }
            ThreadInput::EdgeGone(edge) => {
                self.edges.remove(&edge);
                Input::EdgeDown(edge)
            }
            ThreadInput::WorkerLink(worker, sender) => {
                let abandoned = sender.batches_abandoned();
                self.workers.insert(worker, (sender, abandoned));
                Input::WorkerUp(worker)
            }
            ThreadInput::WorkerGone(worker) => {
                self.workers.remove(&worker);
                Input::WorkerDown(worker)
            }
            ThreadInput::JournalLost => {
                self.ended = Some(false);
                return;
            }
        };
        if matches!(input, Input::Cas(_)) {
            self.asking.answered();
        }
        let won = fault::taken(&input);
        self.region.handle(now, input);
        fault::handled(won);
    }

    /// Does what the region says, in order.
    fn perform(&mut self) {
        let mut staged = Vec::new();
        for output in self.region.take_outputs() {
            match output {
                Output::Edge(edge, lane, message) => {
                    if let Some((sender, _)) = self.edges.get(&edge) {
                        log_full(fault::to_edge(sender, lane, &message));
                    }
                }
                Output::Frames(edge, batch) => {
                    if let Some((sender, _)) = self.edges.get(&edge) {
                        log_full(sender.send_batch(&batch, BATCH_GIVE_UP));
                    }
                }
                Output::Worker(worker, lane, message) => {
                    if let Some((sender, _)) = self.workers.get(&worker) {
                        log_full(fault::to_worker(&self.runtime, sender, lane, &message));
                    }
                }
                Output::Ghosts(worker, batch) => {
                    if let Some((sender, _)) = self.workers.get(&worker) {
                        log_full(sender.send_batch(&batch, BATCH_GIVE_UP));
                    }
                }
                Output::Journal(record) => self.behind(self.journal.tick(*record)),
                Output::Mark(tick) => self.behind(self.journal.mark(tick)),
                Output::Rotate(snapshot, staged) => self.behind(self.journal.rotate(*snapshot, staged)),
                Output::Stage(state) => staged.push(Staged::from(&state)),
                Output::Cas(batch) => self.asking.add(batch),
                Output::Lookup(key) => {
                    let (store, inbox) = (Arc::clone(&self.shared.store), self.inbox.clone());
                    self.runtime.spawn(async move {
                        let record = store.record(key).await.map_err(|_| ());
                        deliver(&inbox, ThreadInput::Region(Input::Record(key, record))).await;
                    });
                }
                Output::Report(report) => {
                    let (store, inbox) = (Arc::clone(&self.shared.store), self.inbox.clone());
                    self.runtime.spawn(tell(store, *report, inbox));
                }
                Output::Retired(_) => self.ended = Some(true),
                Output::Superseded => self.ended = Some(false),
            }
        }
        if !staged.is_empty() {
            self.behind(self.journal.stage(staged));
        }
        fault::after_outputs();
        if let Some(requests) = self.asking.next_call() {
            fault::will_ask(&requests);
            self.shared.metrics.cas_calls.inc();
            self.shared.metrics.cas_requests.inc_by(requests.len() as u64);
            let (store, inbox) = (Arc::clone(&self.shared.store), self.inbox.clone());
            self.runtime.spawn(async move {
                let answers = match store.cas(requests.clone()).await {
                    Ok(outcomes) => requests.into_iter().zip(outcomes.into_iter().map(Some)).collect(),
                    Err(error) => {
                        info!(%error, "the store did not decide; asking again");
                        tokio::time::sleep(Duration::from_millis(20)).await;
                        requests.into_iter().map(|request| (request, None)).collect()
                    }
                };
                deliver(&inbox, ThreadInput::Region(Input::Cas(answers))).await;
            });
        }
    }

    fn behind(&mut self, result: Result<(), crate::journal::JournalBehind>) {
        if let Err(error) = result {
            error!(%error, "ending, so that another worker recovers");
            self.ended = Some(false);
        }
    }

    /// Says so where the lease becomes uncertain, and where it is certain again.
    fn tell_standing(&mut self) {
        let degraded = self.region.is_degraded();
        if self.degraded_since.is_some() == degraded {
            return;
        }
        self.shared.metrics.degraded.set(i64::from(degraded));
        let region = self.region.id();
        if degraded {
            self.degraded_since = Some(Instant::now());
            warn!(%region, "the store is out of reach: play goes on, nothing becomes durable, nobody is handed over");
        } else if let Some(since) = self.degraded_since.take() {
            let degraded_seconds = since.elapsed().as_secs_f64();
            info!(%region, degraded_seconds, "the store is back: what was played since becomes durable");
        }
    }

    /// Measures the step and looks for frames that were given up.
    fn account(&mut self, took: Duration) {
        let period = self.region.rate().period();
        if took > period {
            self.region.stats().overruns += 1;
        }
        if self.work.len() == WINDOW {
            self.work.pop_front();
        }
        self.work.push_back(u32::try_from(took.as_micros()).unwrap_or(u32::MAX));
        let tick = self.region.tick();
        let stats = self.region.stats();
        if tick.0.is_multiple_of(SUMMARISE_TICKS) {
            let mut sorted: Vec<u32> = self.work.iter().copied().collect();
            sorted.sort_unstable();
            let at = |share: usize| sorted[(sorted.len() - 1) * share / 100];
            stats.step_us = [at(50), at(99)];
        }
        self.region.adapt(took.as_secs_f32() / period.as_secs_f32());
        let stats = self.region.stats();
        let metrics = &self.shared.metrics;
        let told = stats.told;
        metrics.enter_bytes.inc_by(told.enter_bytes);
        metrics.update_bytes.inc_by(told.update_bytes);
        metrics.leave_bytes.inc_by(told.leave_bytes);
        for (counter, bytes) in metrics.channel_bytes.iter().zip(told.channel_bytes) {
            counter.inc_by(bytes);
        }
        metrics.updates.inc_by(told.updates);
        metrics.deferred.inc_by(told.deferred);
        metrics.load_level.set(stats.load_level.into());
        metrics.step_seconds.observe(took.as_secs_f64());
        metrics.overruns.inc_by(stats.overruns - self.counted.0);
        metrics.frames.inc_by(stats.frames - self.counted.1);
        metrics.frame_bytes.inc_by(stats.frame_bytes - self.counted.2);
        self.counted = (stats.overruns, stats.frames, stats.frame_bytes);
        metrics.arrivals.inc_by(stats.arrivals.saturating_sub(metrics.arrivals.get()));
        metrics.groups_split.inc_by(stats.groups_split.saturating_sub(metrics.groups_split.get()));
        metrics.tick.set(i64::try_from(tick.0).unwrap_or(i64::MAX));
        let now = self.now();
        for (edge, (sender, seen)) in &mut self.edges {
            let abandoned = sender.batches_abandoned();
            if abandoned != *seen {
                *seen = abandoned;
                self.region.handle(now, Input::EdgeFramesLost(*edge));
            }
        }
        for (worker, (sender, seen)) in &mut self.workers {
            let abandoned = sender.batches_abandoned();
            if abandoned != *seen {
                *seen = abandoned;
                self.region.handle(now, Input::WorkerFramesLost(*worker));
            }
        }
    }
}

/// A link that is gone is news of its own; a full one is worth a word.
fn log_full(result: Result<(), SendError>) {
    match result {
        Ok(()) | Err(SendError::Closed) => {}
        Err(error) => warn!(%error, "a message was not sent"),
    }
}
