//! Why there is no link, or no way to send on it.

use std::io;
use std::net::SocketAddr;

use horizon_protocol::link::{PreambleError, Role};

/// Why a link was not opened.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// The own address cannot be had. The process should not start.
    #[error("cannot open the link socket on {address}: {cause}")]
    Bind {
        /// Where.
        address: SocketAddr,
        /// What the system said.
        cause: io::Error,
    },
    /// The own certificate or key cannot be used. Issue them again.
    #[error("the link certificate cannot be used: {0}")]
    Identity(String),
    /// The peer was not reached, or the connection broke before both sides knew each other. Try again.
    #[error("no link to {address}: {why}")]
    Unreachable {
        /// As it was asked for.
        address: String,
        /// What happened.
        why: String,
    },
    /// The peer is no Horizon process, or another build. Trying again is no use.
    #[error("no link to {address}: {error}")]
    Preamble {
        /// The peer.
        address: String,
        /// What was wrong with what it said.
        error: PreambleError,
    },
    /// The peer serves another world. Check both configurations.
    #[error("no link to {address}: it serves world {theirs}, this process {ours}")]
    World {
        /// The peer.
        address: String,
        /// The peer's world.
        theirs: String,
        /// This process's world.
        ours: String,
    },
    /// The peer's certificate does not speak for the role it claims: a mistake in issuing, or an attack.
    #[error("no link to {address}: it claims to be {claimed:?} with a certificate for {certified}")]
    Role {
        /// The peer.
        address: String,
        /// What it said.
        claimed: Role,
        /// The names in its certificate.
        certified: String,
    },
    /// The peer refused this process, and says why.
    #[error("{address} refused the link: {reason}")]
    Refused {
        /// The peer.
        address: String,
        /// Its words.
        reason: String,
    },
}

/// Why a message was not taken for sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// The link is gone. Open another one.
    #[error("the link is closed")]
    Closed,
    /// The peer does not keep up. What may be dropped should be; for what may not, the link is broken.
    #[error("the send queue is full")]
    Full,
    /// The message is longer than `MAX_FRAME_BYTES`; the peer would refuse it.
    #[error("a message of {0} bytes does not fit in a frame")]
    TooLong(usize),
}
