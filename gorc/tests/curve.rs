//! The rule by which clients draw: each branch by example, and what it promises.
#![allow(clippy::unwrap_used)]

use std::f64::consts::PI;

use gorc::Curve;
use horizon_model::Tick;
use proptest::prelude::*;

/// A knot as a frame brings it: frame, delay, tick, x, velocity along x, heading, snap.
#[derive(Debug, Clone, Copy)]
struct Push(u64, u64, u64, f64, f64, Option<f32>, bool);

fn push(curve: &mut Curve, Push(frame, delay, tick, x, mps, yaw, snap): Push) {
    curve.push(Tick(frame), delay, Tick(tick), [x, 2.0 * x, -x], [mps, 2.0 * mps, -mps], yaw, snap);
}

/// An object that enters at tick 100 at 0 m with 6 m/s, which is 0.1 m per tick.
fn entered() -> Curve {
    Curve::new(Tick(100), [0.0; 3], [6.0, 12.0, -6.0], 0.0)
}

/// Pushes, and where x and the heading are at some ticks.
fn check(name: &str, pushes: &[Push], drawn: &[(f64, f64, f64)]) {
    let mut curve = entered();
    pushes.iter().for_each(|knot| push(&mut curve, *knot));
    for &(tick, x, yaw) in drawn {
        let (metres, turned) = curve.at(tick);
        for (axis, factor) in metres.into_iter().zip([1.0, 2.0, -1.0]) {
            assert!((axis - factor * x).abs() < 1e-9, "{name}: at {tick} {metres:?}, not x = {x}");
        }
        assert!((f64::from(turned) - yaw).abs() < 1e-5, "{name}: at {tick} heading {turned}, not {yaw}");
    }
}

#[test]
fn each_branch_of_the_rule() {
    check("the continuation, either way", &[], &[(90.0, -1.0, 0.0), (100.5, 0.05, 0.0), (160.0, 6.0, 0.0)]);
    check(
        "ahead of what is drawn: straight there, then its own way",
        &[Push(110, 4, 108, 2.0, -6.0, Some(1.0), false)],
        &[(106.0, 0.6, 0.0), (107.0, 1.3, 0.5), (108.0, 2.0, 1.0), (118.0, 1.0, 1.0)],
    );
    check(
        "the delay reaches before the knot before: from that knot",
        &[Push(102, 20, 104, 2.0, 0.0, None, false)],
        &[(100.0, 0.0, 0.0), (102.0, 1.0, 0.0), (104.0, 2.0, 0.0), (200.0, 2.0, 0.0)],
    );
    check(
        "late: a curve anew, into which the old one passes",
        &[Push(110, 4, 104, 2.0, 6.0, Some(-0.5), false)],
        &[(106.0, 0.6, 0.0), (110.0, 1.8, -0.25), (114.0, 3.0, -0.5), (124.0, 4.0, -0.5)],
    );
    check(
        "as late as what is drawn",
        &[Push(110, 4, 106, 2.0, 0.0, None, false)],
        &[(106.0, 0.6, 0.0), (110.0, 1.5, 0.0), (114.0, 2.0, 0.0)],
    );
    check(
        "no delay: all knots are late",
        &[Push(110, 0, 110, 2.0, 6.0, None, false)],
        &[(110.0, 1.0, 0.0), (114.0, 1.9, 0.0), (118.0, 2.8, 0.0)],
    );
    check(
        "late twice: the second passage begins within the first",
        &[Push(110, 4, 100, 2.0, 0.0, None, false), Push(112, 4, 100, 0.0, 0.0, None, false)],
        &[(106.0, 0.6, 0.0), (108.0, 1.1, 0.0), (112.0, 0.9, 0.0), (116.0, 0.0, 0.0)],
    );
    check(
        "the knot before is ahead of the frame: it is reached first",
        &[Push(110, 4, 130, 3.0, 0.0, None, false), Push(112, 4, 111, 5.0, 0.0, None, false)],
        &[(106.0, 0.6, 0.0), (130.0, 3.0, 0.0), (134.0, 4.0, 0.0), (138.0, 5.0, 0.0)],
    );
    check(
        "a snap: the old curve before it, the knot from then on",
        &[Push(110, 4, 108, 50.0, 6.0, Some(2.0), true)],
        &[(106.0, 0.6, 0.0), (107.75, 0.775, 0.0), (108.0, 50.0, 2.0), (118.0, 51.0, 2.0)],
    );
    check(
        "a snap into the line to a knot",
        &[Push(110, 8, 110, 2.0, 6.0, Some(1.0), false), Push(112, 8, 106, 50.0, 0.0, None, true)],
        &[
            (102.0, 0.2, 0.0),
            (104.0, 0.65, 0.25),
            (105.0, 0.875, 0.375),
            (106.0, 50.0, 1.0),
            (111.0, 50.0, 1.0),
        ],
    );
    check(
        "before the first knot nothing changes",
        &[Push(101, 4, 108, 2.0, 0.0, None, false), Push(101, 4, 97, 3.0, 0.0, None, true)],
        &[(90.0, -1.0, 0.0), (96.5, -0.35, 0.0), (97.0, 3.0, 0.0), (108.0, 3.0, 0.0)],
    );
    check(
        "the shorter way round",
        &[Push(110, 4, 110, 1.0, 6.0, Some(3.0), false), Push(114, 4, 114, 1.4, 6.0, Some(-3.0), false)],
        &[(110.0, 1.0, 3.0), (112.0, 1.2, -PI), (113.0, 1.3, -3.0 - (PI - 3.0) / 2.0), (114.0, 1.4, -3.0)],
    );
}

