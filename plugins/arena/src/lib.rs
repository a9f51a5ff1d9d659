//! Arena: people hit each other, pick up coins and trade, and no border between them changes what comes of it.
//!
//! | input | payload | who decides |
//! |---|---|---|
//! | `hit` | `{id, target}`, a player id | the target's region |
//! | `drop` | `{id, coin}`, a number in the purse | the player's own region; the coin lies on the ground then |
//! | `pick` | `{id, coin}`, the id of an object on the ground | the coin's region: whoever asks there first gets it |
//! | `offer` | `{id, coin, to}` | the player's own region; the offer stands until the next one |
//! | `trade` | `{id, with, give, want}` | the region of `with`: both coins change hands, or neither |
//! | `report` | anything | event `report` `{coins, health, defeats}` |
//!
//! Whoever sent an input is told `outcome` `{id, done, why, value, object}` when it is decided; `value` is the health
//! that the target has left, or the number of the coin. A coin is always in one place: on the ground, in a purse, or
//! in a message on its way, and it goes from one to the other in one durable step.

use std::sync::Arc;

use horizon_plugin_api::{
    Channel, Component, Ctx, EntityId, EventSystem, ObjectType, PlayerConnectedEvent, PlayerId, PluginError,
    Pose, SimplePlugin, Who, async_trait, create_simple_plugin,
};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

mod messages;
#[cfg(test)]
mod tests;

pub use messages::*;

/// Coins of a new player.
pub const COINS: u32 = 4;
/// Purses hold at most this many, and what is on its way to them.
pub const MAX_COINS: usize = 400;
/// Health of whoever has just come, or was just beaten.
pub const HEALTH: u32 = 100;
/// Health that a hit takes.
pub const DAMAGE: u32 = 10;
/// Hits, and hands that pick something up, reach so far, in metres.
pub const REACH_METRES: f64 = 30.0;

/// The `number`-th coin of a player: FNV-1a with 64 bits over the id (16 bytes, little-endian) and the number
/// (4 bytes, little-endian), without its lowest 11 bits, which some languages' numbers have no room for.
pub fn coin_of(player: PlayerId, number: u32) -> u64 {
    let bytes = player.0.to_le_bytes().into_iter().chain(number.to_le_bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash >> 11
}

/// What a player has.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fighter {
    health: u32,
    defeats: u32,
    coins: Vec<u64>,
    /// Which coin goes to whom for one of theirs.
    offer: Option<(u64, PlayerId)>,
    begun: bool,
}

impl Component for Fighter {
    const NAME: &'static str = "arena.fighter";
    const VERSION: u32 = 1;
}

/// What a coin on the ground is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Coin {
    number: u64,
}

impl Component for Coin {
    const NAME: &'static str = "arena.coin";
    const VERSION: u32 = 1;
}

/// The plugin.
#[derive(Default)]
pub struct Arena;

#[async_trait]
impl SimplePlugin for Arena {
    fn name(&self) -> &str {
        "arena"
    }

    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    async fn register_handlers(&mut self, events: Arc<EventSystem>) -> Result<(), PluginError> {
        events.object_type(ObjectType::new("coin").field("number", Channel::Metadata)).await?;
        for event in ["outcome", "hurt", "report"] {
            events.emits("arena", event).await?;
        }
        events.on_core("player_connected", begin).await?;
        events.on_client("arena", "hit", hit).await?;
        events.on_player("arena", "struck", struck).await?;
        events.on_client("arena", "drop", put_down).await?;
        events.on_client("arena", "pick", pick).await?;
        events.on_object("arena", "picked", picked).await?;
        events.on_client("arena", "offer", offer).await?;
        events.on_client("arena", "trade", trade).await?;
        events.on_player("arena", "asked", asked).await?;
        events.on_player("arena", "paid", paid).await?;
        events
            .on_player("arena", "told", |cx: &mut Ctx, to: PlayerId, outcome: Outcome| {
                cx.send(to, "arena", "outcome", &outcome)
            })
            .await?;
        events
            .on_undeliverable("arena", "struck", |cx: &mut Ctx, _: Who, ask: Ask| {
                tell(cx, ask.by, &Outcome::refused(ask.id, "there is nobody of that id"))
            })
            .await?;
        events
            .on_undeliverable("arena", "picked", |cx: &mut Ctx, _: Who, ask: Ask| {
                tell(cx, ask.by, &Outcome::refused(ask.id, "it is gone"))
            })
            .await?;
        events
            .on_undeliverable("arena", "asked", |cx: &mut Ctx, _: Who, swap: Swap| pay_back(cx, &swap))
            .await?;
        events.on_client("arena", "report", report).await
    }
}

