//! What the pages say exists, exists: links, files, commands, programs, metrics, configuration keys.

use std::collections::BTreeSet;

use crate::arrows::Package;
use crate::source::{Source, Tree};
use crate::{Finding, has_word};

/// Begin of a metric's name, by the process that counts.
const METRICS: &[&str] = &["atlas_", "region_", "store_"];
/// What the encoding adds to a metric's name.
const SUFFIXES: &[&str] = &["_total", "_bucket", "_sum", "_count"];
/// What the README tells every newcomer.
const FIRST_COMMANDS: &[&str] = &["cargo xtask run", "cargo xtask test"];

/// A piece of a page: its line, its text, and whether it is code.
struct Piece<'a> {
    line: usize,
    text: &'a str,
    code: bool,
}

/// Code spans and lines of code blocks, and what is between them.
fn pieces(page: &Source) -> Vec<Piece<'_>> {
    let (mut pieces, mut fenced) = (vec![], false);
    for (line, text) in page.lines() {
        if text.trim_start().starts_with("```") {
            fenced = !fenced;
        } else if fenced {
            pieces.push(Piece { line, text, code: true });
        } else {
            let spans = text.split('`').enumerate();
            pieces.extend(spans.map(|(index, text)| Piece { line, text, code: index % 2 == 1 }));
        }
    }
    pieces
}

fn spans(page: &Source) -> impl Iterator<Item = (usize, &str)> {
    pieces(page).into_iter().filter(|piece| piece.code).map(|piece| (piece.line, piece.text))
}

/// Links to files that are not there, or to headings that a page does not have.
pub fn links(tree: &Tree) -> Vec<Finding> {
    let mut findings = vec![];
    for page in tree.pages() {
        let fenced: BTreeSet<usize> =
            pieces(page).iter().filter(|piece| piece.code).map(|piece| piece.line).collect();
        for (line, text) in page.lines() {
            let in_block = fenced.contains(&line) && !text.contains('`');
            let targets = targets(text).into_iter().filter(|_| !in_block);
            for target in targets {
                if let Some(what) = broken(tree, page, target) {
                    findings.push(Finding::new(&page.path, line, what));
                }
            }
        }
    }
    findings
}

fn targets(line: &str) -> Vec<&str> {
    let end = |text: &'static str| move |rest: &&str| rest.contains(text);
    let links =
        line.split("](").skip(1).filter(end(")")).map(|rest| rest.split(')').next().unwrap_or_default());
    let images =
        line.split("src=\"").skip(1).filter(end("\"")).map(|rest| rest.split('"').next().unwrap_or_default());
    links.chain(images).collect()
}

fn broken(tree: &Tree, page: &Source, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (file, heading) =
        target.split_once('#').map_or((target, None), |(file, heading)| (file, Some(heading)));
    let path = if file.is_empty() { page.path.clone() } else { resolve(&page.path, file) };
    if !exists(tree, &path) {
        return Some(format!("links to {target}, and there is no {path}; correct the path or add the file"));
    }
    let heading = heading?;
    let other = tree.files.iter().find(|file| file.path == path)?;
    let there =
        other.lines().filter(|(_, line)| line.starts_with('#')).any(|(_, line)| slug(line) == heading);
    (!there).then(|| format!("links to {target}, and {path} has no such heading; correct the part after #"))
}

