//! horizon-plugin-api.
