//! The figures: shares at the settings of a real world, and how they change with the setting.

use std::num::NonZero;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use serde_json::{Map, Value, json};

use crate::judge::{Tally, judge};
use crate::movement::Kind;
use crate::strategy::{Choice, Ours, Strategy};

/// Seconds ahead for the curves of the predictor and of constant velocity.
const SECONDS: [f64; 12] = [0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 1.0, 1.25, 1.5, 2.0, 3.0];
/// Metres for the curve of whoever is near.
const METRES: [f64; 12] = [2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0, 15.0, 20.0, 25.0, 35.0, 50.0];
/// The settings that the baselines are named for.
const LOOK_AHEAD: f64 = 1.0;
const DISTANCE: f64 = 35.0;

/// What is promised: on recorded matches without their jumps, with cold starts of 1.5 s.
const PLACED: f64 = 0.97;
const PRESYNCED: f64 = 0.975;
const WASTED: f64 = 0.18;
const DECISION_US: f64 = 1.0;

/// Choices before those of the curves.
const NAMED: usize = 3;

/// One point of a curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Seconds or metres.
    pub setting: f64,
    /// Copies in time, 0 to 1.
    pub presynced: f64,
    /// Copies for nothing, for each crossing.
    pub wasted: f64,
}

/// Three curves over the same ways.
#[derive(Debug, Clone, Default)]
pub struct Curves {
    /// The predictor.
    pub ours: Vec<Point>,
    /// Constant velocity.
    pub straight: Vec<Point>,
    /// Whoever is near.
    pub near: Vec<Point>,
}

/// What every choice came to over one kind, or over several.
#[derive(Debug, Clone)]
pub struct Verdict {
    jumps: u64,
    tallies: Vec<Tally>,
}

/// All choices that are judged: ours at `seconds`, the two baselines as they are named, and three curves.
fn choices(seconds: f64) -> Vec<Choice> {
    let named = [Choice::Ours(seconds), Choice::Straight(LOOK_AHEAD), Choice::Near(DISTANCE)];
    let curves = SECONDS
        .map(Choice::Ours)
        .into_iter()
        .chain(SECONDS.map(Choice::Straight))
        .chain(METRES.map(Choice::Near));
    named.into_iter().chain(curves).collect()
}

impl Verdict {
    /// Judges a kind, on all processors.
    pub fn on(kind: &Kind, seconds: f64) -> Self {
        let choices = choices(seconds);
        let next = AtomicUsize::new(0);
        let judged = Mutex::new(vec![Tally::default(); choices.len()]);
        std::thread::scope(|scope| {
            for _ in 0..std::thread::available_parallelism().map_or(1, NonZero::get) {
                scope.spawn(|| {
                    while let Some(choice) = choices.get(next.fetch_add(1, Ordering::Relaxed)) {
                        let tally = judge(kind, *choice);
                        let place =
                            choices.iter().position(|other| other == choice).expect("it is one of them");
                        judged.lock().expect("nobody panics with it")[place] = tally;
                    }
                });
            }
        });
        let mut tallies = judged.into_inner().expect("nobody panicked with it");
        // A setting that occurs twice was judged into its first place.
        for place in 0..tallies.len() {
            let first = choices.iter().position(|other| *other == choices[place]).expect("itself");
            tallies[place] = tallies[first];
        }
        Self { jumps: kind.jumps, tallies }
    }

    /// Both together.
    #[must_use]
    pub fn and(&self, other: &Self) -> Self {
        let tallies = self.tallies.iter().zip(&other.tallies).map(|(a, b)| a.and(*b)).collect();
        Self { jumps: self.jumps + other.jumps, tallies }
    }

    /// Hits against waste.
    pub fn curves(&self) -> Curves {
        let curve = |settings: &[f64], from: usize| -> Vec<Point> {
            let tallies = &self.tallies[from..from + settings.len()];
            settings.iter().zip(tallies).map(|(setting, tally)| point(*setting, tally)).collect()
        };
        let from = [NAMED, NAMED + SECONDS.len(), NAMED + 2 * SECONDS.len()];
        Curves {
            ours: curve(&SECONDS, from[0]),
            straight: curve(&SECONDS, from[1]),
            near: curve(&METRES, from[2]),
        }
    }

    /// As it is printed.
    pub fn found(&self, seconds: f64) -> Value {
        let (ours, curves) = (&self.tallies[0], self.curves());
        let mut found = json!({
            "crossings": ours.crossings,
            "jumps": self.jumps,
            "seconds_ahead": seconds,
            "placed_share": ours.share(ours.placed),
            "placed_share_warm": ours.share(ours.placed_warm),
            "presynced_share": ours.share(ours.presynced),
            "wasted_per_crossing": ours.share(ours.wasted),
        });
        let mut table = Map::new();
        let baselines = [
            ("constant_velocity", self.tallies[1], &curves.straight),
            ("within_35_m", self.tallies[2], &curves.near),
        ];
        for (name, tally, curve) in baselines {
            let row = json!({
                "placed_share": tally.share(tally.placed),
                "presynced_share": tally.share(tally.presynced),
                "wasted_per_crossing": tally.share(tally.wasted),
                "presynced_share_at_our_waste": at_waste(curve, ours.share(ours.wasted)),
                "curve": drawn(curve),
            });
            table.insert(name.to_owned(), row);
        }
        found["baselines"] = table.into();
        found["curve"] = drawn(&curves.ours);
        found
    }
}

