//! Who is within so many metres, against brute force.
#![allow(clippy::unwrap_used)]

use std::time::Instant;

use gorc::grid::{Grid, Hits, Isa, Limits, LimitsError};
use proptest::prelude::*;

const LOST: f32 = f32::NAN;

#[derive(Debug, Clone, Default)]
struct Points {
    xs: Vec<f32>,
    ys: Vec<f32>,
    zs: Vec<f32>,
}

impl Points {
    fn new(points: impl IntoIterator<Item = [f32; 3]>) -> Self {
        let mut all = Self::default();
        all.extend(points);
        all
    }

    fn extend(&mut self, points: impl IntoIterator<Item = [f32; 3]>) {
        for [x, y, z] in points {
            self.xs.push(x);
            self.ys.push(y);
            self.zs.push(z);
        }
    }

    fn at(&self, slot: usize) -> [f32; 3] {
        [self.xs[slot], self.ys[slot], self.zs[slot]]
    }

    fn existing(&self) -> impl Iterator<Item = u32> {
        (0..self.xs.len())
            .filter(|&slot| self.at(slot).iter().all(|at| at.is_finite()))
            .map(|slot| slot as u32)
    }

    fn grid(&self, cell_metres: f32) -> Grid {
        let mut grid = Grid::new(cell_metres);
        self.rebuild(&mut grid);
        grid
    }

    fn rebuild(&self, grid: &mut Grid) {
        grid.rebuild(&self.xs, &self.ys, &self.zs);
    }
}

/// The promised arithmetic: each operation rounded by itself, in this order.
fn squared(a: [f32; 3], b: [f32; 3]) -> f32 {
    let [dx, dy, dz] = [a[0] - b[0], a[1] - b[1], a[2] - b[2]];
    let flat = dx * dx + dy * dy;
    flat + dz * dz
}

fn metres(a: [f32; 3], b: [f32; 3]) -> f64 {
    (0..3).map(|axis| (f64::from(a[axis]) - f64::from(b[axis])).powi(2)).sum::<f64>().sqrt()
}

fn rows(hits: &Hits) -> Vec<(u32, u8, u32)> {
    let squared = hits.squared().iter().map(|squared| squared.to_bits());
    hits.slots()
        .iter()
        .zip(hits.bands())
        .zip(squared)
        .map(|((&slot, &band), bits)| (slot, band, bits))
        .collect()
}

/// Asks with every set of instructions and compares with brute force.
#[track_caller]
fn check(points: &Points, grid: &Grid, centre: [f32; 3], radii: &[f32], hits: &mut Hits) {
    let limits = Limits::new(radii).unwrap();
    grid.query(Isa::SCALAR, centre, &limits, hits);
    let scalar = rows(hits);
    for isa in Isa::available() {
        grid.query(isa, centre, &limits, hits);
        assert_eq!(rows(hits), scalar, "{isa:?} around {centre:?}, {radii:?}");
        assert_eq!(hits.len(), scalar.len());
    }

    let order = grid.cell_order();
    let mut place = vec![usize::MAX; points.xs.len()];
    order.iter().enumerate().for_each(|(at, &slot)| place[slot as usize] = at);
    assert!(scalar.is_sorted_by_key(|&(slot, ..)| place[slot as usize]), "hits are in grid order");

    let outer = *limits.squared().last().unwrap();
    let expected = points.existing().filter_map(|slot| {
        let squared = squared(points.at(slot as usize), centre);
        let band = limits.squared().iter().filter(|&&limit| squared > limit).count() as u8;
        (squared <= outer).then_some((slot, band, squared.to_bits()))
    });
    let mut found = scalar.clone();
    found.sort_unstable();
    assert_eq!(found, expected.collect::<Vec<_>>(), "around {centre:?}, {radii:?}");

    // Beyond two kilometres rounding moves a distance by more than is allowed for here.
    let exact = radii.iter().all(|&radius| radius <= 2e3);
    for slot in points.existing().filter(|_| exact) {
        let metres = metres(points.at(slot as usize), centre);
        if radii.iter().all(|&radius| (f64::from(radius) - metres).abs() > 0.002) {
            let band = scalar.iter().find(|row| row.0 == slot).map(|row| usize::from(row.1));
            let exact = radii.iter().position(|&radius| metres < f64::from(radius));
            assert_eq!(band, exact, "slot {slot}, {metres} m from {centre:?}, {radii:?}");
        }
    }
}