#[test]
fn forgetting_keeps_what_is_still_to_be_drawn() {
    let mut curve = entered();
    for n in 1..200_u64 {
        let frame = 100 + 4 * n;
        push(&mut curve, Push(frame, 8, frame - 2, (n % 7) as f64, 3.0, Some(n as f32), false));
        let whole = curve.clone();
        let drawn = (frame - 8) as f64 - 0.25;
        curve.forget_before(drawn);
        for ahead in 0..40 {
            let tick = drawn + 0.5 * f64::from(ahead);
            assert_eq!(curve.at(tick), whole.at(tick), "at {tick}");
        }
    }
}

#[test]
fn numbers_from_anywhere_do_no_harm() {
    let mut curve = Curve::new(Tick(u64::MAX), [f64::NAN; 3], [f64::INFINITY; 3], f32::NAN);
    for (frame, delay, tick) in [(0, u64::MAX, 0), (u64::MAX, 0, u64::MAX), (u64::MAX, 1, 0), (5, 9, 1 << 63)]
    {
        for snap in [false, true] {
            push(&mut curve, Push(frame, delay, tick, 1e300, -1e300, Some(f32::MAX), snap));
            let _ = (curve.at(f64::NAN), curve.at(f64::INFINITY), curve.at(-1.0));
            curve.forget_before(f64::NAN);
        }
    }
    curve.forget_before(f64::INFINITY);
    let _ = curve.at(0.0);
}

/// Knots of rising frames, each up to 30 ticks old or 4 ticks ahead.
fn any_pushes(snaps: bool) -> impl Strategy<Value = Vec<Push>> {
    let one = (1_u64..12, 0_u64..64, 0_u64..34, -50.0..50.0_f64, -20.0..20.0_f64, any::<Option<i8>>());
    prop::collection::vec((one, prop::bool::weighted(if snaps { 0.2 } else { 0.0 })), 1..30).prop_map(|all| {
        let mut frame = 100;
        let knots = all.into_iter().map(|((ticks, delay, age, x, mps, yaw), snap)| {
            frame += ticks;
            Push(frame, delay, frame + 4 - age, x, mps, yaw.map(|yaw| f32::from(yaw) / 10.0), snap)
        });
        knots.collect()
    })
}

