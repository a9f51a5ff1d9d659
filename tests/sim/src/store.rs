//! The store: the real rules in memory, behind calls that take time, fail, and are lost.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use horizon_handoff::lanes::SessionState;
use horizon_handoff::{Capsule, CasOutcome, CasRequest, EntityKey, Record};
use horizon_history::{Ending, Event, Holder, Who};
use horizon_model::{EdgeId, Epoch, PlayerId, SessionId, Tick, WorkerId, WorldId};
use horizon_state_store::{Env, Memory, Reply, Report, Request};

use crate::network::Node;
use crate::world::{Happening, World};

/// A call without an answer is given up after this time.
const PATIENCE: Duration = Duration::from_millis(600);
/// What slowness adds.
const SLOW: (u64, u64) = (20_000, 200_000);

pub(crate) struct Store {
    pub(crate) memory: Memory,
    clock: Arc<AtomicU64>,
    pub(crate) director: Epoch,
    pub(crate) away_until: Duration,
    pub(crate) slow_until: Duration,
    was_away: bool,
    /// The stay that the newest state of each player belongs to.
    stays: BTreeMap<PlayerId, SessionId>,
    /// The newest write of each record that was observed.
    seen: BTreeMap<EntityKey, Record>,
}

/// Who asked, and what for.
#[derive(Debug, Clone)]
pub(crate) enum Then {
    Cas(WorkerId, Vec<CasRequest>),
    Lookup(WorkerId, EntityKey),
    Renew(WorkerId, u64),
    Confirm(WorkerId, Tick),
    Report(WorkerId, Box<Report>, u32),
    /// An edge reads who owns a player: edge, its life, the player and connection.
    Owner(u8, EdgeId, PlayerId, u64),
}

pub(crate) fn who(key: EntityKey) -> Who {
    match key {
        EntityKey::Player(player) => Who::Player(player),
        EntityKey::Object(entity) => Who::Object(entity),
    }
}

impl Store {
    pub(crate) fn new() -> Self {
        let clock = Arc::new(AtomicU64::new(0));
        let read = Arc::clone(&clock);
        let env = Env::new(move || Duration::from_nanos(read.load(Ordering::Relaxed)), || [0; 32]);
        let memory = Memory::new(WorldId(1), env);
        let Reply::Director(Some(director)) =
            memory.perform(Request::AcquireDirector(EdgeId(1), Duration::from_secs(1 << 30)))
        else {
            unreachable!("nobody directs yet")
        };
        Self {
            memory,
            clock,
            director,
            away_until: Duration::ZERO,
            slow_until: Duration::ZERO,
            was_away: false,
            stays: BTreeMap::new(),
            seen: BTreeMap::new(),
        }
    }

    /// Whether it answers; where it has just come back, it has forgotten its deadlines.
    pub(crate) fn is_there(&mut self, now: Duration) -> bool {
        self.clock.store(now.as_nanos() as u64, Ordering::Relaxed);
        let there = now >= self.away_until;
        if there && self.was_away {
            self.memory.restart();
            let ttl = Duration::from_secs(1 << 30);
            self.memory.perform(Request::AcquireDirector(EdgeId(1), ttl));
        }
        self.was_away = !there;
        there
    }
}

impl World {
    /// Asks the store; the answer, or that there is none, comes later.
    pub(crate) fn ask(&mut self, from: Node, request: Request, then: Then) {
        let lost = self.dice.chance(self.profile.unanswered);
        if lost {
            self.count_fault("lost_question");
        }
        if lost || !self.network.is_open(from, Node::Store, self.now) {
            self.plan(PATIENCE, Happening::Answer(then, None));
            return;
        }
        let delay = self.store_delay();
        self.plan(delay, Happening::Question(from, Box::new(request), then));
    }

    fn store_delay(&mut self) -> Duration {
        let range = if self.now < self.store.slow_until { SLOW } else { self.profile.store };
        self.dice.micros(range)
    }

