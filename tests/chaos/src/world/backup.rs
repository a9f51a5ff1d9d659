//! A store that loses its latest writes: its files are set aside, and put in place of newer ones later.

use std::fs;
use std::io;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use tokio::time::{Instant, sleep};

use super::{LOOK_AGAIN, World, WorldError, io_error, signal};

/// A process that was told to stop does so within this time.
const STOPS_WITHIN: Duration = Duration::from_secs(5);
/// What a store keeps: the file of SQLite and what belongs to it, or the folder of a `redis-server`.
const KEPT: [&str; 2] = ["world.sqlite", "appendonlydir"];

impl World {
    /// Sets aside what the store has written; it stands still meanwhile, so that the files agree.
    pub(crate) async fn set_aside(&self) -> Result<(), WorldError> {
        let store = self.store_pid().unwrap_or_default();
        signal(store, Signal::STOP);
        let deadline = Instant::now() + STOPS_WITHIN;
        while !stands_still(store) && Instant::now() < deadline {
            sleep(LOOK_AGAIN).await;
        }
        let aside = self.folder.path().join("aside");
        let copied = fs::create_dir_all(&aside).and_then(|()| copy(self.folder.path(), &aside));
        signal(store, Signal::CONT);
        copied.map_err(io_error("a copy of what the store keeps"))
    }

    /// Kills the store and lets it begin again with what was set aside.
    pub(crate) async fn go_back(&mut self) -> Result<(), WorldError> {
        self.kill_store().await;
        let folder = self.folder.path().to_owned();
        remove(&folder)
            .and_then(|()| copy(&folder.join("aside"), &folder))
            .map_err(io_error("the store's older files"))?;
        self.start_store().await
    }
}

fn is_kept(name: &str) -> bool {
    KEPT.iter().any(|kept| name.starts_with(kept))
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if !is_kept(&name.to_string_lossy()) {
            continue;
        }
        let target = to.join(&name);
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&target)?;
            for file in fs::read_dir(entry.path())? {
                let file = file?;
                fs::copy(file.path(), target.join(file.file_name()))?;
            }
        } else {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

fn remove(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if !is_kept(&entry.file_name().to_string_lossy()) {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

/// Whether every thread of a process is stopped.
fn stands_still(pid: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{pid}/task")) else { return true };
    threads.filter_map(Result::ok).all(|thread| {
        let stat = fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        // The state follows the name in parentheses.
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with('T'))
    })
}