fn turned(a: f32, b: f32) -> f64 {
    let turn = f64::from(a - b).rem_euclid(2.0 * PI);
    turn.min(2.0 * PI - turn)
}

proptest! {
    /// What may have been drawn stays as it was: a push changes nothing before the frame less its delay,
    /// nor before the knot it follows.
    #[test]
    fn the_drawn_past_stays(pushes in any_pushes(false)) {
        let mut curve = entered();
        for knot in pushes {
            let before = curve.clone();
            push(&mut curve, knot);
            let drawn = knot.0.saturating_sub(knot.1) as f64;
            for back in 0..60 {
                let tick = drawn - 0.5 * f64::from(back);
                let ((a, ya), (b, yb)) = (before.at(tick), curve.at(tick));
                prop_assert!((0..3).all(|n| (a[n] - b[n]).abs() < 1e-6), "{} at {}: {:?} {:?}", knot.0, tick, a, b);
                prop_assert!(turned(ya, yb) < 1e-4);
            }
        }
    }

    /// Between snaps the curve has no jump, however late, early or often knots come.
    #[test]
    fn no_jumps_but_snaps(pushes in any_pushes(true)) {
        let mut curve = entered();
        let mut snaps = Vec::new();
        for knot in pushes {
            push(&mut curve, knot);
            if knot.6 {
                snaps.push(knot.2 as f64);
            }
        }
        // The fastest line covers 100 m and a continuation of 34 ticks at 20 m/s in one tick, on each axis.
        let fastest = 3.0 * (100.0 + 40.0 * 20.0 / 60.0 * 2.0) * 100.0;
        for quarter in 0..2400 {
            let tick = 50.0 + 0.25 * f64::from(quarter);
            let next = tick + 1e-5;
            if snaps.iter().any(|snap| *snap > tick && *snap <= next) {
                continue;
            }
            let ((a, _), (b, _)) = (curve.at(tick), curve.at(next));
            prop_assert!((0..3).all(|n| (a[n] - b[n]).abs() < 1e-5 * fastest), "at {}: {:?} {:?}", tick, a, b);
        }
    }

    /// A ball is convex: a line from a curve within the bound to another one within the bound is within
    /// the bound. So a change of channel or of region shows nothing.
    #[test]
    fn a_mixture_keeps_the_bound(
        v in prop::array::uniform3(-30.0..30.0_f64),
        off in prop::collection::vec((prop::array::uniform3(-1.0..1.0_f64), 1_u64..20, 0_u64..64, 0_u64..40), 1..20),
        bound in 0.05..2.0_f64,
    ) {
        // The source moves straight; every knot says a continuation that stays within the bound for good:
        // beside the source, at its velocity.
        let source = |tick: f64| [0, 1, 2].map(|n| v[n] * (tick - 100.0) / 60.0);
        let beside = |tick: u64, off: [f64; 3]| {
            let length = off.iter().map(|axis| axis * axis).sum::<f64>().sqrt().max(1.0);
            let at = source(tick as f64);
            [0, 1, 2].map(|n| at[n] + off[n] / length * bound)
        };
        let mut curve = Curve::new(Tick(100), beside(100, off[0].0), v, 0.0);
        let mut frame = 100;
        for (off, ticks, delay, age) in off {
            frame += ticks;
            let tick = (frame + 4).saturating_sub(age);
            curve.push(Tick(frame), delay, Tick(tick), beside(tick, off), v, None, false);
            for half in 0..200 {
                let tick = frame as f64 - 64.0 + 0.5 * f64::from(half);
                let (at, there) = (curve.at(tick).0, source(tick));
                let away = (0..3).map(|n| (at[n] - there[n]).powi(2)).sum::<f64>().sqrt();
                prop_assert!(away <= bound + 1e-9, "{away} of {bound} at {tick} in frame {frame}");
            }
        }
    }
}
