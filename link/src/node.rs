//! A process's end of all its links.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use horizon_protocol::link::{Preamble, PreambleError, Role};
use quinn::{ApplicationClose, Connection, ConnectionError, Endpoint, TokioRuntime, VarInt};
use rustix::net::sockopt;
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::time::timeout;

use crate::identity::{Identity, SERVER_NAME};
use crate::peer::{CLOSED, Peer};
use crate::{LinkError, tls};

/// From the first packet until both sides know each other.
const HANDSHAKE: Duration = Duration::from_secs(3);
/// Time to tell peers about the end.
const FAREWELL: Duration = Duration::from_secs(1);
/// Handshakes of unknown peers at the same time; more are turned away.
const MAX_HANDSHAKES: usize = 64;
/// Accepted peers that nobody has fetched.
const ACCEPTED: usize = 64;
/// Asked of the kernel for the socket, each way; it may give less.
const SOCKET_BUFFER_BYTES: usize = 4 * 1024 * 1024;
/// Application close code of a refusal; the reason is its text.
const REFUSED: VarInt = VarInt::from_u32(1);

/// One socket that accepts links and opens them, as one identity in one world. Dropping it closes every
/// link.
#[derive(Debug)]
pub struct Node {
    endpoint: Endpoint,
    address: SocketAddr,
    preamble: Preamble,
    accepted: Mutex<mpsc::Receiver<Result<Peer, LinkError>>>,
}

impl Node {
    /// Opens the socket at `address` and accepts from now on. `preamble` says which world and role
    /// this process claims; its certificate must speak for the role.
    ///
    /// # Errors
    ///
    /// [`LinkError::Bind`] and [`LinkError::Identity`].
    ///
    /// # Panics
    ///
    /// Outside of a tokio runtime.
    pub fn bind(address: SocketAddr, identity: &Identity, preamble: Preamble) -> Result<Self, LinkError> {
        let (server, client) = tls::configs(identity)?;
        let refused = |cause| LinkError::Bind { address, cause };
        let socket = UdpSocket::bind(address).map_err(refused)?;
        let _ = sockopt::set_socket_recv_buffer_size(&socket, SOCKET_BUFFER_BYTES);
        let _ = sockopt::set_socket_send_buffer_size(&socket, SOCKET_BUFFER_BYTES);
        let runtime = Arc::new(TokioRuntime);
        let mut endpoint =
            Endpoint::new(tls::endpoint(identity), Some(server), socket, runtime).map_err(refused)?;
        endpoint.set_default_client_config(client);
        let local = endpoint.local_addr().map_err(refused)?;
        let (peers, accepted) = mpsc::channel(ACCEPTED);
        tokio::spawn(accept(endpoint.clone(), preamble, peers));
        Ok(Self { endpoint, address: local, preamble, accepted: Mutex::new(accepted) })
    }

    /// Where it listens, with the port that was chosen.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Opens a link to the node at `host:port`. Gives up after three seconds.
    ///
    /// # Errors
    ///
    /// [`LinkError`] with the address and the reason.
    pub async fn connect(&self, address: &str) -> Result<Peer, LinkError> {
        let unreachable = |why: String| LinkError::Unreachable { address: address.to_owned(), why };
        let opened = timeout(HANDSHAKE, async {
            let target = self.resolve(address).await.map_err(|error| unreachable(error.to_string()))?;
            let connecting = self.endpoint.connect(target, SERVER_NAME);
            let connecting = connecting.map_err(|error| unreachable(error.to_string()))?;
            let connection = connecting.await.map_err(|error| unreachable(explain(&error)))?;
            greet(connection, address, &self.preamble, Side::Dials).await
        });
        match opened.await {
            Ok(result) => result,
            Err(_) => Err(unreachable(format!("no answer within {} s", HANDSHAKE.as_secs()))),
        }
    }

    /// The next peer that opened a link here, or the reason why one could not; `None` after
    /// [`Self::close`].
    pub async fn accept(&self) -> Option<Result<Peer, LinkError>> {
        self.accepted.lock().await.recv().await
    }

    /// Closes every link, tells the peers, and waits for that at most a second.
    pub async fn close(&self) {
        self.endpoint.close(CLOSED, b"the process ends");
        let _ = timeout(FAREWELL, self.endpoint.wait_idle()).await;
    }

    /// The first address of the family that the socket speaks.
    async fn resolve(&self, address: &str) -> io::Result<SocketAddr> {
        let found = tokio::net::lookup_host(address).await?;
        let mut usable = found.filter(|found| found.is_ipv4() == self.address.is_ipv4());
        usable.next().ok_or_else(|| io::Error::other("the name has no address of this socket's family"))
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.endpoint.close(CLOSED, b"the process ends");
    }
}

