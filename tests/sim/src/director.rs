//! Who serves what: a stand-in for the director, which sees exits, silence and registrations.
//!
//! It ends the lease of a process whose end it has seen, waits for the lease of one that is silent to
//! expire, and lets one worker at a time try to take each region.

use std::collections::BTreeMap;
use std::time::Duration;

use horizon_handoff::Lease;
use horizon_history::{Ending, Event};
use horizon_model::{RegionId, Tick, WorkerId};
use horizon_protocol::link::{EdgeToRegion, EntityKey, HandoffReport, Placement, RegionToEdge};
use horizon_region_server::journal::{Recovered, recover};
use horizon_region_server::plugin::PluginHost;
use horizon_region_server::region::{Recovery, RegionConfig};
use horizon_state_store::{Reply, Request};

use crate::disk::Disk;
use crate::message::Message;
use crate::network::Node;
use crate::store::who;
use crate::worker::Worker;
use crate::world::{Happening, LINGER_TICKS, TTL, World};

/// Nothing heard from a region for this long: another worker stands by for it.
const SILENT: Duration = Duration::from_millis(500);
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Time between two attempts of a stand-by to get the lease.
const TRY_EVERY: Duration = Duration::from_millis(100);

#[derive(Default)]
pub(crate) struct Director {
    slots: BTreeMap<RegionId, Slot>,
    version: u64,
    workers: u64,
}

#[derive(Default)]
struct Slot {
    placement: Option<Placement>,
    heard: Duration,
    taking: Option<WorkerId>,
    /// Processes whose end was seen and whose lease is not ended yet.
    ended: Vec<WorkerId>,
}

/// A takeover on its way: each stage is a wait.
pub(crate) enum Taking {
    Acquire,
    Read(Lease, Duration),
    Claim(Lease, Duration, Box<Recovered>, Box<Disk>),
    Finish(Lease, Duration, Box<Recovery>, Box<Disk>),
}

impl World {
    pub(crate) fn found_regions(&mut self) {
        for region in self.map.regions().collect::<Vec<_>>() {
            self.director.slots.insert(region, Slot::default());
        }
        self.direct();
    }

    /// Looks at every region.
    pub(crate) fn direct(&mut self) {
        self.plan(LOOK_EVERY, Happening::Direct);
        let regions: Vec<RegionId> = self.director.slots.keys().copied().collect();
        for region in regions {
            let slot = &self.director.slots[&region];
            for worker in slot.ended.clone() {
                let evict = Request::Evict(region, worker, self.store.director);
                if matches!(self.store_now(evict), Some(Reply::Done | Reply::Lost)) {
                    let slot = self.director.slots.get_mut(&region).expect("of this map");
                    slot.ended.retain(|ended| *ended != worker);
                }
            }
            let slot = &self.director.slots[&region];
            let silent = slot.placement.is_none() || self.now.saturating_sub(slot.heard) > SILENT;
            match slot.taking {
                None if silent => self.stand_by(region),
                // It is there after all.
                Some(worker) if !silent => {
                    let waits = self.workers.get(&worker).is_some_and(|worker| !worker.serves());
                    if waits && !self.has_lease(region, worker) {
                        self.workers.remove(&worker);
                        self.network.forget(Node::Worker(worker));
                        self.director.slots.get_mut(&region).expect("of this map").taking = None;
                    }
                }
                _ => {}
            }
        }
    }

    fn has_lease(&mut self, region: RegionId, worker: WorkerId) -> bool {
        match self.store.memory.perform(Request::Leases) {
            Reply::Leases(leases) => {
                leases.iter().any(|lease| (lease.region, lease.worker) == (region, worker))
            }
            _ => false,
        }
    }

    /// A warm worker begins to try.
    fn stand_by(&mut self, region: RegionId) {
        self.director.workers += 1;
        let id = WorkerId(self.director.workers);
        let reach = self.profile.skew_us.min(5000) as i64 * 1000;
        let offset = self.dice.below(2 * reach as u64 + 1) as i64 - reach;
        self.workers.insert(id, Worker::new(offset));
        self.director.slots.get_mut(&region).expect("of this map").taking = Some(id);
        self.plan(Duration::from_millis(1), Happening::Take(id, region, Box::new(Taking::Acquire)));
    }

