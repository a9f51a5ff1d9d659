use horizon_model::{PlayerId, WorkerId};
use horizon_protocol::link::RefuseReason;
use proptest::prelude::*;

use super::*;
use crate::Holder;

mod group;
mod streams;

const KEY: EntityKey = EntityKey::Player(PlayerId(7));
const HOME: RegionId = RegionId(0);
const B: RegionId = RegionId(1);
const C: RegionId = RegionId(2);
const ME: LeaseGuard = LeaseGuard { region: HOME, worker: WorkerId(1), lease: Epoch(10) };
const E: Epoch = Epoch(5);
/// To B.
const H: HandoffId = HandoffId(100);
/// To C.
const G: HandoffId = HandoffId(200);

/// An input, `wait` milliseconds after the one before.
type Row = (u64, Input);

const fn prepare_for(target: RegionId) -> Input {
    Input::Prepare { target, handoff: if target.0 == C.0 { G } else { H } }
}
const fn accepted(handoff: HandoffId) -> Input {
    Input::Accepted { handoff, lease: Epoch(20), worker: WorkerId(2) }
}
const fn ack(tick: u64) -> Input {
    Input::PresyncAck { handoff: H, tick: Tick(tick) }
}
const fn step_near(tick: u64, owner: RegionId, beyond_metres: f64, near: Near) -> Input {
    let (owner, fresh_handoff) = (Some(owner), HandoffId(tick as u128));
    Input::StepEnd(StepEnd {
        tick: Tick(tick),
        step_ticks: 1,
        owner,
        beyond_metres,
        near,
        healthy: true,
        swift: true,
        crowded: false,
        held: false,
        fresh_handoff,
    })
}
const fn step(tick: u64, owner: RegionId, beyond_metres: f64) -> Input {
    step_near(tick, owner, beyond_metres, Near::NOBODY)
}
/// Inside, with these regions around.
fn beside(tick: u64, regions: &[(RegionId, f64)]) -> Input {
    let near = regions.iter().fold(Near::NOBODY, |near, &(region, metres)| near.with(region, metres));
    step_near(tick, HOME, 0.0, near)
}
const fn timeout(nonce: u128) -> Input {
    Input::Timeout { fresh_handoff: HandoffId(nonce) }
}
const fn durable(tick: u64) -> Input {
    Input::Durable { tick: Tick(tick) }
}
const fn decided(epoch: Epoch, region: RegionId, worker: u64, handoff: u128) -> Input {
    let lease = if region.0 == HOME.0 { ME.lease } else { Epoch(20) };
    let holder = Some(Holder { worker: WorkerId(worker), lease });
    Input::Decided(Decision { epoch, region, holder, handoff: HandoffId(handoff) })
}
const fn offer(to: RegionId, handoff: HandoffId) -> Output {
    Output::SendOffer { to, handoff }
}
const fn withdraw(to: RegionId, handoff: HandoffId) -> Output {
    Output::SendWithdraw { to, handoff }
}
const fn presync(base: Option<Tick>) -> Output {
    Output::SendPresync { to: B, handoff: H, base }
}
const fn presync_to(to: RegionId, handoff: HandoffId, base: Option<Tick>) -> Output {
    Output::SendPresync { to, handoff, base }
}
const fn last(base: Option<Tick>, tick: u64, late: bool) -> Output {
    let (worker, lease) = (WorkerId(2), Epoch(20));
    Output::SendFinal { to: B, worker, lease, handoff: H, base, tick: Tick(tick), late }
}
const fn freeze(tick: u64) -> [Output; 2] {
    [Output::Freeze { tick: Tick(tick) }, Output::Flush { tick: Tick(tick) }]
}
const fn keep(nonce: u128) -> Output {
    Output::CasKeep { handoff: HandoffId(nonce), expect_epoch: E }
}

fn drive(rows: &[Row]) -> (Source, Vec<Output>) {
    let mut source = Source::new(KEY, ME, E, Duration::ZERO);
    let mut now = Duration::ZERO;
    let outputs = rows.iter().flat_map(|(wait, input)| {
        now += Duration::from_millis(*wait);
        source.handle(now, *input)
    });
    let outputs = outputs.collect();
    (source, outputs)
}

