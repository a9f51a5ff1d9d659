use horizon_model::GridMap;

use super::*;

const WEST: RegionId = RegionId(0);
const EAST: RegionId = RegionId(1);
const NORTH: RegionId = RegionId(2);

/// Two by two regions of 200 m, the corner at the origin.
fn map() -> RegionMap {
    let grid = GridMap::new([-200.0, -200.0], 200.0, 2, 2).expect("on the lattice");
    RegionMap { map_epoch: 1, grid }
}

fn pose(x: f64, y: f64, vx: f64, vy: f64) -> Pose {
    let position = Position::from_metres([x, y, 0.0]).expect("in range");
    Pose { velocity: [vx as f32, vy as f32, 0.0], ..Pose::at(position) }
}

/// A body that walked evenly for a second and is at (`x`, `y`) now.
fn walker(x: f64, y: f64, vx: f64, vy: f64) -> Predictor {
    let mut predictor = Predictor::new();
    for tick in 0..=60_u64 {
        let ago = (60 - tick) as f64 / 60.0;
        predictor.observe(Tick(tick), &pose(x - vx * ago, y - vy * ago, vx, vy));
    }
    predictor
}

const fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

#[test]
fn a_walker_towards_the_border_is_expected_when_he_gets_there() {
    let forecasts = walker(-10.0, -100.0, 5.0, 0.0).forecast(&map(), WEST, ms(4000));
    assert_eq!(forecasts.len(), 1, "{forecasts:?}");
    let Forecast { region, eta, likelihood } = forecasts[0];
    assert_eq!(region, EAST);
    assert!((ms(1500)..=ms(2500)).contains(&eta), "{eta:?}");
    assert!(likelihood > 0.9, "{likelihood}");
}

#[test]
fn who_walks_away_or_stands_far_off_needs_nobody() {
    assert_eq!(walker(-10.0, -100.0, -5.0, 0.0).forecast(&map(), WEST, ms(4000))[..], []);
    assert_eq!(walker(-100.0, -100.0, 0.0, 0.0).forecast(&map(), WEST, ms(4000))[..], []);
    assert_eq!(walker(-3.0, -100.0, 0.0, 5.0).forecast(&map(), WEST, ms(200))[..], []);
    assert_eq!(Predictor::new().forecast(&map(), WEST, ms(4000))[..], []);
}

#[test]
fn a_corner_names_every_neighbour_that_may_be_needed() {
    let forecasts = walker(-10.0, -10.0, 5.0, 5.0).forecast(&map(), WEST, ms(4000));
    let regions: Vec<_> = forecasts.iter().map(|forecast| forecast.region).collect();
    assert!([EAST, NORTH, RegionId(3)].iter().all(|region| regions.contains(region)), "{forecasts:?}");
}

#[test]
fn a_body_beyond_the_border_needs_that_region_now() {
    let forecasts = walker(1.0, -100.0, 5.0, 0.0).forecast(&map(), WEST, ms(1000));
    assert_eq!(forecasts[0], Forecast { region: EAST, eta: ms(0), likelihood: 1.0 });
}

#[test]
fn a_jump_starts_over_and_an_old_tick_is_ignored() {
    let mut predictor = walker(-100.0, -100.0, 5.0, 0.0);
    assert!((predictor.speed() - 5.0).abs() < 0.1);
    predictor.observe(Tick(30), &pose(0.0, 0.0, 99.0, 0.0));
    assert!((predictor.speed() - 5.0).abs() < 0.1);
    predictor.observe(Tick(61), &pose(-50.0, -100.0, 0.0, 0.0));
    assert_eq!(predictor.speed(), 0.0, "no streak of 3000 m/s");
    predictor.observe(Tick(62), &pose(-50.0, -100.0, f64::NAN, 0.0));
    assert_eq!(predictor.forecast(&map(), WEST, ms(1000))[..], []);
}

#[test]
fn a_car_that_turns_away_is_hardly_expected_where_a_straight_one_is() {
    // At 15 m/s, 25 m from the border and heading for it, on a circle of 10 m that will not reach it.
    let mut turning = Predictor::new();
    for tick in 0..=240_u64 {
        let angle = 1.5 * std::f64::consts::PI + 1.5 * (tick as f64 - 240.0) / 60.0;
        turning.observe(Tick(tick), &pose(-25.0 + 10.0 * angle.cos(), -90.0 + 10.0 * angle.sin(), 0.0, 0.0));
    }
    let likelihood = |predictor: &Predictor| {
        predictor.forecast(&map(), WEST, ms(2500)).first().map_or(0.0, |forecast| forecast.likelihood)
    };
    let (straight, turning) = (likelihood(&walker(-25.0, -100.0, 15.0, 0.0)), likelihood(&turning));
    assert!(straight > 0.9 && turning < 0.3, "straight {straight}, turning {turning}");
}

