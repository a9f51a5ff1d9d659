//! A `redis-server` in the folder of a world.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

/// Where a world keeps its state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// In a file, by the `store` process.
    Sqlite,
    /// In a `redis-server` of its own.
    Redis,
}

/// Whether a `redis-server` is installed; says so where none is.
pub fn is_installed() -> bool {
    let found = std::process::Command::new("redis-server").arg("--version").output().is_ok();
    if !found {
        eprintln!("skipped: this test on Redis, because redis-server is not installed");
    }
    found
}

/// The server of the world in `folder`.
pub(crate) fn command(folder: &Path) -> Command {
    let mut command = Command::new("redis-server");
    command.args(["--port", "0", "--unixsocket", "redis.sock", "--save", "", "--appendonly", "yes"]);
    command.args(["--appendfsync", "always", "--maxmemory-policy", "noeviction"]);
    command.current_dir(folder).kill_on_drop(true);
    command
}

/// The folder of the append-only file, and of its copy.
pub(crate) const DATA: &str = "appendonlydir";
pub(crate) const KEPT: &str = "kept";

/// Puts the files of one folder in the place of those of another.
pub(crate) fn copy(folder: &Path, from: &str, to: &str) {
    let (from, to) = (folder.join(from), folder.join(to));
    let _ = std::fs::remove_dir_all(&to);
    std::fs::create_dir(&to).expect("made");
    for entry in std::fs::read_dir(from).expect("it is there") {
        let entry = entry.expect("readable");
        std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
    }
}

/// What the configuration says about it.
pub(crate) fn address(folder: &Path) -> String {
    format!("redis+unix://{}", folder.join("redis.sock").display())
}

/// Whether it has read its files and answers.
pub(crate) fn answers(folder: &Path) -> bool {
    let answer = || {
        let mut stream = UnixStream::connect(folder.join("redis.sock"))?;
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.write_all(b"PING\r\n")?;
        let mut first = [0; 5];
        stream.read_exact(&mut first)?;
        Ok::<_, std::io::Error>(first)
    };
    answer().is_ok_and(|first| first == *b"+PONG")
}
