//! On what, when, and of which state of the repository figures come.

use std::process::Command;

use gorc::grid::Isa;
use serde_json::{Value, json};

/// Processor, its cores, its best instructions, today, and the commit.
pub fn machine() -> Value {
    let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let mut commit = said("git", &["rev-parse", "--short=10", "HEAD"]);
    if !said("git", &["status", "--porcelain", "--untracked-files=no"]).is_empty() {
        commit.push_str(" and changes");
    }
    json!({
        "cpu": model.map_or("unknown", |(_, model)| model),
        "cores": std::thread::available_parallelism().map_or(0, usize::from),
        "isa": Isa::detect().name(),
        "date": said("date", &["+%F"]),
        "commit": commit,
    })
}

/// The machine in one line.
pub fn line(machine: &Value) -> String {
    let text = |key: &str| machine[key].as_str().unwrap_or("unknown").to_owned();
    format!(
        "{}, {} cores, {}, {}, commit {}",
        text("cpu"),
        machine["cores"],
        text("isa"),
        text("date"),
        text("commit")
    )
}

/// What a program says, without the newline; empty where it does not run.
fn said(program: &str, words: &[&str]) -> String {
    let output = Command::new(program).args(words).current_dir(env!("CARGO_MANIFEST_DIR")).output();
    output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default()
}
