//! Every byte that crosses a process border.
//!
//! [`client`] is what players speak over a WebSocket: binary (`horizon.v1`) and text
//! (`horizon.v1.json`). [`link`] is what edges and region servers speak among themselves over QUIC.
//! The page `docs/protocol.md` specifies the first byte by byte; golden vectors hold it to that.
//! Nothing here touches a socket or a clock.

pub mod client;
pub mod link;
