//! The store's decision about one compare-and-set, as a value: the one act on which the handoff rests.
//!
//! Every store asks this function inside its transaction, and the models of `tests/model` ask it too, so what is
//! checked exhaustively is what runs. A store that decides elsewhere (in a script of its server) has to say the same.

use horizon_model::{Epoch, HandoffId, RegionId};

use crate::record::{CasRequest, Expect, Holder, LeaseGuard, Record};

/// What counts of a record when somebody wants to replace it: everything but the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Witness {
    /// Authority epoch.
    pub epoch: Epoch,
    /// The owning region.
    pub region: RegionId,
    /// The process that may act; `None` while the entity is parked.
    pub holder: Option<Holder>,
    /// The attempt that wrote the record.
    pub handoff: HandoffId,
}

/// What counts of a request: who writes, over what, in which attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Claim {
    /// Who writes, under which lease.
    pub guard: LeaseGuard,
    /// What must be there; `None` where no record may exist yet.
    pub expect: Option<Expect>,
    /// This attempt.
    pub handoff: HandoffId,
    /// The entity leaves the world: the record will name no holder.
    pub park: bool,
}

/// What the store does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Replaces the record; the new one says this.
    Write(Witness),
    /// Nothing: this attempt has written what is there. It won, and asks again.
    WonBefore,
    /// Nothing: the record is another one.
    Lost,
    /// Nothing: the writer's lease is not the current one of its region.
    LeaseLost,
    /// Nothing: the request knows of a later generation than the store, so the store has lost data.
    WrongGeneration,
}

/// Decides.
///
/// - `generation`: the store's own.
/// - `lease_is_current`: whether `claim.guard` is the current lease of its region.
/// - `found`: the record there, read in the same transaction.
pub fn judge(generation: u16, lease_is_current: bool, found: Option<&Witness>, claim: &Claim) -> Verdict {
    let Claim { guard, expect, handoff, park } = *claim;
    let newest = guard.lease.max(expect.map_or(Epoch::ZERO, |expect| expect.epoch));
    if newest.generation() > generation {
        return Verdict::WrongGeneration;
    }
    if !lease_is_current {
        return Verdict::LeaseLost;
    }
    let holder = (!park).then(|| guard.holder());
    let ours =
        |there: &Witness| (there.handoff, there.region, there.holder) == (handoff, guard.region, holder);
    if found.is_some_and(ours) {
        return Verdict::WonBefore;
    }
    if found.map(|there| Expect { epoch: there.epoch, region: there.region }) != expect {
        return Verdict::Lost;
    }
    let epoch = expect.map_or(Epoch::ZERO, |there| there.epoch).next_in(generation);
    Verdict::Write(Witness { epoch, region: guard.region, holder, handoff })
}

impl Record {
    /// What counts of it in a decision.
    pub const fn witness(&self) -> Witness {
        Witness { epoch: self.epoch, region: self.region, holder: self.holder, handoff: self.handoff }
    }
}

impl CasRequest {
    /// What counts of it in a decision.
    pub const fn claim(&self) -> Claim {
        Claim { guard: self.guard, expect: self.expect, handoff: self.handoff, park: self.park }
    }
}

#[cfg(test)]
mod tests {
    use horizon_model::WorkerId;

    use super::*;

    #[test]
    fn each_verdict_has_its_reason() {
        let guard = LeaseGuard { region: RegionId(2), worker: WorkerId(7), lease: Epoch::new(1, 4) };
        let there = Witness {
            epoch: Epoch::new(1, 9),
            region: RegionId(1),
            holder: Some(Holder { worker: WorkerId(3), lease: Epoch::new(1, 2) }),
            handoff: HandoffId(50),
        };
        let expect = Some(Expect { epoch: there.epoch, region: there.region });
        let claim = Claim { guard, expect, handoff: HandoffId(51), park: false };
        let won = Witness {
            epoch: Epoch::new(1, 10),
            region: guard.region,
            holder: Some(guard.holder()),
            handoff: claim.handoff,
        };
        assert_eq!(judge(1, true, Some(&there), &claim), Verdict::Write(won));
        assert_eq!(judge(1, true, Some(&won), &claim), Verdict::WonBefore, "the same request again");
        assert_eq!(
            judge(1, false, Some(&won), &claim),
            Verdict::LeaseLost,
            "a lost lease comes before a success"
        );
        let other = Claim { handoff: HandoffId(52), ..claim };
        assert_eq!(judge(1, true, Some(&won), &other), Verdict::Lost, "the epoch has risen");
        assert_eq!(judge(1, true, None, &claim), Verdict::Lost, "nothing there");
        assert_eq!(judge(0, true, Some(&there), &claim), Verdict::WrongGeneration);
        let first = Claim { expect: None, ..claim };
        let begun = Witness { epoch: Epoch::new(3, 1), ..won };
        assert_eq!(judge(3, true, None, &first), Verdict::Write(begun));
        let parked = Claim { park: true, ..claim };
        assert_eq!(judge(1, true, Some(&there), &parked), Verdict::Write(Witness { holder: None, ..won }));
    }
}
