//! The rules: what a request does to one world.
//!
//! Leases live here with their deadlines; the tables keep only epoch, holder and length. After a
//! restart a stored lease counts as held for its whole length again, so that a holder who cannot
//! renew while the store is away is not robbed. Expiry alone takes nothing from a holder: it only
//! lets another worker acquire, with a higher epoch.

mod settling;

use std::collections::BTreeMap;
use std::time::Duration;

use horizon_handoff::mutant::{self, Mutant};
use horizon_handoff::{
    CasOutcome, CasRequest, Lease, LeaseGuard, MAX_CAPSULE_BYTES, Record, SessionCas, SessionOutcome,
    SessionRecord, Verdict, Witness, judge,
};
use horizon_model::{EdgeId, Epoch, RegionId, TICKS_PER_SECOND, Tick, WorkerId, WorldId};

use self::settling::{Settling, UNSETTLED, decides};
use crate::env::Env;
use crate::request::{Reply, Request};
use crate::store::SealingKey;
use crate::tables::{StoredLease, Tables};

/// Ticks that are noted ahead, so that renewals of a whole world cost one durable write a second.
const TICK_RESERVE: u64 = TICKS_PER_SECOND;

/// One world of an open store.
#[derive(Debug)]
pub(crate) struct World {
    id: WorldId,
    generation: u16,
    leases: BTreeMap<RegionId, Grant<WorkerId>>,
    director: Grant<EdgeId>,
    tick_high: Tick,
    /// What the tables hold; never below `tick_high`.
    tick_stored: Tick,
    settling: Option<Settling>,
}

impl World {
    /// The world as the tables hold it. Leases found there run from `opened`, the start of the store.
    pub(crate) fn load<T: Tables>(
        id: WorldId,
        generation: u16,
        tables: &mut T,
        opened: Duration,
    ) -> Result<Self, T::Error> {
        let stored = tables.load(id)?;
        let revive = |(region, lease)| (region, Grant::revive(lease, opened));
        let leases = stored.leases.into_iter().map(revive).collect();
        Ok(Self {
            id,
            generation,
            settling: Settling::after_start(&leases, opened),
            leases,
            director: Grant::revive(stored.director, opened),
            tick_high: stored.tick,
            tick_stored: stored.tick,
        })
    }

    /// Carries out one request. After an error neither this value nor the open transaction may be
    /// used any more.
    pub(crate) fn perform<T: Tables>(
        &mut self,
        tables: &mut T,
        env: &Env,
        request: Request,
    ) -> Result<Reply, T::Error> {
        if !self.is_settled(tables, env.now())? && decides(&request) {
            return Ok(UNSETTLED);
        }
        Ok(match request {
            Request::Report(report) => self.report(tables, env.now(), *report)?,
            Request::Generation => Reply::Generation(self.generation),
            Request::Acquire(region, worker, ttl) => self.acquire(tables, env.now(), region, worker, ttl)?,
            Request::Renew(lease, ttl, tick) => self.renew(tables, env.now(), &lease, ttl, tick)?,
            Request::Confirm(lease) if self.is_current(&lease) => Reply::Done,
            Request::Confirm(_) => Reply::Lost,
            Request::Release(lease) => self.release(tables, &lease)?,
            Request::Evict(_, _, director) if self.director.stored.epoch != director => Reply::Lost,
            Request::Evict(region, worker, _) => {
                if let Some(grant) = self.leases.get_mut(&region)
                    && grant.stored.holder == Some(worker)
                {
                    grant.stored.holder = None;
                    tables.put_lease(self.id, region, &grant.stored)?;
                }
                Reply::Done
            }
            Request::Record(key) => Reply::Record(tables.record(self.id, key)?),
            Request::Records(keys) => {
                let records = keys.into_iter().map(|key| tables.record(self.id, key));
                Reply::Records(records.collect::<Result<_, _>>()?)
            }
            Request::Cas(batch) => {
                let mut outcomes = Vec::with_capacity(batch.len());
                for group in batch.chunk_by(CasRequest::stands_with) {
                    outcomes.extend(self.cas(tables, group)?);
                }
                Reply::Cas(outcomes)
            }
            Request::Owned(region) => Reply::Owned(tables.owned(self.id, region)?),
            Request::Session(player) => Reply::Session(tables.session(self.id, player)?),
            Request::CasSession(cas) => Reply::CasSession(self.cas_session(tables, &cas)?),
            Request::Leases => Reply::Leases(self.live_leases(env.now())),
            Request::AcquireDirector(edge, ttl) => {
                Reply::Director(self.direct(tables, env.now(), edge, ttl)?)
            }
            Request::SealingKeys => Reply::SealingKeys(self.sealing_keys(tables, env)?),
            Request::TickHigh => Reply::Tick(self.tick_high),
        })
    }