fn begin(
    cx: &mut Ctx,
    PlayerConnectedEvent { player_id, entity, .. }: PlayerConnectedEvent,
) -> Result<(), PluginError> {
    let mut fighter = cx.component_mut::<Fighter>(entity)?;
    if !fighter.begun {
        (fighter.begun, fighter.health) = (true, HEALTH);
        fighter.coins.extend((0..COINS).map(|number| coin_of(player_id, number)));
    }
    Ok(())
}

/// The target's region decides, wherever that is: this one knows where the attacker is, that one knows the target.
fn hit(cx: &mut Ctx, from: PlayerId, Hit { id, target }: Hit) -> Result<(), PluginError> {
    let Ok(target) = target.parse::<PlayerId>() else {
        return tell(cx, from, &Outcome::refused(id, "that is no player id"));
    };
    let ask = Ask { id, by: from, place: place_of(cx, from)? };
    cx.send(target, "arena", "struck", &ask)
}

fn struck(cx: &mut Ctx, target: PlayerId, ask: Ask) -> Result<(), PluginError> {
    if !is_in_reach(cx, target, &ask) {
        return tell(cx, ask.by, &Outcome::refused(ask.id, "out of reach"));
    }
    let mut fighter = cx.component_mut::<Fighter>(target)?;
    fighter.health = fighter.health.saturating_sub(DAMAGE);
    let health = fighter.health;
    if health == 0 {
        (fighter.health, fighter.defeats) = (HEALTH, fighter.defeats + 1);
    }
    drop(fighter);
    cx.send(target, "arena", "hurt", &Hurt { by: ask.by.to_string(), health })?;
    tell(cx, ask.by, &Outcome::done(ask.id, health.into()))
}

fn put_down(cx: &mut Ctx, from: PlayerId, ask: PutDown) -> Result<(), PluginError> {
    if !has(cx, from, ask.coin)? {
        return tell(cx, from, &Outcome::refused(ask.id, "you do not have it"));
    }
    let pose = cx.pose(from).ok_or(PluginError::Unknown)?;
    let object = cx.spawn("coin", Pose::at(pose.position))?;
    cx.set_component(object, &Coin { number: ask.coin })?;
    cx.set_field(object, "number", &ask.coin)?;
    take_out(cx, from, ask.coin)?;
    tell(cx, from, &Outcome { object: Some(object.to_string()), ..Outcome::done(ask.id, ask.coin) })
}

fn pick(cx: &mut Ctx, from: PlayerId, Pick { id, coin }: Pick) -> Result<(), PluginError> {
    let full = cx.component::<Fighter>(from)?.is_some_and(|fighter| fighter.coins.len() >= MAX_COINS);
    let why = match coin.parse::<EntityId>() {
        Ok(coin) if !full && cx.player_of(coin).is_none() => {
            let ask = Ask { id, by: from, place: place_of(cx, from)? };
            return cx.send_object(coin, "arena", "picked", &ask);
        }
        Ok(_) if full => "your purse is full",
        _ => "that is no coin",
    };
    tell(cx, from, &Outcome::refused(id, why))
}

fn picked(cx: &mut Ctx, object: EntityId, ask: Ask) -> Result<(), PluginError> {
    let Some(coin) = cx.component::<Coin>(object)? else {
        return tell(cx, ask.by, &Outcome::refused(ask.id, "that is no coin"));
    };
    if !is_in_reach(cx, object, &ask) {
        return tell(cx, ask.by, &Outcome::refused(ask.id, "out of reach"));
    }
    // The message first: where it cannot be made, the coin lies on.
    cx.send(ask.by, "arena", "paid", &Paid { id: ask.id, coin: coin.number, done: true })?;
    cx.despawn(object)
}

