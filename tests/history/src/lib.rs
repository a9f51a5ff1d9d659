//! Histories of a world, and the checkers that read them: the same for simulation, processes and model.
//!
//! ```text
//!  store, edges, clients, journals ──▶ Event ──▶ History::observe ──┬▶ authority  I1 I2 I13
//!                                                                   ├▶ inputs     I3 I4
//!                                                                   ├▶ tokens     I5
//!                                                                   ├▶ view       I6 I7
//!                                                                   └▶ living     I8
//!                                               History::finish ──▶ Report
//! ```
//!
//! A checker judges as it goes and remembers only what it still needs: memory grows with players, objects
//! and tokens, never with the length of the history. Absent: any idea of how the events came about, and any
//! IO. Whoever observes decides what counts as *accepted*: what passed the epoch check of its receiver.

mod authority;
mod event;
mod history;
mod inputs;
mod living;
mod report;
mod tokens;
mod view;

pub use event::{Account, Ending, Event, Holder, Source, Who};
pub use history::History;
pub use inputs::{CHAIN_START, chain_next};
pub use report::{Invariant, Report, Violation};
pub use view::ViewRules;
