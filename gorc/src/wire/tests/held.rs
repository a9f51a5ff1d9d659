//! The quick way of reading a short update is the exact one.

use proptest::prelude::*;

use super::super::held::Held;
use super::super::short::Low;
use super::*;

proptest! {
    /// Wherever the quick way dares to go, it arrives where whole numbers of any size do.
    #[test]
    fn the_quick_way_is_the_exact_way(
        place in prop::array::uniform3(prop_oneof![
            2 => 3040_i64..3060, 1 => -2000_i64..2000, 1 => -10_000_000_000_i64..10_000_000_000
        ]),
        velocity in prop::array::uniform3(prop_oneof![3 => -9..9_i32, 1 => -512..=512_i32, 1 => -600..600_i32]),
        ticks in prop_oneof![-64_i64..256, -2050_i64..=2050],
        // From where it is expected: near by, or about the edge of what the low bits reach.
        beside in prop::array::uniform3(prop_oneof![3 => -20_i64..20, 2 => Just(1 << 20), 1 => any::<i16>().prop_map(i64::from)]),
        told in prop::array::uniform3(-256_i32..256),
        own in 0_u8..4,
        channel in 0_u8..4,
    ) {
        let entity = EntityId::from_bits(1).unwrap();
        let tick = Tick(1 << 40);
        let start = Knot { tick, place, velocity, yaw: 0, own_yaw: false };
        let bits = LATTICES[usize::from(channel)].axis_bits;
        let then = Tick((tick.0 as i64 + ticks) as u64);
        let expected = start.expected(own, channel, then);
        let axes = [0, 1, 2].map(|n: usize| {
            let edge = beside[n] == 1 << 20;
            let there = expected[n] + if edge { (1 << (bits - 1)) - 1 } else { beside[n] };
            (there & ((1 << bits) - 1)) as i32
        });
        let low = Low { bits, axes };
        let (mut quick, mut exact) = (Held::new(entity, own, &start).unwrap(), Held::new(entity, own, &start).unwrap());
        let quickly = quick.advance(channel, then, low, told);
        let exactly = exact.advance_far(channel, then, low, told);
        prop_assert!(exactly.is_some());
        if quickly.is_some() {
            prop_assert_eq!(quickly, exactly);
            prop_assert_eq!(quick.knot(), exact.knot());
        } else {
            prop_assert_eq!(quick.knot(), Held::new(entity, own, &start).unwrap().knot());
        }
    }
}

/// An object that walks inside a cell is told the quick way.
#[test]
fn walking_is_quick() {
    for channel in 0..4 {
        let knot =
            Knot { tick: Tick(600), place: [50, 40, 10], velocity: [12, -7, 0], yaw: 0, own_yaw: false };
        let mut held = Held::new(EntityId::from_bits(1).unwrap(), channel, &knot).unwrap();
        let low = Low { bits: LATTICES[usize::from(channel)].axis_bits, axes: [53, 39, 10] };
        assert!(held.advance(channel, Tick(610), low, [12, -7, 0]).is_some());
        assert_eq!(held.knot().place, [53, 39, 10]);
    }
}
