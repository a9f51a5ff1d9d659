//! What a region tells a store that was started again, so that nothing is lost that the store has lost.

use std::collections::BTreeSet;
use std::time::Duration;

use horizon_handoff::{Capsule, Kept, Record};
use horizon_model::Epoch;
use horizon_protocol::link::EntityKey;
use horizon_state_store::{Known, Report};

use super::crossing::Recorded;
use super::{Output, Recovery, Region};

impl Region {
    /// Tells what is owned here under which epochs; of `missing` the states, too.
    pub(super) fn tell_store(&mut self, missing: &BTreeSet<EntityKey>) {
        let mut entities = Vec::new();
        for (id, crossing) in &self.crossings {
            if crossing.recorded != Recorded::Yes {
                continue;
            }
            let (key, epoch) = (crossing.source.key(), crossing.source.epoch());
            let record = if missing.contains(&key) {
                let handoff = self.nonces.fresh();
                self.claim(*id, None, handoff, false).map(|claim| Record {
                    epoch,
                    region: self.lease.region,
                    holder: Some(self.lease.holder()),
                    handoff,
                    applied: claim.applied,
                    tick: claim.tick,
                    capsule: claim.capsule,
                })
            } else {
                None
            };
            entities.push(Known { key, epoch, record });
        }
        let report = Report {
            lease: Some(self.lease),
            ttl: self.config.lease_ttl,
            tick: self.world.tick,
            entities,
            ..Report::default()
        };
        self.out.push(Output::Report(Box::new(report)));
    }
}

impl Recovery {
    /// What the journal knows, for a store that may have been started on older data while nobody served
    /// the region; of `missing` the states, too.
    pub fn report(&mut self, ttl: Duration, missing: &BTreeSet<EntityKey>) -> Report {
        let mut entities = Vec::new();
        for put in self.state.entities.iter().filter(|put| put.epoch > Epoch::ZERO) {
            let record = missing.contains(&put.key).then(|| {
                let mut capsule = Capsule::new();
                capsule.apply(&put.parts);
                Record {
                    epoch: put.epoch,
                    region: self.lease.region,
                    holder: Some(self.lease.holder()),
                    handoff: self.nonces.fresh(),
                    applied: 0,
                    tick: self.state.tick,
                    capsule: Kept::Here(capsule.encode()),
                }
            });
            entities.push(Known { key: put.key, epoch: put.epoch, record });
        }
        Report { lease: Some(self.lease), ttl, tick: self.state.tick, entities, ..Report::default() }
    }
}
