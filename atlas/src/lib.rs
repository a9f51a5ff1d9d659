//! Atlas: the encrypted edge that players connect to, and the director of regions inside it.
//!
//! ```text
//!  players ══ wss ══▶ edge::front ─▶ edge::session ══ QUIC ══▶ region servers
//!                                        ▲  │ Ensure              │ Register, Placed, Band, Summary
//!                                 Routes │  ▼                     ▼
//!                                       hub ◀──────────────── links
//!                                        │ drives director (pure) and prediction; provision starts workers
//!                                        └─▶ view ─▶ admin API, live page
//! ```
//!
//! Atlas keeps nothing that a restart loses: sessions, owners and leases are in the store, inputs and
//! tickets with the clients, regions with their workers, which register again. It forwards payloads
//! unread: no schema, no plugin and no game rule is known here.
//!
//! Several Atlas processes serve one world. Every one of them is an edge, has a link to every region server
//! and knows who serves what; the one that holds the [`lease`] in the store directs, leads the clock and hears
//! from its [`peers`] what their players need. When it ends another one follows it, with what it knows.

pub mod admin;
pub mod decisions;
pub mod director;
pub mod edge;
pub mod evacuation;
mod eviction;
pub mod figures;
pub mod hub;
pub mod inbox;
pub mod lease;
pub mod links;
pub mod live;
pub mod peers;
pub mod prediction;
pub mod provision;
pub mod routes;
pub mod standing;
mod start;
pub mod view;

pub use start::{Atlas, Provision, StartError};
