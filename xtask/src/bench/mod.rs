//! `cargo xtask bench`: measurements on real processes, and of gorc by itself. Progress goes to standard error,
//! and exactly one JSON object to standard output; of gorc, an array or a table.

mod borders;
mod clocks;
mod crossings;
mod crowd;
mod gorc;
mod idle;
mod kill_edge;
mod kill_region;
mod numbers;
mod pools;
mod predict;
mod storm;

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::Value;
use tempfile::TempDir;

use self::crowd::CrowdOptions;
use crate::cargo::{self, Built, Profile};
use crate::failure::Outcome;
use crate::layout::{self, Drill, Plan, Ports};
use crate::redis::Store;
use crate::signals::Signals;
use crate::tree::Tree;

/// What is measured.
#[derive(Debug, Subcommand)]
pub(crate) enum What {
    /// Recorded matches with region borders through their pitches
    Crossings(CrossingsOptions),
    /// A thousand players handed over at once
    Storm(StormOptions),
    /// A world with nobody in it, then with 300 walkers
    Idle(IdleOptions),
    /// A region server with hundreds of players on it ends, or hangs: when is play back?
    KillRegion(KillRegionOptions),
    /// One of two edges ends, or both are restarted one after the other: when do their players play on?
    KillEdge(KillEdgeOptions),
    /// Region servers from the pool: until one serves, ready and cold, and until one has taken over for another
    Pools(PoolsOptions),
    /// Fights, pickups, trades and rides across borders and where four regions meet, also while region servers are killed
    Borders(borders::BordersOptions),
    /// Crossings between region servers whose clocks are off, drift, are stepped or hear the time late
    Clocks(ClocksOptions),
    /// How well border crossings are foreseen, on recorded and drawn movement
    Predict(PredictOptions),
    /// What replication costs by itself, and how exact its pictures are: one row for each scene
    Gorc(GorcOptions),
}

/// Which scenes of gorc, and what besides.
#[derive(Debug, Args)]
pub(crate) struct GorcOptions {
    /// Print a JSON array in place of a table
    #[arg(long)]
    json: bool,
    /// Only this scene
    #[arg(long)]
    scene: Option<String>,
    /// Count this long in each scene, in place of its own time
    #[arg(long)]
    seconds: Option<u32>,
    /// Run other libraries on the same movement, too
    #[arg(long)]
    peers: bool,
    /// Draw how cost grows, into this SVG file; without --scene, nothing else
    #[arg(long)]
    plot: Option<PathBuf>,
    /// Folder of recorded matches; without one, a match that comes with the repository
    #[arg(long)]
    traces: Option<PathBuf>,
}

/// Which movement is foreseen.
#[derive(Debug, Args)]
pub(crate) struct PredictOptions {
    /// Print JSON in place of a table
    #[arg(long)]
    json: bool,
    /// Folder of recorded matches; without one, a match that comes with the repository
    #[arg(long)]
    traces: Option<PathBuf>,
    /// Copies begin so many seconds ahead, as prepare_within_ms in [director] says
    #[arg(long)]
    seconds_ahead: Option<f64>,
    /// Draw hits against waste for the matches, into this SVG file
    #[arg(long)]
    plot: Option<PathBuf>,
}

/// How borders are crossed.
#[derive(Debug, Args)]
pub(crate) struct CrossingsOptions {
    /// Print JSON; there is no other form
    #[arg(long)]
    json: bool,
    /// Folder of recorded matches; without one, a match that comes with the repository
    #[arg(long)]
    traces: Option<PathBuf>,
    /// Matches side by side, each around an inner corner of the grid of regions
    #[arg(long, default_value_t = 4, value_parser = clap::value_parser!(u32).range(1..=64))]
    pitches: u32,
    /// Play this long
    #[arg(long, default_value_t = 240, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Steps per second
    #[arg(long, default_value_t = 30, value_parser = layout::parse_hz)]
    hz: u32,
    /// Everybody carries so many bytes, of which one entry changes every second
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=17_000))]
    inventory: u32,
    /// Bodies that respawn stay one player, who jumps; otherwise a new player joins
    #[arg(long)]
    respawns: bool,
    /// Where state is kept
    #[arg(long, default_value = "sqlite")]
    store: Store,
    /// Leave data and logs in this folder
    #[arg(long)]
    data: Option<PathBuf>,
}

