//! What of a tick goes into the journal, and what waits for it.

use horizon_handoff::{Capsule, CasRequest, Expect, Kept, Lease};
use horizon_model::{Epoch, HandoffId, Tick};
use horizon_protocol::link::EntityKey;

use super::crossing::Recorded;
use super::{Output, Region};
use crate::journal::{EntityPut, Gone, Snapshot, Staged, TickRecord, bury};
use crate::world::World;

impl Region {
    /// Notes an entity that left, whichever way.
    pub(super) fn record_gone(&mut self, gone: Gone) {
        self.record.puts.retain(|put| put.entity != gone.entity);
        bury(&mut self.buried, gone.key, gone.epoch);
        self.record.gone.push(gone);
    }

    /// Takes in what handlers spawned and despawned.
    pub(super) fn settle_objects(&mut self) {
        for id in std::mem::take(&mut self.world.spawned) {
            if let Some(key) = self.world.entities.get(&id).map(|entity| entity.key) {
                self.own(id, key, Epoch::ZERO, Recorded::No);
            }
        }
        for (entity, key) in std::mem::take(&mut self.world.despawned) {
            let asked = self.crossings.get(&entity).is_some_and(|c| matches!(c.recorded, Recorded::Asked(_)));
            // A first record on its way to the store will have this epoch.
            let epoch =
                if asked { Epoch::new(self.lease.epoch.generation(), 1) } else { self.epoch_of(entity) };
            self.forget_crossing(entity);
            self.record_gone(Gone { entity, key, epoch });
            if epoch > Epoch::ZERO && !asked {
                // The store must not name an owner for what is gone, once it is gone for good.
                let handoff = self.nonces.fresh();
                let request = farewell(&self.lease, key, epoch, handoff, self.world.tick);
                self.hold(Output::Cas(vec![request]));
            }
        }
    }

    /// Closes the tick's record and ties everything held since the last one to it.
    pub(super) fn write_record(&mut self, tick: Tick) {
        let pose_ticks = self.config.pose_ticks;
        let mut puts = Vec::new();
        let Self { world, crossings, .. } = self;
        let World { entities, field_names, .. } = world;
        for (&id, entity) in entities.iter_mut() {
            let epoch = crossings.get(&id).map_or(Epoch::ZERO, |crossing| crossing.source.epoch());
            let names = field_names.of(entity.type_id);
            if entity.unrecorded {
                entity.unrecorded = false;
                entity.dirty.clear();
                entity.pose_recorded = tick;
                entity.recorded_pose = entity.pose;
                let parts = entity.durable_capsule(names).all_parts();
                puts.push(EntityPut { entity: id, key: entity.key, epoch, complete: true, parts });
                continue;
            }
            let moved = entity.pose != entity.recorded_pose;
            if moved && tick.saturating_since(entity.pose_recorded) >= pose_ticks {
                entity.touch_pose();
            }
            if entity.dirty.is_empty() {
                continue;
            }
            // Whatever is written anyway carries the newest pose with it.
            if moved {
                entity.touch_pose();
                entity.pose_recorded = tick;
                entity.recorded_pose = entity.pose;
            }
            let key = entity.key;
            let parts = entity.take_changes(names);
            puts.push(EntityPut { entity: id, key, epoch, complete: false, parts });
        }
        let mut record = std::mem::take(&mut self.record);
        record.puts.extend(puts);
        if std::mem::take(&mut self.early_changed) {
            record.early = Some(self.early_posts.clone());
        }
        record.tick = tick;
        record.minted = self.world.minted;
        let empty = TickRecord { tick, minted: record.minted, ..TickRecord::default() } == record;
        if !empty {
            self.last_recorded = tick;
            self.out.push(Output::Journal(Box::new(record)));
        } else if self.flush {
            self.last_recorded = tick;
            self.out.push(Output::Mark(tick));
        }
        self.flush = false;
        if std::mem::take(&mut self.want_snapshot) {
            let staged = self.target.staged().map(|state| Staged::from(&state)).collect();
            self.out.push(Output::Rotate(Box::new(self.snapshot()), staged));
        }
        let last = self.last_recorded;
        for (at, _) in self.held.iter_mut().rev().take_while(|(at, _)| at.0 == u64::MAX) {
            *at = last;
        }
        if last <= self.durable {
            self.durable_up_to(self.durable);
        }
    }

    /// Everything, for a new part of the journal.
    pub(super) fn snapshot(&self) -> Snapshot {
        let entities = self
            .world
            .entities
            .values()
            .map(|entity| EntityPut {
                entity: entity.id,
                key: entity.key,
                epoch: self.epoch_of(entity.id),
                complete: true,
                parts: entity.durable_capsule(self.world.field_names(entity.type_id)).all_parts(),
            })
            .collect();
        Snapshot {
            tick: self.world.tick,
            entities,
            outbound: self.outbound.iter().map(|(region, lane)| (*region, lane.clone())).collect(),
            inbound: self.inbound.values().copied().collect(),
            buried: self.buried.clone(),
            early: self.early_posts.clone(),
        }
    }

    /// Whether an entity with this key is ours or about to be.
    pub(super) fn holds(&self, key: EntityKey) -> bool {
        self.world.owned_by_key(key).is_some() || self.expects(key)
    }
}

/// The compare-and-set that leaves a record without a holder and without state.
pub(super) fn farewell(
    lease: &Lease,
    key: EntityKey,
    epoch: Epoch,
    handoff: HandoffId,
    tick: Tick,
) -> CasRequest {
    CasRequest {
        key,
        guard: lease.guard(),
        expect: Some(Expect { epoch, region: lease.region }),
        handoff,
        applied: 0,
        tick,
        capsule: Kept::Here(Capsule::new().encode()),
        park: true,
        group: None,
    }
}
