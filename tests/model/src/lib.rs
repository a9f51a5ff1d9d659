//! The protocol of the handoff as models whose every reachable state is visited, and the mistakes that they notice.
//!
//! ```text
//!             Bound, Mutant            states, paths
//!   models ──────────────▶ check ─────────────────────▶ report ──▶ table, JSON, sentences
//!     │                (Stateright)
//!     └─▶ decision ─▶ judge of the handoff crate: the stores' own
//! ```
//!
//! A model is a value that says which steps are possible in a state and what each does. The network keeps every
//! message for ever and delivers any of them at any time, so loss, repetition, reordering and delay need no code.
//! There is no clock: what a timeout may do, may happen at any moment.
//!
//! Each model has properties that hold in every state, named for the invariants they check, and *sometimes*
//! properties, which prove that the states in question are reached at all. A [`Mutant`] leaves one guard out, and
//! counts only if an expected property fails.

pub mod check;
pub mod decision;
pub mod models;
pub mod mutant;
pub mod report;

pub use check::{Bound, Exploration, Found, Subject};
pub use mutant::Mutant;
