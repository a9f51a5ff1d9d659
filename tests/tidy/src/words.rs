//! Words that must not be in tracked files.

use std::collections::BTreeMap;

use crate::Finding;
use crate::source::{Source, Tree};

/// Endings of the files that people write.
const WRITTEN: &[&str] =
    &[".rs", ".md", ".toml", ".sh", ".js", ".css", ".html", ".yml", ".yaml", ".ts", "/run", ".gitignore"];

/// Text that must not be there, and what to write instead. Matched without regard to case where it is
/// in lower case. Spelled in two parts, so that this file passes its own rule.
const EVERYWHERE: &[(&str, &str)] = &[
    (concat!("to", "do!"), "make it impossible to call, or return an error that says what is missing"),
    (
        concat!("un", "implemented!"),
        "make it impossible to call, or return an error that says what is missing",
    ),
    (concat!("FIX", "ME"), "mend it, or say in docs/ARCHITECTURE.md what is absent"),
    (concat!("TO", "DO"), "do it, or say in docs/ARCHITECTURE.md what is absent"),
    (concat!("X", "XX"), "say in words what to look out for"),
    (concat!("/wo", "rk/"), "a path of one machine; make it relative"),
    (concat!("/ro", "ot/"), "a path of one machine; make it relative"),
    (concat!("/ho", "me/"), "a path of one machine; make it relative"),
    (concat!("iss", "ue #"), "say the reason itself; the history is in the commits"),
    (concat!("pull re", "quest #"), "say the reason itself; the history is in the commits"),
];

/// Waiting for time to pass in tests, by file: how often, and why it is not waiting for an event. May
/// only shrink.
const SLEEPS: &[(&str, usize, &str)] = &[
    ("atlas/tests/support/mod.rs", 1, "the status is asked again until it says so, with a deadline"),
    ("tests/e2e/src/http.rs", 1, "another process is asked again until it says so, with a deadline"),
    ("tests/e2e/src/world.rs", 1, "another process is asked again until it says so, with a deadline"),
    ("tests/load/tests/fleet.rs", 1, "bots play for a while; nothing is expected to happen at its end"),
];

/// Forbidden words and pictograms.
pub fn everywhere(tree: &Tree) -> Vec<Finding> {
    let written = tree.files.iter().filter(|file| WRITTEN.iter().any(|ending| file.path.ends_with(ending)));
    written.flat_map(|file| file.lines().flat_map(|(number, line)| judge(file, number, line))).collect()
}

fn judge(file: &Source, number: usize, line: &str) -> Vec<Finding> {
    let lower = line.to_lowercase();
    let mut findings = vec![];
    for (word, instead) in EVERYWHERE {
        let anyhow = *word == word.to_lowercase();
        if if anyhow { lower.contains(word) } else { crate::has_word(line, word) } {
            findings.push(Finding::new(&file.path, number, format!("contains {word:?}; {instead}")));
        }
    }
    if let Some(sign) = line.chars().find(|&sign| is_pictogram(sign)) {
        let what = format!("contains the pictogram U+{:04X}; say it in a word", u32::from(sign));
        findings.push(Finding::new(&file.path, number, what));
    }
    if file.is_rust() && line.trim_start().starts_with(concat!("#[ig", "nore]")) {
        let what = "a test that is passed over without a reason; write `#[ignore = \"why\"]`";
        findings.push(Finding::new(&file.path, number, what));
    }
    findings
}

fn is_pictogram(sign: char) -> bool {
    matches!(u32::from(sign), 0x1F300..=0x1FAFF | 0x2600..=0x27BF | 0x2B50 | 0x2B55 | 0xFE0F)
}

/// Panics in place of errors, outside tests.
pub fn unwraps(tree: &Tree) -> Vec<Finding> {
    let mut findings = vec![];
    for file in tree.rust() {
        for (number, line) in tree.code(file) {
            if line.contains(concat!(".un", "wrap()")) {
                let what =
                    "unwrap outside tests; return an error, or write `expect(\"the invariant in words\")`";
                findings.push(Finding::new(&file.path, number, what));
            }
        }
    }
    findings
}

/// Tests that wait for time to pass.
pub fn sleeps(tree: &Tree) -> Vec<Finding> {
    let rows = SLEEPS.iter().map(|(path, count, _)| (*path, *count)).collect();
    count_sleeps(tree, &rows)
}

fn count_sleeps(tree: &Tree, rows: &BTreeMap<&str, usize>) -> Vec<Finding> {
    let mut findings = vec![];
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for file in tree.rust() {
        let waits =
            |line: &str| crate::has_word(line, concat!("sle", "ep")) && line.contains(concat!("sle", "ep("));
        let lines: Vec<usize> = tree
            .test_code(file)
            .into_iter()
            .filter(|(_, line)| waits(line))
            .map(|(number, _)| number)
            .collect();
        let allowed = rows.get(file.path.as_str()).copied().unwrap_or(0);
        seen.insert(&file.path, lines.len());
        if lines.len() > allowed {
            let what = "a test waits for time to pass; wait for the event itself, with a deadline";
            findings.push(Finding::new(&file.path, lines[allowed], what));
        }
    }
    for (path, &allowed) in rows {
        let now = seen.get(path).copied().unwrap_or(0);
        if now < allowed {
            let what =
                format!("waits {now} times now, not {allowed}; lower its row in tests/tidy/src/words.rs");
            findings.push(Finding::new(path, 0, what));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn found(text: &str) -> usize {
        let tree = Tree::new(vec![Source::new("a/src/lib.rs", text)], BTreeSet::new());
        everywhere(&tree).len() + unwraps(&tree).len()
    }

    #[test]
    fn each_word_is_found() {
        for (word, _) in EVERYWHERE {
            assert_eq!(found(&format!("// here: {word} there")), 1, "{word}");
        }
        let others = [
            concat!("// Iss", "ue #4"),
            "// done \u{2705}",
            concat!("#[ig", "nore]"),
            concat!("let x = y.un", "wrap();"),
        ];
        for text in others {
            assert_eq!(found(text), 1, "{text}");
        }
        let fine = [
            "// a method \u{2192} a result \u{25b6}",
            "#[ignore = \"needs root\"]",
            "// .expect(\"\")",
            "let x = 1;",
        ];
        for text in fine {
            assert_eq!(found(text), 0, "{text}");
        }
    }

    #[test]
    fn a_sleeping_test_is_found_and_the_ratchet_only_falls() {
        let wait = concat!("tokio::time::sle", "ep(PAUSE).await;\n");
        let tree = Tree::new(
            vec![Source::new("a/tests/b.rs", &wait.repeat(2)), Source::new("a/src/lib.rs", wait)],
            BTreeSet::new(),
        );
        let at = |allowed| count_sleeps(&tree, &[("a/tests/b.rs", allowed)].into()).len();
        assert_eq!((at(1), at(2), at(3)), (1, 0, 1));
        assert_eq!(count_sleeps(&tree, &BTreeMap::new()).len(), 1);
    }
}
