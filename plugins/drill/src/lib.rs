//! Drill: luggage for everybody and a march over the border, for measurements, and panics, for tests. Without a configuration it
//! does nothing.
//!
//! Luggage is up to three bags, components of at most 8 KiB, of which one entry changes now and then: what an
//! inventory is to a handoff. A march begins when enough players have stood in one region for a while: in one tick all of them
//! stand as far on the other side of the plane x = 0 as they stood before it, and walk over no ground between.

mod clutter;
mod fragile;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use horizon_plugin_api::{
    Component, Ctx, EntityId, EventSystem, PlayerConnectedEvent, PlayerId, PluginError, Position,
    ServerTickEvent, SimplePlugin, TICKS_PER_SECOND, Tick, async_trait, create_simple_plugin,
};
use serde::{Deserialize, Serialize};

/// Bytes of one entry of a [`Bag`] in a component, about.
const ENTRY_BYTES: usize = 64;
/// What a stored entry says beside its words.
const ENTRY_OVERHEAD: usize = 15;
/// Counts stay below this, so that an entry grows by a few bytes at most.
const MAX_COUNT: u64 = 1_000_000;
/// Who is further from the plane than this, in metres, does not march.
const MARCH_METRES: f64 = 50.0;

/// The table `[plugin.drill]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Size of everybody's luggage in bytes, about; 0 is none.
    pub luggage_bytes: usize,
    /// Seconds between two changes of one entry; 0 is never.
    pub change_seconds: u64,
    /// So many players in one region march; 0 is never.
    pub march_players: usize,
    /// For so many seconds they must have stood there.
    pub march_after_seconds: u64,
    /// So many things lie in each region in which somebody has been; 0 is none.
    pub objects: usize,
    /// So many milliseconds a step does not end, now and then; 0 is never.
    pub blocks_ms: u64,
    /// Seconds from one such step to the next, where somebody is; 0 is never.
    pub blocks_every_seconds: u64,
    /// On which side of a border the plugin panics, while a player's state is written or read.
    pub panics: Option<Panics>,
}

pub use fragile::Panics;

/// Bytes that one bag holds at first: a component may have 8 KiB, and counts grow.
const BAG_BYTES: usize = 7 * 1024;
/// Names of the bags' components.
const BAGS: [&str; 3] = ["drill.bag0", "drill.bag1", "drill.bag2"];

/// A part of what a player carries, the `N`-th of [`BAGS`].
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Bag<const N: usize> {
    /// Changes so far; each changed one entry.
    pub changes: u64,
    /// Things.
    pub entries: Vec<Entry>,
}

/// One thing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// What it is.
    pub item: String,
    /// How many.
    pub count: u64,
}

impl<const N: usize> Component for Bag<N> {
    const NAME: &'static str = BAGS[N];
    const VERSION: u32 = 1;
}

impl<const N: usize> Bag<N> {
    /// As many entries as take about what this bag holds of `bytes`.
    pub fn of(bytes: usize) -> Self {
        let bytes = bytes.saturating_sub(N * BAG_BYTES).min(BAG_BYTES);
        let words = ENTRY_BYTES - ENTRY_OVERHEAD;
        let entry = |n: usize| Entry { item: format!("{n:0words$}"), count: n as u64 };
        Self { changes: 0, entries: (0..bytes / ENTRY_BYTES).map(entry).collect() }
    }

    /// Changes one entry: a different one each time, all over the luggage.
    pub fn change(&mut self) {
        let len = self.entries.len() as u64;
        // A step that shares no factor with any power of two visits all of them.
        let at = self.changes.wrapping_mul(37) % len.max(1);
        if let Some(entry) = self.entries.get_mut(at as usize) {
            entry.count = (entry.count * 3 + 1) % MAX_COUNT;
        }
        self.changes += 1;
    }
}

/// The plugin.
#[derive(Default)]
pub struct Drill;

/// Since which tick enough players stand here, and 0 where they do not.
#[derive(Default)]
struct Muster(AtomicU64);

