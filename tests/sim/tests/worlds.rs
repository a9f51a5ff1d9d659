//! Simulated worlds: small runs that must be clean, kept seeds, and guards whose absence must be noticed.
#![allow(clippy::unwrap_used)]

#[path = "../../../region-server/tests/plugins/build.rs"]
#[allow(dead_code)]
mod build;

use std::path::{Path, PathBuf};

use horizon_sim::{Broken, Campaign, Summary, campaign};
use tempfile::TempDir;

const PLUGINS: [&str; 6] = ["movement", "ledger", "chat", "replay", "tokens", "vehicles"];

fn plugins() -> TempDir {
    build::own_plugins(&PLUGINS)
}

fn run(plugins: &Path, seeds: impl IntoIterator<Item = u64>, broken: Option<Broken>) -> Summary {
    ride(plugins, seeds, broken, false)
}

fn ride(
    plugins: &Path,
    seeds: impl IntoIterator<Item = u64>,
    broken: Option<Broken>,
    riders: bool,
) -> Summary {
    let what = Campaign {
        seeds: seeds.into_iter().collect(),
        jobs: 2,
        within: None,
        plugins: plugins.to_owned(),
        riders,
        broken,
        trace: false,
    };
    campaign(&what, |outcome| {
        eprintln!(
            "SEED={} OPTIONS=\"{}\" violations={}",
            outcome.seed,
            outcome.profile,
            outcome.violations()
        );
    })
    .unwrap()
}

/// Seeds that failed once. `cargo xtask sim` adds to them.
fn kept(file: &str) -> Vec<u64> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = std::fs::read_to_string(path).unwrap();
    text.lines().map(|line| line.split_whitespace().next().unwrap().parse().unwrap()).collect()
}

#[test]
fn worlds_with_faults_keep_their_promises() {
    let plugins = plugins();
    let summary = run(plugins.path(), 1..=6, None);
    assert_eq!(summary.violations, 0, "{:#?}", summary.sentences);
    assert!(summary.handoffs > 500, "{} handoffs", summary.handoffs);
    assert!(summary.faults.len() > 10, "{:?}", summary.faults);
}

#[test]
fn no_misfortune_splits_a_group() {
    let plugins = plugins();
    let summary = ride(plugins.path(), 1..=6, None, true);
    assert_eq!(summary.violations, 0, "{:#?}", summary.sentences);
    assert!(summary.rides > 100, "{} arrivals", summary.rides);
}

#[test]
fn seeds_that_failed_once_do_not_fail_again() {
    let plugins = plugins();
    for (file, riders) in [("seeds.txt", false), ("seeds-riders.txt", true)] {
        let summary = ride(plugins.path(), kept(file), None, riders);
        assert_eq!(summary.violations, 0, "{:#?}", summary.sentences);
    }
}

#[test]
fn the_same_seed_is_the_same_world() {
    let plugins = plugins();
    let fingerprint = || {
        let found = std::sync::Mutex::new(Vec::new());
        let what = Campaign {
            seeds: vec![1],
            jobs: 1,
            within: None,
            plugins: plugins.path().to_owned(),
            riders: false,
            broken: None,
            trace: false,
        };
        campaign(&what, |outcome| found.lock().unwrap().push((outcome.fingerprint, outcome.handoffs)))
            .unwrap();
        found.into_inner().unwrap()
    };
    assert_eq!(fingerprint(), fingerprint());
}

/// How many worlds a control may need where the one that is known to notice has changed.
const TRIES: u64 = 40;

/// That the checkers notice that a guard is missing: in the world of `known`, or in one of the next.
///
/// A world that ends in a panic has noticed only where the same world with all its guards is clean.
fn is_noticed(name: &str, known: u64) {
    is_noticed_with(name, known, false);
}

fn is_noticed_with(name: &str, known: u64, riders: bool) {
    let broken = Broken::named(name).unwrap();
    let plugins = plugins();
    let is_worse = |seed| {
        let path = plugins.path();
        match std::panic::catch_unwind(|| ride(path, [seed], Some(broken), riders).violations) {
            Ok(violations) => violations > 0,
            Err(_) => ride(path, [seed], None, riders).violations == 0,
        }
    };
    let noticed = (known..known + TRIES).find(|seed| is_worse(*seed));
    assert!(noticed.is_some(), "{TRIES} worlds from seed {known} on without the guard {name} look clean");
    eprintln!("{name}: noticed in the world of seed {noticed:?}");
}

#[test]
fn a_lying_disk_is_noticed() {
    is_noticed("lying-disk", 1);
}

#[test]
fn a_journal_without_a_fence_is_noticed() {
    is_noticed("no-fence", 17);
}

#[test]
fn an_edge_that_believes_everybody_is_noticed() {
    is_noticed("no-epoch-check", 2);
}

#[cfg(feature = "mutants")]
mod machines {
    use super::{is_noticed, is_noticed_with};

    macro_rules! noticed {
        ($($test:ident: $name:literal in $seed:literal,)*) => {
            $(#[test] fn $test() { is_noticed($name, $seed); })*
        };
    }

    noticed! {
        a_source_that_goes_on_by_itself: "resume-without-cas" in 1,
        a_final_state_before_its_journal: "final-before-flush" in 22,
        a_target_that_waits_for_nobody: "activate-on-final" in 1,
        a_target_that_forgets_what_it_has_seen: "no-tombstone" in 4,
        a_copy_in_place_of_the_final_state: "copy-instead-of-final" in 1,
        a_move_before_its_state_is_durable: "cas-before-staged" in 9,
        a_source_that_takes_any_record_for_its_own: "any-record-resumes" in 1,
        an_input_applied_twice: "apply-twice" in 1,
        a_message_taken_twice: "repeat-posts" in 1,
        a_gift_to_a_frozen_player: "give-while-frozen" in 1,
    }

    #[test]
    fn a_group_that_is_committed_member_by_member() {
        is_noticed_with("members-one-by-one", 1, true);
    }

    /// A guard in the table that no test switches off would be one that is only believed to be noticed.
    #[test]
    fn no_guard_of_the_table_is_without_a_control() {
        let tests = include_str!("worlds.rs");
        for (name, _) in horizon_sim::Broken::ALL {
            let quoted = format!("{name:?}");
            assert!(tests.contains(&quoted), "{name} has no control");
        }
    }
}
