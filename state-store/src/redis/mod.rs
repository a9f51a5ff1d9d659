//! A client of a Redis server that keeps the world in an append-only file.
//!
//! ```text
//!   callers ──▶ one connection, calls in flight side by side ──▶ a script each, atomic, synced, answered
//! ```
//!
//! What a request does is decided in one script on the server, by the rules of `world`; a batch is one
//! script, and one sync. Nothing is decided here: this side packs arguments, keeps one connection, and
//! says honestly what it does not know. A call that broke on the way is repeated if that is harmless
//! and otherwise answered with [`StoreError::Unknown`].
//!
//! Leases run on the server's clock. A clock that jumps ends a lease early or late, which costs time and
//! never an epoch.

mod address;
mod codec;
mod dial;
mod scripts;
mod server;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use horizon_model::WorldId;
use redis::{ErrorKind, RedisError, ServerErrorKind, Value};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};

use self::address::Address;
use self::dial::{CALL_TIMEOUT, Link, MIN_BACKOFF, Purpose, Refusal, dial, keep_connected, wait};
use crate::env::Env;
use crate::remote::UNSETTLED_PAUSE;
use crate::request::{Backend, Reply, Request};
use crate::store::StoreError;

/// Bytes of capsules in one call: a batch of a thousand of the largest fits.
const MAX_CALL_BYTES: usize = 80 * 1024 * 1024;

/// Reports of broken connections that wait; more say nothing new.
const MAX_REPORTS: usize = 16;

/// Whether `address` is one of a Redis server.
pub(crate) fn is_address(address: &str) -> bool {
    Address::is_one(address)
}

/// A handle on one world of a Redis server. Clones share the connection.
#[derive(Clone)]
pub struct Redis {
    purpose: Arc<Purpose>,
    env: Env,
    clock: Clock,
    links: watch::Receiver<Option<Link>>,
    broken: mpsc::Sender<u64>,
}

/// Whose time leases run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Clock {
    Server,
    Env,
}

impl Redis {
    /// Connects to the server at `address`, waiting for it for up to five seconds. Must be called within
    /// a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`StoreError::Setup`] where address, password, rights or settings are wrong and a person has to
    /// act, [`StoreError::Unavailable`] where nobody answers.
    pub async fn connect(address: &str, world: WorldId) -> Result<Self, StoreError> {
        Self::open(address, world, Env::system(), Clock::Server).await
    }

    /// As [`Redis::connect`], with leases on the clock of `env`, which every client of the world must
    /// share: for simulators and tests.
    ///
    /// # Errors
    ///
    /// As [`Redis::connect`].
    pub async fn connect_at(address: &str, world: WorldId, env: Env) -> Result<Self, StoreError> {
        Self::open(address, world, env, Clock::Env).await
    }

    async fn open(address: &str, world: WorldId, env: Env, clock: Clock) -> Result<Self, StoreError> {
        let purpose = Purpose { address: Address::parse(address)?, meta: format!("{{{world}}}:meta") };
        let time = {
            let env = env.clone();
            move || time(&env, clock)
        };
        let deadline = Instant::now() + CALL_TIMEOUT;
        let mut backoff = MIN_BACKOFF;
        let link = loop {
            let server = &purpose.address;
            match dial(&purpose, &time(), 0).await {
                Ok(link) => break link,
                Err(Refusal::Setup(why)) => return Err(StoreError::Setup(format!("{server}: {why}"))),
                Err(Refusal::Later(why)) if Instant::now() + backoff >= deadline => {
                    return Err(StoreError::Unavailable(format!("{server}: {why}")));
                }
                Err(Refusal::Later(_)) => wait(&mut backoff).await,
            }
        };
        let (sender, links) = watch::channel(Some(link));
        let (broken, reports) = mpsc::channel(MAX_REPORTS);
        tokio::spawn(keep_connected(purpose.clone(), time, sender, reports));
        Ok(Self { purpose: Arc::new(purpose), env, clock, links, broken })
    }

    /// The link, as soon as there is one.
    async fn link(&self) -> Option<Link> {
        let mut links = self.links.clone();
        let link = links.wait_for(Option::is_some).await.ok()?;
        link.clone()
    }

    fn unavailable(&self, why: &dyn fmt::Display) -> StoreError {
        StoreError::Unavailable(format!("{}: {why}", self.purpose.address))
    }
}