#[track_caller]
fn check(row: &str, rows: &[Row], expected: &[Output]) {
    assert_eq!(drive(rows).1, expected, "{row}");
}

/// Accepted and fresh, 600 ms after the entity came, with its last step inside at tick 9.
fn ready() -> Vec<Row> {
    vec![(600, prepare_for(B)), (0, accepted(H)), (0, step(9, HOME, 0.0)), (16, ack(9))]
}
fn ready_outputs() -> Vec<Output> {
    vec![offer(B, H), presync(None)]
}
fn after<T: Copy>(start: impl AsRef<[T]>, rest: &[T]) -> Vec<T> {
    [start.as_ref(), rest].concat()
}
#[track_caller]
fn check_ready(row: &str, rows: &[Row], expected: &[Output]) {
    check(row, &after(ready(), rows), &after(ready_outputs(), expected));
}
/// Frozen at tick 10.
fn frozen() -> Vec<Row> {
    after(ready(), &[(0, step(10, B, 2.0))])
}
#[track_caller]
fn check_frozen(row: &str, rows: &[Row], expected: &[Output]) {
    let frozen_outputs = after(ready_outputs(), &freeze(10));
    check(row, &after(frozen(), rows), &after(frozen_outputs, expected));
}

#[test]
fn offers() {
    let refused = || Input::Refused { handoff: H, why: RefuseReason::Full };
    check("a forecast begins one, and only one", &[(0, prepare_for(B)), (9, prepare_for(B))], &[offer(B, H)]);
    check("not for home", &[(0, prepare_for(HOME))], &[]);
    check(
        "no answer: the same again",
        &[(0, prepare_for(B)), (499, timeout(1)), (1, timeout(1))],
        &[offer(B, H), offer(B, H)],
    );
    check(
        "refused: a new one in 500 ms",
        &[(0, prepare_for(B)), (0, refused()), (499, timeout(1)), (1, timeout(2))],
        &[offer(B, H), offer(B, HandoffId(2))],
    );
    check(
        "unwanted for two seconds: withdrawn",
        &[
            (0, prepare_for(B)),
            (0, accepted(H)),
            (400, ack(1)),
            (1599, step(1, HOME, 0.0)),
            (1, step(2, HOME, 0.0)),
        ],
        &[offer(B, H), offer(B, H), presync(Some(Tick(1))), withdraw(B, H)],
    );
    let forecast = |region, nonce| Input::Prepare { target: RegionId(region), handoff: HandoffId(nonce) };
    check(
        "up to three at a time, a fourth in the place of one that is not asked for any more",
        &[
            (0, forecast(1, 1)),
            (1, forecast(2, 2)),
            (1, forecast(3, 3)),
            (490, forecast(1, 9)),
            (8, forecast(4, 4)),
            (1, forecast(4, 5)),
        ],
        &[
            offer(B, HandoffId(1)),
            offer(C, HandoffId(2)),
            offer(RegionId(3), HandoffId(3)),
            withdraw(C, HandoffId(2)),
            offer(RegionId(4), HandoffId(5)),
        ],
    );
    check(
        "without a forecast, as soon as the border is behind",
        &[(0, step(1, B, 0.1))],
        &[offer(B, HandoffId(1))],
    );
    check("off the map is nobody's", &[(0, step(1, HOME, 0.0))], &[]);
    check_ready(
        "a restarted target begins anew, an old answer of it does not",
        &[
            (0, Input::Accepted { handoff: H, lease: Epoch(21), worker: WorkerId(3) }),
            (0, accepted(H)),
            (0, ack(9)),
            (0, step(10, HOME, 0.0)),
        ],
        &[presync(Some(Tick(9)))],
    );
    check_ready(
        "a lost link is a refusal",
        &[(0, Input::TargetLost { region: B }), (500, timeout(3))],
        &[offer(B, HandoffId(3))],
    );
    check_ready(
        "a target that fell silent is asked again",
        &[(500, step(39, HOME, 0.0))],
        &[offer(B, H), presync(Some(Tick(9)))],
    );
}

