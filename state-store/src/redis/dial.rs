//! Connections to the server: one at a time, and a new one by itself when it breaks.

use std::time::Duration;

use horizon_handoff::mutant::{self, Mutant};
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionInfo, ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::sync::{mpsc, watch};

use super::address::{Address, located};
use super::codec::Call;
use super::scripts::{SOURCES, Script};
use super::server;

/// From a call to its last possible answer.
pub(super) const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// For the server to accept, to be checked and to take the scripts.
const DIAL_TIMEOUT: Duration = Duration::from_secs(2);

/// Before the second attempt to connect; doubles with every further one.
pub(super) const MIN_BACKOFF: Duration = Duration::from_millis(5);

/// The longest wait between two attempts: short, because a server restarts in milliseconds.
pub(super) const MAX_BACKOFF: Duration = Duration::from_millis(200);

/// Calls that wait for the socket; callers wait beyond that.
const MAX_QUEUED: usize = 1024;

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Refusal {
    /// No waiting will help.
    #[error("{0}")]
    Setup(String),
    /// The server is starting, or gone.
    #[error("{0}")]
    Later(String),
}

impl From<RedisError> for Refusal {
    fn from(error: RedisError) -> Self {
        match error.kind() {
            ErrorKind::AuthenticationFailed => Self::Setup(format!(
                "the server does not accept user and password ({error}); correct them in [store] address"
            )),
            ErrorKind::Server(ServerErrorKind::NoPerm) => Self::Setup(format!(
                "the server does not let this user do what a store needs ({error}); give it the rights that \
                 docs/operating.md lists"
            )),
            ErrorKind::InvalidClientConfig => Self::Setup(error.to_string()),
            // Whatever else it says: only the sentence of the TLS library tells why it hung up.
            _ if error.to_string().contains("invalid peer certificate") => Self::Setup(format!(
                "the server's certificate is not trusted here ({error}); name the file of the authority that \
                 signed it in the environment variable SSL_CERT_FILE, and write the name that it is for into \
                 [store] address"
            )),
            _ if error.code() == Some("NOAUTH") => {
                Self::Setup("the server wants user and password; put them into [store] address".to_owned())
            }
            _ => Self::Later(error.to_string()),
        }
    }
}

/// What a new connection is for.
#[derive(Clone)]
pub(super) struct Purpose {
    pub address: Address,
    /// The key that every script begins with.
    pub meta: String,
}

/// A connection that works, as far as anybody knows.
#[derive(Clone)]
pub(super) struct Link {
    /// Counts connections, so that only the current one can be reported broken.
    pub number: u64,
    connection: MultiplexedConnection,
    /// Hashes by script.
    hashes: Vec<String>,
}

impl Link {
    /// Runs a script at `time`, in milliseconds or empty for the server's clock.
    pub(super) async fn run(&self, meta: &str, time: &str, call: &Call) -> Result<Vec<Value>, RedisError> {
        let mut command = redis::cmd("EVALSHA");
        command.arg(&self.hashes[call.script as usize]).arg(1).arg(meta).arg(time);
        for argument in &call.arguments {
            command.arg(&argument[..]);
        }
        command.query_async(&mut self.connection.clone()).await
    }
}

/// One attempt to connect.
pub(super) async fn dial(purpose: &Purpose, time: &str, number: u64) -> Result<Link, Refusal> {
    match tokio::time::timeout(DIAL_TIMEOUT, attempt(purpose, time, number)).await {
        Ok(dialled) => dialled,
        Err(_) => Err(Refusal::Later(format!("no answer in {DIAL_TIMEOUT:?}"))),
    }
}

async fn attempt(purpose: &Purpose, time: &str, number: u64) -> Result<Link, Refusal> {
    let mut connection = match &purpose.address {
        Address::Server(server) => connect(server).await?,
        Address::Sentinels { sentinels, name, server } => {
            let (host, port) = ask(sentinels, name).await?;
            connect(&located(server, &host, port)).await?
        }
    };
    let run = server::check(&mut connection).await?;
    let mut hashes = Vec::with_capacity(SOURCES.len());
    for source in SOURCES {
        let load = redis::cmd("SCRIPT").arg("LOAD").arg(source).query_async(&mut connection).await;
        hashes.push(load?);
    }
    let link = Link { number, connection, hashes };
    // A server that is never seen to start anew asks for no reports.
    let run = if mutant::is_off(Mutant::ReportsUnheard) { "one for ever".to_owned() } else { run };
    let open = Call { script: Script::Open, arguments: vec![run.into_bytes()] };
    match link.run(&purpose.meta, time, &open).await?.get(1) {
        Some(Value::BulkString(format)) if format == b"1" => Ok(link),
        other => Err(Refusal::Setup(format!(
            "the world on the Redis server has format {other:?}, this build reads 1; run the build that wrote it"
        ))),
    }
}

async fn connect(server: &ConnectionInfo) -> Result<MultiplexedConnection, RedisError> {
    // The client of Redis takes the process's provider; whoever was first has chosen the same one.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(DIAL_TIMEOUT))
        .set_response_timeout(Some(CALL_TIMEOUT))
        .set_pipeline_buffer_size(MAX_QUEUED);
    Client::open(server.clone())?.get_multiplexed_async_connection_with_config(&config).await
}

/// Where the sentinels say that the server called `name` is: the first one that knows.
async fn ask(sentinels: &[ConnectionInfo], name: &str) -> Result<(String, u16), Refusal> {
    let mut told = Vec::new();
    for sentinel in sentinels {
        let asked = async {
            let mut connection = connect(sentinel).await?;
            let mut question = redis::cmd("SENTINEL");
            question.arg("get-master-addr-by-name").arg(name);
            question.query_async::<Option<(String, u16)>>(&mut connection).await
        };
        match asked.await {
            Ok(Some(found)) => return Ok(found),
            Ok(None) => told.push(format!("{} knows no {name}", sentinel.addr())),
            Err(error) => told.push(format!("{}: {error}", sentinel.addr())),
        }
    }
    Err(Refusal::Later(told.join("; ")))
}

pub(super) async fn wait(backoff: &mut Duration) {
    tokio::time::sleep(*backoff).await;
    *backoff = (*backoff * 2).min(MAX_BACKOFF);
}

/// Replaces the link whenever it is reported broken. Runs until the last handle is gone.
pub(super) async fn keep_connected(
    purpose: Purpose,
    time: impl Fn() -> String + Send,
    links: watch::Sender<Option<Link>>,
    mut broken: mpsc::Receiver<u64>,
) {
    let current = |links: &watch::Sender<Option<Link>>| links.borrow().as_ref().map(|link| link.number);
    while let Some(number) = broken.recv().await {
        if current(&links) != Some(number) {
            continue; // Reported by several callers.
        }
        links.send_replace(None);
        let server = purpose.address.to_string();
        tracing::warn!(server, "the connection to the store broke");
        let mut backoff = MIN_BACKOFF;
        let link = loop {
            match dial(&purpose, &time(), number + 1).await {
                Ok(link) => break link,
                Err(_) if links.is_closed() => return,
                Err(Refusal::Later(why)) => tracing::debug!(why, "the store is not there yet"),
                Err(Refusal::Setup(why)) => tracing::error!(why, "the store came back as another"),
            }
            wait(&mut backoff).await;
        };
        tracing::info!(server, "connected to the store again");
        links.send_replace(Some(link));
    }
}
