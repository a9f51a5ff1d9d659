//! The tracked files, and which of them are tests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::{Finding, has_word};

/// Files that may contain `unsafe`, by the beginning of their path: the boundary between host and
/// plugins, from both sides, the opening of libraries, GORC's vector instructions, and allocators that
/// count.
const UNSAFE_ALLOWED: &[&str] = &[
    "gorc/bench/src/counting.rs",
    "gorc/src/grid/kernel/",
    "gorc/tests/allocations.rs",
    "plugin-api/src/abi.rs",
    "plugin-api/src/boundary/",
    "plugin-api/src/host/",
    "plugin-api/src/plugin.rs",
    "region-server/src/plugin/",
];

/// Lines with their numbers, from 1.
pub type Lines<'a> = Vec<(usize, &'a str)>;

/// One tracked text file.
#[derive(Debug, Clone)]
pub struct Source {
    /// From the root of the repository, with `/`.
    pub path: String,
    /// All of it.
    pub text: String,
}

/// Every tracked text file of the repository, and those about to be tracked.
#[derive(Debug, Clone, Default)]
pub struct Tree {
    /// By path.
    pub files: Vec<Source>,
    /// Paths of everything tracked, whether text or not.
    pub paths: BTreeSet<String>,
    tests: Vec<String>,
}

/// The root of the repository.
pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the repository is there")
}

impl Tree {
    /// Reads what git tracks and what it would track: files that are ignored do not count.
    ///
    /// # Panics
    ///
    /// Without git or a work tree.
    pub fn load() -> Self {
        let root = root();
        let listed = Command::new("git")
            .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
            .current_dir(&root)
            .output()
            .expect("git is installed");
        assert!(listed.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listed.stderr));
        let listed = String::from_utf8(listed.stdout).expect("paths are UTF-8");
        let paths: BTreeSet<String> =
            listed.split('\0').filter(|path| root.join(path).is_file()).map(str::to_owned).collect();
        let files = paths.iter().filter_map(|path| {
            let text = std::fs::read(root.join(path)).ok().and_then(|bytes| String::from_utf8(bytes).ok())?;
            Some(Source { path: path.clone(), text })
        });
        Self::new(files.collect(), paths.clone())
    }

    /// A tree of these files.
    pub fn new(files: Vec<Source>, paths: BTreeSet<String>) -> Self {
        let tests = files.iter().filter(|file| file.is_rust()).flat_map(Source::test_modules).collect();
        Self { files, paths, tests }
    }

    /// The Rust files.
    pub fn rust(&self) -> impl Iterator<Item = &Source> {
        self.files.iter().filter(|file| file.is_rust())
    }

    /// The Markdown files.
    pub fn pages(&self) -> impl Iterator<Item = &Source> {
        self.files.iter().filter(|file| file.path.ends_with(".md"))
    }

    /// Whether a whole file is test code: under a package's `tests` or `benches`, a package of tests, or
    /// a module that its parent compiles for tests only.
    pub fn is_test(&self, file: &Source) -> bool {
        let path = &file.path;
        let folder = path.split('/').any(|part| part == "benches")
            || path.rsplit_once("/tests/").is_some_and(|(before, _)| !before.is_empty())
            || path.starts_with("tests/e2e/");
        folder
            || self.tests.iter().any(|test| path == test || path.starts_with(&format!("{test}/")))
            || self.tests.iter().any(|test| path == &format!("{test}.rs"))
    }

    /// The numbered lines of a Rust file that are compiled into programs: no tests, no comments.
    pub fn code<'a>(&self, file: &'a Source) -> Lines<'a> {
        let (code, _) = self.split(file);
        code
    }

    /// The numbered lines of a Rust file that are test code, without comments.
    pub fn test_code<'a>(&self, file: &'a Source) -> Lines<'a> {
        let (_, tests) = self.split(file);
        tests
    }

    fn split<'a>(&self, file: &'a Source) -> (Lines<'a>, Lines<'a>) {
        let lines = file.lines().filter(|(_, line)| !line.trim_start().starts_with("//"));
        if self.is_test(file) {
            return (vec![], lines.collect());
        }
        let from = file.inline_tests();
        lines.partition(|(number, _)| *number < from)
    }
}

impl Source {
    /// A file that exists only in a test.
    pub fn new(path: &str, text: &str) -> Self {
        Self { path: path.to_owned(), text: text.to_owned() }
    }

    /// Whether this is Rust.
    pub fn is_rust(&self) -> bool {
        self.path.ends_with(".rs")
    }

