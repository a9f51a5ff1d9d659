//! A client of the `store` process.
//!
//! One task keeps one connection and makes a new one by itself when it breaks. Calls that may be
//! repeated (reads, renewals, confirmations, releases) are repeated until [`CALL_TIMEOUT`]; of the
//! others nobody but the caller knows whether a repetition is the same attempt, so they answer
//! [`StoreError::Unknown`] once they have left.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use horizon_model::WorldId;
use rkyv::util::AlignedVec;
use tokio::io::{AsyncWriteExt, BufReader, BufWriter};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::request::{Backend, Reply, Request};
use crate::store::StoreError;
use crate::wire::{self, Hello};

/// From a call to its last possible answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(5);

/// For the peer to accept and to say hello.
const DIAL_TIMEOUT: Duration = Duration::from_secs(2);

/// Before the second attempt to connect; doubles with every further one.
const MIN_BACKOFF: Duration = Duration::from_millis(5);

/// The longest wait between two attempts: short, because a store restarts in milliseconds.
const MAX_BACKOFF: Duration = Duration::from_millis(200);

/// Before a request is repeated that a store did not decide because it had just been started.
pub(crate) const UNSETTLED_PAUSE: Duration = Duration::from_millis(50);

/// Requests without an answer; callers wait beyond that.
const MAX_IN_FLIGHT: usize = 1024;

/// Buffer per direction.
const BUFFER_BYTES: usize = 64 * 1024;

/// A handle on the store at the other end of a Unix socket. Clones share the connection.
#[derive(Debug, Clone)]
pub struct Remote {
    path: Arc<Path>,
    queue: mpsc::Sender<Outgoing>,
}

#[derive(Debug)]
struct Outgoing {
    payload: Arc<AlignedVec>,
    /// Set before the first byte leaves.
    sent: Arc<AtomicBool>,
    /// Dropped where the connection broke.
    answer: oneshot::Sender<Reply>,
}

impl Remote {
    /// Connects to the socket at `path`, waiting for it to appear for up to five seconds. Must be
    /// called within a tokio runtime.
    ///
    /// # Errors
    ///
    /// [`StoreError::Setup`] where the other side is no store or one of another version,
    /// [`StoreError::Unavailable`] where nobody answers.
    pub async fn connect(path: &Path, world: WorldId) -> Result<Self, StoreError> {
        let deadline = Instant::now() + CALL_TIMEOUT;
        let mut backoff = MIN_BACKOFF;
        let stream = loop {
            match dial(path, world).await {
                Ok(stream) => break stream,
                Err(Refusal::Setup(why)) => return Err(StoreError::Setup(why)),
                Err(Refusal::Later(why)) if Instant::now() + backoff >= deadline => {
                    return Err(StoreError::Unavailable(format!("{}: {why}", path.display())));
                }
                Err(Refusal::Later(_)) => wait(&mut backoff).await,
            }
        };
        let (queue, outgoing) = mpsc::channel(MAX_IN_FLIGHT);
        tokio::spawn(keep_connected(path.to_owned(), world, stream, outgoing));
        Ok(Self { path: path.into(), queue })
    }

    /// One attempt: `None` where the connection broke before the answer.
    async fn attempt(&self, payload: &Arc<AlignedVec>, sent: &Arc<AtomicBool>) -> Option<Reply> {
        let (answer, answered) = oneshot::channel();
        let outgoing = Outgoing { payload: Arc::clone(payload), sent: Arc::clone(sent), answer };
        self.queue.send(outgoing).await.ok()?;
        answered.await.ok()
    }
}

#[async_trait]
impl Backend for Remote {
    async fn call(&self, request: Request) -> Result<Reply, StoreError> {
        let payload = Arc::new(wire::encode_request(&request));
        if payload.len() > wire::MAX_FRAME_BYTES {
            let bytes = payload.len();
            return Err(StoreError::Refused(format!(
                "{bytes} bytes in one request, at most {} fit; send smaller batches",
                wire::MAX_FRAME_BYTES
            )));
        }
        let sent = Arc::new(AtomicBool::new(false));
        let deadline = Instant::now() + CALL_TIMEOUT;
        loop {
            match tokio::time::timeout_at(deadline, self.attempt(&payload, &sent)).await {
                // A player who logs in should not notice.
                Ok(Some(Reply::Failed(StoreError::Unsettled)))
                    if request.waits() && Instant::now() + UNSETTLED_PAUSE < deadline =>
                {
                    tokio::time::sleep(UNSETTLED_PAUSE).await;
                    sent.store(false, Ordering::Release);
                }
                Ok(Some(reply)) => return Ok(reply),
                // The next attempt waits in the queue until there is a connection again.
                Ok(None) if request.is_repeatable() && !self.queue.is_closed() => {}
                Ok(None) | Err(_) if sent.load(Ordering::Acquire) && !request.is_repeatable() => {
                    return Err(StoreError::Unknown);
                }
                Ok(None) | Err(_) => {
                    let path = self.path.display();
                    return Err(StoreError::Unavailable(format!(
                        "no answer from {path} in {CALL_TIMEOUT:?}"
                    )));
                }
            }
        }
    }
}

