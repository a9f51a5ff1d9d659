//! The sending half of a lane: a bounded queue and the task that empties it into one stream.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::{Bytes, BytesMut};
use horizon_protocol::link::{Lane, SESSION_SHARDS};
use quinn::{Connection, SendStream, WriteError};
use rkyv::util::AlignedVec;
use tokio::sync::{mpsc, oneshot};

use crate::SendError;

/// Everything queued goes out in writes of about this size.
const COALESCE_BYTES: usize = 64 * 1024;
/// Length prefix of a frame.
pub(crate) const HEADER_BYTES: usize = 4;

/// What a lane's queue may hold. Frames bound the bookkeeping, bytes the memory.
struct Capacity {
    frames: usize,
    bytes: usize,
}

const fn capacity(lane: Lane) -> Capacity {
    const MIB: usize = 1024 * 1024;
    match lane {
        Lane::Control => Capacity { frames: 65_536, bytes: 64 * MIB },
        Lane::Session(_) => Capacity { frames: 16_384, bytes: 16 * MIB },
        Lane::Presync | Lane::Batch => Capacity { frames: 4_096, bytes: 16 * MIB },
    }
}

/// Higher goes first.
pub(crate) const fn priority(lane: Lane) -> i32 {
    match lane {
        Lane::Control => 3,
        Lane::Session(_) => 2,
        Lane::Batch => 1,
        Lane::Presync => 0,
    }
}

/// First byte of every stream.
pub(crate) const fn tag(lane: Lane) -> u8 {
    match lane {
        Lane::Control => 0,
        Lane::Presync => 1,
        Lane::Batch => 2,
        Lane::Session(shard) => 16 + shard,
    }
}

/// The lane of a first byte.
pub(crate) const fn lane_of(tag: u8) -> Option<Lane> {
    match tag {
        0 => Some(Lane::Control),
        1 => Some(Lane::Presync),
        2 => Some(Lane::Batch),
        16.. if tag - 16 < SESSION_SHARDS => Some(Lane::Session(tag - 16)),
        _ => None,
    }
}

enum Queued {
    Frame(AlignedVec),
    /// Finish the stream and tell when the peer has everything.
    Finish(oneshot::Sender<()>),
}

/// Where frames of one lane are queued.
#[derive(Debug)]
pub(crate) struct LaneQueue {
    queue: mpsc::Sender<Queued>,
    bytes: Arc<AtomicUsize>,
    max_bytes: usize,
}

impl LaneQueue {
    /// The queue of `lane`, and its writer as a task of its own.
    pub(crate) fn start(connection: &Connection, lane: Lane) -> Self {
        let Capacity { frames, bytes: max_bytes } = capacity(lane);
        let (queue, frames) = mpsc::channel(frames);
        let bytes = Arc::new(AtomicUsize::new(0));
        tokio::spawn(write(connection.clone(), lane, frames, Arc::clone(&bytes)));
        Self { queue, bytes, max_bytes }
    }

    pub(crate) fn push(&self, frame: AlignedVec) -> Result<(), SendError> {
        let length = frame.len();
        if self.bytes.fetch_add(length, Ordering::Relaxed) + length > self.max_bytes {
            self.bytes.fetch_sub(length, Ordering::Relaxed);
            return Err(SendError::Full);
        }
        self.queue.try_send(Queued::Frame(frame)).map_err(|error| {
            self.bytes.fetch_sub(length, Ordering::Relaxed);
            match error {
                mpsc::error::TrySendError::Full(_) => SendError::Full,
                mpsc::error::TrySendError::Closed(_) => SendError::Closed,
            }
        })
    }

    /// Ends when the peer has everything that was queued, or the link is gone.
    pub(crate) async fn finish(&self) {
        let (done, finished) = oneshot::channel();
        if self.queue.send(Queued::Finish(done)).await.is_ok() {
            let _ = finished.await;
        }
    }
}

async fn write(
    connection: Connection,
    lane: Lane,
    mut queue: mpsc::Receiver<Queued>,
    queued: Arc<AtomicUsize>,
) {
    let mut stream = None;
    let mut buffer = BytesMut::new();
    let mut finish = None;
    while let Some(first) = queue.recv().await {
        let mut next = Some(first);
        let mut taken = 0;
        while let Some(item) = next {
            match item {
                Queued::Frame(frame) => {
                    taken += frame.len();
                    append(&mut buffer, &frame);
                }
                Queued::Finish(done) => finish = Some(done),
            }
            let more = buffer.len() < COALESCE_BYTES && finish.is_none();
            next = if more { queue.try_recv().ok() } else { None };
        }
        let written = flush(&connection, lane, &mut stream, buffer.split().freeze()).await;
        queued.fetch_sub(taken, Ordering::Relaxed);
        if let Err(error) = written {
            tracing::debug!(?lane, %error, "lane ends");
            return;
        }
        if finish.is_some() {
            break;
        }
    }
    if let Some(mut stream) = stream
        && stream.finish().is_ok()
    {
        let _ = stream.stopped().await;
    }
    if let Some(done) = finish {
        let _ = done.send(());
    }
}

async fn flush(
    connection: &Connection,
    lane: Lane,
    stream: &mut Option<SendStream>,
    bytes: Bytes,
) -> Result<(), WriteError> {
    if bytes.is_empty() {
        return Ok(());
    }
    let stream = match stream {
        Some(stream) => stream,
        None => {
            let mut opened = connection.open_uni().await.map_err(WriteError::ConnectionLost)?;
            let _ = opened.set_priority(priority(lane));
            opened.write_all(&[tag(lane)]).await?;
            stream.insert(opened)
        }
    };
    stream.write_all_chunks(&mut [bytes]).await
}

/// Appends `frame` with its length.
pub(crate) fn append(buffer: &mut BytesMut, frame: &[u8]) {
    let length = u32::try_from(frame.len()).expect("encoded frames are checked against MAX_FRAME_BYTES");
    buffer.reserve(HEADER_BYTES + frame.len());
    buffer.extend_from_slice(&length.to_le_bytes());
    buffer.extend_from_slice(frame);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lane_has_its_own_first_byte() {
        let lanes =
            [Lane::Control, Lane::Presync, Lane::Batch, Lane::Session(0), Lane::Session(SESSION_SHARDS - 1)];
        for lane in lanes {
            assert_eq!(lane_of(tag(lane)), Some(lane));
        }
        for wrong in [3, 15, 16 + SESSION_SHARDS, 255] {
            assert_eq!(lane_of(wrong), None);
        }
    }
}
