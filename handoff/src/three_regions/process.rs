//! A region server reduced to its handoff machines, one entity and a patch of ground.

use std::sync::Arc;
use std::time::Duration;

use horizon_model::{EntityId, Epoch, HandoffId, PlayerId, RegionId, Tick};
use horizon_protocol::link::{EntityKey, FinalState, Offer, PresyncState, RegionToRegion};

use crate::lanes::{Admission, InputLane};
use crate::mutant::Mutant;
use crate::source::{self, Decision, HURRY_METRES, Near, Source, StepEnd};
use crate::target::{self, StagedState, Target};
use crate::{Baselines, Capsule, CasOutcome, CasRequest, Expect, Kept, LeaseGuard, Record};

use super::message::{Message, Outbox};

pub(super) const KEY: EntityKey = EntityKey::Player(PlayerId(7));

/// The entity: what it applied, and whether it carries the world's only token.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct State {
    pub(super) chain: Vec<u32>,
    pub(super) token: bool,
}

impl State {
    pub(super) fn applied(&self) -> u32 {
        self.chain.last().copied().unwrap_or(0)
    }

    pub(super) fn capsule(&self) -> Capsule {
        let mut capsule = Capsule::new();
        capsule.insert("chain", self.chain.iter().flat_map(|seq| seq.to_le_bytes()).collect());
        if self.token {
            capsule.insert("token", vec![]);
        }
        capsule
    }

    pub(super) fn read(capsule: &Capsule) -> Self {
        let bytes = capsule.part("chain").expect("every state has one");
        let chain = bytes.chunks(4).map(|seq| u32::from_le_bytes(seq.try_into().expect("whole numbers")));
        Self { chain: chain.collect(), token: capsule.part("token").is_some() }
    }
}

#[derive(Debug)]
pub(super) struct Process {
    pub(super) me: LeaseGuard,
    pub(super) source: Option<Source>,
    pub(super) target: Target,
    pub(super) tick: Tick,
    state: State,
    lane: InputLane<u32>,
    ground: bool,
    /// As of the last step: what the next flush makes durable.
    stepped: Stepped,
    sent: Baselines,
    recovering: Option<(HandoffId, Record, State)>,
    /// Final states on their way to the disk; a crash loses them.
    staging: Vec<StagedState>,
    mutant: Option<Mutant>,
}

#[derive(Debug, Clone, Default)]
struct Stepped {
    tick: Tick,
    ground: bool,
    entity: Option<(Epoch, State)>,
}

impl Process {
    pub(super) fn new(me: LeaseGuard, ground: bool, mutant: Option<Mutant>) -> Self {
        let target = Target::new(me);
        Self {
            me,
            source: None,
            target: match mutant {
                Some(mutant) => target.without(mutant),
                None => target,
            },
            tick: Tick(0),
            state: State::default(),
            lane: InputLane::new(0),
            ground,
            stepped: Stepped { ground, ..Stepped::default() },
            sent: Baselines::new(),
            recovering: None,
            staging: vec![],
            mutant,
        }
    }

    /// Takes the region over: `record` and `durable` are what the store and the journal hold.
    pub(super) fn recover(&mut self, nonce: HandoffId, record: &Record, durable: State) {
        self.tick = record.tick;
        if record.region == self.me.region {
            self.recovering = Some((nonce, record.clone(), durable));
        }
    }

    /// Owns without asking: only the first owner may, and a mutant.
    pub(super) fn own(&mut self, now: Duration, epoch: Epoch, state: State, out: &mut Outbox) {
        let source = Source::new(KEY, self.me, epoch, now);
        self.source = Some(match self.mutant {
            Some(mutant) => source.without(mutant),
            None => source,
        });
        let lane = InputLane::new(state.applied());
        self.lane = match self.mutant {
            Some(mutant) => lane.without(mutant),
            None => lane,
        };
        self.state = state;
        self.sent = Baselines::new();
        self.attach(epoch, out);
    }

    pub(super) fn attach(&self, epoch: Epoch, out: &mut Outbox) {
        out.push(Message::Attach { epoch, region: self.me.region, applied: self.lane.applied() });
    }

    pub(super) fn owned_epoch(&self) -> Option<Epoch> {
        self.source.as_ref().filter(|source| source.is_owner()).map(Source::epoch)
    }

    pub(super) fn next_timeout(&self) -> Option<Duration> {
        let source = self.source.as_ref().and_then(Source::next_timeout);
        source.into_iter().chain(self.target.next_timeout()).map(|(at, _)| at).min()
    }