/// Why there is no connection.
enum Refusal {
    /// No waiting will help.
    Setup(String),
    /// The process is starting, or gone.
    Later(String),
}

async fn dial(path: &Path, world: WorldId) -> Result<UnixStream, Refusal> {
    let attempt = async {
        let mut stream = UnixStream::connect(path).await?;
        wire::write_hello(&mut stream, Hello { version: wire::VERSION, world }).await?;
        let hello = wire::read_hello(&mut stream).await?;
        Ok::<_, io::Error>((stream, hello))
    };
    let (stream, hello) = match tokio::time::timeout(DIAL_TIMEOUT, attempt).await {
        Ok(Ok(connected)) => connected,
        Ok(Err(error)) if error.kind() == io::ErrorKind::InvalidData => {
            return Err(Refusal::Setup(format!("{}: {error}", path.display())));
        }
        Ok(Err(error)) => return Err(Refusal::Later(error.to_string())),
        Err(_) => return Err(Refusal::Later(format!("no hello in {DIAL_TIMEOUT:?}"))),
    };
    if hello.version != wire::VERSION {
        return Err(Refusal::Setup(format!(
            "the store at {} speaks version {}, this process version {}; run both from one build",
            path.display(),
            hello.version,
            wire::VERSION
        )));
    }
    Ok(stream)
}

async fn wait(backoff: &mut Duration) {
    tokio::time::sleep(*backoff).await;
    *backoff = (*backoff * 2).min(MAX_BACKOFF);
}

/// Runs until the last handle is gone.
async fn keep_connected(
    path: PathBuf,
    world: WorldId,
    mut stream: UnixStream,
    mut queue: mpsc::Receiver<Outgoing>,
) {
    loop {
        let Err(broken) = converse(stream, &mut queue).await else {
            return;
        };
        tracing::warn!(path = %path.display(), error = %broken, "the connection to the store broke");
        let mut backoff = MIN_BACKOFF;
        stream = loop {
            match dial(&path, world).await {
                Ok(stream) => break stream,
                Err(_) if queue.is_closed() => return,
                Err(Refusal::Later(why)) => tracing::debug!(why, "the store is not there yet"),
                Err(Refusal::Setup(why)) => tracing::error!(why, "the store came back as another"),
            }
            wait(&mut backoff).await;
        };
        tracing::info!(path = %path.display(), "connected to the store again");
    }
}

/// Speaks on one connection. `Ok` where the last handle is gone; on an error the answers under way
/// are dropped, which their callers see.
async fn converse(stream: UnixStream, queue: &mut mpsc::Receiver<Outgoing>) -> io::Result<()> {
    let (reader, writer) = stream.into_split();
    let (frames, to_write) = mpsc::channel(MAX_IN_FLIGHT);
    let (replies, mut incoming) = mpsc::channel(MAX_IN_FLIGHT);
    // Both end with this function.
    let mut halves = JoinSet::new();
    halves.spawn(write(writer, to_write));
    halves.spawn(read(reader, replies));
    let mut pending = BTreeMap::new();
    let mut next_id = 0_u64;
    loop {
        tokio::select! {
            // Neither side of the connection may wait for us, so answers come first.
            biased;
            Some((id, reply)) = incoming.recv() => {
                if let Some(answer) = pending.remove(&id) {
                    // Whoever asked may have stopped waiting.
                    let _ = oneshot::Sender::send(answer, reply);
                }
            }
            Some(ended) = halves.join_next() => {
                ended.expect("neither half panics")?;
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            outgoing = queue.recv(), if pending.len() < MAX_IN_FLIGHT => {
                let Some(Outgoing { payload, sent, answer }) = outgoing else {
                    return Ok(());
                };
                if answer.is_closed() {
                    continue; // Gave up while it was queued.
                }
                sent.store(true, Ordering::Release);
                next_id += 1;
                pending.insert(next_id, answer);
                if frames.try_send((next_id, payload)).is_err() {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
            }
        }
    }
}

async fn write(writer: OwnedWriteHalf, mut frames: mpsc::Receiver<(u64, Arc<AlignedVec>)>) -> io::Result<()> {
    let mut writer = BufWriter::with_capacity(BUFFER_BYTES, writer);
    let mut batch = Vec::new();
    while frames.recv_many(&mut batch, MAX_IN_FLIGHT).await > 0 {
        for (id, payload) in batch.drain(..) {
            wire::write_frame(&mut writer, id, &payload).await?;
        }
        writer.flush().await?;
    }
    Ok(())
}

async fn read(reader: OwnedReadHalf, replies: mpsc::Sender<(u64, Reply)>) -> io::Result<()> {
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, reader);
    while let Some((id, payload)) = wire::read_frame(&mut reader).await? {
        if replies.send((id, wire::decode_reply(&payload)?)).await.is_err() {
            break;
        }
    }
    Ok(())
}
