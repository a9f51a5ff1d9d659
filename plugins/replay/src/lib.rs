//! Replay: balls that nobody owns, moved along a recorded match.
//!
//! One ball per pitch. When a region starts for the first time it spawns the balls whose first place
//! it holds; afterwards each ball carries its own cursor, so whichever region owns it goes on where
//! the last one stopped. Without a configuration the plugin does nothing.

mod trace;

use std::sync::Arc;

use horizon_plugin_api::{
    Component, Ctx, EventSystem, ObjectType, PluginError, Pose, Position, RegionStartedEvent,
    ServerTickEvent, SimplePlugin, TICKS_PER_SECOND, Tick, async_trait, create_simple_plugin,
};
use serde::{Deserialize, Serialize};

pub use trace::{Sample, Trace, TraceError};

/// The table `[plugin.replay]`.
#[derive(Debug, Clone, PartialEq, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Path of a recording: text with the columns `t_ms,id,x,y,z,yaw,vx,vy,vz`. Id 0 is the ball.
    pub trace: Option<String>,
    /// Centres of the pitches in metres, one ball for each.
    pub pitches: Vec<[f64; 2]>,
    /// Whether to begin again at the end; otherwise the ball stays there. Default true.
    #[serde(rename = "loop")]
    pub repeat: Option<bool>,
}

/// Where a ball is in its recording; goes with the ball.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
struct Cursor {
    /// Place in the list of pitches.
    pitch: u32,
    /// The tick at which the recording began.
    started: Tick,
}

impl Component for Cursor {
    const NAME: &'static str = "replay.cursor";
    const VERSION: u32 = 1;
}

/// What the handlers share.
struct Show {
    trace: Trace,
    pitches: Vec<[f64; 2]>,
    repeat: bool,
}

/// The plugin.
#[derive(Default)]
pub struct Replay;

#[async_trait]
impl SimplePlugin for Replay {
    fn name(&self) -> &str {
        "replay"
    }

    fn version(&self) -> &str {
        env!("CARGO_PKG_VERSION")
    }

    async fn register_handlers(&mut self, events: Arc<EventSystem>) -> Result<(), PluginError> {
        events.object_type(ObjectType::new("ball")).await?;
        let config: Config = events.config()?;
        let Some(path) = config.trace else { return Ok(()) };
        let trace = Trace::read(&path).map_err(|error| PluginError::Config {
            plugin: "replay".to_owned(),
            detail: format!("trace = {path:?}: {error}"),
        })?;
        let show = Arc::new(Show { trace, pitches: config.pitches, repeat: config.repeat.unwrap_or(true) });
        let started = Arc::clone(&show);
        events
            .on_core("region_started", move |cx: &mut Ctx, event: RegionStartedEvent| {
                started.kick_off(cx, &event)
            })
            .await?;
        events
            .on_core("server_tick", move |cx: &mut Ctx, event: ServerTickEvent| show.advance(cx, event.tick))
            .await?;
        Ok(())
    }
}

impl Show {
    /// Spawns the balls that begin in this region.
    fn kick_off(&self, cx: &mut Ctx, event: &RegionStartedEvent) -> Result<(), PluginError> {
        if !event.fresh {
            return Ok(());
        }
        let started = cx.tick();
        for (pitch, centre) in (0_u32..).zip(&self.pitches) {
            let pose = pose_on(centre, self.trace.first()).ok_or("a pitch lies outside the world")?;
            let place = pose.position.metres();
            let inside = (0..3).all(|axis| (event.low[axis]..event.high[axis]).contains(&place[axis]));
            if inside {
                let ball = cx.spawn("ball", pose)?;
                cx.set_component(ball, &Cursor { pitch, started })?;
            }
        }
        Ok(())
    }

    /// Moves the balls that this region owns now.
    fn advance(&self, cx: &mut Ctx, now: Tick) -> Result<(), PluginError> {
        for ball in cx.objects("ball") {
            let Some(cursor) = cx.component::<Cursor>(ball)? else { continue };
            let Some(centre) = self.pitches.get(cursor.pitch as usize) else { continue };
            let sample = self.trace.at(self.moment(&cursor, now));
            let pose = pose_on(centre, &sample).ok_or("a pitch lies outside the world")?;
            let far = |here: Pose| here.position.distance(&pose.position) > trace::JUMP_METRES;
            let moved = if cx.pose(ball).is_some_and(far) {
                cx.teleport(ball, pose)
            } else {
                cx.set_pose(ball, pose)
            };
            match moved {
                // On its way to a neighbour: that one goes on.
                Ok(()) | Err(PluginError::NotOwned) => {}
                Err(other) => return Err(other),
            }
        }
        Ok(())
    }

    /// Milliseconds into the recording at a tick.
    fn moment(&self, cursor: &Cursor, tick: Tick) -> f64 {
        let elapsed_ms = tick.saturating_since(cursor.started) as f64 * 1000.0 / TICKS_PER_SECOND as f64;
        if self.repeat { elapsed_ms % self.trace.length_ms() } else { elapsed_ms.min(self.trace.length_ms()) }
    }
}

fn pose_on(centre: &[f64; 2], sample: &Sample) -> Option<Pose> {
    let [x, y, z] = sample.position;
    let position = Position::from_metres([centre[0] + x, centre[1] + y, z])?;
    Some(Pose { position, velocity: sample.velocity, yaw: sample.yaw })
}

create_simple_plugin!(Replay);

#[cfg(test)]
mod tests;
