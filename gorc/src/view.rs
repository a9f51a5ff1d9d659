//! What an observer has been told, as it travels with a player who crosses.

use horizon_model::{EntityId, Tick};

use crate::error::DecodeError;
use crate::varint::{self, Reader};

/// One object that a client holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Who.
    pub entity: EntityId,
    /// The name by which binary bodies call it.
    pub alias: u16,
    /// Innermost channel told, 0 to 3.
    pub channel: u8,
    /// Tick of the knot told last.
    pub tick: Tick,
    /// Digest of the fields told; 0 if some are owed.
    pub digest: u16,
    /// Place and velocity of that knot in the steps of the channel's lattice; `None` where a newer one
    /// is owed.
    pub knot: Option<([i64; 3], [i32; 3])>,
}

/// The objects that a client holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct View {
    /// In rising order of entities.
    pub held: Vec<Held>,
}

impl View {
    /// As bytes: the count and the newest tick, then per entity the difference to the one before, how
    /// many ticks it is behind the newest, the alias eight times over, plus four where a knot follows, plus
    /// the channel, the digest in two bytes, and the six numbers of the knot as zigzag; other numbers are
    /// unsigned LEB128.
    pub fn encode(&self) -> Vec<u8> {
        let mut held = self.held.clone();
        held.sort_by_key(|held| held.entity);
        held.dedup_by_key(|held| held.entity);
        let newest = held.iter().map(|held| held.tick.0).max().unwrap_or(0);
        let mut out = Vec::with_capacity(12 + held.len() * 8);
        varint::write(&mut out, held.len() as u64);
        varint::write(&mut out, newest);
        let mut previous = 0;
        for Held { entity, alias, channel, tick, digest, knot } in held {
            varint::write(&mut out, entity.bits() - previous);
            varint::write(&mut out, newest - tick.0);
            let follows = u64::from(knot.is_some()) << 2;
            varint::write(&mut out, u64::from(alias) << 3 | follows | u64::from(channel.min(3)));
            out.extend_from_slice(&digest.to_le_bytes());
            if let Some((place, velocity)) = knot {
                place.iter().for_each(|axis| varint::write_signed(&mut out, *axis));
                velocity.iter().for_each(|axis| varint::write_signed(&mut out, (*axis).into()));
            }
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
        if count > reader.remaining() as u64 / 5 {
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
            let at = reader.at();
            let word = reader.varint()?;
            let alias = u16::try_from(word >> 3).map_err(|_| DecodeError::Varint { at })?;
            let digest = u16::from_le_bytes(reader.array()?);
            let knot = if word & 4 == 0 {
                None
            } else {
                let place = [reader.signed()?, reader.signed()?, reader.signed()?];
                Some((place, [reader.signed_i32()?, reader.signed_i32()?, reader.signed_i32()?]))
            };
            held.push(Held { entity, alias, channel: (word & 3) as u8, tick: Tick(tick), digest, knot });
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
            held in prop::collection::btree_map(1_u64.., (0_u8..4, 0_u64..1 << 40, any::<(u16, u16, Option<([i64; 3], [i32; 3])>)>()), 0..50),
            noise in any::<Vec<u8>>(),
        ) {
            let held = held.into_iter().map(|(bits, (channel, tick, (alias, digest, knot)))| Held {
                entity: EntityId::from_bits(bits).unwrap(),
                alias,
                channel,
                tick: Tick(tick),
                digest,
                knot,
            });
            let view = View { held: held.collect() };
            prop_assert_eq!(View::decode(&view.encode()), Ok(view));
            let _ = View::decode(&noise);
        }
    }
}
