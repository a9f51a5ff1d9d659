//! Prediction by itself: `tests/predict`.

use super::PredictOptions;
use crate::cargo;
use crate::failure::{Failure, Outcome};

/// Builds the judge with optimisation and lets it print.
pub(super) fn measure(options: &PredictOptions) -> Outcome<()> {
    let mut command = cargo::command(&["run", "--release", "--quiet", "-p", "horizon-predict", "--"]);
    if let Ok(here) = std::env::current_dir() {
        // Paths are meant from here, and cargo runs at the root.
        for (option, path) in [("--plot", &options.plot), ("--traces", &options.traces)] {
            if let Some(path) = path {
                command.arg(option).arg(here.join(path));
            }
        }
    }
    if let Some(seconds) = options.seconds_ahead {
        command.arg("--seconds-ahead").arg(seconds.to_string());
    }
    if options.json {
        command.arg("--json");
    }
    let status = command.status().map_err(|error| format!("cannot start cargo: {error}"))?;
    if status.success() {
        return Ok(());
    }
    Err(Failure::with_code("the judge of predictions did not end well; why is said above", status.code()))
}
