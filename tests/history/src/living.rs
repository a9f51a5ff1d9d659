//! The end of a history: everybody has one living owner.

use std::collections::{BTreeMap, BTreeSet};

use horizon_model::{Epoch, RegionId, Tick, WorkerId};

use crate::event::{Event, Who};
use crate::report::{Invariant, Report};

#[derive(Debug, Default)]
pub(crate) struct Living {
    present: BTreeSet<Who>,
    owners: BTreeMap<Who, Vec<(WorkerId, RegionId, Epoch)>>,
    looked: bool,
}

impl Living {
    pub(crate) fn observe(&mut self, event: &Event) {
        match event {
            Event::Joined { who } => {
                self.present.insert(*who);
            }
            Event::Left { who } => {
                self.present.remove(who);
            }
            Event::Owns { who, worker, region, epoch } => {
                self.looked = true;
                self.owners.entry(*who).or_default().push((*worker, *region, *epoch));
            }
            _ => {}
        }
    }

    pub(crate) fn finish(&self, at: Tick, report: &mut Report) {
        if !self.looked {
            return;
        }
        for who in &self.present {
            if !self.owners.contains_key(who) {
                report.violated(at, Invariant::OneLivingOwner, format!("{who:?} has no owner"));
            }
        }
        for (who, owners) in self.owners.iter().filter(|(_, owners)| owners.len() > 1) {
            report.violated(at, Invariant::OneLivingOwner, format!("{who:?} has {owners:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use horizon_model::PlayerId;

    use super::*;
    use crate::history::testing::broken;

    #[test]
    fn everybody_has_one_owner() {
        let who = |player| Who::Player(PlayerId(player));
        let joined = |player| Event::Joined { who: who(player) };
        let owns = |player, worker| Event::Owns {
            who: who(player),
            worker: WorkerId(worker),
            region: RegionId(0),
            epoch: Epoch::new(1, 1),
        };
        let left = Event::Left { who: who(1) };
        assert_eq!(broken(&[joined(1), joined(2), owns(1, 1), owns(2, 1)]), []);
        assert_eq!(broken(&[joined(1), joined(2), left, owns(2, 1)]), []);
        assert_eq!(broken(&[joined(1), joined(2), owns(2, 1)]), [Invariant::OneLivingOwner]);
        assert_eq!(broken(&[joined(1), owns(1, 1), owns(1, 2)]), [Invariant::OneLivingOwner]);
    }
}
