//! What an observer has been told, as it travels with a player who crosses.

use horizon_model::{EntityId, Tick};

use crate::error::DecodeError;
use crate::varint::{self, Reader};

/// One object that a client holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Who.
    pub entity: EntityId,
    /// Innermost channel told, 0 to 3.
    pub channel: u8,
    /// Newest source tick told.
    pub tick: Tick,
}

/// The objects that a client holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    /// In rising order of entities.
    pub held: Vec<Held>,
}

impl View {
    /// As bytes: the count and the newest tick, then per entity the difference to the one before, how
    /// many ticks it is behind the newest, and a byte for the channel; numbers are unsigned LEB128.
    pub fn encode(&self) -> Vec<u8> {
        let mut held = self.held.clone();
        held.sort_by_key(|held| held.entity);
        held.dedup_by_key(|held| held.entity);
        let newest = held.iter().map(|held| held.tick.0).max().unwrap_or(0);
        let mut out = Vec::with_capacity(12 + held.len() * 6);
        varint::write(&mut out, held.len() as u64);
        varint::write(&mut out, newest);
        let mut previous = 0;
        for Held { entity, channel, tick } in held {
            varint::write(&mut out, entity.bits() - previous);
            varint::write(&mut out, newest - tick.0);
            out.push(channel.min(3));
            previous = entity.bits();
        }
        out
    }

    /// Reads what [`Self::encode`] wrote.
    ///
    /// # Errors
    ///
    /// [`DecodeError`] where the bytes are not a view: the sender is broken.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut reader = Reader::new(bytes);
        let count = reader.varint()?;
        let newest = reader.varint()?;
        if count > reader.remaining() as u64 / 3 {
            return Err(DecodeError::Count { at: 0 });
        }
        let mut held = Vec::with_capacity(count as usize);
        let mut bits = 0_u64;
        for _ in 0..count {
            let at = reader.at();
            let delta = reader.varint()?;
            let entity = bits.checked_add(delta).filter(|_| delta > 0).and_then(EntityId::from_bits);
            let entity = entity.ok_or(DecodeError::Id { at })?;
            let at = reader.at();
            let tick = newest.checked_sub(reader.varint()?).ok_or(DecodeError::Reserved { at })?;
            let channel = reader.byte()?;
            if channel > 3 {
                return Err(DecodeError::Reserved { at: reader.at() - 1 });
            }
            held.push(Held { entity, channel, tick: Tick(tick) });
            bits = entity.bits();
        }
        if reader.remaining() > 0 {
            return Err(DecodeError::Reserved { at: reader.at() });
        }
        Ok(Self { held })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Views read back; no bytes make the reader panic.
        #[test]
        fn round_trip(
            held in prop::collection::btree_map(1_u64.., (0_u8..4, 0_u64..1 << 40), 0..50),
            noise in any::<Vec<u8>>(),
        ) {
            let held = held.into_iter().map(|(bits, (channel, tick))| Held {
                entity: EntityId::from_bits(bits).unwrap(),
                channel,
                tick: Tick(tick),
            });
            let view = View { held: held.collect() };
            prop_assert_eq!(View::decode(&view.encode()), Ok(view));
            let _ = View::decode(&noise);
        }
    }
}
