//! Messages between two edges.
//!
//! Each edge dials every other one and says on its own link what it has to say; an answer comes back on the
//! same link. So two edges share two links, and neither has to know who dials.

use horizon_model::RegionId;
use rkyv::{Archive, Deserialize, Serialize};

/// From edge to edge.
#[derive(Archive, Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
pub enum EdgeToEdge {
    /// First message of whoever dialled: its own link address, `host:port`, to be dialled in turn.
    Hello {
        /// Where.
        link: String,
    },
    /// Asks for grid time; only the leader of the clock answers.
    ClockPing {
        /// Given back unchanged.
        token: u64,
    },
    /// The answer.
    ClockPong {
        /// From the request.
        token: u64,
        /// Nanoseconds of grid time when the answer left.
        grid_ns: u64,
    },
    /// A player of the sender needs this region, or will. For whoever directs.
    Ensure {
        /// Which.
        region: RegionId,
        /// Nobody is there yet, somebody is expected.
        expected: bool,
    },
    /// The operator stops the world: tell the players, and start nothing any more.
    Shutdown,
}
