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
    /// Programs that are found here first.
    stand_ins: Option<PathBuf>,
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
    Ok(Built { folder: target.join(profile.folder()), stand_ins: None })
}

/// Builds programs with fail points beside the ordinary ones. They have names of their own, so no ordinary build
/// has any.
pub(crate) fn build_faulty(profile: Profile, names: &[&str]) -> Outcome<()> {
    let mut words = vec!["build", "--workspace", "--exclude", "xtask", "--features", "horizon-chaos/faults"];
    words.extend(names.iter().flat_map(|name| ["--bin", name]));
    if profile == Profile::Release {
        words.push("--release");
    }
    eprintln!("building with fail points");
    let status = command(&words).status().map_err(|error| format!("cannot start cargo: {error}"))?;
    if status.success() {
        return Ok(());
    }
    let sentence = "the build failed; what the compiler says above has to be mended first";
    Err(Failure::with_code(sentence, status.code()))
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
        let stand_in = self.stand_ins.as_ref().map(|folder| folder.join(name)).filter(|path| path.exists());
        stand_in.unwrap_or_else(|| self.folder.join(name))
    }

    /// The same, where programs of `folder` stand in for those of the same names.
    pub(crate) fn with_stand_ins(&self, folder: &Path) -> Self {
        Self { folder: self.folder.clone(), stand_ins: Some(folder.to_owned()) }
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
