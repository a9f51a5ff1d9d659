//! The plugin host: loads plugins and runs their handlers on the tick thread.

mod world;

pub use world::{HostError, HostWorld};
