//! The `atlas` process: edge, director, admin surface and page of one world. Several of them serve one world;
//! with one configuration file for all, the command line tells them apart.

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Parser;
use horizon_atlas::provision::ProcessProvisioner;
use horizon_atlas::{Atlas, Provision};
use horizon_link::pki;
use horizon_service::config::Horizon;
use horizon_service::health::{self, Question};
use horizon_service::{exit, logging, signals};
use tokio::sync::mpsc;

/// Many small objects live and die here on several threads. What the allocator of the system costs then is in
/// docs/benchmarks.md, "A killed region".
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Ends of workers that may wait to be looked at.
const EXITS: usize = 256;

/// Where players connect: encrypted WebSockets outside, region servers inside.
#[derive(Parser)]
#[command(name = "atlas", version)]
struct Arguments {
    /// Configuration file; horizon.toml of the working folder where there is one.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Where players connect [default: [atlas] listen of the configuration]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// Where region servers and other edges connect [default: [atlas] link of the configuration]
    #[arg(long, value_name = "ADDRESS")]
    link: Option<SocketAddr>,
    /// Where to serve health, metrics and the API [default: [atlas] admin of the configuration]
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// Never direct: log what this edge would decide, and do none of it. Players are served as ever.
    #[arg(long)]
    dry_run: bool,
    /// Ask the Atlas that runs here with this configuration, and end: alive or ready.
    #[arg(long, value_name = "QUESTION")]
    ask: Option<Question>,
}

pub(crate) fn main() {
    let arguments = Arguments::parse();
    if let Err(error) = run(&arguments) {
        exit::fail(&*error);
    }
}

fn run(arguments: &Arguments) -> Result<(), Box<dyn Error>> {
    let mut config = Horizon::load_or_default(arguments.config.as_deref())?;
    let atlas = &mut config.atlas;
    atlas.listen = arguments.listen.unwrap_or(atlas.listen);
    atlas.link = arguments.link.unwrap_or(atlas.link);
    atlas.admin = arguments.admin.unwrap_or(atlas.admin);
    config.director.dry_run |= arguments.dry_run;
    if let Some(question) = arguments.ask {
        return Ok(health::ask(config.atlas.admin, question)?);
    }
    logging::init(&config.log)?;
    if !config.paths.pki.join("ca.pem").exists() {
        tracing::info!(folder = %config.paths.pki.display(), "creating a development authority");
        pki::ensure(&config.paths.pki, &[config.atlas.listen.ip().to_string()])?;
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(serve(config))?;
    // Nothing that is still running is waited for: whoever resumes does so elsewhere by now.
    runtime.shutdown_background();
    Ok(())
}

async fn serve(config: Horizon) -> Result<(), Box<dyn Error>> {
    let asked_to_end = signals::shutdown();
    let program = config.atlas.worker_program()?;
    let (file, logs) = (config.file.clone(), config.paths.data.join("logs"));
    let store = horizon_state_store::open(&config.store.address, config.world.id).await?;
    let atlas = Atlas::start(config, store, |link| {
        let (exits, ends) = mpsc::channel(EXITS);
        let provisioner = Arc::new(ProcessProvisioner::new(program, file, link, logs, exits));
        Provision { provisioner, exits: ends }
    })
    .await?;
    tracing::info!(
        players = %format_args!("https://{}/", atlas.public_addr()),
        link = %atlas.link_addr(),
        admin = %atlas.admin_addr(),
        "atlas is open"
    );
    let signal = asked_to_end.await?;
    tracing::info!(signal, "draining; regions go on");
    atlas.drain().await;
    Ok(())
}
