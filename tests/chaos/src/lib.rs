//! Faults for real processes.
//!
//! [`proxy`] stands between processes as a network that can be told to misbehave: it loses, repeats, delays and
//! reorders datagrams, and cuts either direction of a road. The program `fault-proxy` is the same, told over
//! standard input.

pub mod proxy;