/// A world of some size, with crowds, lost slots, and points that lie on a circle around the first.
fn world() -> impl Strategy<Value = Points> {
    let size = prop_oneof![Just(0.0_f32), 1.0..30.0_f32, 100.0..3000.0_f32, Just(1e6), Just(1e9), Just(3e38)];
    let unit = || (-1.0..1.0_f32, -1.0..1.0_f32, -1.0..1.0_f32);
    let points = prop::collection::vec((unit(), 0..12_u8), 0..300);
    (size, unit(), 0.0..60.0_f32, points).prop_map(|(size, shift, circle, points)| {
        let home = [shift.0 * size, shift.1 * size, shift.2 * 10.0];
        let mut all = vec![home];
        for ((x, y, z), kind) in points {
            all.push(match kind {
                0 => [LOST, y * size, z],
                1 => [x, f32::INFINITY, z],
                2 | 3 => home,
                4..=6 => [home[0] + 20.0 * x, home[1] + 20.0 * y, home[2] + z],
                7..=9 => {
                    let (sin, cos) = (x * std::f32::consts::PI).sin_cos();
                    [home[0] + circle * cos, home[1] + circle * sin, home[2]]
                }
                _ => [x * size, y * size, z * 40.0],
            });
        }
        Points::new(all)
    })
}

