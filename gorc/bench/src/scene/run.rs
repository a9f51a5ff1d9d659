//! Runs a scene and counts.

use gorc::DecodeError;
use horizon_model::Tick;

use super::{Scene, World};
use crate::client::{Client, Told};
use crate::clock::percentile;
use crate::gauge::{Classes, Eye, Found, Gauge};
use crate::index;
use crate::movement::History;
use crate::outcome::{Outcome, rounded, wire};

/// Steps over which encoding is told from the rest, at most.
const SPLIT_STEPS: usize = 150;

/// After this long nothing is told any more of what has stopped.
const SECONDS_TO_REST: f64 = 4.0;

/// A client could not read what it was sent: gorc or this program is broken.
#[derive(Debug, thiserror::Error)]
#[error("scene {scene}, frame of tick {tick:?}: {error}")]
pub struct RunError {
    /// In which scene.
    pub scene: String,
    /// In which frame.
    pub tick: Tick,
    /// What is wrong with it.
    pub error: DecodeError,
}

/// What a scene cost and what its clients saw.
#[derive(Debug, Default)]
pub struct Run {
    /// Processor milliseconds of each step.
    pub cpu_ms: Vec<f64>,
    /// Updates told in each step, to all observers.
    pub updates: Vec<u64>,
    /// Bytes of all bodies.
    pub bytes: u64,
    /// The same on the wire.
    pub wire_bytes: u64,
    /// The largest body.
    pub largest_body: u64,
    /// Allocations in all steps.
    pub allocations: u64,
    /// What all tracked clients read.
    pub told: Told,
    /// Flips of all tracked clients, and the most of one pair in one second.
    pub flips: (u64, u32),
    /// Most bytes that one tracked client got in one second.
    pub busiest_second: u64,
    /// What tracked clients saw.
    pub found: Found,
    /// Where all objects were at the end, in metres; those that exist.
    pub places: Vec<[f64; 3]>,
}

/// A run with its scene.
pub struct Measured {
    /// What was run.
    pub scene: Scene,
    /// What came of it.
    pub run: Run,
}

/// Runs a scene; twice where encoding is told from the rest.
///
/// # Errors
///
/// [`RunError`].
pub fn run(scene: Scene) -> Result<(Outcome, Measured), RunError> {
    let run = once(&scene)?;
    let mut outcome = outcome(&scene, &run);
    if scene.splits_encoding {
        outcome = split(&scene, &run, outcome);
    }
    Ok((outcome, Measured { scene, run }))
}

fn once(scene: &Scene) -> Result<Run, RunError> {
    let mut world = World::new(scene, &scene.eyes);
    let objects = world.truths().len();
    let mut history = History::new(world.step_ticks());
    let mut followed = Followed::new(scene, objects);
    let mut run = Run::default();
    let (warm_up, steps) = (scene.steps(scene.warm_up_seconds), scene.steps(scene.seconds));
    for step in 0..warm_up + steps {
        let counts = step >= warm_up;
        if step == warm_up {
            followed.count_anew(&world);
        }
        world.advance();
        let (mut bytes, mut on_wire, mut largest) = (0, 0, 0);
        let cost = world.replicate(&mut |number, body| {
            let length = body.len() as u64;
            bytes += length;
            on_wire += wire::bytes(length);
            largest = largest.max(length);
            followed.hear(number, body);
        });
        let told = world.gorc.take_stats();
        history.push(world.tick().0, world.truths());
        followed.read(world.tick()).map_err(|(tick, error)| RunError {
            scene: scene.name.clone(),
            tick,
            error,
        })?;
        if counts {
            run.cpu_ms.push(cost.time.as_secs_f64() * 1000.0);
            run.allocations += cost.allocations;
            run.updates.push(told.updates);
            run.bytes += bytes;
            run.wire_bytes += on_wire;
            run.largest_body = run.largest_body.max(largest);
            followed.look(world.tick(), &history);
        }
    }
    followed.finish(&world, &mut run);
    run.places = world.truths().iter().filter(|truth| truth.present).map(|truth| truth.metres).collect();
    Ok(run)
}