fn resolve(from: &str, to: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in to.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

fn exists(tree: &Tree, path: &str) -> bool {
    let folder = format!("{}/", path.trim_end_matches('/'));
    tree.paths.contains(path) || tree.paths.iter().any(|file| file.starts_with(&folder))
}

/// The name of a heading as web pages of repositories make it.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// Files and folders of this repository that a page names and that are not there.
pub fn paths(tree: &Tree) -> Vec<Finding> {
    let tops: BTreeSet<&str> =
        tree.paths.iter().filter_map(|path| path.split_once('/')).map(|(top, _)| top).collect();
    let mut findings = vec![];
    for page in tree.pages() {
        for (line, span) in spans(page) {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/');
            let named = span.split_once('/').is_some_and(|(top, _)| tops.contains(top));
            let there = exists(tree, span) || exists(tree, &resolve(&page.path, span));
            if named && span.chars().all(plain) && !there {
                let what = format!("names {span}, which is not there; name what is");
                findings.push(Finding::new(&page.path, line, what));
            }
        }
    }
    findings
}

/// Commands of pages that do not exist: words and options of `cargo xtask`, packages, examples.
pub fn commands(tree: &Tree, packages: &[Package]) -> Vec<Finding> {
    let xtask: Vec<&Source> = tree.rust().filter(|file| file.path.starts_with("xtask/src/")).collect();
    let mut findings = vec![];
    for page in tree.pages() {
        for (line, span) in spans(page) {
            let mut find = |what: String| findings.push(Finding::new(&page.path, line, what));
            for unknown in unknown_to_xtask(&xtask, span) {
                find(format!("`cargo xtask` knows no {unknown}; see `cargo xtask help`"));
            }
            if span.contains("cargo ") {
                for name in
                    after(span, " -p ").filter(|name| packages.iter().all(|package| package.name != *name))
                {
                    find(format!("there is no package {name}; names are in docs/ARCHITECTURE.md"));
                }
                let missing = |name: &&str| {
                    !tree.paths.iter().any(|path| path.ends_with(&format!("/examples/{name}.rs")))
                };
                for name in after(span, " --example ").filter(missing) {
                    find(format!("there is no example {name}"));
                }
            }
        }
    }
    findings
}

fn after<'a>(text: &'a str, option: &'a str) -> impl Iterator<Item = &'a str> {
    text.split(option).skip(1).filter_map(|rest| rest.split_whitespace().next())
}

/// Words and options after `cargo xtask` that its sources do not know.
fn unknown_to_xtask(xtask: &[&Source], span: &str) -> Vec<String> {
    let knows_word = |word: &str| {
        let variant: String = word.split('-').map(capitalised).collect();
        xtask.iter().any(|file| {
            file.text.contains(&format!("\"{word}\""))
                || file.lines().any(|(_, line)| {
                    let rest = line.trim_start().strip_prefix(&variant);
                    rest.is_some_and(|rest| rest.starts_with([',', '(', ' ']))
                })
        })
    };
    let knows_option = |option: &str| {
        let field = option.replace('-', "_");
        xtask.iter().any(|file| file.text.contains(&format!("--{option}")) || has_word(&file.text, &field))
    };
    let mut unknown = vec![];
    for call in span.split("cargo xtask ").skip(1) {
        let end = call.find(['&', '|', ';', '#', '>']).unwrap_or(call.len());
        let mut words_over = false;
        for word in call[..end].split_whitespace() {
            let word = word.trim_start_matches('[').trim_end_matches(']');
            let is_name = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || c == '-');
            if word == "--" {
                break;
            }
            if let Some(option) = word.strip_prefix("--") {
                words_over = true;
                let option = option.split('=').next().unwrap_or_default();
                if option != "help" && !knows_option(option) {
                    unknown.push(format!("option --{option}"));
                }
            } else if !words_over && is_name(word) {
                if word != "help" && !knows_word(word) {
                    unknown.push(format!("command {word:?}"));
                }
            } else {
                words_over = true;
            }
        }
    }
    unknown
}

fn capitalised(word: &str) -> String {
    let mut chars = word.chars();
    chars.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(chars).collect()
}

/// Metrics that pages name and nothing counts.
pub fn metrics(tree: &Tree) -> Vec<Finding> {
    let mut findings = vec![];
    for page in tree.pages() {
        for (line, span) in spans(page) {
            let word = span.split('{').next().unwrap_or_default();
            let named = METRICS.iter().any(|begin| word.starts_with(begin))
                && word.chars().all(|c| c.is_ascii_lowercase() || c == '_');
            let plain = SUFFIXES.iter().find_map(|suffix| word.strip_suffix(suffix)).unwrap_or(word);
            let counted = |name: &str| {
                let quoted = format!("\"{name}\"");
                tree.rust().any(|file| tree.code(file).iter().any(|(_, line)| line.contains(&quoted)))
            };
            if named && !counted(word) && !counted(plain) {
                let what = format!("no process counts {word}; `/metrics` of a running one lists them");
                findings.push(Finding::new(&page.path, line, what));
            }
        }
    }
    findings
}

/// Configuration keys, written as `[section] key`, that the page of the configuration does not have.
/// A test of `service` holds that page to the code.
pub fn keys(tree: &Tree) -> Vec<Finding> {
    let known = known_keys(tree);
    let mut findings = vec![];
    for page in tree.pages() {
        for (line, span) in spans(page) {
            let Some((section, key)) = span.strip_prefix('[').and_then(|rest| rest.split_once("] ")) else {
                continue;
            };
            let plain = |text: &str| text.chars().all(|c| c.is_ascii_lowercase() || matches!(c, '_' | '.'));
            if plain(section) && plain(key) && !section.is_empty() && !known.contains(&(section, key)) {
                let what = format!("there is no key {key} in [{section}]; docs/configuration.md lists them");
                findings.push(Finding::new(&page.path, line, what));
            }
        }
    }
    findings
}

