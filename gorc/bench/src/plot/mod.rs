//! How cost grows with players, with density and with observers, as a picture.

mod chart;

use chart::{Chart, Line};
use gorc::grid::Isa;

use crate::outcome::Outcome;
use crate::scene::{RunError, Scene, players, run};

/// Players, and how many seconds are counted with so many.
const PLAYERS: [(usize, f64); 6] =
    [(1_000, 10.0), (2_000, 10.0), (5_000, 5.0), (10_000, 4.0), (20_000, 2.0), (50_000, 1.0)];
const NEIGHBOURS: f64 = 50.0;
/// Players within 50 m of each, with 2000 in all.
const DENSITIES: [f64; 6] = [12.5, 25.0, 50.0, 100.0, 200.0, 400.0];
const PLAYERS_OF_DENSITIES: usize = 2_000;
/// Observers of 10,000 players.
const OBSERVERS: [usize; 5] = [100, 300, 1_000, 3_000, 10_000];
const PLAYERS_OF_OBSERVERS: usize = 10_000;

/// One measured point.
#[derive(Debug, Clone, Copy)]
struct Point {
    at: f64,
    ms: f64,
    bytes_per_s: f64,
}

/// Measures, and draws an SVG image. `tell` hears of each point.
///
/// # Errors
///
/// [`RunError`].
pub fn plot(tell: &mut dyn FnMut(&str)) -> Result<String, RunError> {
    let mut by_players = Vec::new();
    for (count, seconds) in PLAYERS {
        by_players.push(measure(count, count, NEIGHBOURS, seconds, tell)?.at(count as f64));
    }
    let mut by_density = Vec::new();
    for neighbours in DENSITIES {
        let count = PLAYERS_OF_DENSITIES;
        by_density.push(measure(count, count, neighbours, 5.0, tell)?.at(neighbours));
    }
    let mut by_observers = Vec::new();
    for observers in OBSERVERS {
        let point = measure(PLAYERS_OF_OBSERVERS, observers, NEIGHBOURS, 3.0, tell)?;
        by_observers.push(point.at(observers as f64));
    }
    Ok(draw(&by_players, &by_density, &by_observers))
}

impl Point {
    fn at(self, at: f64) -> Self {
        Self { at, ..self }
    }
}

fn measure(
    count: usize,
    observers: usize,
    neighbours: f64,
    seconds: f64,
    tell: &mut dyn FnMut(&str),
) -> Result<Point, RunError> {
    let mut scene = Scene {
        warm_up_seconds: 2.0,
        seconds,
        tracked: 0,
        splits_encoding: false,
        ..players(count, neighbours, Isa::detect())
    };
    scene.eyes = scene.eyes.into_iter().step_by(count / observers).take(observers).collect();
    let (outcome, _) = run(scene)?;
    let Outcome { cpu_ms_per_tick_p50, payload_bytes_per_client_s, .. } = outcome;
    let (ms, bytes_per_s) = cpu_ms_per_tick_p50.zip(payload_bytes_per_client_s).unwrap_or((0.0, 0.0));
    tell(&format!(
        "{count} players, {observers} observers, {neighbours} within 50 m: {ms:.3} ms per tick, \
         {bytes_per_s:.0} B/s per client"
    ));
    Ok(Point { at: 0.0, ms, bytes_per_s })
}

fn draw(by_players: &[Point], by_density: &[Point], by_observers: &[Point]) -> String {
    let players = format!("players, {NEIGHBOURS} of them within 50 m of each");
    let density = format!("players within 50 m of each, {PLAYERS_OF_DENSITIES} in all");
    let observers = format!("observers among {PLAYERS_OF_OBSERVERS} players");
    let line = |points: &[Point], y: fn(&Point) -> f64| Line {
        points: points.iter().map(|point| (point.at, y(point))).collect(),
    };
    let rows = [(&players, by_players), (&density, by_density), (&observers, by_observers)];
    let charts = rows.map(|(x, points)| {
        [
            Chart { x, y: "ms of one core per tick, 30 Hz", line: line(points, |point| point.ms) },
            Chart { x, y: "bytes per second to each client", line: line(points, |point| point.bytes_per_s) },
        ]
    });
    chart::page("gorc: what growth costs", &charts.concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_point_is_drawn_and_named() {
        let points: Vec<Point> = (1..=6)
            .map(|n| Point { at: f64::from(n) * 1000.0, ms: f64::from(n) * 0.3, bytes_per_s: 2000.0 })
            .collect();
        let svg = draw(&points, &points, &points);
        assert_eq!(svg.matches("<circle").count(), 36);
        assert_eq!(svg.matches("<svg").count(), svg.matches("</svg>").count());
        assert!(svg.contains("prefers-color-scheme: dark") && svg.contains(">1.8<"));
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
}
