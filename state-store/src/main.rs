//! The `store` process: one database file behind one Unix socket.
//!
//! Order of a start: configuration, logs, the file with its lock, the socket, the admin listener.
//! Ready means that the socket answers. SIGTERM: answer what has arrived, merge the log, exit 0.

use std::error::Error;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::Parser;
use horizon_service::admin::{Admin, Readiness};
use horizon_service::config::Horizon;
use horizon_service::metrics::{Metrics, SECONDS};
use horizon_service::{exit, logging, signals};
use horizon_state_store::{Commit, Env, Server, Sqlite, StoreError};

/// Keeps owners, leases and saved players of a Horizon world.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// Configuration file [default: horizon.toml of this folder, if there is one]
    #[arg(long)]
    config: Option<PathBuf>,
    /// Where to listen, instead of `[store] address`
    #[arg(long)]
    socket: Option<PathBuf>,
    /// File to keep everything in, instead of `[store] database`
    #[arg(long)]
    database: Option<PathBuf>,
    /// Health and metrics, instead of `[store] admin`
    #[arg(long)]
    admin: Option<SocketAddr>,
}

#[tokio::main]
pub(crate) async fn main() {
    if let Err(error) = run(Arguments::parse()).await {
        exit::fail(&*error);
    }
}

async fn run(arguments: Arguments) -> Result<(), Box<dyn Error>> {
    let config = Horizon::load_or_default(arguments.config.as_deref())?;
    let socket = match arguments.socket.as_deref().or(config.store.socket()) {
        Some(socket) => socket.to_owned(),
        None => return Err(Box::new(StoreError::Setup(no_socket(&config.store.address)))),
    };
    let database = arguments.database.unwrap_or(config.store.database);
    logging::init(&config.log)?;
    make_folder_of(&database)?;
    make_folder_of(&socket)?;

    let (metrics, readiness) = (Metrics::new(), Readiness::starting());
    let observer = observe(&metrics);
    let world = config.world.id;
    let file = database.clone();
    let opened =
        tokio::task::spawn_blocking(move || Sqlite::open_observed(&file, world, Env::system(), observer));
    let store = opened.await.expect("opening a file does not panic")?;
    let server = Server::bind(&socket, store.clone()).await?;
    let admin_address = arguments.admin.unwrap_or(config.store.admin);
    let admin =
        Admin::bind(admin_address, "[store] admin", metrics, readiness.clone(), Default::default()).await?;
    tracing::info!(
        socket = %socket.display(),
        database = %database.display(),
        admin = %admin.local_addr(),
        "serving"
    );
    readiness.ready();

    let mut failed = false;
    let stop = async {
        tokio::select! {
            signal = signals::shutdown() => match signal {
                Ok(signal) => tracing::info!(signal, "ending"),
                Err(error) => tracing::error!(%error, "signals cannot be heard"),
            },
            () = store.ended() => failed = true,
        }
        readiness.not_ready("ending");
    };
    server.run(stop).await;
    store.close().await;
    admin.shutdown().await;
    if failed {
        let why = format!("the database {} failed; see the log before this line", database.display());
        return Err(Box::new(StoreError::Unavailable(why)));
    }
    Ok(())
}

fn no_socket(address: &str) -> String {
    format!(
        "[store] address is {address:?}, which needs no store process; make it unix:PATH, or give --socket PATH"
    )
}

/// Figures of the store: how many requests share a commit, and what a commit takes.
fn observe(metrics: &Metrics) -> impl FnMut(Commit) + Send + 'static {
    let requests = metrics.counter("store_requests", "Requests answered");
    let commits =
        metrics.histogram("store_commit_seconds", "Time of one commit, its sync included", &SECONDS);
    move |commit| {
        requests.inc_by(commit.requests as u64);
        commits.observe(commit.took.as_secs_f64());
    }
}

fn make_folder_of(file: &Path) -> Result<(), StoreError> {
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
    folder.map_or(Ok(()), std::fs::create_dir_all).map_err(|error| {
        StoreError::Setup(format!(
            "cannot create the folder of {}: {error}; create it, or give this user the right to",
            file.display()
        ))
    })
}
