//! The index, and others with the same points and the same questions: everything within 100 m, sorted into
//! four bands of distance.
#![allow(missing_docs)]

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gorc::grid::{Hits, Isa, Limits};
use gorc_bench::index::{KdTree, Points, kiddo_hits};

const SIZES: [usize; 3] = [1_000, 10_000, 50_000];
const RADII: [f32; 4] = [10.0, 25.0, 50.0, 100.0];
const FARTHEST: f32 = 100.0 * 100.0;
/// Questions in one round, spread over all points.
const ASKED: usize = 1_000;

fn band(squared: f32) -> usize {
    RADII.iter().filter(|radius| squared > **radius * **radius).count()
}

fn query(c: &mut Criterion) {
    let limits = Limits::new(&RADII).expect("they rise");
    let mut group = c.benchmark_group("index/query/players");
    group.throughput(Throughput::Elements(ASKED as u64));
    for size in SIZES {
        let points = Points::players(size, 50.0);
        let pairs = points.pairs();
        let asked: Vec<[f32; 2]> = pairs.iter().step_by(size / ASKED).copied().collect();
        let (grid, rstar) = (points.grid(), points.rstar());
        let kiddo = KdTree::new_from_slice(&pairs).expect("points are finite");
        let ours = |isa| {
            let (mut hits, mut bands) = (Hits::default(), [0_u64; 4]);
            for at in &asked {
                grid.query(isa, [at[0], at[1], 0.0], &limits, &mut hits);
                for band in hits.bands() {
                    bands[usize::from(*band)] += 1;
                }
            }
            bands
        };
        let by_rstar = || {
            let mut bands = [0_u64; 4];
            for at in &asked {
                for hit in rstar.locate_within_distance(*at, FARTHEST) {
                    let [x, y] = hit.geom();
                    bands[band((x - at[0]) * (x - at[0]) + (y - at[1]) * (y - at[1]))] += 1;
                }
            }
            bands
        };
        let by_kiddo = || {
            let mut bands = [0_u64; 4];
            for at in &asked {
                for hit in kiddo_hits(&kiddo, at, FARTHEST) {
                    bands[band(hit.distance)] += 1;
                }
            }
            bands
        };
        assert_eq!(by_rstar(), by_kiddo(), "they find the same");
        for isa in Isa::available() {
            assert_eq!(ours(isa), by_rstar(), "they find the same");
            let mut hits = Hits::default();
            group.bench_function(BenchmarkId::new(isa.name(), size), |b| {
                b.iter(|| {
                    for at in &asked {
                        grid.query(isa, [at[0], at[1], 0.0], &limits, &mut hits);
                        black_box(&hits);
                    }
                });
            });
        }
        group.bench_function(BenchmarkId::new("rstar", size), |b| b.iter(|| black_box(by_rstar())));
        group.bench_function(BenchmarkId::new("kiddo", size), |b| b.iter(|| black_box(by_kiddo())));
    }
    group.finish();
}

fn rebuild(c: &mut Criterion) {
    let mut group = c.benchmark_group("index/rebuild/players");
    group.sample_size(20);
    for size in SIZES {
        let points = Points::players(size, 50.0);
        let pairs = points.pairs();
        let mut grid = points.grid();
        group.throughput(Throughput::Elements(size as u64));
        group
            .bench_function(BenchmarkId::new("grid", size), |b| b.iter(|| points.fill(black_box(&mut grid))));
        group.bench_function(BenchmarkId::new("rstar", size), |b| b.iter(|| points.rstar()));
        group.bench_function(BenchmarkId::new("kiddo", size), |b| b.iter(|| KdTree::new_from_slice(&pairs)));
    }
    group.finish();
}

criterion_group!(benches, query, rebuild);
criterion_main!(benches);
