//! Tokens: things that exist once, and pass from player to player across every border.
//!
//! Each player is given [`TOKENS`] of them at the first arrival. Whatever happens to region servers in the
//! meantime, all tokens together are always the same ones, each in one purse: that is what it proves.
//!
//! | input | payload | event, to whom |
//! |---|---|---|
//! | `give` | `{to, token}`, where `to` is a player id | `received` `{token, from}` to the other; `refused` `{why}` to the giver |
//! | `report` | anything | `report` `{tokens}` |
//!
//! A gift leaves the giver's purse in one durable step, travels as a message from region to region, and
//! enters the other purse in one durable step, wherever in the world that one is by then.

use std::sync::Arc;

use horizon_plugin_api::{
    Component, Ctx, EventSystem, PlayerConnectedEvent, PlayerId, PluginError, RawClientMessageEvent,
    SimplePlugin, async_trait, create_simple_plugin,
};
use serde::{Deserialize, Serialize};

/// Tokens of a new player.
pub const TOKENS: u32 = 4;

/// Purses hold at most this many: more would not fit into a component.
pub const MAX_TOKENS: usize = 600;

/// The `number`-th token of a player: FNV-1a with 64 bits over the id (16 bytes, little-endian) and the number
/// (4 bytes, little-endian), without its lowest 11 bits, so that every language can count it.
pub fn token_of(player: PlayerId, number: u32) -> u64 {
    let bytes = player.0.to_le_bytes().into_iter().chain(number.to_le_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash >> 11
}

/// What a player has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Purse {
    tokens: Vec<u64>,
    minted: bool,
}

impl Component for Purse {
    const NAME: &'static str = "tokens.purse";
    const VERSION: u32 = 1;
}

/// Payload of `give`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Give {
    /// To whom: a player id of 32 digits.
    pub to: String,
    /// Which.
    pub token: u64,
}

/// Payload of `received`, and of the message that carries a token from region to region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gift {
    /// Which.
    pub token: u64,
    /// From whom.
    pub from: PlayerId,
}

/// Payload of `report`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Everything in the purse.
    pub tokens: Vec<u64>,
}

/// Payload of `refused`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// For the player to read.
    pub why: String,
    /// Which stays in the purse.
    pub token: u64,
}

/// The plugin.
#[derive(Default)]
pub struct Tokens;

#[async_trait]
impl SimplePlugin for Tokens {
    fn name(&self) -> &str {
        "tokens"
    }

    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    async fn register_handlers(&mut self, events: Arc<EventSystem>) -> Result<(), PluginError> {
        for event in ["received", "refused", "report"] {
            events.emits("tokens", event).await?;
        }
        events
            .on_core("player_connected", |cx: &mut Ctx, event: PlayerConnectedEvent| mint(cx, &event))
            .await?;
        events
            .on_client("tokens", "give", |cx: &mut Ctx, from: PlayerId, give: Give| hand(cx, from, &give))
            .await?;
        events
            .on_client("tokens", "report", |cx: &mut Ctx, event: RawClientMessageEvent| {
                let purse = cx.component::<Purse>(event.player_id)?.unwrap_or_default();
                cx.send(event.player_id, "tokens", "report", &Report { tokens: purse.tokens })
            })
            .await?;
        events
            .on_player("tokens", "handed", |cx: &mut Ctx, to: PlayerId, gift: Gift| take(cx, to, &gift))
            .await?;
        Ok(())
    }
}

fn mint(cx: &mut Ctx, event: &PlayerConnectedEvent) -> Result<(), PluginError> {
    let mut purse = cx.component_mut::<Purse>(event.entity)?;
    if !purse.minted {
        purse.minted = true;
        purse.tokens.extend((0..TOKENS).map(|number| token_of(event.player_id, number)));
    }
    Ok(())
}

