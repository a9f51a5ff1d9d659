//! End-to-end tests: real processes, real sockets, real files.
//!
//! ```text
//!   test ──▶ Player ──▶ horizon-client ══ wss ══▶ atlas ──▶ region servers
//!     └────▶ World: starts store and atlas in a folder of its own, kills them, reads their logs
//! ```
//!
//! The programs and plugins are those of `cargo build --workspace`, in the same target folder as the test. Any
//! ERROR line in a log fails the test that started the process. Nothing waits for a time to pass: tests wait
//! for what they want to see, with [`DEADLINE`].

mod asked;
pub mod chain;
pub mod elsewhere;
pub mod http;
pub mod lost_data;
pub mod machines;
pub mod outage;
pub mod player;
pub mod recording;
pub mod redis;
pub mod skirmish;
pub mod world;

use std::time::Duration;

pub use player::{Player, Seen};
pub use redis::Store;
pub use world::{World, programs};

/// Whatever a test waits for is there by then, also on a busy machine.
pub const DEADLINE: Duration = Duration::from_secs(40);
