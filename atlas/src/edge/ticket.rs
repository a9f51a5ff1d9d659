//! Resume tickets: what a client shows to go on after its connection or its edge was lost.
//!
//! ```text
//! ticket  = key id (4) · nonce (12) · sealed(world 4 · player 16 · session 16 · session epoch 8 · issued 8) · tag (16)
//! sealing = AES-256-GCM-SIV, additional data "horizon ticket 1" · key id
//! ```
//!
//! All numbers are little-endian. Every edge of a world has the keys from the store, so any edge
//! reads any ticket. A ticket is good as long as the session's record in the store has the epoch in
//! it: using one raises that epoch, so a stolen or replayed ticket works at most once.

use aws_lc_rs::aead::{AES_256_GCM_SIV, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use horizon_model::{Epoch, PlayerId, SessionId, Tick, WorldId};
use horizon_state_store::SealingKey;

const KEY_ID_BYTES: usize = 4;
const PLAIN_BYTES: usize = 4 + 16 + 16 + 8 + 8;

/// What a ticket says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ticket {
    /// Whose.
    pub player: PlayerId,
    /// The stay that goes on.
    pub session: SessionId,
    /// Session epoch of the connection it was given to.
    pub session_epoch: Epoch,
    /// World tick at which it was sealed.
    pub issued: Tick,
}

/// Why bytes are not a ticket of this world. The client must join anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TicketError {
    /// Sealed with a key that is not (or no longer) in the ring, or not a ticket at all.
    #[error("the ticket is sealed with a key that the store of this edge does not have")]
    UnknownKey,
    /// Changed on the way, or made by somebody else: an edge on another store, where keys count from 1, too.
    #[error("the ticket was changed, or sealed by an edge that is not on the store of this one")]
    Broken,
    /// A good ticket of another world.
    #[error("the ticket belongs to another world")]
    World,
}

/// Seals and opens tickets of one world.
pub struct TicketOffice {
    world: WorldId,
    keys: Vec<(u32, LessSafeKey)>,
}

impl TicketOffice {
    /// With the keys of the store, newest first. There is at least one.
    pub fn new(world: WorldId, keys: &[SealingKey]) -> Self {
        let keys = keys.iter().map(|key| {
            let unbound = UnboundKey::new(&AES_256_GCM_SIV, &key.key).expect("a sealing key has 32 bytes");
            (key.id, LessSafeKey::new(unbound))
        });
        Self { world, keys: keys.collect() }
    }

    /// Seals `ticket` with the newest key.
    pub fn seal(&self, ticket: &Ticket) -> Vec<u8> {
        let (id, key) = self.keys.first().expect("a store has at least one sealing key");
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).expect("the system has randomness");
        let mut sealed = Vec::with_capacity(PLAIN_BYTES + 16);
        sealed.extend_from_slice(&self.world.0.to_le_bytes());
        sealed.extend_from_slice(&ticket.player.0.to_le_bytes());
        sealed.extend_from_slice(&ticket.session.0.to_le_bytes());
        sealed.extend_from_slice(&ticket.session_epoch.0.to_le_bytes());
        sealed.extend_from_slice(&ticket.issued.0.to_le_bytes());
        key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), context(*id), &mut sealed)
            .expect("a ticket is far below the cipher's limit");
        let mut out = Vec::with_capacity(KEY_ID_BYTES + NONCE_LEN + sealed.len());
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(&nonce);
        out.extend_from_slice(&sealed);
        out
    }

    /// Reads what a client shows.
    ///
    /// # Errors
    ///
    /// [`TicketError`].
    pub fn open(&self, bytes: &[u8]) -> Result<Ticket, TicketError> {
        let (id, rest) = bytes.split_first_chunk::<KEY_ID_BYTES>().ok_or(TicketError::UnknownKey)?;
        let id = u32::from_le_bytes(*id);
        let (_, key) = self.keys.iter().find(|(known, _)| *known == id).ok_or(TicketError::UnknownKey)?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>().ok_or(TicketError::Broken)?;
        let mut sealed = sealed.to_vec();
        let plain = key
            .open_in_place(Nonce::assume_unique_for_key(*nonce), context(id), &mut sealed)
            .map_err(|_| TicketError::Broken)?;
        let plain: &[u8; PLAIN_BYTES] = (&*plain).try_into().map_err(|_| TicketError::Broken)?;
        if plain[..4] != self.world.0.to_le_bytes() {
            return Err(TicketError::World);
        }
        let wide = |at: usize| u128::from_le_bytes(plain[at..at + 16].try_into().expect("sixteen bytes"));
        let long = |at: usize| u64::from_le_bytes(plain[at..at + 8].try_into().expect("eight bytes"));
        Ok(Ticket {
            player: PlayerId(wide(4)),
            session: SessionId(wide(20)),
            session_epoch: Epoch(long(36)),
            issued: Tick(long(44)),
        })
    }
}

fn context(id: u32) -> Aad<[u8; 20]> {
    let mut bytes = [0; 20];
    bytes[..16].copy_from_slice(b"horizon ticket 1");
    bytes[16..].copy_from_slice(&id.to_le_bytes());
    Aad::from(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: u32) -> SealingKey {
        SealingKey { id, key: [id as u8; 32] }
    }

    const TICKET: Ticket = Ticket {
        player: PlayerId(7),
        session: SessionId(9),
        session_epoch: Epoch::new(1, 3),
        issued: Tick(1234),
    };

    #[test]
    fn a_ticket_reads_back_at_any_edge_with_the_key() {
        let old = TicketOffice::new(WorldId(1), &[key(1)]);
        let rotated = TicketOffice::new(WorldId(1), &[key(2), key(1)]);
        assert_eq!(rotated.open(&old.seal(&TICKET)), Ok(TICKET));
        assert_eq!(old.open(&rotated.seal(&TICKET)), Err(TicketError::UnknownKey));
        assert_ne!(old.seal(&TICKET), old.seal(&TICKET), "every ticket has its own nonce");
    }

    #[test]
    fn anything_else_is_refused() {
        let office = TicketOffice::new(WorldId(1), &[key(1)]);
        let sealed = office.seal(&TICKET);
        for at in 0..sealed.len() {
            let mut broken = sealed.clone();
            broken[at] ^= 1;
            assert!(office.open(&broken).is_err(), "byte {at}");
            assert!(office.open(&sealed[..at]).is_err(), "cut at {at}");
        }
        let other = TicketOffice::new(WorldId(2), &[key(1)]);
        assert_eq!(other.open(&sealed), Err(TicketError::World));
    }
}