    /// The question arrives.
    pub(crate) fn question(&mut self, from: Node, request: Request, then: Then) {
        let reply = self.store_now(request);
        let lost = self.dice.chance(self.profile.unanswered);
        if lost {
            self.count_fault("lost_answer");
        }
        match reply {
            Some(reply) if !lost && self.network.is_open(Node::Store, from, self.now) => {
                let delay = self.store_delay();
                self.plan(delay, Happening::Answer(then, Some(Box::new(reply))));
            }
            _ => self.plan(PATIENCE, Happening::Answer(then, None)),
        }
    }

    /// What the store does at this moment; `None` where it is away.
    pub(crate) fn store_now(&mut self, request: Request) -> Option<Reply> {
        if !self.store.is_there(self.now) {
            return None;
        }
        let asked = match &request {
            Request::Cas(batch) => batch.iter().map(|request| request.key).collect(),
            _ => Vec::new(),
        };
        let reply = self.store.memory.perform(request);
        match &reply {
            Reply::Cas(outcomes) => {
                for (key, outcome) in asked.into_iter().zip(outcomes) {
                    if let CasOutcome::Won(record) = outcome {
                        self.wrote(key, record);
                    }
                }
            }
            Reply::Granted(lease) => {
                let (region, worker, lease) = (lease.region, lease.worker, lease.epoch);
                self.observe(&Event::Leased { region, worker, lease });
            }
            _ => {}
        }
        Some(reply)
    }

    /// A record was written, or asked for again by who has written it.
    fn wrote(&mut self, key: EntityKey, record: &Record) {
        let before = self.store.seen.get(&key);
        if before.is_some_and(|before| (before.epoch, before.handoff) == (record.epoch, record.handoff)) {
            return;
        }
        let who = who(key);
        // A successor writes what it found in the journal: newer than the number beside it.
        let kept_by_successor =
            before.is_some_and(|before| before.region == record.region && before.holder != record.holder);
        let kept = before.is_some_and(|before| {
            before.region == record.region && before.holder == record.holder && record.holder.is_some()
        });
        let from_epoch = before.map_or(Epoch::ZERO, |before| before.epoch);
        let moved = before.is_some_and(|before| before.region != record.region);
        let holder = record.holder.map(|holder| Holder { worker: holder.worker, lease: holder.lease });
        let (epoch, region) = (record.epoch, record.region);
        self.store.seen.insert(key, record.clone());
        self.handoffs += u64::from(moved);
        self.mix(record.epoch.0 ^ u64::from(record.region.0) << 48);
        self.say(|| format!("{who:?}: epoch {epoch} in {region} by {holder:?}, moved {moved}"));
        if let Some(Ok(capsule)) = record.capsule.here().map(Capsule::decode) {
            self.note_stay(key, &capsule);
        }
        let stay = match key {
            EntityKey::Player(player) => self.store.stays.get(&player).copied(),
            EntityKey::Object(_) => None,
        };
        let applied =
            stay.filter(|_| record.holder.is_some() && !kept_by_successor).map(|stay| (stay, record.applied));
        self.observe(&Event::Recorded { who, epoch, region, holder, applied });
        if kept {
            self.observe(&Event::Ended { who, from_epoch, ending: Ending::Aborted });
        }
    }

    /// A state of a player says which stay it belongs to.
    pub(crate) fn note_stay(&mut self, key: EntityKey, capsule: &Capsule) {
        if let EntityKey::Player(player) = key
            && let Some(Ok(state)) = capsule.part("session").map(SessionState::decode)
        {
            self.store.stays.insert(player, state.session);
        }
    }

    /// An answer arrives, or its time is over.
    pub(crate) fn answer(&mut self, then: Then, reply: Option<Reply>) {
        match then {
            Then::Cas(worker, requests) => self.cas_answer(worker, requests, reply),
            Then::Lookup(worker, key) => {
                let record = match reply {
                    Some(Reply::Record(record)) => Ok(record),
                    _ => Err(()),
                };
                self.tell_worker(worker, horizon_region_server::region::Input::Record(key, record));
            }
            Then::Renew(worker, started_ns) => self.renew_answer(worker, started_ns, reply.as_ref()),
            Then::Report(worker, report, left) => self.report_answer(worker, report, left, reply),
            Then::Confirm(worker, tick) => self.confirm_answer(worker, tick, reply),
            Then::Owner(edge, life, player, conn) => self.owner_answer(edge, life, player, conn, reply),
        }
    }
}
