//! The store's decision, asked with the small numbers of a model.

use horizon_handoff::{Claim, Expect, Holder, LeaseGuard, Verdict, Witness, judge};
use horizon_model::{Epoch, HandoffId, RegionId, WorkerId};

/// What the record says of the owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Owner {
    /// Authority epoch.
    pub epoch: u8,
    /// The owning region.
    pub region: u8,
    /// The process, which serves under one lease for all its life.
    pub by: u8,
    /// The attempt that wrote this.
    pub attempt: u8,
}

/// Who wants to own, over what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Wish {
    /// The epoch that must be there.
    pub epoch: u8,
    /// The region that must be there.
    pub from: u8,
    /// The region that will be.
    pub region: u8,
    /// The process that asks.
    pub by: u8,
    /// Its attempt.
    pub attempt: u8,
}

/// The store's answer to a compare-and-set, with the record that is there afterwards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// The record was replaced by this one.
    Written(Owner),
    /// Nothing changed.
    Unchanged,
}

/// What the store does with `wish` where `found` is there.
pub fn decide(found: &Owner, lease_is_current: bool, wish: &Wish) -> Answer {
    let holder = |by: u8| Holder { worker: WorkerId(by.into()), lease: Epoch::new(0, u64::from(by) + 1) };
    let there = Witness {
        epoch: Epoch::new(0, found.epoch.into()),
        region: RegionId(found.region.into()),
        holder: Some(holder(found.by)),
        handoff: HandoffId(found.attempt.into()),
    };
    let Holder { worker, lease } = holder(wish.by);
    let claim = Claim {
        guard: LeaseGuard { region: RegionId(wish.region.into()), worker, lease },
        expect: Some(Expect { epoch: Epoch::new(0, wish.epoch.into()), region: RegionId(wish.from.into()) }),
        handoff: HandoffId(wish.attempt.into()),
        park: false,
    };
    match judge(0, lease_is_current, Some(&there), &claim) {
        Verdict::Write(won) => Answer::Written(Owner {
            epoch: u8::try_from(won.epoch.count()).expect("a model has few epochs"),
            region: wish.region,
            by: wish.by,
            attempt: wish.attempt,
        }),
        Verdict::WonBefore | Verdict::Lost | Verdict::LeaseLost | Verdict::WrongGeneration => {
            Answer::Unchanged
        }
    }
}
