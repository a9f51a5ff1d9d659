//! A plugin that spawns derived objects, run through the real boundary.

use std::collections::BTreeMap;
use std::sync::Arc;

use horizon_plugin_api::testing::Bench;
use horizon_plugin_api::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Copy, Serialize, Deserialize)]
enum Lid {
    Shut,
    Open,
}

#[derive(GorcObject)]
#[gorc(critical(radius_metres = 60, nearest = 20))]
struct CrateBox {
    #[gorc(critical)]
    position: Position,
    #[gorc(critical)]
    health: u16,
    #[gorc(detailed)]
    velocity: [f32; 3],
    #[gorc(detailed)]
    lid: Lid,
    #[gorc(metadata)]
    title: String,
    #[gorc(skip)]
    opened_by: Option<PlayerId>,
}

/// JSON has no name for a key that is a list.
#[derive(GorcObject)]
struct Broken {
    #[gorc(critical)]
    position: [f64; 3],
    #[gorc(metadata)]
    fine: bool,
    #[gorc(cosmetic)]
    odd: BTreeMap<Vec<u8>, u8>,
}

#[derive(GorcObject)]
struct Weather {
    #[gorc(metadata)]
    rain: bool,
}

#[derive(Default)]
struct Store;

#[async_trait]
impl SimplePlugin for Store {
    fn name(&self) -> &str {
        "store"
    }

    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    async fn register_handlers(&mut self, events: Arc<EventSystem>) -> Result<(), PluginError> {
        events.object_type(ObjectType::of::<CrateBox>()).await?;
        events.object_type(ObjectType::of::<Broken>()).await?;
        events
            .on_client("store", "put", |cx: &mut Ctx, from: PlayerId, title: String| {
                let position = cx.pose(from).ok_or(PluginError::Unknown)?.position;
                let (lid, velocity) = (Lid::Shut, [0.0; 3]);
                let mut put = CrateBox { position, health: 100, velocity, lid, title, opened_by: None };
                let entity = cx.spawn_object(&put)?;
                (put.lid, put.velocity, put.opened_by) = (Lid::Open, [1.0, 0.0, 0.0], Some(from));
                put.position = position.moved([2.0, 0.0, 0.0]);
                cx.update_object(entity, &put)
            })
            .await?;
        events
            .on_client("store", "break", |cx: &mut Ctx, _: PlayerId, odd: Vec<u8>| {
                let odd = BTreeMap::from([(odd, 1)]);
                cx.spawn_object(&Broken { position: [0.0; 3], fine: true, odd }).map(drop)
            })
            .await?;
        events
            .on_client("store", "rain", |cx: &mut Ctx, _: PlayerId, rain: bool| {
                cx.spawn_object(&Weather { rain }).map(drop)
            })
            .await
    }
}

const ADA: PlayerId = PlayerId(7);

fn bench() -> Bench {
    let mut bench = Bench::new::<Store>("").expect("the plugin registers");
    bench.world.join(ADA, "Ada", [1.0, 2.0, 3.0]);
    bench
}

#[test]
fn a_struct_declares_its_type() {
    let bench = bench();
    let [crate_box, broken] = bench.registration().objects.as_slice() else { panic!("two are declared") };
    assert_eq!(crate_box.name, "crate_box");
    let fields = [("health".to_owned(), 0), ("lid".to_owned(), 1), ("title".to_owned(), 3)];
    assert_eq!(crate_box.fields, fields);
    let declared = ObjectType::new("crate_box").channels(CrateBox::CHANNELS);
    assert_eq!(crate_box.channels, declared.channels);
    assert_eq!(crate_box.channels.map(|channels| (channels[0].0, channels[0].5)), Some((60.0, 20)));
    assert_eq!(broken.channels, None, "numbers that nobody gives come from the configuration");
}

#[test]
fn a_struct_is_spawned_and_updated_whole() {
    let mut bench = bench();
    bench.input(ADA, "store", "put", &"Nails").expect("the handler accepts it");
    let (entity, name) = bench.world.objects.first_key_value().expect("one was spawned");
    assert_eq!(name, "crate_box");
    let pose = bench.world.poses[entity];
    assert_eq!((pose.position.metres(), pose.velocity), ([3.0, 2.0, 3.0], [1.0, 0.0, 0.0]));
    assert_eq!(bench.world.snaps[entity], 0, "an update is a movement");
    let fields: Vec<(&str, &str)> =
        bench.world.fields.iter().map(|((_, name), json)| (name.as_str(), json.as_str())).collect();
    assert_eq!(fields, [("health", "100"), ("lid", "\"Open\""), ("title", "\"Nails\"")]);
}

#[test]
fn what_cannot_be_said_is_not_spawned() {
    let mut bench = bench();
    let error = bench.input(ADA, "store", "break", &[1_u8]).expect_err("JSON cannot say it").to_string();
    assert!(error.contains("field odd of broken cannot be encoded"), "{error}");
    assert!(bench.world.objects.is_empty(), "no half object stays");
    let error = bench.input(ADA, "store", "rain", &true).expect_err("it is nowhere").to_string();
    assert!(error.contains("weather has no position"), "{error}");
}