#[async_trait]
impl SimplePlugin for Drill {
    fn name(&self) -> &str {
        "drill"
    }

    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    async fn register_handlers(&mut self, events: Arc<EventSystem>) -> Result<(), PluginError> {
        let config: Config = events.config()?;
        if config == Config::default() {
            return Ok(());
        }
        events
            .on_core("player_connected", move |cx: &mut Ctx, event: PlayerConnectedEvent| {
                pack::<0>(cx, event.entity, &config)?;
                pack::<1>(cx, event.entity, &config)?;
                pack::<2>(cx, event.entity, &config)
            })
            .await?;
        if config.objects > 0 {
            clutter::register(&events, config.objects).await?;
        }
        if let Some(panics) = config.panics {
            fragile::register(&events, panics).await?;
        }
        let muster = Muster::default();
        events
            .on_core("server_tick", move |cx: &mut Ctx, event: ServerTickEvent| {
                change(cx, &config, event.tick)?;
                block(cx, &config, event.tick);
                muster.march(cx, &config, event.tick)
            })
            .await
    }
}

/// The players this region may change now.
fn own_players(cx: &Ctx) -> Vec<PlayerId> {
    let all = cx.players().into_iter().map(|(player, ..)| player);
    all.filter(|player| cx.owns(*player)).collect()
}

/// Gives an avatar a bag, if there is anything for it to hold.
fn pack<const N: usize>(cx: &mut Ctx, entity: EntityId, config: &Config) -> Result<(), PluginError> {
    let bag = Bag::<N>::of(config.luggage_bytes);
    if bag.entries.is_empty() || cx.component::<Bag<N>>(entity)?.is_some() {
        return Ok(());
    }
    cx.set_component(entity, &bag)
}

fn change(cx: &mut Ctx, config: &Config, tick: Tick) -> Result<(), PluginError> {
    let every = config.change_seconds * TICKS_PER_SECOND;
    if config.luggage_bytes == 0 || every == 0 || !tick.0.is_multiple_of(every) {
        return Ok(());
    }
    let bags = config.luggage_bytes.div_ceil(BAG_BYTES).min(BAGS.len()) as u64;
    for player in own_players(cx) {
        match tick.0 / every % bags {
            0 => cx.component_mut::<Bag<0>>(player)?.change(),
            1 => cx.component_mut::<Bag<1>>(player)?.change(),
            _ => cx.component_mut::<Bag<2>>(player)?.change(),
        }
    }
    Ok(())
}

/// What a plugin must not do: the whole region waits for it.
#[allow(clippy::disallowed_methods)]
fn block(cx: &Ctx, config: &Config, tick: Tick) {
    let every = config.blocks_every_seconds * TICKS_PER_SECOND;
    if every > 0 && tick.0.is_multiple_of(every) && !own_players(cx).is_empty() {
        std::thread::sleep(Duration::from_millis(config.blocks_ms));
    }
}

impl Muster {
    fn march(&self, cx: &mut Ctx, config: &Config, tick: Tick) -> Result<(), PluginError> {
        // Counting a crowd costs something: half a second is near enough.
        if config.march_players == 0 || !tick.0.is_multiple_of(TICKS_PER_SECOND / 2) {
            return Ok(());
        }
        let near = |player: &PlayerId| {
            cx.pose(*player).is_some_and(|pose| pose.position.metres()[0].abs() <= MARCH_METRES)
        };
        let players: Vec<PlayerId> = own_players(cx).into_iter().filter(near).collect();
        if players.len() < config.march_players {
            self.0.store(0, Ordering::Relaxed);
            return Ok(());
        }
        let since = match self.0.load(Ordering::Relaxed) {
            0 => {
                self.0.store(tick.0, Ordering::Relaxed);
                tick.0
            }
            since => since,
        };
        if tick.0 < since + config.march_after_seconds * TICKS_PER_SECOND {
            return Ok(());
        }
        self.0.store(0, Ordering::Relaxed);
        for player in players {
            let Some(mut pose) = cx.pose(player) else { continue };
            let [x, y, z] = pose.position.metres();
            pose.position = Position::from_metres([-x, y, z]).ok_or(PluginError::Unknown)?;
            pose.velocity = [0.0; 3];
            cx.set_pose(player, pose)?;
        }
        Ok(())
    }
}