#[test]
fn slow_regions_are_asked_for_earlier() {
    let mut model = EnsureModel::new();
    assert_eq!(model.place_within(), ms(3000));
    for _ in 0..50 {
        model.observe(ms(4000));
    }
    assert!((ms(7400)..ms(7800)).contains(&model.place_within()), "{:?}", model.place_within());
    for _ in 0..100 {
        model.observe(Duration::from_secs(1000));
    }
    assert_eq!(model.place_within(), EnsureModel::MOST);
}

#[test]
fn wishes_begin_once_are_repeated_and_do_not_flap() {
    use Need::{Place, Prepare};
    let policy = Policy { prepare_within: ms(1000), place_within: ms(3000) };
    let east = |eta, likelihood| [Forecast { region: EAST, eta: ms(eta), likelihood }];
    let mut wanted = Wanted::new();
    let mut say = |at, forecasts: &[Forecast]| wanted.update(ms(at), WEST, forecasts, &policy);
    assert_eq!(say(0, &east(3100, 1.0)), []);
    assert_eq!(say(10, &east(2900, 0.1)), [], "not likely enough to begin");
    assert_eq!(say(20, &east(2900, 0.9)), [Place { region: EAST }]);
    assert_eq!(say(100, &east(3500, 0.1)), [], "still wanted, not said again yet");
    assert_eq!(say(1020, &east(1000, 0.9)), [Place { region: EAST }, Prepare { region: EAST }]);
    assert_eq!(say(1100, &east(1500, 0.9)), []);
    assert_eq!(say(1270, &east(1500, 0.9)), [Prepare { region: EAST }]);
    assert_eq!(say(2000, &[]), [Prepare { region: EAST }], "a gap of less than a second");
    assert_eq!(say(2270, &[]), [], "a gap of a second");
    assert_eq!(wanted.places().count() + wanted.preparing().count(), 0);
}

#[test]
fn every_region_that_is_likely_soon_is_prepared() {
    let policy = Policy { prepare_within: ms(1000), place_within: ms(3000) };
    let at = |region, eta| Forecast { region, eta: ms(eta), likelihood: 0.5 };
    let mut wanted = Wanted::new();
    let mut preparing = |now, east, north| {
        wanted.update(ms(now), WEST, &[at(EAST, east), at(NORTH, north)], &policy);
        wanted.preparing().collect::<Vec<_>>()
    };
    assert_eq!(preparing(0, 500, 1100), [EAST], "not soon enough to begin");
    assert_eq!(preparing(10, 500, 1000), [EAST, NORTH]);
    assert_eq!(preparing(20, 2100, 1900), [EAST, NORTH]);
    assert_eq!(preparing(1010, 2100, 1900), [NORTH], "unsupported for a second");
    wanted.update(ms(1020), NORTH, &[at(WEST, 5000)], &policy);
    assert_eq!(wanted.preparing().count(), 0, "home now");
    assert_eq!(wanted.places().collect::<Vec<_>>(), [EAST]);
}

#[test]
fn who_goes_to_and_fro_is_expected_again_with_less_certainty() {
    let policy = Policy { prepare_within: ms(400), place_within: ms(3000) };
    // Not likely enough to begin a wish, enough to support one.
    let perhaps = |region| [Forecast { region, eta: ms(700), likelihood: 0.1 }];
    let preparing = |stays: &[(u64, RegionId)], at, behind| {
        let mut wanted = Wanted::new();
        for &(from, home) in stays {
            wanted.update(ms(from), home, &[], &policy);
        }
        let home = stays.last().expect("one or more").1;
        wanted.update(ms(at), home, &perhaps(behind), &policy);
        wanted.preparing().any(|region| region == behind)
    };
    let once = [(0, WEST), (2000, EAST)];
    let back = [(0, WEST), (2000, EAST), (3500, WEST)];
    assert!(!preparing(&once, 2100, WEST), "it came, and was not here before");
    assert!(preparing(&back, 3600, EAST), "it came back after a second and a half");
    assert!(!preparing(&back, 3600, NORTH), "it never was there");
    assert!(!preparing(&back, 6000, EAST), "it has stayed");
    assert!(!preparing(&[(0, WEST), (2000, EAST), (4600, WEST)], 4700, EAST), "it took its time");
    let disordered = [(0, WEST), (2000, EAST), (2010, WEST), (2033, EAST)];
    assert!(!preparing(&disordered, 2100, WEST), "an old report among newer ones");
}
