//! Which of our packages may import which: left may import right, nothing else of ours.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use serde_json::Value;

use crate::Finding;
use crate::source::root;

/// Package, what it may import, and what its tests may import besides. `plugins/*` stands for each.
const ARROWS: &[(&str, &[&str], &[&str])] = &[
    ("horizon-model", &[], &[]),
    // Code that runs in the compiler names what it makes by path, and links none of it.
    ("horizon-gorc-macros", &[], &["horizon-model"]),
    ("horizon-gorc", &["horizon-gorc-macros", "horizon-model"], &[]),
    ("horizon-gorc-bench", &["horizon-gorc", "horizon-model"], &[]),
    ("horizon-protocol", &["horizon-model"], &[]),
    ("horizon-handoff", &["horizon-model", "horizon-protocol"], &[]),
    ("horizon-plugin-api", &["horizon-gorc-macros", "horizon-model"], &[]),
    ("horizon-plugin-*", &["horizon-plugin-api"], &[]),
    ("horizon-service", &["horizon-model"], &[]),
    ("horizon-link", &["horizon-model", "horizon-protocol"], &[]),
    ("horizon-state-store", &["horizon-handoff", "horizon-model", "horizon-service"], &[]),
    (
        "horizon-region-server",
        &[
            "horizon-gorc",
            "horizon-handoff",
            "horizon-link",
            "horizon-model",
            "horizon-plugin-api",
            "horizon-protocol",
            "horizon-service",
            "horizon-state-store",
        ],
        &[],
    ),
    // Never gorc and never plugin-api: an edge forwards payloads unread.
    (
        "horizon-atlas",
        &[
            "horizon-handoff",
            "horizon-link",
            "horizon-model",
            "horizon-protocol",
            "horizon-service",
            "horizon-state-store",
        ],
        &[],
    ),
    ("horizon-client", &["horizon-gorc", "horizon-handoff", "horizon-model", "horizon-protocol"], &[]),
    ("horizon-load", &["horizon-client", "horizon-model", "horizon-protocol"], &["horizon-gorc"]),
    ("horizon-e2e", &["horizon-client", "horizon-model", "horizon-protocol"], &[]),
    // Read by simulation, processes and model alike, so it knows none of them.
    ("horizon-history", &["horizon-model"], &[]),
    // Judges the predictor of the handoff on the recordings of the bots.
    ("horizon-predict", &["horizon-handoff", "horizon-load", "horizon-model"], &[]),
    ("horizon-model-check", &["horizon-handoff", "horizon-model"], &[]),
    // Its programs with fail points are the real ones under other names, which is why it may import them.
    (
        "horizon-chaos",
        &[
            "horizon-atlas",
            "horizon-client",
            "horizon-handoff",
            "horizon-history",
            "horizon-link",
            "horizon-model",
            "horizon-region-server",
            "horizon-service",
            "horizon-state-store",
        ],
        &[],
    ),
    // A whole world in one thread: everything of it that does no IO, and the recordings of the bots.
    (
        "horizon-sim",
        &[
            "horizon-client",
            "horizon-handoff",
            "horizon-history",
            "horizon-load",
            "horizon-model",
            "horizon-protocol",
            "horizon-region-server",
            "horizon-state-store",
        ],
        &[],
    ),
    ("horizon-tidy", &[], &[]),
    ("xtask", &[], &[]),
];

/// What the workspace's manifests say, without what they depend on.
///
/// # Panics
///
/// Where cargo does not answer.
pub fn metadata() -> Value {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let answer = Command::new(cargo)
        .args(["metadata", "--no-deps", "--offline", "--format-version", "1"])
        .current_dir(root())
        .output()
        .expect("cargo is running this");
    assert!(answer.status.success(), "cargo metadata: {}", String::from_utf8_lossy(&answer.stderr));
    serde_json::from_slice(&answer.stdout).expect("cargo writes JSON")
}

