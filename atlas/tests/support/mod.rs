//! An Atlas in this process, workers that do what a test tells them, and clients of few words.
#![allow(dead_code, unreachable_pub, reason = "every test file uses a part of it")]

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use horizon_atlas::provision::Provisioner;
use horizon_atlas::{Atlas, Provision};
use horizon_link::pki::{self, load_identity};
use horizon_link::{CertRole, Lane, Node, Peer};
use horizon_model::{EntityId, Epoch, PlayerId, RegionId, Tick, WorkerId};
use horizon_protocol::client::{ClientMessage, Hello, Resume, ServerMessage, Welcome, json};
use horizon_protocol::link::{
    AttachRecord, EdgeToRegion, FrameOut, OpenSession, Placement, Preamble, RegionToEdge, Registration, Role,
    StateBatch, Tables, VERSION,
};
use horizon_service::config::Horizon;
use horizon_state_store::StateStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Error, Message};

/// Nothing in a test takes longer, however loaded the machine is.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Waits with a deadline that names what was awaited.
pub async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.unwrap_or_else(|_| panic!("{what} did not happen"))
}

/// Gives out process ids and does nothing.
struct Scripted {
    next: AtomicU32,
    spawned: mpsc::UnboundedSender<u32>,
    exits: mpsc::Sender<u32>,
}

impl Provisioner for Scripted {
    fn spawn(&self) -> io::Result<u32> {
        let pid = self.next.fetch_add(1, Ordering::Relaxed);
        let _ = self.spawned.send(pid);
        Ok(pid)
    }

    fn watch(&self, _pid: u32) {}

    fn kill(&self, pid: u32) {
        let _ = self.exits.try_send(pid);
    }
}

/// An Atlas with everything a test needs to talk to it.
pub struct World {
    pub atlas: Atlas,
    pub config: Horizon,
    pub store: Arc<dyn StateStore>,
    pub exits: mpsc::Sender<u32>,
    spawned: mpsc::UnboundedReceiver<u32>,
    folder: Arc<tempfile::TempDir>,
}

impl World {
    pub async fn start(change: impl FnOnce(&mut Horizon)) -> Self {
        let folder = Arc::new(tempfile::tempdir().expect("a folder"));
        Self::start_in(folder, memory().await, change).await
    }

    /// Another Atlas of the same world.
    pub async fn beside(&self, change: impl FnOnce(&mut Horizon)) -> Self {
        Self::start_in(self.folder.clone(), self.store.clone(), change).await
    }

    /// Another Atlas in the same folder, on a store of its own.
    pub async fn elsewhere(&self, change: impl FnOnce(&mut Horizon)) -> Self {
        Self::start_in(self.folder.clone(), memory().await, change).await
    }

    async fn start_in(
        folder: Arc<tempfile::TempDir>,
        store: Arc<dyn StateStore>,
        change: impl FnOnce(&mut Horizon),
    ) -> Self {
        let mut config = Horizon::default_for_tests();
        config.paths.pki = folder.path().join("pki");
        config.paths.data = folder.path().join("data");
        config.director.warm_workers = 0;
        config.limits.new_connections_burst = 1_000;
        config.limits.pending_per_address = 1_000;
        config.limits.connections_per_address = 1_000;
        config.limits.handshakes = 1_000;
        change(&mut config);
        pki::ensure(&config.paths.pki, &[]).expect("certificates");
        let (spawns, spawned) = mpsc::unbounded_channel();
        let (exits, ends) = mpsc::channel(64);
        let kills = exits.clone();
        let provide = move |_| {
            let provisioner = Scripted { next: AtomicU32::new(1), spawned: spawns, exits: kills };
            Provision { provisioner: Arc::new(provisioner), exits: ends }
        };
        let atlas = Atlas::start(config.clone(), store.clone(), provide).await.expect("starts");
        Self { atlas, config, store, exits, spawned, folder }
    }

    /// The same world after Atlas ended without a word.
    pub async fn restart(self) -> Self {
        let Self { atlas, store, folder, config, .. } = self;
        atlas.abort().await;
        Self::start_in(folder, store, move |fresh| *fresh = config).await
    }

    /// Ends Atlas in order.
    pub async fn drain(self) {
        within("the end of atlas", self.atlas.drain()).await;
    }