fn hand(cx: &mut Ctx, from: PlayerId, give: &Give) -> Result<(), PluginError> {
    let refused = |why: &str| Refused { why: why.to_owned(), token: give.token };
    let purse = cx.component::<Purse>(from)?.unwrap_or_default();
    if !purse.tokens.contains(&give.token) {
        return cx.send(from, "tokens", "refused", &refused("you do not have it"));
    }
    let to = give.to.parse().ok().filter(|to: &PlayerId| *to != from);
    let Some(to) = to.filter(|to| cx.entity_of(*to).is_some()) else {
        return cx.send(from, "tokens", "refused", &refused("nobody of that id is known here"));
    };
    // The message first: where it cannot be made, the token stays.
    cx.send(to, "tokens", "handed", &Gift { token: give.token, from })?;
    cx.component_mut::<Purse>(from)?.tokens.retain(|token| *token != give.token);
    Ok(())
}

fn take(cx: &mut Ctx, to: PlayerId, gift: &Gift) -> Result<(), PluginError> {
    let mut purse = cx.component_mut::<Purse>(to)?;
    if purse.tokens.len() >= MAX_TOKENS {
        drop(purse);
        let refused = Refused { why: "their purse is full".to_owned(), token: gift.token };
        cx.send(gift.from, "tokens", "handed", gift)?;
        return cx.send(gift.from, "tokens", "refused", &refused);
    }
    purse.tokens.push(gift.token);
    drop(purse);
    cx.send(to, "tokens", "received", gift)
}

create_simple_plugin!(Tokens);

#[cfg(test)]
mod tests {
    use horizon_plugin_api::testing::Bench;
    use horizon_plugin_api::{CoreEvent, SessionId};

    use super::*;

    const ADA: PlayerId = PlayerId(1);
    const BOB: PlayerId = PlayerId(2);

    fn bench() -> Bench {
        let mut bench = Bench::new::<Tokens>("").expect("the plugin registers");
        for (player_id, name) in [(ADA, "Ada"), (BOB, "Bob")] {
            let entity = bench.world.join(player_id, name, [0.0; 3]);
            let (name, session) = (name.to_owned(), SessionId(1));
            let event = PlayerConnectedEvent { player_id, entity, name, session, spawn: None, fresh: true };
            bench.core(&CoreEvent::PlayerConnected(event.clone())).expect("connected");
            bench.core(&CoreEvent::PlayerConnected(event)).expect("connected again");
        }
        bench
    }

    fn purse(bench: &mut Bench, of: PlayerId) -> Vec<u64> {
        bench.input(of, "tokens", "report", &()).expect("reported");
        bench.world.take_sent("tokens", "report")[0].read::<Report>().tokens
    }

    fn give(bench: &mut Bench, to: &str, token: u64) {
        bench.input(ADA, "tokens", "give", &Give { to: to.to_owned(), token }).expect("handled");
    }

    #[test]
    fn a_gift_leaves_one_purse_and_enters_the_other_once() {
        let mut bench = bench();
        let token = token_of(ADA, 0);
        give(&mut bench, &BOB.to_string(), token);
        let handed = bench.world.take_sent("tokens", "handed");
        assert_eq!((handed.len(), handed[0].to), (1, Some(BOB)));
        assert_eq!(purse(&mut bench, ADA).len(), 3);
        bench.to_player(BOB, "tokens", "handed", &handed[0].read::<Gift>()).expect("taken");
        assert_eq!(bench.world.take_sent("tokens", "received")[0].to, Some(BOB));
        assert_eq!(purse(&mut bench, BOB).len(), 5);
        give(&mut bench, &BOB.to_string(), token);
        assert_eq!(bench.world.take_sent("tokens", "refused").len(), 1, "it is gone");
    }

    #[test]
    fn what_cannot_be_given_stays() {
        let mut bench = bench();
        for to in ["nobody".to_owned(), PlayerId(9).to_string(), ADA.to_string()] {
            give(&mut bench, &to, token_of(ADA, 1));
        }
        assert_eq!(bench.world.take_sent("tokens", "refused").len(), 3);
        assert_eq!(purse(&mut bench, ADA).len(), 4);
    }

    /// Computed by another program from the definition.
    #[test]
    fn one_number_for_every_language() {
        assert_eq!(token_of(PlayerId(1), 0), GOLDEN);
    }

    const GOLDEN: u64 = 434_478_411_522_674;
}