fn radii() -> impl Strategy<Value = Vec<f32>> {
    let radius = prop_oneof![Just(0.0_f32), 0.0..60.0_f32, 60.0..2000.0_f32];
    prop::collection::vec(radius, 1..=8).prop_map(|mut radii| {
        radii.sort_by(f32::total_cmp);
        radii
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Wherever points stand, whatever the cells and the radii, and whatever stood there before: the
    /// hits are those of brute force, to the bit and on every set of instructions.
    #[test]
    fn hits_are_those_of_brute_force(
        worlds in prop::collection::vec(world(), 1..4),
        cell in prop_oneof![0.05..2.0_f32, 2.0..100.0_f32, Just(1e6)],
        radii in radii(),
        away in (-3.0..3.0_f32, -3.0..3.0_f32),
        who in any::<prop::sample::Index>(),
    ) {
        let (mut grid, mut hits) = (Grid::new(cell), Hits::default());
        for points in &worlds {
            points.rebuild(&mut grid);
            let mut order = grid.cell_order().to_vec();
            order.sort_unstable();
            prop_assert_eq!(order, points.existing().collect::<Vec<_>>());

            let (home, other) = (points.at(0), points.at(who.index(points.xs.len())));
            let radius = radii.last().unwrap();
            let aside = [home[0] + away.0 * radius, home[1] + away.1 * radius, home[2]];
            for centre in [home, other, aside, [away.0, away.1, 0.0]] {
                if centre.iter().all(|at| at.is_finite()) {
                    check(points, &grid, centre, &radii, &mut hits);
                    check(points, &grid, centre, &radii[..1], &mut hits);
                }
            }
        }
    }

    /// Who stands in the last corner of a cell that a circle reaches is found, by the last of the bits,
    /// although nobody nearer shares a block with them.
    #[test]
    fn nobody_on_the_edge_is_missed(
        cell in 5.0..60.0_f32,
        corner in (1..150_u16, 1..60_u16),
        (right, above) in any::<(bool, bool)>(),
        turn in prop_oneof![(0..=4_u8).prop_map(|n| f32::from(n) / 4.0), 0.0..=1.0_f32],
        away in 0.5..200.0_f32,
        farther in 0..3_u8,
    ) {
        // Cells are four times as high as wide.
        let row = 1.0 / (cell * 2.0);
        let (x, y) = (side(corner.0, row * 4.0, right), side(corner.1, row, above));
        let (sin, cos) = (turn * std::f32::consts::FRAC_PI_2).sin_cos();
        let centre = [
            if right { x - away * cos } else { x + away * cos },
            if above { y - away * sin } else { y + away * sin },
            0.0,
        ];
        let mut radius = squared([x, y, 0.0], centre).sqrt();
        while radius * radius < squared([x, y, 0.0], centre) {
            radius = radius.next_up();
        }
        for _ in 0..farther {
            radius = radius.next_up();
        }
        let others = if right { 32 } else { 31 };
        let mut points = Points::new((0..others).map(|_| [0.0, y, 0.0]));
        points.extend([[x, y, 0.0], [0.0; 3], [x + 2e3, y + 2e3, 0.0]]);
        // Enough of them that cells are not made wider.
        points.extend((0..12_000).map(|_| [0.0; 3]));
        check(&points, &points.grid(cell), centre, &[radius], &mut Hits::default());
    }
}

/// The first coordinate of a cell of a lattice that begins at zero, or the last one.
fn side(number: u16, inverse: f32, first: bool) -> f32 {
    let number = if first { f32::from(number) } else { f32::from(number + 1) };
    let mut at = number / inverse;
    while at * inverse >= number {
        at = at.next_down();
    }
    while at * inverse < number {
        at = at.next_up();
    }
    if first { at } else { at.next_down() }
}

#[test]
fn nobody_is_there() {
    let mut hits = Hits::default();
    let nobody = Points::default();
    check(&nobody, &Grid::new(25.0), [0.0; 3], &[10.0], &mut hits);
    check(&nobody, &nobody.grid(25.0), [0.0; 3], &[10.0], &mut hits);
    let lost = Points::new([[LOST, 0.0, 0.0], [0.0, LOST, 0.0], [0.0, 0.0, f32::INFINITY]]);
    let mut grid = Points::new([[0.0; 3]]).grid(25.0);
    lost.rebuild(&mut grid);
    check(&lost, &grid, [0.0; 3], &[10.0, f32::INFINITY], &mut hits);
    assert!(hits.is_empty() && grid.cell_order().is_empty());
}

#[test]
fn a_crowd_is_found_whole() {
    for side in [0.0, 1.0, 90.0] {
        let mut chance = Chance(7);
        let points = Points::new((0..5000).map(|_| [0; 3].map(|_| (chance.unit() - 0.5) * side)));
        let mut hits = Hits::default();
        check(&points, &points.grid(25.0), [0.0; 3], &[10.0, 25.0, 50.0, 100.0], &mut hits);
        assert_eq!(hits.len(), 5000);
        check(&points, &points.grid(25.0), points.at(17), &[0.0], &mut hits);
    }
}

#[test]
fn limits_belong_to_the_nearer_band() {
    let points = Points::new([[3.0, 4.0, 0.0], [0.0, 3.0, -4.0], [5.0, 0.0, 0.01], [0.0, 0.0, 10.0]]);
    let mut hits = Hits::default();
    check(&points, &points.grid(25.0), [0.0; 3], &[5.0, 10.0], &mut hits);
    let mut bands: Vec<_> =
        hits.slots().iter().zip(hits.bands()).map(|(&slot, &band)| (slot, band)).collect();
    bands.sort_unstable();
    assert_eq!(bands, [(0, 0), (1, 0), (2, 1), (3, 1)]);
}

#[test]
fn a_centre_that_is_nowhere_has_no_hits() {
    let points = Points::new((0..40).map(|n| [n as f32 * 10.0, -n as f32, 0.0]));
    let grid = points.grid(25.0);
    let everyone = Limits::new(&[1.0, f32::INFINITY]).unwrap();
    let mut hits = Hits::default();
    for isa in Isa::available() {
        grid.query(isa, [0.0; 3], &everyone, &mut hits);
        assert_eq!(hits.len(), 40);
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            for centre in [[wrong, 0.0, 0.0], [0.0, wrong, 0.0], [0.0, 0.0, wrong]] {
                grid.query(isa, centre, &everyone, &mut hits);
                assert!(hits.is_empty(), "{isa:?} around {centre:?}");
            }
        }
    }
    for far in [-1e5, 1e5, -1e30, f32::MAX] {
        for centre in [[far, 0.0, 0.0], [0.0, far, 0.0], [far, far, far]] {
            check(&points, &grid, centre, &[10.0, 100.0], &mut hits);
            assert!(hits.is_empty());
            check(&points, &grid, centre, &[10.0, 2e19], &mut hits);
            assert_eq!(hits.len(), 40, "a square that is infinite limits nobody");
        }
    }
}

/// Columns and rows, which only `Debug` tells.
fn cells(grid: &Grid) -> u64 {
    let text = format!("{grid:?}");
    let number =
        |name: &str| text.split_once(name).unwrap().1.split([',', ' ']).next().unwrap().parse::<u64>();
    number("columns: ").unwrap() * number("rows: ").unwrap()
}

#[test]
fn a_huge_world_has_few_cells() {
    let mut chance = Chance(3);
    let crowd: Vec<_> = (0..2000).map(|_| [chance.unit() * 500.0, chance.unit() * 500.0, 0.0]).collect();
    let with = |others: &[[f32; 3]]| Points::new(crowd.iter().chain(others).copied());
    let apart = crowd.iter().map(|&[x, y, z]| [x + 1e6, y - 1e6, z]);
    let worlds = [
        Points::new([[0.0; 3], [1e6, 1e6, 0.0]]),
        Points::new([[-f32::MAX, 0.0, 0.0], [f32::MAX, f32::MAX, f32::MIN], [0.0; 3]]),
        with(&[[1e30, 1e30, 0.0]]),
        with(&[[-1e30, 0.0, 0.0], [f32::MAX, f32::MIN, 0.0]]),
        Points::new(crowd.iter().copied().chain(apart)),
        Points::new((0..3000).map(|n| [n as f32 * 40.0, n as f32 * 40.0, 0.0])),
        Points::new((0..3000).map(|n| [0.0, n as f32 * 400.0, 0.0])),
        Points::new((0..3000).map(|n| [n as f32 * 1e34, 0.0, 0.0])),
    ];
    let (mut grid, mut hits) = (Grid::new(25.0), Hits::default());
    for points in &worlds {
        points.rebuild(&mut grid);
        assert!(cells(&grid) <= (4 * points.xs.len() as u64).max(1024), "{grid:?}");
        for slot in [0, 1, points.xs.len() / 2, points.xs.len() - 1] {
            check(points, &grid, points.at(slot), &[10.0, 25.0, 50.0, 100.0], &mut hits);
            check(points, &grid, points.at(slot), &[100.0, 1e5, 1e19], &mut hits);
        }
    }
}

/// One lost point far away does not put everyone else into one cell.
#[test]
fn a_lost_point_costs_nobody_their_cells() {
    let mut chance = Chance(5);
    let mut points = Points::new((0..2000).map(|_| [chance.unit() * 500.0, chance.unit() * 500.0, 0.0]));
    let together = cells(&points.grid(25.0));
    points.extend([[-1e20, 1e20, 0.0]]);
    assert!(cells(&points.grid(25.0)) >= together, "{:?}", points.grid(25.0));
}

#[test]
fn radii_that_are_none() {
    assert_eq!(Limits::new(&[]), Err(LimitsError::Count(0)));
    assert_eq!(Limits::new(&[1.0; 9]), Err(LimitsError::Count(9)));
    assert_eq!(Limits::new(&[-1.0]), Err(LimitsError::Radius { at: 0, metres: -1.0 }));
    assert_eq!(Limits::new(&[2.0, 1.0]), Err(LimitsError::Radius { at: 1, metres: 1.0 }));
    assert!(matches!(Limits::new(&[1.0, f32::NAN]), Err(LimitsError::Radius { at: 1, .. })));
    assert_eq!(
        Limits::new(&[0.0, 2.0, 2.0, f32::INFINITY]).unwrap().squared(),
        [0.0, 4.0, 4.0, f32::INFINITY]
    );
}

#[test]
fn the_fastest_instructions_are_available() {
    let all: Vec<_> = Isa::available().collect();
    assert_eq!(all.first(), Some(&Isa::SCALAR));
    assert_eq!(all.last(), Some(&Isa::detect()));
    let names: Vec<_> = all.iter().map(|isa| isa.name()).collect();
    assert_eq!(names, ["scalar", "avx2", "avx512"][..names.len()]);
}

/// SplitMix64.
struct Chance(u64);

impl Chance {
    /// From zero to one.
    fn unit(&mut self) -> f32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((bits ^ (bits >> 31)) >> 40) as f32 / (1 << 24) as f32
    }
}

