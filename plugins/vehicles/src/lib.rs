//! Vehicles: somebody calls one, others get on, and all of them ride across every border in one piece.
//!
//! | input | payload | event |
//! |---|---|---|
//! | `call` | anything | `called` with a [`Called`]: it stands where the player stands |
//! | `enter` | [`Enter`] | `entered` with a [`Called`] once the rider sits, or `refused` |
//! | `leave` | anything | `left` with a [`Place`] |
//! | `drive` | [`Drive`], from whoever sits on it | `arrived` with a [`Ride`] to all on it, or `refused` |
//! | `ride` | anything | `ride` with a [`Ride`]: who sits on what, as the owner of both sees it |
//!
//! A rider is attached to the vehicle: the host moves riders, and hands all of a vehicle over in one commit. Who
//! enters a vehicle that another region owns is taken there first. A trip is a function of the tick, so a
//! vehicle that changes hands is where it would have been.

use std::sync::Arc;

use horizon_plugin_api::{
    Component, Ctx, EntityId, EventSystem, ObjectType, PlayerId, PluginError, Pose, Position,
    RawClientMessageEvent, Seat, ServerTickEvent, SimplePlugin, TICKS_PER_SECOND, Tick, async_trait,
    create_simple_plugin,
};
use serde::{Deserialize, Serialize};

/// Seats of one vehicle.
pub const SEATS: usize = 8;
/// Metres per second.
pub const MAX_SPEED: f64 = 40.0;
/// From further away nobody gets on, in metres.
pub const REACH_METRES: f64 = 12.0;

/// Whoever sits down is told so within a tenth of a second.
const WELCOME_TICKS: u64 = TICKS_PER_SECOND / 10;

/// Where a vehicle drives, if it does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Trip {
    from: [f64; 3],
    to: [f64; 2],
    started: Tick,
    speed: f64,
}

impl Component for Trip {
    const NAME: &'static str = "vehicles.trip";
    const VERSION: u32 = 1;
}

/// The vehicle a player is getting on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Boarding {
    vehicle: EntityId,
}

impl Component for Boarding {
    const NAME: &'static str = "vehicles.boarding";
    const VERSION: u32 = 1;
}

/// Payload of `called` and `entered`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Called {
    /// Which vehicle.
    pub vehicle: EntityId,
}

/// Payload of `enter`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Enter {
    /// Which vehicle.
    pub vehicle: EntityId,
    /// Which seat, from 0.
    pub seat: usize,
}

/// Payload of `drive`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drive {
    /// Where to, in metres.
    pub to: [f64; 2],
    /// In metres per second, up to [`MAX_SPEED`].
    pub speed: f64,
}

/// Payload of `left`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Place {
    /// In metres.
    pub at: [f64; 3],
}

/// Payload of `ride` and `arrived`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Ride {
    /// What the player sits on; nothing on foot.
    pub vehicle: Option<EntityId>,
    /// Where that is, or the player, in metres.
    pub at: [f64; 3],
    /// Who sits on it, in order of ids.
    pub riders: Vec<PlayerId>,
}

/// Payload of `refused`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// For the player to read.
    pub why: String,
}

/// The plugin.
#[derive(Default)]
pub struct Vehicles;

#[async_trait]
impl SimplePlugin for Vehicles {
    fn name(&self) -> &str {
        "vehicles"
    }

    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    async fn register_handlers(&mut self, events: Arc<EventSystem>) -> Result<(), PluginError> {
        events.object_type(ObjectType::new("vehicle")).await?;
        for event in ["called", "entered", "left", "arrived", "ride", "refused"] {
            events.emits("vehicles", event).await?;
        }
        let by_player = |handler: fn(&mut Ctx, PlayerId) -> Result<(), PluginError>| {
            move |cx: &mut Ctx, event: RawClientMessageEvent| handler(cx, event.player_id)
        };
        events.on_client("vehicles", "call", by_player(call)).await?;
        events.on_client("vehicles", "leave", by_player(leave)).await?;
        events.on_client("vehicles", "ride", by_player(tell)).await?;
        events
            .on_client("vehicles", "enter", |cx: &mut Ctx, from: PlayerId, enter: Enter| {
                board(cx, from, &enter)
            })
            .await?;
        events
            .on_client("vehicles", "drive", |cx: &mut Ctx, from: PlayerId, drive: Drive| {
                steer(cx, from, &drive)
            })
            .await?;
        events
            .on_core("server_tick", |cx: &mut Ctx, event: ServerTickEvent| {
                cx.objects("vehicle").into_iter().try_for_each(|vehicle| advance(cx, vehicle, event.tick))?;
                // It asks about every player, so not at every step.
                let step_ticks = (event.step_s * TICKS_PER_SECOND as f64).round() as u64;
                if event.tick.0 % WELCOME_TICKS < step_ticks { welcome(cx) } else { Ok(()) }
            })
            .await?;
        Ok(())
    }
}

