//! `gorc-bench`: the scenes of gorc, measured.
//!
//! Figures go to standard output, as a table or as JSON; progress goes to standard error.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use gorc_bench::counting::Counting;
use gorc_bench::movement::{Match, RecordingError};
use gorc_bench::outcome::{Outcome, rounded, table};
use gorc_bench::peers::{self, PeerError};
use gorc_bench::scene::{self, Inputs, Measured, RunError};
use gorc_bench::{index, machine, overload, plot};
use serde_json::{Value, json};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// Measures what gorc costs and how exact its pictures are
#[derive(Debug, Parser)]
#[command(name = "gorc-bench")]
struct Options {
    /// Print a JSON array in place of a table
    #[arg(long)]
    json: bool,
    /// Only this scene
    #[arg(long, value_parser = scene::NAMES)]
    scene: Option<String>,
    /// Count this long in each scene, in place of its own time
    #[arg(long)]
    seconds: Option<f64>,
    /// Folder of recorded matches; without one, a match that comes with the repository
    #[arg(long)]
    traces: Option<PathBuf>,
    /// Nothing but the named scene on a processor that is too slow for it, with and without levels of load
    #[arg(long, requires = "scene")]
    overload: bool,
    /// Run other libraries on the same movement, too
    #[arg(long)]
    peers: bool,
    /// Draw how cost grows, into this SVG file; without --scene, nothing else
    #[arg(long)]
    plot: Option<PathBuf>,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error(transparent)]
    Recording(#[from] RecordingError),
    #[error(transparent)]
    Run(#[from] RunError),
    #[error(transparent)]
    Peer(#[from] PeerError),
    #[error("cannot write {path}: {error}")]
    Write { path: PathBuf, error: std::io::Error },
}

fn main() -> ExitCode {
    match measure(&Options::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn measure(options: &Options) -> Result<(), Failure> {
    let machine = machine::machine();
    eprintln!("{}", machine::line(&machine));
    if let Some(path) = &options.plot {
        let svg = plot::plot(&mut |sentence| eprintln!("{sentence}"))?;
        std::fs::write(path, svg).map_err(|error| Failure::Write { path: path.clone(), error })?;
        if options.scene.is_none() && !options.peers {
            return Ok(());
        }
    }
    let matches = match &options.traces {
        Some(folder) => Match::load_all(folder)?,
        None => vec![Match::sample()],
    };
    let recorded = matches.len();
    let inputs = Inputs { matches: matches.into(), seconds: options.seconds };
    if options.overload {
        let name = options.scene.as_deref().unwrap_or_default();
        for scene in scene::scenes(name, &inputs).iter().take(1) {
            let found = overload::overload(scene, options.seconds.unwrap_or(30.0));
            println!("{}", json!({ "machine": machine, "overload": found }));
        }
        return Ok(());
    }
    let only = options.scene.as_deref().or(options.peers.then_some("movers-1000x60"));
    let mut outcomes = Vec::new();
    for name in scene::NAMES.iter().filter(|name| only.is_none_or(|only| only == **name)) {
        if *name == "crossing" {
            eprintln!("{name}");
            outcomes.push(scene::crossing(name)?);
            continue;
        }
        let first = outcomes.len();
        for scene in scene::scenes(name, &inputs) {
            eprintln!("{name} ({})", scene.isa.name());
            let (outcome, measured) = scene::run(scene)?;
            outcomes.push(extended(outcome, &measured, options.peers)?);
        }
        if *name == "players-10k" {
            compare_indices(&mut outcomes[first..]);
        }
        if name.starts_with("pitches") {
            outcomes[first..].iter_mut().for_each(|outcome| {
                outcome.more.insert("recordings".to_owned(), json!(recorded));
            });
        }
    }
    if options.json {
        let rows = outcomes.iter().map(|outcome| outcome.clone().with("machine", machine.clone()).json());
        let rows: Vec<Value> = rows.collect();
        println!("{}", serde_json::to_string_pretty(&rows).expect("JSON has texts as keys"));
    } else {
        print!("{}", table(&outcomes));
    }
    Ok(())
}

/// What single scenes have to tell beyond the common figures.
fn extended(outcome: Outcome, measured: &Measured, with_peers: bool) -> Result<Outcome, Failure> {
    let Measured { scene, run } = measured;
    match scene.name.as_str() {
        "movers-1000x60" => {
            let bytes = outcome.payload_bytes_per_client_s.map(|bytes| bytes / outcome.hz as f64);
            let outcome = outcome.with("payload_bytes_per_client_tick", rounded(bytes, 1));
            if with_peers {
                let found = peers::compare((scene.moves)().as_mut(), scene.hz, &outcome)?;
                return Ok(outcome.with("peers", found));
            }
            Ok(outcome)
        }
        "players-10k" => {
            let cores = outcome.cpu_ms_per_tick_p50.map(|ms| ms * outcome.hz as f64 / 1000.0);
            Ok(outcome.with("cores", rounded(cores, 3)))
        }
        name if name.starts_with("pitches") => {
            // Id, place, velocity and heading in full precision: 8 + 7 × 4 bytes.
            let full = run.found.recorded as f64 * 36.0;
            let less = 1.0 - run.told.bytes as f64 / full;
            let clients = run.told.frames as f64 / run.cpu_ms.len() as f64;
            let seconds = run.cpu_ms.len() as f64 / scene.hz as f64;
            Ok(outcome
                .with("full_precision_bytes_per_client_s", rounded(Some(full / clients / seconds), 1))
                .with("less_than_full_precision_percent", rounded(Some(less * 100.0), 1)))
        }
        _ => Ok(outcome),
    }
}

/// The same questions to other indices, on the places at the end.
fn compare_indices(outcomes: &mut [Outcome]) {
    eprintln!("asking other indices");
    let points = index::Points::players(10_000, 50.0);
    let radii = [10.0, 25.0, 50.0, 100.0];
    let (rstar, kiddo) = (index::ask_rstar(&points, &radii), index::ask_kiddo(&points, &radii));
    assert_eq!((rstar.hits, rstar.bands), (kiddo.hits, kiddo.bands), "indices find the same");
    for (outcome, isa) in outcomes.iter_mut().zip(gorc::grid::Isa::available()) {
        let ours = index::ask_grid(&points, &radii, isa);
        assert_eq!((ours.hits, ours.bands), (rstar.hits, rstar.bands), "indices find the same");
        outcome.query_ns = Some(ours.query_ns);
        for (key, value) in [
            ("query_rstar_ns", rstar.query_ns),
            ("query_kiddo_ns", kiddo.query_ns),
            ("query_rstar_ratio", rstar.query_ns / ours.query_ns),
            ("query_kiddo_ratio", kiddo.query_ns / ours.query_ns),
            ("rebuild_us", ours.rebuild_ns * points.count() as f64 / 1000.0),
            ("rebuild_rstar_us", rstar.rebuild_ns * points.count() as f64 / 1000.0),
            ("rebuild_kiddo_us", kiddo.rebuild_ns * points.count() as f64 / 1000.0),
        ] {
            outcome.more.insert(key.to_owned(), json!(rounded(Some(value), 1)));
        }
    }
}
