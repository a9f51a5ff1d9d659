//! Things that lie about: state that a region has to carry and that nobody moves.

use horizon_plugin_api::{
    Ctx, EventSystem, ObjectType, PluginError, Pose, Position, ServerTickEvent, TICKS_PER_SECOND,
};

/// What a thing is called.
pub(crate) const THING: &str = "drill.thing";
/// Between two looks, in ticks, and what is put down at one of them.
const EVERY: u64 = TICKS_PER_SECOND / 6;
const AT_ONCE: usize = 500;
/// Things in a row, and metres between them.
const ROW: usize = 100;
const METRES: f64 = 4.0;

/// Puts `count` things down beside the first player of a region, once: a region that has been recovered has them.
pub(crate) async fn register(events: &EventSystem, count: usize) -> Result<(), PluginError> {
    events.object_type(ObjectType::new(THING)).await?;
    events
        .on_core(
            "server_tick",
            move |cx: &mut Ctx, event: ServerTickEvent| {
                if event.tick.0.is_multiple_of(EVERY) { put_down(cx, count) } else { Ok(()) }
            },
        )
        .await
}

fn put_down(cx: &mut Ctx, count: usize) -> Result<(), PluginError> {
    let there = cx.objects(THING).len();
    let player = cx.players().into_iter().find(|(player, ..)| cx.owns(*player));
    let Some((player, ..)) = player.filter(|_| there < count) else { return Ok(()) };
    let Some(pose) = cx.pose(player) else { return Ok(()) };
    let [x, y, z] = pose.position.metres();
    for n in there..count.min(there + AT_ONCE) {
        let place = [x + METRES * (n % ROW) as f64, y + METRES * (n / ROW) as f64, z];
        let position = Position::from_metres(place).ok_or(PluginError::Unknown)?;
        cx.spawn(THING, Pose::at(position))?;
    }
    Ok(())
}
