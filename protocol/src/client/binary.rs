//! The binary spelling, `horizon.v1`.