/// How many cross at once, and with what.
#[derive(Debug, Args)]
pub(crate) struct StormOptions {
    /// Print JSON; there is no other form
    #[arg(long)]
    json: bool,
    /// Players who cross in one tick
    #[arg(long, default_value_t = 1000, value_parser = parse_players)]
    players: usize,
    /// Bytes of each player's capsule, about
    #[arg(long, default_value_t = 4096, value_parser = parse_capsule)]
    capsule: usize,
    /// Storms, to and fro
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Steps per second
    #[arg(long, default_value_t = 30, value_parser = layout::parse_hz)]
    hz: u32,
    /// Where state is kept
    #[arg(long, default_value = "sqlite")]
    store: Store,
    /// Leave data and logs in this folder
    #[arg(long)]
    data: Option<PathBuf>,
}

/// A region takes a thousand copies at a time.
fn parse_players(text: &str) -> Result<usize, String> {
    let players = text.parse().ok().filter(|players| (1..=1000).contains(players));
    players.ok_or_else(|| "between 1 and 1000 players cross at once".to_owned())
}

/// Components of one entity are at most 20 KiB together.
fn parse_capsule(text: &str) -> Result<usize, String> {
    let bytes = text.parse().ok().filter(|bytes| (1024..=18_432).contains(bytes));
    bytes.ok_or_else(|| "a capsule of a measurement has between 1024 and 18432 bytes".to_owned())
}

/// What a world costs that nobody uses.
#[derive(Debug, Args)]
pub(crate) struct IdleOptions {
    /// Print JSON; there is no other form
    #[arg(long)]
    json: bool,
    /// Walkers of the second half
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=4000))]
    bots: u64,
    /// How long each half is measured
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3600))]
    seconds: u64,
    /// Where state is kept
    #[arg(long, default_value = "sqlite")]
    store: Store,
}

/// How a region is lost.
#[derive(Debug, Args)]
pub(crate) struct KillRegionOptions {
    /// Print JSON; there is no other form
    #[arg(long)]
    json: bool,
    /// Its process is killed; stopped, so that nobody sees it end; or cut off from everybody but the store (as
    /// root, by nft). The last two are undone when play is back
    #[arg(long, default_value = "kill", value_parser = ["kill", "stop", "cut"])]
    how: String,
    #[command(flatten)]
    crowd: CrowdOptions,
    /// So often in a row, each time the worker that took over before
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
}

/// How an edge is lost.
#[derive(Debug, Args)]
pub(crate) struct KillEdgeOptions {
    /// Print JSON; there is no other form
    #[arg(long)]
    json: bool,
    /// One edge is killed; or both are restarted in order, one after the other
    #[arg(long, default_value = "kill", value_parser = ["kill", "rolling"])]
    how: String,
    /// The one that directs, or the one that follows; restarts begin with it
    #[arg(long, default_value = "directing", value_parser = ["directing", "following"])]
    which: String,
    #[command(flatten)]
    crowd: CrowdOptions,
}

/// How region servers are placed, started and relieved.
#[derive(Debug, Args)]
pub(crate) struct PoolsOptions {
    /// Print JSON; there is no other form
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    crowd: CrowdOptions,
    /// A region is started cold, and one is evacuated, so often in a row
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    runs: u32,
    /// Things in the region that is started cold
    #[arg(long, default_value_t = 10_000)]
    objects: usize,
}

/// How wrong clocks are watched.
#[derive(Debug, Args)]
pub(crate) struct ClocksOptions {
    /// Print JSON; there is no other form
    #[arg(long)]
    json: bool,
    /// One row and one control without optimisation, on a machine that is busy: one picture in a hundred may be wrong
    #[arg(long)]
    quick: bool,
    /// Play each row this long
    #[arg(long, default_value_t = 12, value_parser = clap::value_parser!(u64).range(4..=3600))]
    seconds: u64,
    /// Runners in each row
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=40))]
    runners: u64,
    /// Only rows whose name begins so, such as "step 30/60"
    #[arg(long)]
    only: Option<String>,
    /// Leave configurations and logs in this folder
    #[arg(long)]
    data: Option<PathBuf>,
}

