//! horizon-region-server.

pub mod plugin;