fn offer(cx: &mut Ctx, from: PlayerId, Offer { id, coin, to }: Offer) -> Result<(), PluginError> {
    let to = to.parse().ok().filter(|to: &PlayerId| *to != from);
    let Some(to) = to.filter(|_| has(cx, from, coin).unwrap_or(false)) else {
        return tell(cx, from, &Outcome::refused(id, "you cannot offer that"));
    };
    cx.component_mut::<Fighter>(from)?.offer = Some((coin, to));
    tell(cx, from, &Outcome::done(id, coin))
}

/// What is given leaves the purse now and travels with the question.
fn trade(cx: &mut Ctx, from: PlayerId, Trade { id, with, give, want }: Trade) -> Result<(), PluginError> {
    let with = with.parse().ok().filter(|with: &PlayerId| *with != from);
    let Some(with) = with.filter(|_| has(cx, from, give).unwrap_or(false)) else {
        return tell(cx, from, &Outcome::refused(id, "you cannot give that"));
    };
    let swap = Swap { id, by: from, give, want };
    cx.send(with, "arena", "asked", &swap)?;
    take_out(cx, from, give)
}

/// Both halves of a trade are one step: in goes the one coin, out the other.
fn asked(cx: &mut Ctx, to: PlayerId, swap: Swap) -> Result<(), PluginError> {
    let fighter = cx.component::<Fighter>(to)?.unwrap_or_default();
    if fighter.offer != Some((swap.want, swap.by)) {
        return pay_back(cx, &swap);
    }
    cx.send(swap.by, "arena", "paid", &Paid { id: swap.id, coin: swap.want, done: true })?;
    take_out(cx, to, swap.want)?;
    cx.component_mut::<Fighter>(to)?.coins.push(swap.give);
    Ok(())
}

fn pay_back(cx: &mut Ctx, swap: &Swap) -> Result<(), PluginError> {
    cx.send(swap.by, "arena", "paid", &Paid { id: swap.id, coin: swap.give, done: false })
}

fn paid(cx: &mut Ctx, to: PlayerId, paid: Paid) -> Result<(), PluginError> {
    cx.component_mut::<Fighter>(to)?.coins.push(paid.coin);
    let done = Outcome::done(paid.id, paid.coin);
    let outcome = if paid.done { done } else { Outcome::refused(paid.id, "they do not offer that") };
    cx.send(to, "arena", "outcome", &outcome)
}

fn report(cx: &mut Ctx, from: PlayerId, _: IgnoredAny) -> Result<(), PluginError> {
    let Fighter { health, defeats, coins, .. } = cx.component::<Fighter>(from)?.unwrap_or_default();
    cx.send(from, "arena", "report", &Report { coins, health, defeats })
}

/// Tells somebody wherever they are: whoever decided may know nothing else of them.
fn tell(cx: &mut Ctx, to: PlayerId, outcome: &Outcome) -> Result<(), PluginError> {
    cx.send(to, "arena", "told", outcome)
}

fn has(cx: &Ctx, who: PlayerId, coin: u64) -> Result<bool, PluginError> {
    Ok(cx.component::<Fighter>(who)?.is_some_and(|fighter| fighter.coins.contains(&coin)))
}

fn take_out(cx: &mut Ctx, who: PlayerId, coin: u64) -> Result<(), PluginError> {
    let mut fighter = cx.component_mut::<Fighter>(who)?;
    fighter.coins.retain(|held| *held != coin);
    fighter.offer = fighter.offer.filter(|(offered, _)| *offered != coin);
    Ok(())
}

fn place_of(cx: &Ctx, who: PlayerId) -> Result<[f64; 3], PluginError> {
    Ok(cx.pose(who).ok_or(PluginError::Unknown)?.position.metres())
}

/// Each of the two places is the word of the region that owns whoever is there.
fn is_in_reach(cx: &Ctx, who: impl Into<Who>, ask: &Ask) -> bool {
    cx.pose(who).is_some_and(|pose| {
        let here = pose.position.metres();
        let square: f64 = here.iter().zip(ask.place).map(|(here, there)| (here - there).powi(2)).sum();
        square <= REACH_METRES.powi(2)
    })
}

create_simple_plugin!(Arena);
