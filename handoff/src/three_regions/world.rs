//! Three regions, an edge, a client and a network that loses, repeats, delays and reorders everything.

use std::time::Duration;

use horizon_model::{Epoch, HandoffId, RegionId, Tick, WorkerId};
use horizon_protocol::client::INPUT_WINDOW;
use horizon_protocol::link::RegionToRegion;

use crate::mutant::Mutant;
use crate::route::{self, Route};
use crate::source::Decision;
use crate::{LeaseGuard, source};

use super::message::{Broken, Message, Outbox, Reached};
use super::process::{KEY, Process, State};
use super::store::Store;

/// Times one message may be delivered.
const MAX_DELIVERIES: u8 = 3;
/// Messages under way; the oldest is lost beyond that.
const MAX_UNDER_WAY: usize = 48;

pub(super) struct World {
    now: Duration,
    broken: Broken,
    /// Crashes and takeovers before the faults end.
    max_takeovers: u32,
    store: Store,
    processes: Vec<Process>,
    net: Vec<(Message, u8)>,
    route: Route<u32>,
    inside: RegionId,
    sent: u32,
    durable: u32,
    seen: (Epoch, Tick, u32),
    nonces: u128,
    workers: u64,
    rolled_back: bool,
    healed: bool,
    pub(super) reached: Reached,
}

const REGIONS: [RegionId; 3] = [RegionId(0), RegionId(1), RegionId(2)];

impl World {
    pub(super) fn new(broken: Broken, max_takeovers: u32) -> Self {
        let guard =
            |n: u16| LeaseGuard { region: RegionId(n), worker: WorkerId(u64::from(n)), lease: Epoch(1) };
        let guards = [guard(0), guard(1), guard(2)];
        let mut store = Store::new(guards, &State::default());
        store.fenced = broken != Broken::UnfencedJournal;
        let mut world = Self {
            now: Duration::from_secs(10),
            broken,
            max_takeovers,
            store,
            processes: vec![],
            net: vec![],
            route: Route::new(Epoch(1), REGIONS[0]),
            inside: REGIONS[0],
            sent: 0,
            durable: 0,
            seen: (Epoch(1), Tick(0), 0),
            nonces: 0,
            workers: 3,
            rolled_back: false,
            healed: false,
            reached: Reached::default(),
        };
        for guard in guards {
            let ground = world.store.ground[usize::from(guard.region.0)];
            world.processes.push(Process::new(guard, ground, world.mutant()));
        }
        let mut out = vec![];
        world.processes[0].own(world.now, Epoch(1), State::default(), &mut out);
        world.send(out);
        world
    }

    fn mutant(&self) -> Option<Mutant> {
        match self.broken {
            Broken::Machine(mutant) => Some(mutant),
            _ => None,
        }
    }

    fn nonce(&mut self) -> HandoffId {
        self.nonces += 1;
        HandoffId(self.nonces)
    }

    fn send(&mut self, out: Outbox) {
        for message in out {
            match message {
                Message::Durable { seq } => {
                    self.durable = self.durable.max(seq);
                    let progress = route::Input::Progress { epoch: Epoch::ZERO, applied: 0, durable: seq };
                    self.route.handle(progress);
                }
                Message::Activated => {
                    self.reached.moved += 1;
                    self.reached.moved_after_takeover += u32::from(self.reached.takeovers > 0);
                }
                Message::Resumed => self.reached.resumed += 1,
                message => {
                    self.net.push((message, 0));
                    if self.net.len() > MAX_UNDER_WAY && !self.healed {
                        self.net.remove(0);
                    }
                }
            }
        }
    }

