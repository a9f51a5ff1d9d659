//! What a run of models and mutants has shown: one object, a table, or a counterexample in sentences.

use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;

use crate::check::{Bound, Exploration};
use crate::models::{Entry, named};
use crate::mutant::Row;

/// Everything that was run.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Different states of all models.
    pub states: usize,
    /// The farthest state of all, in steps.
    pub depth: usize,
    /// Properties that did not hold, and situations that were not reached.
    pub violations: usize,
    /// Wall time of models and mutants.
    pub seconds: f64,
    /// `small` or `full`.
    pub bound: &'static str,
    /// Cores and system.
    pub machine: String,
    /// Each model.
    pub models: Vec<ModelReport>,
    /// Each mutant.
    pub mutants: Vec<MutantReport>,
}

/// One model.
#[derive(Debug, Serialize)]
pub struct ModelReport {
    /// Its name.
    pub name: &'static str,
    /// Different states.
    pub states: usize,
    /// The farthest of them, in steps.
    pub depth: usize,
    /// Properties that did not hold, and situations that were not reached.
    pub violations: usize,
    /// Which properties did not hold.
    pub violated: Vec<&'static str>,
    /// Situations that were reached.
    pub reached: Vec<&'static str>,
    /// Situations that should have been: what a property says about them would be empty.
    pub not_reached: Vec<&'static str>,
    /// Wall time.
    pub seconds: f64,
}

/// One mutant.
#[derive(Debug, Serialize)]
pub struct MutantReport {
    /// Its name.
    pub name: String,
    /// The model that was asked.
    pub model: &'static str,
    /// The property that failed first; none where the mutant survived.
    pub killed_by: Option<&'static str>,
    /// Steps of the shortest counterexample.
    pub depth: Option<usize>,
    /// Different states until then.
    pub states: usize,
    /// First words of the properties of which one has to fail.
    pub expected_killers: &'static [&'static str],
    /// Whether one of those failed.
    pub is_as_expected: bool,
}

impl Report {
    /// With nothing in it yet.
    pub fn new(bound: Bound) -> Self {
        let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let machine = format!("{cores} cores, {} {}", std::env::consts::OS, std::env::consts::ARCH);
        let (models, mutants) = (vec![], vec![]);
        Self {
            states: 0,
            depth: 0,
            violations: 0,
            seconds: 0.0,
            bound: bound.name(),
            machine,
            models,
            mutants,
        }
    }

    /// Takes in what a model has shown.
    pub fn add_model(&mut self, name: &'static str, exploration: Exploration) {
        let violated: Vec<_> = exploration.violated.iter().map(|found| found.property).collect();
        let Exploration { states, depth, reached, not_reached, took, .. } = exploration;
        let violations = violated.len() + not_reached.len();
        self.states += states;
        self.depth = self.depth.max(depth);
        self.violations += violations;
        self.seconds += seconds(took);
        let seconds = seconds(took);
        self.models.push(ModelReport {
            name,
            states,
            depth,
            violations,
            violated,
            reached,
            not_reached,
            seconds,
        });
    }

    /// Takes in what became of a mutant.
    pub fn add_mutant(&mut self, row: &Row, exploration: &Exploration) {
        let first = exploration.violated.first();
        let expected = exploration.violated.iter().find(|found| row.killers.contains(&id(found.property)));
        let killer = expected.or(first);
        self.seconds += seconds(exploration.took);
        self.mutants.push(MutantReport {
            name: row.mutant.name(),
            model: row.model,
            killed_by: killer.map(|found| found.property),
            depth: killer.map(|found| found.steps.len()),
            states: exploration.states,
            expected_killers: row.killers,
            is_as_expected: expected.is_some(),
        });
    }

    /// Whether no model was violated and every mutant was noticed by a property that is there for it.
    pub fn is_clean(&self) -> bool {
        self.violations == 0 && self.mutants.iter().all(|mutant| mutant.is_as_expected)
    }