#[test]
fn states_are_streamed() {
    check_ready(
        "against the newest acknowledged",
        &[(0, ack(8)), (0, step(10, HOME, 0.0))],
        &[presync(Some(Tick(9)))],
    );
    check_ready(
        "of this attempt only",
        &[(0, Input::PresyncAck { handoff: HandoffId(1), tick: Tick(10) }), (0, step(11, HOME, 0.0))],
        &[presync(Some(Tick(9)))],
    );
    check_ready(
        "in full when asked",
        &[(0, Input::NeedFull { handoff: H }), (0, step(10, HOME, 0.0))],
        &[presync(None)],
    );
}

#[test]
fn crossing() {
    let frozen_late = |tick: u64, base: u64| after(freeze(tick), &[last(Some(Tick(base)), tick, true)]);
    check_ready(
        "at two metres",
        &[(0, step(10, B, 1.9)), (0, ack(10)), (0, step(11, B, 2.0)), (0, durable(11))],
        &[presync(Some(Tick(9))), freeze(11)[0], freeze(11)[1], last(Some(Tick(10)), 11, false)],
    );
    check_ready(
        "not with a copy that is two steps behind",
        &[(0, step(11, B, 2.0))],
        &[presync(Some(Tick(9)))],
    );
    check_ready(
        "which makes it late, but is no obstacle for ever",
        &[(0, step(11, B, 2.0)), (249, step(12, B, 2.0)), (1, step(13, B, 2.0)), (0, durable(13))],
        &after(vec![presync(Some(Tick(9))), presync(Some(Tick(9)))], &frozen_late(13, 9)),
    );
    let Input::StepEnd(unhealthy) = step(10, B, 2.0) else { unreachable!() };
    let unhealthy = StepEnd { healthy: false, ..unhealthy };
    check_ready(
        "not with a store out of reach",
        &[(0, Input::StepEnd(unhealthy))],
        &[presync(Some(Tick(9)))],
    );
    let crowd = |tick| {
        let Input::StepEnd(step) = step(tick, B, 2.0) else { unreachable!() };
        Input::StepEnd(StepEnd { crowded: true, ..step })
    };
    check_ready(
        "with a copy that is not too old where many cross at one time",
        &[(0, crowd(33)), (0, durable(33))],
        &after(freeze(33), &[last(Some(Tick(9)), 33, false)]),
    );
    check_ready(
        "and not with an older one, which is renewed now and then",
        &[(0, crowd(34)), (0, crowd(35)), (0, ack(34)), (0, crowd(36)), (0, durable(36))],
        &after(vec![presync(Some(Tick(9)))], &after(freeze(36), &[last(Some(Tick(34)), 36, true)])),
    );
    let slow = |tick| {
        let Input::StepEnd(step) = step(tick, B, 2.0) else { unreachable!() };
        Input::StepEnd(StepEnd { swift: false, ..step })
    };
    check_ready(
        "not while the disk is slow, which is no obstacle for ever either",
        &[(0, slow(10)), (249, slow(11)), (1, slow(12)), (0, durable(12))],
        &after(vec![presync(Some(Tick(9))), presync(Some(Tick(9)))], &frozen_late(12, 9)),
    );
    check(
        "not within half a second of the arrival",
        &[
            (0, prepare_for(B)),
            (0, accepted(H)),
            (483, ack(9)),
            (16, step(10, B, 3.0)),
            (0, ack(10)),
            (1, step(11, B, 3.0)),
        ],
        &after(vec![offer(B, H), presync(Some(Tick(9)))], &freeze(11)),
    );
    check_ready(
        "to the owner of the place, whoever was forecast",
        &[
            (0, step(10, C, 2.0)),
            (0, Input::Accepted { handoff: HandoffId(10), lease: Epoch(30), worker: WorkerId(3) }),
        ],
        &[offer(C, HandoffId(10)), presync(Some(Tick(9)))],
    );
    let ack_c = |tick| Input::PresyncAck { handoff: G, tick: Tick(tick) };
    let both =
        [(0, prepare_for(C)), (0, accepted(G)), (0, step(10, HOME, 0.0)), (0, ack(10)), (0, ack_c(10))];
    let both_outputs = [offer(C, G), presync(Some(Tick(9))), presync_to(C, G, None)];
    check_ready(
        "of two that accepted to the one it is in, and the other is told",
        &after(both, &[(0, step(11, C, 2.0)), (0, durable(11)), (0, ack(11)), (0, accepted(H))]),
        &after(
            both_outputs,
            &[
                withdraw(B, H),
                freeze(11)[0],
                freeze(11)[1],
                Output::SendFinal {
                    to: C,
                    worker: WorkerId(2),
                    lease: Epoch(20),
                    handoff: G,
                    base: Some(Tick(10)),
                    tick: Tick(11),
                    late: false,
                },
            ],
        ),
    );
    check_ready(
        "a body that sways between two neighbours begins nothing anew",
        &after(both, &[(0, step(11, B, 1.0)), (0, ack(11)), (0, step(12, C, 1.5)), (0, step(13, B, 1.9))]),
        &after(
            both_outputs,
            &[
                presync(Some(Tick(10))),
                presync_to(C, G, Some(Tick(10))),
                presync(Some(Tick(11))),
                presync_to(C, G, Some(Tick(10))),
                presync(Some(Tick(11))),
                presync_to(C, G, Some(Tick(10))),
            ],
        ),
    );
}

