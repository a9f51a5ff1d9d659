//! Nothing, at every point: the ordinary build.

use std::io;
use std::net::SocketAddr;

use horizon_handoff::{Capsule, CasRequest};
use horizon_link::{PeerSender, SendError};
use horizon_model::WorkerId;
use horizon_protocol::link::{Lane, RegionToEdge, RegionToRegion};
use tokio::runtime::Handle;

use crate::region::{Input, Region};

pub(crate) const fn begin(_worker: WorkerId, _link: SocketAddr) {}

pub(crate) const fn taken(_input: &Input) -> bool {
    false
}

pub(crate) const fn handled(_won: bool) {}

pub(crate) const fn after_step(_region: &Region) {}

pub(crate) fn to_edge(sender: &PeerSender, lane: Lane, message: &RegionToEdge) -> Result<(), SendError> {
    sender.send(lane, message)
}

pub(crate) fn to_worker(
    _runtime: &Handle,
    sender: &PeerSender,
    lane: Lane,
    message: &RegionToRegion,
) -> Result<(), SendError> {
    sender.send(lane, message)
}

pub(crate) const fn will_ask(_requests: &[CasRequest]) {}

pub(crate) const fn after_outputs() {}

pub(crate) const fn sends_whole_finals() -> bool {
    false
}

#[allow(clippy::unnecessary_wraps, reason = "same shape as in the build with faults")]
pub(crate) const fn disk() -> io::Result<()> {
    Ok(())
}

pub(crate) const fn luggage(capsule: Capsule) -> Capsule {
    capsule
}
