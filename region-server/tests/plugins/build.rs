//! Builds plugin libraries as an author would, and lays them out in folders of their own.

use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// What a plugin's library is called on this system.
pub(crate) fn file_name(name: &str) -> String {
    let (prefix, suffix) = (std::env::consts::DLL_PREFIX, std::env::consts::DLL_SUFFIX);
    format!("{prefix}horizon_plugin_{name}{suffix}")
}

/// A folder with some of our own plugins, built now if they are not.
pub(crate) fn own_plugins(names: &[&str]) -> TempDir {
    let target = target();
    let mut cargo = cargo();
    cargo.arg("build").arg("--target-dir").arg(&target).current_dir(workspace());
    if profile() == "release" {
        cargo.arg("--release");
    }
    for name in names {
        cargo.arg("-p").arg(format!("horizon-plugin-{name}"));
    }
    run(cargo);
    let folder = tempfile::tempdir().expect("a temporary folder");
    for name in names {
        let library = target.join(profile()).join(file_name(name));
        std::fs::copy(library, folder.path().join(file_name(name))).expect("cargo built it");
    }
    folder
}

/// Manifest and code of `docs/plugins.md`.
pub(crate) fn quick_start() -> (String, String) {
    let page = std::fs::read_to_string(workspace().join("docs/plugins.md")).expect("the page is there");
    let block = |language: &str| {
        let start = page.split_once(&format!("```{language}\n")).expect("the page has that block").1;
        start.split_once("```").expect("the block ends").0.to_owned()
    };
    (block("toml"), block("rust"))
}

/// A folder with the library of a crate that is built outside this repository, and knows nothing of
/// it but the path of the plugin API. Dependencies are those of our lock file, so no network is needed.
pub(crate) fn outside(name: &str, manifest: &str, code: &str) -> TempDir {
    let krate = tempfile::tempdir().expect("a temporary folder");
    let checkout = workspace().to_str().expect("the checkout has a printable path").to_owned();
    let manifest = manifest.replace("../horizon", &checkout);
    assert!(manifest.contains(&checkout), "the page names the checkout as ../horizon");
    let write = |path: &str, text: &str| std::fs::write(krate.path().join(path), text).expect("it is ours");
    std::fs::create_dir(krate.path().join("src")).expect("it is ours");
    write("Cargo.toml", &manifest);
    write("src/lib.rs", code);
    std::fs::copy(workspace().join("Cargo.lock"), krate.path().join("Cargo.lock")).expect("it is there");

    let target = target().join("outside");
    let mut cargo = cargo();
    cargo.args(["build", "--offline", "--target-dir"]).arg(&target).current_dir(krate.path());
    run(cargo);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let library = target.join("debug").join(file_name(name));
    std::fs::copy(library, folder.path().join(file_name(name))).expect("cargo built it");
    folder
}

fn cargo() -> Command {
    let mut cargo = Command::new(env!("CARGO"));
    cargo.arg("--quiet");
    // What cargo tells this test about its own package is not meant for the packages built here.
    for (key, _) in std::env::vars() {
        if key.starts_with("CARGO_PKG_") || key == "CARGO_MANIFEST_DIR" {
            cargo.env_remove(key);
        }
    }
    cargo
}

fn run(mut command: Command) {
    let output = command.output().expect("cargo runs");
    assert!(output.status.success(), "{command:?}\n{}", String::from_utf8_lossy(&output.stderr));
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the workspace")
}

/// `…/target/debug/deps/plugins-…` is this test.
fn profile_folder() -> PathBuf {
    let test = std::env::current_exe().expect("a running test has a path");
    test.ancestors().nth(2).expect("tests are two folders deep in their profile").to_owned()
}

fn profile() -> String {
    profile_folder().file_name().expect("a profile has a name").to_string_lossy().into_owned()
}

fn target() -> PathBuf {
    profile_folder().parent().expect("profiles are in the target folder").to_owned()
}
