//! horizon-state-store.
