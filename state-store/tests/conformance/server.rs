//! A real `redis-server` on a socket of its own, and the store on it.

use std::net::{Ipv4Addr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use horizon_model::WorldId;
use horizon_state_store::Redis;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::fixture::{Clock, Fixture, WORLD};

/// A running server; killed when dropped.
pub(crate) struct Server {
    folder: TempDir,
    child: Option<Child>,
}

/// What every server of these tests is started with: a world may be entrusted to it.
pub(crate) const DURABLE: [&str; 6] =
    ["--appendonly", "yes", "--appendfsync", "always", "--maxmemory-policy", "noeviction"];

/// A port that nobody has at this moment.
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
    listener.local_addr().expect("bound").port()
}

/// Whether the program is there; says so where it is not.
pub(crate) fn is_installed() -> bool {
    let found = Command::new("redis-server").arg("--version").stdout(Stdio::null()).status().is_ok();
    if !found {
        eprintln!("skipped: this row on Redis, because redis-server is not installed");
    }
    found
}

impl Server {
    /// `None` where the program is not installed.
    pub(crate) fn start() -> Option<Self> {
        Self::start_with(&DURABLE)
    }

    /// With these further words on its command line.
    pub(crate) fn start_with(words: &[&str]) -> Option<Self> {
        if !is_installed() {
            return None;
        }
        let mut server = Self { folder: TempDir::new().expect("a temporary folder"), child: None };
        server.run_with(words);
        Some(server)
    }

    /// Its folder, with the append-only file in `appendonlydir`.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn address(&self) -> String {
        format!("redis+unix://{}", self.path().join("redis.sock").display())
    }

    /// Starts it on the files that are there.
    pub(crate) fn run(&mut self) {
        self.run_with(&DURABLE);
    }

    pub(crate) fn run_with(&mut self, words: &[&str]) {
        self.run_as(Command::new("redis-server"), words);
    }

    /// The same with a command of the caller's, which has an environment of its own.
    pub(crate) fn run_as(&mut self, mut command: Command, words: &[&str]) {
        command.args(["--port", "0", "--unixsocket", "redis.sock", "--save", ""]).args(words);
        command.current_dir(self.path()).stdin(Stdio::null()).stdout(Stdio::null());
        self.child = Some(command.spawn().expect("redis-server starts"));
    }

    pub(crate) fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("it runs");
        kill_process(Pid::from_child(child), signal).expect("the signal is delivered");
    }

    /// Copies the append-only file. What was answered is in it.
    pub(crate) fn keep(&self) {
        let (from, to) = (self.path().join("appendonlydir"), self.path().join("kept"));
        std::fs::create_dir(&to).expect("made");
        for entry in std::fs::read_dir(from).expect("it appends") {
            let entry = entry.expect("readable");
            std::fs::copy(entry.path(), to.join(entry.file_name())).expect("copied");
        }
    }

    /// SIGKILL, and a start on the copy.
    pub(crate) fn put_back(&mut self) {
        self.kill();
        let (kept, data) = (self.path().join("kept"), self.path().join("appendonlydir"));
        std::fs::remove_dir_all(&data).expect("removed");
        std::fs::rename(kept, data).expect("put back");
        self.run();
    }

    /// SIGKILL, and its end.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("it can be killed");
            child.wait().expect("it can be waited for");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// [`Redis`] on the test's clock.
pub(crate) struct InRedis {
    clock: Clock,
    server: Server,
}

impl InRedis {
    pub(crate) fn start() -> Option<Self> {
        Server::start().map(|server| Self { clock: Clock::default(), server })
    }
}

impl Fixture for InRedis {
    type Store = Redis;

    async fn open(&self, world: WorldId) -> Redis {
        Redis::connect_at(&self.server.address(), world, self.clock.env()).await.expect("connects")
    }

    async fn restart(&mut self) {
        self.server.kill();
        self.server.run();
        // Leases run from the first connection after a restart.
        self.open(WORLD).await;
    }

    async fn keep(&mut self) {
        self.server.keep();
        self.restart().await;
    }

    async fn put_back(&mut self) {
        self.server.put_back();
        // Leases run from the first connection after a restart.
        self.open(WORLD).await;
    }

    fn clock(&self) -> &Clock {
        &self.clock
    }
}
