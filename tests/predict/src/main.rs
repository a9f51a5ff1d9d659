//! Judges predictions and prints what was found.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use horizon_load::trace::Match;
use horizon_predict::movement::kinds;
use horizon_predict::report::Verdict;
use horizon_predict::{picture, report};
use serde_json::{Map, Value};

/// Judges predictions of border crossings on recorded and drawn movement.
#[derive(Debug, Parser)]
#[command(name = "predict")]
struct Arguments {
    /// Folder of recorded matches; without one, a match that comes with the repository
    #[arg(long)]
    traces: Option<PathBuf>,
    /// Copies begin so many seconds ahead, as prepare_within_ms in [director] says
    #[arg(long, default_value_t = 0.4)]
    seconds_ahead: f64,
    /// Draw the curves of the matches into this SVG file
    #[arg(long)]
    plot: Option<PathBuf>,
    /// Print JSON in place of a table
    #[arg(long)]
    json: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let matches = match arguments.traces.as_deref().map(Match::load_all) {
        None => vec![Match::sample()],
        Some(Ok(matches)) => matches,
        Some(Err(error)) => {
            eprintln!("{error}; --traces names a folder of recorded matches");
            return ExitCode::from(64);
        }
    };
    let kinds = kinds(&matches);
    let seconds = arguments.seconds_ahead;
    let (mut table, mut all) = (Map::new(), None::<Verdict>);
    for kind in &kinds {
        eprintln!("{}: {} ways", kind.name, kind.ways.len());
        let verdict = Verdict::on(kind, seconds);
        table.insert(kind.name.to_owned(), verdict.found(seconds));
        if let Some(path) = arguments.plot.as_ref().filter(|_| kind.name == "matches") {
            let title =
                format!("{} recorded matches: copies in time against copies for nothing", matches.len());
            if let Err(error) = std::fs::write(path, picture::draw(&title, &verdict.curves())) {
                eprintln!("{}: {error}", path.display());
                return ExitCode::FAILURE;
            }
        }
        all = Some(all.map_or_else(|| verdict.clone(), |all| all.and(&verdict)));
    }
    let mut found = all.expect("there are four kinds").found(seconds);
    found["us_per_decision"] = report::us_per_decision(&kinds, seconds).into();
    found["matches"] = matches.len().into();
    found["kinds"] = table.into();
    let broken = report::broken(&found);
    found["broken"] = broken.clone().into();
    if arguments.json {
        println!("{found}");
    } else {
        tell(&found);
    }
    if broken.is_empty() {
        return ExitCode::SUCCESS;
    }
    eprintln!("promises are broken: {}", broken.join(", "));
    ExitCode::FAILURE
}

/// A table for people.
fn tell(found: &Value) {
    println!("kind        crossings  placed  warm   copies  for nothing   constant velocity   within 35 m");
    let kinds = found["kinds"].as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value));
    for (name, row) in kinds.chain([("all", found)]) {
        let figure = |value: &Value| value.as_f64().unwrap_or(f64::NAN);
        let at_our_waste =
            |name: &str| figure(&row["baselines"][name]["presynced_share_at_our_waste"]) * 100.0;
        println!(
            "{name:10}  {:9}  {:5.1}%  {:5.1}%  {:5.1}%  {:11.3}   {:16.1}%   {:10.1}%",
            row["crossings"],
            figure(&row["placed_share"]) * 100.0,
            figure(&row["placed_share_warm"]) * 100.0,
            figure(&row["presynced_share"]) * 100.0,
            figure(&row["wasted_per_crossing"]),
            at_our_waste("constant_velocity"),
            at_our_waste("within_35_m"),
        );
    }
    println!(
        "{:.2} us for each decision; the last two columns: copies in time at our waste",
        found["us_per_decision"]
    );
}