    /// One thing happens, chosen by `dice`.
    pub(super) fn act(&mut self, dice: u32) {
        let pick = dice >> 8;
        match dice % 256 {
            0..120 => self.deliver(pick),
            120..128 if !self.net.is_empty() => drop(self.net.swap_remove(pick as usize % self.net.len())),
            128..176 => {
                self.now += Duration::from_millis(u64::from(pick % 40));
                self.step(pick / 64);
            }
            176..212 => self.flush(pick),
            212..232 => self.client_sends(),
            232..240 => self.timeout(pick),
            240..246 => self.inside = REGIONS[pick as usize % REGIONS.len()],
            246..249 => self.now += Duration::from_millis(600),
            249..252 => {
                let (target, handoff) = (REGIONS[pick as usize % REGIONS.len()], self.nonce());
                let now = self.now;
                self.each(|process, out| {
                    process.source(now, source::Input::Prepare { target, handoff }, out)
                });
            }
            252..254 => {
                let region = REGIONS[pick as usize % REGIONS.len()];
                let now = self.now;
                if pick % 8 < 2 {
                    return self.relink();
                }
                self.each(|process, out| {
                    process.source(now, source::Input::TargetLost { region }, out);
                    process.target(now, crate::target::Input::SourceLost { region }, out);
                });
            }
            _ if self.reached.takeovers < self.max_takeovers => {
                if pick.is_multiple_of(4) {
                    let crashed = pick as usize / 4 % self.processes.len();
                    self.processes.remove(crashed);
                }
                self.take_over(REGIONS[pick as usize / 16 % REGIONS.len()]);
            }
            _ => {}
        }
        self.reached.zombies += u32::from(self.owners().len() > 1);
    }

    fn each(&mut self, mut visit: impl FnMut(&mut Process, &mut Outbox)) {
        let mut out = vec![];
        self.processes.iter_mut().for_each(|process| visit(process, &mut out));
        self.send(out);
    }

    fn picked(&self, pick: u32) -> Option<usize> {
        (!self.processes.is_empty()).then(|| pick as usize % self.processes.len())
    }

    fn deliver(&mut self, pick: u32) {
        if self.net.is_empty() {
            return;
        }
        let at = pick as usize % self.net.len();
        self.net[at].1 += 1;
        let again = (pick / 64).is_multiple_of(4) && self.net[at].1 < MAX_DELIVERIES;
        let message = if again { self.net[at].0.clone() } else { self.net.swap_remove(at).0 };
        self.arrive(message);
    }

    fn arrive(&mut self, message: Message) {
        let now = self.now;
        let at_edge = match message {
            Message::Region { to, body } => {
                if let RegionToRegion::Moved { epoch, region, .. } = body {
                    self.edge(route::Input::Hint { epoch, region });
                }
                return self.each(|process, out| {
                    if process.me.region == to {
                        process.hear(now, body.clone(), out);
                    }
                });
            }
            Message::Cas(request) => {
                assert_eq!(request.key, KEY);
                let before = self.store.record.epoch;
                let outcome = self.store.cas(&request);
                assert!(self.store.record.epoch >= before, "epochs only rise");
                return self.send(vec![Message::Outcome {
                    to: request.guard,
                    handoff: request.handoff,
                    outcome,
                }]);
            }
            Message::Outcome { to, handoff, outcome } => {
                return self.for_one(to, |process, out| process.outcome(now, handoff, &outcome, out));
            }
            Message::Read { me } => {
                let record = self.store.record.clone();
                return self.send(vec![Message::Record { to: me, record }]);
            }
            Message::Record { to, record } => {
                let decision = source::Input::Decided(Decision::from(&record));
                return self.for_one(to, |process, out| {
                    process.source(now, decision, out);
                    true
                });
            }
            Message::Input { region, seq } => {
                return self.each(|process, out| {
                    if process.me.region == region {
                        process.input(seq, out);
                    }
                });
            }
            Message::Attach { epoch, region, applied } => route::Input::Attach { epoch, region, applied },
            Message::Nack { region, from } => route::Input::Nack { region, from },
            Message::Frame { epoch, region, tick, applied } => {
                let outputs = self.route.handle(route::Input::FrameFrom { epoch, region });
                if outputs == [route::Output::Accept] {
                    self.show(epoch, tick, applied);
                }
                return;
            }
            Message::Durable { .. } | Message::Activated | Message::Resumed => return,
        };
        self.edge(at_edge);
    }

