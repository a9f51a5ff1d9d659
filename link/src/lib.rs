//! horizon-link.
