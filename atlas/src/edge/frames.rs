//! State frames on their way to one client; their bodies are passed on unread.

use bytes::Bytes;

/// One frame.
pub type Frame = horizon_handoff::frames::Frame<Bytes>;
/// The order of one session's frames.
pub type FrameOrder = horizon_handoff::frames::FrameOrder<Bytes>;
/// What may leave now.
pub type Ready = horizon_handoff::frames::Ready<Bytes>;
