//! Every rule, over the repository as it is.

use std::collections::BTreeSet;

use horizon_tidy::source::{self, Tree};
use horizon_tidy::{arrows, docs, expect_none, length, linked, pure, words};

fn packages() -> Vec<arrows::Package> {
    arrows::packages(&arrows::metadata())
}

#[test]
fn crates_import_along_the_arrows() {
    expect_none(arrows::check(&packages()));
}

#[test]
fn one_version_of_what_we_import() {
    let direct: BTreeSet<String> =
        packages().into_iter().flat_map(|package| package.normal.into_iter().chain(package.dev)).collect();
    let all = linked::packages(&["--workspace", "--edges", "normal,build,dev"]);
    assert!(all.contains_key("serde"), "cargo tree lists what is linked");
    expect_none(linked::check(&all, &direct));
}

#[test]
fn pure_crates_know_no_clock_socket_file_or_environment() {
    let (packages, tree) = (packages(), Tree::load());
    let pure = pure::packages(&packages);
    assert!(pure.len() >= 5, "they are found by their folders");
    for package in pure {
        expect_none(pure::linked(package, &linked::packages(&["--edges", "normal", "-p", &package.name])));
    }
    expect_none(pure::named(&tree));
    expect_none(pure::stale(&tree));
}

#[test]
fn files_are_short() {
    expect_none(length::check(&Tree::load()));
}

#[test]
fn no_forbidden_words() {
    let tree = Tree::load();
    expect_none(words::everywhere(&tree));
    expect_none(words::unwraps(&tree));
    expect_none(words::sleeps(&tree));
}

#[test]
fn each_file_says_what_it_is_and_unsafe_stays_at_the_boundary() {
    let tree = Tree::load();
    expect_none(source::module_docs(&tree));
    expect_none(source::unsafe_code(&tree));
}

#[test]
fn pages_name_what_exists() {
    let (packages, tree) = (packages(), Tree::load());
    expect_none(docs::links(&tree));
    expect_none(docs::paths(&tree));
    expect_none(docs::commands(&tree, &packages));
    expect_none(docs::metrics(&tree));
    expect_none(docs::keys(&tree));
    expect_none(docs::complete(&tree, &packages));
}
