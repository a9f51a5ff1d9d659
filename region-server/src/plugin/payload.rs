//! Payloads between the spellings of sessions. Plugins answer in MessagePack; sessions that speak
//! JSON get the same value as text.

pub use horizon_plugin_api::payload::{PayloadError, transcode_to_json};