fn refuse(cx: &mut Ctx, player: PlayerId, why: &str) -> Result<(), PluginError> {
    cx.send(player, "vehicles", "refused", &Refused { why: why.to_owned() })
}

fn call(cx: &mut Ctx, from: PlayerId) -> Result<(), PluginError> {
    let here = cx.pose(from).ok_or(PluginError::Unknown)?;
    let vehicle = cx.spawn("vehicle", Pose::at(here.position))?;
    cx.send(from, "vehicles", "called", &Called { vehicle })
}

fn board(cx: &mut Ctx, from: PlayerId, enter: &Enter) -> Result<(), PluginError> {
    let (Some(here), Some(there)) = (cx.pose(from), cx.pose(enter.vehicle)) else {
        return refuse(cx, from, "there is no such vehicle");
    };
    if enter.seat >= SEATS || here.position.distance(&there.position) > REACH_METRES {
        return refuse(cx, from, "it has no such seat, or stands too far away");
    }
    let row = (enter.seat / 2) as f32;
    let side = if enter.seat.is_multiple_of(2) { 0.6 } else { -0.6 };
    let seat = Seat { offset: [1.0 - row, side, 0.5], yaw: 0.0 };
    match cx.attach(from, enter.vehicle, seat) {
        Ok(()) => cx.set_component(from, &Boarding { vehicle: enter.vehicle }),
        Err(PluginError::Refused(why)) => refuse(cx, from, &why),
        Err(other) => Err(other),
    }
}

/// Tells who has just sat down. One that could not get on is told as well.
fn welcome(cx: &mut Ctx) -> Result<(), PluginError> {
    for (player, avatar, _) in cx.players() {
        let Some(Boarding { vehicle }) = cx.component::<Boarding>(avatar)?.filter(|_| cx.owns(avatar)) else {
            continue;
        };
        if cx.parent_of(avatar) == Some(vehicle) {
            cx.remove_component::<Boarding>(avatar)?;
            cx.send(player, "vehicles", "entered", &Called { vehicle })?;
        } else if cx.owns(vehicle) || cx.pose(vehicle).is_none() {
            cx.remove_component::<Boarding>(avatar)?;
            refuse(cx, player, "there is no room, or it is gone")?;
        }
    }
    Ok(())
}

fn leave(cx: &mut Ctx, from: PlayerId) -> Result<(), PluginError> {
    cx.detach(from)?;
    cx.remove_component::<Boarding>(from)?;
    let at = cx.pose(from).ok_or(PluginError::Unknown)?.position.metres();
    cx.send(from, "vehicles", "left", &Place { at })
}

fn steer(cx: &mut Ctx, from: PlayerId, drive: &Drive) -> Result<(), PluginError> {
    let Some(vehicle) = cx.parent_of(from) else { return refuse(cx, from, "you sit on nothing") };
    let [x, y] = drive.to;
    if Position::from_metres([x, y, 0.0]).is_none() || !(drive.speed > 0.0 && drive.speed <= MAX_SPEED) {
        return refuse(cx, from, "nothing drives there like that");
    }
    let from = cx.pose(vehicle).ok_or(PluginError::Unknown)?.position.metres();
    cx.set_component(vehicle, &Trip { from, to: drive.to, started: cx.tick(), speed: drive.speed })
}

/// Where a vehicle is at this tick of its trip.
fn advance(cx: &mut Ctx, vehicle: EntityId, now: Tick) -> Result<(), PluginError> {
    let Some(Trip { from, to, started, speed }) = cx.component::<Trip>(vehicle)? else { return Ok(()) };
    let way = [to[0] - from[0], to[1] - from[1]];
    let length = way[0].hypot(way[1]);
    let driven = speed * now.saturating_since(started) as f64 / TICKS_PER_SECOND as f64;
    let share = if driven < length { driven / length } else { 1.0 };
    let at = [from[0] + way[0] * share, from[1] + way[1] * share, from[2]];
    let mut pose = Pose::at(Position::from_metres(at).ok_or("a trip leads off the map")?);
    pose.yaw = way[1].atan2(way[0]) as f32;
    if share < 1.0 {
        pose.velocity = [(way[0] / length * speed) as f32, (way[1] / length * speed) as f32, 0.0];
        return cx.set_pose(vehicle, pose);
    }
    cx.set_pose(vehicle, pose)?;
    cx.remove_component::<Trip>(vehicle)?;
    let ride = Ride { vehicle: Some(vehicle), at, riders: riders_of(cx, vehicle) };
    ride.riders.iter().try_for_each(|rider| cx.send(*rider, "vehicles", "arrived", &ride))
}

