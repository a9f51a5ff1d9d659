//! Taking a region over: what the last holder made durable, claimed under the new lease.
//!
//! The journal says what the region owned; the store says what it owns now. Where both speak of the
//! same epoch the journal is newer; where the store's epoch is higher (an arrival that was committed
//! and not journalled yet) its capsule counts; where the store names another region the entity has
//! left. Everything is claimed under epoch + 1 before it acts, so no earlier holder's word counts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use horizon_handoff::lease::LeaseKeeper;
use horizon_handoff::mutant::{self, Mutant};
use horizon_handoff::silence::Watch;
use horizon_handoff::target::Target;
use horizon_handoff::{Capsule, CasOutcome, CasRequest, DecodeError, Expect, Kept, Lease, Record};
use horizon_model::{Epoch, HandoffId, Tick};
use horizon_protocol::link::EntityKey;
use tracing::{error, info, warn};

use super::crossing::Recorded;
use super::input::Nonces;
use super::record::farewell;
use super::{Region, RegionConfig, Stats};
use crate::journal::{Snapshot, Staged, TickRecord};
use crate::plugin::{CoreEvent, PluginHost, RegionStartedEvent};
use crate::world::{Entity, World};

/// One entity that the new holder must win before it acts.
#[derive(Debug)]
pub struct Claim {
    /// Whose record.
    pub key: EntityKey,
    /// The epoch that must be there.
    pub epoch: Epoch,
    /// `None`: it left before the crash, and only its record has to learn that.
    capsule: Option<Capsule>,
}

/// The state of a record cannot be had. The record stays as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
enum NamedStateError {
    /// Damaged, or another build's.
    #[error(transparent)]
    Unreadable(#[from] DecodeError),
    /// Only a journal that lost what it had synced, or another journal, does not have it: bring back the
    /// one that belongs to this region.
    #[error(
        "the journal does not have the state of attempt {0}, which the record names; bring the region's journal folder back"
    )]
    Absent(HandoffId),
}

/// A takeover in progress.
pub struct Recovery {
    pub(super) lease: Lease,
    pub(super) state: Snapshot,
    staged: Vec<Staged>,
    fresh: bool,
    claims: Vec<Claim>,
    implicit: Vec<(EntityKey, Capsule)>,
    won: Vec<(EntityKey, Epoch, Capsule)>,
    pub(super) nonces: Nonces,
}

impl Recovery {
    /// From the journal's last word and the states it staged. Ask the store about every key of [`Self::keys`] and about what it
    /// says the region owns, then call [`Self::decide`].
    pub fn new(lease: Lease, state: Option<Snapshot>, staged: Vec<Staged>) -> Self {
        let fresh = state.is_none();
        Self {
            lease,
            state: state.unwrap_or_default(),
            staged,
            fresh,
            claims: Vec::new(),
            implicit: Vec::new(),
            won: Vec::new(),
            nonces: Nonces::new(lease.worker, lease.epoch),
        }
    }

    /// Everything the journal knows.
    pub fn keys(&self) -> BTreeSet<EntityKey> {
        self.state.entities.iter().map(|put| put.key).collect()
    }