    /// The next worker that the director asks for, registered and ready.
    pub async fn worker(&mut self) -> Worker {
        let pid = self.spawn().await;
        self.register(pid, None).await
    }

    /// The process id of the next worker that the director asks for.
    pub async fn spawn(&mut self) -> u32 {
        within("a spawn", self.spawned.recv()).await.expect("the provisioner lives")
    }

    /// Whether the director asks for nobody.
    pub fn spawns_nobody(&mut self) -> bool {
        self.spawned.try_recv().is_err()
    }

    /// Waits until `holds` does of the status.
    pub async fn until(&self, what: &str, holds: impl Fn(&serde_json::Value) -> bool) {
        within(what, async {
            loop {
                let (_, body) = self.admin("GET /api/status", None).await;
                if serde_json::from_str(&body).is_ok_and(|status| holds(&status)) {
                    return;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        })
        .await;
    }

    /// The next worker, told to serve `region`, serving it.
    pub async fn serving(&mut self, region: RegionId, lease: u64) -> Worker {
        let mut worker = self.worker().await;
        worker.take(region, lease).await;
        worker
    }

    pub async fn register(&self, pid: u32, serving: Option<Placement>) -> Worker {
        let identity = load_identity(&self.config.paths.pki, CertRole::Region).expect("issued");
        let id = WorkerId(u64::from(pid));
        let preamble = Preamble { version: VERSION, world: self.config.world.id, role: Role::Region(id) };
        let node =
            Node::bind("127.0.0.1:0".parse().expect("an address"), &identity, preamble).expect("bound");
        let peer = node.connect(&self.atlas.link_addr().to_string()).await.expect("linked");
        let registration = Registration {
            worker: id,
            endpoint: node.local_addr().to_string(),
            pid,
            processes: horizon_service::processes::visible(),
            bounds: None,
            plugins_hash: 1,
            serving: serving.clone(),
            grid_ns: None,
        };
        let placement = serving;
        let mut worker = Worker {
            node,
            peer,
            id,
            pid,
            placement,
            sequence: 0,
            put_back: VecDeque::new(),
            edges: Vec::new(),
        };
        worker.send(&RegionToEdge::Register(Box::new(registration)));
        worker
    }

    pub async fn connect(&self) -> Client {
        Client::connect(self.atlas.public_addr(), &self.config.paths.pki, None).await.expect("connected")
    }

    /// A client that said hello.
    pub async fn greet(&self, name: &str) -> Client {
        let mut client = self.connect().await;
        client.say(&ClientMessage::Hello(hello(name))).await;
        client
    }

    /// A client whose session `worker` has taken, welcomed.
    pub async fn join(&self, worker: &mut Worker, name: &str) -> (Client, Welcome, OpenSession) {
        let mut client = self.greet(name).await;
        let open = worker.attach(0, true).await;
        let welcome = client.welcome().await;
        (client, welcome, open)
    }

    /// One request over TLS; head and body of the answer.
    pub async fn get(&self, path: &str) -> (String, String) {
        let stream = tls(self.atlas.public_addr(), &self.config.paths.pki).await.expect("connected");
        request(stream, &format!("GET {path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")).await
    }

    /// One request to the admin listener.
    pub async fn admin(&self, line: &str, token: Option<&str>) -> (String, String) {
        let stream = TcpStream::connect(self.atlas.admin_addr()).await.expect("connected");
        let token = token.map(|token| format!("authorization: Bearer {token}\r\n")).unwrap_or_default();
        request(stream, &format!("{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{token}\r\n"))
            .await
    }
}

async fn memory() -> Arc<dyn StateStore> {
    horizon_state_store::open("memory:", Horizon::default_for_tests().world.id).await.expect("memory")
}

async fn request(mut stream: impl AsyncReadExt + AsyncWriteExt + Unpin, text: &str) -> (String, String) {
    stream.write_all(text.as_bytes()).await.expect("written");
    let mut answer = Vec::new();
    let _ = within("an answer", stream.read_to_end(&mut answer)).await;
    let answer = String::from_utf8(answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer with a head");
    (head.to_ascii_lowercase(), body.to_owned())
}

/// A region server that does what the test says.
pub struct Worker {
    node: Node,
    peer: Peer,
    pub id: WorkerId,
    pub pid: u32,
    pub placement: Option<Placement>,
    sequence: u32,
    put_back: VecDeque<EdgeToRegion>,
    /// Link addresses of all edges, as told last.
    pub edges: Vec<String>,
}

impl Worker {
    pub fn send(&mut self, message: &RegionToEdge) {
        self.peer.sender.send(Lane::Control, message).expect("linked");
    }

    /// The next message that is about sessions or regions; lists of regions and edges are passed over.
    pub async fn next(&mut self) -> EdgeToRegion {
        if let Some(message) = self.put_back.pop_front() {
            return message;
        }
        within("a message from the edge", async {
            loop {
                let (_, frame) = self.peer.receiver.recv().await.expect("linked");
                match frame.decode::<EdgeToRegion>().expect("readable") {
                    EdgeToRegion::Regions(_) => {}
                    EdgeToRegion::Edges(addresses) => self.edges = addresses,
                    message => return message,
                }
            }
        })
        .await
    }

    /// The next message that `pick` takes; others are dropped.
    pub async fn expect<T>(&mut self, what: &str, mut pick: impl FnMut(EdgeToRegion) -> Option<T>) -> T {
        within(what, async {
            loop {
                if let Some(found) = pick(self.next().await) {
                    return found;
                }
            }
        })
        .await
    }

    /// Is told to serve `region` and does.
    pub async fn take(&mut self, region: RegionId, lease: u64) {
        let asked = self
            .expect("a placement", |message| match message {
                EdgeToRegion::Place { region, .. } => Some(region),
                _ => None,
            })
            .await;
        assert_eq!(asked, region);
        let endpoint = self.node.local_addr().to_string();
        let placement = Placement { region, worker: self.id, lease: Epoch::new(1, lease), endpoint };
        self.placement = Some(placement.clone());
        self.send(&RegionToEdge::Placed(placement));
    }

    pub async fn opened(&mut self) -> OpenSession {
        self.expect("a session", |message| match message {
            EdgeToRegion::Open(open) => Some(*open),
            _ => None,
        })
        .await
    }

    /// Takes the next session at `applied` inputs; `tables` as the edge must have asked.
    pub async fn attach(&mut self, applied: u32, tables: bool) -> OpenSession {
        let open = self.opened().await;
        assert_eq!(open.fresh, tables, "{open:?}");
        let record = self.record(&open, 1, applied);
        self.send(&RegionToEdge::Attach(Box::new(record)));
        open
    }

    pub fn record(&self, open: &OpenSession, epoch: u64, applied: u32) -> AttachRecord {
        let names = vec![("chat".to_owned(), "said".to_owned())];
        AttachRecord {
            player: open.player,
            session: open.session,
            session_epoch: open.session_epoch,
            epoch: Epoch::new(1, epoch),
            region: self.placement.as_ref().expect("serves").region,
            entity: EntityId::from_bits(7).expect("not zero"),
            tick: Tick(1_000),
            applied,
            durable: applied,
            rate_hz: 30,
            sequence: self.sequence,
            continues: false,
            tables: open.fresh.then(|| Tables { names, schemas: Vec::new(), hash: 5 }),
        }
    }

    /// One frame for each of `players` in one batch.
    pub fn frames(&mut self, players: &[PlayerId], epoch: u64, tick: u64, applied: u32) {
        self.sequence += 1;
        let frame = |&player| FrameOut {
            player,
            epoch: Epoch::new(1, epoch),
            applied,
            durable: applied,
            sequence: self.sequence,
            body: format!("[{tick}]").into_bytes(),
        };
        let batch = StateBatch { tick: Tick(tick), frames: players.iter().map(frame).collect() };
        self.peer.sender.send_batch(&batch, DEADLINE).expect("linked");
    }

    /// One frame of `bytes` bytes.
    pub fn large_frame(&mut self, player: PlayerId, tick: u64, bytes: usize) {
        self.sequence += 1;
        let body = format!("[\"{}\"]", "x".repeat(bytes)).into_bytes();
        let (epoch, sequence) = (Epoch::new(1, 1), self.sequence);
        let frame = FrameOut { player, epoch, applied: 0, durable: 0, sequence, body };
        let batch = StateBatch { tick: Tick(tick), frames: vec![frame] };
        self.peer.sender.send_batch(&batch, DEADLINE).expect("linked");
    }

    pub fn event(&mut self, open: &OpenSession, number: u32) {
        let payload = format!(r#"{{"text":"{number}"}}"#).into_bytes();
        let epoch = Epoch::new(1, 1);
        let (player, session_epoch) = (open.player, open.session_epoch);
        let spelled = None;
        self.send(&RegionToEdge::Event { player, session_epoch, epoch, number, name: 0, spelled, payload });
    }

    /// The next input: number and payload.
    pub async fn input(&mut self) -> (u32, String) {
        self.expect("an input", |message| match message {
            EdgeToRegion::Input { seq, payload, .. } => {
                Some((seq, String::from_utf8(payload).expect("JSON")))
            }
            _ => None,
        })
        .await
    }

    /// Ends as a killed process does.
    pub async fn crash(self, world: &World) {
        self.peer.sender.close();
        self.node.close().await;
        world.exits.send(self.pid).await.expect("atlas lives");
    }
}

type Stream = WebSocketStream<TlsStream<TcpStream>>;

/// A player's program in JSON.
pub struct Client {
    pub socket: Stream,
}

impl Client {
    pub async fn connect(address: SocketAddr, pki: &Path, origin: Option<&str>) -> Result<Self, Error> {
        let stream = tls(address, pki).await.map_err(Error::Io)?;
        let mut request = format!("wss://localhost:{}/", address.port()).into_client_request()?;
        let headers = request.headers_mut();
        headers.insert("sec-websocket-protocol", "horizon.v1.json".parse().expect("a header"));
        if let Some(origin) = origin {
            headers.insert("origin", origin.parse().expect("a header"));
        }
        let (socket, _) = tokio_tungstenite::client_async(request, stream).await?;
        Ok(Self { socket })
    }

    pub async fn say(&mut self, message: &ClientMessage) {
        let mut text = String::new();
        json::encode_client(message, &mut text);
        // A server that has closed is noticed by whoever reads.
        let _ = self.socket.send(Message::text(text)).await;
    }

    pub async fn input(&mut self, seq: u32) {
        let name =
            horizon_protocol::client::EventName::Named { namespace: "chat".into(), event: "say".into() };
        let payload = format!("{seq}").into_bytes();
        self.say(&ClientMessage::Input(horizon_protocol::client::Input { seq, name, payload })).await;
    }

    /// The next message, or the close code.
    pub async fn next(&mut self) -> Result<ServerMessage, Option<u16>> {
        within("a message from the server", async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => return Ok(json::decode_server(&text).expect("readable")),
                    Some(Ok(Message::Close(frame))) => return Err(frame.map(|frame| frame.code.into())),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return Err(None),
                }
            }
        })
        .await
    }

    pub async fn welcome(&mut self) -> Welcome {
        match self.next().await {
            Ok(ServerMessage::Welcome(welcome)) => *welcome,
            other => panic!("no welcome but {other:?}"),
        }
    }

    /// Passes over everything up to the end: the last message and the close code.
    pub async fn end(&mut self) -> (Option<ServerMessage>, Option<u16>) {
        let mut last = None;
        loop {
            match self.next().await {
                Ok(message) => last = Some(message),
                Err(code) => return (last, code),
            }
        }
    }
}

pub fn hello(name: &str) -> Hello {
    let nonce = getrandom::u64().expect("randomness");
    Hello { version: 1, name: name.to_owned(), token: "guest".to_owned(), nonce, resume: None, spawn: None }
}

pub fn resume(name: &str, ticket: &[u8], events: u32) -> Hello {
    Hello { resume: Some(Resume { ticket: ticket.to_vec(), events }), ..hello(name) }
}

pub async fn tls(address: SocketAddr, pki: &Path) -> io::Result<TlsStream<TcpStream>> {
    let mut roots = RootCertStore::empty();
    let authority = CertificateDer::from_pem_file(pki.join("ca.pem")).expect("issued");
    roots.add(authority).expect("an authority");
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let stream = TcpStream::connect(address).await?;
    let name = ServerName::try_from("localhost").expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, stream).await
}
