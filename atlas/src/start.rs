//! Putting an Atlas together and taking it apart.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use horizon_link::pki::{PkiError, load_identity};
use horizon_link::{CertRole, LinkError, Node};
use horizon_model::EdgeId;
use horizon_protocol::link::{Preamble, Role, VERSION};
use horizon_service::admin::{Admin, Readiness};
use horizon_service::clock::GridClock;
use horizon_service::config::Horizon;
use horizon_service::listen::ListenError;
use horizon_service::metrics::Metrics;
use horizon_state_store::{StateStore, StoreError};
use rustix::process::{Resource, getrlimit};
use tokio::net::TcpListener;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::admin::{self, TokenError};
use crate::edge::gate::Gate;
use crate::edge::registry::{Registry, ToSession};
use crate::edge::ticket::TicketOffice;
use crate::edge::tls::{self, TlsError};
use crate::edge::{Edge, front};
use crate::figures::Figures;
use crate::hub::{ClockStart, Hub};
use crate::inbox::{HUB_MESSAGES, ToHub};
use crate::lease;
use crate::links;
use crate::live::Live;
use crate::peers::Peers;
use crate::provision::Provisioner;
use crate::routes::Routes;
use crate::standing::StoreStanding;

/// Players hear that this edge goes away, and connections end, within this time.
const DRAIN: Duration = Duration::from_millis(1_800);
/// What is queued for workers is delivered within this time.
const LAST_WORDS: Duration = Duration::from_millis(500);
/// Descriptors kept for links, logs and the admin listener.
const RESERVED_DESCRIPTORS: u64 = 64;

