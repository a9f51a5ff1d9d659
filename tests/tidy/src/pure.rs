//! Crates without IO: what they link and what their sources name.

use crate::arrows::Package;
use crate::linked::Packages;
use crate::source::Tree;
use crate::{Finding, has_word};

/// Folders of the crates that know no clock, socket, file or environment. Time, chance and messages are
/// their arguments.
const FOLDERS: &[&str] = &["protocol/", "gorc/", "handoff/", "plugin-api/", "plugins/"];

/// Folders inside them of programs that measure, and therefore have a clock.
const APART: &[&str] = &["gorc/bench/"];

/// What they must not link, however far down.
const LINKED: &[&str] = &[
    "async-io",
    "async-std",
    "axum",
    "fastrand",
    "getrandom",
    "hyper",
    "libloading",
    "mio",
    "nix",
    "quinn",
    "rand",
    "rusqlite",
    "rustix",
    "rustls",
    "smol",
    "socket2",
    "tokio",
    "tracing-subscriber",
];

/// What their sources must not name, and what to do instead.
const NAMED: &[(&str, &str)] = &[
    ("Instant", "take `now: Duration` on the world grid as an argument"),
    ("SystemTime", "take the tick as an argument"),
    ("std::fs", "let the caller read the file and hand over bytes"),
    ("std::net", "return the message and let the caller send it"),
    ("std::env", "take the value as an argument"),
    ("std::process", "return an error; the caller decides how to end"),
    ("std::thread::spawn", "let the caller own threads"),
    ("HashMap", "use BTreeMap: its order is the same in every run"),
    ("HashSet", "use BTreeSet: its order is the same in every run"),
];

/// Where one of these names is right, and why.
const EXCEPTIONS: &[(&str, &str, &str)] =
    &[("plugins/replay/src/trace.rs", "std::fs", "a plugin is configured with the path of its recording")];

/// The pure ones of our packages.
pub fn packages(all: &[Package]) -> Vec<&Package> {
    all.iter().filter(|package| is_pure(&package.manifest)).collect()
}

fn is_pure(path: &str) -> bool {
    let begins = |folders: &[&str]| folders.iter().any(|folder| path.starts_with(folder));
    begins(FOLDERS) && !begins(APART)
}

/// What `package` links, with everything that stands behind it, and must not.
pub fn linked(package: &Package, linked: &Packages) -> Vec<Finding> {
    let found = LINKED.iter().filter(|name| linked.contains_key(**name));
    let what = |name| {
        format!("{} links {name}; a crate without IO takes time and messages as arguments", package.name)
    };
    found.map(|name| Finding::new(&package.manifest, 0, what(name))).collect()
}

/// Names in their sources that they must not use. Tests may.
pub fn named(tree: &Tree) -> Vec<Finding> {
    let mut findings = vec![];
    let sources = tree.rust().filter(|file| is_pure(&file.path) && file.path.contains("/src/"));
    for file in sources {
        for (number, line) in tree.code(file) {
            for (name, instead) in NAMED.iter().filter(|(name, _)| has_word(line, name)) {
                let excepted = EXCEPTIONS.iter().any(|(path, of, _)| *path == file.path && of == name);
                if !excepted {
                    findings.push(Finding::new(
                        &file.path,
                        number,
                        format!("{name} in a crate without IO; {instead}"),
                    ));
                }
            }
        }
    }
    findings
}

/// Exceptions that nothing needs any more.
pub fn stale(tree: &Tree) -> Vec<Finding> {
    EXCEPTIONS
        .iter()
        .filter(|(path, name, _)| {
            !tree.rust().any(|file| {
                file.path == *path && tree.code(file).iter().any(|(_, line)| has_word(line, name))
            })
        })
        .map(|(path, name, _)| {
            Finding::new(
                path,
                0,
                format!("does not use {name} any more; remove its row in tests/tidy/src/pure.rs"),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::source::Source;

    #[test]
    fn a_clock_in_a_pure_crate_is_found_and_one_in_its_tests_is_not() {
        let text =
            "//! A.\nuse std::time::Instant;\n// Instant\n#[cfg(test)]\nmod tests {\n    use std::fs;\n}\n";
        let tree = Tree::new(
            ["gorc/src/lib.rs", "gorc/bench/src/lib.rs", "atlas/src/lib.rs"]
                .map(|path| Source::new(path, text))
                .to_vec(),
            BTreeSet::new(),
        );
        let found = named(&tree);
        assert_eq!(found.len(), 1, "{found:#?}");
        assert_eq!((found[0].path.as_str(), found[0].line), ("gorc/src/lib.rs", 2));
        assert_eq!(stale(&tree).len(), EXCEPTIONS.len());
    }

    #[test]
    fn a_socket_far_down_is_found() {
        let package = Package { name: "horizon-gorc".into(), ..Package::default() };
        let links = |name: &str| linked(&package, &[(name.to_owned(), BTreeSet::new())].into()).len();
        assert_eq!((links("mio"), links("serde")), (1, 0));
    }
}
