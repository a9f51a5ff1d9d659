//! One open link.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use horizon_protocol::link::{Lane, Role, SESSION_SHARDS};
use quinn::{Connection, SendStream, VarInt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::{Instant, timeout, timeout_at};

use crate::frame::{Frame, Message, encode};
use crate::reader::{self, Received};
use crate::writer::{self, LaneQueue};
use crate::{SendError, tls};

/// Application close code of an orderly end.
pub(crate) const CLOSED: VarInt = VarInt::from_u32(0);
/// Reset code of a batch that was given up.
const TOO_OLD: VarInt = VarInt::from_u32(1);
/// Batches under way at most; as many as the peer lets streams be open.
const MAX_BATCHES: usize = tls::MAX_STREAMS as usize;

/// A process that proved who it is.
#[derive(Debug)]
pub struct Peer {
    /// Who it is.
    pub role: Role,
    /// Where it is.
    pub address: SocketAddr,
    /// Under which address of this machine it is reached, where the system says.
    pub through: Option<IpAddr>,
    /// To send. Clones share the link.
    pub sender: PeerSender,
    /// To receive.
    pub receiver: PeerReceiver,
}

/// The sending side of a link. The link closes when its receiver and all clones are dropped.
#[derive(Debug, Clone)]
pub struct PeerSender {
    shared: Arc<Shared>,
}

/// The receiving side of a link.
#[derive(Debug)]
pub struct PeerReceiver {
    frames: mpsc::Receiver<Received>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    connection: Connection,
    control: LaneQueue,
    presync: LaneQueue,
    sessions: [LaneQueue; SESSION_SHARDS as usize],
    batches: Arc<Semaphore>,
    batch_queue: mpsc::UnboundedSender<QueuedBatch>,
    abandoned: Arc<AtomicU64>,
    closed: Arc<AtomicBool>,
}

impl Peer {
    pub(crate) fn start(role: Role, connection: Connection) -> Self {
        let closed = Arc::new(AtomicBool::new(false));
        let abandoned = Arc::<AtomicU64>::default();
        // Bounded by the permits that its entries hold.
        let (batch_queue, queued) = mpsc::unbounded_channel();
        tokio::spawn(send_batches(connection.clone(), queued, Arc::clone(&abandoned)));
        let shared = Arc::new(Shared {
            control: LaneQueue::start(&connection, Lane::Control),
            presync: LaneQueue::start(&connection, Lane::Presync),
            sessions: std::array::from_fn(|shard| LaneQueue::start(&connection, Lane::Session(shard as u8))),
            batches: Arc::new(Semaphore::new(MAX_BATCHES)),
            batch_queue,
            abandoned,
            closed: Arc::clone(&closed),
            connection: connection.clone(),
        });
        let frames = reader::start(connection.clone());
        let address = connection.remote_address();
        let through = own_address(address);
        tokio::spawn(async move {
            let reason = connection.closed().await;
            closed.store(true, Ordering::Release);
            tracing::debug!(?role, %address, %reason, "link closed");
        });
        let sender = PeerSender { shared: Arc::clone(&shared) };
        Self { role, address, through, sender, receiver: PeerReceiver { frames, shared } }
    }
}

/// The address of this machine that packets to `peer` leave from. None is sent for it.
fn own_address(peer: SocketAddr) -> Option<IpAddr> {
    let any: IpAddr =
        if peer.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
    let socket = UdpSocket::bind((any, 0)).ok()?;
    socket.connect(peer).ok()?;
    Some(socket.local_addr().ok()?.ip())
}

impl PeerSender {
    /// Queues `message` on `lane`; within a lane order is kept. Never blocks. On [`Lane::Batch`] it is
    /// a batch that is given up after two ticks of a 30 Hz region.
    ///
    /// # Errors
    ///
    /// [`SendError`]; nothing of the message is sent then.
    pub fn send<M: Message>(&self, lane: Lane, message: &M) -> Result<(), SendError> {
        let queue = match lane {
            Lane::Control => &self.shared.control,
            Lane::Presync => &self.shared.presync,
            Lane::Session(shard) => &self.shared.sessions[usize::from(shard % SESSION_SHARDS)],
            Lane::Batch => return self.send_batch(message, Duration::from_millis(67)),
        };
        if self.is_closed() {
            return Err(SendError::Closed);
        }
        queue.push(encode(message)?)
    }

    /// Sends `message` on a stream of its own, and gives it up where the peer's machine has not taken
    /// all of it `give_up_after` from now. Batches
    /// that arrive do so in the order in which they were sent.
    ///
    /// # Errors
    ///
    /// [`SendError`]; [`SendError::Full`] where too many batches are under way.
    pub fn send_batch<M: Message>(&self, message: &M, give_up_after: Duration) -> Result<(), SendError> {
        if self.is_closed() {
            return Err(SendError::Closed);
        }
        let Ok(permit) = Arc::clone(&self.shared.batches).try_acquire_owned() else {
            self.shared.abandoned.fetch_add(1, Ordering::Relaxed);
            return Err(SendError::Full);
        };
        let frame = encode(message)?;
        let mut bytes = BytesMut::with_capacity(1 + writer::HEADER_BYTES + frame.len());
        bytes.put_u8(writer::tag(Lane::Batch));
        writer::append(&mut bytes, &frame);
        let deadline = Instant::now() + give_up_after;
        let batch = QueuedBatch { bytes: bytes.freeze(), deadline, permit };
        self.shared.batch_queue.send(batch).map_err(|_| SendError::Closed)
    }

    /// Batches that were given up since the link was opened. Rises when a peer does not keep up.
    pub fn batches_abandoned(&self) -> u64 {
        self.shared.abandoned.load(Ordering::Relaxed)
    }

    /// Whether the link is gone.
    pub fn is_closed(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire)
    }

    /// Ends when the link is gone, with the reason in words.
    pub async fn closed(&self) -> String {
        self.shared.connection.closed().await.to_string()
    }

    /// Closes at once; what is queued is dropped.
    pub fn close(&self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.connection.close(CLOSED, b"closed");
    }

    /// Waits until the peer's machine has everything that was queued on the lanes, for at most
    /// `within`, and closes. Nothing can be sent afterwards.
    pub async fn finish(&self, within: Duration) {
        let delivered = async {
            self.shared.control.finish().await;
            self.shared.presync.finish().await;
            for session in &self.shared.sessions {
                session.finish().await;
            }
        };
        let _ = timeout(within, delivered).await;
        self.close();
    }

    /// The current estimate of a round trip.
    pub fn rtt(&self) -> Duration {
        self.shared.connection.rtt()
    }
}

