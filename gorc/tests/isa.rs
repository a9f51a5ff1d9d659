//! Whichever instructions a machine has, observers are told the same bytes.
#![allow(clippy::unwrap_used)]

mod common;

use std::collections::BTreeMap;

use common::{client, entity, object, place, pose, rate, region, schema};
use gorc::grid::Isa;
use gorc::{Gorc, LeaveReason, ObserverId};
use horizon_model::{Pose, Tick};
use proptest::prelude::*;

const OBJECTS: usize = 120;
const OBSERVERS: u64 = 12;
const STEPS: u64 = 150;

/// SplitMix64, so that every set of instructions sees the same walk.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// From `-reach` to `reach`.
    fn metres(&mut self, reach: f64) -> f64 {
        ((self.next() >> 11) as f64 / (1_u64 << 53) as f64 * 2.0 - 1.0) * reach
    }
}

/// Every body of a random walk in which objects come, go, jump, change fields and owners, and observers
/// walk, have budgets and miss credit.
fn bodies(isa: Isa, seed: u64) -> Vec<(u64, ObserverId, Vec<u8>)> {
    let mut chance = Chance(seed);
    let mut gorc = Gorc::new(rate(), schema());
    gorc.set_isa(isa);
    let mut places: BTreeMap<u64, [f64; 3]> = BTreeMap::new();
    let mut eyes: Vec<[f64; 2]> = vec![];
    for n in 0..OBSERVERS {
        let at = [chance.metres(400.0), chance.metres(400.0)];
        let eye = place(at[0], at[1], 0.0);
        let mut spec = if n == 0 { region(eye) } else { client(eye) };
        spec.budget_bytes = (n % 3 == 2).then_some(120);
        spec.density = n % 4 == 3;
        gorc.add_observer(ObserverId(n), spec);
        eyes.push(at);
    }
    let mut told = vec![];
    for step in 1..=STEPS {
        let tick = step * rate().step();
        while places.len() < OBJECTS {
            let n = 1 + chance.next() % 1000;
            let at = [chance.metres(500.0), chance.metres(500.0), chance.metres(20.0)];
            places.insert(n, at);
            gorc.spawn(object(n, tick - 1, pose(at[0], at[1], at[2])));
        }
        let mut gone = vec![];
        for (n, at) in &mut places {
            let luck = chance.next() % 400;
            let reach = if luck == 0 { 300.0 } else { 1.0 };
            let by = [chance.metres(reach), chance.metres(reach), chance.metres(0.2)];
            (0..3).for_each(|axis| at[axis] += by[axis]);
            let velocity = by.map(|axis| axis as f32 * 30.0);
            let pose = Pose { velocity, ..pose(at[0], at[1], at[2]) };
            gorc.sample(entity(*n), Tick(tick), &pose, luck == 0);
            match luck {
                1..=5 => gorc.set_field(entity(*n), luck as u8 - 1, &step.to_le_bytes()),
                6 => gorc.set_ghost(entity(*n), step % 2 == 0),
                7 => gone.push(*n),
                _ => {}
            }
        }
        for n in gone {
            places.remove(&n);
            gorc.despawn(entity(n), LeaveReason::Gone);
        }
        for (n, at) in (1..).zip(&mut eyes[1..]) {
            at.iter_mut().for_each(|axis| *axis += chance.metres(3.0));
            gorc.move_observer(ObserverId(n), gorc::Anchor::Point(place(at[0], at[1], 0.0)));
        }
        let credit = chance.next();
        gorc.step(Tick(tick), &mut |id| credit >> (3 * id.0) & 7 != 0, &mut |id, body| {
            told.push((step, id, body.to_vec()))
        });
    }
    told
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]

    #[test]
    fn bodies_do_not_depend_on_instructions(seed in any::<u64>()) {
        let expected = bodies(Isa::SCALAR, seed);
        prop_assert!(expected.iter().map(|(_, _, body)| body.len()).sum::<usize>() > 20_000);
        for isa in Isa::available() {
            let told = bodies(isa, seed);
            prop_assert_eq!(told.len(), expected.len());
            for (told, expected) in told.iter().zip(&expected) {
                prop_assert_eq!(told, expected, "{:?}", isa);
            }
        }
    }
}
