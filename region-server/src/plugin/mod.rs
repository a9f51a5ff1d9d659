//! The plugin host: loads plugins and runs their handlers on the tick thread.
//!
//! [`PluginHost::load`] opens every library of a folder in the order of file names; that order is
//! also the order in which plugins hear an event. The region implements [`HostWorld`] and calls
//! [`PluginHost::core`], [`PluginHost::input`] and [`PluginHost::movement`]. Handlers queue their
//! effects in the world; what plugins tell each other is delivered after the handler has returned,
//! so nothing re-enters. A handler that fails or panics costs a warning and a strike, never the region.

mod host;
mod library;
mod load;
mod payload;
mod tables;

pub use horizon_plugin_api::host::{CallError, HostError, HostWorld, OpenError};
pub use horizon_plugin_api::{
    CoreEvent, PlayerConnectedEvent, PlayerDisconnectedEvent, RegionStartedEvent, RegionStoppingEvent,
    ServerTickEvent,
};
pub use host::{InputResult, PluginHost};
pub use library::is_plugin_file;
pub use load::LoadError;
pub use payload::{PayloadError, transcode_to_json};
