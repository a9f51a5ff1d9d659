//! Faults for real processes, at exact steps of a crossing.
//!
//! ```text
//!   cell ──▶ run ──▶ world: store, atlas, region servers with fail points, every road through a proxy
//!             │        │ line: "reached final target", "go"
//!             │        └ player ×4: walk over the border, act, note what they see
//!             └──▶ checkers of horizon-history ──▶ violations
//! ```
//!
//! [`proxy`] is the network, and can be told to misbehave; the program `fault-proxy` is the same, told over standard
//! input. Every cell has a control: the same fault with one guard switched off, which a checker must notice.
//! Absent: machines of their own, real power cuts, and network namespaces; all roads are loopback.

pub mod cell;
mod http;
pub mod line;
pub mod matrix;
pub mod player;
mod ports;
pub mod proxy;
mod purse;
pub mod run;
pub mod world;
