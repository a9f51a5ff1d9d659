//! Runs simulated worlds, seed after seed, and says what broke.

use std::io::Write;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use horizon_sim::{Broken, Campaign, Outcome, campaign};

/// Simulates whole worlds with faults, one for each seed.
#[derive(Debug, Parser)]
#[command(name = "sim")]
struct Arguments {
    /// How many seeds
    #[arg(long, default_value_t = 20)]
    seeds: u64,
    /// The first of them
    #[arg(long, default_value_t = 1)]
    first: u64,
    /// This seed only
    #[arg(long)]
    seed: Option<u64>,
    /// One JSON object on standard output
    #[arg(long)]
    json: bool,
    /// Threads
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Begin no new seed after this many minutes
    #[arg(long)]
    minutes: Option<u64>,
    /// Without this guard; some names need the feature `mutants`
    #[arg(long)]
    mutant: Option<String>,
    /// Some of the players ride a vehicle
    #[arg(long)]
    riders: bool,
    /// Say what happens
    #[arg(long)]
    trace: bool,
    /// Folder with the libraries of the plugins
    #[arg(long)]
    plugins: PathBuf,
    /// Failing seeds are added to this file
    #[arg(long)]
    keep: Option<PathBuf>,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let broken = match arguments.mutant.as_deref().map(|name| (name, Broken::named(name))) {
        None => None,
        Some((_, Some(broken))) if broken.is_possible() => Some(broken),
        Some((name, known)) => {
            let names: Vec<&str> = Broken::ALL.iter().map(|(name, _)| *name).collect();
            let why = if known.is_some() { "needs a build with the feature `mutants`" } else { "is unknown" };
            eprintln!("--mutant {name} {why}; there are {}", names.join(", "));
            return ExitCode::from(64);
        }
    };
    let (first, count) = arguments.seed.map_or((arguments.first, arguments.seeds), |seed| (seed, 1));
    let what = Campaign {
        seeds: (first..first + count).collect(),
        jobs: arguments.jobs.max(1),
        within: arguments.minutes.map(|minutes| Duration::from_secs(60 * minutes)),
        plugins: arguments.plugins.clone(),
        riders: arguments.riders,
        broken,
        trace: arguments.trace,
    };
    let summary = match campaign(&what, |outcome| tell(&arguments, outcome)) {
        Ok(summary) => summary,
        Err(error) => {
            eprintln!("a temporary folder could not be written: {error}; make room for it");
            return ExitCode::FAILURE;
        }
    };
    if arguments.json {
        println!("{}", serde_json::to_string(&summary).expect("plain data"));
    } else {
        println!("{}", serde_json::to_string_pretty(&summary).expect("plain data"));
    }
    if summary.violations == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// One line per seed, and its place in the file of those that failed.
fn tell(arguments: &Arguments, outcome: &Outcome) {
    let Outcome { seed, profile, handoffs, fingerprint, .. } = outcome;
    let violations = outcome.violations();
    eprintln!(
        "SEED={seed} OPTIONS=\"{profile}\" handoffs={handoffs} violations={violations} trace={fingerprint:016x}"
    );
    for words in outcome.sentences().take(8) {
        eprintln!("  {words}");
    }
    if violations > 0
        && let Some(path) = arguments.keep.as_ref().filter(|_| arguments.mutant.is_none())
    {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(path);
        if let Err(error) = file.and_then(|mut file| writeln!(file, "{seed}")) {
            eprintln!("{}: {error}; write down seed {seed} yourself", path.display());
        }
    }
}