    /// Sorts out who is claimed, with the store's records of all keys. Returns the compare-and-sets.
    pub fn decide(&mut self, records: &BTreeMap<EntityKey, Option<Record>>) -> Vec<CasRequest> {
        let mut journal: BTreeMap<EntityKey, (Epoch, Capsule)> = BTreeMap::new();
        for put in &self.state.entities {
            let mut capsule = Capsule::new();
            capsule.apply(&put.parts);
            journal.insert(put.key, (put.epoch, capsule));
        }
        let mut requests = Vec::new();
        for (key, record) in records {
            let kept = journal.remove(key);
            let Some(record) = record else {
                match (key, kept) {
                    (EntityKey::Object(_), Some((_, capsule))) => self.implicit.push((*key, capsule)),
                    (EntityKey::Player(player), Some(_)) => {
                        warn!(%player, "a player in the journal without a record in the store");
                    }
                    (_, None) => {}
                }
                continue;
            };
            if mutant::is_off(Mutant::RecoveryIgnoresRecord)
                && let Some((epoch, capsule)) = kept.clone()
            {
                self.won.push((*key, epoch, capsule));
                continue;
            }
            if record.region != self.lease.region || record.holder.is_none() {
                continue;
            }
            let buried = self.state.buried.iter().find(|(buried, _)| buried == key);
            if kept.is_none() && buried.is_some_and(|(_, epoch)| *epoch >= record.epoch) {
                if matches!(key, EntityKey::Player(_)) {
                    // The record is all there is of the player: whoever joins next claims it.
                    continue;
                }
                let handoff = self.nonces.fresh();
                requests.push(farewell(&self.lease, *key, record.epoch, handoff, self.state.tick));
                self.claims.push(Claim { key: *key, epoch: record.epoch, capsule: None });
                continue;
            }
            let capsule = match kept {
                Some((epoch, capsule)) if epoch == record.epoch => Ok(capsule),
                // The first record was written from an older state than the journal has.
                Some((Epoch::ZERO, capsule)) if record.epoch.count() == 1 => Ok(capsule),
                _ => self.named_by(record),
            };
            let capsule = match capsule {
                Ok(capsule) => capsule,
                Err(error) => {
                    error!(?key, %error, "a record that cannot be read stays where it is");
                    continue;
                }
            };
            let handoff: HandoffId = self.nonces.fresh();
            requests.push(CasRequest {
                key: *key,
                guard: self.lease.guard(),
                expect: Some(Expect { epoch: record.epoch, region: self.lease.region }),
                handoff,
                applied: record.applied,
                tick: record.tick.max(self.state.tick),
                capsule: Kept::Here(capsule.encode()),
                park: false,
                group: None,
            });
            self.claims.push(Claim { key: *key, epoch: record.epoch, capsule: Some(capsule) });
        }
        requests
    }

    /// The state that a record carries, or names: then this region's journal has it since before the record
    /// was written.
    fn named_by(&self, record: &Record) -> Result<Capsule, NamedStateError> {
        let hash = match &record.capsule {
            Kept::Here(bytes) => return Ok(Capsule::decode(bytes)?),
            Kept::Journal { hash, .. } => *hash,
        };
        let of = self.staged.iter().filter(|staged| staged.handoff == record.handoff);
        for staged in of {
            let capsule = Capsule::decode(&staged.capsule)?;
            if capsule.hash() == hash {
                return Ok(capsule);
            }
        }
        Err(NamedStateError::Absent(record.handoff))
    }

    /// Takes the store's answers, in the order of the requests. `false` where the lease is lost.
    pub fn claimed(&mut self, outcomes: Vec<CasOutcome>) -> bool {
        for (claim, outcome) in std::mem::take(&mut self.claims).into_iter().zip(outcomes) {
            match outcome {
                CasOutcome::Won(record) => {
                    self.won.extend(claim.capsule.map(|capsule| (claim.key, record.epoch, capsule)));
                }
                CasOutcome::Lost(_) => info!(key = ?claim.key, "owned elsewhere by now"),
                CasOutcome::LeaseLost => return false,
                CasOutcome::WrongGeneration { .. } | CasOutcome::TooLarge { .. } => {
                    error!(key = ?claim.key, ?outcome, "an entity could not be claimed");
                }
            }
        }
        true
    }