fn time(env: &Env, clock: Clock) -> String {
    match clock {
        Clock::Server => String::new(),
        Clock::Env => env.now().as_millis().to_string(),
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let server = self.purpose.address.to_string();
        f.debug_struct("Redis")
            .field("server", &server)
            .field("meta", &self.purpose.meta)
            .finish_non_exhaustive()
    }
}

/// Whether a script did not decide because the server has just been started.
fn is_unsettled(answer: &[Value]) -> bool {
    matches!(answer, [Value::BulkString(word)] if word == b"unsettled")
}

/// What became of a call that failed.
enum Fate {
    /// It was not carried out, and may be on another connection.
    Elsewhere,
    /// It was not carried out, and will not be for now.
    Refused,
    /// Nobody knows.
    Unknown,
    /// No script of ours answers that.
    Broken,
}

fn fate(error: &RedisError) -> Fate {
    use ServerErrorKind as Server;
    match error.kind() {
        // Somebody flushed the scripts, the server became a replica, or it is starting again.
        ErrorKind::Server(Server::NoScript | Server::ReadOnly | Server::BusyLoading | Server::MasterDown) => {
            Fate::Elsewhere
        }
        ErrorKind::Server(Server::NoPerm) => Fate::Refused,
        ErrorKind::Io => Fate::Unknown,
        _ => match error.code() {
            // No memory, no disk, too few replicas: said before a script has written anything.
            Some("OOM" | "MISCONF" | "NOREPLICAS" | "BUSY") => Fate::Refused,
            Some("READONLY" | "NOSCRIPT" | "LOADING") => Fate::Elsewhere,
            _ => Fate::Broken,
        },
    }
}

#[async_trait]
impl Backend for Redis {
    async fn call(&self, request: Request) -> Result<Reply, StoreError> {
        if let Request::Cas(batch) = &request {
            let bytes: usize = batch.iter().map(|request| request.capsule.bytes()).sum();
            if bytes > MAX_CALL_BYTES {
                return Err(StoreError::Refused(format!(
                    "{bytes} bytes in one request, at most {MAX_CALL_BYTES} fit; send smaller batches"
                )));
            }
        }
        let repeatable = request.is_repeatable();
        let call = codec::encode(&request, &self.env);
        let deadline = Instant::now() + CALL_TIMEOUT;
        loop {
            let Ok(Some(link)) = timeout_at(deadline, self.link()).await else {
                return Err(self.unavailable(&format!("no answer in {CALL_TIMEOUT:?}")));
            };
            let time = time(&self.env, self.clock);
            let ran = timeout_at(deadline, link.run(&self.purpose.meta, &time, &call)).await;
            let error = match ran {
                Ok(Ok(answer)) if is_unsettled(&answer) => {
                    // A player who logs in should not notice. Time that only a test moves is not waited for.
                    if self.clock == Clock::Server
                        && request.waits()
                        && Instant::now() + UNSETTLED_PAUSE < deadline
                    {
                        tokio::time::sleep(UNSETTLED_PAUSE).await;
                        continue;
                    }
                    return Ok(Reply::Failed(StoreError::Unsettled));
                }
                Ok(Ok(answer)) => return codec::decode(request, answer.into_iter().skip(1).collect()),
                Ok(Err(error)) => Some(error),
                Err(_) => None,
            };
            match error.as_ref().map_or(Fate::Unknown, fate) {
                Fate::Refused => return Err(self.unavailable(&error.expect("it was refused with one"))),
                Fate::Broken => {
                    let error = error.expect("it came with one");
                    return Err(StoreError::Refused(format!(
                        "a script failed on {}: {error}",
                        self.purpose.address
                    )));
                }
                Fate::Elsewhere => {}
                Fate::Unknown if repeatable => {}
                Fate::Unknown => {
                    self.report(&link);
                    return Err(StoreError::Unknown);
                }
            }
            self.report(&link);
            if Instant::now() >= deadline {
                return Err(self.unavailable(&format!("no answer in {CALL_TIMEOUT:?}")));
            }
            // Until the report was read, the same link would be found again.
            let number = link.number;
            let mut links = self.links.clone();
            let replaced = links.wait_for(|link| link.as_ref().is_none_or(|link| link.number != number));
            if timeout_at(deadline, replaced).await.is_err() {
                return Err(self.unavailable(&format!("no answer in {CALL_TIMEOUT:?}")));
            }
        }
    }
}

impl Redis {
    fn report(&self, link: &Link) {
        // A full queue holds a report of the same connection.
        let _ = self.broken.try_send(link.number);
    }
}
