use horizon_model::{PlayerId, Tick, WorkerId};
use horizon_protocol::link::{Change, Edit, PartChange};

use super::*;
use crate::Holder;

mod group;

const KEY: EntityKey = EntityKey::Player(PlayerId(7));
const A: RegionId = RegionId(0);
const HOME: RegionId = RegionId(1);
const ME: LeaseGuard = LeaseGuard { region: HOME, worker: WorkerId(2), lease: Epoch(20) };
const E: Epoch = Epoch(5);
const H: HandoffId = HandoffId(100);

fn capsule(value: u8) -> Capsule {
    let mut capsule = Capsule::new();
    capsule.insert("fixed", vec![0; 4]);
    capsule.insert("value", vec![value]);
    capsule
}

fn offer() -> Offer {
    let entity = EntityId::from_bits(9).expect("not zero");
    Offer { handoff: H, key: KEY, entity, epoch: E, from: A, to: HOME, size: 0, plugins_hash: 0 }
}

fn offered() -> Input {
    Input::Offer { offer: offer(), ready: Ok(()) }
}

/// State `tick`, whose value is its tick.
fn presync(tick: u64, base: Option<u64>) -> Input {
    let state = capsule(tick as u8);
    let parts = base.map_or_else(|| state.all_changes(), |base| state.changes_since(&capsule(base as u8)));
    Input::Presync(PresyncState { handoff: H, tick: Tick(tick), base: base.map(Tick), parts })
}

fn last(tick: u64, base: Option<u64>) -> FinalState {
    let Input::Presync(PresyncState { parts, .. }) = presync(tick, base) else { unreachable!() };
    FinalState {
        handoff: H,
        key: KEY,
        epoch: E,
        from: A,
        to: HOME,
        to_worker: ME.worker,
        to_lease: ME.lease,
        tick: Tick(tick),
        applied: 3,
        base: base.map(Tick),
        parts,
        hash: capsule(tick as u8).hash(),
        frozen_ns: 1,
        late: false,
        overhang_m: 2.5,
        teleport: false,
        full_bytes: 17,
        group: vec![],
    }
}

fn record(epoch: Epoch, holder: Holder, handoff: HandoffId) -> Record {
    let capsule = Kept::Journal { lease: ME.lease, hash: capsule(9).hash() };
    Record { epoch, region: HOME, holder: Some(holder), handoff, applied: 3, tick: Tick(9), capsule }
}

fn won() -> Record {
    record(Epoch(6), ME.holder(), H)
}

/// The journal has what was staged.
const fn durable() -> Input {
    Input::Staged { handoff: H }
}

fn outcome(outcome: CasOutcome) -> Input {
    Input::Outcome { handoff: H, outcome }
}

/// What was put out, in a word each.
fn words(outputs: &[Output]) -> Vec<String> {
    let word = |output: &Output| match output {
        Output::SendAccept { .. } => "accept".to_owned(),
        Output::SendRefuse { why, .. } => format!("refuse {why:?}"),
        Output::SendPresyncAck { tick, .. } => format!("ack {tick}"),
        Output::SendNeedFull { .. } => "need full".to_owned(),
        Output::Shadow { tick, capsule, .. } => {
            format!("shadow {tick}={}", capsule.part("value").expect("always there")[0])
        }
        Output::Stage(staged) => {
            assert_eq!((staged.key, staged.handoff, staged.epoch), (KEY, H, E));
            format!("stage {}", staged.capsule.part("value").expect("always there")[0])
        }
        Output::CasMove(call) => {
            let [request] = &call[..] else { panic!("one alone") };
            assert_eq!((request.guard, request.handoff, request.park), (ME, H, false));
            assert_eq!(request.expect, Some(Expect { epoch: E, region: A }));
            let named = |value: &u8| {
                request.capsule == Kept::Journal { lease: ME.lease, hash: capsule(*value).hash() }
            };
            format!("move {}", (0..=u8::MAX).find(named).expect("one of the states"))
        }
        Output::Activated { record, .. } => format!("activated {}", record.epoch.count()),
        Output::Forget { .. } => "forget".to_owned(),
    };
    outputs.iter().map(word).collect()
}

#[track_caller]
fn check(row: &str, inputs: &[Input], expected: &str) -> Target {
    let rows: Vec<_> = inputs.iter().map(|input| (0, input.clone())).collect();
    check_timed(row, &rows, expected)
}

#[track_caller]
fn check_timed(row: &str, rows: &[(u64, Input)], expected: &str) -> Target {
    let mut target = Target::new(ME);
    let mut now = Duration::ZERO;
    let mut outputs = vec![];
    for (wait, input) in rows {
        now += Duration::from_millis(*wait);
        outputs.extend(target.handle(now, input.clone()));
    }
    assert_eq!(words(&outputs).join(", "), expected, "{row}");
    target
}

