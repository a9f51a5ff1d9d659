//! From a URL to an answered hello: TCP, TLS 1.3, WebSocket, first message.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use horizon_model::Tick;
use horizon_protocol::client::{
    ClientMessage, SUBPROTOCOL_BINARY, SUBPROTOCOL_JSON, ServerMessage, Spelling, binary, json,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::client::ClientRequestBuilder;
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::tungstenite::{Error as SocketError, Message};
use tokio_tungstenite::{WebSocketStream, client_async_with_config};

pub(crate) type Socket = WebSocketStream<TlsStream<TcpStream>>;

/// From the first packet to the answered hello; the server gives a client as long.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);
/// Largest message taken from a server: a welcome with full tables and a first picture of a crowd.
const MAX_SERVER_MESSAGE_BYTES: usize = 4 * 1024 * 1024;
/// Per direction. Hundreds of clients in one process are common in tests.
const BUFFER_BYTES: usize = 4 * 1024;

/// Why no connection came about.
#[derive(Debug, thiserror::Error)]
pub enum DialError {
    /// Correct the configuration: it must read `wss://host:port/`.
    #[error("{0:?} is not a URL like wss://host:7777/")]
    Url(String),
    /// Nobody answers there, or the certificate is not trusted; another edge may do.
    #[error("cannot reach {url}: {error}")]
    Io {
        /// Where to.
        url: String,
        /// What the system or TLS says.
        error: std::io::Error,
    },
    /// Whoever answers does not speak this protocol, or closed early.
    #[error("{url} does not take us: {error}")]
    Socket {
        /// Where to.
        url: String,
        /// What the WebSocket layer says.
        error: Box<SocketError>,
    },
    /// The answer to the hello was no message.
    #[error("{url} answers the hello with something else: {why}")]
    Answer {
        /// Where to.
        url: String,
        /// What came.
        why: String,
    },
    /// Nothing within ten seconds.
    #[error("{0} did not answer in 10 s")]
    Timeout(String),
}

/// Whom to trust as an edge.
#[derive(Debug, Clone)]
pub enum Trust {
    /// Certificates signed by the authority in this PEM file.
    CaFile(PathBuf),
    /// A configuration made by the program; share one between many clients.
    Config(Arc<ClientConfig>),
}

/// The authority file is missing, unreadable or empty.
#[derive(Debug, thiserror::Error)]
#[error("cannot use {path} as the authority to trust: {why}")]
pub struct TrustError {
    path: String,
    why: String,
}

impl Trust {
    /// The TLS configuration: 1.3 only, the given authority only, no client certificate.
    ///
    /// # Errors
    ///
    /// [`TrustError`].
    pub fn config(&self) -> Result<Arc<ClientConfig>, TrustError> {
        match self {
            Self::Config(config) => Ok(Arc::clone(config)),
            Self::CaFile(path) => {
                trust_file(path).map_err(|why| TrustError { path: path.display().to_string(), why })
            }
        }
    }
}

fn trust_file(path: &Path) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(path).map_err(|error| error.to_string())? {
        let certificate = certificate.map_err(|error| error.to_string())?;
        roots.add(certificate).map_err(|error| error.to_string())?;
    }
    if roots.is_empty() {
        return Err("it holds no certificate".to_owned());
    }
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| error.to_string())?;
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// Connects, says hello, and returns the socket with the answer.
pub(crate) async fn dial(
    url: String,
    tls: Arc<ClientConfig>,
    spelling: Spelling,
    hello: ClientMessage,
) -> Result<(Socket, ServerMessage), DialError> {
    match tokio::time::timeout(DIAL_TIMEOUT, greet(&url, tls, spelling, &hello)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(DialError::Timeout(url)),
    }
}

async fn greet(
    url: &str,
    tls: Arc<ClientConfig>,
    spelling: Spelling,
    hello: &ClientMessage,
) -> Result<(Socket, ServerMessage), DialError> {
    let io = |error| DialError::Io { url: url.to_owned(), error };
    let socket = |error| DialError::Socket { url: url.to_owned(), error: Box::new(error) };
    let answer = |why: String| DialError::Answer { url: url.to_owned(), why };
    let bad_url = || DialError::Url(url.to_owned());

    let uri: Uri = url.parse().map_err(|_| bad_url())?;
    let host = uri.host().filter(|_| uri.scheme_str() == Some("wss")).ok_or_else(bad_url)?;
    let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
    let port = uri.port_u16().unwrap_or(443);
    let name = ServerName::try_from(host.clone()).map_err(|_| bad_url())?;

    let tcp = TcpStream::connect((host.as_str(), port)).await.map_err(io)?;
    tcp.set_nodelay(true).map_err(io)?;
    let stream = TlsConnector::from(tls).connect(name, tcp).await.map_err(io)?;
    let subprotocol = match spelling {
        Spelling::Binary => SUBPROTOCOL_BINARY,
        Spelling::Json => SUBPROTOCOL_JSON,
    };
    let request = ClientRequestBuilder::new(uri).with_sub_protocol(subprotocol);
    let config = WebSocketConfig::default()
        .read_buffer_size(BUFFER_BYTES)
        .write_buffer_size(BUFFER_BYTES)
        .max_message_size(Some(MAX_SERVER_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_SERVER_MESSAGE_BYTES));
    let (mut stream, _) = client_async_with_config(request, stream, Some(config)).await.map_err(socket)?;
    stream.send(encode(hello, spelling)).await.map_err(socket)?;
    loop {
        match stream.next().await {
            Some(Ok(message)) => match decode(&message, spelling, Tick(0)) {
                Some(Ok(first @ (ServerMessage::Welcome(_) | ServerMessage::Refused(_)))) => {
                    return Ok((stream, first));
                }
                Some(Ok(ServerMessage::Closing(closing))) => return Err(answer(closing.message)),
                Some(Ok(_)) => return Err(answer("a message that belongs after the welcome".to_owned())),
                Some(Err(why)) => return Err(answer(why)),
                None => {}
            },
            Some(Err(error)) => return Err(socket(error)),
            None => return Err(answer("it closed the connection".to_owned())),
        }
    }
}

/// A message as it is written to the socket.
pub(crate) fn encode(message: &ClientMessage, spelling: Spelling) -> Message {
    match spelling {
        Spelling::Binary => {
            let mut bytes = Vec::new();
            binary::encode_client(message, &mut bytes);
            Message::binary(bytes)
        }
        Spelling::Json => {
            let mut text = String::new();
            json::encode_client(message, &mut text);
            Message::text(text)
        }
    }
}

/// What was read from the socket; `None` for messages of the WebSocket layer itself.
pub(crate) fn decode(
    message: &Message,
    spelling: Spelling,
    reference: Tick,
) -> Option<Result<ServerMessage, String>> {
    let decoded = match (message, spelling) {
        (Message::Binary(bytes), Spelling::Binary) => binary::decode_server(bytes, reference),
        (Message::Text(text), Spelling::Json) => json::decode_server(text.as_str()),
        (Message::Binary(_) | Message::Text(_), _) => {
            return Some(Err("it speaks the other spelling".to_owned()));
        }
        (Message::Ping(_) | Message::Pong(_) | Message::Close(_) | Message::Frame(_), _) => return None,
    };
    Some(decoded.map_err(|error| error.to_string()))
}