#[derive(Clone, Copy)]
enum Side {
    Dials,
    Accepts,
}

async fn accept(endpoint: Endpoint, preamble: Preamble, peers: mpsc::Sender<Result<Peer, LinkError>>) {
    let handshakes = Arc::new(Semaphore::new(MAX_HANDSHAKES));
    while let Some(incoming) = endpoint.accept().await {
        let Ok(permit) = Arc::clone(&handshakes).try_acquire_owned() else {
            incoming.refuse();
            continue;
        };
        let peers = peers.clone();
        tokio::spawn(async move {
            let address = incoming.remote_address().to_string();
            let unreachable = |why: String| LinkError::Unreachable { address: address.clone(), why };
            let opened = timeout(HANDSHAKE, async {
                let connection = incoming.await.map_err(|error| unreachable(explain(&error)))?;
                greet(connection, &address, &preamble, Side::Accepts).await
            });
            let result =
                opened.await.unwrap_or_else(|_| Err(unreachable("the handshake took too long".to_owned())));
            drop(permit);
            let _ = peers.send(result).await;
        });
    }
}

/// Exchanges preambles and checks the peer's. A refusal is told to the peer as the reason of closing.
async fn greet(
    connection: Connection,
    address: &str,
    ours: &Preamble,
    side: Side,
) -> Result<Peer, LinkError> {
    let theirs = match exchange(&connection, ours, side).await {
        Ok(bytes) => bytes,
        Err(error) => {
            return Err(match connection.close_reason().unwrap_or(error) {
                ConnectionError::ApplicationClosed(ApplicationClose { error_code, reason })
                    if error_code == REFUSED =>
                {
                    let reason = String::from_utf8_lossy(&reason).into_owned();
                    LinkError::Refused { address: address.to_owned(), reason }
                }
                error => LinkError::Unreachable { address: address.to_owned(), why: explain(&error) },
            });
        }
    };
    match check(&connection, address, ours, &theirs) {
        Ok(role) => Ok(Peer::start(role, connection)),
        Err(error) => {
            connection.close(REFUSED, refusal(&error).as_bytes());
            Err(error)
        }
    }
}

async fn exchange(
    connection: &Connection,
    ours: &Preamble,
    side: Side,
) -> Result<[u8; Preamble::BYTES], ConnectionError> {
    // Streams end with the connection or by a peer that breaks the protocol.
    let broken = || connection.close_reason().unwrap_or(ConnectionError::Reset);
    let (mut send, mut receive) = match side {
        Side::Dials => connection.open_bi().await?,
        Side::Accepts => connection.accept_bi().await?,
    };
    send.write_all(&ours.encode()).await.map_err(|_| broken())?;
    let _ = send.finish();
    let mut theirs = [0; Preamble::BYTES];
    receive.read_exact(&mut theirs).await.map_err(|_| broken())?;
    Ok(theirs)
}

fn check(
    connection: &Connection,
    address: &str,
    ours: &Preamble,
    bytes: &[u8; Preamble::BYTES],
) -> Result<Role, LinkError> {
    let theirs = Preamble::decode(bytes).and_then(|theirs| match theirs.version == ours.version {
        true => Ok(theirs),
        false => Err(PreambleError::Version { theirs: theirs.version, ours: ours.version }),
    });
    let theirs = theirs.map_err(|error| LinkError::Preamble { address: address.to_owned(), error })?;
    if theirs.world != ours.world {
        let (theirs, ours) = (theirs.world.to_string(), ours.world.to_string());
        return Err(LinkError::World { address: address.to_owned(), theirs, ours });
    }
    let names = tls::certified_names(connection);
    if names.iter().any(|name| name == tls::uri_of(theirs.role)) {
        return Ok(theirs.role);
    }
    let certified = if names.is_empty() { "nobody".to_owned() } else { names.join(", ") };
    Err(LinkError::Role { address: address.to_owned(), claimed: theirs.role, certified })
}

/// A refusal from the refused side's point of view.
fn refusal(error: &LinkError) -> String {
    match error {
        LinkError::Preamble { error: PreambleError::Version { theirs, ours }, .. } => {
            format!("you speak link version {theirs}, this process {ours}; run the same build on both")
        }
        LinkError::Preamble { error, .. } => error.to_string(),
        LinkError::World { theirs, ours, .. } => format!("you serve world {theirs}, this process {ours}"),
        LinkError::Role { claimed, certified, .. } => {
            format!("you claim to be {claimed:?} with a certificate for {certified}")
        }
        other => other.to_string(),
    }
}

fn explain(error: &ConnectionError) -> String {
    match error {
        ConnectionError::TimedOut => "no answer; is it running, and is UDP let through?".to_owned(),
        other => other.to_string(),
    }
}
