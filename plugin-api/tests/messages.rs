//! Messages to objects, through the real boundary.

use std::sync::Arc;

use horizon_plugin_api::testing::Bench;
use horizon_plugin_api::*;

const ADA: PlayerId = PlayerId(1);

/// Bells that are rung from afar.
#[derive(Default)]
struct Bells;

#[async_trait]
impl SimplePlugin for Bells {
    fn name(&self) -> &str {
        "bells"
    }

    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    async fn register_handlers(&mut self, events: Arc<EventSystem>) -> Result<(), PluginError> {
        events.object_type(ObjectType::new("bell")).await?;
        events
            .on_client("bells", "ring", |cx: &mut Ctx, from: PlayerId, bell: EntityId| {
                cx.send_object(bell, "bells", "rung", &from)
            })
            .await?;
        events
            .on_object("bells", "rung", |cx: &mut Ctx, bell: EntityId, by: PlayerId| {
                cx.despawn(bell)?;
                cx.send(by, "bells", "broke", &bell)
            })
            .await?;
        events
            .on_undeliverable("bells", "rung", |cx: &mut Ctx, bell: Who, by: PlayerId| {
                let Who::Entity(bell) = bell else { return Ok(()) };
                cx.send(by, "bells", "silent", &bell)
            })
            .await
    }
}

#[test]
fn a_message_names_its_object_and_the_object_may_be_gone() {
    let mut bench = Bench::new::<Bells>("").expect("the plugin registers");
    let ada = bench.world.join(ADA, "Ada", [0.0; 3]);
    let bell = host::HostWorld::spawn(&mut bench.world, "bell", Pose::default()).expect("spawned");

    bench.input(ADA, "bells", "ring", &bell).expect("handled");
    let rung = bench.world.take_sent("bells", "rung");
    assert_eq!((rung[0].to, rung[0].object), (None, Some(bell)));
    bench.to_object(bell, "bells", "rung", &rung[0].read::<PlayerId>()).expect("handled");
    let broke = bench.world.take_sent("bells", "broke");
    assert_eq!((broke[0].to, broke[0].object, broke[0].read()), (Some(ADA), None, bell));
    assert!(bench.world.objects.is_empty(), "its owner has decided");

    bench.undeliverable(bell.into(), "bells", "rung", &ADA).expect("handled");
    assert_eq!(bench.world.take_sent("bells", "silent")[0].read::<EntityId>(), bell);

    bench.input(ADA, "bells", "ring", &ada).expect_err("an avatar is no object");
    assert!(bench.world.sent.is_empty());
}
