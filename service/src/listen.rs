//! Why a listener could not be opened, in words that say what to do.

use std::io;
use std::net::SocketAddr;

/// A listener that could not be opened. The process should not start.
#[derive(Debug, thiserror::Error)]
#[error("{}", self.sentence())]
pub struct ListenError {
    /// Where.
    pub address: SocketAddr,
    /// Section and key that choose it, such as `[atlas] admin`.
    pub key: &'static str,
    /// What the system said.
    pub cause: io::Error,
}

impl ListenError {
    /// `cause` happened when opening `address`, which `key` (such as `[atlas] admin`) chooses.
    pub const fn new(address: SocketAddr, key: &'static str, cause: io::Error) -> Self {
        Self { address, key, cause }
    }

    fn sentence(&self) -> String {
        let Self { address, key, cause } = self;
        match cause.kind() {
            io::ErrorKind::AddrInUse => {
                format!("{address} is taken by another process; stop it or change {key} in horizon.toml")
            }
            io::ErrorKind::PermissionDenied => {
                format!(
                    "this user may not listen on {address}; choose a port above 1023 for {key} in horizon.toml"
                )
            }
            io::ErrorKind::AddrNotAvailable => {
                format!("{address} is not an address of this machine; change {key} in horizon.toml")
            }
            _ => format!("cannot listen on {address} ({key} in horizon.toml): {cause}"),
        }
    }
}
