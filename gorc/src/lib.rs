//! horizon-gorc.
