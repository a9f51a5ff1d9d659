//! What an observer has been told, as it travels with a player who crosses.

use horizon_model::EntityId;

use crate::varint::{self, Reader};
use crate::wire::DecodeError;

/// The objects that a client holds, each with its innermost channel.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    /// Entity and innermost channel, 0 to 3, in rising order of entities.
    pub held: Vec<(EntityId, u8)>,
}

impl View {
    /// As bytes: the count, then per entity the difference to the one before, both unsigned LEB128,
    /// and a byte for the channel.
    pub fn encode(&self) -> Vec<u8> {
        let mut held = self.held.clone();
        held.sort_unstable();
        held.dedup_by_key(|(entity, _)| *entity);
        let mut out = Vec::with_capacity(4 + held.len() * 4);
        varint::write(&mut out, held.len() as u64);
        let mut previous = 0;
        for (entity, channel) in held {
            varint::write(&mut out, entity.bits() - previous);
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
        if count > reader.remaining() as u64 / 2 {
            return Err(DecodeError::Count { at: 0 });
        }
        let mut held = Vec::with_capacity(count as usize);
        let mut bits = 0_u64;
        for _ in 0..count {
            let at = reader.at();
            let delta = reader.varint()?;
            let entity = bits.checked_add(delta).filter(|_| delta > 0).and_then(EntityId::from_bits);
            let entity = entity.ok_or(DecodeError::Id { at })?;
            let channel = reader.byte()?;
            if channel > 3 {
                return Err(DecodeError::Reserved { at: reader.at() - 1 });
            }
            held.push((entity, channel));
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
        fn round_trip(held in prop::collection::btree_map(1_u64.., 0_u8..4, 0..50), noise in any::<Vec<u8>>()) {
            let held = held.into_iter().map(|(bits, c)| (EntityId::from_bits(bits).unwrap(), c)).collect();
            let view = View { held };
            prop_assert_eq!(View::decode(&view.encode()), Ok(view));
            let _ = View::decode(&noise);
        }
    }
}
