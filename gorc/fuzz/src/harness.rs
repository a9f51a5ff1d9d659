//! Reads what a fuzzer made up, and checks that what is visited makes sense.
//!
//! An input for the binary reader is a row of frames: a byte of ticks since the frame before, a byte of
//! length, and the body; a length of 255 takes all the rest.

use std::collections::BTreeMap;

use gorc::{Curve, Decoder, Density, Enter, LATTICES, LeaveReason, Update, Visitor, decode_json};
use horizon_model::{EntityId, ObjectTypeId, Tick};

const FIRST_TICK: u64 = 600;
const REST: u8 = 255;
/// A delay as a client has it.
const DELAY_TICKS: u64 = 20;

/// The bodies of an input, with the ticks of their frames.
pub fn frames(mut input: &[u8]) -> Vec<(Tick, &[u8])> {
    let (mut frames, mut tick) = (Vec::new(), Tick(FIRST_TICK));
    while let [ticks, len, rest @ ..] = input {
        let len = if *len == REST { rest.len() } else { usize::from(*len).min(rest.len()) };
        tick = tick + u64::from(*ticks);
        frames.push((tick, &rest[..len]));
        input = &rest[len..];
    }
    frames
}

/// An input of these frames, for a corpus. Bodies from 255 bytes are the last.
pub fn input(frames: &[(Tick, &[u8])]) -> Vec<u8> {
    let (mut input, mut before) = (Vec::new(), Tick(FIRST_TICK));
    for (tick, body) in frames {
        let len = u8::try_from(body.len()).unwrap_or(REST);
        input.extend([tick.saturating_since(before) as u8, len]);
        input.extend_from_slice(body);
        before = *tick;
    }
    input
}

/// Reads all bodies of an input with one decoder, as a receiver that asks for a reset after a fault.
/// Returns how many bodies were read to their end.
pub fn decode_all(input: &[u8]) -> usize {
    let (mut decoder, mut client, mut read) = (Decoder::new(), Client::default(), 0);
    for (tick, body) in frames(input) {
        client.frame = tick;
        client.is_strict = true;
        match decoder.decode(body, tick, &mut client) {
            Ok(()) => read += 1,
            Err(_) => decoder.decode(&[0], tick, &mut client).expect("a reset is a body"),
        }
    }
    assert!(client.held.len() <= 1 << 16, "an alias for each");
    read
}

/// Reads a JSON body. Returns whether it was read to its end.
pub fn decode_text(text: &str) -> bool {
    let mut client = Client { frame: Tick(FIRST_TICK), ..Client::default() };
    decode_json(text, Tick(FIRST_TICK), &mut client).is_ok()
}

/// A client that draws what it hears.
#[derive(Default)]
struct Client {
    frame: Tick,
    /// Only what is held may be told of; JSON readers check that themselves.
    is_strict: bool,
    held: BTreeMap<EntityId, Curve>,
}

impl Visitor for Client {
    fn reset(&mut self) {
        self.held.clear();
    }

    fn enter(&mut self, enter: Enter<'_>) {
        assert!(enter.channel < 4 && enter.pose.is_finite(), "{enter:?}");
        check_fields(enter.fields);
        let velocity = enter.pose.velocity.map(f64::from);
        let curve = Curve::new(enter.tick, enter.pose.position.metres(), velocity, enter.pose.yaw);
        self.held.insert(enter.entity, curve);
    }

    fn update(&mut self, update: Update<'_>) {
        assert!(update.channel < 4, "{update:?}");
        assert_eq!(update.position.is_some(), update.velocity.is_some(), "{update:?}");
        assert!(update.position.is_some() || (update.yaw.is_none() && !update.snap), "{update:?}");
        check_fields(update.fields);
        let Some(curve) = self.held.get_mut(&update.entity) else {
            assert!(!self.is_strict, "{} was not entered", update.entity);
            return;
        };
        if let (Some(position), Some(velocity)) = (update.position, update.velocity) {
            let on_lattice = LATTICES[usize::from(update.channel)].place(position.metres());
            assert!(on_lattice.iter().all(|axis| axis.unsigned_abs() < 1 << 53), "{update:?}");
            let (metres, velocity) = (position.metres(), velocity.map(f64::from));
            curve.push(self.frame, DELAY_TICKS, update.tick, metres, velocity, update.yaw, update.snap);
            let drawn = (self.frame - DELAY_TICKS).0 as f64;
            curve.forget_before(drawn);
            let (metres, yaw) = curve.at(drawn);
            assert!(metres.iter().all(|axis| axis.is_finite()) && yaw.is_finite(), "{update:?}");
        }
    }

    fn leave(&mut self, entity: EntityId, _: LeaveReason) {
        let held = self.held.remove(&entity);
        assert!(held.is_some() || !self.is_strict, "{entity} was not held");
    }

    fn density(&mut self, cells: &[Density]) {
        assert!(cells.windows(2).all(|pair| (pair[0].0, pair[0].1) < (pair[1].0, pair[1].1)));
        assert!(cells.iter().all(|(_, _, number)| *number > 0));
    }

    fn field_index(&mut self, _: EntityId, _: Option<ObjectTypeId>, name: &str) -> Option<u8> {
        name.bytes().next().map(|byte| byte % 32)
    }
}

fn check_fields(fields: &[(u8, &[u8])]) {
    assert!(fields.iter().all(|(index, _)| *index < 32), "{fields:?}");
    assert!(fields.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{fields:?}");
}
