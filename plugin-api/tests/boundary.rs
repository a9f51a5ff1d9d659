//! A plugin with every kind of handler, run through the real boundary.

use std::sync::Arc;

use horizon_plugin_api::host::{CallError, OpenError};
use horizon_plugin_api::testing::Bench;
use horizon_plugin_api::*;
use serde::{Deserialize, Serialize};

#[derive(Default)]
struct Tavern;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    dish: String,
    price: u32,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
struct Purse {
    coins: u32,
}

impl Component for Purse {
    const NAME: &'static str = "tavern.purse";
    const VERSION: u32 = 2;
}

impl Purse {
    fn pay(&mut self, price: u32) -> Result<(), PluginError> {
        self.coins = self.coins.checked_sub(price).ok_or("the purse is too light")?;
        Ok(())
    }
}

#[derive(Deserialize)]
#[serde(default)]
struct Config {
    coins: u32,
}

impl Default for Config {
    fn default() -> Self {
        Self { coins: 10 }
    }
}

#[async_trait]
impl SimplePlugin for Tavern {
    fn name(&self) -> &str {
        "tavern"
    }

    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    async fn register_handlers(&mut self, events: Arc<EventSystem>) -> Result<(), PluginError> {
        let Config { coins } = events.config()?;
        if coins == 0 {
            return Err(PluginError::new("guests need coins: set coins above zero"));
        }
        events.object_type(ObjectType::new("mug").field("beer", Channel::Metadata)).await?;
        events
            .on_core("player_connected", move |cx: &mut Ctx, event: PlayerConnectedEvent| {
                cx.set_component(event.entity, &Purse { coins })
            })
            .await?;
        events
            .on_client("tavern", "order", |cx: &mut Ctx, from: PlayerId, order: Order| {
                cx.component_mut::<Purse>(from)?.pay(order.price)?;
                cx.send(from, "tavern", "served", &order)
            })
            .await?;
        events
            .on_client("tavern", "raw", |event: RawClientMessageEvent| {
                if event.data.is_empty() { Err("nothing to read".into()) } else { Ok(()) }
            })
            .await?;
        events
            .on_client("tavern", "mug", |cx: &mut Ctx, event: RawClientMessageEvent| {
                let pose = cx.pose(event.player_id).ok_or(PluginError::Unknown)?;
                let mug = cx.spawn("mug", pose)?;
                cx.set_field(mug, "beer", &event.decode::<f32>()?)?;
                cx.emit_plugin("tavern", "mug_filled", &mug)
            })
            .await?;
        events.on_plugin("tavern", "mug_filled", |cx: &mut Ctx, mug: EntityId| cx.despawn(mug)).await?;
        events.on_client("tavern", "brawl", |_: &mut Ctx, _: PlayerId, _: ()| panic!("chairs fly")).await?;
        events.on_core("server_tick", |_: ServerTickEvent| Ok(())).await?;
        Ok(())
    }

    fn on_init(&mut self, cx: &mut Ctx) -> Result<(), PluginError> {
        cx.log(Level::Info, "open");
        Ok(())
    }
}

const GUEST: PlayerId = PlayerId(7 << 64 | 9);

fn bench() -> Bench {
    let mut bench = Bench::new::<Tavern>(r#"{"coins": 5}"#).expect("the tavern registers");
    let entity = bench.world.join(GUEST, "Ada", [10.0, 20.0, 0.0]);
    bench
        .core(&CoreEvent::PlayerConnected(PlayerConnectedEvent {
            player_id: GUEST,
            entity,
            name: "Ada".to_owned(),
            session: SessionId(1),
            spawn: None,
            fresh: true,
        }))
        .expect("the purse is filled");
    bench
}

#[test]
fn a_component_changes_and_an_event_leaves() {
    let mut bench = bench();
    let stew = Order { dish: "stew".to_owned(), price: 3 };
    bench.input(GUEST, "tavern", "order", &stew).expect("the guest can pay");
    let served = bench.world.take_sent("tavern", "served");
    assert_eq!(served[0].to, Some(GUEST));
    assert_eq!(served[0].read::<Order>(), stew);
    let entity = bench.world.players[&GUEST].0;
    assert_eq!(bench.world.component_of::<Purse>(entity), Some(Purse { coins: 2 }));

    let refused = bench.input(GUEST, "tavern", "order", &stew);
    assert_eq!(refused, Err(CallError::Failed("the purse is too light".to_owned())));
    assert_eq!(bench.world.component_of::<Purse>(entity), Some(Purse { coins: 2 }));
}

#[test]
fn objects_fields_and_plugin_events_cross_the_boundary() {
    let mut bench = bench();
    bench.input(GUEST, "tavern", "mug", &0.5_f32).expect("a mug appears");
    let (mug, _) = bench.world.objects.first_key_value().expect("it is there");
    assert_eq!(bench.world.fields[&(*mug, "beer".to_owned())], "0.5");
    assert_eq!(bench.effects.emitted[0].event, "mug_filled");
}

#[test]
fn errors_name_whose_fault_it_is() {
    let mut bench = bench();
    let wrong = bench.input(GUEST, "tavern", "order", &"not an order");
    assert!(matches!(wrong, Err(CallError::Payload(text)) if text.starts_with("payload of tavern/order")));
    let panicked = bench.input(GUEST, "tavern", "brawl", &());
    assert_eq!(panicked, Err(CallError::Panicked("chairs fly".to_owned())));
    bench.input(GUEST, "tavern", "raw", &1).expect("the plugin lives on");

    let entity = bench.world.players[&GUEST].0;
    bench.world.ghosts.push(entity);
    let elsewhere = bench.input(GUEST, "tavern", "order", &Order { dish: String::new(), price: 1 });
    assert_eq!(elsewhere, Err(CallError::Failed(PluginError::NotOwned.to_string())));
}

#[test]
fn a_registration_error_reaches_the_host_in_the_authors_words() {
    let refused = Bench::new::<Tavern>(r#"{"coins": 0}"#).err();
    assert_eq!(refused, Some(OpenError::Register("guests need coins: set coins above zero".to_owned())));
    let typo = Bench::new::<Tavern>(r#"{"coins": "ten"}"#).err();
    assert!(matches!(typo, Some(OpenError::Register(text)) if text.contains("[plugin.tavern]")));
}

#[derive(Default)]
struct Confused;

#[async_trait]
impl SimplePlugin for Confused {
    fn name(&self) -> &str {
        "confused"
    }

    fn version(&self) -> &str {
        "0"
    }

    async fn register_handlers(&mut self, events: Arc<EventSystem>) -> Result<(), PluginError> {
        events.on_core("player_connected", |_: ServerTickEvent| Ok(())).await
    }
}

#[test]
fn a_closure_for_another_event_is_refused_by_name() {
    let refused = Bench::new::<Confused>("{}").err();
    assert!(matches!(refused, Some(OpenError::Register(text)) if text.contains("\"server_tick\"")));
}

create_simple_plugin!(Tavern);
