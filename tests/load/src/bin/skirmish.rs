//! `skirmish`: companies who play a script in a running world. What came of it is one JSON object on standard
//! output; everything else goes to standard error.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use horizon_client::Trust;
use horizon_load::skirmish::{Plan, play};
use tracing::Level;

/// Plays a script of fights, trades and pickups around the origin of a running world.
#[derive(Debug, Parser)]
#[command(name = "skirmish")]
struct Arguments {
    /// An edge of the world, wss://host:port/; give several to spread the players
    #[arg(long, required = true)]
    url: Vec<String>,
    /// PEM file of the authority that signed the edges' certificates
    #[arg(long)]
    ca: PathBuf,
    /// Of the script; the same seed is the same script
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Companies, of four players and one who stands far away
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=100))]
    companies: u16,
    /// Actions of each company
    #[arg(long, default_value_t = 300)]
    actions: usize,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(Level::WARN).init();
    match run(arguments).await {
        Ok(account) => {
            println!("{account}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("skirmish: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(arguments: Arguments) -> Result<String, Box<dyn std::error::Error>> {
    let plan = Plan {
        urls: arguments.url,
        trust: Trust::Config(Trust::CaFile(arguments.ca).config()?),
        seed: arguments.seed,
        companies: arguments.companies.into(),
        actions: arguments.actions,
    };
    Ok(serde_json::to_string(&play(&plan).await?)?)
}