    /// The region, ready to step the tick after `tick`. `started` is when the lease was asked for.
    pub fn finish(
        self,
        config: RegionConfig,
        host: PluginHost,
        now: Duration,
        started: Duration,
        tick: Tick,
    ) -> Region {
        let (schemas, rates) = (config.schemas.clone(), [config.world_rate, config.rate]);
        let world = World::new(self.lease.region, self.lease.epoch, config.map.clone(), rates, schemas);
        let name_table = host.names().to_vec();
        let plugins_hash = host.hash();
        let names = name_table
            .iter()
            .enumerate()
            .map(|(index, name)| (name.clone(), u16::try_from(index).expect("fewer than 65535 names")))
            .collect();
        let mut region = Region {
            keeper: LeaseKeeper::new(self.lease.epoch, config.lease_ttl, started),
            target: Target::new(self.lease.guard()),
            lease: self.lease,
            host,
            plugins_hash,
            names,
            name_table,
            tables_hash: plugins_hash,
            world,
            nonces: self.nonces,
            edges: BTreeSet::new(),
            workers: BTreeSet::new(),
            placements: BTreeMap::new(),
            observers: BTreeMap::new(),
            readers: BTreeMap::new(),
            silence: Watch::default(),
            hull_was_wide: false,
            crossings: BTreeMap::new(),
            attempts: BTreeMap::new(),
            shadows: BTreeMap::new(),
            joins: BTreeMap::new(),
            parking: BTreeMap::new(),
            waiting_opens: Vec::new(),
            recovered: BTreeSet::new(),
            broadcasts: 0,
            recent: VecDeque::new(),
            outbound: self.state.outbound.iter().cloned().collect(),
            inbound: self.state.inbound.iter().map(|taken| (taken.from, *taken)).collect(),
            overdue: BTreeMap::new(),
            buried: self.state.buried.clone(),
            early_posts: self.state.early.clone(),
            early_changed: false,
            unrecorded: BTreeMap::new(),
            record: TickRecord::default(),
            last_recorded: Tick::default(),
            durable: Tick::default(),
            held: VecDeque::new(),
            marks: VecDeque::new(),
            flush: false,
            want_snapshot: false,
            stats: Stats::default(),
            load: gorc::Load::default(),
            reports: Vec::new(),
            retiring: None,
            relief: None,
            silent: false,
            now,
            out: Vec::new(),
            #[cfg(feature = "faults")]
            broken: None,
            config,
        };
        region.world.tick = tick;
        region.world.deeds = region.host.heard_for_players();
        let implicit = self.implicit.into_iter().map(|(key, capsule)| (key, Epoch::ZERO, capsule));
        for (key, epoch, capsule) in self.won.into_iter().chain(implicit) {
            region.take_back(key, epoch, &capsule, tick);
        }
        let (low, high) =
            region.world.map.bounds(region.world.region).expect("a served region is on the map");
        let id = region.world.region;
        let started = CoreEvent::RegionStarted(RegionStartedEvent {
            region: id,
            fresh: self.fresh,
            low: [low[0], low[1], f64::MIN],
            high: [high[0], high[1], f64::MAX],
        });
        region.host.core(&mut region.world, &started);
        region.settle_objects();
        region.deliver_effects();
        region
    }
}

impl Region {
    fn take_back(&mut self, key: EntityKey, epoch: Epoch, capsule: &Capsule, tick: Tick) {
        let (mut entity, _): (Entity, _) = match self.restore(key, capsule) {
            Ok(restored) => restored,
            Err(error) => {
                error!(?key, %error, "a recovered entity cannot be read; its record stays in the store");
                return;
            }
        };
        let id = entity.id;
        entity.stepped = tick;
        if let Some(player) = entity.player.as_deref_mut() {
            player.connected = false;
            player.leaves_at = Some(tick + self.config.linger_ticks);
        }
        if let EntityKey::Player(player) = key {
            self.recovered.insert(player);
        }
        let observer = entity.player.is_some().then(|| self.observer_spec(&entity, false));
        self.world.insert(entity);
        let recorded = if epoch == Epoch::ZERO { Recorded::No } else { Recorded::Yes };
        self.own(id, key, epoch, recorded);
        if let Some(spec) = observer {
            self.world.gorc.add_observer(super::crossing::observer_of(id), spec);
        }
    }
}

#[cfg(test)]
mod tests {
    use horizon_handoff::Holder;
    use horizon_model::{EntityId, RegionId, WorkerId};

    use super::*;
    use crate::journal::{EntityPut, Gone};

    const REGION: RegionId = RegionId(3);
    const OLD: Holder = Holder { worker: WorkerId(1), lease: Epoch::new(1, 1) };

    fn key() -> EntityKey {
        EntityKey::Object(EntityId::from_bits(5).expect("not zero"))
    }

