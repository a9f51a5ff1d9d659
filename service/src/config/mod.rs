//! `horizon.toml`: the one file that every process reads.
//!
//! Every key has a default, so an empty file is valid. A key that does not exist or a value that
//! cannot be is an error that names file, line and what is allowed, and all of them are shown at
//! once. A [`Horizon`] that exists is valid.

mod document;
mod environment;
mod error;
mod gorc;
mod schema;
mod sections;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use toml::de::DeValue;

use document::{Document, suggestion};

pub use environment::VARIABLES;
pub use error::{ConfigError, Problem, Problems};
pub use gorc::Gorc;
pub use schema::{Key, SECTIONS, Section, example, schema_table};
pub use sections::{Atlas, Director, Limits, Log, LogFormat, Paths, Region, Store, World};

/// Name of the file that is read where none is named.
pub const DEFAULT_FILE: &str = "horizon.toml";

/// Everything the file says, checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Horizon {
    /// The file it came from, absolute; `None` where defaults are used without a file.
    pub file: Option<PathBuf>,
    /// `[world]`.
    pub world: World,
    /// `[paths]`.
    pub paths: Paths,
    /// `[store]`.
    pub store: Store,
    /// `[atlas]`.
    pub atlas: Atlas,
    /// `[limits]`.
    pub limits: Limits,
    /// `[director]`.
    pub director: Director,
    /// `[region]`.
    pub region: Region,
    /// `[gorc]`.
    pub gorc: Gorc,
    /// `[plugin.NAME]` by name, as the plugin will read it.
    pub plugins: BTreeMap<String, serde_json::Value>,
    /// `[log]`.
    pub log: Log,
}

impl Horizon {
    /// Reads the file at `path`.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] where the file cannot be read or anything in it is wrong.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let refused = |source| ConfigError::Read { path: path.to_owned(), source };
        let text = std::fs::read_to_string(path).map_err(refused)?;
        let absolute = std::path::absolute(path).map_err(refused)?;
        let folder = absolute.parent().unwrap_or(Path::new("/")).to_owned();
        let mut horizon =
            Self::parse(&path.display().to_string(), &text, &folder).map_err(ConfigError::Invalid)?;
        horizon.file = Some(absolute);
        Ok(horizon)
    }

    /// Reads the file at `path`; without one, `horizon.toml` of the working folder where there is
    /// one, and defaults where there is not. What the environment says goes before all of these.
    ///
    /// # Errors
    ///
    /// As [`Self::load`].
    pub fn load_or_default(path: Option<&Path>) -> Result<Self, ConfigError> {
        let horizon = match path {
            Some(path) => Self::load(path),
            None if Path::new(DEFAULT_FILE).exists() => Self::load(Path::new(DEFAULT_FILE)),
            None => {
                let path = PathBuf::from(".");
                let folder =
                    std::path::absolute(&path).map_err(|source| ConfigError::Read { path, source })?;
                Self::parse(DEFAULT_FILE, "", &folder).map_err(ConfigError::Invalid)
            }
        };
        horizon?.overridden(|name| std::env::var(name).ok())
    }

    /// Reads `text`, which errors call `file`; relative paths start at `folder`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong in it.
    pub fn parse(file: &str, text: &str, folder: &Path) -> Result<Self, Problems> {
        let document = Document::parse(file, text);
        check_top(&document);
        let horizon = Self {
            file: None,
            world: World::read(&document),
            paths: Paths::read(&document, folder),
            store: Store::read(&document, folder),
            atlas: Atlas::read(&document, folder),
            limits: Limits::read(&document),
            director: Director::read(&document),
            region: Region::read(&document),
            gorc: Gorc::read(&document),
            plugins: read_plugins(&document),
            log: Log::read(&document, folder),
        };
        document.finish().map(|()| horizon)
    }

    /// Defaults with every listener on a free port of this machine and the store in memory. Paths are
    /// below the system's temporary folder; tests that write set their own.
    pub fn default_for_tests() -> Self {
        let folder = std::env::temp_dir().join("horizon-tests");
        let text = r#"
            [store]
            address = "memory:"
            admin = "127.0.0.1:0"
            [atlas]
            listen = "127.0.0.1:0"
            link = "127.0.0.1:0"
            admin = "127.0.0.1:0"
        "#;
        Self::parse("defaults for tests", text, &folder).expect("the defaults are valid")
    }
}

/// Sections that do not exist, and keys outside of any.
fn check_top(document: &Document<'_>) {
    let mut known: Vec<&str> =
        SECTIONS.iter().map(|section| section.name).filter(|name| !name.contains('.')).collect();
    known.extend(["gorc", "plugin", "regions"]);
    for (name, value) in document.root() {
        let text = name.get_ref().as_ref();
        if known.contains(&text) {
            continue;
        }
        let home = SECTIONS.iter().find(|section| section.keys.iter().any(|key| key.name == text));
        let message = match (value.get_ref(), home) {
            (DeValue::Table(_), _) => format!("unknown section {text:?}{}", suggestion(text, &known)),
            (_, Some(section)) => {
                format!("{text:?} is outside its section; write it below [{}]", section.name)
            }
            (_, None) => format!("unknown key {text:?} outside of any section"),
        };
        document.problem(name.span(), message);
    }
}

fn read_plugins(document: &Document<'_>) -> BTreeMap<String, serde_json::Value> {
    let mut plugins = BTreeMap::new();
    for (name, value) in document.table(&["plugin"]).into_iter().flatten() {
        if value.get_ref().is_table() {
            plugins.insert(name.get_ref().to_string(), json(value.get_ref()));
        } else {
            let name_text = name.get_ref();
            document.problem(
                name.span(),
                format!("{name_text:?} in [plugin] is a section; write [plugin.{name_text}]"),
            );
        }
    }
    plugins
}

/// The same value as JSON; dates become texts.
fn json(value: &DeValue<'_>) -> serde_json::Value {
    match value {
        DeValue::String(text) => text.as_ref().into(),
        DeValue::Integer(raw) => {
            i64::from_str_radix(raw.as_str(), raw.radix()).map_or(serde_json::Value::Null, Into::into)
        }
        DeValue::Float(raw) => raw.as_str().parse::<f64>().map_or(serde_json::Value::Null, Into::into),
        DeValue::Boolean(flag) => (*flag).into(),
        DeValue::Datetime(date) => date.to_string().into(),
        DeValue::Array(items) => items.iter().map(|item| json(item.get_ref())).collect(),
        DeValue::Table(table) => {
            let entries = table.iter().map(|(key, item)| (key.get_ref().to_string(), json(item.get_ref())));
            serde_json::Value::Object(entries.collect())
        }
    }
}

#[cfg(test)]
mod tests;
