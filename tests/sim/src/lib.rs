//! The deterministic simulation of a whole world: edges, regions, store and clients on virtual time.
//!
//! ```text
//!  clients ── sockets ──▶ edges ── links ──▶ region servers ── disks
//!  (real session)         (real route,       (real region, plugins,     (real segments)
//!                          order of frames)   machines of the handoff)
//!                              └──────────────────┴──── calls ──▶ store (real rules)
//! ```
//!
//! One thread, one queue of what happens next, one source of chance: a seed decides everything, and says it
//! again. A run has two phases. In the first things go wrong as the seed says; whatever is observed is judged
//! by the checkers of `horizon-history`. In the second everything works, and within thirty seconds everybody
//! must have one owner, every input must be durable, and every token in one place.
//!
//! Absent: TLS, QUIC and WebSockets (links and sockets are ordered queues that delay, hold up and break),
//! the director's own decisions, and the tasks around the edge's machines.

mod campaign;
mod client;
mod dice;
mod director;
mod disk;
mod edge;
mod faults;
mod lanes;
mod message;
mod network;
mod options;
mod payload;
mod reference;
mod riding;
mod run;
mod session;
mod store;
mod walk;
mod worker;
mod world;

pub use campaign::{Campaign, Summary, campaign};
pub use options::{Broken, Options};
pub use run::{Outcome, run};