    /// For people.
    pub fn table(&self) -> String {
        let mut text = format!("{:<12} {:>11} {:>6} {:>8}  \n", "model", "states", "depth", "seconds");
        for model in &self.models {
            let ModelReport { name, states, depth, seconds, .. } = model;
            let _ = writeln!(text, "{name:<12} {states:>11} {depth:>6} {seconds:>8.1}  {}", verdict(model));
        }
        let _ =
            writeln!(text, "\n{:<20} {:<11} {:>6} {:>9}  killed by", "mutant", "model", "depth", "states");
        for mutant in &self.mutants {
            let MutantReport { name, model, states, .. } = mutant;
            let depth = mutant.depth.map_or_else(|| "-".to_owned(), |depth| depth.to_string());
            let killer = mutant.killed_by.unwrap_or("NOBODY: it survives");
            let note = if mutant.is_as_expected { "" } else { "   (not by a property that is there for it)" };
            let _ = writeln!(text, "{name:<20} {model:<11} {depth:>6} {states:>9}  {killer}{note}");
        }
        let _ = writeln!(
            text,
            "\n{} states, depth {}, {} violations, {:.0} s, bound {}, {}",
            self.states, self.depth, self.violations, self.seconds, self.bound, self.machine
        );
        text
    }
}

fn verdict(model: &ModelReport) -> String {
    if model.violations == 0 {
        return format!("holds; {} situations reached", model.reached.len());
    }
    format!("VIOLATED {:?}, NOT REACHED {:?}", model.violated, model.not_reached)
}

/// The invariant that a property is named for.
pub fn id(property: &str) -> &str {
    property.split(' ').next().unwrap_or_default()
}

fn seconds(took: Duration) -> f64 {
    (took.as_secs_f64() * 100.0).round() / 100.0
}

/// The shortest way to the failure that one mutant causes, one sentence per step.
pub fn explain(row: &Row, bound: Bound) -> String {
    let entry: &Entry = named(row.model).expect("the table of mutants names models that there are");
    let exploration = (entry.explore)(bound, Some(row.mutant));
    let Some(found) = exploration.violated.first() else {
        return format!(
            "{} survives: {} states, no property failed\n",
            row.mutant.name(),
            exploration.states
        );
    };
    let mut text = format!("{}: {}.\n\n", row.mutant.name(), row.about);
    for (number, step) in (1..).zip(&found.steps) {
        let _ = writeln!(text, "{number:>3}. {step}");
    }
    let _ = writeln!(text, "\nThen this does not hold: {}\n\n{}", found.property, found.state);
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::check::Found;
    use crate::mutant::MUTANTS;

    fn exploration(violated: &[&'static str], not_reached: &[&'static str]) -> Exploration {
        let found = |property: &&'static str| Found { property, steps: vec![], state: String::new() };
        Exploration {
            states: 10,
            depth: 3,
            violated: violated.iter().map(found).collect(),
            reached: vec!["something"],
            not_reached: not_reached.to_vec(),
            took: Duration::from_secs(1),
        }
    }

    #[test]
    fn what_fails_or_is_not_reached_is_a_violation() {
        for (violated, not_reached, violations) in
            [(&[][..], &[][..], 0), (&["I1 x"], &[], 1), (&[], &["y"], 1), (&["I1 x"], &["y"], 2)]
        {
            let mut report = Report::new(Bound::Small);
            report.add_model("some", exploration(violated, not_reached));
            assert_eq!((report.violations, report.is_clean()), (violations, violations == 0));
        }
    }

    #[test]
    fn a_mutant_that_survives_or_dies_by_accident_is_told() {
        let row = &MUTANTS[0];
        assert_eq!(row.killers, ["I1c", "I5"]);
        for (violated, is_clean) in [
            (&["I5 token"][..], true),
            (&["I3 input"], false),
            (&[], false),
            (&["I3 input", "I1c owners"], true),
        ] {
            let mut report = Report::new(Bound::Small);
            report.add_mutant(row, &exploration(violated, &[]));
            assert_eq!(report.is_clean(), is_clean, "{violated:?}");
        }
    }
}