    /// The next stage of a takeover.
    pub(crate) fn take(&mut self, id: WorkerId, region: RegionId, stage: Taking) {
        let now = self.now;
        let Some(worker) = self.workers.get_mut(&id) else { return };
        if worker.paused_until.is_some() {
            worker.missed.push(Happening::Take(id, region, Box::new(stage)));
            return;
        }
        let started = worker.local(now);
        let reaches = self.network.is_open(Node::Worker(id), Node::Store, now);
        match stage {
            Taking::Acquire => {
                let reply = if reaches { self.store_now(Request::Acquire(region, id, TTL)) } else { None };
                match reply {
                    Some(Reply::Granted(lease)) => {
                        let wait = self.dice.millis(1, 20);
                        self.plan(wait, Happening::Take(id, region, Box::new(Taking::Read(lease, started))));
                    }
                    _ => self.plan(TRY_EVERY, Happening::Take(id, region, Box::new(Taking::Acquire))),
                }
            }
            Taking::Read(lease, started) => {
                let folder = self.folder.path().join(format!("{:04x}", region.0));
                let recovered = recover(&folder, lease.epoch).expect("a folder of our own");
                let disk = Disk::create(&folder, lease.epoch, &recovered);
                let wait = self.dice.millis(1, 60);
                let stage = Taking::Claim(lease, started, Box::new(recovered), Box::new(disk));
                self.plan(wait, Happening::Take(id, region, Box::new(stage)));
            }
            Taking::Claim(lease, started, recovered, disk) => {
                let claimed = if reaches { self.claim(lease, &recovered) } else { None };
                match claimed {
                    Some(Some(recovery)) => {
                        let wait = self.dice.millis(1, 30);
                        let stage = Taking::Finish(lease, started, Box::new(recovery), disk);
                        self.plan(wait, Happening::Take(id, region, Box::new(stage)));
                    }
                    // The lease is lost: somebody else is at it.
                    Some(None) => self.kill_worker(id, "lost its lease on the way"),
                    None => {
                        let stage = Taking::Claim(lease, started, recovered, disk);
                        self.plan(TRY_EVERY, Happening::Take(id, region, Box::new(stage)));
                    }
                }
            }
            Taking::Finish(lease, started, recovery, disk) => {
                self.finish_taking(id, lease, started, *recovery, *disk);
            }
        }
    }

    /// Claims what a predecessor owned. `None` where the store is away, `Some(None)` where the lease is lost.
    fn claim(&mut self, lease: Lease, recovered: &Recovered) -> Option<Option<Recovery>> {
        let mut recovery = Recovery::new(lease, recovered.state.clone(), recovered.staged.clone());
        let Some(Reply::Owned(owned)) = self.store_now(Request::Owned(lease.region)) else { return None };
        let mut keys = recovery.keys();
        keys.extend(owned.into_iter().map(|(key, _)| key));
        let keys: Vec<EntityKey> = keys.into_iter().collect();
        let Some(Reply::Records(records)) = self.store_now(Request::Records(keys.clone())) else {
            return None;
        };
        let requests = recovery.decide(&keys.into_iter().zip(records).collect());
        let Some(Reply::Cas(outcomes)) = self.store_now(Request::Cas(requests)) else { return None };
        Some(recovery.claimed(outcomes).then_some(recovery))
    }

