//! Which attempts begin and end by the entity's place, and how much each of them is sent.

use super::*;

#[test]
fn whoever_is_near_a_border_is_offered_beyond_it() {
    let d = RegionId(3);
    check(
        "the nearest first, one in each step",
        &[
            (0, beside(1, &[(C, 11.0), (d, 12.0), (B, 4.0)])),
            (16, beside(2, &[(C, 11.0), (d, 12.1), (B, 4.0)])),
            (16, beside(3, &[(C, 11.0), (d, 12.1), (B, 4.0)])),
        ],
        &[offer(B, HandoffId(1)), offer(C, HandoffId(2))],
    );
    check(
        "and stays so while it is not far, then two seconds more",
        &[
            (0, beside(1, &[(B, 12.0)])),
            (9, beside(2, &[(B, 20.0)])),
            (499, beside(3, &[])),
            (1501, beside(4, &[])),
        ],
        &[offer(B, HandoffId(1)), offer(B, HandoffId(1)), withdraw(B, HandoffId(1))],
    );
    check_ready(
        "one that nothing wants is withdrawn, the other stays",
        &[
            (0, prepare_for(C)),
            (0, accepted(G)),
            (400, Input::PresyncAck { handoff: G, tick: Tick(8) }),
            (0, ack(9)),
            (450, beside(50, &[(C, 19.0)])),
            (0, Input::PresyncAck { handoff: G, tick: Tick(50) }),
            (0, ack(50)),
            (450, beside(51, &[(C, 19.0)])),
            (0, Input::PresyncAck { handoff: G, tick: Tick(51) }),
            (0, ack(50)),
            (450, beside(52, &[(C, 19.0)])),
            (0, Input::PresyncAck { handoff: G, tick: Tick(51) }),
            (0, ack(50)),
            (234, beside(58, &[(C, 19.0)])),
        ],
        &[
            offer(C, G),
            presync(Some(Tick(9))),
            presync_to(C, G, Some(Tick(8))),
            withdraw(B, H),
            presync_to(C, G, Some(Tick(51))),
        ],
    );
    let near = Near::NOBODY.with(B, 1.0);
    check(
        "so that a crossing finds everything prepared",
        &[
            (600, beside(1, &[(B, 3.0)])),
            (0, accepted(HandoffId(1))),
            (16, beside(2, &[(B, 1.0)])),
            (16, Input::PresyncAck { handoff: HandoffId(1), tick: Tick(2) }),
            (0, step_near(3, B, 2.0, near)),
        ],
        &[offer(B, HandoffId(1)), presync_to(B, HandoffId(1), None), freeze(3)[0], freeze(3)[1]],
    );
}

#[test]
fn who_is_in_no_hurry_is_streamed_now_and_then() {
    let sent = |metres: f64| {
        let mut rows = vec![(0, beside(1, &[(B, metres)])), (0, accepted(HandoffId(1)))];
        for tick in 2..34 {
            rows.push((16, beside(tick, &[(B, metres)])));
            rows.push((0, Input::PresyncAck { handoff: HandoffId(1), tick: Tick(tick) }));
        }
        drive(&rows).1.len() - 1
    };
    assert_eq!((sent(HURRY_METRES), sent(HURRY_METRES + 0.1)), (32, 4));
    let unanswered = |tick| (16, step(tick, HOME, 0.0));
    let rows = after(ready(), &[(0, Input::NeedFull { handoff: H })]);
    let rows = after(rows, &(10..18).map(unanswered).collect::<Vec<_>>());
    let sent = drive(&rows).1.len() - ready_outputs().len();
    assert_eq!(sent, 2, "a complete state is not repeated before it can have been answered");
}

#[test]
fn states_are_kept_while_some_attempt_may_build_on_them() {
    let oldest = |rows: &[Row]| drive(&after(ready(), rows)).0.oldest_base();
    assert_eq!(drive(&[]).0.oldest_base(), None);
    assert_eq!(oldest(&[]), Some(Tick(9)));
    assert_eq!(oldest(&[(0, prepare_for(C))]), Some(Tick(9)), "an offer builds on nothing");
    let accepted_c = [(0, prepare_for(C)), (0, accepted(G))];
    assert_eq!(oldest(&accepted_c), None, "its first answer may be about any");
    let ack_c = Input::PresyncAck { handoff: G, tick: Tick(11) };
    assert_eq!(oldest(&after(accepted_c, &[(0, ack_c)])), Some(Tick(9)));
    assert_eq!(oldest(&after(accepted_c, &[(0, ack_c), (0, ack(12))])), Some(Tick(11)));
}
