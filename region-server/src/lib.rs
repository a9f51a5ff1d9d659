//! horizon-region-server.
