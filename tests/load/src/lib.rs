//! horizon-load.
