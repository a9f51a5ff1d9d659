//! Where players walk: the match that comes with the repository, and straight lines.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use flate2::read::GzDecoder;
use horizon_model::{Pose, Position};

/// Time between two movement samples of a straight walk.
const STEP: Duration = Duration::from_millis(50);
/// Two samples further apart than this are a respawn.
const JUMP_METRES: f64 = 8.0;

/// A place in time: since the start of the walk.
pub type Waypoint = (Duration, Pose);

/// A straight walk from corner to corner, metres and metres per second.
pub fn walk(corners: &[[f64; 3]], speed: f64) -> Vec<Waypoint> {
    let mut path = vec![(Duration::ZERO, at(corners[0], [0.0; 3]))];
    let mut now = Duration::ZERO;
    for leg in corners.windows(2) {
        let way: [f64; 3] = std::array::from_fn(|axis| leg[1][axis] - leg[0][axis]);
        let length = way.iter().map(|metres| metres * metres).sum::<f64>().sqrt();
        let steps = (length / speed / STEP.as_secs_f64()).ceil().max(1.0) as u32;
        let velocity = way.map(|metres| metres / length * speed);
        for step in 1..=steps {
            now += STEP;
            let share = f64::from(step) / f64::from(steps);
            path.push((now, at(std::array::from_fn(|axis| leg[0][axis] + way[axis] * share), velocity)));
        }
    }
    path
}

/// Milliseconds, metres, metres per second.
type Row = (f64, [f64; 3], [f64; 3]);

/// The recorded stretch without a respawn that crosses the axes most often, from its first sample.
pub fn recorded() -> Vec<Waypoint> {
    let mut text = String::new();
    let bytes = std::fs::read(sample()).expect("the sample comes with the repository");
    GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).expect("the sample is gzip");
    let mut bodies: BTreeMap<u32, Vec<Row>> = BTreeMap::new();
    for line in text.lines().skip(1) {
        let row: Vec<f64> =
            line.split(',').map(|word| word.parse().expect("the sample is numbers")).collect();
        let entry = (row[0], [row[2], row[3], row[4]], [row[6], row[7], row[8]]);
        bodies.entry(row[1] as u32).or_default().push(entry);
    }
    bodies.remove(&0);
    let stretches = bodies.values().flat_map(|samples| {
        samples.chunk_by(|before, after| {
            (0..3).map(|axis| (before.1[axis] - after.1[axis]).powi(2)).sum::<f64>()
                < JUMP_METRES * JUMP_METRES
        })
    });
    let crossings = |stretch: &&[Row]| {
        let flips = |axis: usize| {
            stretch.windows(2).filter(move |w| (w[0].1[axis] < 0.0) != (w[1].1[axis] < 0.0)).count()
        };
        flips(0) + flips(1)
    };
    let best = stretches.max_by_key(crossings).expect("the sample has bodies");
    let start = best[0].0;
    best.iter()
        .map(|(ms, place, velocity)| (Duration::from_secs_f64((ms - start) / 1000.0), at(*place, *velocity)))
        .collect()
}

/// The match that comes with the repository.
pub fn sample() -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../load/sample/match.csv.gz"))
}

/// The rows of the ball in plain text, for the plugin that moves it.
pub fn ball() -> String {
    let mut text = String::new();
    let bytes = std::fs::read(sample()).expect("the sample comes with the repository");
    GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).expect("the sample is gzip");
    let is_ball = |line: &&str| line.split(',').nth(1).is_some_and(|id| id == "id" || id == "0");
    text.lines().filter(is_ball).map(|line| format!("{line}\n")).collect()
}

fn at(place: [f64; 3], velocity: [f64; 3]) -> Pose {
    let position = Position::from_metres(place).expect("tests stay on the map");
    Pose { position, velocity: velocity.map(|metres| metres as f32), yaw: 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walks_have_a_speed() {
        let path = walk(&[[0.0, 0.0, 1.0], [10.0, 0.0, 1.0], [0.0, 0.0, 1.0]], 5.0);
        assert_eq!(path.last().map(|(time, _)| *time), Some(Duration::from_secs(4)));
        assert_eq!(path[40].1.position.metres(), [10.0, 0.0, 1.0]);
    }

    #[test]
    fn the_recorded_stretch_crosses_borders() {
        let path = recorded();
        assert!(path.len() > 100 && path.is_sorted_by_key(|(time, _)| *time));
    }
}
