//! Who decides what is needed: the predictor of Horizon, and the two ways in which others do it.

use std::collections::BTreeMap;
use std::time::Duration;

use horizon_handoff::predict::{EnsureModel, Forecast, Policy, Predictor, Wanted};
use horizon_model::{Pose, RegionId, RegionMap, Tick};

/// What a body needs, from all that was seen of it so far.
pub trait Strategy {
    /// One more step.
    fn observe(&mut self, map: &RegionMap, home: RegionId, tick: Tick, pose: &Pose);
    /// Regions that hold a copy of it now.
    fn copies(&self) -> Vec<RegionId>;
    /// Regions that have to run for it now.
    fn places(&self) -> Vec<RegionId>;
}

/// A strategy and its one setting.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Choice {
    /// The predictor of `horizon-handoff`: copies for whoever is expected within so many seconds.
    Ours(f64),
    /// Straight on as fast as now: regions that are entered within so many seconds.
    Straight(f64),
    /// Regions within so many metres.
    Near(f64),
}

/// A cold start takes so long; learned from twenty of them.
pub const COLD_START: Duration = Duration::from_millis(1500);

impl Choice {
    /// A body that nothing is known about yet.
    pub fn begin(self) -> Box<dyn Strategy> {
        match self {
            Self::Ours(seconds) => Box::new(Ours::new(seconds)),
            Self::Straight(seconds) => Box::new(Straight { seconds, wanted: Wanted::new() }),
            Self::Near(metres) => Box::new(Near { metres, regions: Vec::new() }),
        }
    }
}

/// How early regions are asked for once cold starts of [`COLD_START`] have been seen.
pub fn place_within() -> Duration {
    let mut model = EnsureModel::new();
    for _ in 0..20 {
        model.observe(COLD_START);
    }
    model.place_within()
}

/// What an edge does for each body near a border.
pub struct Ours {
    predictor: Predictor,
    wanted: Wanted,
    policy: Policy,
}

impl Ours {
    /// Copies for whoever is expected within so many seconds.
    pub fn new(seconds: f64) -> Self {
        let policy =
            Policy { prepare_within: Duration::from_secs_f64(seconds), place_within: place_within() };
        Self { predictor: Predictor::new(), wanted: Wanted::new(), policy }
    }
}

impl Strategy for Ours {
    fn observe(&mut self, map: &RegionMap, home: RegionId, tick: Tick, pose: &Pose) {
        self.predictor.observe(tick, pose);
        let forecasts = self.predictor.forecast(map, home, self.policy.horizon());
        self.wanted.update(tick.since_origin(), home, &forecasts, &self.policy);
    }

    fn copies(&self) -> Vec<RegionId> {
        self.wanted.preparing().collect()
    }

    fn places(&self) -> Vec<RegionId> {
        self.wanted.places().collect()
    }
}

/// Constant velocity with a fixed look-ahead. Its wishes are held as ours are.
struct Straight {
    seconds: f64,
    wanted: Wanted,
}

/// Points on the line ahead.
const POINTS: u32 = 32;

impl Strategy for Straight {
    fn observe(&mut self, map: &RegionMap, home: RegionId, tick: Tick, pose: &Pose) {
        let within = Duration::from_secs_f64(self.seconds);
        let places = within.max(place_within());
        let mut entered: BTreeMap<RegionId, Duration> = BTreeMap::new();
        for point in 0..=POINTS {
            let at = places.mul_f64(f64::from(point) / f64::from(POINTS));
            let ahead = pose.velocity.map(|axis| f64::from(axis) * at.as_secs_f64());
            let owner = map.owner_of(&pose.position.moved([ahead[0], ahead[1], 0.0]));
            if let Some(region) = owner.filter(|region| *region != home) {
                entered.entry(region).or_insert(at);
            }
        }
        let forecasts: Vec<Forecast> =
            entered.into_iter().map(|(region, eta)| Forecast { region, eta, likelihood: 1.0 }).collect();
        let policy = Policy { prepare_within: within, place_within: places };
        self.wanted.update(tick.since_origin(), home, &forecasts, &policy);
    }

    fn copies(&self) -> Vec<RegionId> {
        self.wanted.preparing().collect()
    }

    fn places(&self) -> Vec<RegionId> {
        self.wanted.places().collect()
    }
}

/// Whoever is near enough.
struct Near {
    metres: f64,
    regions: Vec<RegionId>,
}

impl Strategy for Near {
    fn observe(&mut self, map: &RegionMap, home: RegionId, _: Tick, pose: &Pose) {
        let near =
            |region: &RegionId| *region != home && map.distance(*region, &pose.position) <= self.metres;
        self.regions = map.regions().filter(near).collect();
    }

    fn copies(&self) -> Vec<RegionId> {
        self.regions.clone()
    }

    fn places(&self) -> Vec<RegionId> {
        self.regions.clone()
    }
}
