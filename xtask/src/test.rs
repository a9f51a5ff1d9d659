//! `cargo xtask test`: everything that has to be green, in the order in which it fails fastest.

use std::process::Command;
use std::time::{Duration, Instant};

use clap::Args;

use crate::cargo;
use crate::failure::{Failure, Outcome};

/// What is tested.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Leave the end-to-end tests out
    #[arg(long)]
    quick: bool,
}

/// A program of the system that tests or builds need.
struct SystemPackage {
    /// Looked for in the path.
    program: &'static str,
    /// Debian's name of what brings it.
    package: &'static str,
    /// What it is for.
    why: &'static str,
}

/// Add here what a new test needs, never to a page that people have to follow.
const PACKAGES: [SystemPackage; 4] = [
    SystemPackage {
        program: "cc",
        package: "build-essential",
        why: "cryptography and SQLite are built from C",
    },
    SystemPackage {
        program: "redis-server",
        package: "redis-server",
        why: "worlds that are kept on a Redis server are tested with a real one",
    },
    SystemPackage {
        program: "faketime",
        package: "faketime",
        why: "worlds are tested with wall clocks that are wrong",
    },
    SystemPackage {
        program: "ip",
        package: "iproute2",
        why: "region servers on machines of their own are tested with network namespaces",
    },
];

/// One command line, and what it is called.
struct Step {
    name: &'static str,
    words: &'static [&'static str],
}

const FORMAT: Step = Step { name: "format", words: &["fmt", "--all", "--check"] };
const LINTS: Step =
    Step { name: "lints", words: &["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"] };
/// End-to-end tests start these programs and load these plugins.
const BUILD: Step = Step { name: "build", words: &["build", "--workspace"] };
const TESTS: Step = Step {
    name: "tests",
    words: &["test", "--workspace", "--exclude", "horizon-e2e", "--features", "horizon-sim/mutants"],
};
/// Real processes want the machine for themselves, so they come last. `--workspace` keeps the set of features.
const END_TO_END: Step = Step {
    name: "end-to-end tests",
    words: &[
        "test",
        "--workspace",
        "--test",
        "road",
        "--test",
        "faults",
        "--test",
        "edges",
        "--test",
        "machines",
        "--test",
        "evacuation",
        "--test",
        "outage",
        "--test",
        "start",
        "--test",
        "borders",
        "--test",
        "stalls",
        "--",
        "--test-threads=2",
        // Which ones were skipped and why, and what outages cost.
        "--show-output",
    ],
};

/// The short run of faults at exact steps of a crossing, each with its control.
const CHAOS: Step = Step { name: "chaos", words: &["xtask", "chaos", "--json", "--cells", "quick"] };

/// A handful of them on the other store.
const CHAOS_ON_REDIS: Step = Step {
    name: "chaos on Redis",
    words: &["xtask", "chaos", "--json", "--store", "redis", "--only", "kill/s4"],
};

/// Clocks that are wrong, and wall clocks in their place as the control.
const CLOCKS: Step =
    Step { name: "clocks", words: &["xtask", "bench", "clocks", "--json", "--quick", "--seconds", "6"] };

/// End-to-end tests with guards off, on the programs that the step before has built.
const CONTROLS: Step = Step {
    name: "controls",
    words: &["test", "--workspace", "--test", "controls", "--", "--test-threads=2"],
};

/// What starts real processes.
const PROCESSES: [Step; 5] = [END_TO_END, CHAOS, CHAOS_ON_REDIS, CLOCKS, CONTROLS];

/// Everything.
pub(crate) fn test(options: &Options) -> Outcome<()> {
    install_packages()?;
    let mut steps = vec![FORMAT, LINTS, BUILD, TESTS];
    if options.quick {
        let names = PROCESSES.map(|step| step.name).join(", ");
        eprintln!("skipped, because of --quick: {names}");
    } else {
        steps.extend(PROCESSES);
    }
    run(&steps)
}

/// Format and lints.
pub(crate) fn check() -> Outcome<()> {
    run(&[FORMAT, LINTS])
}

fn run(steps: &[Step]) -> Outcome<()> {
    let mut took: Vec<(&str, Duration)> = Vec::new();
    for step in steps {
        eprintln!("\n== {}: cargo {}", step.name, step.words.join(" "));
        let begun = Instant::now();
        let status = cargo::command(step.words).status();
        let status = status.map_err(|error| format!("cannot start cargo: {error}"))?;
        took.push((step.name, begun.elapsed()));
        if !status.success() {
            tell(&took, Some(step.name));
            return Err(Failure::with_code(format!("{} failed ({status})", step.name), status.code()));
        }
    }
    tell(&took, None);
    Ok(())
}

fn tell(took: &[(&str, Duration)], failed: Option<&str>) {
    eprintln!();
    for (name, time) in took {
        let outcome = if failed == Some(name) { "FAILED" } else { "ok" };
        eprintln!("{name:<18} {outcome:<7} {:6.1} s", time.as_secs_f64());
    }
}

/// Installs what is missing where that is possible, and says how where it is not.
fn install_packages() -> Outcome<()> {
    let missing: Vec<_> = PACKAGES.iter().filter(|package| !is_installed(package.program)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    for package in &missing {
        eprintln!("{} is missing ({}): {}", package.program, package.package, package.why);
    }
    let names: Vec<_> = missing.iter().map(|package| package.package).collect();
    let line = format!("apt-get install -y {}", names.join(" "));
    if !rustix::process::geteuid().is_root() {
        return Err(format!("run `sudo {line}` once, then this again").into());
    }
    eprintln!("{line}");
    let status = Command::new("sh").args(["-c", &format!("apt-get update -q && {line}")]).status();
    match status {
        Ok(status) if status.success() => Ok(()),
        _ => Err(format!("`{line}` failed; install these packages by hand").into()),
    }
}

fn is_installed(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_looked_for_in_the_path() {
        assert!(is_installed("sh"));
        assert!(!is_installed("no program is called this"));
    }

    /// They are named one by one, and one that is not named would never run.
    #[test]
    fn every_end_to_end_test_is_run() {
        let folder = crate::cargo::root().join("tests/e2e/tests");
        let words: Vec<&str> = PROCESSES.iter().flat_map(|step| step.words).copied().collect();
        for entry in std::fs::read_dir(folder).expect("the folder is there") {
            let path = entry.expect("it can be listed").path();
            if path.extension().is_some_and(|kind| kind == "rs") {
                let name = path.file_stem().and_then(|name| name.to_str()).expect("names are text");
                assert!(words.windows(2).any(|pair| pair == ["--test", name]), "{name} is not run");
            }
        }
    }
}
