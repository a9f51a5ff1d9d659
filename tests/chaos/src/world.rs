//! One world of real processes whose every road leads through a proxy.
//!
//! ```text
//!   players ── player-K ──▶ atlas ◀── atlas-N ── region server N ◀── peer-N ── other region servers
//!                             └─ store-0 ─▶ store ◀── store-N ──┘       └──── fault line ──▶ the test
//! ```
//!
//! Two regions of 200 m meet at x = 0. Region servers are started by a script that gives each a configuration of its
//! own, with roads of its own. Dropping a world kills all of it.

mod backup;

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::net::{Ipv4Addr, SocketAddr};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep};

use crate::http;
use crate::line::{Line, Notebook};
use crate::ports::Ports;
use crate::proxy::Proxy;

/// Players' roads: two for each of them.
pub(crate) const PLAYERS: usize = 4;
/// A process has this long to become ready: a cold start on a busy machine takes a second or two.
const READY_WITHIN: Duration = Duration::from_secs(40);
/// Time between two looks at something that cannot be waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(20);
/// Lines of every log that are shown where something failed.
const TAIL_LINES: usize = 30;
/// How long the store keeps a region for a server that is silent.
pub(crate) const LEASE: Duration = Duration::from_secs(2);

/// The control of a store that is killed, where the store is none of our programs: its file is gone when it comes back.
pub(crate) const STORE_FORGETS: &str = "store-forgets";

/// Where state is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Store {
    /// A file, by the `store` process.
    Sqlite,
    /// A `redis-server`, synced at each write.
    Redis,
}

impl Store {
    /// As results call it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sqlite => "sqlite",
            Self::Redis => "redis",
        }
    }
}

/// Why a world cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum WorldError {
    /// Files and sockets.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: String,
        /// What the system says.
        source: std::io::Error,
    },
    /// A process did not become ready, or ended.
    #[error("{0}")]
    NotReady(String),
    /// The roads.
    #[error(transparent)]
    Proxy(#[from] crate::proxy::ProxyError),
}

/// A running world.
pub struct World {
    folder: TempDir,
    programs: PathBuf,
    ports: Ports,
    /// Every road.
    pub proxy: Proxy,
    /// The region servers' line.
    pub line: Line,
    /// What is observed.
    pub notes: Notebook,
    mutant: Option<String>,
    kind: Store,
    /// Configuration of plugins, as it stands in `horizon.toml`.
    plugins: String,
    store: Option<Child>,
    atlas: Option<Child>,
}

/// Who serves which half.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Serving {
    /// Process id of the region server of x < 0.
    pub west: u32,
    /// The other one's.
    pub east: u32,
}

