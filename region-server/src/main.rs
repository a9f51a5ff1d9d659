//! `region-server`: a worker that registers at an edge and serves the region it is given.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use horizon_region_server::worker::{self, WorkerOptions};
use horizon_service::config::Horizon;
use horizon_service::health::{self, Question};
use horizon_service::{exit, logging};

/// Many small objects live and die here on several threads. What the allocator of the system costs then is in
/// docs/benchmarks.md, "A killed region".
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Serves one region of a Horizon world.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file [default: horizon.toml here, or built-in values]
    #[arg(long)]
    config: Option<PathBuf>,
    /// Link address of an edge, which names the others [default: the first of [atlas] edges of the
    /// configuration, or [atlas] link]
    #[arg(long)]
    atlas: Option<String>,
    /// Where to serve health and metrics [default: [region] admin of the configuration]
    #[arg(long)]
    admin: Option<SocketAddr>,
    /// Ask the region server that runs here with this configuration, and end: alive or ready
    #[arg(long, value_name = "QUESTION")]
    ask: Option<Question>,
}

pub(crate) fn main() {
    let arguments = Arguments::parse();
    let config =
        Horizon::load_or_default(arguments.config.as_deref()).unwrap_or_else(|error| exit::fail(&error));
    let admin = arguments.admin.unwrap_or(config.region.admin);
    if let Some(question) = arguments.ask {
        return health::ask(admin, question).unwrap_or_else(|error| exit::fail(&error));
    }
    if let Err(error) = logging::init(&config.log) {
        exit::fail(&error);
    }
    let options =
        WorkerOptions { atlas: arguments.atlas.unwrap_or_else(|| config.atlas.first_edge()), admin };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => exit::fail(&error),
    };
    if let Err(error) = runtime.block_on(worker::run(config, options)) {
        exit::fail(&error);
    }
}
