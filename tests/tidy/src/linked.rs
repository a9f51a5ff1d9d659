//! What our programs are linked from: one version of what we import, one crypto library, nothing that
//! needs a library of the system.
//!
//! `Cargo.lock` also lists what other operating systems would need; this asks cargo what this one does.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use crate::Finding;
use crate::source::root;

/// Packages that must not be linked at all, and what to use instead.
const FORBIDDEN: &[(&str, &str)] = &[
    ("native-tls", "use rustls"),
    ("openssl", "use rustls"),
    ("openssl-sys", "use rustls"),
    ("ring", "choose the aws-lc-rs feature of the crate that brings it"),
];

/// Direct dependencies that another dependency brings in a second version, and how many there are. May
/// only shrink.
const DOUBLED: &[(&str, usize)] = &[
    // What the model checker hashes and draws with asks for an older one; no program of a world links it.
    ("getrandom", 2),
];

/// Versions by name of a package.
pub type Packages = BTreeMap<String, BTreeSet<String>>;

/// What is linked for this machine, with these further arguments to `cargo tree`.
///
/// # Panics
///
/// Where cargo does not answer.
pub fn packages(arguments: &[&str]) -> Packages {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let answer = Command::new(cargo)
        .args(["tree", "--offline", "--prefix", "none", "--format", "{p}"])
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("cargo is running this");
    assert!(answer.status.success(), "cargo tree: {}", String::from_utf8_lossy(&answer.stderr));
    parse(&String::from_utf8(answer.stdout).expect("names are UTF-8"))
}

fn parse(text: &str) -> Packages {
    let mut packages = Packages::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        if let (Some(name), Some(version)) = (words.next(), words.next()) {
            packages.entry(name.to_owned()).or_default().insert(version.to_owned());
        }
    }
    packages
}

/// Forbidden packages, and direct dependencies in several versions. `direct` is what our manifests name.
pub fn check(linked: &Packages, direct: &BTreeSet<String>) -> Vec<Finding> {
    judge(linked, direct, &DOUBLED.iter().copied().collect())
}

fn judge(linked: &Packages, direct: &BTreeSet<String>, rows: &BTreeMap<&str, usize>) -> Vec<Finding> {
    let mut findings = vec![];
    for (name, instead) in FORBIDDEN {
        if linked.contains_key(*name) {
            let what = format!("{name} is linked; {instead} (`cargo tree -i {name}` says who brings it)");
            findings.push(Finding::new("Cargo.toml", 0, what));
        }
    }
    for name in direct {
        let versions: Vec<&str> = linked.get(name).into_iter().flatten().map(String::as_str).collect();
        let allowed = rows.get(name.as_str()).copied().unwrap_or(1);
        let what = if versions.len() > allowed {
            format!(
                "{name} comes as {}; move [workspace.dependencies] to one of them",
                versions.join(" and ")
            )
        } else if rows.contains_key(name.as_str()) && versions.len() < allowed {
            format!(
                "{name} comes in {} versions now; lower its row in tests/tidy/src/linked.rs",
                versions.len()
            )
        } else {
            continue;
        };
        findings.push(Finding::new("Cargo.toml", 0, what));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_versions_and_a_forbidden_package_are_found() {
        let linked = parse(
            "ours v0.1.0 (/path)\nbytes v1.0.0\nbytes v2.0.0 (*)\nring v0.17.0\nserde v1.0.0\n\nours v0.1.0\n",
        );
        let direct = ["bytes".to_owned(), "serde".to_owned()].into();
        let found: Vec<String> =
            judge(&linked, &direct, &BTreeMap::new()).into_iter().map(|finding| finding.what).collect();
        assert_eq!(found.len(), 2, "{found:#?}");
        assert!(found[0].starts_with("ring is linked") && found[1].contains("v1.0.0 and v2.0.0"));
        assert_eq!(judge(&linked, &direct, &[("bytes", 2)].into()).len(), 1);
        assert_eq!(judge(&linked, &direct, &[("bytes", 3)].into()).len(), 2);
    }
}
