//! The text spelling, `horizon.v1.json`.
