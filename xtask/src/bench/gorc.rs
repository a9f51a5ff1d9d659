//! Replication by itself: the scenes of `gorc/bench`.

use super::GorcOptions;
use crate::cargo;
use crate::failure::{Failure, Outcome};

/// Builds the scenes with optimisation and lets them print.
pub(super) fn measure(options: &GorcOptions) -> Outcome<()> {
    let mut command = cargo::command(&["run", "--release", "--quiet", "-p", "horizon-gorc-bench", "--"]);
    if let Ok(here) = std::env::current_dir() {
        // Paths are meant from here, and cargo runs at the root.
        let absolute = |path: &std::path::PathBuf| here.join(path);
        for (option, path) in [("--plot", &options.plot), ("--traces", &options.traces)] {
            if let Some(path) = path {
                command.arg(option).arg(absolute(path));
            }
        }
    }
    if let Some(scene) = &options.scene {
        command.arg("--scene").arg(scene);
    }
    if let Some(seconds) = options.seconds {
        command.arg("--seconds").arg(seconds.to_string());
    }
    for (option, is_set) in [("--json", options.json), ("--peers", options.peers)] {
        if is_set {
            command.arg(option);
        }
    }
    let status = command.status().map_err(|error| format!("cannot start cargo: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::with_code("the scenes of gorc did not end well; why is said above", status.code()))
}
