//! What a player knows of the tokens it holds, and the messages of the plugin `tokens`.

use std::collections::BTreeSet;

use horizon_history::Event;
use horizon_model::PlayerId;
use serde::{Deserialize, Serialize};

/// Tokens that each player begins with.
pub(crate) const TOKENS: u32 = 4;

/// The tokens of a player, as the plugin counts them: FNV-1a over id and number, without the lowest 11 bits.
fn token_of(player: PlayerId, number: u32) -> u64 {
    let bytes = player.0.to_le_bytes().into_iter().chain(number.to_le_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash >> 11
}

/// What it believes to have, and to whom it gives.
#[derive(Debug, Default)]
pub(crate) struct Purse {
    tokens: BTreeSet<u64>,
    partners: Vec<PlayerId>,
    given: usize,
}

/// Payload of `give`.
#[derive(Debug, Serialize)]
pub(crate) struct Give {
    pub(crate) to: String,
    pub(crate) token: u64,
}

/// Of `received` and `refused`, what counts here.
#[derive(Debug, Deserialize)]
pub(crate) struct Token {
    pub(crate) token: u64,
}

/// Payload of `report`.
#[derive(Debug, Deserialize)]
pub(crate) struct Inventory {
    pub(crate) tokens: Vec<u64>,
}

impl Purse {
    /// That of a new player, and what came into the world with it.
    pub(crate) fn mint(player: PlayerId) -> (Self, Vec<Event>) {
        let tokens: BTreeSet<u64> = (0..TOKENS).map(|number| token_of(player, number)).collect();
        let minted = tokens.iter().map(|token| Event::Minted { token: *token }).collect();
        (Self { tokens, ..Self::default() }, minted)
    }

    /// Who else is there.
    pub(crate) fn meet(&mut self, partners: Vec<PlayerId>) {
        self.partners = partners;
    }

    /// The next gift: to each of the others in turn.
    pub(crate) fn next_gift(&self) -> Option<Give> {
        let to = self.partners.get(self.given % self.partners.len().max(1))?;
        Some(Give { to: to.to_string(), token: *self.tokens.first()? })
    }

    /// The gift is on its way.
    pub(crate) fn gave(&mut self, gift: &Give) {
        self.given += 1;
        self.tokens.remove(&gift.token);
    }

    /// One came, or came back.
    pub(crate) fn got(&mut self, token: u64) {
        self.tokens.insert(token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_for_every_language() {
        assert_eq!(token_of(PlayerId(1), 0), 434_478_411_522_674);
    }

    #[test]
    fn gifts_go_round_until_the_purse_is_empty() {
        let (mut purse, minted) = Purse::mint(PlayerId(1));
        assert_eq!(minted.len(), TOKENS as usize);
        assert!(purse.next_gift().is_none(), "nobody is there");
        purse.meet(vec![PlayerId(2), PlayerId(3)]);
        let mut to = Vec::new();
        while let Some(gift) = purse.next_gift() {
            purse.gave(&gift);
            to.push(gift.to);
        }
        assert_eq!(to.len(), TOKENS as usize);
        assert!(to[0] == to[2] && to[0] != to[1], "{to:?}");
        purse.got(7);
        assert_eq!(purse.next_gift().map(|gift| gift.token), Some(7));
    }
}
