//! Bodies on their ways: recorded matches, and walks, vehicles and zig-zags that are drawn from a seed.

use std::time::Duration;

use horizon_load::trace::{Match, Sample, Track};
use horizon_model::{GridMap, Pose, Position, RegionMap, Tick};

use crate::dice::Dice;

/// Steps per second at which bodies are seen, and grid ticks between them.
pub const HZ: u64 = 30;
/// Grid ticks of a step.
pub const STEP: u64 = 60 / HZ;
/// Bodies of each kind that is drawn, and how long each is on its way.
const DRAWN: u64 = 24;
const DRAWN_SECONDS: f64 = 180.0;
/// Square regions of this edge, in metres.
const REGION_METRES: f64 = 200.0;

/// One body, seen at every step.
#[derive(Debug, Clone)]
pub struct Way {
    /// Rising by [`STEP`].
    pub poses: Vec<(Tick, Pose)>,
}

/// Bodies that move alike.
#[derive(Debug)]
pub struct Kind {
    /// `matches`, `walks`, `vehicles` or `zigzag`.
    pub name: &'static str,
    /// Regions around them.
    pub map: RegionMap,
    /// All ways.
    pub ways: Vec<Way>,
    /// Respawns that put a body into another region: nobody can foresee one, so they are announced, not predicted.
    pub jumps: u64,
}

/// All four kinds.
pub fn kinds(matches: &[Match]) -> Vec<Kind> {
    vec![recorded(matches), walks(), vehicles(), zigzag()]
}

fn map(columns: u32) -> RegionMap {
    let low = -REGION_METRES * f64::from(columns) / 2.0;
    let grid = GridMap::new([low, low], REGION_METRES, columns, columns).expect("whole cells");
    RegionMap { map_epoch: 1, grid }
}

/// Four regions meet at the centre of the pitch.
fn recorded(matches: &[Match]) -> Kind {
    let map = map(2);
    let owner =
        |sample: &Sample| Position::from_metres(sample.position).and_then(|place| map.owner_of(&place));
    let (mut ways, mut jumps) = (Vec::new(), 0);
    for track in matches.iter().flat_map(|one| &one.tracks) {
        let stretches = track.split_at_jumps();
        jumps += stretches
            .windows(2)
            .filter(|pair| pair[0].samples.last().map(owner) != pair[1].samples.first().map(owner))
            .count() as u64;
        ways.extend(stretches.iter().filter_map(resampled));
    }
    Kind { name: "matches", map, ways, jumps }
}

/// Where the body was at each step, between its samples. A rest shorter than two steps is nothing to judge.
fn resampled(track: &Track) -> Option<Way> {
    let (first, last) = (track.samples.first()?, track.samples.last()?);
    let begin = Tick::at(first.at).0.next_multiple_of(STEP);
    let end = Tick::at(last.at).0;
    let mut poses = Vec::new();
    let mut next = 0;
    let mut tick = begin;
    while tick <= end {
        let at = Tick(tick).since_origin();
        while next + 1 < track.samples.len() && track.samples[next + 1].at <= at {
            next += 1;
        }
        poses.push((Tick(tick), between(&track.samples[next], track.samples.get(next + 1), at)?));
        tick += STEP;
    }
    (poses.len() > 2).then_some(Way { poses })
}

fn between(before: &Sample, after: Option<&Sample>, at: Duration) -> Option<Pose> {
    let Some(after) = after.filter(|after| after.at > before.at) else {
        return pose(before.position, before.velocity);
    };
    let share = at.saturating_sub(before.at).as_secs_f64() / (after.at - before.at).as_secs_f64();
    let place = [0, 1, 2].map(|axis| {
        let (from, to): (f64, f64) = (before.position[axis], after.position[axis]);
        from + (to - from) * share
    });
    pose(place, before.velocity)
}

fn pose(place: [f64; 3], velocity: [f32; 3]) -> Option<Pose> {
    Some(Pose { velocity, ..Pose::at(Position::from_metres(place)?) })
}

/// On foot: 1.4 to 6 m/s, turns and stops, within 80 m of a corner.
fn walks() -> Kind {
    drawn("walks", 2, 11, |dice, way| {
        let mut walker = Mover::start(dice, 60.0);
        let (mut pace, mut turn, mut left) = (3.0, 0.0, 0.0);
        way(&mut |dt| {
            left -= dt;
            if left <= 0.0 {
                left = dice.between(0.5, 4.0);
                pace = if dice.between(0.0, 1.0) < 0.15 { 0.0 } else { dice.between(1.4, 6.0) };
                turn = dice.between(-1.2, 1.2);
            }
            walker.go(dt, pace, 4.0, turn, 80.0)
        });
    })
}

