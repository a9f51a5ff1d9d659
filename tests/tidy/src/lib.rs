//! horizon-tidy.
