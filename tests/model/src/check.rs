//! One exploration of one model: every reachable state within a bound, and what was found there.

use std::fmt::{Debug, Display};
use std::hash::Hash;
use std::time::{Duration, Instant};

use stateright::{Checker, Expectation, HasDiscoveries, Model, Path};

use crate::mutant::Mutant;

/// How far a model goes: how many inputs, epochs and takeovers there may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// For every test run: all models and mutants within about a minute.
    Small,
    /// As far as a machine with two cores and 24 GiB goes in minutes.
    Full,
}

impl Bound {
    /// The first value for [`Bound::Small`], the second for [`Bound::Full`].
    pub fn choose<T>(self, small: T, full: T) -> T {
        match self {
            Self::Small => small,
            Self::Full => full,
        }
    }

    /// As on the command line.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Full => "full",
        }
    }
}

/// A model with a name, whose guards can be left out one at a time. Its actions read as sentences.
pub trait Subject:
    Model<
        State: Hash + Clone + PartialEq + Debug + Send + Sync + 'static,
        Action: Clone + PartialEq + Debug + Display,
    > + Send
    + Sync
    + Sized
    + 'static
{
    /// One word.
    const NAME: &'static str;
    /// What it shows, in a line.
    const ABOUT: &'static str;

    /// The model within `bound`; `without` names the guard that is left out.
    fn new(bound: Bound, without: Option<Mutant>) -> Self;
}

/// A property that failed, or an example of one that sometimes holds, with the shortest way there.
#[derive(Debug, Clone)]
pub struct Found {
    /// Name of the property; its first word is the invariant.
    pub property: &'static str,
    /// The steps from the beginning, as sentences.
    pub steps: Vec<String>,
    /// The state at the end.
    pub state: String,
}

/// What visiting all states has shown.
#[derive(Debug, Clone)]
pub struct Exploration {
    /// Different states.
    pub states: usize,
    /// Steps to the farthest of them.
    pub depth: usize,
    /// Properties that did not hold, the shortest counterexample first.
    pub violated: Vec<Found>,
    /// Situations that were reached.
    pub reached: Vec<&'static str>,
    /// Situations that should have been.
    pub not_reached: Vec<&'static str>,
    /// Wall time.
    pub took: Duration,
}

/// Visits every state of `S`, breadth first in one thread. With a guard left out it looks for the shortest way to a
/// property that fails, and visits no more than that takes.
pub fn explore<S: Subject>(bound: Bound, without: Option<Mutant>) -> Exploration {
    let begun = Instant::now();
    let mut exploration = visit::<S>(bound, without, None);
    if without.is_some() {
        // What the checker reports is among the first that it met, and not always the very first.
        while let Some(found) = exploration.violated.first() {
            let shorter = visit::<S>(bound, without, Some(found.steps.len()));
            if shorter.violated.is_empty() {
                break;
            }
            exploration = shorter;
        }
    }
    Exploration { took: begun.elapsed(), ..exploration }
}

/// Visits states; with `within`, only those less than so many steps away.
fn visit<S: Subject>(bound: Bound, without: Option<Mutant>, within: Option<usize>) -> Exploration {
    let begun = Instant::now();
    let stop = if without.is_some() { HasDiscoveries::AnyFailures } else { HasDiscoveries::All };
    // The checker numbers the first state 1, and no limit is 0.
    let limit = within.map_or(0, |steps| steps + 1);
    let builder = S::new(bound, without).checker().finish_when(stop).target_max_depth(limit);
    let checker = builder.spawn_bfs().join();
    let mut discoveries = checker.discoveries();
    let (mut violated, mut reached, mut not_reached) = (vec![], vec![], vec![]);
    for property in checker.model().properties() {
        match (&property.expectation, discoveries.remove(property.name)) {
            (Expectation::Sometimes, Some(_)) => reached.push(property.name),
            (Expectation::Sometimes, None) => not_reached.push(property.name),
            (_, Some(path)) => violated.push(found::<S>(property.name, path)),
            (_, None) => {}
        }
    }
    violated.sort_by_key(|found| found.steps.len());
    Exploration {
        states: checker.unique_state_count(),
        depth: checker.max_depth().saturating_sub(1),
        violated,
        reached,
        not_reached,
        took: begun.elapsed(),
    }
}

fn found<S: Subject>(property: &'static str, path: Path<S::State, S::Action>) -> Found {
    let state = format!("{:#?}", path.last_state());
    let steps = path.into_actions().iter().map(ToString::to_string).collect();
    Found { property, steps, state }
}