/// One package as cargo describes it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its manifest, from the root of the repository.
    pub manifest: String,
    /// What it is built with.
    pub normal: BTreeSet<String>,
    /// What only its tests are built with.
    pub dev: BTreeSet<String>,
    /// Its programs.
    pub programs: Vec<String>,
}

/// The packages of the workspace.
pub fn packages(metadata: &Value) -> Vec<Package> {
    let root = root();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let list = |value: &Value| value.as_array().expect("a list").clone();
    let package = |value: Value| {
        let mut package = Package { name: text(&value["name"]), ..Package::default() };
        let manifest = text(&value["manifest_path"]);
        package.manifest = manifest
            .strip_prefix(root.to_str().expect("a UTF-8 path"))
            .unwrap_or(&manifest)
            .trim_start_matches('/')
            .to_owned();
        for dependency in list(&value["dependencies"]) {
            let kind = if dependency["kind"] == "dev" { &mut package.dev } else { &mut package.normal };
            kind.insert(text(&dependency["name"]));
        }
        let is_program = |target: &Value| list(&target["kind"]).contains(&Value::from("bin"));
        let targets = list(&value["targets"]).into_iter().filter(is_program);
        package.programs = targets.map(|target| text(&target["name"])).collect();
        package
    };
    list(&metadata["packages"]).into_iter().map(package).collect()
}

/// Every import of ours that is not in the table, and every package without a row.
pub fn check(packages: &[Package]) -> Vec<Finding> {
    let ours: BTreeSet<&str> = packages.iter().map(|package| package.name.as_str()).collect();
    let rows: BTreeMap<&str, _> = ARROWS.iter().map(|(name, may, tests)| (*name, (*may, *tests))).collect();
    let mut findings = vec![];
    for package in packages {
        let row = if package.name.starts_with("horizon-plugin-") && package.name != "horizon-plugin-api" {
            "horizon-plugin-*"
        } else {
            package.name.as_str()
        };
        let Some((may, tests)) = rows.get(row) else {
            let what = "a package without a row; say in tests/tidy/src/arrows.rs what it may import";
            findings.push(Finding::new(&package.manifest, 0, what));
            continue;
        };
        let wrong = |names: &BTreeSet<String>, allowed: &dyn Fn(&str) -> bool| -> Vec<String> {
            names.iter().filter(|name| ours.contains(name.as_str()) && !allowed(name)).cloned().collect()
        };
        for name in wrong(&package.normal, &|name| may.contains(&name)) {
            let what = format!(
                "{} may not import {name}; it may import {may:?}. Move the shared part to one of these, or the \
                 code to a crate further up",
                package.name
            );
            findings.push(Finding::new(&package.manifest, 0, what));
        }
        for name in wrong(&package.dev, &|name| may.contains(&name) || tests.contains(&name)) {
            let what = format!(
                "the tests of {} may not import {name}; test it in {name}, or add it to the row",
                package.name
            );
            findings.push(Finding::new(&package.manifest, 0, what));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, normal: &[&str], dev: &[&str]) -> Package {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        Package { name: name.to_owned(), normal: names(normal), dev: names(dev), ..Package::default() }
    }

    #[test]
    fn arrows_against_the_table_are_found() {
        let packages = [
            package("horizon-gorc", &["horizon-model", "serde"], &["proptest"]),
            package("horizon-model", &[], &["horizon-gorc"]),
            package("horizon-plugin-api", &["horizon-model"], &[]),
            package("horizon-plugin-chat", &["horizon-plugin-api", "horizon-model"], &[]),
            package("horizon-surprise", &[], &[]),
        ];
        let found: Vec<String> = check(&packages).into_iter().map(|finding| finding.what).collect();
        assert_eq!(found.len(), 3, "{found:#?}");
        assert!(found[0].contains("tests of horizon-model may not import horizon-gorc"));
        assert!(found[1].contains("horizon-plugin-chat may not import horizon-model"));
        assert!(found[2].contains("without a row"));
    }
}