    fn record(epoch: u64, region: RegionId) -> BTreeMap<EntityKey, Option<Record>> {
        let capsule = Kept::Here(Capsule::new().encode());
        let record = Record {
            epoch: Epoch::new(1, epoch),
            region,
            holder: Some(OLD),
            handoff: HandoffId(9),
            applied: 0,
            tick: Tick(2),
            capsule,
        };
        BTreeMap::from([(key(), Some(record))])
    }

    /// What a successor asks for when the journal had the entity at epoch 4, and perhaps saw it leave.
    fn asked(left: bool, records: &BTreeMap<EntityKey, Option<Record>>) -> Vec<(u64, bool)> {
        let mut state = Snapshot::default();
        let entity = EntityId::from_bits(5).expect("not zero");
        let epoch = Epoch::new(1, 4);
        let put = EntityPut { entity, key: key(), epoch, complete: true, parts: Vec::new() };
        state.apply(TickRecord { puts: vec![put], ..TickRecord::default() });
        if left {
            let gone = vec![Gone { entity, key: key(), epoch }];
            state.apply(TickRecord { gone, ..TickRecord::default() });
        }
        let lease = Lease { region: REGION, worker: WorkerId(2), epoch: Epoch::new(1, 2) };
        let mut recovery = Recovery::new(lease, Some(state), Vec::new());
        let requests = recovery.decide(records);
        requests.iter().map(|request| (request.expect.map_or(0, |e| e.epoch.count()), request.park)).collect()
    }

    #[test]
    fn the_dead_stay_dead_and_the_living_are_claimed() {
        assert_eq!(asked(false, &record(4, REGION)), [(4, false)], "owned: claimed");
        assert_eq!(asked(true, &record(4, REGION)), [(4, true)], "left: only its record is put away");
        assert_eq!(asked(true, &record(6, REGION)), [(6, false)], "came back since: claimed");
        assert_eq!(asked(false, &record(5, RegionId(8))), [], "owned elsewhere");
        assert_eq!(asked(false, &BTreeMap::from([(key(), None)])), [], "no record: owned without one");
    }

    /// A record that names a state: the journal's own word under that epoch is newer, else what was staged
    /// for just that attempt counts, and nothing else does.
    #[test]
    fn a_named_state_is_found_by_attempt_and_hash() {
        let capsule = |value: u8| {
            let mut capsule = Capsule::new();
            capsule.insert("value", vec![value]);
            capsule
        };
        let staged = |handoff: u128, value: u8| Staged {
            key: key(),
            handoff: HandoffId(handoff),
            epoch: Epoch::new(1, 3),
            capsule: capsule(value).encode(),
        };
        let named = Kept::Journal { lease: OLD.lease, hash: capsule(7).hash() };
        let mut records = record(4, REGION);
        records.get_mut(&key()).and_then(Option::as_mut).expect("there").capsule = named;
        let claimed = |state: Snapshot, staged: Vec<Staged>| {
            let lease = Lease { region: REGION, worker: WorkerId(2), epoch: Epoch::new(1, 2) };
            let requests = Recovery::new(lease, Some(state), staged).decide(&records);
            let values = requests.iter().map(|request| {
                let bytes = request.capsule.here().expect("a claim carries its state");
                Capsule::decode(bytes).expect("it can be read").part("value").map(<[u8]>::to_vec)
            });
            values.collect::<Vec<_>>()
        };
        let found = claimed(Snapshot::default(), vec![staged(8, 7), staged(9, 6), staged(9, 7)]);
        assert_eq!(found, [Some(vec![7])]);
        assert!(claimed(Snapshot::default(), vec![staged(8, 7), staged(9, 6)]).is_empty(), "left alone");
        let entity = EntityId::from_bits(5).expect("not zero");
        let mut state = Snapshot::default();
        let parts = capsule(8).all_parts();
        let put = EntityPut { entity, key: key(), epoch: Epoch::new(1, 4), complete: true, parts };
        state.apply(TickRecord { puts: vec![put], ..TickRecord::default() });
        assert_eq!(claimed(state, vec![staged(9, 7)]), [Some(vec![8])], "the journal is newer");
    }
}
