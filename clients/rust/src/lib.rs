//! A player's program in a Horizon world.
//!
//! ```text
//!   your program ──▶ Client ──▶ Session (numbers, window, resends, clock; no IO)
//!        ▲             │  └───▶ World   (objects held, from the state frames)
//!        └── Update ───┘         dial   (TCP, TLS 1.3, WebSocket, hello)
//! ```
//!
//! ```no_run
//! # async fn play() -> Result<(), Box<dyn std::error::Error>> {
//! use horizon_client::{Client, Options, Update};
//!
//! let mut client = Client::connect(Options::new("wss://localhost:7777/", "pki/ca.pem", "Zoë")).await?;
//! client.send("chat", "say", &serde_json::json!({ "text": "hello" }))?;
//! while let Some(update) = client.next().await {
//!     if let Update::Event(event) = update {
//!         println!("{} {}: {} bytes", event.namespace, event.event, event.payload.len());
//!     }
//! }
//! # Ok(()) }
//! ```
//!
//! [`Client`] has no task of its own: everything happens while [`Client::next`] is awaited, so a program that
//! does not read gets fewer frames instead of stale ones. A broken socket is resumed without being asked;
//! inputs are applied exactly once and events delivered exactly once, whatever breaks.

mod client;
mod clock;
mod dial;
mod session;
mod update;
mod world;

pub use client::{Client, ConnectError, Options, SendError};
pub use clock::Clock;
pub use dial::{DialError, Trust, TrustError};
pub use gorc::{Curve, Density, Enter as EnterEntry, LeaveReason, Update as UpdateEntry};
pub use horizon_protocol::client::{
    Closing, ClosingReason, Progress, Refused, RefusedReason, Spelling, Welcome,
};
pub use session::{Delivery, Event, PayloadError, Profile, Session, SessionStats, WindowFull};
pub use update::Update;
pub use world::{Drawn, Frame, Object, Witness, World};
