//! The rules of this repository, as tests.
//!
//! Each rule is a function from what it looks at to a list of [`Finding`]s; `tests/repository.rs` runs
//! all of them over the tracked files. A finding names a file, a line, what is wrong and what to write
//! instead. Beside each rule stand its negative controls: a text that breaks the rule and must be found.
//!
//! What is older than a rule stands in a table beside it, with a number that may only fall.

pub mod arrows;
pub mod docs;
pub mod length;
pub mod linked;
pub mod pure;
pub mod source;
pub mod words;

use std::fmt;

/// One breach of a rule.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Finding {
    /// File, from the root of the repository.
    pub path: String,
    /// Line from 1; 0 where the whole file is meant.
    pub line: usize,
    /// What is wrong and what to do instead.
    pub what: String,
}

impl Finding {
    /// A finding at `line` of `path`; line 0 means the whole file.
    pub fn new(path: &str, line: usize, what: impl Into<String>) -> Self {
        Self { path: path.to_owned(), line, what: what.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path, self.line, self.what)
    }
}

/// Fails the calling test with every finding on a line of its own.
///
/// # Panics
///
/// Where there is a finding.
#[track_caller]
pub fn expect_none(mut findings: Vec<Finding>) {
    findings.sort();
    let lines: Vec<String> = findings.iter().map(ToString::to_string).collect();
    assert!(findings.is_empty(), "{} to mend:\n{}", lines.len(), lines.join("\n"));
}

/// Whether `text` has `word` with no letter, digit or underscore on either side.
pub(crate) fn has_word(text: &str, word: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word)
        .any(|(at, _)| !text[..at].ends_with(inside) && !text[at + word.len()..].starts_with(inside))
}
