//! What a Horizon plugin is written with, and the only Horizon package it imports.
//!
//! A plugin is a library with one [`SimplePlugin`]: it registers closures for events, and those
//! closures act on the world through a [`Ctx`]. State lives in [`Component`]s of players and
//! objects; it crosses borders and survives crashes without the author doing anything. The first
//! steps are in `docs/plugins.md`.
//!
//! ```
//! use horizon_plugin_api::*;
//! use serde::{Deserialize, Serialize};
//! use std::sync::Arc;
//!
//! #[derive(Default)]
//! struct Greeter;
//!
//! #[derive(Serialize, Deserialize)]
//! struct Hello { to: String }
//!
//! #[async_trait]
//! impl SimplePlugin for Greeter {
//!     fn name(&self) -> &str { "greeter" }
//!     fn version(&self) -> &str { "1.0.0" }
//!
//!     async fn register_handlers(&mut self, events: Arc<EventSystem>) -> Result<(), PluginError> {
//!         events.on_core("player_connected", |cx: &mut Ctx, event: PlayerConnectedEvent| {
//!             cx.send(event.player_id, "greeter", "hello", &Hello { to: event.name })
//!         }).await?;
//!         Ok(())
//!     }
//! }
//! create_simple_plugin!(Greeter);
//! # fn main() {}
//! ```
//!
//! Handlers run on the tick thread, one at a time: they compute and return, they never wait. A
//! panic in one is caught here, reported to the host and counted against the plugin.
//!
//! The host's half of the boundary is in [`host`], so that both halves change together; [`testing`]
//! runs a plugin through that same boundary without a region server.

pub mod abi;
pub mod boundary;
mod component;
mod convert;
mod ctx;
mod error;
mod events;
mod handler;
pub mod host;
pub mod payload;
mod plugin;
mod system;
pub mod testing;

pub use async_trait::async_trait;
pub use component::{Component, ComponentMut};
pub use ctx::{Ctx, Level, Who};
pub use error::PluginError;
pub use events::Delivery;
pub use events::{
    ClientInputEvent, CoreEvent, CoreEventValue, MovementSample, PlayerConnectedEvent,
    PlayerDisconnectedEvent, RawClientMessageEvent, RegionStartedEvent, RegionStoppingEvent, ServerTickEvent,
};
pub use handler::{ClientHandler, CoreHandler, HandlerResult, PluginHandler};
pub use horizon_gorc_macros::PluginGorcObject as GorcObject;
/// All of the vocabulary: what derived code names, and the traits for the vectors of an engine.
pub use horizon_model as model;
pub use horizon_model::{
    Channel, ChannelSpec, EntityId, GorcObject, PlayerId, Pose, Position, RegionId, Seat, SessionId,
    TICKS_PER_SECOND, Tick,
};
pub use plugin::{FromDefault, SimplePlugin};
pub use system::{
    CORE_EVENTS, ChannelNumbers, EventSystem, HandlerName, ObjectType, Registered, Registration, Source,
};

/// The code of the authors' page, built as it stands there.
#[cfg(doctest)]
#[doc = include_str!("../../docs/plugins.md")]
struct Page;