fn known_keys(tree: &Tree) -> BTreeSet<(&str, &str)> {
    let page = tree.pages().find(|page| page.path == "docs/configuration.md");
    let (mut known, mut section) = (BTreeSet::new(), "");
    for (_, line) in page.into_iter().flat_map(Source::lines) {
        if let Some(rest) = line.strip_prefix("## `[") {
            section = rest.split(']').next().unwrap_or_default();
        } else if let Some(rest) = line.strip_prefix("| `") {
            known.insert((section, rest.split('`').next().unwrap_or_default()));
        }
    }
    known
}

/// What the README and the map of the code must name: the first commands, every program, every package's
/// folder.
pub fn complete(tree: &Tree, packages: &[Package]) -> Vec<Finding> {
    let mut findings = vec![];
    let empty = Source::new("", "");
    let page = |path: &str| tree.pages().find(|page| page.path == path).unwrap_or(&empty);
    for command in FIRST_COMMANDS {
        if !spans(page("README.md")).any(|(_, span)| span.contains(command)) {
            findings.push(Finding::new(
                "README.md",
                0,
                format!("does not name `{command}`; a newcomer starts there"),
            ));
        }
    }
    let map = "docs/ARCHITECTURE.md";
    for package in packages {
        let folder = package.manifest.trim_end_matches("Cargo.toml");
        let missing = |named: &str| !spans(page(map)).any(|(_, span)| span == named);
        if missing(folder) && missing(folder.trim_end_matches('/')) {
            findings.push(Finding::new(map, 0, format!("does not name `{folder}`; say what it is for")));
        }
        for program in package.programs.iter().filter(|program| missing(program)) {
            findings.push(Finding::new(
                map,
                0,
                format!("does not name the program `{program}`; say what starts it"),
            ));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(page: &str) -> Tree {
        let files = vec![
            Source::new("docs/page.md", page),
            Source::new("docs/other.md", "# Other page\n\n## The life of `x`\n"),
            Source::new("docs/configuration.md", "## `[world]`\n\n| `tick_hz` | `30` | x |\n"),
            Source::new(
                "xtask/src/main.rs",
                "enum Command {\n    Run(Run),\n    DryRun,\n}\nstruct Run {\n    seconds: u64,\n}\n",
            ),
            Source::new("atlas/src/lib.rs", "metrics.counter(\"atlas_frames\")"),
        ];
        let paths = files.iter().map(|file| file.path.clone()).collect();
        Tree::new(files, paths)
    }

    fn what(findings: Vec<Finding>) -> Vec<(usize, String)> {
        findings.into_iter().map(|finding| (finding.line, finding.what)).collect()
    }

    #[test]
    fn links_that_lead_nowhere_are_found() {
        let page = "[a](other.md) [b](other.md#the-life-of-x) [c](https://x.y) [d](../atlas/src) [e](#top)\n\n\
                    # Top\n[f](none.md)\n[g](other.md#none)\n```\n[h](none.md)\n```\n<img src=\"page.png\">\n";
        let found = what(links(&tree(page)));
        assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [4, 5, 9], "{found:#?}");
    }

    #[test]
    fn names_of_nothing_are_found() {
        let page = "`docs/other.md` `atlas/src/` `data/x.y`\n`atlas/src/none.rs`\n\
                    `atlas_frames_total`\n`atlas_none`\n`[world] tick_hz`\n`[world] hz`\n";
        let tree = tree(page);
        let found = what([paths(&tree), metrics(&tree), keys(&tree)].concat());
        assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 4, 6], "{found:#?}");
    }

    #[test]
    fn commands_that_do_not_exist_are_found() {
        let page = "`cargo xtask run --seconds 5` and `cargo xtask dry-run`, `cargo xtask help`\n\
                    `cargo xtask walk`\n```sh\ncargo xtask run --minutes 3 # walk\n```\n`cargo test -p horizon-none`\n";
        let found = what(commands(&tree(page), &[]));
        assert_eq!(found.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2, 4, 6], "{found:#?}");
        assert!(found[0].1.contains("\"walk\"") && found[1].1.contains("--minutes"), "{found:#?}");
    }

    #[test]
    fn what_is_not_named_is_found() {
        let package = Package {
            manifest: "atlas/Cargo.toml".into(),
            programs: vec!["atlas".into()],
            ..Package::default()
        };
        assert_eq!(complete(&tree(""), &[package]).len(), 4);
    }
}
