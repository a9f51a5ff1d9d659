//! horizon-client.
