//! Many seeds, on as many threads as are wished, and what came of them together.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use horizon_history::Report;
use horizon_load::trace::Match;
use serde::Serialize;

use crate::options::{Broken, Options};
use crate::run::{Outcome, run};

/// What is run.
#[derive(Debug, Clone)]
pub struct Campaign {
    /// The seeds, in this order.
    pub seeds: Vec<u64>,
    /// Threads.
    pub jobs: usize,
    /// No new seed begins after this time.
    pub within: Option<Duration>,
    /// Folder with the libraries of the plugins.
    pub plugins: PathBuf,
    /// Some of the players ride a vehicle; needs the plugin `vehicles`.
    pub riders: bool,
    /// The guard that is missing.
    pub broken: Option<Broken>,
    /// Says on standard error what happens.
    pub trace: bool,
}

/// What came of it.
#[derive(Debug, Default, Serialize)]
pub struct Summary {
    /// Moves of authority that the store has written.
    pub handoffs: u64,
    /// Arrivals of a vehicle, as its riders were told of them.
    pub rides: u64,
    /// Seeds that were run.
    pub seeds: u64,
    /// The lowest of them.
    pub first_seed: u64,
    /// The highest of them.
    pub last_seed: u64,
    /// Faults by kind.
    pub faults: BTreeMap<&'static str, u64>,
    /// Everything that must not be.
    pub violations: u64,
    /// The same by invariant or promise.
    pub violations_by_invariant: BTreeMap<String, u64>,
    /// Seeds with violations.
    pub failing_seeds: Vec<u64>,
    /// The first violations in words.
    pub sentences: Vec<String>,
    /// Per second of wall time.
    pub seeds_per_s: f64,
    /// Per second of wall time.
    pub handoffs_per_s: f64,
    /// Missing ticks before a frame, faults included, that 99 of 100 frames stay at or below.
    pub stall_ticks_p99: u64,
    /// The same over frames that no fault explains.
    pub calm_stall_ticks_p99: u64,
    /// The longest of these, in ticks.
    pub calm_stall_ticks_max: u64,
    /// Virtual seconds.
    pub virtual_s: f64,
    /// Wall seconds.
    pub wall_s: f64,
    /// What ran it.
    pub machine: String,
    #[serde(skip)]
    gaps: Report,
}

/// Sentences in a summary, and of one seed.
const MAX_SENTENCES: usize = 20;
const MAX_SENTENCES_OF_SEED: usize = 5;

impl Summary {
    fn add(&mut self, outcome: &Outcome) {
        self.handoffs += outcome.handoffs;
        self.rides += outcome.rides;
        self.seeds += 1;
        self.first_seed = if self.seeds == 1 { outcome.seed } else { self.first_seed.min(outcome.seed) };
        self.last_seed = self.last_seed.max(outcome.seed);
        self.virtual_s += outcome.lasted.as_secs_f64();
        for (kind, count) in &outcome.faults {
            *self.faults.entry(kind).or_default() += count;
        }
        for (gap, count) in &outcome.report.gaps {
            *self.gaps.gaps.entry(*gap).or_default() += count;
        }
        for (gap, count) in &outcome.report.excused_gaps {
            *self.gaps.excused_gaps.entry(*gap).or_default() += count;
        }
        if outcome.violations() == 0 {
            return;
        }
        self.failing_seeds.push(outcome.seed);
        self.violations += outcome.violations();
        for (invariant, count) in &outcome.report.by_invariant {
            *self.violations_by_invariant.entry(invariant.name().to_owned()).or_default() += count;
        }
        for (promise, _) in &outcome.broken {
            *self.violations_by_invariant.entry((*promise).to_owned()).or_default() += 1;
        }
        let room = MAX_SENTENCES.saturating_sub(self.sentences.len()).min(MAX_SENTENCES_OF_SEED);
        self.sentences
            .extend(outcome.sentences().take(room).map(|words| format!("seed {}, {words}", outcome.seed)));
    }
}

/// The recording of the ball, written where the plugin can read it.
fn ball(folder: &Path) -> std::io::Result<PathBuf> {
    let recording = Match::sample();
    let mut rows = String::from("t_ms,id,x,y,z,yaw,vx,vy,vz\n");
    for track in recording.tracks.iter().filter(|track| track.body == 0) {
        for sample in &track.samples {
            let ([x, y, z], [vx, vy, vz]) = (sample.position, sample.velocity);
            rows += &format!("{},0,{x},{y},{z},{},{vx},{vy},{vz}\n", sample.at.as_millis(), sample.yaw);
        }
    }
    let path = folder.join("ball.csv");
    std::fs::write(&path, rows)?;
    Ok(path)
}

/// Runs the seeds; `each` hears of every one when it has ended.
///
/// # Errors
///
/// Where a temporary folder cannot be written; make room for it.
///
/// # Panics
///
/// Where a world does: its seed was said before.
pub fn campaign(campaign: &Campaign, each: impl Fn(&Outcome) + Sync) -> std::io::Result<Summary> {
    let folder = tempfile::tempdir()?;
    let ball = ball(folder.path())?;
    let summary = Mutex::new(Summary::default());
    let (next, over) = (AtomicU64::new(0), AtomicBool::new(false));
    let began = Instant::now();
    let work = || {
        loop {
            let place = next.fetch_add(1, Ordering::Relaxed) as usize;
            let late = campaign.within.is_some_and(|within| began.elapsed() > within);
            let Some(seed) =
                campaign.seeds.get(place).copied().filter(|_| !late && !over.load(Ordering::Relaxed))
            else {
                return;
            };
            let options = Options {
                seed,
                plugins: campaign.plugins.clone(),
                ball: Some(ball.clone()),
                riders: campaign.riders,
                broken: campaign.broken,
                trace: campaign.trace,
            };
            let outcome = run(options);
            each(&outcome);
            // One failing seed is enough where a guard is missing on purpose.
            if campaign.broken.is_some() && outcome.violations() > 0 {
                over.store(true, Ordering::Relaxed);
            }
            summary.lock().expect("nobody panics holding it").add(&outcome);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..campaign.jobs {
            scope.spawn(work);
        }
        work();
    });
    let mut summary = summary.into_inner().expect("nobody panics holding it");
    summary.failing_seeds.sort_unstable();
    let wall = began.elapsed().as_secs_f64();
    summary.wall_s = wall;
    summary.seeds_per_s = summary.seeds as f64 / wall;
    summary.handoffs_per_s = summary.handoffs as f64 / wall;
    summary.stall_ticks_p99 = summary.gaps.stall_percentile(99.0);
    summary.calm_stall_ticks_p99 = summary.gaps.gap_percentile(99.0);
    summary.calm_stall_ticks_max = summary.gaps.gap_percentile(100.0);
    summary.machine = machine();
    Ok(summary)
}

/// Processor and number of threads, as the system tells.
fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = text.lines().find_map(|line| Some(line.strip_prefix("model name")?.split_once(": ")?.1));
    format!("{cores} threads, {}", model.unwrap_or("unknown processor"))
}