/// 8 to 30 m/s with turns that a vehicle can take, over a world of sixteen regions.
fn vehicles() -> Kind {
    drawn("vehicles", 4, 12, |dice, way| {
        let mut driver = Mover::start(dice, 300.0);
        let (mut pace, mut turn, mut left) = (15.0, 0.0, 0.0);
        way(&mut |dt| {
            left -= dt;
            if left <= 0.0 {
                left = dice.between(1.0, 6.0);
                pace = dice.between(8.0, 30.0);
                turn = dice.between(-0.5, 0.5);
            }
            driver.go(dt, pace, 5.0, turn, 330.0)
        });
    })
}

/// Along a border and over it, to and fro: 0.5 to 8 m to either side every one to five seconds.
fn zigzag() -> Kind {
    drawn("zigzag", 2, 13, |dice, way| {
        let (side, period) = (dice.between(0.5, 8.0), dice.between(1.0, 5.0));
        let (mut time, mut y) = (dice.between(0.0, period), dice.between(-80.0, -20.0));
        let mut along = dice.between(0.5, 3.0);
        way(&mut |dt| {
            time += dt;
            if !(-90.0..-10.0).contains(&y) {
                along = if y < -50.0 { along.abs() } else { -along.abs() };
            }
            y += along * dt;
            let angle = std::f64::consts::TAU * time / period;
            let across = side * std::f64::consts::TAU / period * angle.cos();
            ([side * angle.sin(), y], [across, along])
        });
    })
}

/// What a mover does in one step: where it is then, and how fast.
type Step<'a> = dyn FnMut(f64) -> ([f64; 2], [f64; 2]) + 'a;

fn drawn(
    name: &'static str,
    columns: u32,
    seed: u64,
    mut body: impl FnMut(&mut Dice, &mut dyn FnMut(&mut Step<'_>)),
) -> Kind {
    let mut dice = Dice::seeded(seed);
    let mut ways = Vec::new();
    for _ in 0..DRAWN {
        let mut poses = Vec::new();
        body(&mut dice, &mut |step| {
            for number in 0..(DRAWN_SECONDS * HZ as f64) as u64 {
                let ([x, y], velocity) = step(1.0 / HZ as f64);
                let velocity = [velocity[0] as f32, velocity[1] as f32, 0.0];
                poses.extend(pose([x, y, 1.0], velocity).map(|pose| (Tick(number * STEP), pose)));
            }
        });
        ways.push(Way { poses });
    }
    Kind { name, map: map(columns), ways, jumps: 0 }
}

/// A body with a heading.
struct Mover {
    place: [f64; 2],
    heading: f64,
    speed: f64,
}

impl Mover {
    fn start(dice: &mut Dice, within: f64) -> Self {
        let place = [dice.between(-within, within), dice.between(-within, within)];
        Self { place, heading: dice.between(-3.0, 3.0), speed: 0.0 }
    }

    /// One step towards `pace`, m/s, by at most `push`, m/s², turning by `turn`, radians a second; back towards the
    /// origin where it is `leash` metres away.
    fn go(&mut self, dt: f64, pace: f64, push: f64, turn: f64, leash: f64) -> ([f64; 2], [f64; 2]) {
        self.speed += (pace - self.speed).clamp(-push * dt, push * dt);
        let away = self.place[0].abs().max(self.place[1].abs()) > leash;
        let home = (-self.place[1]).atan2(-self.place[0]);
        let off = (home - self.heading).sin();
        self.heading += if away && (off.abs() > 0.1 || (home - self.heading).cos() < 0.0) {
            0.8_f64.copysign(off) * dt
        } else {
            turn * dt
        };
        let velocity = [self.speed * self.heading.cos(), self.speed * self.heading.sin()];
        self.place = [self.place[0] + velocity[0] * dt, self.place[1] + velocity[1] * dt];
        (self.place, velocity)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_crosses_borders_and_stays_on_its_map() {
        for kind in kinds(&[Match::sample()]) {
            assert!(!kind.ways.is_empty(), "{}", kind.name);
            let owners = |way: &Way| {
                let mut owners: Vec<_> =
                    way.poses.iter().map(|(_, pose)| kind.map.owner_of(&pose.position)).collect();
                assert!(owners.iter().all(Option::is_some), "{} leaves the map", kind.name);
                owners.dedup();
                owners.len()
            };
            assert!(kind.ways.iter().map(owners).max() > Some(3), "{}", kind.name);
        }
    }

    #[test]
    fn steps_are_even_and_no_body_outruns_its_kind() {
        for kind in kinds(&[Match::sample()]) {
            let most = if kind.name == "walks" { 7.0 } else { 60.0 };
            for way in &kind.ways {
                for pair in way.poses.windows(2) {
                    assert_eq!(pair[1].0.0 - pair[0].0.0, STEP);
                    let pace = pair[1].1.position.distance(&pair[0].1.position) * HZ as f64;
                    // A jump of almost eight metres within one step is still no respawn.
                    assert!(kind.name == "matches" || pace < most, "{} at {pace} m/s", kind.name);
                }
            }
        }
    }
}
