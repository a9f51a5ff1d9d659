//! horizon-atlas.
