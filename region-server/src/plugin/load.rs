//! From a folder of libraries to a plugin host.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use horizon_model::SchemaError;
use horizon_plugin_api::Registration;
use horizon_plugin_api::host::Plugin;
use tracing::info;

use super::library::{self, LibraryError, is_plugin_file};

/// Why the plugins of a folder cannot be used. The region server does not start without them: a
/// world with half its rules would damage what players own.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// The folder is not there or not readable.
    #[error("plugin folder {}: {error}; create it, or correct its path in horizon.toml", path.display())]
    Folder {
        /// Which one.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A library is not a plugin for this region server.
    #[error("plugin {}: {reason}", path.display())]
    Library {
        /// Which file.
        path: PathBuf,
        /// Why, and who must do what.
        reason: String,
    },
    /// Two libraries are the same plugin.
    #[error("plugin {name:?} is in two files, {} and {}; remove one", first.display(), second.display())]
    Twice {
        /// The plugin's name.
        name: String,
        /// Loaded first.
        first: PathBuf,
        /// Loaded second.
        second: PathBuf,
    },
    /// Two plugins want one thing differently, or one asks for what cannot be.
    #[error("plugin {plugin:?}: {reason}")]
    Declaration {
        /// The plugin that came second, or alone.
        plugin: String,
        /// What collides, and who must do what.
        reason: String,
    },
}

impl LoadError {
    pub(super) fn declaration(plugin: &str, reason: String) -> Self {
        Self::Declaration { plugin: plugin.to_owned(), reason }
    }

    pub(super) fn channels(plugin: &str, object: &str, error: SchemaError) -> Self {
        Self::declaration(plugin, format!("object type {object:?}: {error}; correct its channels"))
    }
}

/// A plugin that has registered.
pub(super) struct Loaded {
    pub(super) plugin: Plugin,
    pub(super) registration: Registration,
}

/// Opens and registers every plugin of a folder, in the order of file names.
pub(super) fn load_all(
    folder: &Path,
    configs: &BTreeMap<String, serde_json::Value>,
) -> Result<Vec<Loaded>, LoadError> {
    let folder_error = |error| LoadError::Folder { path: folder.to_owned(), error };
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(folder_error)? {
        let path = entry.map_err(folder_error)?.path();
        if path.file_name().and_then(|name| name.to_str()).is_some_and(is_plugin_file) {
            files.push(path);
        }
    }
    files.sort();
    let mut loaded: Vec<(PathBuf, Loaded)> = Vec::new();
    for path in files {
        let next = load(&path, configs)
            .map_err(|error| LoadError::Library { path: path.clone(), reason: error.to_string() })?;
        let name = &next.plugin.about().name;
        if let Some((first, _)) = loaded.iter().find(|(_, other)| other.plugin.about().name == *name) {
            let (name, first) = (name.clone(), first.clone());
            return Err(LoadError::Twice { name, first, second: path });
        }
        loaded.push((path, next));
    }
    Ok(loaded.into_iter().map(|(_, plugin)| plugin).collect())
}

fn load(path: &Path, configs: &BTreeMap<String, serde_json::Value>) -> Result<Loaded, LibraryError> {
    let mut plugin = library::open(path)?;
    let about = plugin.about().clone();
    let config = configs.get(&about.name).map(ToString::to_string).unwrap_or_default();
    let registration = plugin.register(config.as_bytes())?;
    info!(
        plugin = about.name,
        version = about.version,
        compiler = plugin.compiler(),
        handlers = registration.handlers.len(),
        "plugin loaded"
    );
    Ok(Loaded { plugin, registration })
}