#[test]
fn frozen_until_decided() {
    let lost = decided(Epoch(6), B, 2, 100);
    let released = Output::Released { epoch: Epoch(6), region: Some(B), worker: Some(WorkerId(2)) };
    let resumed = Output::Resumed { epoch: Epoch(6) };
    check_frozen(
        "final once, after the flush",
        &[(0, durable(9)), (0, durable(10)), (0, durable(11))],
        &[last(Some(Tick(9)), 10, false)],
    );
    check_frozen(
        "in full when asked",
        &[(0, Input::NeedFull { handoff: H }), (0, durable(10)), (0, Input::NeedFull { handoff: H })],
        &[last(Some(Tick(9)), 10, false), last(None, 10, false)],
    );
    check_frozen(
        "silence: keep, with one nonce for every repetition",
        &[(0, durable(10)), (99, timeout(1)), (1, timeout(2)), (100, timeout(3))],
        &[last(Some(Tick(9)), 10, false), keep(2), keep(2)],
    );
    check_frozen(
        "nothing leaves before the flush, not even a keep",
        &[(100, timeout(1)), (0, durable(10))],
        &[Output::Flush { tick: Tick(10) }, last(Some(Tick(9)), 10, false)],
    );
    check_frozen(
        "the target won",
        &[(0, durable(10)), (3, lost), (0, lost), (100, timeout(1))],
        &[last(Some(Tick(9)), 10, false), released],
    );
    check_frozen(
        "our keep won",
        &[(0, durable(10)), (100, timeout(2)), (1, decided(Epoch(6), HOME, 1, 2))],
        &[last(Some(Tick(9)), 10, false), keep(2), withdraw(B, H), resumed],
    );
    let back_again = Output::Released { epoch: Epoch(7), region: Some(HOME), worker: Some(WorkerId(1)) };
    check_frozen(
        "a newer record of ours that no keep of this freeze won is another life",
        &[(0, decided(Epoch(7), HOME, 1, 9))],
        &[back_again],
    );
    check_frozen("an old record decides nothing", &[(0, decided(E, HOME, 1, 2))], &[]);
    check_frozen(
        "a hint is verified",
        &[(0, Input::Superseded { epoch: Epoch(6) }), (1, lost)],
        &[Output::ReadRecord, released],
    );
    check_frozen(
        "a lost link cuts the wait",
        &[(0, durable(10)), (1, Input::TargetLost { region: B }), (0, timeout(1))],
        &[last(Some(Tick(9)), 10, false), keep(1)],
    );
}

#[test]
fn an_owner_that_was_passed_falls_silent() {
    check(
        "by a record",
        &[(0, decided(Epoch(6), B, 2, 1)), (0, step(1, B, 9.0))],
        &[Output::Released { epoch: Epoch(6), region: Some(B), worker: Some(WorkerId(2)) }],
    );
    check(
        "by a hint",
        &[(0, Input::Superseded { epoch: E }), (0, Input::Superseded { epoch: Epoch(6) })],
        &[Output::Released { epoch: Epoch(6), region: None, worker: None }],
    );
}

