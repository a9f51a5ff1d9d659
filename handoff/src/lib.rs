//! horizon-handoff.
