//! The shell of a region server: links, store, journal and clock around one region at a time.
//!
//! ```text
//!   links ──▶ Hub (one task, owns placements and peers) ──▶ tick thread (owns the Region)
//!    ▲                                                        │  │  │
//!    └────────────── frames, events, offers ◀─────────────────┘  │  └──▶ journal thread ─┐
//!                    store task ◀── compare-and-sets ────────────┘  ◀── durable ─────────┘
//! ```
//!
//! A worker registers at every edge as ready, is placed on a region by the one that directs, and serves it
//! until it is told to retire or its lease is lost. It outlives edges: it dials again and registers with what
//! it serves.

mod asking;
mod edges;
mod event;
mod handle;
mod hub;
mod metrics;
mod place;
mod pulse;
mod queue;
mod report;
mod thread;

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use horizon_link::{LinkError, Node, Preamble, Role};
use horizon_model::WorkerId;
use horizon_protocol::link::VERSION;
use horizon_service::admin::{Admin, Readiness, Router};
use horizon_service::clock::GridClock;
use horizon_service::config::Horizon;
use horizon_service::listen::ListenError;
use horizon_service::metrics::Metrics;
use horizon_state_store::{StateStore, StoreError};
use tracing::info;

use crate::fault;
use crate::plugin::{LoadError, PluginHost};
pub(crate) use metrics::WorkerMetrics;

/// Why a region server does not start, or ends.
#[derive(Debug, thiserror::Error)]
pub enum WorkerError {
    /// A plugin cannot be used.
    #[error(transparent)]
    Plugins(#[from] LoadError),
    /// Certificates or sockets of the link.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// Certificates.
    #[error(transparent)]
    Pki(#[from] horizon_link::pki::PkiError),
    /// The admin listener.
    #[error("{0}")]
    Admin(#[from] ListenError),
    /// The store.
    #[error("opening the store at {address}: {source}; start the store process, or change [store] address")]
    Store {
        /// Where.
        address: String,
        /// Why not.
        source: StoreError,
    },
    /// The operating system gives no random numbers.
    #[error("the operating system gives no random numbers: {0}")]
    Random(getrandom::Error),
}

/// What the command line says beyond the configuration.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// Link address of an edge; it names the others.
    pub atlas: String,
    /// Where health and metrics are served.
    pub admin: SocketAddr,
}

/// Everything the parts of the shell share.
pub(crate) struct Shared {
    pub(crate) config: Horizon,
    pub(crate) options: WorkerOptions,
    pub(crate) id: WorkerId,
    pub(crate) node: Node,
    pub(crate) store: Arc<dyn StateStore>,
    pub(crate) clock: GridClock,
    pub(crate) readiness: Readiness,
    pub(crate) metrics: WorkerMetrics,
    pub(crate) plugins_hash: u64,
    /// The address of this machine under which an edge was reached first.
    pub(crate) own_ip: OnceLock<IpAddr>,
}

impl Shared {
    pub(crate) fn journal_folder(&self, region: horizon_model::RegionId) -> PathBuf {
        let world = self.config.world.id;
        self.config.paths.data.join("journal").join(world.to_string()).join(region.to_string())
    }

    /// What other workers are told to dial. Where the link listens on all addresses, it is the one from which
    /// an edge was reached.
    pub(crate) fn endpoint(&self) -> String {
        let advertised = self.config.region.advertise.clone();
        advertised.unwrap_or_else(|| {
            let mut address = self.node.local_addr();
            if let (true, Some(ip)) = (address.ip().is_unspecified(), self.own_ip.get()) {
                address.set_ip(*ip);
            }
            address.to_string()
        })
    }
}

/// Runs a region server until it is told to end.
///
/// # Errors
///
/// [`WorkerError`] where it cannot start; each says who must do what.
pub async fn run(config: Horizon, options: WorkerOptions) -> Result<(), WorkerError> {
    let host = PluginHost::load(&config.paths.plugins, &config.plugins)?;
    let identity = horizon_link::pki::load_identity(&config.paths.pki, horizon_link::CertRole::Region)?;
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).map_err(WorkerError::Random)?;
    let id = WorkerId(u64::from_le_bytes(bytes));
    let preamble = Preamble { version: VERSION, world: config.world.id, role: Role::Region(id) };
    let node = Node::bind(config.region.link, &identity, preamble)?;
    fault::begin(id, node.local_addr());
    let store = horizon_state_store::open(&config.store.address, config.world.id)
        .await
        .map_err(|source| WorkerError::Store { address: config.store.address.clone(), source })?;
    let metrics = Metrics::new();
    let readiness = Readiness::starting();
    let admin =
        Admin::bind(options.admin, "[region] admin", metrics.clone(), readiness.clone(), Router::new())
            .await?;
    let names: Vec<&str> = host.plugins().map(|(name, _)| name).collect();
    info!(worker = %id, link = %node.local_addr(), admin = %admin.local_addr(), plugins = ?names, "started");
    let plugins_hash = host.hash();
    let shared = Arc::new(Shared {
        metrics: WorkerMetrics::register(&metrics),
        config,
        options,
        id,
        node,
        store,
        clock: GridClock::follower(),
        readiness,
        plugins_hash,
        own_ip: OnceLock::new(),
    });
    hub::run(Arc::clone(&shared), host).await;
    admin.shutdown().await;
    tokio::time::timeout(Duration::from_secs(2), shared.node.close()).await.ok();
    Ok(())
}
