//! Judges predictions of border crossings: were regions and copies ready when somebody came, and what was for nothing?
//!
//! ```text
//!   movement ── paths ──▶ judge ◀── asks each step ── strategy: ours, constant velocity, whoever is near
//!                          │ crossings, jumps, episodes
//!                          └▶ tally ──▶ shares, waste ──▶ curve, report, picture
//! ```
//!
//! Two jobs are judged apart. *Placing*: a region that nobody is in or needs is stopped, and a cold one takes 1.5 s to
//! start; it counts where it runs when a body comes. *Pre-syncing*: a copy has to begin 250 ms ahead; one that is dropped
//! without the body having come was wasted. Nothing here reads a clock but the timer of the decisions.

pub mod dice;
pub mod judge;
pub mod movement;
pub mod picture;
pub mod report;
pub mod strategy;
