//! Follows one body and counts: what was ready when it came, and what was for nothing.

use std::collections::BTreeMap;
use std::time::Duration;

use horizon_model::RegionId;
use serde::Serialize;

use crate::movement::{Kind, Way};
use crate::strategy::{COLD_START, Choice};

/// A body is handed over so far outside its region, …
const CROSSING_METRES: f64 = 2.0;
/// … and so long after the last time. Both as in `horizon-handoff`.
const DWELL: Duration = Duration::from_millis(500);
/// A copy has to begin so long before.
const AHEAD: Duration = Duration::from_millis(250);
/// A warm region server takes a region in this time.
const WARM_START: Duration = Duration::from_millis(20);
/// A region that nobody needs is stopped after this: much earlier than in a real world, where another one comes meanwhile.
const STOPS_AFTER: Duration = Duration::from_secs(1);

/// What was counted.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Tally {
    /// Bodies that came into another region.
    pub crossings: u64,
    /// Regions that ran by then, though a cold start takes 1.5 s.
    pub placed: u64,
    /// Regions that ran by then with a region server ready, 20 ms.
    pub placed_warm: u64,
    /// Copies that had begun 250 ms earlier and stood.
    pub presynced: u64,
    /// Copies that were dropped without the body having come.
    pub wasted: u64,
}

impl Tally {
    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            crossings: self.crossings + other.crossings,
            placed: self.placed + other.placed,
            placed_warm: self.placed_warm + other.placed_warm,
            presynced: self.presynced + other.presynced,
            wasted: self.wasted + other.wasted,
        }
    }

    /// Part of the crossings, 0 to 1.
    pub fn share(&self, count: u64) -> f64 {
        count as f64 / self.crossings.max(1) as f64
    }
}

/// Since when a region has something.
type Since = BTreeMap<RegionId, Duration>;

/// All ways of a kind under one choice.
pub fn judge(kind: &Kind, choice: Choice) -> Tally {
    kind.ways.iter().map(|way| follow(kind, way, choice)).fold(Tally::default(), Tally::and)
}

fn follow(kind: &Kind, way: &Way, choice: Choice) -> Tally {
    let mut tally = Tally::default();
    let Some((first, pose)) = way.poses.first() else { return tally };
    let Some(mut home) = kind.map.owner_of(&pose.position) else { return tally };
    let mut came = first.since_origin();
    let mut strategy = choice.begin();
    let (mut copies, mut running) = (Since::new(), Since::new());
    let mut needed = Since::new();
    for (tick, pose) in &way.poses {
        let now = tick.since_origin();
        let owner = kind.map.owner_of(&pose.position).filter(|owner| *owner != home);
        if let Some(owner) = owner
            && kind.map.distance(home, &pose.position) >= CROSSING_METRES
            && now >= came + DWELL
        {
            let since = |of: &Since, age| of.get(&owner).is_some_and(|since| now >= *since + age);
            tally.crossings += 1;
            tally.presynced += u64::from(since(&copies, AHEAD));
            tally.placed += u64::from(since(&running, COLD_START));
            tally.placed_warm += u64::from(since(&running, WARM_START));
            copies.remove(&owner);
            // Whoever left something behind can come back to it for as long as it runs.
            running.insert(home, Duration::ZERO);
            (home, came) = (owner, now);
        }
        strategy.observe(&kind.map, home, *tick, pose);
        let wanted = strategy.copies();
        let before = copies.len();
        copies.retain(|region, _| wanted.contains(region) || *region == home);
        tally.wasted += (before - copies.len()) as u64;
        for region in wanted.iter().filter(|region| **region != home) {
            copies.entry(*region).or_insert(now);
        }
        for region in strategy.places().into_iter().chain(wanted).chain([home]) {
            running.entry(region).or_insert(now);
            needed.insert(region, now);
        }
        running.retain(|region, _| needed.get(region).is_some_and(|at| now < *at + STOPS_AFTER));
    }
    tally
}

#[cfg(test)]
mod tests {
    use horizon_model::{GridMap, Pose, Position, RegionMap, Tick};

    use super::*;
    use crate::movement::STEP;

    /// Straight over the border at x = 0 with 10 m/s, from `from` metres on.
    fn runner(from: f64) -> Kind {
        let grid = GridMap::new([-200.0, -200.0], 200.0, 2, 2).expect("whole cells");
        let poses = (0..600_u64).map(|step| {
            let x = from + step as f64 / 3.0;
            let position = Position::from_metres([x.min(190.0), -100.0, 1.0]).expect("in range");
            (Tick(step * STEP), Pose { velocity: [10.0, 0.0, 0.0], ..Pose::at(position) })
        });
        let ways = vec![Way { poses: poses.collect() }];
        Kind { name: "runner", map: RegionMap { map_epoch: 1, grid }, ways, jumps: 0 }
    }

    #[test]
    fn a_runner_is_expected_by_everybody() {
        // Who looks at distances alone copies a runner back, too, who has just come.
        for (choice, wasted) in [(Choice::Ours(1.0), 0), (Choice::Straight(1.0), 0), (Choice::Near(35.0), 1)]
        {
            let expected = Tally { crossings: 1, placed: 1, placed_warm: 1, presynced: 1, wasted };
            assert_eq!(judge(&runner(-150.0), choice), expected, "{choice:?}");
        }
    }

    #[test]
    fn who_is_asked_too_late_is_not_ready() {
        let late = judge(&runner(-150.0), Choice::Near(1.0));
        assert_eq!((late.crossings, late.placed, late.placed_warm, late.presynced), (1, 0, 1, 1));
        let later = judge(&runner(-5.0), Choice::Ours(1.0));
        assert_eq!((later.crossings, later.placed, later.placed_warm), (1, 0, 1), "no time for a cold start");
    }

    #[test]
    fn a_copy_for_nobody_is_wasted() {
        let mut kind = runner(-150.0);
        // It turns round ten metres before the border.
        for (_, pose) in &mut kind.ways[0].poses {
            let [x, y, z] = pose.position.metres();
            if x > -10.0 {
                pose.position = Position::from_metres([-20.0 - x, y, z]).expect("in range");
                pose.velocity = [-10.0, 0.0, 0.0];
            }
        }
        let near = judge(&kind, Choice::Near(35.0));
        assert_eq!((near.crossings, near.wasted), (0, 1));
        let ours = judge(&kind, Choice::Ours(3.0));
        assert_eq!((ours.crossings, ours.wasted), (0, 1));
        assert_eq!(judge(&kind, Choice::Near(5.0)).wasted, 0);
    }
}
