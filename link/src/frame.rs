//! One received message, and what may be one.

use horizon_protocol::link::MAX_FRAME_BYTES;
use rkyv::api::high::{HighDeserializer, HighSerializer, HighValidator};
use rkyv::bytecheck::CheckBytes;
use rkyv::rancor::Error;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::util::AlignedVec;
use rkyv::{Archive, Deserialize, Serialize};

use crate::SendError;

/// What travels on a link: every plain rkyv type is one.
pub trait Message:
    Sized
    + Archive<
        Archived: for<'a> CheckBytes<HighValidator<'a, Error>> + Deserialize<Self, HighDeserializer<Error>>,
    > + for<'a> Serialize<HighSerializer<AlignedVec, ArenaHandle<'a>, Error>>
{
}

impl<M> Message for M where
    M: Archive<
            Archived: for<'a> CheckBytes<HighValidator<'a, Error>> + Deserialize<M, HighDeserializer<Error>>,
        > + for<'a> Serialize<HighSerializer<AlignedVec, ArenaHandle<'a>, Error>>
{
}

/// The bytes of one message, aligned for reading in place.
#[derive(Debug)]
pub struct Frame {
    bytes: AlignedVec,
}

/// The bytes are not a message of the wanted type: another build, or a broken peer. Close the link.
#[derive(Debug, thiserror::Error)]
#[error("a frame cannot be read: {0}")]
pub struct FrameError(Error);

impl Frame {
    pub(crate) const fn new(bytes: AlignedVec) -> Self {
        Self { bytes }
    }

    /// The message in place, after a check of every byte that matters.
    ///
    /// # Errors
    ///
    /// [`FrameError`] where the bytes are no `M`.
    pub fn access<M: Message>(&self) -> Result<&M::Archived, FrameError> {
        rkyv::access::<M::Archived, Error>(&self.bytes).map_err(FrameError)
    }

    /// The message, copied out after the same check.
    ///
    /// # Errors
    ///
    /// [`FrameError`] where the bytes are no `M`.
    pub fn decode<M: Message>(&self) -> Result<M, FrameError> {
        rkyv::deserialize::<M, Error>(self.access::<M>()?).map_err(FrameError)
    }

    /// Length in bytes.
    pub fn size(&self) -> usize {
        self.bytes.len()
    }
}

/// The bytes to send for `message`.
pub(crate) fn encode<M: Message>(message: &M) -> Result<AlignedVec, SendError> {
    let bytes = rkyv::to_bytes::<Error>(message).expect("plain data serialises");
    if bytes.len() > MAX_FRAME_BYTES { Err(SendError::TooLong(bytes.len())) } else { Ok(bytes) }
}