    fn acquire<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Duration,
        region: RegionId,
        worker: WorkerId,
        ttl: Duration,
    ) -> Result<Reply, T::Error> {
        let grant = self.leases.entry(region).or_default();
        if let Some((by, remaining)) = grant.held_by_other(worker, now) {
            return Ok(Reply::Held(by, remaining));
        }
        let epoch = grant.take(worker, ttl, now, self.generation);
        tables.put_lease(self.id, region, &grant.stored)?;
        Ok(Reply::Granted(Lease { region, worker, epoch }))
    }

    fn renew<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Duration,
        lease: &Lease,
        ttl: Duration,
        tick: Tick,
    ) -> Result<Reply, T::Error> {
        let Some(grant) =
            self.leases.get_mut(&lease.region).filter(|grant| grant.is(lease.worker, lease.epoch))
        else {
            return Ok(Reply::Lost);
        };
        if grant.extend(ttl, now) {
            tables.put_lease(self.id, lease.region, &grant.stored)?;
        }
        self.raise_tick(tables, tick)?;
        Ok(Reply::Done)
    }

    fn release<T: Tables>(&mut self, tables: &mut T, lease: &Lease) -> Result<Reply, T::Error> {
        let Some(grant) = self.leases.get_mut(&lease.region) else {
            return Ok(Reply::Lost);
        };
        if grant.is(lease.worker, lease.epoch) {
            grant.stored.holder = None;
            tables.put_lease(self.id, lease.region, &grant.stored)?;
            return Ok(Reply::Done);
        }
        // Released already, and nobody came since: the same request again.
        let again = grant.stored.holder.is_none() && grant.stored.epoch == lease.epoch;
        Ok(if again { Reply::Done } else { Reply::Lost })
    }

    fn is_current(&self, lease: &Lease) -> bool {
        self.leases.get(&lease.region).is_some_and(|grant| grant.is(lease.worker, lease.epoch))
    }

    fn live_leases(&self, now: Duration) -> Vec<Lease> {
        let live = self.leases.iter().filter(|(_, grant)| now < grant.deadline);
        live.filter_map(|(&region, grant)| {
            let worker = grant.stored.holder?;
            Some(Lease { region, worker, epoch: grant.stored.epoch })
        })
        .collect()
    }

    /// Writes all of `group`, or nothing of it.
    fn cas<T: Tables>(&mut self, tables: &mut T, group: &[CasRequest]) -> Result<Vec<CasOutcome>, T::Error> {
        let judged = group.iter().map(|request| self.judge(tables, request));
        let judged = judged.collect::<Result<Vec<_>, _>>()?;
        let stands =
            |judged: &Judged| matches!(judged, Judged::Writes(..) | Judged::Answered(CasOutcome::Won(_)));
        let all = judged.iter().all(stands) || mutant::is_off(Mutant::MembersOneByOne);
        let mut outcomes = Vec::with_capacity(group.len());
        for (request, judged) in group.iter().zip(judged) {
            outcomes.push(match judged {
                Judged::Answered(outcome) => outcome,
                Judged::Writes(_, found) if !all => CasOutcome::Lost(found),
                Judged::Writes(Witness { epoch, region, holder, handoff }, _) => {
                    let CasRequest { key, applied, tick, capsule, .. } = request.clone();
                    let record = Record { epoch, region, holder, handoff, applied, tick, capsule };
                    tables.put_record(self.id, key, &record)?;
                    self.raise_tick(tables, tick)?;
                    CasOutcome::Won(record)
                }
            });
        }
        Ok(outcomes)
    }

    fn judge<T: Tables>(&self, tables: &mut T, request: &CasRequest) -> Result<Judged, T::Error> {
        if request.capsule.bytes() > MAX_CAPSULE_BYTES {
            return Ok(Judged::Answered(CasOutcome::TooLarge { max_bytes: MAX_CAPSULE_BYTES }));
        }
        let LeaseGuard { region, worker, lease } = request.guard;
        let is_current =
            self.is_current(&Lease { region, worker, epoch: lease }) || mutant::is_off(Mutant::NoLeaseCheck);
        let found = tables.record(self.id, request.key)?;
        let witness = found.as_ref().map(Record::witness);
        Ok(Judged::Answered(match judge(self.generation, is_current, witness.as_ref(), &request.claim()) {
            Verdict::Write(witness) => return Ok(Judged::Writes(witness, found)),
            Verdict::WonBefore => CasOutcome::Won(found.expect("it names this attempt")),
            Verdict::Lost => CasOutcome::Lost(found),
            Verdict::LeaseLost => CasOutcome::LeaseLost,
            Verdict::WrongGeneration => CasOutcome::WrongGeneration { store: self.generation },
        }))
    }

    fn cas_session<T: Tables>(
        &mut self,
        tables: &mut T,
        cas: &SessionCas,
    ) -> Result<SessionOutcome, T::Error> {
        let found = tables.session(self.id, cas.player)?;
        let same = |there: &SessionRecord| there.session == cas.session && there.nonce == cas.nonce;
        let asked_before = found.as_ref().is_some_and(same);
        if let Some(there) = found
            && asked_before
            && there.edge == cas.edge
        {
            return Ok(SessionOutcome::Won(there));
        }
        let epoch = found.map(|there| there.epoch);
        if epoch != cas.expect && !asked_before {
            return Ok(SessionOutcome::Lost(found));
        }
        let epoch = epoch.unwrap_or(Epoch::ZERO).next_in(self.generation);
        let session = SessionRecord { session: cas.session, epoch, nonce: cas.nonce, edge: cas.edge };
        tables.put_session(self.id, cas.player, &session)?;
        Ok(SessionOutcome::Won(session))
    }

    fn direct<T: Tables>(
        &mut self,
        tables: &mut T,
        now: Duration,
        edge: EdgeId,
        ttl: Duration,
    ) -> Result<Option<Epoch>, T::Error> {
        if self.director.held_by_other(edge, now).is_some() {
            return Ok(None);
        }
        let changed = if self.director.stored.holder == Some(edge) {
            self.director.extend(ttl, now)
        } else {
            self.director.take(edge, ttl, now, self.generation);
            true
        };
        if changed {
            tables.put_director(self.id, &self.director.stored)?;
        }
        Ok(Some(self.director.stored.epoch))
    }

    fn sealing_keys<T: Tables>(&mut self, tables: &mut T, env: &Env) -> Result<Vec<SealingKey>, T::Error> {
        let mut keys = tables.sealing_keys(self.id)?;
        if keys.is_empty() {
            let key = SealingKey { id: 1, key: env.secret() };
            tables.add_sealing_key(self.id, key)?;
            keys.push(key);
        }
        Ok(keys)
    }

    fn raise_tick<T: Tables>(&mut self, tables: &mut T, tick: Tick) -> Result<(), T::Error> {
        self.tick_high = self.tick_high.max(tick);
        if self.tick_high > self.tick_stored {
            self.tick_stored = Tick(self.tick_high.0.saturating_add(TICK_RESERVE));
            tables.put_tick(self.id, self.tick_stored)?;
        }
        Ok(())
    }
}