create_simple_plugin!(Drill);

#[cfg(test)]
mod tests {
    use horizon_plugin_api::testing::Bench;
    use horizon_plugin_api::{CoreEvent, SessionId};

    use super::*;

    const ADA: PlayerId = PlayerId(1);

    fn bench(config: &str) -> Bench {
        let mut bench = Bench::new::<Drill>(config).expect("the drill registers");
        let entity = bench.world.join(ADA, "Ada", [-8.0, 3.0, 1.0]);
        let (name, session) = ("Ada".to_owned(), SessionId(1));
        let event = PlayerConnectedEvent { player_id: ADA, entity, name, session, spawn: None, fresh: true };
        bench.core(&CoreEvent::PlayerConnected(event)).expect("connected");
        bench
    }

    fn run(bench: &mut Bench, ticks: std::ops::Range<u64>) {
        for n in ticks {
            bench.world.tick = Tick(n);
            let event = ServerTickEvent { tick: Tick(n), sim_time_s: n as f64 / 60.0, step_s: 1.0 / 60.0 };
            bench.core(&CoreEvent::ServerTick(event)).expect("a tick");
        }
    }

    #[test]
    fn luggage_has_its_size_and_one_entry_changes_at_a_time() {
        let mut bench = bench(r#"{"luggage_bytes":16384,"change_seconds":1}"#);
        let entity = bench.world.players[&ADA].0;
        let sizes = |bench: &Bench| BAGS.map(|bag| bench.world.components[&(entity, bag.to_owned())].len());
        let before: usize = sizes(&bench).iter().sum();
        assert!((15_500..17_500).contains(&before), "{before} bytes");
        run(&mut bench, 1..121);
        let changes = |bench: &Bench| {
            let bag = |changes: Option<u64>| changes.expect("it stays");
            bag(bench.world.component_of::<Bag<0>>(entity).map(|bag| bag.changes))
                + bag(bench.world.component_of::<Bag<1>>(entity).map(|bag| bag.changes))
                + bag(bench.world.component_of::<Bag<2>>(entity).map(|bag| bag.changes))
        };
        assert_eq!(changes(&bench), 2);
        let fresh = Bag::<1>::of(16_384);
        let after = bench.world.component_of::<Bag<1>>(entity).expect("it stays");
        let changed = after.entries.iter().zip(&fresh.entries).filter(|(now, then)| now != then).count();
        assert_eq!(changed as u64, after.changes);
        run(&mut bench, 121..60_000);
        assert!(sizes(&bench).iter().all(|&bytes| bytes < 8 * 1024), "{:?}", sizes(&bench));
    }

    #[test]
    fn everybody_marches_at_once_and_not_before_the_time() {
        let mut bench = bench(r#"{"march_players":1,"march_after_seconds":2}"#);
        let entity = bench.world.players[&ADA].0;
        run(&mut bench, 1..150);
        assert_eq!(bench.world.poses[&entity].position.metres()[0], -8.0);
        run(&mut bench, 150..151);
        assert_eq!(bench.world.poses[&entity].position.metres(), [8.0, 3.0, 1.0]);
        assert_eq!(bench.world.snaps.get(&entity).copied().unwrap_or(0), 0, "no jump is announced");
    }

    #[test]
    fn things_are_put_down_once() {
        let mut bench = bench(r#"{"objects":700}"#);
        run(&mut bench, 1..61);
        assert_eq!(bench.world.objects.len(), 700);
        run(&mut bench, 61..121);
        assert_eq!(bench.world.objects.len(), 700);
    }

    #[test]
    fn without_a_configuration_nothing_happens() {
        let mut bench = bench("");
        run(&mut bench, 1..200);
        assert!(bench.world.components.is_empty());
    }
}