    pub(super) fn step(
        &mut self,
        now: Duration,
        inside: RegionId,
        fresh_handoff: HandoffId,
        out: &mut Outbox,
    ) {
        self.tick = self.tick + 1;
        if let Some((nonce, record, state)) = &self.recovering {
            out.push(Message::Cas(keep(self.me, *nonce, record.epoch, record.tick, state)));
        }
        let owned = self.owned_epoch();
        if owned.is_some() || self.source.is_none() {
            let entity = owned.map(|epoch| (epoch, self.state.clone()));
            self.stepped = Stepped { tick: self.tick, ground: self.ground, entity };
        }
        if let Some(epoch) = owned {
            let (region, applied, tick) = (self.me.region, self.lane.applied(), self.tick);
            out.push(Message::Frame { epoch, region, tick, applied });
        }
        let beyond_metres = if inside == self.me.region { 0.0 } else { 3.0 };
        let (tick, owner) = (self.tick, Some(inside));
        // Half of the time the entity is seen to be near everybody.
        let regions = if fresh_handoff.0.is_multiple_of(2) { 0..0 } else { 0..3 };
        let others = regions.map(RegionId).filter(|&region| region != self.me.region);
        let near = others.fold(Near::NOBODY, |near, region| near.with(region, HURRY_METRES));
        let step = StepEnd {
            tick,
            step_ticks: 1,
            owner,
            beyond_metres,
            near,
            healthy: true,
            swift: true,
            crowded: false,
            held: false,
            fresh_handoff,
        };
        self.source(now, source::Input::StepEnd(step), out);
    }

    /// What has been staged reaches the disk.
    pub(super) fn stage(
        &mut self,
        now: Duration,
        mut write: impl FnMut(LeaseGuard, &StagedState),
        out: &mut Outbox,
    ) {
        for staged in std::mem::take(&mut self.staging) {
            write(self.me, &staged);
            self.target(now, target::Input::Staged { handoff: staged.handoff }, out);
        }
    }

    /// Makes the last step durable. False where the fence refuses: the process falls silent.
    pub(super) fn flush(
        &mut self,
        now: Duration,
        append: impl FnOnce(LeaseGuard, bool, Option<(Epoch, State)>) -> bool,
        out: &mut Outbox,
    ) -> bool {
        let Stepped { tick, ground, entity } = self.stepped.clone();
        let durable = entity.as_ref().map(|(_, state)| state.applied());
        if !append(self.me, ground, entity) {
            return false;
        }
        out.extend(durable.map(|seq| Message::Durable { seq }));
        self.source(now, source::Input::Durable { tick }, out);
        true
    }

    pub(super) fn timeout(&mut self, now: Duration, fresh_handoff: HandoffId, out: &mut Outbox) {
        self.source(now, source::Input::Timeout { fresh_handoff }, out);
        self.target(now, target::Input::Timeout, out);
    }

    pub(super) fn input(&mut self, seq: u32, out: &mut Outbox) {
        if self.owned_epoch().is_none() {
            return;
        }
        match self.lane.accept(seq, seq) {
            Admission::Accepted(run) => run.into_iter().for_each(|(seq, _)| self.apply(seq)),
            Admission::Gap { from } => out.push(Message::Nack { region: self.me.region, from }),
            Admission::Duplicate | Admission::Held => {}
        }
    }

    /// Odd inputs pick the token up where it lies here, even ones put it down here.
    fn apply(&mut self, seq: u32) {
        self.state.chain.push(seq);
        let wanted = seq % 2 == 1;
        if wanted && self.ground || !wanted && self.state.token {
            (self.state.token, self.ground) = (wanted, !wanted);
        }
    }

    /// A compare-and-set was answered; false where the answer is that the lease is lost.
    pub(super) fn outcome(
        &mut self,
        now: Duration,
        handoff: HandoffId,
        outcome: &CasOutcome,
        out: &mut Outbox,
    ) -> bool {
        if *outcome == CasOutcome::LeaseLost {
            return false;
        }
        self.target(now, target::Input::Outcome { handoff, outcome: outcome.clone() }, out);
        let (CasOutcome::Won(record) | CasOutcome::Lost(Some(record))) = outcome else { return true };
        if let Some((nonce, before, state)) = self.recovering.take() {
            let ours = record.holder == Some(self.me.holder()) && record.handoff == nonce;
            if ours && self.source.is_none() {
                self.own(now, record.epoch, state, out);
            } else if record.epoch <= before.epoch {
                self.recovering = Some((nonce, before, state));
            }
        }
        self.source(now, source::Input::Decided(Decision::from(record)), out);
        true
    }

    pub(super) fn hear(&mut self, now: Duration, message: RegionToRegion, out: &mut Outbox) {
        use source::Input as S;
        use target::Input as T;
        match message {
            RegionToRegion::Offer(offer) => self.target(now, T::Offer { offer: *offer, ready: Ok(()) }, out),
            RegionToRegion::Accept { handoff, lease, worker } => {
                self.source(now, S::Accepted { handoff, lease, worker }, out);
            }
            RegionToRegion::Refuse { handoff, why } => self.source(now, S::Refused { handoff, why }, out),
            RegionToRegion::Withdraw { handoff } => self.target(now, T::Withdraw { handoff }, out),
            RegionToRegion::Presync(state) => self.target(now, T::Presync(*state), out),
            RegionToRegion::PresyncAck { handoff, tick } => {
                self.source(now, S::PresyncAck { handoff, tick }, out);
            }
            RegionToRegion::Final(last) => self.target(now, T::Final(*last), out),
            RegionToRegion::NeedFull { handoff } => self.source(now, S::NeedFull { handoff }, out),
            RegionToRegion::Moved { key, epoch, .. } => {
                self.target(now, T::Observed { key, epoch }, out);
                self.source(now, S::Superseded { epoch }, out);
            }
            other => panic!("not part of a handoff: {other:?}"),
        }
    }

