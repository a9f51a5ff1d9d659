//! Building the workspace, and where the results are.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::failure::{Failure, Outcome};

/// How much the compiler optimises.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Quick to build; dependencies are optimised, our own crates hardly.
    Dev,
    /// For measurements.
    Release,
}

/// What a build left behind.
#[derive(Debug, Clone)]
pub(crate) struct Built {
    folder: PathBuf,
}

/// The root of the repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask lies in the repository")
}

/// `cargo` with the given words, in the repository.
pub(crate) fn command(words: &[&str]) -> Command {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(words).current_dir(root());
    command
}

/// Builds all programs and plugins; what cargo says goes to standard error.
pub(crate) fn build(profile: Profile) -> Outcome<Built> {
    eprintln!("building ({})", profile.folder());
    let mut build = command(&["build", "--workspace", "--exclude", "xtask"]);
    if profile == Profile::Release {
        build.arg("--release");
    }
    let status = build.status().map_err(|error| format!("cannot start cargo: {error}"))?;
    if !status.success() {
        let sentence = "the build failed; what the compiler says above has to be mended first";
        return Err(Failure::with_code(sentence, status.code()));
    }
    let target = target()?;
    Ok(Built { folder: target.join(profile.folder()) })
}

/// The target folder.
pub(crate) fn target() -> Outcome<PathBuf> {
    let here = std::env::current_exe().map_err(|error| format!("cannot find the target folder: {error}"))?;
    let target =
        here.ancestors().nth(2).ok_or_else(|| "xtask does not run from a target folder".to_owned())?;
    Ok(target.to_owned())
}

impl Profile {
    const fn folder(self) -> &'static str {
        match self {
            Self::Dev => "debug",
            Self::Release => "release",
        }
    }
}

impl Built {
    /// The program called `name`.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Puts every plugin of the workspace into `folder` and takes others of the same family away. A library
    /// that a process has mapped is replaced, never overwritten.
    pub(crate) fn collect_plugins(&self, folder: &Path) -> Outcome<()> {
        let unwritable = |error| Failure::unwritable(folder, &error);
        std::fs::create_dir_all(folder).map_err(unwritable)?;
        let names = plugins()?;
        for entry in std::fs::read_dir(folder).map_err(unwritable)?.filter_map(Result::ok) {
            let name = entry.file_name().to_string_lossy().into_owned();
            if name.starts_with("libhorizon_plugin_") && !names.contains(&name) {
                std::fs::remove_file(entry.path()).map_err(unwritable)?;
            }
        }
        for name in names {
            let (from, fresh) = (self.folder.join(&name), folder.join(format!("{name}.new")));
            std::fs::copy(&from, &fresh).and_then(|_| std::fs::rename(&fresh, folder.join(&name))).map_err(
                |error| format!("cannot copy {} to {}: {error}", from.display(), folder.display()),
            )?;
        }
        Ok(())
    }
}

/// File names of the plugins: one for each folder of `plugins/`.
fn plugins() -> Outcome<Vec<String>> {
    let folder = root().join("plugins");
    let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .filter(|entry| entry.path().join("Cargo.toml").exists())
        .map(|entry| format!("libhorizon_plugin_{}.so", entry.file_name().to_string_lossy()))
        .collect();
    names.sort();
    Ok(names)
}
