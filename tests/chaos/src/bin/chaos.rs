//! `chaos`: runs the matrix of faults and steps, each cell with its control, and prints one JSON object.
//!
//! `cargo xtask chaos` builds what this needs and starts it.

use std::process::ExitCode;

use clap::Parser;
use horizon_chaos::cell::Cell;
use horizon_chaos::matrix::{Matrix, Row};
use horizon_chaos::run::{Setting, programs};
use horizon_chaos::world::Store;

/// Kills, stops and cuts real processes at exact steps of a crossing.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Print JSON; there is no other form but --markdown
    #[arg(long)]
    json: bool,
    /// The short run, or all cells
    #[arg(long, default_value = "quick", value_parser = ["quick", "full"])]
    cells: String,
    /// Only cells whose name (FAULT/STEP, such as a-kill/s2) has this in it
    #[arg(long)]
    only: Option<String>,
    /// Where state is kept
    #[arg(long, default_value = "sqlite", value_parser = ["sqlite", "redis"])]
    store: String,
    /// Where players begin, and the dice of the roads
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Worlds at a time
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=16))]
    jobs: u64,
    /// Tries of each control until it is caught: whether there is something to lose at that moment is chance
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(0..=20))]
    tries: u64,
    /// Print the matrix as a table in place of JSON
    #[arg(long)]
    markdown: bool,
    /// Leave the files of worlds in which something broke
    #[arg(long)]
    keep: bool,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let programs = match programs() {
        Ok(programs) => programs,
        Err(why) => {
            eprintln!("error: {why}");
            return ExitCode::FAILURE;
        }
    };
    let mut cells =
        if arguments.cells == "full" || arguments.only.is_some() { Cell::full() } else { Cell::quick() };
    cells.retain(|cell| arguments.only.as_ref().is_none_or(|part| cell.name().contains(part)));
    if cells.is_empty() {
        eprintln!("error: no cell has {:?} in its name", arguments.only.unwrap_or_default());
        return ExitCode::FAILURE;
    }
    let store = if arguments.store == "redis" { Store::Redis } else { Store::Sqlite };
    let setting = Setting { programs, store, seed: arguments.seed, keep: arguments.keep };
    let rows: Vec<Row> = horizon_chaos::matrix::run(&setting, cells, arguments.jobs, arguments.tries).await;
    let matrix = Matrix::new(rows, store, arguments.seed);
    if arguments.markdown {
        print!("{}", matrix.markdown());
    } else {
        println!("{}", matrix.json());
    }
    if matrix.is_good() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