/// The observers that are followed picture by picture.
struct Followed<'a> {
    scene: &'a Scene,
    /// By number of the observer: which gauge, if any.
    gauge_of: Vec<Option<usize>>,
    gauges: Vec<Gauge>,
    bodies: Vec<Vec<u8>>,
    /// Bytes of each in the current second, which began at a tick.
    second: Vec<u64>,
    second_from: u64,
    busiest_second: u64,
    recorded_from: Vec<u64>,
    found: Found,
    reach: f64,
    near_delay: u64,
}

impl<'a> Followed<'a> {
    fn new(scene: &'a Scene, objects: usize) -> Self {
        let count = scene.tracked.min(scene.eyes.len());
        let mut gauge_of = vec![None; scene.eyes.len()];
        let gauges: Vec<Gauge> = (0..count)
            .map(|number| {
                let observer = number * scene.eyes.len() / count;
                gauge_of[observer] = Some(number);
                Gauge::new(Client::new(&scene.channels, scene.rate(), objects), scene.eyes[observer], objects)
            })
            .collect();
        let outermost = &scene.channels[3];
        Self {
            scene,
            gauge_of,
            bodies: vec![Vec::new(); gauges.len()],
            second: vec![0; gauges.len()],
            second_from: 0,
            busiest_second: 0,
            recorded_from: Vec::new(),
            found: Found::default(),
            // A cap promises nothing to those beyond it.
            reach: if outermost.nearest == 0 { outermost.radius_metres } else { 0.0 },
            near_delay: near_delay(scene),
            gauges,
        }
    }

    fn hear(&mut self, observer: usize, body: &[u8]) {
        if let Some(gauge) = self.gauge_of[observer] {
            self.bodies[gauge].extend_from_slice(body);
        }
    }

    fn read(&mut self, tick: Tick) -> Result<(), (Tick, DecodeError)> {
        if tick.0 >= self.second_from + 60 {
            self.second_from = tick.0;
            self.second.fill(0);
        }
        for ((gauge, body), second) in self.gauges.iter_mut().zip(&mut self.bodies).zip(&mut self.second) {
            gauge.client.take(tick, body).map_err(|error| (tick, error))?;
            *second += body.len() as u64;
            self.busiest_second = self.busiest_second.max(*second);
            body.clear();
        }
        Ok(())
    }

    fn look(&mut self, tick: Tick, history: &History) {
        let Self { gauges, scene, reach, near_delay, found, .. } = self;
        for gauge in gauges {
            gauge.measure(tick, history, scene.classes, *reach, *near_delay, found);
        }
    }

    fn count_anew(&mut self, world: &World) {
        self.busiest_second = 0;
        self.second_from = 0;
        self.found = Found::default();
        for gauge in &mut self.gauges {
            gauge.client.count_anew();
        }
        self.recorded_from = (0..world.truths().len()).map(|object| world.recorded(object)).collect();
    }

    fn finish(mut self, world: &World, run: &mut Run) {
        for gauge in &self.gauges {
            let told = gauge.client.told();
            run.told.bytes += told.bytes;
            run.told.frames += told.frames;
            run.told.enters += told.enters;
            run.told.repeated_enters += told.repeated_enters;
            run.told.updates += told.updates;
            run.told.leaves += told.leaves;
            run.told.strays += told.strays;
            let (flips, worst) = gauge.client.flips();
            run.flips = (run.flips.0 + flips, run.flips.1.max(worst));
            let held = (0..world.truths().len()).filter(|object| gauge.client.channel(*object).is_some());
            let passed = |object: usize| world.recorded(object) - self.recorded_from[object];
            self.found.recorded += held.map(passed).sum::<u64>();
        }
        run.busiest_second = self.busiest_second;
        run.found = self.found;
    }
}

/// How far behind the nearest are drawn.
fn near_delay(scene: &Scene) -> u64 {
    match scene.classes {
        Classes::Metres(_) => 0,
        Classes::Nearest { channel, .. } => scene.channels[channel].delay_ticks(scene.rate()),
    }
}