/// Fifty points within 50 m of each, asked for those within 100 m in four bands. Each slice of the
/// observers counts with its best time, since other programs disturb.
#[test]
#[ignore = "prints times; run it in release with --nocapture"]
fn times() {
    for n in [1_000, 10_000, 50_000] {
        let side = (n as f32 * 50.0 * std::f32::consts::PI).sqrt();
        let mut chance = Chance(1);
        let mut axis = |metres: f32| (0..n).map(|_| chance.unit() * metres).collect();
        let points = Points { xs: axis(side), ys: axis(side), zs: axis(2.0) };
        let mut grid = Grid::new(25.0);
        let rebuild = (0..300).map(|_| {
            let from = Instant::now();
            points.rebuild(&mut grid);
            from.elapsed()
        });
        println!("{n} points: rebuild {:.1} us", rebuild.min().unwrap().as_secs_f64() * 1e6);

        let limits = Limits::new(&[10.0, 25.0, 50.0, 100.0]).unwrap();
        let by_slot: Vec<u32> = (0..n as u32).collect();
        let mut hits = Hits::default();
        for isa in Isa::available() {
            for (order, observers) in [("by slot", by_slot.as_slice()), ("in cell order", grid.cell_order())]
            {
                let (mut best, mut found) = (vec![f64::INFINITY; observers.len().div_ceil(200)], 0);
                for _ in 0..(1_000_000 / n).max(20) {
                    found = 0;
                    for (observers, best) in observers.chunks(200).zip(&mut best) {
                        let from = Instant::now();
                        for &slot in observers {
                            grid.query(isa, points.at(slot as usize), &limits, &mut hits);
                            found += hits.len();
                        }
                        *best = best.min(from.elapsed().as_secs_f64());
                    }
                }
                let nanoseconds = best.iter().sum::<f64>() * 1e9 / n as f64;
                println!("  {isa:?} {order}: {nanoseconds:.1} ns, {} hits", found / n);
            }
        }
    }
}