/// Why Atlas does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be had.
    #[error("{0}")]
    Listen(#[from] ListenError),
    /// Players' certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Certificate for links.
    #[error("no certificate for links: {0}; run `atlasctl pki init`")]
    Pki(#[from] PkiError),
    /// The link socket.
    #[error(transparent)]
    Link(#[from] LinkError),
    /// The store.
    #[error("the store cannot be used: {0}")]
    Store(#[from] StoreError),
    /// The operator's token.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// No randomness for this life's id.
    #[error("the system has no randomness: {0}")]
    Random(String),
}

/// Who starts workers, and where their ends are reported.
pub struct Provision {
    /// Starts and ends them.
    pub provisioner: Arc<dyn Provisioner>,
    /// Process ids that have ended.
    pub exits: mpsc::Receiver<u32>,
}

/// A running Atlas.
pub struct Atlas {
    edge: Arc<Edge>,
    node: Arc<Node>,
    admin: Admin,
    public: SocketAddr,
    stop: watch::Sender<bool>,
    front: JoinHandle<()>,
    tasks: Vec<JoinHandle<()>>,
}

impl Atlas {
    /// Starts everything as `config` says, on `store`. The link socket is open before `provide` is
    /// asked for whoever starts workers, because they are told its address.
    ///
    /// # Errors
    ///
    /// [`StartError`]; nothing keeps running then.
    pub async fn start(
        config: Horizon,
        store: Arc<dyn StateStore>,
        provide: impl FnOnce(SocketAddr) -> Provision,
    ) -> Result<Self, StartError> {
        let id = EdgeId(getrandom::u64().map_err(|error| StartError::Random(error.to_string()))?);
        let world = config.world.id;
        let acceptor = tls::acceptor(&config.paths.pki)?;
        let identity = load_identity(&config.paths.pki, CertRole::Edge)?;
        let listener = listen(config.atlas.listen)?;
        let public = listener
            .local_addr()
            .map_err(|source| ListenError::new(config.atlas.listen, "[atlas] listen", source))?;
        let preamble = Preamble { version: VERSION, world, role: Role::Edge(id) };
        let node = Node::bind(config.atlas.link, &identity, preamble).map_err(|error| match error {
            LinkError::Bind { address, cause } => ListenError::new(address, "[atlas] link", cause).into(),
            other => StartError::Link(other),
        })?;
        let node = Arc::new(node);
        let keys = store.sealing_keys().await?;
        let holders = store.leases().await?.len();
        let stored = store.tick_high().await?.since_origin();
        admin::write_token(&config.paths.data)?;

        let (metrics, readiness) = (Metrics::new(), Readiness::starting());
        let (hub, inbox) = mpsc::channel(HUB_MESSAGES);
        let (routes, snapshot) = watch::channel(Arc::new(Routes::default()));
        let router = admin::router(hub.clone(), &config.paths.data);
        let admin =
            Admin::bind(config.atlas.admin, "[atlas] admin", metrics.clone(), readiness.clone(), router)
                .await?;
        let up = metrics.gauge("atlas_store_up", "1 while the store answers, 0 while it is out of reach");
        let gate = Gate::new(config.limits.clone(), max_connections());
        let edge = Arc::new(Edge {
            id,
            store,
            standing: StoreStanding::new(up),
            clock: GridClock::follower(),
            settled: AtomicBool::new(false),
            sessions: Registry::default(),
            routes: snapshot,
            hub,
            tickets: TicketOffice::new(world, &keys),
            figures: Figures::new(&metrics),
            live: Live::default(),
            started: Instant::now(),
            config,
        });
        let Provision { provisioner, exits } = provide(node.local_addr());
        let own = own_address(&edge.config, node.local_addr()).await;
        let peers = Peers::new(edge.clone(), node.clone(), own);
        let hub = Hub::new(edge.clone(), peers, provisioner, inbox, routes, ClockStart { stored, holders });
        let (stop, stopping) = watch::channel(false);
        let tasks = vec![
            tokio::spawn(hub.run()),
            tokio::spawn(links::accept(edge.clone(), node.clone())),
            tokio::spawn(report_exits(edge.hub.clone(), exits)),
            tokio::spawn(lease::hold(edge.clone(), readiness)),
        ];
        let front = tokio::spawn(front::serve(edge.clone(), listener, acceptor, gate, stopping));
        Ok(Self { edge, node, admin, public, stop, front, tasks })
    }

    /// Where players connect.
    pub const fn public_addr(&self) -> SocketAddr {
        self.public
    }

    /// Where region servers connect.
    pub fn link_addr(&self) -> SocketAddr {
        self.node.local_addr()
    }

    /// Where health, metrics and the API are.
    pub const fn admin_addr(&self) -> SocketAddr {
        self.admin.local_addr()
    }

    /// Tells every player to resume elsewhere, lets regions know, and ends within three seconds.
    /// Regions and their workers go on.
    pub async fn drain(mut self) {
        self.stop.send_replace(true);
        self.edge.sessions.broadcast(|| ToSession::Draining);
        if timeout(DRAIN, &mut self.front).await.is_err() {
            tracing::info!("some connections did not end in time");
            self.front.abort();
        }
        let routes = self.edge.routes.borrow().clone();
        let mut farewells = tokio::task::JoinSet::new();
        for way in routes.0.values() {
            let link = way.link.clone();
            farewells.spawn(async move { link.finish(LAST_WORDS).await });
        }
        while farewells.join_next().await.is_some() {}
        self.tasks.iter().for_each(JoinHandle::abort);
        // The right to direct ends now, so that the next Atlas does not wait for it.
        let _ = self.edge.store.acquire_director(self.edge.id, Duration::from_millis(1)).await;
        self.node.close().await;
        self.admin.shutdown().await;
    }

    /// Ends at once, as a crash would: sockets and links close without a word. For tests of resuming.
    pub async fn abort(self) {
        self.front.abort();
        self.tasks.iter().for_each(JoinHandle::abort);
        self.node.close().await;
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener, ListenError> {
    front::listen(address).map_err(|source| ListenError::new(address, "[atlas] listen", source))
}

/// What others are told to dial. Where the link listens on all addresses it is the entry of `[atlas] edges`
/// that means this machine and this port: with one configuration for several containers, each finds its own.
async fn own_address(config: &Horizon, local: SocketAddr) -> String {
    if let Some(advertised) = &config.atlas.advertise {
        return advertised.clone();
    }
    if local.ip().is_unspecified() {
        for edge in &config.atlas.edges {
            let Ok(mut addresses) = tokio::net::lookup_host(edge).await else { continue };
            // Only an address of this machine can be bound.
            let here = |of: SocketAddr| std::net::UdpSocket::bind((of.ip(), 0)).is_ok();
            if addresses.any(|of| of.port() == local.port() && here(of)) {
                return edge.clone();
            }
        }
        if !config.atlas.edges.is_empty() {
            tracing::warn!(%local, "no entry of [atlas] edges is this machine: others cannot be told where it is");
        }
    }
    local.to_string()
}

/// Nine tenths of the descriptors that the process may open, less a reserve.
fn max_connections() -> usize {
    let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let usable = (limit / 10 * 9).saturating_sub(RESERVED_DESCRIPTORS).max(1);
    usize::try_from(usable).unwrap_or(usize::MAX)
}

async fn report_exits(hub: mpsc::Sender<ToHub>, mut exits: mpsc::Receiver<u32>) {
    while let Some(pid) = exits.recv().await {
        let _ = hub.send(ToHub::Exited(pid)).await;
    }
}