impl PeerReceiver {
    /// The next frame of any lane, or `None` when the link is gone and all frames were taken.
    pub async fn recv(&mut self) -> Option<(Lane, Frame)> {
        self.frames.recv().await.map(|(lane, frame, _room)| (lane, frame))
    }

    /// As [`Self::recv`], if a frame is there.
    pub fn try_recv(&mut self) -> Option<(Lane, Frame)> {
        self.frames.try_recv().ok().map(|(lane, frame, _room)| (lane, frame))
    }

    /// Why the link is gone, in words, once it is.
    pub fn close_reason(&self) -> Option<String> {
        self.shared.connection.close_reason().map(|reason| reason.to_string())
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.connection.close(CLOSED, b"dropped");
    }
}

/// A batch on its way, and its share of [`MAX_BATCHES`].
#[derive(Debug)]
struct QueuedBatch {
    bytes: Bytes,
    deadline: Instant,
    permit: OwnedSemaphorePermit,
}

/// Opens one stream per batch, in order, and lets each be written by itself. A link that is gone is no
/// batch's fault.
async fn send_batches(
    connection: Connection,
    mut queued: mpsc::UnboundedReceiver<QueuedBatch>,
    abandoned: Arc<AtomicU64>,
) {
    while let Some(QueuedBatch { bytes, deadline, permit }) = queued.recv().await {
        match timeout_at(deadline, connection.open_uni()).await {
            Ok(Ok(stream)) => {
                let abandoned = Arc::clone(&abandoned);
                tokio::spawn(async move {
                    if !write_batch(stream, bytes, deadline).await {
                        abandoned.fetch_add(1, Ordering::Relaxed);
                    }
                    drop(permit);
                });
            }
            Ok(Err(_)) => return,
            Err(_) => {
                abandoned.fetch_add(1, Ordering::Relaxed);
            }
        }
    }
}

/// Whether the peer's machine took all of `bytes` in time.
async fn write_batch(mut stream: SendStream, bytes: Bytes, deadline: Instant) -> bool {
    let _ = stream.set_priority(writer::priority(Lane::Batch));
    let written = timeout_at(deadline, async {
        if stream.write_all_chunks(&mut [bytes]).await.is_ok() && stream.finish().is_ok() {
            let _ = stream.stopped().await;
        }
    });
    let in_time = written.await.is_ok();
    if !in_time {
        let _ = stream.reset(TOO_OLD);
    }
    in_time
}
