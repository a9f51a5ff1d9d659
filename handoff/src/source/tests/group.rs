//! Whoever is one of a group is frozen with all the others or not at all.

use super::*;

#[test]
fn nobody_is_frozen_while_another_one_of_the_group_cannot() {
    let held = |tick| {
        let Input::StepEnd(step) = step(tick, B, 2.0) else { unreachable!() };
        Input::StepEnd(StepEnd { held: true, ..step })
    };
    check_ready(
        "held for a step",
        &[(0, held(10)), (0, ack(10)), (0, step(11, B, 2.0)), (0, durable(11))],
        &after(vec![presync(Some(Tick(9)))], &after(freeze(11), &[last(Some(Tick(10)), 11, false)])),
    );
}

proptest! {
    /// What is asked before the step is what the step does.
    #[test]
    fn a_freeze_is_foretold(
        ticks in 1u64..30, acked in 0u64..30, beyond in 0.0f64..4.0, wait in 0u64..1500,
        flags in any::<[bool; 3]>(),
    ) {
        let mut source = Source::new(KEY, ME, E, Duration::ZERO);
        let ready = Duration::from_millis(wait);
        for input in [prepare_for(B), accepted(H), ack(acked)] {
            source.handle(ready, input);
        }
        let [healthy, swift, crowded] = flags;
        for tick in acked..acked + ticks {
            let now = ready + Duration::from_millis(16 * (tick - acked));
            let Input::StepEnd(plain) = step(tick, B, beyond) else { unreachable!() };
            let step = StepEnd { healthy, swift, crowded, ..plain };
            let foretold = source.would_freeze(now, &step);
            let mut held = source.clone();
            held.handle(now, Input::StepEnd(StepEnd { held: true, ..step }));
            prop_assert!(!held.is_frozen() || source.is_frozen());
            let before = source.is_frozen();
            source.handle(now, Input::StepEnd(step));
            prop_assert_eq!(foretold, source.is_frozen() && !before);
        }
    }
}
