//! State that cannot be written, or not be read, while its player is on a border.

use std::sync::{Arc, Mutex, PoisonError};

use horizon_plugin_api::{ClientInputEvent, Component, Ctx, EventSystem, PluginError, RegionStartedEvent};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Within so many metres of the edge of its region a player who has come is new there.
const NEW_METRES: f64 = 9.0;
const NAME: &str = "drill.fragile";

/// Where the plugin panics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Panics {
    /// In the region that is to give a player away: writing the state of one who stands beyond its edge.
    Giving,
    /// In the region that has taken one: reading the state of one who walks away from its edge.
    Taking,
}

/// Inputs seen, in a form that may break when it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Fragile {
    pub(crate) inputs: u64,
    breaks: bool,
}

impl Serialize for Fragile {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        assert!(!self.breaks, "told to panic while the state is written");
        self.inputs.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Fragile {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { inputs: u64::deserialize(deserializer)?, breaks: false })
    }
}

impl Component for Fragile {
    const NAME: &'static str = NAME;
    const VERSION: u32 = 1;
}

/// The same state for one who cannot read it.
#[derive(Serialize)]
struct Unreadable;

impl<'de> Deserialize<'de> for Unreadable {
    fn deserialize<D: Deserializer<'de>>(_: D) -> Result<Self, D::Error> {
        panic!("told to panic while the state is read")
    }
}

impl Component for Unreadable {
    const NAME: &'static str = NAME;
    const VERSION: u32 = 1;
}

/// Lower and upper edge of the region along x, metres.
type Edges = Arc<Mutex<Option<(f64, f64)>>>;

pub(crate) async fn register(events: &EventSystem, panics: Panics) -> Result<(), PluginError> {
    let edges = Edges::default();
    let theirs = Arc::clone(&edges);
    events
        .on_core("region_started", move |_: &mut Ctx, event: RegionStartedEvent| {
            *theirs.lock().unwrap_or_else(PoisonError::into_inner) = Some((event.low[0], event.high[0]));
            Ok(())
        })
        .await?;
    events
        .on_core("client_input", move |cx: &mut Ctx, input: ClientInputEvent| {
            let edges = *edges.lock().unwrap_or_else(PoisonError::into_inner);
            let (Some(pose), Some((low, high))) = (cx.pose(input.player_id), edges) else { return Ok(()) };
            let (x, speed) = (pose.position.metres()[0], f64::from(pose.velocity[0]));
            let outside = x < low || x >= high;
            let comes = speed > 0.0 && x - low < NEW_METRES || speed < 0.0 && high - x < NEW_METRES;
            match panics {
                Panics::Taking if !outside && comes => {
                    cx.component::<Unreadable>(input.player_id)?;
                }
                Panics::Giving | Panics::Taking => {
                    let mut state = cx.component_mut::<Fragile>(input.player_id)?;
                    state.inputs += 1;
                    state.breaks = panics == Panics::Giving && outside;
                }
            }
            Ok(())
        })
        .await
}

#[cfg(test)]
mod tests {
    use horizon_plugin_api::testing::Bench;
    use horizon_plugin_api::{CoreEvent, PlayerId, RegionId};

    use super::*;
    use crate::Drill;

    const ADA: PlayerId = PlayerId(1);

    fn input(seq: u32) -> ClientInputEvent {
        let (namespace, event) = ("drill".to_owned(), "none".to_owned());
        ClientInputEvent { player_id: ADA, seq, namespace, event, data: Vec::new(), binary: true }
    }

    /// Whether an input of somebody who moves along x so breaks, and how many inputs are counted then.
    fn input_at(config: &str, x: f64, speed: f32) -> (bool, u64) {
        let mut bench = Bench::new::<Drill>(config).expect("the drill registers");
        let (low, high) = ([-200.0; 3], [0.0, 200.0, 200.0]);
        let started = RegionStartedEvent { region: RegionId(1), fresh: true, low, high };
        bench.core(&CoreEvent::RegionStarted(started)).expect("started");
        let entity = bench.world.join(ADA, "Ada", [-50.0, 0.0, 1.0]);
        bench.replay(&input(1)).expect("far from every edge");
        let pose = bench.world.poses.get_mut(&entity).expect("it is there");
        pose.position = horizon_plugin_api::Position::from_metres([x, 0.0, 1.0]).expect("in the world");
        pose.velocity = [speed, 0.0, 0.0];
        let broke = bench.replay(&input(2)).is_err();
        (broke, bench.world.component_of::<Fragile>(entity).map_or(0, |state| state.inputs))
    }

    #[test]
    fn state_breaks_on_its_own_side_of_the_border_only() {
        let (giving, taking) = (r#"{"panics":"giving"}"#, r#"{"panics":"taking"}"#);
        assert_eq!(input_at(giving, 3.0, 9.0), (true, 1), "what was stored stays");
        assert_eq!(input_at(giving, -3.0, -9.0), (false, 2));
        assert_eq!(input_at(taking, -3.0, -9.0), (true, 1));
        assert_eq!(input_at(taking, -3.0, 9.0), (false, 2));
        assert_eq!(input_at(taking, 3.0, 9.0), (false, 2));
    }
}
