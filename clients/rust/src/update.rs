//! What a client tells its program.

use std::time::Duration;

use horizon_model::{Epoch, Tick};
use horizon_protocol::client::{Closing, Progress};

use crate::session::Event;
use crate::world::Frame;

/// What happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Update {
    /// A tick of the world; [`Client::world`] shows it.
    Frame(Frame),
    /// A reliable event, delivered once.
    Event(Event),
    /// Inputs came further.
    Progress(Progress),
    /// A server process ended: the world may have gone back to `tick`. Play on; the frames say how it is.
    Resync {
        /// Authority epoch from now on.
        epoch: Epoch,
        /// Last certain tick.
        tick: Tick,
    },
    /// The server is about to close the socket.
    Closing(Closing),
    /// The socket is gone.
    Disconnected {
        /// Why, in a sentence.
        why: String,
        /// Whether the session is being resumed. If not, [`Client::next`] ends.
        resuming: bool,
    },
    /// The session goes on over a new socket.
    Resumed {
        /// Time without a connection.
        after: Duration,
        /// Whether the server had forgotten the session and began a new one.
        anew: bool,
        /// Inputs that went down with the old session.
        abandoned: u32,
    },
}