#[test]
fn offers() {
    let not_ready = Input::Offer { offer: offer(), ready: Err(RefuseReason::Schema) };
    let elsewhere = Input::Offer { offer: Offer { to: A, ..offer() }, ready: Ok(()) };
    check("taken, and the answer is repeated", &[offered(), offered()], "accept, accept");
    check("not ready", &[not_ready], "refuse Schema");
    check("for another region", &[elsewhere], "refuse NotServing");
    check("under a lost lease", &[Input::LeaseLost, offered()], "refuse NotServing");
    check("of a passed epoch", &[Input::Observed { key: KEY, epoch: Epoch(6) }, offered()], "");
    check(
        "withdrawn, twice",
        &[offered(), Input::Withdraw { handoff: H }, Input::Withdraw { handoff: H }],
        "accept, forget",
    );
    check("the source is gone", &[offered(), Input::SourceLost { region: A }], "accept, forget");
    check(
        "the source resumed",
        &[offered(), Input::Observed { key: KEY, epoch: Epoch(6) }],
        "accept, forget",
    );
    let mut full = Target::new(ME);
    for n in 0..MAX_COPIES as u128 {
        let offer = Offer { handoff: HandoffId(n), key: EntityKey::Player(PlayerId(n)), ..offer() };
        full.handle(Duration::ZERO, Input::Offer { offer, ready: Ok(()) });
    }
    let offer = Offer { key: EntityKey::Player(PlayerId(99_999)), ..offer() };
    let outputs = full.handle(Duration::ZERO, Input::Offer { offer, ready: Ok(()) });
    assert_eq!(words(&outputs), ["refuse Full"]);
}

#[test]
fn presync_builds_on_what_was_acknowledged() {
    check(
        "full, then deltas, some against an older base",
        &[offered(), presync(1, None), presync(2, Some(1)), presync(3, Some(1)), presync(4, Some(3))],
        "accept, ack 1, shadow 1=1, ack 2, shadow 2=2, ack 3, shadow 3=3, ack 4, shadow 4=4",
    );
    check(
        "late ones change nothing",
        &[offered(), presync(2, None), presync(1, None), presync(2, None)],
        "accept, ack 2, shadow 2=2, ack 2, ack 2",
    );
    let Input::Presync(fits) = presync(3, Some(2)) else { unreachable!() };
    let edits = vec![Edit::Keep { at: 2, len: 9 }];
    let change = PartChange { name: "fixed".to_owned(), change: Change::Edited(edits) };
    let misfit = Input::Presync(PresyncState { parts: vec![change], ..fits });
    check(
        "edits for another state ask for everything",
        &[offered(), presync(2, None), misfit],
        "accept, ack 2, shadow 2=2, need full",
    );
    check("a gap asks for everything", &[offered(), presync(2, Some(1))], "accept, need full");
    check("nobody asked", &[presync(2, None)], "");
}

#[test]
fn a_final_is_committed_once_and_only_here() {
    let last_at = |edit: fn(&mut FinalState)| {
        let mut state = last(9, None);
        edit(&mut state);
        Input::Final(state)
    };
    let target = check(
        "pre-synced, final as a delta, each message twice",
        &[
            offered(),
            presync(8, None),
            Input::Final(last(9, Some(8))),
            Input::Final(last(9, Some(8))),
            durable(),
            durable(),
            outcome(CasOutcome::Won(won())),
            outcome(CasOutcome::Won(won())),
            Input::Final(last(9, None)),
        ],
        "accept, ack 8, shadow 8=8, stage 9, move 9, activated 6",
    );
    assert_eq!((target.high_water(KEY), target.copies()), (Epoch(6), 0));
    check("needs no copy when it is full", &[Input::Final(last(9, None)), durable()], "stage 9, move 9");
    check("for another process", &[last_at(|f| f.to_worker = WorkerId(3))], "");
    check("for an older lease", &[last_at(|f| f.to_lease = Epoch(19))], "");
    check(
        "of a passed epoch",
        &[Input::Observed { key: KEY, epoch: Epoch(6) }, Input::Final(last(9, None))],
        "",
    );
    check("a delta without its base", &[offered(), Input::Final(last(9, Some(8)))], "accept, need full");
    check(
        "another hash",
        &[offered(), presync(8, None), Input::Final(FinalState { hash: 1, ..last(9, Some(8)) })],
        "accept, ack 8, shadow 8=8, need full",
    );
    check("a full one that contradicts itself", &[last_at(|f| f.hash = 1)], "");
    check(
        "staged is not withdrawn",
        &[
            Input::Final(last(9, None)),
            Input::Withdraw { handoff: H },
            Input::SourceLost { region: A },
            durable(),
        ],
        "stage 9, move 9",
    );
}

