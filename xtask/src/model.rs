//! `cargo xtask model`: the models of the handoff, explored by `tests/model`.

use clap::Args;

use crate::cargo;
use crate::failure::{Failure, Outcome};

/// How the models are explored.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Print one JSON object in place of a table
    #[arg(long)]
    json: bool,
    /// How far the models go; `small` is what the tests run
    #[arg(long, default_value = "full", value_parser = ["small", "full"])]
    bound: String,
    /// Only this model and its mutants
    #[arg(long)]
    only: Option<String>,
    /// Print how this mutant fails, step by step, and do nothing else
    #[arg(long)]
    explain: Option<String>,
}

/// Builds the models with optimisation and lets them print.
pub(crate) fn explore(options: &Options) -> Outcome<()> {
    let mut command = cargo::command(&["run", "--release", "--quiet", "-p", "horizon-model-check", "--"]);
    command.args(["--bound", &options.bound]);
    if options.json {
        command.arg("--json");
    }
    for (option, name) in [("--only", &options.only), ("--explain", &options.explain)] {
        if let Some(name) = name {
            command.args([option, name]);
        }
    }
    let status = command.status().map_err(|error| format!("cannot start cargo: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let sentence = "a model is violated, or a mutant lives; which one is said above";
    Err(Failure::with_code(sentence, status.code()))
}
