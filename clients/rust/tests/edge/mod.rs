//! An edge for tests: real TLS 1.3 and WebSockets on a free port, around a world that the test writes.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use horizon_client::Spelling;
use horizon_protocol::client::{
    ClientMessage, SUBPROTOCOL_BINARY, SUBPROTOCOL_JSON, ServerMessage, binary, json,
};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivatePkcs8KeyDer;
use tokio_tungstenite::accept_hdr_async;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

/// What stands behind the edge. One lock for all connections: tests are small.
pub(crate) trait World: Send + 'static {
    /// Answers one message; `true` cuts the socket afterwards.
    fn handle(&mut self, seat: &mut Seat, message: ClientMessage) -> (Vec<ServerMessage>, bool);

    /// Thirty times a second for each connection.
    fn tick(&mut self, _seat: &mut Seat) -> Vec<ServerMessage> {
        Vec::new()
    }
}

/// One connection.
pub(crate) struct Seat {
    /// How its messages are written.
    pub(crate) spelling: Spelling,
    /// 1, 2, 3 … in the order in which they came.
    pub(crate) number: u64,
}

/// A running edge; it ends with the test's runtime.
pub(crate) struct Edge<W> {
    address: SocketAddr,
    ca: tempfile::NamedTempFile,
    world: Arc<Mutex<W>>,
}

impl<W: World> Edge<W> {
    pub(crate) async fn start(world: W) -> Self {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let issued = rcgen::generate_simple_self_signed(names).expect("a certificate");
        let ca = tempfile::NamedTempFile::new().expect("a temporary file");
        std::fs::write(ca.path(), issued.cert.pem()).expect("a writable file");
        let key = PrivatePkcs8KeyDer::from(issued.signing_key.serialize_der()).into();
        let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&tokio_rustls::rustls::version::TLS13])
            .expect("TLS 1.3 is there")
            .with_no_client_auth()
            .with_single_cert(vec![issued.cert.der().clone()], key)
            .expect("the key fits the certificate");
        let acceptor = TlsAcceptor::from(Arc::new(config));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let world = Arc::new(Mutex::new(world));
        let shared = Arc::clone(&world);
        tokio::spawn(async move {
            let mut number = 0;
            while let Ok((tcp, _)) = listener.accept().await {
                number += 1;
                let (acceptor, world) = (acceptor.clone(), Arc::clone(&shared));
                tokio::spawn(async move {
                    let _ = serve(tcp, acceptor, world, number).await;
                });
            }
        });
        Self { address, ca, world }
    }

    pub(crate) fn url(&self) -> String {
        format!("wss://localhost:{}/", self.address.port())
    }

    pub(crate) fn ca_file(&self) -> &Path {
        self.ca.path()
    }

    pub(crate) fn world(&self) -> MutexGuard<'_, W> {
        self.world.lock().expect("no test panics while it holds the world")
    }
}

async fn serve<W: World>(
    tcp: TcpStream,
    acceptor: TlsAcceptor,
    world: Arc<Mutex<W>>,
    number: u64,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let tls = acceptor.accept(tcp).await?;
    let mut seat = Seat { spelling: Spelling::Binary, number };
    #[allow(clippy::result_large_err)]
    let choose = |request: &Request, mut response: Response| {
        let offered = request.headers()["sec-websocket-protocol"].to_str().unwrap_or_default();
        seat.spelling = if offered == SUBPROTOCOL_JSON { Spelling::Json } else { Spelling::Binary };
        let chosen = if seat.spelling == Spelling::Json { SUBPROTOCOL_JSON } else { SUBPROTOCOL_BINARY };
        response.headers_mut().insert("sec-websocket-protocol", chosen.parse().expect("ASCII"));
        Ok(response)
    };
    let mut socket = accept_hdr_async(tls, choose).await?;
    let mut interval = tokio::time::interval(Duration::from_secs(1) / 30);
    loop {
        let (answers, cut) = tokio::select! {
            message = socket.next() => {
                let message = match message {
                    Some(Ok(Message::Binary(bytes))) => binary::decode_client(&bytes)?,
                    Some(Ok(Message::Text(text))) => json::decode_client(&text)?,
                    Some(Ok(_)) => continue,
                    Some(Err(error)) => return Err(error.into()),
                    None => return Ok(()),
                };
                world.lock().expect("no test panics while it holds the world").handle(&mut seat, message)
            }
            _ = interval.tick() => {
                let frames = world.lock().expect("no test panics while it holds the world").tick(&mut seat);
                (frames, false)
            }
        };
        for answer in answers {
            socket.send(encode(&answer, seat.spelling)).await?;
        }
        if cut {
            return Ok(());
        }
    }
}

fn encode(message: &ServerMessage, spelling: Spelling) -> Message {
    match spelling {
        Spelling::Binary => {
            let mut bytes = Vec::new();
            binary::encode_server(message, &mut bytes);
            Message::binary(bytes)
        }
        Spelling::Json => {
            let mut text = String::new();
            json::encode_server(message, &mut text);
            Message::text(text)
        }
    }
}
