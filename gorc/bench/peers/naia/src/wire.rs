//! A network in memory: what is sent arrives in order at once, and what the server sends is counted.
//!
//! naia brings an in-memory transport for its own tests, but that one looks through every connection for
//! each packet, which a thousand clients turn into the largest cost of all.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, MutexGuard};

use naia_client::transport as client;
use naia_server::transport as server;
use naia_shared::IdentityToken;

/// First address of the clients; client `n` has the `n`th after it.
const FIRST_CLIENT: u32 = u32::from_be_bytes([10, 0, 0, 0]);
const SERVER: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 1);

/// The address of a client.
pub fn client_address(client: usize) -> SocketAddr {
    let offset = u32::try_from(client).expect("a movement file counts players in 32 bits");
    (Ipv4Addr::from_bits(FIRST_CLIENT + offset), 1).into()
}

/// The client with an address, if it is one of ours.
pub fn client_at(address: &SocketAddr) -> Option<usize> {
    let SocketAddr::V4(address) = address else { return None };
    Some(address.ip().to_bits().checked_sub(FIRST_CLIENT)? as usize)
}

/// One network; clones share it.
#[derive(Clone)]
pub struct Wire(Arc<Mutex<State>>);

struct State {
    to_server: VecDeque<(SocketAddr, Box<[u8]>)>,
    joins: VecDeque<SocketAddr>,
    clients: Vec<Inbox>,
    sent: Sent,
}

#[derive(Default)]
struct Inbox {
    packets: VecDeque<Box<[u8]>>,
    token: Option<IdentityToken>,
}

/// What the server sent.
#[derive(Clone, Copy, Default)]
pub struct Sent {
    /// Payload as naia hands it to a socket: with its own headers, without UDP and IP.
    pub bytes: usize,
    /// Datagrams.
    pub packets: usize,
}

impl Wire {
    /// A network with this many clients.
    pub fn new(clients: usize) -> Self {
        let clients = std::iter::repeat_with(Inbox::default).take(clients).collect();
        let state =
            State { to_server: VecDeque::new(), joins: VecDeque::new(), clients, sent: Sent::default() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// The server's end.
    pub fn server(&self) -> Box<dyn server::Socket> {
        Box::new(ServerEnd { wire: self.clone(), current: Box::default() })
    }

    /// A client's end.
    pub fn client(&self, client: usize) -> Box<dyn client::Socket> {
        Box::new(ClientEnd { wire: self.clone(), client, current: Box::default() })
    }

    /// What the server sent since this was last asked.
    pub fn take_sent(&self) -> Sent {
        std::mem::take(&mut self.state().sent)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nothing panics while it holds the lock")
    }
}

/// All of the server's handles: naia wants one object per role.
#[derive(Clone)]
struct ServerEnd {
    wire: Wire,
    current: Box<[u8]>,
}

impl server::Socket for ServerEnd {
    fn listen(self: Box<Self>) -> server::ListenResult {
        (self.clone(), self.clone(), self.clone(), self)
    }
}

impl server::PacketSender for ServerEnd {
    fn send(&self, address: &SocketAddr, payload: &[u8]) -> Result<(), server::SendError> {
        let mut state = self.wire.state();
        state.sent.bytes += payload.len();
        state.sent.packets += 1;
        let inbox = client_at(address).and_then(|client| state.clients.get_mut(client));
        inbox.ok_or(server::SendError)?.packets.push_back(payload.into());
        Ok(())
    }
}

impl server::PacketReceiver for ServerEnd {
    fn receive(&mut self) -> Result<Option<(SocketAddr, &[u8])>, server::RecvError> {
        let Some((address, payload)) = self.wire.state().to_server.pop_front() else { return Ok(None) };
        self.current = payload;
        Ok(Some((address, &self.current)))
    }
}

impl server::AuthSender for ServerEnd {
    fn accept(&self, address: &SocketAddr, token: &IdentityToken) -> Result<(), server::SendError> {
        let mut state = self.wire.state();
        let inbox = client_at(address).and_then(|client| state.clients.get_mut(client));
        inbox.ok_or(server::SendError)?.token = Some(token.clone());
        Ok(())
    }

    fn reject(&self, _: &SocketAddr) -> Result<(), server::SendError> {
        Ok(())
    }
}

impl server::AuthReceiver for ServerEnd {
    fn receive(&mut self) -> Result<Option<(SocketAddr, &[u8])>, server::RecvError> {
        Ok(self.wire.state().joins.pop_front().map(|address| (address, [].as_slice())))
    }
}

/// All of a client's handles.
#[derive(Clone)]
struct ClientEnd {
    wire: Wire,
    client: usize,
    current: Box<[u8]>,
}

type ClientHandles =
    (Box<dyn client::IdentityReceiver>, Box<dyn client::PacketSender>, Box<dyn client::PacketReceiver>);

impl client::Socket for ClientEnd {
    fn connect(self: Box<Self>) -> ClientHandles {
        self.wire.state().joins.push_back(client_address(self.client));
        (self.clone(), self.clone(), self)
    }

    fn connect_with_auth(self: Box<Self>, _: Vec<u8>) -> ClientHandles {
        self.connect()
    }

    fn connect_with_auth_headers(self: Box<Self>, _: Vec<(String, String)>) -> ClientHandles {
        self.connect()
    }

    fn connect_with_auth_and_headers(self: Box<Self>, _: Vec<u8>, _: Vec<(String, String)>) -> ClientHandles {
        self.connect()
    }
}

impl client::IdentityReceiver for ClientEnd {
    fn receive(&mut self) -> client::IdentityReceiverResult {
        match self.wire.state().clients[self.client].token.take() {
            Some(token) => client::IdentityReceiverResult::Success(token),
            None => client::IdentityReceiverResult::Waiting,
        }
    }
}

impl client::PacketSender for ClientEnd {
    fn send(&self, payload: &[u8]) -> Result<(), client::SendError> {
        self.wire.state().to_server.push_back((client_address(self.client), payload.into()));
        Ok(())
    }

    fn server_addr(&self) -> client::ServerAddr {
        client::ServerAddr::Found(SERVER)
    }
}

impl client::PacketReceiver for ClientEnd {
    fn receive(&mut self) -> Result<Option<&[u8]>, client::RecvError> {
        let Some(payload) = self.wire.state().clients[self.client].packets.pop_front() else {
            return Ok(None);
        };
        self.current = payload;
        Ok(Some(&self.current))
    }

    fn server_addr(&self) -> client::ServerAddr {
        client::ServerAddr::Found(SERVER)
    }
}
