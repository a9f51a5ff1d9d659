//! The `store` process's socket: many connections in front of one file.

use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncWriteExt, BufReader, BufWriter};
use tokio::net::unix::OwnedReadHalf;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::task::JoinSet;

use crate::request::Reply;
use crate::sqlite::Sqlite;
use crate::store::StoreError;
use crate::wire::{self, Hello};

/// Requests under way per connection; the socket is not read beyond that.
const MAX_IN_FLIGHT: usize = 1024;

/// Connections at a time: a process tree has some dozens.
const MAX_CONNECTIONS: usize = 1024;

/// For a peer to say hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// For the last answers to leave when the server stops.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Buffer per direction and connection.
const BUFFER_BYTES: usize = 64 * 1024;

/// A listening socket in front of an open file.
#[derive(Debug)]
pub struct Server {
    listener: UnixListener,
    path: PathBuf,
    store: Sqlite,
}

impl Server {
    /// Listens at `path`, for this user alone. A socket file that nobody serves any more is replaced.
    ///
    /// # Errors
    ///
    /// [`StoreError::Setup`] where a live process serves the socket, or it cannot be made.
    pub async fn bind(path: &Path, store: Sqlite) -> Result<Self, StoreError> {
        let here = path.display();
        if UnixStream::connect(path).await.is_ok() {
            return Err(StoreError::Setup(format!(
                "the socket {here} is served by a live process; stop that process, or choose another socket"
            )));
        }
        match std::fs::symlink_metadata(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Ok(found) if is_socket(&found) => std::fs::remove_file(path).map_err(|error| {
                StoreError::Setup(format!(
                    "cannot remove the stale socket {here}: {error}; remove it by hand"
                ))
            })?,
            Ok(_) => {
                return Err(StoreError::Setup(format!("{here} is no socket; choose another path for it")));
            }
            Err(error) => return Err(StoreError::Setup(format!("cannot look at {here}: {error}"))),
        }
        let listener = UnixListener::bind(path).and_then(|listener| {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
            Ok(listener)
        });
        let listener = listener.map_err(|error| {
            StoreError::Setup(format!(
                "cannot listen at {here}: {error}; the folder must exist and be writable, and the path be \
                 shorter than 108 bytes"
            ))
        })?;
        Ok(Self { listener, path: path.to_owned(), store })
    }

    /// Serves until `stop` resolves, then answers what has arrived and removes the socket. The file
    /// stays open.
    pub async fn run(self, stop: impl Future<Output = ()>) {
        let (stopping, stopped) = watch::channel(false);
        let mut connections = JoinSet::new();
        let mut stop = std::pin::pin!(stop);
        loop {
            tokio::select! {
                () = &mut stop => break,
                accepted = self.listener.accept(), if connections.len() < MAX_CONNECTIONS => match accepted {
                    Ok((stream, _)) => {
                        connections.spawn(serve(stream, self.store.clone(), stopped.clone()));
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection was not accepted");
                        // Out of descriptors, most likely: let some go before the next attempt.
                        tokio::time::sleep(Duration::from_millis(50)).await;
                    }
                },
                Some(_) = connections.join_next() => {}
            }
        }
        // No new connections from here on: they find no socket and try again elsewhere or later.
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::warn!(%error, path = %self.path.display(), "the socket was not removed");
        }
        stopping.send_replace(true);
        let drained = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN_TIMEOUT, drained).await.is_err() {
            tracing::warn!("some clients did not read their last answers");
        }
    }
}

fn is_socket(found: &std::fs::Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_socket(&found.file_type())
}

/// A reply on its way out, with its share of what may be under way.
type Outgoing = (u64, Reply, OwnedSemaphorePermit);

async fn serve(stream: UnixStream, store: Sqlite, stopped: watch::Receiver<bool>) {
    if let Err(error) = converse(stream, store, stopped).await {
        tracing::debug!(%error, "a connection broke");
    }
}

async fn converse(stream: UnixStream, store: Sqlite, stopped: watch::Receiver<bool>) -> io::Result<()> {
    let (reader, writer) = stream.into_split();
    let mut reader = BufReader::with_capacity(BUFFER_BYTES, reader);
    let mut writer = BufWriter::with_capacity(BUFFER_BYTES, writer);
    let hello = tokio::time::timeout(HELLO_TIMEOUT, wire::read_hello(&mut reader)).await??;
    wire::write_hello(&mut writer, Hello { version: wire::VERSION, world: hello.world }).await?;
    writer.flush().await?;
    if hello.version != wire::VERSION {
        tracing::warn!(
            theirs = hello.version,
            ours = wire::VERSION,
            "a client of another version was refused"
        );
        return Ok(());
    }
    let (replies, mut outgoing) = mpsc::unbounded_channel::<Outgoing>();
    let write = async move {
        let mut batch = Vec::new();
        while outgoing.recv_many(&mut batch, MAX_IN_FLIGHT).await > 0 {
            for (id, reply, _permit) in batch.drain(..) {
                wire::write_frame(&mut writer, id, &wire::encode_reply(&reply)).await?;
            }
            writer.flush().await?;
        }
        Ok::<_, io::Error>(())
    };
    // Reading ends first, at the client's end or ours; writing ends when all answers have left.
    let (read, written) =
        tokio::join!(read_requests(reader, store.world(hello.world), replies, stopped), write);
    read.and(written)
}

async fn read_requests(
    mut reader: BufReader<OwnedReadHalf>,
    store: Sqlite,
    replies: mpsc::UnboundedSender<Outgoing>,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<()> {
    let in_flight = Arc::new(Semaphore::new(MAX_IN_FLIGHT));
    loop {
        let permit = Arc::clone(&in_flight).acquire_owned().await.expect("never closed");
        let frame = tokio::select! {
            frame = wire::read_frame(&mut reader) => frame?,
            _ = stopped.wait_for(|&stopped| stopped) => None,
        };
        let Some((id, payload)) = frame else {
            return Ok(());
        };
        let request = wire::decode_request(&payload)?;
        let replies = replies.clone();
        let answer = Box::new(move |reply| {
            // The client may be gone; the write stands.
            let _ = replies.send((id, reply, permit));
        });
        if store.submit(request, answer).await.is_err() {
            return Ok(());
        }
    }
}
