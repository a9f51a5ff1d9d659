//! What a region pays in a step, by parts, and what its clients pay to read.
#![allow(missing_docs)]

use std::hint::black_box;
use std::time::Duration;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use gorc::grid::Isa;
use gorc::{Decoder, Enter, LeaveReason, Update, Visitor};
use gorc_bench::movement::Match;
use gorc_bench::scene::{Inputs, Scene, World, players, scenes};
use horizon_model::{EntityId, Tick};

const SIZES: [usize; 3] = [1_000, 10_000, 50_000];
const NEIGHBOURS: f64 = 50.0;
/// Steps after which everybody holds what is around.
const SETTLED: usize = 60;
/// Steps after which what stands is not told of any more.
const AT_REST: usize = 120;

fn scene(size: usize) -> Scene {
    players(size, NEIGHBOURS, Isa::detect())
}

/// Time of `steps` steps; moving the players is not part of it.
fn steps(world: &mut World, steps: u64) -> Duration {
    world.run(steps as usize).time
}

fn settled(scene: &Scene, watched: bool) -> World {
    let mut world = World::new(scene, if watched { &scene.eyes } else { &[] });
    world.run(SETTLED);
    world
}

/// Everything: samples, index, interest, bodies.
fn step(c: &mut Criterion) {
    let mut group = c.benchmark_group("region/step/players");
    group.sample_size(10);
    for size in SIZES {
        let mut world = settled(&scene(size), true);
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter_custom(|count| steps(&mut world, count));
        });
    }
    group.finish();
}

/// Interest alone: nothing moves, everybody looks and finds nothing new.
fn diff(c: &mut Criterion) {
    let mut group = c.benchmark_group("region/diff/players");
    group.sample_size(10);
    for size in SIZES {
        let mut world = settled(&scene(size), true);
        world.freeze();
        world.run(AT_REST);
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter_custom(|count| steps(&mut world, count));
        });
    }
    group.finish();
}

/// Objects alone: nobody looks, every curve is compared with its samples and knots are made and encoded.
fn schedule(c: &mut Criterion) {
    let mut group = c.benchmark_group("region/schedule/players");
    group.sample_size(10);
    for size in SIZES {
        let mut world = settled(&scene(size), false);
        group.throughput(Throughput::Elements(size as u64));
        group.bench_function(BenchmarkId::from_parameter(size), |b| {
            b.iter_custom(|count| steps(&mut world, count));
        });
    }
    group.finish();
}

/// Bodies alone, as far as that goes: every object that is held is told at every step, so that a step is
/// little else than 60,000 updates.
fn encode(c: &mut Criterion) {
    let inputs = Inputs { matches: [Match::sample()].into(), seconds: None };
    let mut group = c.benchmark_group("region/encode/movers-1000x60-raw");
    group.sample_size(20);
    for scene in scenes("movers-1000x60-raw", &inputs) {
        let mut world = settled(&scene, true);
        world.gorc.take_stats();
        world.run(1);
        let updates = world.gorc.take_stats().updates;
        group.throughput(Throughput::Elements(updates));
        group.bench_function(BenchmarkId::from_parameter(1000), |b| {
            b.iter_custom(|count| steps(&mut world, count));
        });
    }
    group.finish();
}

/// A receiver that does nothing with what it reads.
#[derive(Default)]
struct Deaf(u64);

impl Visitor for Deaf {
    fn reset(&mut self) {}
    fn enter(&mut self, enter: Enter<'_>) {
        black_box(enter);
    }
    fn update(&mut self, update: Update<'_>) {
        self.0 += 1;
        black_box(update);
    }
    fn leave(&mut self, entity: EntityId, reason: LeaveReason) {
        black_box((entity, reason));
    }
}

/// Reading, by updates: the frames of one client from the first on.
fn decode(c: &mut Criterion) {
    let inputs = Inputs { matches: [Match::sample()].into(), seconds: None };
    let mut group = c.benchmark_group("region/decode");
    for name in ["movers-1000x60-raw", "pikko-1000-walk"] {
        for scene in scenes(name, &inputs) {
            let mut world = World::new(&scene, &scene.eyes[..1]);
            let mut frames: Vec<(Tick, Vec<u8>)> = Vec::new();
            for _ in 0..SETTLED + 60 {
                world.advance();
                let mut body = Vec::new();
                world.replicate(&mut |_, bytes| body.extend_from_slice(bytes));
                frames.push((world.tick(), body));
            }
            let read = |decoder: &mut Decoder, deaf: &mut Deaf, frames: &[(Tick, Vec<u8>)]| {
                for (tick, body) in frames {
                    decoder.decode(body, *tick, deaf).expect("it was written by gorc");
                }
            };
            let (mut ready, mut deaf) = (Decoder::new(), Deaf::default());
            read(&mut ready, &mut deaf, &frames[..SETTLED]);
            let mut counted = Deaf::default();
            read(&mut ready.clone(), &mut counted, &frames[SETTLED..]);
            group.throughput(Throughput::Elements(counted.0));
            group.bench_function(BenchmarkId::new(name, counted.0), |b| {
                b.iter_batched(
                    || ready.clone(),
                    |mut decoder| read(&mut decoder, &mut deaf, &frames[SETTLED..]),
                    BatchSize::SmallInput,
                );
            });
        }
    }
    group.finish();
}

criterion_group!(benches, step, diff, schedule, encode, decode);
criterion_main!(benches);
