//! `cargo xtask sim`: whole worlds on virtual time, one for each seed.

use clap::Args;

use crate::cargo;
use crate::failure::{Failure, Outcome};

/// Failing seeds are kept here, and run again by the tests for ever.
const KEPT: &str = "tests/sim/seeds.txt";
/// And of worlds with riders here.
const KEPT_WITH_RIDERS: &str = "tests/sim/seeds-riders.txt";
/// What simulated worlds are made of beside the simulation itself.
const PACKAGES: [&str; 7] = [
    "horizon-sim",
    "horizon-plugin-chat",
    "horizon-plugin-ledger",
    "horizon-plugin-movement",
    "horizon-plugin-replay",
    "horizon-plugin-tokens",
    "horizon-plugin-vehicles",
];

/// Which worlds.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// How many seeds
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// This seed only
    #[arg(long)]
    seed: Option<u64>,
    /// One JSON object on one line
    #[arg(long)]
    json: bool,
    /// Threads
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Begin no new seed after this many minutes
    #[arg(long)]
    minutes: Option<u64>,
    /// Without this guard, to see that its absence is found
    #[arg(long)]
    mutant: Option<String>,
    /// Some of the players ride a vehicle over every border
    #[arg(long)]
    riders: bool,
    /// Say what happens
    #[arg(long)]
    trace: bool,
}

/// Builds the simulation and runs it.
pub(crate) fn sim(options: &Options) -> Outcome<()> {
    let mut build = cargo::command(&["build", "--release"]);
    for package in PACKAGES {
        build.args(["--package", package]);
    }
    if options.mutant.is_some() {
        build.args(["--features", "horizon-sim/mutants"]);
    }
    let status = build.status().map_err(|error| format!("cannot start cargo: {error}"))?;
    if !status.success() {
        let sentence = "the build failed; what the compiler says above has to be mended first";
        return Err(Failure::with_code(sentence, status.code()));
    }
    let built = cargo::target()?.join("release");
    let plugins = tempfile::tempdir().map_err(|error| format!("cannot make a temporary folder: {error}"))?;
    for package in &PACKAGES[1..] {
        let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
        let name = format!("{prefix}{}{suffix}", package.replace('-', "_"));
        std::fs::copy(built.join(&name), plugins.path().join(&name))
            .map_err(|error| format!("cannot copy the plugin {name}: {error}"))?;
    }
    let kept = if options.riders { KEPT_WITH_RIDERS } else { KEPT };
    let mut sim = std::process::Command::new(built.join("sim"));
    sim.arg("--plugins").arg(plugins.path()).arg("--keep").arg(cargo::root().join(kept));
    sim.args(["--seeds", &options.seeds.to_string(), "--first", &options.first.to_string()]);
    sim.args(["--jobs", &options.jobs.to_string()]);
    for (flag, value) in [
        ("--seed", options.seed.map(|seed| seed.to_string())),
        ("--minutes", options.minutes.map(|minutes| minutes.to_string())),
        ("--mutant", options.mutant.clone()),
    ] {
        if let Some(value) = value {
            sim.args([flag, &value]);
        }
    }
    for (flag, is_wanted) in
        [("--json", options.json), ("--riders", options.riders), ("--trace", options.trace)]
    {
        if is_wanted {
            sim.arg(flag);
        }
    }
    let status = sim.status().map_err(|error| format!("cannot start the simulation: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::with_code("a promise was broken; the seeds are above and say it again", status.code()))
}
