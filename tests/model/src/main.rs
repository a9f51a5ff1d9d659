//! `model`: explores the models of the handoff and prints what was found.

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use horizon_model_check::check::Bound;
use horizon_model_check::models::MODELS;
use horizon_model_check::mutant::{MUTANTS, Row};
use horizon_model_check::report::{Report, explain};

/// Visits every state of every model, and sees each mutant noticed
#[derive(Debug, Parser)]
struct Arguments {
    /// Print one JSON object in place of a table
    #[arg(long)]
    json: bool,
    /// How far the models go
    #[arg(long, value_enum, default_value = "full")]
    bound: BoundName,
    /// Only this model and its mutants
    #[arg(long)]
    only: Option<String>,
    /// Print how this mutant fails, step by step, and do nothing else
    #[arg(long)]
    explain: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum BoundName {
    Small,
    Full,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let bound = match arguments.bound {
        BoundName::Small => Bound::Small,
        BoundName::Full => Bound::Full,
    };
    if let Some(name) = &arguments.explain {
        return match MUTANTS.iter().find(|row| row.mutant.name() == *name) {
            Some(row) => {
                print!("{}", explain(row, Bound::Small));
                ExitCode::SUCCESS
            }
            None => unknown("mutant", name, MUTANTS.iter().map(|row| row.mutant.name())),
        };
    }
    let is_wanted = |name: &str| arguments.only.as_deref().is_none_or(|only| only == name);
    if let Some(name) =
        arguments.only.as_deref().filter(|only| MODELS.iter().all(|entry| entry.name != *only))
    {
        return unknown("model", name, MODELS.iter().map(|entry| entry.name.to_owned()));
    }
    let report = run(bound, &is_wanted);
    if arguments.json {
        println!("{}", serde_json::to_string(&report).expect("a report is plain data"));
    } else {
        print!("{}", report.table());
    }
    if report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Mutants within the small bound, where their counterexamples are; models within `bound`.
fn run(bound: Bound, is_wanted: &dyn Fn(&str) -> bool) -> Report {
    let mut report = Report::new(bound);
    for entry in MODELS.iter().filter(|entry| is_wanted(entry.name)) {
        eprintln!("{}: {}", entry.name, entry.about);
        let exploration = (entry.explore)(bound, None);
        eprintln!("  {} states, {:.1} s", exploration.states, exploration.took.as_secs_f64());
        for found in &exploration.violated {
            eprintln!("  VIOLATED {}", found.property);
            for (number, step) in (1..).zip(&found.steps) {
                eprintln!("  {number:>3}. {step}");
            }
        }
        report.add_model(entry.name, exploration);
        let of_model = |row: &&Row| row.model == entry.name;
        for row in MUTANTS.iter().filter(of_model) {
            let exploration = (entry.explore)(Bound::Small, Some(row.mutant));
            let killer = exploration.violated.first().map_or("SURVIVES", |found| found.property);
            eprintln!("  without its guard {:?}: {killer}", row.mutant);
            report.add_mutant(row, &exploration);
        }
    }
    report
}

fn unknown(kind: &str, name: &str, known: impl Iterator<Item = String>) -> ExitCode {
    let known: Vec<_> = known.collect();
    eprintln!("error: there is no {kind} {name:?}; choose one of {}", known.join(", "));
    ExitCode::from(2)
}