/// What one request of a group comes to, before the others are known.
enum Judged {
    /// It would write this over what is there.
    Writes(Witness, Option<Record>),
    /// It is answered, whatever the others come to.
    Answered(CasOutcome),
}

/// A lease in force or once in force; `H` is who may hold it.
#[derive(Debug)]
struct Grant<H> {
    stored: StoredLease<H>,
    /// On the store's clock. Means nothing without a holder.
    deadline: Duration,
}

impl<H> Default for Grant<H> {
    fn default() -> Self {
        Self { stored: StoredLease::default(), deadline: Duration::ZERO }
    }
}

impl<H: Copy + Eq> Grant<H> {
    fn revive(stored: StoredLease<H>, opened: Duration) -> Self {
        Self { deadline: opened.saturating_add(stored.ttl), stored }
    }

    fn is(&self, holder: H, epoch: Epoch) -> bool {
        self.stored.holder == Some(holder) && self.stored.epoch == epoch
    }

    fn held_by_other(&self, asking: H, now: Duration) -> Option<(H, Duration)> {
        let holder = self.stored.holder.filter(|&holder| holder != asking)?;
        let remaining = self.deadline.saturating_sub(now);
        (!remaining.is_zero()).then_some((holder, remaining))
    }

    fn take(&mut self, holder: H, ttl: Duration, now: Duration, generation: u16) -> Epoch {
        let epoch = self.stored.epoch.next_in(generation);
        *self = Self {
            stored: StoredLease { epoch, holder: Some(holder), ttl },
            deadline: now.saturating_add(ttl),
        };
        epoch
    }

    /// Returns whether the stored part changed.
    fn extend(&mut self, ttl: Duration, now: Duration) -> bool {
        self.deadline = now.saturating_add(ttl);
        std::mem::replace(&mut self.stored.ttl, ttl) != ttl
    }
}
