//! What travels on the store's socket.
//!
//! ```text
//! hello, once each way:  "HZNSTORE"  version: u32  world: u32        (an answer repeats the world)
//! frame:                 length: u32  id: u64  rkyv bytes of a Request or a Reply
//! ```
//! Numbers are little-endian; `length` counts the rkyv bytes. Many requests may be under way on one
//! connection, and replies come in any order. The hello never changes, so that two versions can tell
//! each other apart.

use std::io;

use horizon_model::WorldId;
use rkyv::rancor;
use rkyv::util::AlignedVec;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::request::{Reply, Request};

/// Version of the frames below.
pub(crate) const VERSION: u32 = 4;

/// Longest frame: a batch of a thousand of the largest capsules fits.
pub(crate) const MAX_FRAME_BYTES: usize = 80 * 1024 * 1024;

const MAGIC: [u8; 8] = *b"HZNSTORE";

/// The first bytes of either side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Hello {
    pub version: u32,
    pub world: WorldId,
}

pub(crate) async fn write_hello(to: &mut (impl AsyncWrite + Unpin), hello: Hello) -> io::Result<()> {
    let mut bytes = [0; 16];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&hello.version.to_le_bytes());
    bytes[12..].copy_from_slice(&hello.world.0.to_le_bytes());
    to.write_all(&bytes).await
}

pub(crate) async fn read_hello(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Hello> {
    let mut magic = [0; 8];
    from.read_exact(&mut magic).await?;
    if magic != MAGIC {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "the other side is no store"));
    }
    Ok(Hello { version: from.read_u32_le().await?, world: WorldId(from.read_u32_le().await?) })
}

/// A frame without its payload checked; `None` at a clean end.
pub(crate) async fn read_frame(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<(u64, AlignedVec)>> {
    let length = match from.read_u32_le().await {
        Ok(length) => length as usize,
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    };
    if length > MAX_FRAME_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes")));
    }
    let id = from.read_u64_le().await?;
    let mut payload = AlignedVec::with_capacity(length);
    payload.resize(length, 0);
    from.read_exact(&mut payload).await?;
    Ok(Some((id, payload)))
}

pub(crate) async fn write_frame(
    to: &mut (impl AsyncWrite + Unpin),
    id: u64,
    payload: &[u8],
) -> io::Result<()> {
    let length = u32::try_from(payload.len()).expect("frames are shorter than MAX_FRAME_BYTES");
    to.write_u32_le(length).await?;
    to.write_u64_le(id).await?;
    to.write_all(payload).await
}

pub(crate) fn encode_request(request: &Request) -> AlignedVec {
    rkyv::to_bytes::<rancor::Error>(request).expect("plain data serializes")
}

pub(crate) fn encode_reply(reply: &Reply) -> AlignedVec {
    rkyv::to_bytes::<rancor::Error>(reply).expect("plain data serializes")
}

pub(crate) fn decode_request(payload: &AlignedVec) -> io::Result<Request> {
    rkyv::from_bytes::<Request, rancor::Error>(payload).map_err(invalid)
}

pub(crate) fn decode_reply(payload: &AlignedVec) -> io::Result<Reply> {
    rkyv::from_bytes::<Reply, rancor::Error>(payload).map_err(invalid)
}

fn invalid(error: rancor::Error) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}