#[test]
fn the_wait_for_a_decision_follows_the_step() {
    assert_eq!(freeze_timeout(1), MIN_FREEZE_TIMEOUT);
    assert_eq!(freeze_timeout(6), Duration::from_millis(200));
    let (source, _) = drive(&frozen());
    assert_eq!(source.next_timeout().map(|(at, _)| at), Some(Duration::from_millis(716)));
    assert!(source.is_frozen() && !source.is_owner());
    assert_eq!((source.target(), source.epoch()), (Some(B), E));
    assert_eq!(source.attempts().collect::<Vec<_>>(), [(B, H)]);
    assert!(source.has_attempt(H) && !source.has_attempt(G));
}

fn any_input() -> impl Strategy<Value = Input> {
    let nonce = || (0..4_u128).prop_map(HandoffId);
    let region = || (0..3_u16).prop_map(RegionId);
    prop_oneof![
        (region(), nonce()).prop_map(|(target, handoff)| Input::Prepare { target, handoff }),
        (nonce(), 0..3_u64).prop_map(|(handoff, lease)| Input::Accepted {
            handoff,
            lease: Epoch(lease),
            worker: WorkerId(2)
        }),
        nonce().prop_map(|handoff| Input::Refused { handoff, why: RefuseReason::Behind }),
        region().prop_map(|region| Input::TargetLost { region }),
        (nonce(), 0..30_u64).prop_map(|(handoff, tick)| Input::PresyncAck { handoff, tick: Tick(tick) }),
        nonce().prop_map(|handoff| Input::NeedFull { handoff }),
        (0..30_u64, region(), 0..30_u16).prop_map(|(tick, owner, metres)| {
            let metres = f64::from(metres);
            let near = Near::NOBODY.with(B, metres).with(C, 30.0 - metres);
            step_near(tick, owner, f64::from(owner.0) * 2.0, near)
        }),
        (0..30_u64).prop_map(durable),
        (4..8_u64, region(), 1..3_u64, 0..4_u128).prop_map(|(epoch, region, worker, nonce)| decided(
            Epoch(epoch),
            region,
            worker,
            nonce
        )),
        (4..7_u64).prop_map(|epoch| Input::Superseded { epoch: Epoch(epoch) }),
        (0..4_u128).prop_map(timeout),
    ]
}

proptest! {
    /// Whatever comes in whatever order: after a freeze the entity acts again only at the epoch of a
    /// record that our keep won, epochs never fall, and once released it stays released.
    #[test]
    fn only_a_won_record_gives_it_back(rows in prop::collection::vec((0..300_u64, any_input()), 0..200)) {
        let mut source = Source::new(KEY, ME, E, Duration::ZERO);
        let (mut now, mut asked) = (Duration::ZERO, None);
        for (wait, input) in rows {
            now += Duration::from_millis(wait);
            let (was_owner, was_frozen, epoch) = (source.is_owner(), source.is_frozen(), source.epoch());
            let outputs = source.handle(now, input);
            for output in &outputs {
                match output {
                    Output::CasKeep { handoff, .. } => asked = Some(*handoff),
                    Output::Freeze { .. } => asked = None,
                    _ => {}
                }
            }
            prop_assert!(source.epoch() >= epoch);
            if was_frozen && source.is_owner() {
                let Input::Decided(won) = input else { return Err(TestCaseError::fail("not by a record")) };
                prop_assert!(won.epoch > epoch && won.epoch == source.epoch());
                prop_assert_eq!((won.holder, Some(won.handoff)), (Some(ME.holder()), asked));
            }
            let mut regions: Vec<_> = source.attempts().map(|(region, _)| region).collect();
            regions.sort_unstable();
            regions.dedup();
            prop_assert!(regions.len() <= MAX_ATTEMPTS && !regions.contains(&HOME));
            prop_assert_eq!(regions.len(), source.attempts().count(), "one attempt for each region");
            prop_assert_eq!(source.is_frozen(), source.target().is_some());
            if !was_owner && !was_frozen {
                prop_assert!(outputs.is_empty() && !source.is_owner() && !source.is_frozen());
            }
        }
    }
}
