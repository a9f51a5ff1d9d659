//! The store as the protocol describes it, without IO: one entity, three leases, three journals.

use horizon_model::{Epoch, HandoffId, RegionId, Tick};

use crate::target::StagedState;
use crate::{Capsule, CasOutcome, CasRequest, Kept, LeaseGuard, Record, Verdict, Witness, judge};

use super::process::State;

#[derive(Debug, Clone)]
pub(super) struct Store {
    pub(super) record: Record,
    /// The entity's state in the journal of its owner, void once the record has a newer epoch.
    journal: Option<(Epoch, State)>,
    /// Whether the token lies on the ground of each region, as its journal says.
    pub(super) ground: [bool; 3],
    pub(super) leases: [LeaseGuard; 3],
    /// Final states in the journals of their targets, by region, attempt and hash.
    staged: Vec<(RegionId, HandoffId, u64, State)>,
    /// Switched off, a journal takes what a superseded holder writes.
    pub(super) fenced: bool,
}

impl Store {
    pub(super) fn new(leases: [LeaseGuard; 3], state: &State) -> Self {
        let record = Record {
            epoch: Epoch(1),
            region: leases[0].region,
            holder: Some(leases[0].holder()),
            handoff: HandoffId(0),
            applied: state.applied(),
            tick: Tick(0),
            capsule: Kept::Here(state.capsule().encode()),
        };
        Self { record, journal: None, ground: [true, false, false], leases, staged: vec![], fenced: true }
    }

    pub(super) fn lease(&self, region: RegionId) -> LeaseGuard {
        self.leases[usize::from(region.0)]
    }

    pub(super) fn take_over(&mut self, guard: LeaseGuard) {
        self.leases[usize::from(guard.region.0)] = guard;
    }

    pub(super) fn cas(&mut self, request: &CasRequest) -> CasOutcome {
        let is_current = self.lease(request.guard.region) == request.guard;
        let Witness { epoch, region, holder, handoff } =
            match judge(0, is_current, Some(&self.record.witness()), &request.claim()) {
                Verdict::Write(witness) => witness,
                Verdict::WonBefore => return CasOutcome::Won(self.record.clone()),
                Verdict::Lost => return CasOutcome::Lost(Some(self.record.clone())),
                Verdict::LeaseLost => return CasOutcome::LeaseLost,
                Verdict::WrongGeneration => unreachable!("this store loses nothing"),
            };
        let CasRequest { applied, tick, capsule, .. } = request.clone();
        self.record = Record { epoch, region, holder, handoff, applied, tick, capsule };
        CasOutcome::Won(self.record.clone())
    }

    /// One durable journal record: the region's ground, and its entity where the epoch is current.
    /// False where the writer's lease is not the current one.
    pub(super) fn append(&mut self, guard: LeaseGuard, ground: bool, entity: Option<(Epoch, State)>) -> bool {
        if self.lease(guard.region) != guard && self.fenced {
            return false;
        }
        self.ground[usize::from(guard.region.0)] = ground;
        if let Some((epoch, state)) = entity {
            let current = self.record.epoch == epoch && self.record.holder == Some(guard.holder());
            if current || !self.fenced {
                self.journal = Some((self.record.epoch, state));
            }
        }
        true
    }

    /// A final state reaches the journal of its target. What a superseded holder writes lies beyond the
    /// cut of its successor, and the file does not say so.
    pub(super) fn stage(&mut self, guard: LeaseGuard, staged: &StagedState) {
        if self.lease(guard.region) == guard {
            let state = State::read(&staged.capsule);
            self.staged.push((guard.region, staged.handoff, staged.capsule.hash(), state));
        }
    }

    /// The entity as a successor would recover it; `None` where the record names a state that is not in
    /// its region's journal.
    pub(super) fn durable(&self) -> Option<State> {
        let record = &self.record;
        match (&self.journal, &record.capsule) {
            (Some((epoch, state)), _) if *epoch == record.epoch => Some(state.clone()),
            (_, Kept::Here(bytes)) => {
                Some(State::read(&Capsule::decode(bytes).expect("a store keeps what it took")))
            }
            (_, Kept::Journal { hash, .. }) => {
                let named = (record.region, record.handoff, *hash);
                let mut staged = self.staged.iter();
                staged
                    .find(|(region, handoff, hash, _)| (*region, *handoff, *hash) == named)
                    .map(|s| s.3.clone())
            }
        }
    }

    /// Tokens that a crash of everything would leave: exactly one.
    pub(super) fn tokens(&self) -> usize {
        self.ground
            .iter()
            .chain([&self.durable().is_some_and(|state| state.token)])
            .filter(|&&token| token)
            .count()
    }
}
