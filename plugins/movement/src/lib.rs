//! horizon-plugin-movement.