fn outcome(scene: &Scene, run: &Run) -> Outcome {
    let players = scene.eyes.len();
    let steps = run.cpu_ms.len() as f64;
    let client_seconds = players as f64 * steps / scene.hz as f64;
    let mean_ms = run.cpu_ms.iter().sum::<f64>() / steps;
    let mut outcome = Outcome {
        scene: scene.name.clone(),
        isa: scene.isa.name(),
        players,
        objects: run.places.len(),
        hz: scene.hz,
        cpu_ms_per_tick_p50: percentile(&run.cpu_ms, 0.5),
        cpu_ms_per_tick_p99: percentile(&run.cpu_ms, 0.99),
        us_per_player_tick: Some(mean_ms * 1000.0 / players as f64),
        payload_bytes_per_client_s: Some(run.bytes as f64 / client_seconds),
        wire_bytes_per_client_s: Some(run.wire_bytes as f64 / client_seconds),
        allocations_per_tick: Some(run.allocations as f64 / steps),
        ..Outcome::default()
    };
    let radii = scene.channels.map(|channel| channel.radius_metres as f32);
    let eyes = scene.eyes.iter().filter_map(|eye| match eye {
        Eye::Object(object) => run.places.get(*object).copied(),
        Eye::Place(metres) => Some(*metres),
    });
    outcome.query_ns = index::scene_query_ns(&run.places, &eyes.collect::<Vec<_>>(), &radii, scene.isa);
    if run.told.frames == 0 {
        return outcome;
    }
    if run.told.updates > 0 {
        outcome.bytes_per_update = Some(run.told.bytes as f64 / run.told.updates as f64);
    }
    let [near, mid, far] = &run.found.errors;
    outcome.error_near_p99_m = near.percentile(0.99);
    outcome.error_far_p99_m = far.percentile(0.99);
    outcome.oldest_update_s_max = Some(run.found.untold_ticks as f64 / 60.0);
    let tracked = run.told.frames as f64 / steps;
    let seconds = steps / scene.hz as f64;
    let clients_seconds = tracked * seconds;
    outcome = outcome
        .with("mean_held", (run.found.drawn as f64 / run.found.looks.max(1) as f64 * 10.0).round() / 10.0)
        .with("updates_per_client_s", (run.told.updates as f64 / clients_seconds).round())
        .with("enters_per_client_s", (run.told.enters as f64 / clients_seconds * 10.0).round() / 10.0)
        .with("error_near_max_m", near.max())
        .with("error_far_max_m", far.max())
        .with("flips_per_pair_s_max", run.flips.1);
    if mid.total() > 0 {
        outcome = outcome.with("error_mid_p99_m", mid.percentile(0.99)).with("error_mid_max_m", mid.max());
    }
    if run.told.strays + run.told.repeated_enters > 0 {
        outcome = outcome.with("strays", run.told.strays).with("repeated_enters", run.told.repeated_enters);
    }
    if scene.budget_bytes.is_some() {
        outcome = outcome
            .with("largest_body_bytes", run.largest_body)
            .with("busiest_second_bytes", run.busiest_second);
    }
    outcome
}

/// Splits the cost of a step: what objects cost that nobody looks at, what looking costs when nothing
/// moves, and the rest, which is what telling costs.
fn split(scene: &Scene, run: &Run, outcome: Outcome) -> Outcome {
    let steps = run.cpu_ms.len().min(SPLIT_STEPS);
    let cost = |eyes: &[Eye], freezes: bool| {
        let mut world = World::new(scene, eyes);
        world.run(scene.steps(scene.warm_up_seconds));
        if freezes {
            world.freeze();
            world.run(scene.steps(SECONDS_TO_REST));
        }
        world.run(steps).time.as_secs_f64() * 1000.0 / steps as f64
    };
    let objects_ms = cost(&[], false);
    let looking_ms = cost(&scene.eyes, true) - cost(&[], true);
    let telling_ms = run.cpu_ms[..steps].iter().sum::<f64>() / steps as f64 - objects_ms - looking_ms;
    let updates = run.updates[..steps].iter().sum::<u64>() as f64 / steps as f64;
    let telling_ns = (updates > 0.0 && telling_ms > 0.0).then(|| telling_ms * 1e6 / updates);
    Outcome { encode_ns_per_update: telling_ns, ..outcome }
        .with("ms_objects", rounded(Some(objects_ms), 4))
        .with("ms_looking", rounded(Some(looking_ms), 4))
        .with("ms_telling", rounded(Some(telling_ms), 4))
}
