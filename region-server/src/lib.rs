//! The region server: simulates one box of the world.
//!
//! [`region`] is the simulation, a value without IO; [`world`] what it owns; [`plugin`] runs the rules
//! that authors write; [`journal`] keeps what a crash must not undo; [`worker`] is the shell of links,
//! store and clock around them.

mod fault;
pub mod journal;
pub mod plugin;
pub mod region;
pub mod worker;
pub mod world;