/// The promises that these figures break, by key. Shares are those of the recorded matches.
pub fn broken(found: &Value) -> Vec<String> {
    let matches = &found["kinds"]["matches"];
    // A figure that is missing keeps no promise.
    let at_least = |value: &Value, least: f64| value.as_f64().is_some_and(|value| value >= least);
    let at_most = |value: &Value, most: f64| value.as_f64().is_some_and(|value| value <= most);
    let above = |value: &Value, other: &Value| value.as_f64() > other.as_f64() && other.is_number();
    let least = [("placed_share", PLACED), ("placed_share_warm", 1.0), ("presynced_share", PRESYNCED)];
    let mut broken: Vec<&str> = least
        .into_iter()
        .filter(|(key, least)| !at_least(&matches[*key], *least))
        .map(|(key, _)| key)
        .collect();
    if !at_most(&matches["wasted_per_crossing"], WASTED) {
        broken.push("wasted_per_crossing");
    }
    for name in ["constant_velocity", "within_35_m"] {
        let theirs = &matches["baselines"][name]["presynced_share_at_our_waste"];
        if !above(&matches["presynced_share"], theirs) {
            broken.push(name);
        }
    }
    if !at_most(&found["us_per_decision"], DECISION_US) {
        broken.push("us_per_decision");
    }
    broken.into_iter().map(str::to_owned).collect()
}

fn point(setting: f64, tally: &Tally) -> Point {
    Point { setting, presynced: tally.share(tally.presynced), wasted: tally.share(tally.wasted) }
}

fn drawn(curve: &[Point]) -> Value {
    let row = |point: &Point| json!({ "setting": point.setting, "presynced_share": point.presynced, "wasted_per_crossing": point.wasted });
    curve.iter().map(row).collect()
}

/// The largest share of copies in time that a curve has at this waste or less, on the straight line between its points;
/// 0 where it always wastes more.
pub fn at_waste(curve: &[Point], wasted: f64) -> f64 {
    let mut best: f64 = 0.0;
    for point in curve.iter().filter(|point| point.wasted <= wasted) {
        best = best.max(point.presynced);
    }
    for pair in curve.windows(2) {
        let (low, high) =
            if pair[0].wasted <= pair[1].wasted { (pair[0], pair[1]) } else { (pair[1], pair[0]) };
        if low.wasted <= wasted && wasted < high.wasted {
            let share = (wasted - low.wasted) / (high.wasted - low.wasted);
            best = best.max(low.presynced + (high.presynced - low.presynced) * share);
        }
    }
    best
}

/// Microseconds that a decision takes: one step of one body, everything in it. The quickest of three passes.
pub fn us_per_decision(kinds: &[Kind], seconds: f64) -> f64 {
    let mut best = f64::INFINITY;
    for _ in 0..3 {
        let (mut decisions, mut copies) = (0_u64, 0);
        let begun = Instant::now();
        for kind in kinds {
            for way in &kind.ways {
                let Some(home) = way.poses.first().and_then(|(_, pose)| kind.map.owner_of(&pose.position))
                else {
                    continue;
                };
                let (mut ours, mut home) = (Ours::new(seconds), home);
                for (tick, pose) in &way.poses {
                    ours.observe(&kind.map, home, *tick, pose);
                    decisions += 1;
                    if kind.map.distance(home, &pose.position) >= 2.0 {
                        home = kind.map.owner_of(&pose.position).unwrap_or(home);
                        copies += ours.copies().len();
                    }
                }
            }
        }
        std::hint::black_box(copies);
        best = best.min(begun.elapsed().as_secs_f64() * 1e6 / decisions.max(1) as f64);
    }
    best
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_promise_is_named() {
        let baselines = json!({
            "constant_velocity": { "presynced_share_at_our_waste": 0.6 },
            "within_35_m": { "presynced_share_at_our_waste": 0.2 },
        });
        let found = |placed: f64, wasted: f64, us: f64| {
            let matches = json!({
                "placed_share": placed, "placed_share_warm": 1.0, "presynced_share": 0.98,
                "wasted_per_crossing": wasted, "baselines": baselines,
            });
            json!({ "kinds": { "matches": matches }, "us_per_decision": us })
        };
        assert_eq!(broken(&found(0.98, 0.1, 0.9)), [""; 0]);
        assert_eq!(
            broken(&found(0.96, 0.2, 1.1)),
            ["placed_share", "wasted_per_crossing", "us_per_decision"]
        );
        assert_eq!(broken(&json!({})).len(), 7, "no figure is no promise kept");
    }

    #[test]
    fn a_curve_is_read_between_its_points_and_beyond_none() {
        let point = |presynced, wasted| Point { setting: 0.0, presynced, wasted };
        let curve = [point(0.5, 0.1), point(0.9, 0.3), point(0.95, 1.0)];
        assert_eq!(at_waste(&curve, 0.05), 0.0);
        assert!((at_waste(&curve, 0.2) - 0.7).abs() < 1e-9);
        assert_eq!(at_waste(&curve, 0.3), 0.9);
        assert_eq!(at_waste(&curve, 5.0), 0.95);
    }
}