    fn finish_taking(
        &mut self,
        id: WorkerId,
        lease: Lease,
        started: Duration,
        recovery: Recovery,
        disk: Disk,
    ) {
        let host = PluginHost::load(&self.options.plugins, &self.configs).expect("the plugins load");
        let config = RegionConfig {
            map: self.map.clone(),
            rate: self.rate,
            world_rate: self.rate,
            linger_ticks: LINGER_TICKS,
            pose_ticks: 15,
            max_players: 200,
            lease_ttl: TTL,
            client_bytes_s: 64_000,
            schemas: host.schemas().to_vec(),
        };
        let now = self.now;
        let Some(local) = self.workers.get_mut(&id).map(|worker| worker.local(now)) else { return };
        #[allow(unused_mut, reason = "changed where a guard can be switched off")]
        let mut region = recovery.finish(config, host, local, started, Tick::at(local));
        #[cfg(feature = "mutants")]
        if let Some(crate::Broken::Machine(mutant)) = self.options.broken {
            region.break_guard(mutant);
        }
        let placement =
            Placement { region: lease.region, worker: id, lease: lease.epoch, endpoint: String::new() };
        self.begin_serving(id, lease, region, disk);
        if lease.epoch.count() > 1 {
            self.crashed(lease.region);
        }
        let slot = self.director.slots.get_mut(&lease.region).expect("of this map");
        if slot.taking == Some(id) {
            slot.taking = None;
        }
        slot.heard = now;
        slot.placement = Some(placement);
        self.say(|| format!("{id} serves {} under {}", lease.region, lease.epoch));
        self.look_at_links();
        self.announce();
    }

    /// Everybody is told who serves what.
    fn announce(&mut self) {
        self.director.version += 1;
        let version = self.director.version;
        let placements = self.placements();
        for edge in 0..self.edges.len() {
            let wait = self.dice.millis(0, 30);
            self.plan(wait, Happening::Routes(edge as u8, version, placements.clone()));
        }
        let workers: Vec<WorkerId> = self.workers.keys().copied().collect();
        for worker in workers {
            self.tell_placements(worker);
        }
    }

    pub(crate) fn placements(&self) -> Vec<Placement> {
        self.director.slots.values().filter_map(|slot| slot.placement.clone()).collect()
    }

    pub(crate) fn routes_version(&self) -> u64 {
        self.director.version
    }

    fn tell_placements(&mut self, worker: WorkerId) {
        let regions = EdgeToRegion::Regions(self.placements());
        self.send(Node::Director, Node::Worker(worker), 0, Message::ToRegion(Box::new(regions)));
    }

    pub(crate) fn director_linked(&mut self, worker: WorkerId) {
        self.tell_placements(worker);
    }

    /// A region reports.
    pub(crate) fn director_hears(&mut self, worker: WorkerId, message: RegionToEdge) {
        let RegionToEdge::Summary(summary) = message else { return };
        let now = self.now;
        for report in &summary.handoffs {
            self.handoff_reported(report);
        }
        if let Some(slot) = self.director.slots.get_mut(&summary.placement.region)
            && slot.placement.as_ref().is_some_and(|placement| placement.worker == worker)
        {
            slot.heard = now;
        }
    }

    fn handoff_reported(&mut self, report: &HandoffReport) {
        self.reported += 1;
        let from_epoch = horizon_model::Epoch(report.epoch.0 - 1);
        self.observe(&Event::Ended { who: who(report.key), from_epoch, ending: Ending::Committed });
    }

    /// The end of a process was seen.
    pub(crate) fn exit_seen(&mut self, worker: WorkerId) {
        // Nobody answers at the other end of its links; peers find out when nothing is heard for long enough,
        // or by a placement. A supervised process closes none of them.
        let mut ended = Vec::new();
        for (region, slot) in &mut self.director.slots {
            if slot.taking == Some(worker) {
                slot.taking = None;
                slot.ended.push(worker);
            }
            if slot.placement.as_ref().is_some_and(|placement| placement.worker == worker) {
                slot.placement = None;
                slot.ended.push(worker);
                ended.push(*region);
            }
        }
        if !ended.is_empty() {
            self.announce();
        }
    }

    /// The director ends the lease of one that lives.
    pub(crate) fn evict_hastily(&mut self, worker: WorkerId) -> bool {
        let Some(region) = self.region_of(worker) else { return false };
        let slot = self.director.slots.get_mut(&region).expect("of this map");
        let current = slot.placement.as_ref().is_some_and(|placement| placement.worker == worker);
        if !current || slot.taking.is_some() {
            return false;
        }
        slot.ended.push(worker);
        slot.heard = Duration::ZERO;
        self.crashed(region);
        true
    }
}