fn io_error(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> WorldError {
    let what = what.into();
    move |source| WorldError::Io { what, source }
}

impl World {
    /// Starts a world with the programs in the folder `programs`, one guard off in all of them if `mutant` names it,
    /// with `plugins` as their configuration.
    ///
    /// # Errors
    ///
    /// [`WorldError`], with the ends of the logs.
    pub async fn start(
        programs: &Path,
        kind: Store,
        seed: u64,
        mutant: Option<&str>,
        plugins: &str,
    ) -> Result<Self, WorldError> {
        let folder = tempfile::tempdir().map_err(io_error("a temporary folder"))?;
        let ports = Ports::free().map_err(io_error("free ports"))?;
        let notes = Notebook::default();
        let line =
            Line::listen(&folder.path().join("fault.sock"), &notes).map_err(io_error("the fault line"))?;
        let mut world = Self {
            programs: programs.to_owned(),
            ports,
            proxy: Proxy::new(seed),
            line,
            notes,
            mutant: mutant.map(str::to_owned),
            kind,
            plugins: plugins.to_owned(),
            store: None,
            atlas: None,
            folder,
        };
        world.lay_out().await?;
        world.start_store().await?;
        world.start_atlas().await?;
        Ok(world)
    }

    /// Roads, configurations, the script, and the plugins.
    async fn lay_out(&mut self) -> Result<(), WorldError> {
        let folder = self.folder.path().to_owned();
        let home = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let store = folder.join("store.sock");
        self.proxy.unix("store-0", folder.join("store-0.sock"), store.clone())?;
        let mut script =
            String::from("#!/bin/sh\n# The first number that is free is this region server's.\nn=1\n");
        let _ = writeln!(
            script,
            "while ! mkdir \"{0}/taken-$n\" 2>/dev/null; do n=$((n+1)); done",
            folder.display()
        );
        script.push_str("case $n in\n");
        for (index, port) in self.ports.workers.clone().into_iter().enumerate() {
            let n = index + 1;
            let atlas = self.proxy.udp(&format!("atlas-{n}"), home(0), home(self.ports.link)).await?;
            let peer = self.proxy.udp(&format!("peer-{n}"), home(0), home(port)).await?;
            self.proxy.unix(&format!("store-{n}"), folder.join(format!("store-{n}.sock")), store.clone())?;
            let region = format!("[region]\nlink = \"127.0.0.1:{port}\"\nadvertise = \"{peer}\"\n");
            self.configure(&format!("worker-{n}.toml"), &format!("store-{n}.sock"), &region)?;
            let _ = writeln!(script, "{n}) atlas={atlas} ;;");
        }
        let program = self.programs.join("faulty-region-server");
        let _ = write!(
            script,
            "esac\nexec \"{}\" --config \"{}/worker-$n.toml\" --atlas \"$atlas\"\n",
            program.display(),
            folder.display()
        );
        let file = folder.join("worker");
        std::fs::write(&file, script).map_err(io_error("the script"))?;
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o755))
            .map_err(io_error("the script"))?;
        self.configure("store.toml", "store.sock", "")?;
        self.configure("atlas.toml", "store-0.sock", "")?;
        for k in 0..2 * PLAYERS {
            self.proxy.tcp(&format!("player-{k}"), home(0), home(self.ports.listen)).await?;
        }
        let plugins = folder.join("plugins");
        std::fs::create_dir(&plugins).map_err(io_error("the folder of plugins"))?;
        for name in ["chat", "drill", "ledger", "movement", "tokens"] {
            let library = format!("libhorizon_plugin_{name}.so");
            std::fs::copy(self.programs.join(&library), plugins.join(&library))
                .map_err(io_error(format!("{library}; build the workspace first")))?;
        }
        std::fs::create_dir(folder.join("logs")).map_err(io_error("the folder of logs"))?;
        Ok(())
    }

    fn configure(&self, name: &str, socket: &str, more: &str) -> Result<(), WorldError> {
        let Ports { listen, link, admin, store, .. } = self.ports;
        let folder = self.folder.path().display();
        let address = match self.kind {
            Store::Sqlite => format!("unix:{socket}"),
            Store::Redis => format!("redis+unix://{folder}/{socket}"),
        };
        let text = format!(
            "[world]\ncolumns = 2\nrows = 1\norigin_metres = [-200, -100]\nspawn_metres = [10, 0, 1]\n\
             [paths]\ndata = \".\"\nplugins = \"plugins\"\npki = \"pki\"\n\
             [store]\naddress = \"{address}\"\ndatabase = \"world.sqlite\"\nadmin = \"127.0.0.1:{store}\"\n\
             lease_ttl_ms = {}\n\
             [atlas]\nlisten = \"127.0.0.1:{listen}\"\nlink = \"127.0.0.1:{link}\"\nadmin = \"127.0.0.1:{admin}\"\n\
             worker_command = \"{folder}/worker\"\n\
             [director]\ngrace_seconds = 600\nwarm_workers = 1\n{more}{}",
            LEASE.as_millis(),
            self.plugins
        );
        std::fs::write(self.folder.path().join(name), text).map_err(io_error(name))
    }

    /// Starts the store and waits until it is ready.
    ///
    /// # Errors
    ///
    /// [`WorldError::NotReady`].
    pub async fn start_store(&mut self) -> Result<(), WorldError> {
        if self.kind == Store::Redis {
            return self.start_redis().await;
        }
        self.store = Some(self.spawn("faulty-store", "store.toml")?);
        self.wait_ready("store", self.ports.store).await
    }

    async fn start_redis(&mut self) -> Result<(), WorldError> {
        let folder = self.folder.path().to_owned();
        if self.mutant.as_deref() == Some(STORE_FORGETS) {
            let _ = std::fs::remove_dir_all(folder.join("appendonlydir"));
        }
        let socket = folder.join("store.sock");
        let _ = std::fs::remove_file(&socket);
        let log = OpenOptions::new().create(true).append(true).open(folder.join("logs/redis.log"));
        let log = log.map_err(io_error("a log"))?;
        let mut command = Command::new("redis-server");
        command.args(["--port", "0", "--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
        command
            .args(["--maxmemory-policy", "noeviction", "--dir"])
            .arg(&folder)
            .arg("--unixsocket")
            .arg(&socket);
        command.stdin(Stdio::null()).stdout(log.try_clone().map_err(io_error("a log"))?).stderr(log);
        let started = command.process_group(0).spawn();
        self.store = Some(started.map_err(io_error("redis-server cannot be started; install it"))?);
        let deadline = Instant::now() + READY_WITHIN;
        while !pong(&socket).await {
            if Instant::now() > deadline {
                return Err(WorldError::NotReady(format!("redis-server is not ready{}", self.tails())));
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Starts atlas and waits until it is ready.
    ///
    /// # Errors
    ///
    /// [`WorldError::NotReady`].
    pub async fn start_atlas(&mut self) -> Result<(), WorldError> {
        self.atlas = Some(self.spawn("faulty-atlas", "atlas.toml")?);
        self.wait_ready("atlas", self.ports.admin).await
    }

    /// Where player number `k` connects: by its own road, or by its second one.
    ///
    /// # Errors
    ///
    /// Never after the start.
    pub fn urls(&self, k: usize) -> Result<Vec<String>, WorldError> {
        [k, k + PLAYERS]
            .into_iter()
            .map(|road| {
                Ok(format!("wss://localhost:{}/", self.proxy.address(&format!("player-{road}"))?.port()))
            })
            .collect()
    }

    /// Whose certificates to believe.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("pki/ca.pem")
    }

    /// What atlas says is going on; null where it does not answer.
    pub async fn status(&self) -> Value {
        http::json(self.ports.admin, "/api/status").await
    }

    /// Who serves the two regions, once both are served.
    ///
    /// # Errors
    ///
    /// [`WorldError::NotReady`].
    pub async fn serving(&self, within: Duration) -> Result<Serving, WorldError> {
        let deadline = Instant::now() + within;
        loop {
            let status = self.status().await;
            let pid = |region: &Value| {
                let workers = status["workers"].as_array()?;
                let worker = workers.iter().find(|worker| worker["worker"] == region["worker"])?;
                worker["pid"].as_u64().and_then(|pid| u32::try_from(pid).ok())
            };
            if let Some([west, east]) = status["regions"].as_array().map(Vec::as_slice)
                && let (Some(west), Some(east)) = (pid(west), pid(east))
                && west != east
            {
                return Ok(Serving { west, east });
            }
            if Instant::now() > deadline {
                return Err(WorldError::NotReady(format!(
                    "two regions are not served: {status:#}{}",
                    self.tails()
                )));
            }
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Players in all regions together, as the regions count them.
    pub async fn players(&self) -> Option<u64> {
        let status = self.status().await;
        let regions = status["regions"].as_array()?;
        Some(regions.iter().filter_map(|region| region["players"].as_u64()).sum())
    }

    /// The number of a region server: which roads are its own.
    pub fn number(&self, pid: u32) -> Option<usize> {
        let port = self.line.port(pid)?;
        self.ports.workers.iter().position(|other| *other == port).map(|index| index + 1)
    }

    /// Process id of the store.
    pub fn store_pid(&self) -> Option<u32> {
        self.store.as_ref().and_then(Child::id)
    }

    /// Ends atlas by SIGKILL and waits for that.
    pub async fn kill_atlas(&mut self) {
        if let Some(mut atlas) = self.atlas.take() {
            let _ = atlas.kill().await;
        }
    }

    /// Ends the store by SIGKILL and waits for that.
    pub async fn kill_store(&mut self) {
        if let Some(mut store) = self.store.take() {
            let _ = store.kill().await;
        }
    }

    /// Lines of all logs that say that something is broken.
    pub fn errors(&self) -> Vec<String> {
        let bad = |line: &&str| line.contains(" ERROR ") || line.contains("panicked at");
        let of = |(name, text): (String, String)| {
            text.lines().filter(bad).map(|line| format!("{name}: {line}")).collect::<Vec<_>>()
        };
        self.logs().into_iter().flat_map(of).collect()
    }

    /// Whether a log has this in it.
    pub fn says(&self, part: &str) -> bool {
        self.logs().iter().any(|(_, text)| text.contains(part))
    }

    /// The ends of all logs.
    pub fn tails(&self) -> String {
        let mut text = String::new();
        for (name, log) in self.logs() {
            let lines: Vec<_> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
            let _ = write!(text, "\n--- {name}\n{}", last.join("\n"));
        }
        text
    }

    /// Leaves the folder where it is, for a person to look at.
    pub fn keep(mut self) -> PathBuf {
        self.folder.disable_cleanup(true);
        self.folder.path().to_owned()
    }

    fn spawn(&self, program: &str, config: &str) -> Result<Child, WorldError> {
        let log = self.folder.path().join(format!("logs/{program}.log"));
        let log = OpenOptions::new().create(true).append(true).open(log).map_err(io_error("a log"))?;
        let other = log.try_clone().map_err(io_error("a log"))?;
        let mut command = Command::new(self.programs.join(program));
        command.arg("--config").arg(self.folder.path().join(config)).stdin(Stdio::null());
        command.stdout(other).stderr(log).process_group(0);
        command.env("HORIZON_FAULT_SOCKET", self.folder.path().join("fault.sock"));
        if let Some(mutant) = self.mutant.as_ref().filter(|mutant| *mutant != STORE_FORGETS) {
            command.env("HORIZON_MUTANT", mutant);
        }
        command
            .spawn()
            .map_err(io_error(format!("{program} cannot be started; build it with `cargo xtask chaos`")))
    }

    async fn wait_ready(&mut self, name: &str, port: u16) -> Result<(), WorldError> {
        let deadline = Instant::now() + READY_WITHIN;
        while !matches!(http::get(port, "/readyz").await, Ok((200, _))) {
            let child = if name == "store" { &mut self.store } else { &mut self.atlas };
            let ended = child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            if ended.is_some() || Instant::now() > deadline {
                return Err(WorldError::NotReady(format!("{name} is not ready ({ended:?}){}", self.tails())));
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }

    /// Processes that were started with a configuration of this world.
    fn processes(&self) -> BTreeSet<u32> {
        let folder = self.folder.path().display().to_string();
        let Ok(entries) = std::fs::read_dir("/proc") else { return BTreeSet::new() };
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        let ours = |pid: &u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            String::from_utf8_lossy(&line).contains(&folder)
        };
        pids.filter(ours).collect()
    }

    fn logs(&self) -> Vec<(String, String)> {
        let Ok(entries) = std::fs::read_dir(self.folder.path().join("logs")) else { return Vec::new() };
        let read = |entry: std::fs::DirEntry| {
            let bytes = std::fs::read(entry.path()).unwrap_or_default();
            (entry.file_name().to_string_lossy().into_owned(), String::from_utf8_lossy(&bytes).into_owned())
        };
        let mut logs: Vec<_> = entries.filter_map(Result::ok).map(read).collect();
        logs.sort();
        logs
    }
}

impl Drop for World {
    fn drop(&mut self) {
        // Twice: atlas may have started a region server while the list was made.
        for _ in 0..2 {
            for pid in self.processes() {
                if let Some(pid) = as_pid(pid) {
                    let _ = kill_process_group(pid, Signal::KILL);
                }
            }
        }
    }
}

/// Whether the server at the socket answers, and has read its file.
async fn pong(socket: &Path) -> bool {
    let ask = async {
        let mut stream = UnixStream::connect(socket).await?;
        stream.write_all(b"PING\r\n").await?;
        let mut answer = [0; 5];
        stream.read_exact(&mut answer).await?;
        Ok::<_, std::io::Error>(answer == *b"+PONG")
    };
    matches!(tokio::time::timeout(Duration::from_secs(2), ask).await, Ok(Ok(true)))
}

/// Sends a signal; a process that is gone already is as good.
pub fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = as_pid(pid) {
        let _ = kill_process(pid, signal);
    }
}

fn as_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}
