//! How long a source file may be.

use std::collections::BTreeMap;

use crate::Finding;
use crate::source::{Source, Tree};

/// Longest source file in lines: what one can hold in mind while reading it.
const LIMIT: usize = 500;
/// A row this much above its file is lowered, so that what was won stays won.
const SLACK: usize = 25;
/// Endings of the files that count.
const ENDINGS: &[&str] = &[".rs", ".js", ".css", ".html"];

/// Files that were longer when the rule came, and how long they may be. Numbers may only fall.
const LONGER: &[(&str, usize)] = &[];

/// Files beyond the limit, and rows that are not needed any more.
pub fn check(tree: &Tree) -> Vec<Finding> {
    judge(tree.files.iter(), &LONGER.iter().copied().collect())
}

fn judge<'a>(files: impl Iterator<Item = &'a Source>, rows: &BTreeMap<&str, usize>) -> Vec<Finding> {
    let counted = files.filter(|file| ENDINGS.iter().any(|ending| file.path.ends_with(ending)));
    let lines: BTreeMap<&str, usize> =
        counted.map(|file| (file.path.as_str(), file.text.lines().count())).collect();
    let mut findings = vec![];
    for (path, &count) in &lines {
        let allowed = rows.get(path).copied().unwrap_or(LIMIT);
        if count > allowed {
            let what = format!(
                "{count} lines, {allowed} are allowed; split it by noun into a folder of its own name"
            );
            findings.push(Finding::new(path, 0, what));
        }
    }
    for (path, &allowed) in rows {
        let what = match lines.get(path) {
            None => "is gone; remove its row in tests/tidy/src/length.rs".to_owned(),
            Some(&count) if count <= LIMIT => {
                format!("has {count} lines; remove its row in tests/tidy/src/length.rs")
            }
            Some(&count) if count + SLACK < allowed => {
                format!("has {count} lines; lower its row in tests/tidy/src/length.rs from {allowed}")
            }
            Some(_) => continue,
        };
        findings.push(Finding::new(path, 0, what));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_and_the_ratchet_hold() {
        let file = |path: &str, lines: usize| Source::new(path, &"x\n".repeat(lines));
        let files = [file("long.rs", 501), file("known.rs", 600), file("worse.rs", 601), file("lot.rs", 520)];
        let more = [file("short.rs", 500), file("notes.txt", 900), file("mended.rs", 480)];
        let rows =
            [("known.rs", 600), ("worse.rs", 600), ("lot.rs", 700), ("mended.rs", 600), ("gone.rs", 600)];
        let found = judge(files.iter().chain(&more), &rows.into());
        let paths: Vec<&str> = found.iter().map(|finding| finding.path.as_str()).collect();
        assert_eq!(paths, ["long.rs", "worse.rs", "gone.rs", "lot.rs", "mended.rs"]);
    }
}
