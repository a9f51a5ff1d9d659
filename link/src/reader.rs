//! The receiving half: one task per stream, merged into one bounded queue.
//!
//! The queue is bounded in frames and in bytes. A lane that finds it full stops reading, QUIC's flow
//! control stops the peer's writer, and the peer's queue fills up where its sender sees it.

use std::sync::Arc;

use bytes::Bytes;
use horizon_protocol::link::{Lane, MAX_FRAME_BYTES};
use quinn::{Connection, ReadError, RecvStream, VarInt};
use rkyv::util::AlignedVec;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::Frame;
use crate::writer::{HEADER_BYTES, lane_of};

/// Frames that wait for the receiver.
const QUEUE_FRAMES: usize = 8_192;
/// Bytes that wait for the receiver.
const QUEUE_BYTES: usize = 16 * 1024 * 1024;
/// A frame is read in steps of this size, so that a length alone allocates nothing.
const STEP_BYTES: usize = 64 * 1024;
/// Application close code of a peer that breaks the framing.
const MALFORMED: VarInt = VarInt::from_u32(2);

/// A frame and its share of the queue.
pub(crate) type Received = (Lane, Frame, OwnedSemaphorePermit);

#[derive(Debug, thiserror::Error)]
enum StreamError {
    #[error("a frame of {0} bytes; at most {MAX_FRAME_BYTES} are allowed")]
    TooLong(usize),
    #[error("a stream begins with {0}, which names no lane")]
    Lane(u8),
    #[error("a stream ends inside a frame")]
    Truncated,
    #[error(transparent)]
    Read(#[from] ReadError),
}

#[derive(Clone)]
struct Queue {
    frames: mpsc::Sender<Received>,
    bytes: Arc<Semaphore>,
}

/// Starts reading everything that `connection` brings.
pub(crate) fn start(connection: Connection) -> mpsc::Receiver<Received> {
    let (frames, received) = mpsc::channel(QUEUE_FRAMES);
    let queue = Queue { frames, bytes: Arc::new(Semaphore::new(QUEUE_BYTES)) };
    tokio::spawn(accept(connection, queue));
    received
}

async fn accept(connection: Connection, queue: Queue) {
    let mut last = Turn::first();
    while let Ok(stream) = connection.accept_uni().await {
        let (connection, queue) = (connection.clone(), queue.clone());
        let turn = last.next();
        tokio::spawn(async move {
            match read(stream, &queue, turn).await {
                // A batch that its sender gave up, or a link that is gone.
                Ok(()) | Err(StreamError::Read(_)) => {}
                Err(error) => {
                    tracing::warn!(peer = %connection.remote_address(), %error, "closing a link");
                    connection.close(MALFORMED, error.to_string().as_bytes());
                }
            }
        });
    }
}

/// Streams are accepted in the order in which the peer opened them. A batch waits until the one before
/// it was taken or given up, so that batches arrive in order; lanes pass their turn on at once.
struct Turn {
    before: oneshot::Receiver<()>,
    after: oneshot::Sender<()>,
}

struct LastTurn(oneshot::Receiver<()>);

impl Turn {
    /// The turn before the first stream, which is over.
    fn first() -> LastTurn {
        LastTurn(oneshot::channel().1)
    }

    /// Gives the turn on when the one before has had it.
    fn pass(self) {
        tokio::spawn(async move {
            let _ = self.before.await;
            drop(self.after);
        });
    }
}

impl LastTurn {
    fn next(&mut self) -> Turn {
        let (after, over) = oneshot::channel();
        Turn { before: std::mem::replace(&mut self.0, over), after }
    }
}

async fn read(stream: RecvStream, queue: &Queue, mut turn: Turn) -> Result<(), StreamError> {
    let mut reader = FrameReader { stream, rest: Bytes::new() };
    let mut tag = [0];
    match reader.fill(&mut tag).await {
        Ok(true) => {}
        ended => {
            turn.pass();
            return ended.map(drop);
        }
    }
    let lane = lane_of(tag[0]);
    if lane == Some(Lane::Batch) {
        let _ = (&mut turn.before).await;
        let result = read_frames(&mut reader, queue, Lane::Batch).await;
        drop(turn.after);
        return result;
    }
    turn.pass();
    read_frames(&mut reader, queue, lane.ok_or(StreamError::Lane(tag[0]))?).await
}

async fn read_frames(reader: &mut FrameReader, queue: &Queue, lane: Lane) -> Result<(), StreamError> {
    while let Some(length) = reader.length().await? {
        // A batch waits for room before it is read: while it does, its sender can still give it up. A
        // lane is read first, so that one that waits for bytes never holds room that others need.
        let early = if lane == Lane::Batch { queue.room(length).await } else { None };
        let frame = reader.body(length).await?;
        let room = match early {
            Some(room) => room,
            None => match queue.room(length).await {
                Some(room) => room,
                None => return Ok(()),
            },
        };
        if queue.frames.send((lane, frame, room)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

impl Queue {
    async fn room(&self, length: usize) -> Option<OwnedSemaphorePermit> {
        let permits = u32::try_from(length).expect("lengths are checked against MAX_FRAME_BYTES");
        Arc::clone(&self.bytes).acquire_many_owned(permits).await.ok()
    }
}

/// A stream, and what arrived of it beyond the last frame.
struct FrameReader {
    stream: RecvStream,
    rest: Bytes,
}

impl FrameReader {
    /// Length of the next frame, or `None` at the end of the stream.
    async fn length(&mut self) -> Result<Option<usize>, StreamError> {
        let mut header = [0; HEADER_BYTES];
        if !self.fill(&mut header).await? {
            return Ok(None);
        }
        let length = u32::from_le_bytes(header) as usize;
        if length > MAX_FRAME_BYTES { Err(StreamError::TooLong(length)) } else { Ok(Some(length)) }
    }

    async fn body(&mut self, length: usize) -> Result<Frame, StreamError> {
        let mut bytes = AlignedVec::with_capacity(length.min(STEP_BYTES));
        while bytes.len() < length {
            if !self.more().await? {
                return Err(StreamError::Truncated);
            }
            let part = self.rest.split_to(self.rest.len().min(length - bytes.len()));
            bytes.extend_from_slice(&part);
        }
        Ok(Frame::new(bytes))
    }

    /// Fills `target`, or says false where the stream ends before its first byte.
    async fn fill(&mut self, target: &mut [u8]) -> Result<bool, StreamError> {
        let mut filled = 0;
        while filled < target.len() {
            if !self.more().await? {
                return if filled == 0 { Ok(false) } else { Err(StreamError::Truncated) };
            }
            let part = self.rest.split_to(self.rest.len().min(target.len() - filled));
            target[filled..filled + part.len()].copy_from_slice(&part);
            filled += part.len();
        }
        Ok(true)
    }

    /// Waits until there are bytes; false at the end of the stream.
    async fn more(&mut self) -> Result<bool, ReadError> {
        while self.rest.is_empty() {
            match self.stream.read_chunk(STEP_BYTES, true).await? {
                Some(chunk) => self.rest = chunk.bytes,
                None => return Ok(false),
            }
        }
        Ok(true)
    }
}
