//! No bytes break a reader, and a place is read right however far off it was expected to be.
#![allow(clippy::unwrap_used)]

mod account;

use account::{cases, hear, hear_json};
use gorc::{Decoder, LATTICES};
use proptest::prelude::*;

/// An enter of one object of `channel` behind alias 0, at `place`, that moves at `velocity`.
fn enter(channel: u8, place: [i64; 3], velocity: [i32; 3]) -> Vec<u8> {
    let moves = velocity != [0; 3];
    let mut body = vec![2, 1, 0, channel | u8::from(moves) << 2, 0, 0, 0, 0, 1, 0, 0];
    place.into_iter().for_each(|axis| zigzag(&mut body, axis));
    velocity.into_iter().filter(|_| moves).for_each(|axis| zigzag(&mut body, axis.into()));
    body
}

fn zigzag(body: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)) as u64;
    while rest > 0x7f {
        body.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    body.push(rest as u8);
}

/// A short update of alias 0 at rest, without lag, bit by bit as the specification says it.
fn rest(channel: u8, place: [i64; 3]) -> Vec<u8> {
    let lattice = &LATTICES[usize::from(channel)];
    let mut bits = vec![false; lattice.lag_bits as usize];
    for axis in place {
        bits.extend((0..lattice.axis_bits).map(|bit| axis >> bit & 1 == 1));
    }
    let packed = bits.chunks(8).map(|byte| (0..).zip(byte).map(|(n, bit)| u8::from(*bit) << n).sum::<u8>());
    [3, channel << 3].into_iter().chain(packed).collect()
}

proptest! {
    /// The low bits of a place are enough up to 20 m from where the object was heading.
    #[test]
    fn places_are_read_right_up_to_20_metres_off(
        channel in 0_u8..4,
        metres in prop::array::uniform3(prop_oneof![-300.0..300.0, -1e8..1e8_f64]),
        mps in prop::array::uniform3(-100.0..100.0_f64),
        ticks in 0_u64..600,
        off in prop::array::uniform3(-20.0..=20.0_f64),
    ) {
        let lattice = &LATTICES[usize::from(channel)];
        let (start, velocity) = (lattice.place(metres), lattice.velocity(mps));
        let mut decoder = Decoder::new();
        hear(&mut decoder, &enter(channel, start, velocity), 1000).1.unwrap();
        let (from, v) = (lattice.metres(start), lattice.mps(velocity));
        let there = [0, 1, 2].map(|n| from[n] + v[n] * ticks as f64 / 60.0 + off[n]);
        let place = lattice.place(there);
        let (told, result) = hear(&mut decoder, &rest(channel, place), 1000 + ticks);
        prop_assert_eq!(result, Ok(()));
        let cm = lattice.metres(place).map(|axis| (axis * 100.0).round() as i64);
        prop_assert_eq!(&told[0][1], &serde_json::json!(cm));
    }

    /// No bytes make a reader panic, whatever it read before.
    #[test]
    fn noise_is_refused_in_words(
        noise in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..100), 1..4),
        tick in any::<u64>(),
    ) {
        let mut decoder = Decoder::new();
        for noise in &noise {
            let _ = hear(&mut decoder, noise, tick);
            let _ = hear_json(&String::from_utf8_lossy(noise), tick);
        }
    }

    /// Nor do valid bodies with a few bytes changed.
    #[test]
    fn damage_is_refused_in_words(
        case in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
    ) {
        let cases = cases();
        let mut decoder = Decoder::new();
        for (tick, mut binary, said) in case.get(&cases).1.clone() {
            let mut text = said.into_bytes();
            for (at, byte) in &damage {
                for bytes in [&mut binary, &mut text] {
                    if !bytes.is_empty() {
                        let at = at.index(bytes.len());
                        bytes[at] = *byte;
                    }
                }
            }
            let _ = hear(&mut decoder, &binary, tick);
            let _ = hear_json(&String::from_utf8_lossy(&text), tick);
        }
    }
}

/// The cost of one object that moves and one that stands, next to each other.
#[test]
fn an_update_costs_five_to_ten_bytes() {
    let lengths: Vec<_> = cases()
        .into_iter()
        .filter(|(name, _)| name.contains("every short shape"))
        .map(|(_, frames)| frames[1].1.len())
        .collect();
    // A header, then rest, flat and full, and the three with a heading.
    let expected: [usize; 4] = [
        1 + (1 + 4) + (1 + 7) + (1 + 8) + (1 + 5) + (1 + 8) + (1 + 9),
        1 + (1 + 4) + (1 + 6) + (1 + 7) + (1 + 5) + (1 + 7) + (1 + 8),
        1 + (1 + 4) + (1 + 5) + (1 + 6) + (1 + 5) + (1 + 6) + (1 + 7),
        1 + (1 + 4) + (1 + 5) + (1 + 6) + (1 + 5) + (1 + 6) + (1 + 7),
    ];
    assert_eq!(lengths, expected);
}