fn riders_of(cx: &Ctx, vehicle: EntityId) -> Vec<PlayerId> {
    let mut riders: Vec<_> =
        cx.children_of(vehicle).into_iter().filter_map(|child| cx.player_of(child)).collect();
    riders.sort_unstable();
    riders
}

fn tell(cx: &mut Ctx, from: PlayerId) -> Result<(), PluginError> {
    let vehicle = cx.parent_of(from);
    let pose = match vehicle {
        Some(vehicle) => cx.pose(vehicle),
        None => cx.pose(from),
    };
    let at = pose.ok_or(PluginError::Unknown)?.position.metres();
    let riders = vehicle.map_or_else(Vec::new, |vehicle| riders_of(cx, vehicle));
    cx.send(from, "vehicles", "ride", &Ride { vehicle, at, riders })
}

create_simple_plugin!(Vehicles);

#[cfg(test)]
mod tests {
    use horizon_plugin_api::CoreEvent;
    use horizon_plugin_api::testing::Bench;

    use super::*;

    const ADA: PlayerId = PlayerId(1);
    const BOB: PlayerId = PlayerId(2);

    fn bench() -> (Bench, EntityId) {
        let mut bench = Bench::new::<Vehicles>("").expect("the plugin registers");
        bench.world.join(ADA, "Ada", [0.0; 3]);
        bench.world.join(BOB, "Bob", [5.0, 0.0, 0.0]);
        bench.input(ADA, "vehicles", "call", &()).expect("called");
        let vehicle = bench.world.take_sent("vehicles", "called")[0].read::<Called>().vehicle;
        (bench, vehicle)
    }

    fn tick(bench: &mut Bench, tick: u64) {
        bench.world.tick = Tick(tick);
        let (sim_time_s, step_s) = (0.0, 1.0 / 30.0);
        let event = ServerTickEvent { tick: Tick(tick), sim_time_s, step_s };
        bench.core(&CoreEvent::ServerTick(event)).expect("ticked");
    }

    #[test]
    fn riders_get_on_and_arrive_together() {
        let (mut bench, vehicle) = bench();
        for (seat, player) in [ADA, BOB].into_iter().enumerate() {
            bench.input(player, "vehicles", "enter", &Enter { vehicle, seat }).expect("entered");
        }
        tick(&mut bench, 6);
        assert_eq!(bench.world.take_sent("vehicles", "entered").len(), 2);
        bench.input(BOB, "vehicles", "drive", &Drive { to: [30.0, 40.0], speed: 25.0 }).expect("driven");
        tick(&mut bench, 66);
        assert_eq!(bench.world.poses[&vehicle].position.metres()[..2], [15.0, 20.0], "half way in a second");
        tick(&mut bench, 126);
        let arrived = bench.world.take_sent("vehicles", "arrived");
        assert_eq!(arrived.iter().map(|sent| sent.to).collect::<Vec<_>>(), [Some(ADA), Some(BOB)]);
        let ride = arrived[0].read::<Ride>();
        assert_eq!((ride.at, ride.riders), ([30.0, 40.0, 0.0], vec![ADA, BOB]));
        bench.input(ADA, "vehicles", "leave", &()).expect("left");
        bench.input(BOB, "vehicles", "ride", &()).expect("told");
        assert_eq!(bench.world.take_sent("vehicles", "ride")[0].read::<Ride>().riders, [BOB]);
    }

    #[test]
    fn what_cannot_be_is_refused() {
        let (mut bench, vehicle) = bench();
        bench.world.join(PlayerId(3), "Far", [90.0, 0.0, 0.0]);
        bench.input(PlayerId(3), "vehicles", "enter", &Enter { vehicle, seat: 0 }).expect("handled");
        bench.input(ADA, "vehicles", "enter", &Enter { vehicle, seat: SEATS }).expect("handled");
        bench.input(ADA, "vehicles", "drive", &Drive { to: [1.0, 1.0], speed: 1.0 }).expect("handled");
        assert_eq!(bench.world.take_sent("vehicles", "refused").len(), 3);
    }
}
