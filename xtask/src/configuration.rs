//! The few keys of a configuration that whoever starts the processes needs.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use crate::failure::Outcome;
use crate::redis::Server;

/// Where things are, read from a file that the programs have already accepted.
#[derive(Debug, Clone)]
pub(crate) struct Configuration {
    /// The file, absolute.
    pub(crate) file: PathBuf,
    /// State and logs.
    pub(crate) data: PathBuf,
    /// Plugin libraries.
    pub(crate) plugins: PathBuf,
    /// Certificate of the development authority.
    pub(crate) authority: PathBuf,
    /// Where players connect.
    pub(crate) listen: SocketAddr,
    /// Atlas' admin listener.
    pub(crate) admin: SocketAddr,
    /// Who keeps state.
    pub(crate) keeper: Keeper,
}

/// Who keeps the state of a world.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// The `store` process, with this admin listener.
    Store(SocketAddr),
    /// A `redis-server` in the world's own folder.
    Redis(Server),
    /// A server that somebody else looks after.
    Elsewhere,
}

impl Configuration {
    /// Reads `file`, which is absolute. Defaults are those of `docs/configuration.md`.
    pub(crate) fn read(file: &Path) -> Outcome<Self> {
        let failed = |why: &dyn std::fmt::Display| format!("cannot use {}: {why}", file.display());
        let text = std::fs::read_to_string(file).map_err(|error| failed(&error))?;
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| failed(&error))?;
        let folder = file.parent().unwrap_or(Path::new("/"));
        let text = |section: &str, key: &str, default: &str| {
            let value = table.get(section).and_then(|section| section.get(key)?.as_str());
            value.unwrap_or(default).to_owned()
        };
        let address = |section: &str, default: &str, key: &str| {
            let value = text(section, key, default);
            reachable(&value)
                .ok_or_else(|| failed(&format!("{value:?} ({key} in [{section}]) has no fixed port")))
        };
        Ok(Self {
            file: file.to_owned(),
            data: folder.join(text("paths", "data", "data")).components().collect(),
            plugins: folder.join(text("paths", "plugins", "plugins")),
            authority: folder.join(text("paths", "pki", "data/pki")).join("ca.pem"),
            listen: address("atlas", "127.0.0.1:7777", "listen")?,
            admin: address("atlas", "127.0.0.1:7780", "admin")?,
            keeper: match text("store", "address", "unix:data/store.sock") {
                own if Server::of(folder).is_at(&own) => Keeper::Redis(Server::of(folder)),
                other if other.starts_with("redis") => Keeper::Elsewhere,
                _ => Keeper::Store(address("store", "127.0.0.1:7782", "admin")?),
            },
        })
    }

    /// What a browser on this machine opens.
    pub(crate) fn page(&self) -> String {
        format!("https://localhost:{}/", self.listen.port())
    }

    /// What a client on this machine connects to.
    pub(crate) fn socket(&self) -> String {
        format!("wss://localhost:{}/", self.listen.port())
    }
}

/// The address as this machine reaches it: one that stands for all addresses is reached at the first.
fn reachable(text: &str) -> Option<SocketAddr> {
    let mut address: SocketAddr = text.parse().ok()?;
    if address.ip().is_unspecified() {
        address.set_ip(IpAddr::V4(Ipv4Addr::LOCALHOST));
    }
    (address.port() != 0).then_some(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_defaults() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("horizon.toml");
        std::fs::write(&file, "[atlas]\nlisten = \"0.0.0.0:4433\"\n[paths]\npki = \"certificates\"\n")
            .expect("written");
        let read = Configuration::read(&file).expect("valid");
        assert_eq!(read.page(), "https://localhost:4433/");
        assert_eq!(read.listen.ip(), Ipv4Addr::LOCALHOST);
        assert_eq!(read.admin.port(), 7780);
        assert_eq!(read.authority, folder.path().join("certificates/ca.pem"));
        assert_eq!(read.data, folder.path().join("data"));
    }

    #[test]
    fn a_port_that_nobody_knows_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("horizon.toml");
        std::fs::write(&file, "[store]\nadmin = \"127.0.0.1:0\"\n").expect("written");
        let error = Configuration::read(&file).expect_err("port 0").to_string();
        assert!(error.contains("admin in [store]"), "{error}");
    }
}
