//! What every Horizon process has: one configuration file, logs, metrics, an admin listener, a clock
//! and a way to end.
//!
//! A process reads [`config::Horizon`], starts [`logging`], opens an [`admin::Admin`], does its work
//! until [`signals::shutdown`], and leaves through [`exit::fail`] where it cannot start.

pub mod admin;
pub mod clock;
pub mod config;
pub mod exit;
pub mod health;
pub mod listen;
pub mod logging;
pub mod metrics;
pub mod processes;
pub mod signals;
