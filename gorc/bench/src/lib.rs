//! What gorc costs, in time and in bytes, and how exact the pictures of its clients are.
//!
//! ```text
//!   movement ──▶ World (a Gorc) ──bodies──▶ clients ──▶ gauge ──▶ outcome ──▶ JSON, table, plot
//!      └──────────────── what really happened ────────────┘
//! ```
//!
//! A scene is objects that move, observers that look at them, and a table of channels. Only the calls a
//! region makes are timed, by the processor time of this thread; clients read, draw and are compared with
//! the truth outside of that. Every scene is seeded, so bytes and errors are the same in every run.

pub mod chance;
pub mod client;
pub mod clock;
pub mod counting;
pub mod errors;
pub mod gauge;
pub mod index;
pub mod machine;
pub mod movement;
pub mod outcome;
pub mod overload;
pub mod peers;
pub mod plot;
pub mod scene;
