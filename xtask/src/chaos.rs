//! `cargo xtask chaos`: builds the programs with fail points beside the ordinary ones, and lets `chaos` use them.

use std::process::{Command, Stdio};

use clap::Args;

use crate::cargo::{self, Profile};
use crate::failure::{Failure, Outcome};

/// The programs with fail points.
const FAULTY: [&str; 3] = ["faulty-atlas", "faulty-region-server", "faulty-store"];

/// What is handed on to `chaos`; `cargo xtask chaos -- --help` tells all of it.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// --json, --cells quick|full, --store NAME, --only FAULT/STEP, --seed N, --jobs N, --tries N, --markdown, --keep
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<String>,
}

/// Builds, and runs the matrix.
pub(crate) fn run(options: &Options) -> Outcome<()> {
    let built = cargo::build(Profile::Dev)?;
    cargo::build_faulty(Profile::Dev, &FAULTY)?;
    let program = built.program("chaos");
    let status = Command::new(&program).args(&options.words).stdin(Stdio::null()).status();
    let status = status.map_err(|error| format!("cannot start {}: {error}", program.display()))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::with_code("a cell is not green or its control was not caught; see above", status.code()))
}
