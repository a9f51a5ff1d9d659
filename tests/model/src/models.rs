//! The models, and what can be asked of each.

mod crossing;
mod effects;
mod generation;
mod group;
mod hashes;
mod journal;
mod liveness;
mod session;
mod switch;
mod transfer;

use crate::check::{Bound, Exploration, Subject, explore};
use crate::mutant::Mutant;

/// One model, ready to be explored.
#[derive(Debug, Clone, Copy)]
pub struct Entry {
    /// One word.
    pub name: &'static str,
    /// What it shows, in a line.
    pub about: &'static str,
    /// Visits every state within a bound, with or without one guard.
    pub explore: fn(Bound, Option<Mutant>) -> Exploration,
}

const fn entry<S: Subject>() -> Entry {
    Entry { name: S::NAME, about: S::ABOUT, explore: explore::<S> }
}

/// All of them.
pub const MODELS: &[Entry] = &[
    entry::<crossing::Crossing<2>>(),
    entry::<crossing::Crossing<3>>(),
    entry::<liveness::Liveness>(),
    entry::<effects::Effects>(),
    entry::<group::Group>(),
    entry::<transfer::Transfer>(),
    entry::<generation::Generation>(),
    entry::<hashes::Hashes>(),
    entry::<switch::Switch>(),
    entry::<journal::Journal>(),
    entry::<session::Session>(),
];

/// The model of that name.
pub fn named(name: &str) -> Option<&'static Entry> {
    MODELS.iter().find(|entry| entry.name == name)
}
