//! The admin listener of a process: health, readiness, metrics, and what the process adds.
//!
//! `/healthz` answers 200 while the process lives, `/readyz` 200 or 503 with the reason, `/metrics`
//! OpenMetrics text. It is plain HTTP on an address of its own, never on a public one.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use axum::Router;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::listen::ListenError;
use crate::metrics::Metrics;

/// Requests that run longer than this when the process ends are cut off.
const DRAIN: Duration = Duration::from_secs(1);
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Whether the process can do its work, and why not. Clones share it.
#[derive(Debug, Clone)]
pub struct Readiness {
    state: Arc<watch::Sender<Result<(), String>>>,
}

impl Default for Readiness {
    fn default() -> Self {
        Self { state: Arc::new(watch::Sender::new(Err("starting".to_owned()))) }
    }
}

impl Readiness {
    /// Not ready: starting.
    pub fn starting() -> Self {
        Self::default()
    }

    /// Ready from now on.
    pub fn ready(&self) {
        let _ = self.state.send_replace(Ok(()));
    }

    /// Not ready from now on, for a reason in a few words.
    pub fn not_ready(&self, why: impl Into<String>) {
        let _ = self.state.send_replace(Err(why.into()));
    }

    /// Ready, or why not.
    pub fn state(&self) -> Result<(), String> {
        self.state.borrow().clone()
    }
}

/// The open admin listener. Dropping it closes it at once.
#[derive(Debug)]
pub struct Admin {
    address: SocketAddr,
    stop: watch::Sender<bool>,
    server: JoinHandle<()>,
}

impl Admin {
    /// Opens the listener at `address`, which `key` (such as `[atlas] admin`) chooses, and answers
    /// from now on. `extra` adds the routes of the process.
    ///
    /// # Errors
    ///
    /// [`ListenError`] where the address cannot be had.
    pub async fn bind(
        address: SocketAddr,
        key: &'static str,
        metrics: Metrics,
        readiness: Readiness,
        extra: Router,
    ) -> Result<Self, ListenError> {
        let refused = |source| ListenError::new(address, key, source);
        let listener = TcpListener::bind(address).await.map_err(refused)?;
        let local = listener.local_addr().map_err(refused)?;
        let router = Router::new()
            .route("/healthz", get(async || "alive\n"))
            .route("/readyz", get(move || std::future::ready(answer_ready(&readiness))))
            .route("/metrics", get(move || std::future::ready(answer_metrics(&metrics))))
            .merge(extra);
        let (stop, mut stopped) = watch::channel(false);
        let server = tokio::spawn(async move {
            let ending = async move {
                let _ = stopped.wait_for(|stop| *stop).await;
            };
            if let Err(error) = axum::serve(listener, router).with_graceful_shutdown(ending).await {
                tracing::warn!(%error, "admin listener ended");
            }
        });
        Ok(Self { address: local, stop, server })
    }

    /// Where it listens, with the port that was chosen.
    pub const fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Answers what runs for at most a second, and closes.
    pub async fn shutdown(mut self) {
        self.stop.send_replace(true);
        let _ = tokio::time::timeout(DRAIN, &mut self.server).await;
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        self.server.abort();
    }
}

fn answer_ready(readiness: &Readiness) -> (StatusCode, String) {
    match readiness.state() {
        Ok(()) => (StatusCode::OK, "ready\n".to_owned()),
        Err(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

fn answer_metrics(metrics: &Metrics) -> impl IntoResponse + use<> {
    ([(header::CONTENT_TYPE, OPEN_METRICS)], metrics.encode())
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    use super::*;

    async fn ask(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.expect("listens");
        let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("written");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("read");
        answer
    }

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("an address")
    }

    #[tokio::test]
    async fn answers() {
        let (metrics, readiness) = (Metrics::new(), Readiness::starting());
        metrics.gauge("atlas_sessions", "Open sessions").set(7);
        let extra = Router::new().route("/page", get(async || "hello"));
        let admin = Admin::bind(address("127.0.0.1:0"), "[atlas] admin", metrics, readiness.clone(), extra)
            .await
            .expect("a free port");
        let rows = [
            ("/healthz", "HTTP/1.1 200 ", "alive\n"),
            ("/readyz", "HTTP/1.1 503 ", "starting\n"),
            ("/metrics", "HTTP/1.1 200 ", "atlas_sessions 7\n# EOF\n"),
            ("/page", "HTTP/1.1 200 ", "hello"),
            ("/other", "HTTP/1.1 404 ", ""),
        ];
        for (path, status, body) in rows {
            let answer = ask(admin.local_addr(), path).await;
            assert!(answer.starts_with(status) && answer.ends_with(body), "{path}: {answer}");
        }
        readiness.ready();
        assert!(ask(admin.local_addr(), "/readyz").await.ends_with("ready\n"));
        readiness.not_ready("the store is out of reach");
        assert!(ask(admin.local_addr(), "/readyz").await.ends_with("the store is out of reach\n"));
        let closed = admin.local_addr();
        admin.shutdown().await;
        assert!(TcpStream::connect(closed).await.is_err());
    }

    #[tokio::test]
    async fn a_taken_port_is_named_with_its_key() {
        let holder = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let taken = holder.local_addr().expect("bound");
        let error = Admin::bind(taken, "[atlas] admin", Metrics::new(), Readiness::starting(), Router::new())
            .await
            .expect_err("taken");
        let expected =
            format!("{taken} is taken by another process; stop it or change [atlas] admin in horizon.toml");
        assert_eq!(error.to_string(), expected);
    }
}
