//! horizon-service.