    /// Lines with their numbers, from 1.
    pub fn lines(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(index, line)| (index + 1, line))
    }

    /// Line at which a test module inside the file begins; beyond the end where there is none.
    fn inline_tests(&self) -> usize {
        let lines: Vec<&str> = self.text.lines().collect();
        let opens = |at: usize| {
            lines[at].starts_with("#[cfg(test)]")
                && lines[at + 1..]
                    .iter()
                    .find(|line| !line.starts_with("#["))
                    .is_some_and(|line| line.starts_with("mod ") && line.ends_with('{'))
        };
        (0..lines.len()).find(|&at| opens(at)).map_or(usize::MAX, |at| at + 1)
    }

    /// Paths, without an ending, of the modules that this file compiles for tests only.
    fn test_modules(&self) -> Vec<String> {
        let folder = match self.path.rsplit_once('/') {
            Some((folder, "lib.rs" | "main.rs" | "mod.rs")) => folder.to_owned(),
            _ => self.path.trim_end_matches(".rs").to_owned(),
        };
        let lines: Vec<&str> = self.text.lines().collect();
        lines
            .windows(2)
            .filter(|pair| pair[0].starts_with("#[cfg(test)]"))
            .filter_map(|pair| pair[1].strip_prefix("mod ")?.strip_suffix(';'))
            .map(|name| format!("{folder}/{name}"))
            .collect()
    }
}

/// Every Rust file says in its first line what it is. Modules of tests and files that are only a
/// fixture are spared.
pub fn module_docs(tree: &Tree) -> Vec<Finding> {
    tree.rust()
        .filter(|file| !tree.is_test(file) || file.path.ends_with("main.rs"))
        .filter(|file| !file.text.starts_with("//! "))
        .map(|file| {
            Finding::new(
                &file.path,
                1,
                "begins without a module doc; write `//! What this is, in one sentence.`",
            )
        })
        .collect()
}

/// `unsafe` stays where it is allowed.
pub fn unsafe_code(tree: &Tree) -> Vec<Finding> {
    tree.rust()
        .filter(|file| !UNSAFE_ALLOWED.iter().any(|allowed| file.path.starts_with(allowed)))
        .flat_map(|file| {
            file.lines()
                .filter(|(_, line)| !line.trim_start().starts_with("//"))
                .filter(|(_, line)| has_word(line, "unsafe") || line.contains(concat!("(unsafe", "_code)")))
                .filter(|(_, line)| !line.contains('"'))
                .map(|(number, _)| {
                    let what = "unsafe code outside the plugin boundary and GORC's vector instructions; use a \
                                safe crate (rustix for system calls), or move it to region-server/src/plugin \
                                or gorc/src/grid/kernel";
                    Finding::new(&file.path, number, what)
                })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(files: &[(&str, &str)]) -> Tree {
        let files: Vec<Source> = files.iter().map(|(path, text)| Source::new(path, text)).collect();
        let paths = files.iter().map(|file| file.path.clone()).collect();
        Tree::new(files, paths)
    }

    #[test]
    fn what_is_a_test() {
        let tree = tree(&[
            ("a/src/lib.rs", "//! A.\n#[cfg(test)]\nmod pair;\nmod tests;\n"),
            ("a/src/pair.rs", ""),
            ("a/src/pair/clock.rs", ""),
            ("a/src/deep.rs", "#[cfg(test)]\nmod tests;\n"),
            ("a/src/deep/tests.rs", ""),
            ("a/tests/shell.rs", ""),
            ("tests/load/src/bot.rs", ""),
            ("tests/e2e/src/lib.rs", ""),
        ]);
        let found: Vec<&str> =
            tree.files.iter().filter(|file| tree.is_test(file)).map(|file| file.path.as_str()).collect();
        let tests = [
            "a/src/pair.rs",
            "a/src/pair/clock.rs",
            "a/src/deep/tests.rs",
            "a/tests/shell.rs",
            "tests/e2e/src/lib.rs",
        ];
        assert_eq!(found, tests);
    }

    #[test]
    fn code_ends_where_the_tests_begin() {
        let text = "fn a() {}\n// a comment\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n    fn b() {}\n}\n";
        let tree = tree(&[("a/src/lib.rs", text)]);
        assert_eq!(tree.code(&tree.files[0]), vec![(1, "fn a() {}")]);
        assert_eq!(tree.test_code(&tree.files[0]).len(), 5);
    }

    #[test]
    fn a_file_without_a_sentence_and_a_stray_block_are_found() {
        let stray = concat!("//! A.\nfn f() { un", "safe { g() } }\n");
        let allow = concat!("//! A.\n#![allow(un", "safe_code)]\n");
        let tree = tree(&[
            ("a/src/lib.rs", "use b;\n"),
            ("b/src/lib.rs", stray),
            ("c/src/lib.rs", allow),
            ("plugin-api/src/boundary/calls.rs", stray),
            ("gorc/src/grid/kernel/wide.rs", stray),
        ]);
        let lines = |findings: Vec<Finding>| -> Vec<(String, usize)> {
            findings.into_iter().map(|finding| (finding.path, finding.line)).collect()
        };
        assert_eq!(lines(module_docs(&tree)), vec![("a/src/lib.rs".to_owned(), 1)]);
        assert_eq!(
            lines(unsafe_code(&tree)),
            vec![("b/src/lib.rs".to_owned(), 2), ("c/src/lib.rs".to_owned(), 2)]
        );
    }
}
