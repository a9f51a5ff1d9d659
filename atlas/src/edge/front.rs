//! The public listener: TCP, TLS, one HTTP request, and then a page or a session.
//!
//! ```text
//! accept ─▶ gate (limits per address) ─▶ TLS ─▶ HTTP/1.1 ─┬─▶ the page and its data
//!                                                        └─▶ 101 ─▶ hello ─▶ session
//! ```

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::header::{CONNECTION, HOST, HeaderValue, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::{OnUpgrade, Parts};
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::gate::{Admission, Gate};
use super::socket::{self, Counted, KERNEL_SEND_BYTES};
use super::upgrade::{self, Upgrade};
use super::{Edge, page, welcome};

/// Connections that wait to be accepted.
const BACKLOG: u32 = 1_024;
/// A connection that only asks for the page and its data is closed after this long; its browser opens
/// another one.
const VISIT: Duration = Duration::from_secs(60);
/// Pause after the system could not accept, so that a lack of descriptors is no busy loop.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A listener whose sockets have the small send buffer that credit needs.
///
/// # Errors
///
/// What the system says.
pub fn listen(address: SocketAddr) -> std::io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(KERNEL_SEND_BYTES)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Accepts until `stop` says so, then waits until every connection has ended.
pub async fn serve(
    edge: Arc<Edge>,
    listener: TcpListener,
    tls: TlsAcceptor,
    gate: Gate,
    mut stop: watch::Receiver<bool>,
) {
    let handshakes = Arc::new(Semaphore::new(edge.config.limits.handshakes));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = stop.wait_for(|stop| *stop) => break,
            Some(_) = connections.join_next() => continue,
        };
        let (stream, from) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let admission = match gate.admit(edge.uptime(), from.ip()) {
            Ok(admission) => admission,
            Err(refusal) => {
                tracing::debug!(%from, %refusal, "connection refused");
                edge.figures.turned_away.inc();
                continue;
            }
        };
        connections.spawn(connection(edge.clone(), stream, tls.clone(), handshakes.clone(), admission));
    }
    drop(listener);
    while connections.join_next().await.is_some() {}
}

async fn connection(
    edge: Arc<Edge>,
    stream: TcpStream,
    tls: TlsAcceptor,
    handshakes: Arc<Semaphore>,
    admission: Admission,
) {
    let until = Instant::now() + edge.config.limits.tls_timeout;
    // Whoever comes with a crowd, such as all players of an edge that has ended, waits for its turn.
    let Ok(Ok(handshake)) = timeout_at(until, handshakes.acquire()).await else {
        edge.figures.turned_away.inc();
        return;
    };
    let _ = stream.set_nodelay(true);
    let accept = tls.accept(Counted::new(stream));
    let Ok(Ok(stream)) = timeout_at(until, accept).await else {
        return;
    };
    drop(handshake);
    let Some((upgrade, parts)) = http(&edge, stream).await else { return };
    let limits = &edge.config.limits;
    let opened = socket::open(parts.io.into_inner(), parts.read_buf.to_vec(), limits.message_bytes).await;
    let Ok(socket) = opened else { return };
    welcome::greet(edge, socket, upgrade.spelling, admission).await;
}

type Upgraded = Parts<TokioIo<TlsStream<Counted>>>;

/// Serves the page until the client asks for a WebSocket or leaves.
async fn http(edge: &Arc<Edge>, stream: TlsStream<Counted>) -> Option<(Upgrade, Upgraded)> {
    let limits = &edge.config.limits;
    let wanted: Mutex<Option<(Upgrade, OnUpgrade)>> = Mutex::new(None);
    let service =
        service_fn(|request| std::future::ready(Ok::<_, Infallible>(answer(edge, request, &wanted))));
    let mut builder = http1::Builder::new();
    builder
        .timer(TokioTimer::new())
        .header_read_timeout(limits.upgrade_timeout)
        .max_headers(limits.headers)
        .max_header_size(limits.header_bytes)
        .max_buf_size(limits.header_bytes.max(8 * 1024));
    let mut connection =
        std::pin::pin!(builder.serve_connection(TokioIo::new(stream), service).with_upgrades());
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = tokio::time::sleep(VISIT) => None,
    };
    match ended {
        Some(Ok(())) => {}
        Some(Err(_)) => return None,
        None => {
            connection.as_mut().graceful_shutdown();
            let _ = timeout(limits.upgrade_timeout, connection.as_mut()).await;
            return None;
        }
    }
    let (upgrade, stream) = wanted.lock().unwrap_or_else(PoisonError::into_inner).take()?;
    let parts = stream.await.ok()?.downcast().ok()?;
    Some((upgrade, parts))
}

fn answer(
    edge: &Edge,
    mut request: Request<Incoming>,
    wanted: &Mutex<Option<(Upgrade, OnUpgrade)>>,
) -> Response<Full<Bytes>> {
    let host = request.headers().get(HOST).and_then(|host| host.to_str().ok()).map(str::to_owned);
    let host = host.as_deref();
    let text = "text/plain; charset=utf-8";
    if upgrade::is_wanted(&request) {
        return match upgrade::check(&request, &edge.config.atlas.allowed_origins) {
            Ok(upgrade) => {
                let response = switch(&upgrade);
                let stream = hyper::upgrade::on(&mut request);
                *wanted.lock().unwrap_or_else(PoisonError::into_inner) = Some((upgrade, stream));
                response
            }
            Err(error) => page::respond(error.status(), text, host, error.to_string().into()),
        };
    }
    if request.method() != Method::GET && request.method() != Method::HEAD {
        return page::respond(StatusCode::METHOD_NOT_ALLOWED, text, host, "only GET here\n".into());
    }
    let path = request.uri().path();
    if path == "/live.json" {
        return page::respond(StatusCode::OK, "application/json", host, edge.live.read());
    }
    match page::file(path) {
        Some((content_type, body)) => {
            page::respond(StatusCode::OK, content_type, host, Bytes::from_static(body.as_bytes()))
        }
        None => page::respond(StatusCode::NOT_FOUND, text, host, "not found\n".into()),
    }
}

fn switch(upgrade: &Upgrade) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(upgrade.subprotocol));
    let accept = HeaderValue::from_str(&upgrade.accept).expect("base 64 is a header value");
    headers.insert(SEC_WEBSOCKET_ACCEPT, accept);
    response
}
