//! Opening shared libraries. They are never closed: something may still call them, and the system
//! may not even unmap them. A new version is a new file and, in the end, a new process.
// Opening a library runs its code and trusts its symbol's type; that is all the unsafe code here.
#![allow(unsafe_code)]

use std::path::Path;

use horizon_plugin_api::abi::{ENTRY_SYMBOL, EntryFn};
use horizon_plugin_api::host::{OpenError, Plugin};

/// Whether a file name is that of a plugin: `libhorizon_plugin_*.so`, or as this system calls it.
pub fn is_plugin_file(name: &str) -> bool {
    let stem = name
        .strip_prefix(std::env::consts::DLL_PREFIX)
        .and_then(|rest| rest.strip_suffix(std::env::consts::DLL_SUFFIX));
    stem.is_some_and(|stem| stem.starts_with("horizon_plugin_"))
}

/// Why a library gave no plugin.
#[derive(Debug, thiserror::Error)]
pub(super) enum LibraryError {
    /// The system cannot load it.
    #[error("the system cannot load it: {0}; build it for this machine")]
    Load(String),
    /// It loads, and is no plugin or not for us.
    #[error(transparent)]
    Open(#[from] OpenError),
}

/// Opens a library for good and makes its plugin.
pub(super) fn open(path: &Path) -> Result<Plugin, LibraryError> {
    // SAFETY: the operator put the file into the plugin folder; its constructors are trusted as much
    // as the rest of it.
    let library =
        unsafe { libloading::Library::new(path) }.map_err(|error| LibraryError::Load(error.to_string()))?;
    // SAFETY: the name belongs to Horizon, and whoever exports it promises this type.
    let entry = unsafe { library.get::<EntryFn>(ENTRY_SYMBOL) }.map(|symbol| *symbol);
    std::mem::forget(library);
    let entry = entry.map_err(|_| OpenError::NotAPlugin)?;
    // SAFETY: the library stays loaded, so its static table lives as long as the process.
    Ok(unsafe { Plugin::open(entry) }?)
}