#[test]
fn only_a_record_that_names_us_activates() {
    let staged = || Input::Final(last(9, None));
    let row = |name: &str, answer: CasOutcome, expected: &str| {
        check(name, &[staged(), durable(), outcome(answer)], expected)
    };
    let other = Holder { worker: WorkerId(3), ..ME.holder() };
    row("ours", CasOutcome::Won(won()), "stage 9, move 9, activated 6");
    row("another's", CasOutcome::Won(record(Epoch(6), other, H)), "stage 9, move 9, forget");
    row(
        "an earlier life of ours",
        CasOutcome::Won(record(Epoch(6), ME.holder(), HandoffId(1))),
        "stage 9, move 9, forget",
    );
    row("not newer", CasOutcome::Won(record(E, ME.holder(), H)), "stage 9, move 9, forget");
    row("lost", CasOutcome::Lost(Some(won())), "stage 9, move 9, forget");
    row("no record at all", CasOutcome::Lost(None), "stage 9, move 9, forget");
    row("too large", CasOutcome::TooLarge { max_bytes: 1 }, "stage 9, move 9, forget");
    row("lease lost", CasOutcome::LeaseLost, "stage 9, move 9, forget");
    check(
        "ours, but somebody was seen beyond it",
        &[
            staged(),
            durable(),
            Input::Observed { key: KEY, epoch: Epoch(7) },
            outcome(CasOutcome::Won(won())),
        ],
        "stage 9, move 9, forget",
    );
    check("an answer before the question", &[outcome(CasOutcome::Won(won())), offered()], "accept");
}

#[test]
fn the_store_is_not_asked_before_the_state_is_durable() {
    let target = check_timed(
        "the disk takes its time",
        &[(0, Input::Final(last(9, None))), (9000, Input::Timeout), (0, Input::Unknown { handoff: H })],
        "stage 9",
    );
    assert_eq!(target.next_timeout(), None);
    let staged: Vec<_> = target.staged().map(|staged| (staged.handoff, staged.capsule.hash())).collect();
    assert_eq!(staged, [(H, capsule(9).hash())], "a new part of the journal must hold it");
    check(
        "about another attempt",
        &[Input::Final(last(9, None)), Input::Staged { handoff: HandoffId(1) }],
        "stage 9",
    );
}

#[test]
fn the_store_is_asked_until_it_answers() {
    let staged = || (0, Input::Final(last(9, None)));
    let unknown = Input::Unknown { handoff: H };
    let durable = || (0, durable());
    check_timed(
        "no answer",
        &[staged(), durable(), (999, Input::Timeout), (1, Input::Timeout)],
        "stage 9, move 9, move 9",
    );
    check_timed(
        "unknown",
        &[staged(), durable(), (1, unknown), (19, Input::Timeout), (1, Input::Timeout)],
        "stage 9, move 9, move 9",
    );
    let recovery = outcome(CasOutcome::WrongGeneration { store: 2 });
    check_timed(
        "the store recovers",
        &[staged(), durable(), (1, recovery), (1000, Input::Timeout)],
        "stage 9, move 9, move 9",
    );
}

#[test]
fn a_silent_copy_is_forgotten_after_five_seconds() {
    let target = check_timed(
        "news count from the last state",
        &[(0, offered()), (4000, presync(1, None)), (4999, Input::Timeout)],
        "accept, ack 1, shadow 1=1",
    );
    assert_eq!(target.next_timeout(), Some((Duration::from_secs(9), "news about a copy")));
    check_timed("then", &[(0, offered()), (5000, Input::Timeout)], "accept, forget");
}

#[test]
fn tombstones_are_bounded() {
    let mut target = Target::new(ME);
    for n in 0..=MAX_TOMBSTONES as u128 {
        let key = EntityKey::Player(PlayerId(n));
        target.handle(Duration::from_millis(n as u64), Input::Observed { key, epoch: E });
    }
    assert!(target.tombstones.len() <= MAX_TOMBSTONES / 2 + 1);
    assert_eq!(target.high_water(EntityKey::Player(PlayerId(MAX_TOMBSTONES as u128))), E);
    assert_eq!(target.high_water(EntityKey::Player(PlayerId(0))), Epoch::ZERO);
    let part = PartChange { name: "x".to_owned(), change: Change::Gone };
    assert_eq!(Arrival::from(&FinalState { parts: vec![part], ..last(9, None) }).cutover_bytes, 1);
}
