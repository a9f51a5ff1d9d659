//! Who will need which region soon: one predictor per body near a border.

use std::collections::BTreeMap;
use std::time::Duration;

use horizon_handoff::EntityKey;
use horizon_handoff::predict::{Need, Policy, Predictor, Wanted};
use horizon_model::{RegionId, RegionMap};
use horizon_protocol::link::Band;

/// A body that no region has reported for this long is away from all borders, or gone.
const FORGET_AFTER: Duration = Duration::from_secs(2);
/// Bodies followed at most. Each costs a few hundred bytes.
const MAX_BODIES: usize = 65_536;

/// Everything near a border that this edge predicts.
#[derive(Debug, Default)]
pub struct Prediction {
    bodies: BTreeMap<EntityKey, Body>,
    swept: Duration,
}

#[derive(Debug, Default)]
struct Body {
    predictor: Predictor,
    wanted: Wanted,
    seen: Duration,
}

/// Something to be done for one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// For whom.
    pub key: EntityKey,
    /// Its owner.
    pub home: RegionId,
    /// What.
    pub need: Need,
}

impl Prediction {
    /// Learns where the bodies of `band` were and says what they need at grid time `now`.
    pub fn observe(&mut self, now: Duration, band: &Band, map: &RegionMap, policy: &Policy) -> Vec<Due> {
        let mut due = Vec::new();
        for entry in &band.entries {
            if !self.bodies.contains_key(&entry.key) && self.bodies.len() >= MAX_BODIES {
                continue;
            }
            let body = self.bodies.entry(entry.key).or_default();
            body.seen = now;
            body.predictor.observe(band.tick, &entry.pose);
            let forecasts = body.predictor.forecast(map, band.region, policy.horizon());
            let needs = body.wanted.update(now, band.region, &forecasts, policy);
            due.extend(needs.into_iter().map(|need| Due { key: entry.key, home: band.region, need }));
        }
        if now > self.swept + FORGET_AFTER {
            self.swept = now;
            self.bodies.retain(|_, body| now < body.seen + FORGET_AFTER);
        }
        due
    }

    /// Bodies that are followed now.
    pub fn len(&self) -> usize {
        self.bodies.len()
    }

    /// Whether nobody is near a border.
    pub fn is_empty(&self) -> bool {
        self.bodies.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use horizon_model::{GridMap, PlayerId, Pose, Position, Tick};
    use horizon_protocol::link::BandEntry;

    use super::*;

    #[test]
    fn a_runner_has_the_next_region_placed_and_then_prepared() {
        let grid = GridMap::new([0.0, 0.0], 200.0, 2, 1).expect("on the lattice");
        let map = RegionMap { map_epoch: 1, grid };
        let policy = Policy { prepare_within: Duration::from_secs(1), place_within: Duration::from_secs(4) };
        let mut prediction = Prediction::default();
        let key = EntityKey::Player(PlayerId(7));
        let (mut placed, mut prepared) = (None, None);
        for step in 0..200_u32 {
            let tick = Tick(u64::from(step) * 2);
            let x = 150.0 + f64::from(step) * 10.0 / 30.0;
            let mut pose = Pose::at(Position::from_metres([x, 100.0, 0.0]).expect("in range"));
            pose.velocity = [10.0, 0.0, 0.0];
            let entries = vec![BandEntry { key, pose }];
            let band = Band { tick, region: RegionId(0), entries };
            for due in prediction.observe(tick.since_origin(), &band, &map, &policy) {
                match due.need {
                    Need::Place { region: RegionId(1) } => placed = placed.or(Some(x)),
                    Need::Prepare { region: RegionId(1) } => prepared = prepared.or(Some(x)),
                    _ => {}
                }
            }
        }
        let (placed, prepared) = (placed.expect("placed"), prepared.expect("prepared"));
        assert!((150.0..180.0).contains(&placed), "4 s ahead at 10 m/s: {placed}");
        assert!((180.0..200.0).contains(&prepared), "1 s ahead at 10 m/s: {prepared}");
        let nobody = Band { tick: Tick(0), region: RegionId(0), entries: Vec::new() };
        prediction.observe(Duration::from_secs(60), &nobody, &map, &policy);
        assert!(prediction.is_empty());
    }
}
