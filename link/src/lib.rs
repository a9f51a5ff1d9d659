//! The link between two Horizon processes: one QUIC connection with mutual TLS, however many players.
//!
//! ```text
//!   PeerSender ─▶ queue per lane ─▶ one stream per lane  ══ QUIC ══▶ reader per stream ─┐
//!              ─▶ batch: a stream of its own, given up when too old ═▶ reader per batch ─┴▶ PeerReceiver
//! ```
//!
//! A [`Node`] is a process's end of all its links; [`Node::connect`] and [`Node::accept`] yield a
//! [`Peer`] once both sides have shown a certificate of the project's authority, said the same
//! version and world, and proven the role they claim. Within a lane order is kept; lanes do not wait
//! for each other, and what matters most is sent first. Sending never blocks: a full queue is an
//! error that the caller sees.
//!
//! [`pki`] makes the certificates.

mod error;
mod frame;
mod identity;
mod node;
mod peer;
pub mod pki;
mod reader;
#[cfg(test)]
mod tests;
mod tls;
mod writer;

pub use error::{LinkError, SendError};
pub use frame::{Frame, FrameError, Message};
pub use horizon_protocol::link::{Lane, Preamble, Role};
pub use identity::{CertRole, Identity};
pub use node::Node;
pub use peer::{Peer, PeerReceiver, PeerSender};
