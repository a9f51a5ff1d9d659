use std::collections::BTreeMap;

use horizon_model::GridMap;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestError, TestRunner};

use super::*;

/// Four by four regions of this many metres, the corner of the middle ones at the origin.
fn map(metres: f64) -> RegionMap {
    let grid = GridMap::new([-2.0 * metres, -2.0 * metres], metres, 4, 4).expect("whole cells");
    RegionMap { map_epoch: 1, grid }
}

#[derive(Debug, Clone)]
struct Body {
    map: RegionMap,
    home: RegionId,
    position: Position,
    motion: Motion,
    horizon: f32,
}

impl Body {
    fn place(&self) -> Place<'_> {
        let body = self.position.metres();
        Place { map: &self.map, home: self.home, area: Area::of(&self.map, self.home, body), body }
    }

    /// All points of all arcs.
    fn points(&self) -> Points {
        let times = Times::until(self.horizon);
        let mut points = Points::at_the_body(self.motion.velocity);
        points.turn(&self.motion, &times);
        points.go_straight(&times);
        points
    }

    /// The owner of every point, nothing left out: per region the weight of the arcs that enter it at each point.
    /// `None` where a point is so near a border that rounding decides.
    fn every_point(&self) -> Option<BTreeMap<RegionId, [u8; STEPS + 1]>> {
        let (points, [x, y, z]) = (self.points(), self.position.metres());
        let mut entries = BTreeMap::new();
        for (arc, weight) in WEIGHTS.into_iter().enumerate().take(ARCS) {
            let mut seen = vec![self.home];
            for step in 0..=STEPS {
                let [dx, dy] = points.on(arc, step).map(f64::from);
                let at = [x + dx, y + dy];
                if at.iter().any(|axis| (axis / 50.0 - (axis / 50.0).round()).abs() < 1e-4) {
                    return None;
                }
                let owner = self.map.owner_of(&Position::from_metres([at[0], at[1], z])?);
                let Some(region) = owner.filter(|region| !seen.contains(region)) else { continue };
                if seen.len() <= PER_ARC as usize {
                    seen.push(region);
                    entries.entry(region).or_insert([0; STEPS + 1])[step] += weight;
                }
            }
        }
        Some(entries)
    }

    /// The same, the quick way, with a reach of so many times what is computed.
    fn quickly(&self, reach: f32) -> BTreeMap<RegionId, [u8; STEPS + 1]> {
        let place = self.place();
        if place.area.room() > self.motion.greatest_reach(self.horizon) * reach {
            return BTreeMap::new();
        }
        let entries = self.motion.entries(&place, self.horizon);
        entries.entered[..entries.len].iter().map(|entered| (entered.region, entered.weights)).collect()
    }
}

fn bodies() -> impl Strategy<Value = Body> {
    let axes = |most: f32| [-most..most, -most..most];
    (
        prop_oneof![Just(100.0), Just(200.0)],
        axes(220.0),
        axes(25.0),
        axes(12.0),
        1.0..30.0_f32,
        0.1..12.0_f32,
        0..20_u16,
    )
        .prop_map(|(metres, [x, y], velocity, acceleration, unrest, horizon, elsewhere)| {
            let map = map(metres);
            let position = Position::from_metres([x.into(), y.into(), 1.0]).expect("in range");
            let owner = map.owner_of(&position).unwrap_or(RegionId(0));
            // Most bodies are at home; some have left it, and some come from a region that is no more.
            let home = if elsewhere < 18 { owner } else { RegionId(elsewhere) };
            Body { map, home, position, motion: Motion { velocity, acceleration, unrest }, horizon }
        })
}

fn compare(body: &Body, reach: f32) -> Result<(), TestCaseError> {
    let Some(every) = body.every_point() else { return Ok(()) };
    if every.len() < MAX_ENTERED {
        prop_assert_eq!(body.quickly(reach), every);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    /// Leaving out arcs that cannot get out, lines that stay inside and owners that are known changes no answer.
    #[test]
    fn the_quick_answer_is_that_of_every_point(body in bodies()) {
        compare(&body, 1.0)?;
    }

    /// The arcs side by side are those of one body after the other, in double precision.
    #[test]
    fn arcs_side_by_side_are_the_arcs_one_by_one(body in bodies()) {
        let points = body.points();
        for arc in 0..ARCS {
            let Some(slow) = one_by_one(&body, arc) else { continue };
            for (step, [x, y]) in slow.into_iter().enumerate() {
                let [fx, fy] = points.on(arc, step).map(f64::from);
                prop_assert!((x - fx).abs() < 0.02 && (y - fy).abs() < 0.02, "arc {arc}, point {step}: {x} {y}, {fx} {fy}");
            }
        }
    }
}

/// The negative control: a reach that is too short hides arcs, and the comparison finds it.
#[test]
fn a_reach_too_short_is_noticed() {
    let mut runner =
        TestRunner::new_with_rng(Config::with_cases(2000), TestRunner::deterministic().new_rng());
    let found = runner.run(&bodies(), |body| compare(&body, 0.5));
    assert!(matches!(found, Err(TestError::Fail(..))), "{found:?}");
}

/// One arc, point by point. `None` where rounding decides whether the body has a heading.
fn one_by_one(body: &Body, arc: usize) -> Option<Vec<[f64; 2]>> {
    let double = |axes: [f32; 2]| axes.map(f64::from);
    let (mut v, mut place, mut before) = (double(body.motion.velocity), [0.0; 2], 0.0);
    let [forwards, left] = double(body.motion.acceleration);
    let unrest = f64::from(body.motion.unrest);
    let (forwards, left) =
        (forwards + f64::from(ALONG[arc]) * unrest, left + f64::from(ACROSS[arc]) * unrest);
    let mut points = vec![place];
    for step in 1..=STEPS {
        let at = f64::from(body.horizon) * (step as f64 / STEPS as f64).powi(2);
        let push = (at.min(f64::from(MANOEUVRE)) - before).max(0.0);
        let size = v[0].hypot(v[1]);
        if (size - f64::from(SLOW)).abs() < 0.01 {
            return None;
        }
        let moves = size > f64::from(SLOW);
        let [fx, fy] = if moves { v.map(|axis| axis / size) } else { [1.0, 0.0] };
        let mut after =
            [v[0] + (fx * forwards - fy * left) * push, v[1] + (fy * forwards + fx * left) * push];
        if moves && push > 0.0 {
            let scale = (size + forwards * push).max(0.0) / after[0].hypot(after[1]).max(f64::from(SLOW));
            after = after.map(|axis| axis * scale);
        }
        place = [0, 1].map(|axis| place[axis] + (v[axis] + after[axis]) / 2.0 * (at - before));
        (v, before) = (after, at);
        points.push(place);
    }
    Some(points)
}

#[test]
fn a_region_that_is_not_on_the_map_holds_nobody() {
    let nowhere = Area::of(&map(100.0), RegionId(99), [0.0; 3]);
    assert!(!nowhere.holds([0.0; 2]) && nowhere.room() < 0.0);
}

#[test]
fn numbers_that_are_none_lead_nowhere() {
    let body = Body {
        map: map(100.0),
        home: RegionId(0),
        position: Position::from_metres([-150.0, -150.0, 0.0]).expect("in range"),
        motion: Motion { velocity: [f32::MAX; 2], acceleration: [0.0; 2], unrest: 30.0 },
        horizon: 12.0,
    };
    assert!(body.quickly(1.0).is_empty(), "a place beyond the lattice has no owner");
}
