//! Movement: clients say where their body is, and this plugin believes them while they do not run.
//!
//! A claim is accepted while the average speed since every recent anchor stays within the limit. An
//! anchor is an accepted place, one about every 100 ms; averages are taken over at least half a
//! second, because samples jitter: two neighbours may imply more than anybody ever moved.
//!
//! | input | payload | effect |
//! |---|---|---|
//! | `position_update` (movement lane) | [`MovementSample`] | moves, or answers `corrected` `{position}` |
//! | `respawn` | [`Respawn`] | jumps, where the configuration allows it; else `refused` `{why}` |

mod window;

use std::sync::Arc;

use horizon_plugin_api::{
    Ctx, EventSystem, MovementSample, PlayerConnectedEvent, PlayerId, PluginError, Pose, Position,
    SimplePlugin, TICKS_PER_SECOND, Tick, async_trait, create_simple_plugin,
};
use serde::{Deserialize, Serialize};

pub use window::{Verdict, Window};

/// Least time between two corrections of one player.
const CORRECTION_TICKS: u64 = TICKS_PER_SECOND;

/// The table `[plugin.movement]`.
#[derive(Debug, Clone, Copy, PartialEq, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Fastest average over half a second, in metres per second.
    pub max_speed_mps: f64,
    /// Whether clients may jump with `respawn`. A game with rules of its own sets this to false.
    pub allow_respawn: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_speed_mps: 30.0, allow_respawn: true }
    }
}

/// Payload of `respawn`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Respawn {
    /// Metres from the world's origin.
    pub position: [f64; 3],
    /// Metres per second.
    #[serde(default)]
    pub velocity: [f32; 3],
    /// Heading in radians.
    #[serde(default)]
    pub yaw: f32,
    /// The client's tick of the jump: samples up to it belong to the life before.
    #[serde(default)]
    pub tick: Option<Tick>,
}

/// Payload of `corrected`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Corrected {
    /// Where the body is, in metres.
    pub position: [f64; 3],
}

/// Payload of `refused`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// For the player to read.
    pub why: String,
}

/// The plugin.
#[derive(Default)]
pub struct Movement;

#[async_trait]
impl SimplePlugin for Movement {
    fn name(&self) -> &str {
        "movement"
    }

    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    async fn register_handlers(&mut self, events: Arc<EventSystem>) -> Result<(), PluginError> {
        let config: Config = events.config()?;
        if !(config.max_speed_mps.is_finite() && config.max_speed_mps > 0.0) {
            return Err(PluginError::Config {
                plugin: "movement".to_owned(),
                detail: "max_speed_mps must be above zero".to_owned(),
            });
        }
        events.emits("movement", "corrected").await?;
        events.emits("movement", "refused").await?;
        events
            .on_core("player_connected", |cx: &mut Ctx, event: PlayerConnectedEvent| place(cx, &event))
            .await?;
        events
            .on_client(
                "movement",
                "position_update",
                move |cx: &mut Ctx, from: PlayerId, sample: MovementSample| {
                    claim(cx, from, &sample, config.max_speed_mps)
                },
            )
            .await?;
        events
            .on_client("movement", "respawn", move |cx: &mut Ctx, from: PlayerId, respawn: Respawn| {
                jump(cx, from, &respawn, config.allow_respawn)
            })
            .await?;
        Ok(())
    }
}

/// A player's first moments: where a development guest asked to be, else where the host put it.
fn place(cx: &mut Ctx, event: &PlayerConnectedEvent) -> Result<(), PluginError> {
    if !event.fresh {
        return Ok(());
    }
    if let Some(position) = event.spawn.and_then(Position::from_metres) {
        cx.teleport(event.entity, Pose::at(position))?;
    }
    let pose = cx.pose(event.entity).ok_or(PluginError::Unknown)?;
    let tick = cx.tick();
    cx.set_component(event.entity, &Window::starting(tick, pose.position.metres()))
}

fn claim(cx: &mut Ctx, from: PlayerId, sample: &MovementSample, max_mps: f64) -> Result<(), PluginError> {
    let (now, here) = (cx.tick(), cx.pose(from).ok_or(PluginError::Unknown)?);
    let mut window =
        cx.component::<Window>(from)?.unwrap_or_else(|| Window::starting(now, here.position.metres()));
    if cx.parent_of(from).is_some() {
        // A vehicle moves the player, who goes on from wherever that is.
        return if window.is_stale(now) {
            cx.set_component(from, &Window::starting(now, here.position.metres()))
        } else {
            Ok(())
        };
    }
    let position = Position::from_metres(sample.position);
    let claimed = position
        .map(|position| Pose { position, velocity: limited(sample.velocity, max_mps), yaw: sample.yaw })
        .filter(Pose::is_finite);
    let verdict = match claimed {
        Some(_) => window.judge(now, sample.tick, sample.position, max_mps),
        None => Verdict::TooFast,
    };
    match (verdict, claimed) {
        (Verdict::Accepted { anchored }, Some(pose)) => {
            if anchored {
                cx.set_component(from, &window)?;
            }
            cx.set_pose(from, pose)
        }
        (Verdict::Stale, _) => Ok(()),
        _ if window.corrected.is_some_and(|last| now.saturating_since(last) < CORRECTION_TICKS) => Ok(()),
        _ => {
            window.corrected = Some(now);
            cx.set_component(from, &window)?;
            cx.send(from, "movement", "corrected", &Corrected { position: here.position.metres() })
        }
    }
}

fn jump(cx: &mut Ctx, from: PlayerId, respawn: &Respawn, allowed: bool) -> Result<(), PluginError> {
    let refuse =
        |cx: &mut Ctx, why: &str| cx.send(from, "movement", "refused", &Refused { why: why.to_owned() });
    if !allowed {
        return refuse(cx, "this world does not let clients respawn by themselves");
    }
    let Some(position) = Position::from_metres(respawn.position) else {
        return refuse(cx, "that place does not exist");
    };
    let pose = Pose { position, velocity: respawn.velocity, yaw: respawn.yaw };
    if !pose.is_finite() {
        return refuse(cx, "velocity and yaw must be finite");
    }
    let now = cx.tick();
    match cx.teleport(from, pose) {
        Err(PluginError::Refused(why)) => return refuse(cx, &why),
        other => other?,
    }
    let tick = respawn.tick.filter(|tick| window::is_near(now, *tick)).unwrap_or(now);
    cx.set_component(from, &Window::starting(tick, position.metres()))
}

/// A velocity of at most the fastest speed: others extrapolate with it.
fn limited(velocity: [f32; 3], max_mps: f64) -> [f32; 3] {
    let speed = velocity.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>().sqrt();
    if speed <= max_mps { velocity } else { velocity.map(|v| (f64::from(v) * max_mps / speed) as f32) }
}

create_simple_plugin!(Movement);

#[cfg(test)]
mod tests;
