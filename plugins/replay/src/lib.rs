//! horizon-plugin-replay.
