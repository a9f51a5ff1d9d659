//! Who owns what: leases of regions, records of entities, sessions of players.
//!
//! [`StateStore`] is what a region server and an edge know. Behind it are [`Memory`] (tests and
//! simulators), [`Sqlite`] (one file, one thread that commits everything queued at once),
//! [`Remote`] (a client of the `store` process, which is a [`Server`] in front of one [`Sqlite`]) and
//! [`Redis`] (a client of a Redis server, for several machines). All of them answer by the rules of one
//! module, `world`, which the scripts of the last one repeat; they differ in where the rows are and in
//! what can go wrong on the way.
//!
//! Absent: no wall clock (time is an [`Env`]), no call that blocks a tick, no cache. A read is
//! answered by the same thread that commits writes, so whoever has seen a write will read it.

mod database;
mod env;
mod faulty;
mod memory;
mod redis;
mod remote;
mod request;
mod server;
mod sqlite;
mod store;
mod tables;
mod wire;
mod world;

use std::path::Path;
use std::sync::Arc;

use horizon_model::WorldId;

pub use env::Env;
pub use faulty::{Faults, Faulty};
pub use memory::Memory;
pub use redis::Redis;
pub use remote::Remote;
pub use request::{Backend, Known, Reply, Report, Reported, Request};
pub use server::Server;
pub use sqlite::{Commit, Sqlite};
pub use store::{AcquireError, LeaseError, SealingKey, StateStore, StoreError};

/// Opens the store at `address` for one world: `unix:PATH` (the `store` process), `sqlite:PATH`
/// (a file of one's own), `memory:` (a world that ends with the process), or a Redis server:
/// `redis://HOST:PORT`, `rediss://…` with TLS, `redis+unix:///PATH`, `redis+sentinel://HOST:PORT,…/MASTER`.
///
/// Must be called within a tokio runtime.
///
/// # Errors
///
/// [`StoreError::Setup`] where the address, the file or the peer is wrong and a person has to act;
/// [`StoreError::Unavailable`] where the `store` process or the server does not answer within five seconds.
pub async fn open(address: &str, world: WorldId) -> Result<Arc<dyn StateStore>, StoreError> {
    if address == "memory:" {
        return Ok(Arc::new(Memory::new(world, Env::system())));
    }
    if let Some(path) = address.strip_prefix("sqlite:") {
        let path = path.to_owned();
        let opened =
            tokio::task::spawn_blocking(move || Sqlite::open(Path::new(&path), world, Env::system()));
        return Ok(Arc::new(opened.await.expect("opening a file does not panic")?));
    }
    if let Some(path) = address.strip_prefix("unix:") {
        return Ok(Arc::new(Remote::connect(Path::new(path), world).await?));
    }
    if redis::is_address(address) {
        return Ok(Arc::new(Redis::connect(address, world).await?));
    }
    Err(StoreError::Setup(format!(
        "{address:?} is no store address; write unix:PATH, redis://HOST:PORT, sqlite:PATH or memory:"
    )))
}
