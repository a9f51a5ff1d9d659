//! What plugins' messages hold, as a client reads and writes it.

use horizon_client::Spelling;
use horizon_history::Account;
use horizon_model::PlayerId;
use serde_json::Value;

/// Tokens that each player begins with.
pub(crate) const TOKENS: u32 = 4;

/// The tokens of a player, as the plugin `tokens` counts them.
pub(crate) fn token_of(player: PlayerId, number: u32) -> u64 {
    let bytes = player.0.to_le_bytes().into_iter().chain(number.to_le_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash >> 11
}

/// The payload of a ledger's report.
pub(crate) fn account(value: &Value) -> Account {
    let number = |name: &str| value[name].as_u64().unwrap_or(u64::MAX);
    let chain = value["chain"].as_str().and_then(|text| u64::from_str_radix(text, 16).ok());
    Account {
        count: number("count"),
        last_seq: number("last_seq") as u32,
        chain: chain.unwrap_or(0),
        repeated: number("repeated"),
        skipped: number("skipped"),
        backwards: number("backwards"),
    }
}

/// A payload in the session's spelling.
pub(crate) fn spell(spelling: Spelling, value: &Value) -> Vec<u8> {
    match spelling {
        Spelling::Json => value.to_string().into_bytes(),
        Spelling::Binary => rmp_serde::to_vec_named(value).expect("plain data"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_for_every_language() {
        assert_eq!(token_of(PlayerId(1), 0), 434_478_411_522_674);
    }
}