    fn for_one(&mut self, to: LeaseGuard, hear: impl FnOnce(&mut Process, &mut Outbox) -> bool) {
        let mut out = vec![];
        if let Some(at) = self.processes.iter().position(|process| process.me == to)
            && !hear(&mut self.processes[at], &mut out)
        {
            self.processes.remove(at);
        }
        self.send(out);
    }

    fn edge(&mut self, input: route::Input<u32>) {
        for output in self.route.handle(input) {
            match output {
                route::Output::Forward { region, seq, .. } => self.send(vec![Message::Input { region, seq }]),
                route::Output::NackClient { from } => {
                    for seq in from..=self.sent {
                        self.edge(route::Input::ClientInput { seq, bytes: 4, input: seq });
                    }
                }
                _ => {}
            }
        }
    }

    fn show(&mut self, epoch: Epoch, tick: Tick, applied: u32) {
        let (seen_epoch, seen_tick, seen_applied) = self.seen;
        if epoch == seen_epoch && tick <= seen_tick {
            return;
        }
        self.reached.frames += 1;
        self.rolled_back |= self.reached.takeovers == 0 && (tick <= seen_tick || applied < seen_applied);
        self.seen = (epoch, tick, applied);
    }

    fn step(&mut self, pick: u32) {
        let Some(at) = self.picked(pick) else { return };
        let (now, inside, fresh) = (self.now, self.inside, self.nonce());
        let mut out = vec![];
        self.processes[at].step(now, inside, fresh, &mut out);
        self.send(out);
    }

    fn flush(&mut self, pick: u32) {
        let Some(at) = self.picked(pick) else { return };
        let (now, store, mut out) = (self.now, &mut self.store, vec![]);
        self.processes[at].stage(now, |guard, staged| store.stage(guard, staged), &mut out);
        let held = self.processes[at].flush(
            now,
            |guard, ground, entity| store.append(guard, ground, entity),
            &mut out,
        );
        if !held {
            self.processes.remove(at);
        }
        self.send(out);
    }

    fn timeout(&mut self, pick: u32) {
        let Some(at) = self.picked(pick) else { return };
        let Some(due) = self.processes[at].next_timeout() else { return };
        self.now = self.now.max(due);
        let (now, fresh, mut out) = (self.now, self.nonce(), vec![]);
        self.processes[at].timeout(now, fresh, &mut out);
        self.send(out);
    }

    fn timeout_if_due(&mut self, at: usize) {
        let due = self.processes.get(at).and_then(Process::next_timeout);
        if due.is_some_and(|due| due <= self.now) {
            self.timeout(at as u32);
        }
    }

    fn client_sends(&mut self) {
        if self.sent >= self.durable + INPUT_WINDOW {
            return;
        }
        self.sent += 1;
        let seq = self.sent;
        self.edge(route::Input::ClientInput { seq, bytes: 4, input: seq });
    }

    /// A new process takes a region's lease; the old one, if it still runs, does not know.
    fn take_over(&mut self, region: RegionId) {
        self.reached.takeovers += 1;
        self.workers += 1;
        let lease = self.store.lease(region).lease.next();
        let guard = LeaseGuard { region, worker: WorkerId(self.workers), lease };
        self.store.take_over(guard);
        let record = self.store.record.clone();
        let durable = self.store.durable().expect("otherwise the run has ended");
        let ground = self.store.ground[usize::from(region.0)];
        let mut process = Process::new(guard, ground, self.mutant());
        let mut out = vec![];
        if self.broken == Broken::RecoverWithoutCas && record.region == region {
            self.store.record.holder = Some(guard.holder());
            process.own(self.now, record.epoch, durable, &mut out);
        } else {
            process.recover(self.nonce(), &record, durable);
        }
        self.processes.push(process);
        self.send(out);
    }

