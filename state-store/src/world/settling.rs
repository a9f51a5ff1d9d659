//! What a store does not decide after its start, and how it learns that it has lost data.
//!
//! ```text
//!   start, somebody held a lease ──▶ Unsettled ── every holder has reported, a quarter of a lease passed ──▶ settled
//!                                        │                                                   ▲
//!                                        └──────────── the longest lease passed ─────────────┘
//! ```
//!
//! A store that was started on older data (a backup, a lost tail, another server after a failover) cannot
//! know it. Those who live can: each knows the epochs that it was granted. So after a start nothing is
//! decided until the holders of leases have reported; what they know and the tables do not is put in
//! again, and then a new generation begins, so that no epoch that is granted from then on was granted
//! before. Where nobody knows more than the tables, the generation stays. Who reports later than that is
//! still heard.

use std::collections::BTreeSet;
use std::time::Duration;

use horizon_handoff::mutant::{self, Mutant};
use horizon_handoff::{Lease, Record};
use horizon_model::{Epoch, RegionId};

use super::{Grant, World};
use crate::request::{Reply, Report, Reported, Request};
use crate::store::StoreError;
use crate::tables::{StoredLease, Tables};

/// The share of the longest lease that is waited for those whom the tables do not know: a holder renews,
/// and so hears that it should report, five times in the life of its lease.
const SHORTEST_SHARE: u32 = 4;

/// A store between its start and its first decision.
#[derive(Debug)]
pub(crate) struct Settling {
    since: Duration,
    reported: BTreeSet<RegionId>,
}

impl Settling {
    /// Where somebody held a lease when the store ended.
    pub(crate) fn after_start(
        leases: &std::collections::BTreeMap<RegionId, Grant<horizon_model::WorkerId>>,
        opened: Duration,
    ) -> Option<Self> {
        let held = leases.values().any(|grant| grant.stored.holder.is_some());
        held.then_some(Self { since: opened, reported: BTreeSet::new() })
    }
}

/// Whether the request asks for a decision. Reads are answered: epochs show who is older.
pub(crate) const fn decides(request: &Request) -> bool {
    matches!(
        request,
        Request::Acquire(..)
            | Request::Renew(..)
            | Request::Confirm(_)
            | Request::Release(_)
            | Request::Evict(..)
            | Request::Cas(_)
            | Request::CasSession(_)
            | Request::AcquireDirector(..)
    )
}

/// The answer to whoever wants a decision too early.
pub(crate) const UNSETTLED: Reply = Reply::Failed(StoreError::Unsettled);

impl World {
    /// Whether decisions may be made, from `now` on.
    pub(crate) fn is_settled<T: Tables>(&mut self, tables: &mut T, now: Duration) -> Result<bool, T::Error> {
        let Some(settling) = self.settling.as_ref().filter(|_| !is_deaf()) else { return Ok(true) };
        let held = || self.leases.iter().filter(|(_, grant)| grant.stored.holder.is_some());
        let longest = held().map(|(_, grant)| grant.stored.ttl).max().unwrap_or_default();
        let all = held().all(|(region, _)| settling.reported.contains(region));
        let waited = now.saturating_sub(settling.since);
        if waited < longest && !(all && waited >= longest / SHORTEST_SHARE) {
            return Ok(false);
        }
        self.settling = None;
        if !all {
            // Who did not report may have been granted what nobody else knows.
            self.raise_generation(tables, self.generation)?;
        }
        Ok(true)
    }

    /// Takes in what a process knows. A higher epoch is believed: nobody else can have granted it.
    pub(crate) fn report<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Duration,
        report: Report,
    ) -> Result<Reply, T::Error> {
        if is_deaf() {
            return Ok(Reply::Reported(Reported {
                settled: true,
                generation: self.generation,
                missing: Vec::new(),
            }));
        }
        // The newest generation of what the tables do not know. An older one than the own cannot be granted
        // again anyway.
        let mut lost: Option<u16> = None;
        let mut missing = Vec::new();
        let mut find = |epoch: Epoch| lost = lost.max(Some(epoch.generation()));
        if let Some((edge, epoch)) = report.director
            && epoch > self.director.stored.epoch
        {
            self.director.put(edge, epoch, report.ttl, now);
            tables.put_director(self.id, &self.director.stored)?;
            find(epoch);
        }
        for (player, session) in report.sessions {
            let there = tables.session(self.id, player)?.map(|session| session.epoch);
            if there < Some(session.epoch) {
                tables.put_session(self.id, player, &session)?;
                find(session.epoch);
            }
        }
        let mut current = true;
        if let Some(lease) = report.lease {
            let grant = self.leases.entry(lease.region).or_default();
            if lease.epoch > grant.stored.epoch {
                grant.put(lease.worker, lease.epoch, report.ttl, now);
                tables.put_lease(self.id, lease.region, &grant.stored)?;
                find(lease.epoch);
            }
            current = grant.is(lease.worker, lease.epoch);
            for known in report.entities.into_iter().filter(|_| current) {
                let there = tables.record(self.id, known.key)?.map(|record| record.epoch);
                if there >= Some(known.epoch) {
                    continue;
                }
                find(known.epoch);
                match known.record {
                    Some(record) => {
                        let record = under(record, known.epoch, &lease);
                        tables.put_record(self.id, known.key, &record)?;
                    }
                    None => missing.push(known.key),
                }
            }
            if current {
                self.raise_tick(tables, report.tick)?;
                if let Some(settling) = &mut self.settling
                    && missing.is_empty()
                {
                    settling.reported.insert(lease.region);
                }
            }
        }
        if let Some(generation) = lost.filter(|&generation| generation >= self.generation) {
            self.raise_generation(tables, generation)?;
        }
        if !current {
            return Ok(Reply::Lost);
        }
        let settled = self.is_settled(tables, now)?;
        Ok(Reply::Reported(Reported { settled, generation: self.generation, missing }))
    }

    /// Begins a generation above `seen`, which is not below the own one.
    fn raise_generation<T: Tables>(&mut self, tables: &mut T, seen: u16) -> Result<(), T::Error> {
        self.generation = seen.saturating_add(1);
        tracing::warn!(
            generation = self.generation,
            "the store may have lost its latest writes; what was reported was put in again, and a new generation begins"
        );
        tables.put_generation(self.generation)
    }
}

/// The guard is off; or the one whose absence reports would make good again.
fn is_deaf() -> bool {
    mutant::is_off(Mutant::ReportsUnheard) || mutant::is_off(Mutant::AckBeforeCommit)
}

/// `record` as its owner has it.
fn under(record: Record, epoch: Epoch, lease: &Lease) -> Record {
    Record { epoch, region: lease.region, holder: Some(lease.holder()), ..record }
}

impl<H: Copy + Eq> Grant<H> {
    /// As a process that holds it tells it.
    fn put(&mut self, holder: H, epoch: Epoch, ttl: Duration, now: Duration) {
        *self = Self {
            stored: StoredLease { epoch, holder: Some(holder), ttl },
            deadline: now.saturating_add(ttl),
        };
    }
}
