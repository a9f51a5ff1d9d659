//! Players for tests and demonstrations: bots that replay recorded matches, and checkers that watch what
//! every one of them sees.
//!
//! ```text
//!   trace ──▶ fleet ──▶ bot (one per player) ──▶ horizon-client ──▶ the world
//!                        │  checker: flickers, strays, gaps at crossings
//!                        │  references: what everybody draws, side by side
//!                        │  steps:   ticks of runners that are missed or doubled
//!                        │  ledger:  every input once and in order
//!                        └▶ totals: one JSON object at the end
//! ```
//!
//! [`skirmish`] is another play: a script, whose account can be compared with that of another world.
//!
//! [`checker`], [`ledger`], [`references`], [`runner`], [`steps`] and [`trace`] are pure; [`bot`] and [`fleet`] are the shell around them.

pub mod bot;
pub mod checker;
pub mod fleet;
pub mod hiccup;
pub mod ledger;
pub mod references;
pub mod runner;
pub mod skirmish;
pub mod steps;
pub mod totals;
pub mod trace;
pub mod walker;