    fn owners(&self) -> Vec<(Epoch, LeaseGuard)> {
        self.processes.iter().filter_map(|process| Some((process.owned_epoch()?, process.me))).collect()
    }

    /// The first promise that does not hold now.
    pub(super) fn violation(&self) -> Option<String> {
        let (owners, record) = (self.owners(), &self.store.record);
        let Some(durable) = self.store.durable() else {
            return Some(format!("the record names a state that no journal has: {record:?}"));
        };
        let rivals = owners.iter().enumerate().any(|(n, a)| owners[n + 1..].iter().any(|b| a.0 == b.0));
        let usurper = owners.iter().find(|(epoch, me)| {
            *epoch > record.epoch || *epoch == record.epoch && record.holder != Some(me.holder())
        });
        let unbroken = durable.chain.iter().copied().eq(1..=durable.applied());
        let broken_promise = match () {
            () if rivals => "two owners at one epoch",
            () if usurper.is_some() => "an owner that the record does not name",
            () if self.reached.takeovers == 0 && owners.len() > 1 => "two owners without a takeover",
            () if self.rolled_back => "the client saw time or inputs go back without a crash",
            () if durable.applied() < self.durable => "an acknowledged input is lost",
            () if !unbroken => "an input was applied twice or skipped",
            () if self.store.tokens() != 1 => "the token was lost or doubled",
            () => return None,
        };
        Some(format!(
            "{broken_promise}: owners {owners:?}, record {record:?}, tokens {}",
            self.store.tokens()
        ))
    }

    /// Faults end. Every region gets a live holder, every message arrives, every timer fires, and the
    /// client says one thing more: then exactly one process owns, and has applied everything.
    pub(super) fn settle(&mut self) -> Result<(), String> {
        self.healed = true;
        let leases = self.store.leases;
        self.processes.retain(|process| leases.contains(&process.me));
        for region in REGIONS {
            let current = self.store.lease(region);
            if !self.processes.iter().any(|process| process.me == current) {
                self.take_over(region);
            }
        }
        self.client_sends();
        for round in 0..240 {
            self.now += Duration::from_millis(17);
            for n in 0..self.processes.len() as u32 {
                self.step(n);
                self.flush(n);
                self.timeout_if_due(n as usize);
            }
            if round % 40 == 39 {
                self.relink();
            }
            for burst in 0.. {
                if self.net.is_empty() {
                    break;
                }
                if burst > 5000 {
                    return Err(format!("messages answer each other without end: {:?}", self.net));
                }
                let (message, _) = self.net.remove(0);
                self.arrive(message);
                if let Some(violation) = self.violation() {
                    return Err(format!("while settling: {violation}"));
                }
            }
        }
        let (owners, record) = (self.owners(), &self.store.record);
        match owners[..] {
            [(epoch, me)] if epoch == record.epoch && record.holder == Some(me.holder()) => {}
            _ => return Err(format!("limbo: owners {owners:?}, record {record:?}, {:?}", self.processes)),
        }
        if record.region != self.inside {
            return Err(format!(
                "stuck in {} though inside {}: {:?}",
                record.region, self.inside, self.processes
            ));
        }
        match self.store.durable().map_or(0, |state| state.applied()) {
            applied if applied == self.sent => Ok(()),
            applied => Err(format!("{applied} of {} inputs applied, route {:?}", self.sent, self.route)),
        }
    }

    /// The links to the edge are made anew: the owner attaches again and names what it has.
    fn relink(&mut self) {
        for region in REGIONS {
            self.edge(route::Input::RegionLost { region });
        }
        self.each(|process, out| {
            if let Some(epoch) = process.owned_epoch() {
                process.attach(epoch, out);
            }
        });
    }
}
