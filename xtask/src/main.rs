//! `cargo xtask`: the commands of this repository.
//!
//! ```text
//!   run ───┐                  ┌─▶ store ─┐   (or a redis-server)
//!   bench ─┴─▶ layout ─▶ tree ┼─▶ atlas ─┴─▶ region servers
//!              (one folder)   └─▶ load (bots)
//!   compose ─▶ docker, and load
//!   walk ─▶ tree, and a browser
//!   model, sim, test, check ─▶ cargo
//! ```
//!
//! Imports nothing of Horizon: it knows the programs by their command lines, the configuration file and the
//! admin listeners, as any operator does.

mod bench;
mod cargo;
mod chaos;
mod child;
mod compose;
mod configuration;
mod failure;
mod http;
mod layout;
mod load;
mod model;
mod procfs;
mod redis;
mod run;
mod signals;
mod sim;
mod status;
mod test;
mod trace;
mod tree;
mod walk;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// The commands of this repository.
#[derive(Debug, Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Builds everything and runs a world with bots on this machine, until Ctrl-C
    Run(run::Options),
    /// Measures, and prints one JSON object
    Bench {
        #[command(subcommand)]
        what: bench::What,
    },
    /// Visits every state of the handoff's models, and sees each deliberate mistake noticed
    Model(model::Options),
    /// Kills, stops and cuts real processes at exact steps of a crossing, each with a control; one JSON object
    Chaos(chaos::Options),
    /// Tries the world of docker-compose.yml on a real engine: up, kills, scaling, restarts, down
    Compose(compose::Options),
    /// Walks the live page by keyboard in a headless Chromium, while a region server and an edge are killed
    Walk(walk::Options),
    /// Simulates whole worlds with faults on virtual time, one for each seed
    Sim(sim::Options),
    /// Everything that has to be green: format, lints, build, tests, end-to-end tests
    Test(test::Options),
    /// Format and lints alone
    Check,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let outcome = runtime.map_err(|error| format!("cannot start: {error}").into()).and_then(|runtime| {
        runtime.block_on(async {
            match arguments.command {
                Command::Run(options) => run::run(options).await,
                Command::Bench { what } => bench::run(what).await,
                Command::Model(options) => model::explore(&options),
                Command::Chaos(options) => chaos::run(&options),
                Command::Compose(options) => compose::run(&options).await,
                Command::Walk(options) => walk::run(options).await,
                Command::Sim(options) => sim::sim(&options),
                Command::Test(options) => test::test(&options),
                Command::Check => test::check(),
            }
        })
    });
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("error: {failure}");
            ExitCode::from(failure.code)
        }
    }
}