/// Measures, and prints what was found. Where that breaks a promise the status is 1.
pub(crate) async fn run(what: What) -> Outcome<()> {
    let mut signals = Signals::new()?;
    let measured = async {
        match what {
            What::Crossings(options) => {
                crossings::measure(&cargo::build(Profile::Release)?, &options).await.map(Some)
            }
            What::Storm(options) => {
                storm::measure(&cargo::build(Profile::Release)?, &options).await.map(Some)
            }
            What::Idle(options) => idle::measure(&cargo::build(Profile::Release)?, &options).await.map(Some),
            What::KillRegion(options) => {
                kill_region::measure(&cargo::build(Profile::Release)?, &options).await.map(Some)
            }
            What::KillEdge(options) => {
                kill_edge::measure(&cargo::build(Profile::Release)?, &options).await.map(Some)
            }
            What::Pools(options) => {
                pools::measure(&cargo::build(Profile::Release)?, &options).await.map(Some)
            }
            What::Borders(options) => {
                borders::measure(&cargo::build(Profile::Release)?, &options).await.map(Some)
            }
            What::Clocks(options) => {
                let profile = if options.quick { Profile::Dev } else { Profile::Release };
                let built = cargo::build(profile)?;
                cargo::build_faulty(profile, &["faulty-region-server"])?;
                clocks::measure(&built, &options).await.map(Some)
            }
            What::Predict(options) => predict::measure(&options).map(|()| None),
            What::Gorc(options) => gorc::measure(&options).map(|()| None),
        }
    };
    let found = tokio::select! {
        found = measured => found?,
        () = signals.heard() => return Err("interrupted; everything was killed".to_owned().into()),
    };
    if let Some(found) = found {
        println!("{found}");
        if found["broken"].as_array().is_some_and(|broken| !broken.is_empty()) {
            return Err(format!("promises are broken: {}", found["broken"]).into());
        }
    }
    Ok(())
}

/// A fresh world in a folder of its own, which is removed with it.
struct Arena {
    tree: Tree,
    plan: Plan,
    folder: Folder,
}

enum Folder {
    Temporary(TempDir),
    Kept(PathBuf),
}

impl Arena {
    async fn start(
        built: &Built,
        pitches: u32,
        hz: u32,
        traces: Option<PathBuf>,
        kept: Option<PathBuf>,
        store: Store,
    ) -> Outcome<Self> {
        Self::start_drilled(built, pitches, hz, Drill::default(), traces, kept, store).await
    }

    async fn start_drilled(
        built: &Built,
        pitches: u32,
        hz: u32,
        drill: Drill,
        traces: Option<PathBuf>,
        kept: Option<PathBuf>,
        store: Store,
    ) -> Outcome<Self> {
        // Two regions with nobody in one of them stay two regions.
        let grace = if drill.march_players > 0 { 3600 } else { 3 };
        let plan = Plan {
            pitches,
            hz,
            ports: Ports::free()?,
            second_edge: None,
            grace_seconds: Some(grace),
            store,
            warm_workers: None,
            drill,
            region_metres: layout::REGION_METRES,
            one_region: false,
        };
        Self::with_plan(built, plan, traces, kept).await
    }

    async fn with_plan(
        built: &Built,
        plan: Plan,
        traces: Option<PathBuf>,
        kept: Option<PathBuf>,
    ) -> Outcome<Self> {
        let folder = match kept {
            Some(path) => {
                Folder::Kept(std::path::absolute(path).map_err(|error| format!("--data: {error}"))?)
            }
            None => {
                Folder::Temporary(TempDir::new().map_err(|error| format!("no temporary folder: {error}"))?)
            }
        };
        let file = layout::prepare(folder.path(), &plan, traces.as_deref(), built)?;
        let tree = Tree::start_with(built, file, plan.second_edge).await?;
        eprintln!("running: {}", tree.configuration().page());
        Ok(Self { tree, plan, folder })
    }

    /// Ends everything and tells what had to be forced.
    async fn stop(self, load: Option<&mut crate::load::Load>) {
        for sentence in self.tree.stop(load).await {
            eprintln!("{sentence}");
        }
        if let Folder::Kept(path) = self.folder {
            eprintln!("data and logs: {}", path.display());
        }
    }

    async fn status(&self) -> Value {
        crate::http::json(self.tree.configuration().admin, "/api/status").await.unwrap_or(Value::Null)
    }
}

impl Folder {
    fn path(&self) -> &std::path::Path {
        match self {
            Self::Temporary(folder) => folder.path(),
            Self::Kept(path) => path,
        }
    }
}
