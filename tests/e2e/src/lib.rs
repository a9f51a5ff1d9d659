//! horizon-e2e.