    pub(super) fn source(&mut self, now: Duration, input: source::Input, out: &mut Outbox) {
        let Some(source) = &mut self.source else { return };
        let (epoch, me) = (source.epoch(), self.me);
        for output in source.handle(now, input) {
            let capsule = self.state.capsule();
            let (to, body) = match output {
                source::Output::SendOffer { to, handoff } => (to, offer(me, to, handoff, epoch)),
                source::Output::SendWithdraw { to, handoff } => (to, RegionToRegion::Withdraw { handoff }),
                source::Output::SendPresync { to, handoff, base } => {
                    let (base, parts) = self.sent.parts(base, &capsule);
                    self.sent.put(self.tick, Arc::new(capsule));
                    let state = PresyncState { handoff, tick: self.tick, base, parts };
                    (to, RegionToRegion::Presync(Box::new(state)))
                }
                source::Output::SendFinal { to, worker, lease, handoff, base, tick, late } => {
                    let (base, parts) = self.sent.parts(base, &capsule);
                    let last = FinalState {
                        handoff,
                        key: KEY,
                        epoch,
                        from: me.region,
                        to,
                        to_worker: worker,
                        to_lease: lease,
                        tick,
                        applied: self.state.applied(),
                        base,
                        parts,
                        hash: capsule.hash(),
                        frozen_ns: now.as_nanos() as u64,
                        late,
                        overhang_m: 3.0,
                        teleport: false,
                        full_bytes: 0,
                        group: vec![],
                    };
                    (to, RegionToRegion::Final(Box::new(last)))
                }
                source::Output::CasKeep { handoff, expect_epoch } => {
                    out.push(Message::Cas(keep(me, handoff, expect_epoch, self.stepped.tick, &self.state)));
                    continue;
                }
                source::Output::ReadRecord => {
                    out.push(Message::Read { me });
                    continue;
                }
                source::Output::Resumed { epoch } => {
                    out.push(Message::Resumed);
                    out.push(Message::Attach { epoch, region: me.region, applied: self.lane.applied() });
                    continue;
                }
                source::Output::Released { epoch, .. } => {
                    self.source = None;
                    let _ = self.target.handle(now, target::Input::Observed { key: KEY, epoch });
                    return;
                }
                source::Output::Freeze { .. } | source::Output::Flush { .. } => continue,
            };
            out.push(Message::Region { to, body });
        }
    }

    pub(super) fn target(&mut self, now: Duration, input: target::Input, out: &mut Outbox) {
        let me = self.me;
        for output in self.target.handle(now, input) {
            let (to, body) = match output {
                target::Output::SendAccept { to, handoff } => {
                    (to, RegionToRegion::Accept { handoff, lease: me.lease, worker: me.worker })
                }
                target::Output::SendRefuse { to, handoff, why } => {
                    (to, RegionToRegion::Refuse { handoff, why })
                }
                target::Output::SendPresyncAck { to, handoff, tick } => {
                    (to, RegionToRegion::PresyncAck { handoff, tick })
                }
                target::Output::SendNeedFull { to, handoff } => (to, RegionToRegion::NeedFull { handoff }),
                target::Output::Stage(staged) => {
                    self.staging.push(staged);
                    continue;
                }
                target::Output::CasMove(call) => {
                    out.extend(call.into_iter().map(Message::Cas));
                    continue;
                }
                target::Output::Activated { record, capsule, arrival, .. } => {
                    self.tick = self.tick.max(arrival.tick);
                    self.own(now, record.epoch, State::read(&capsule), out);
                    out.push(Message::Activated);
                    (arrival.from, RegionToRegion::Moved { key: KEY, epoch: record.epoch, region: me.region })
                }
                target::Output::Shadow { .. } | target::Output::Forget { .. } => continue,
            };
            out.push(Message::Region { to, body });
        }
    }
}

fn keep(guard: LeaseGuard, handoff: HandoffId, epoch: Epoch, tick: Tick, state: &State) -> CasRequest {
    let expect = Some(Expect { epoch, region: guard.region });
    let (applied, capsule) = (state.applied(), Kept::Here(state.capsule().encode()));
    CasRequest { key: KEY, guard, expect, handoff, applied, tick, capsule, park: false, group: None }
}

fn offer(me: LeaseGuard, to: RegionId, handoff: HandoffId, epoch: Epoch) -> RegionToRegion {
    let entity = EntityId::from_bits(9).expect("not zero");
    let (from, size, plugins_hash) = (me.region, 0, 0);
    RegionToRegion::Offer(Box::new(Offer { handoff, key: KEY, entity, epoch, from, to, size, plugins_hash }))
}
