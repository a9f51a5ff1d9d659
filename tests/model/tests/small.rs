//! The small bound of every model: nothing is violated, every situation is reached, every mutant is noticed.

use horizon_model_check::check::Bound;
use horizon_model_check::models::{MODELS, named};
use horizon_model_check::mutant::MUTANTS;
use horizon_model_check::report::Report;

fn holds(name: &str) {
    let entry = named(name).expect("a model of that name");
    let mut report = Report::new(Bound::Small);
    let exploration = (entry.explore)(Bound::Small, None);
    for found in &exploration.violated {
        eprintln!("{}:\n{}\n{}", found.property, found.steps.join("\n"), found.state);
    }
    report.add_model(entry.name, exploration);
    for row in MUTANTS.iter().filter(|row| row.model == name) {
        report.add_mutant(row, &(entry.explore)(Bound::Small, Some(row.mutant)));
    }
    eprintln!("{}", report.table());
    assert!(report.is_clean(), "see the table; `cargo xtask model --explain MUTANT` tells a counterexample");
}

macro_rules! models {
    ($($name:ident)*) => {
        $(#[test]
        fn $name() {
            holds(stringify!($name));
        })*

        const TESTED: &[&str] = &[$(stringify!($name)),*];
    };
}

models!(crossing corner liveness effects group transfer generation hashes switch journal session);

#[test]
fn every_model_is_tested_and_has_a_mutant() {
    let names: Vec<_> = MODELS.iter().map(|entry| entry.name).collect();
    assert_eq!(names, TESTED);
    for name in names {
        assert!(MUTANTS.iter().any(|row| row.model == name), "no mutant shows that {name} can fail");
    }
    assert!(MUTANTS.iter().all(|row| named(row.model).is_some()));
}
