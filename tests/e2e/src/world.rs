//! One world of real processes in a folder of its own.

use std::fmt::Write as _;
use std::fs::OpenOptions;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Output, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use serde_json::Value;
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::machines::Machines;
use crate::{DEADLINE, Store, http, redis};

/// Time between two looks at something that cannot be waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(25);
/// Lines of every log that are shown where a test fails.
const TAIL_LINES: usize = 40;

/// Store and atlas, and the region servers that atlas starts. Dropping it kills them all.
pub struct World {
    folder: TempDir,
    ports: Ports,
    kept_by: Store,
    store: Option<Child>,
    atlas: Option<Child>,
    allowed: Vec<&'static str>,
    /// Guards that are off in every process, where it is a control.
    without: Option<&'static str>,
    /// Region servers that were started out of Atlas' sight.
    pub(crate) out_of_sight: u32,
}

struct Ports {
    listen: u16,
    link: u16,
    admin: u16,
    store: u16,
}

/// The folder with the programs of this build.
pub fn programs() -> PathBuf {
    let test = std::env::current_exe().expect("a test has a path");
    // target/PROFILE/deps/test-hash
    let folder = test.ancestors().nth(2).expect("tests lie in a target folder").to_owned();
    assert!(
        folder.join("atlas").exists(),
        "there is no atlas in {}; run `cargo build --workspace` first",
        folder.display()
    );
    folder
}

/// Runs a program to its end.
pub async fn run(name: &str, words: &[&str]) -> Output {
    let mut command = Command::new(programs().join(name));
    command.args(words).stdin(Stdio::null()).kill_on_drop(true);
    let output = timeout(DEADLINE, command.output()).await;
    output.unwrap_or_else(|_| panic!("{name} does not end")).expect("the program can be started")
}

impl World {
    /// Starts a world of 2 × 2 regions of 200 m around the origin. `more` is appended to its configuration.
    pub async fn start(more: &str) -> Self {
        Self::start_on(Store::Sqlite, more).await
    }

    /// The same, with its state kept by `store`.
    pub async fn start_on(store: Store, more: &str) -> Self {
        Self::begin(store, None, more).await
    }

    /// The same of programs in which these guards of `handoff/src/mutant.rs` are off, to see whether a test
    /// notices. `cargo xtask chaos` builds them.
    pub async fn start_without(guards: &'static str, store: Store) -> Self {
        let command = programs().join("faulty-region-server");
        assert!(command.exists(), "there is no {}; run `cargo xtask chaos` first", command.display());
        Self::begin(store, Some(guards), &format!("worker_command = \"{}\"\n", command.display())).await
    }

    /// The same, with every region server on a machine of its own.
    pub async fn start_on_machines(machines: &Machines) -> Self {
        let more = format!("worker_command = \"{}\"\n", machines.command().display());
        let mut world = Self::prepare(Store::Sqlite, &more);
        let path = world.folder.path().join("horizon.toml");
        let text = std::fs::read_to_string(&path).expect("just written");
        let text = text.replace("\nlink = \"127.0.0.1:", &format!("\nlink = \"{}:", machines.host()));
        std::fs::write(path, text).expect("written");
        world.start_store().await;
        world.start_atlas().await;
        world
    }

    async fn begin(store: Store, without: Option<&'static str>, more: &str) -> Self {
        let mut world = Self::prepare(store, more);
        world.without = without;
        world.start_store().await;
        world.start_atlas().await;
        world
    }

    fn prepare(kept_by: Store, more: &str) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let address = match kept_by {
            Store::Sqlite => "unix:store.sock".to_owned(),
            Store::Redis => redis::address(folder.path()),
        };
        let ports = Ports::free();
        let Ports { listen, link, admin, store } = ports;
        let text = format!(
            "[paths]\ndata = \".\"\nplugins = \"plugins\"\npki = \"pki\"\n\
             [store]\naddress = \"{address}\"\ndatabase = \"world.sqlite\"\nadmin = \"127.0.0.1:{store}\"\n\
             [atlas]\nlisten = \"127.0.0.1:{listen}\"\nlink = \"127.0.0.1:{link}\"\nadmin = \"127.0.0.1:{admin}\"\n\
             {more}"
        );
        let ball = folder.path().join("ball.csv");
        let text = text.replace("{ball}", &ball.display().to_string());
        std::fs::write(folder.path().join("horizon.toml"), text).expect("written");
        std::fs::write(ball, crate::recording::ball()).expect("written");
        let plugins = folder.path().join("plugins");
        std::fs::create_dir(&plugins).expect("made");
        let drill = more.contains("[plugin.drill]").then_some("drill");
        let names = ["arena", "chat", "ledger", "movement", "replay", "vehicles"];
        for name in names.into_iter().chain(drill) {
            let library = format!("libhorizon_plugin_{name}.so");
            std::fs::copy(programs().join(&library), plugins.join(&library))
                .unwrap_or_else(|error| panic!("{library}: {error}; run `cargo build --workspace` first"));
        }
        std::fs::create_dir(folder.path().join("logs")).expect("made");
        Self {
            folder,
            ports,
            kept_by,
            store: None,
            atlas: None,
            allowed: Vec::new(),
            without: None,
            out_of_sight: 0,
        }
    }

    /// Starts the store and waits until it is ready.
    pub async fn start_store(&mut self) {
        self.store = Some(match self.kept_by {
            Store::Sqlite => self.spawn("store"),
            Store::Redis => self.spawn_as("store", redis::command(self.folder.path())),
        });
        self.wait_ready("store").await;
    }

    /// Starts atlas and waits until it is ready.
    pub async fn start_atlas(&mut self) {
        self.atlas = Some(self.spawn("atlas"));
        self.wait_ready("atlas").await;
    }

    /// Where players connect.
    pub fn url(&self) -> String {
        format!("wss://localhost:{}/", self.ports.listen)
    }

    /// Whose certificates to believe.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("pki/ca.pem")
    }

    /// The folder of everything.
    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    /// The configuration.
    pub fn file(&self) -> PathBuf {
        self.folder.path().join("horizon.toml")
    }

    /// ERROR lines with this text in them do not fail the test.
    pub fn allow_error(&mut self, text: &'static str) {
        self.allowed.push(text);
    }

    /// What atlas says is going on; null where it does not answer.
    pub async fn status(&self) -> Value {
        http::json(self.ports.admin, "/api/status").await
    }

    /// All handoffs so far.
    pub async fn handoffs(&self) -> Vec<Value> {
        let answer = http::json(self.ports.admin, "/api/handoffs?since=0").await;
        answer["handoffs"].as_array().cloned().unwrap_or_default()
    }

    /// Waits until `found` finds something in the status.
    pub async fn until<T>(&self, what: &str, found: impl FnMut(&Value) -> Option<T>) -> T {
        http::until_at(self.ports.admin, what, found).await
    }

    /// Waits until a region server is ready to take over.
    pub async fn warm(&self) {
        self.until("a worker that is ready", |status| {
            let workers = status["workers"].as_array()?;
            workers.iter().find(|worker| worker["state"] == "ready").map(|_| ())
        })
        .await;
    }

    /// Waits until exactly one region has players, and returns the process id of its region server.
    pub async fn only_owner(&self) -> u32 {
        self.until("one region with a player", |status| {
            let regions = status["regions"].as_array()?;
            let mut owners =
                regions.iter().filter(|region| region["players"].as_u64().is_some_and(|n| n > 0));
            let (owner, None) = (owners.next()?, owners.next()) else { return None };
            pid_of(status, &owner["worker"])
        })
        .await
    }

    /// Process ids of the region servers that are linked.
    pub async fn workers(&self) -> Vec<u32> {
        let status = self.status().await;
        let workers = status["workers"].as_array().into_iter().flatten();
        workers.filter(|worker| worker["linked"] == true).filter_map(|worker| pid(&worker["pid"])).collect()
    }

    /// `kill -9` of a region server.
    pub fn kill(&self, worker: u32) {
        assert!(self.processes().contains(&worker), "{worker} is no process of this world");
        kill_process(as_pid(worker), Signal::KILL).expect("it was there");
    }

    /// Asks a region server to end (SIGTERM).
    pub fn ask_to_end(&self, worker: u32) {
        kill_process(as_pid(worker), Signal::TERM).expect("it was there");
    }

    /// Stops a region server, so that nobody sees it end.
    pub fn stop(&self, worker: u32) {
        kill_process(as_pid(worker), Signal::STOP).expect("it was there");
    }

    /// Lets a stopped region server go on, and waits until it has noticed and ended. Whether it did so by
    /// itself is in its log.
    pub async fn wake(&self, worker: u32) {
        kill_process(as_pid(worker), Signal::CONT).expect("it was there");
        self.ended(worker).await;
    }

    /// Waits until a process of this world has ended.
    pub async fn ended(&self, worker: u32) {
        self.until("its end", |_| (!self.workers_alive().contains(&worker)).then_some(())).await;
    }

    /// Whether a process of this world lives.
    pub fn lives(&self, worker: u32) -> bool {
        self.workers_alive().contains(&worker)
    }

    /// Whether some log has a line with this text.
    pub fn logged(&self, text: &str) -> bool {
        self.logs().iter().any(|(_, log)| log.contains(text))
    }

    /// `kill -9` of atlas.
    pub async fn kill_atlas(&mut self) {
        let mut atlas = self.atlas.take().expect("atlas runs");
        atlas.kill().await.expect("it was there");
    }

    /// `kill -9` of the store.
    pub async fn kill_store(&mut self) {
        let mut store = self.store.take().expect("the store runs");
        store.kill().await.expect("it was there");
    }

    /// Stops the store, so that it neither answers nor ends.
    pub fn stop_store(&self) {
        self.signal_store(Signal::STOP);
    }

    /// Lets a stopped store go on.
    pub fn wake_store(&self) {
        self.signal_store(Signal::CONT);
    }

    fn signal_store(&self, signal: Signal) {
        let pid = self.store.as_ref().and_then(Child::id).expect("the store runs");
        kill_process(as_pid(pid), signal).expect("it was there");
    }

    /// Everything that atlas counts, as text.
    pub async fn atlas_metrics(&self) -> String {
        metrics(self.ports.admin).await
    }

    /// How many lines of all logs have this text.
    pub fn times_logged(&self, log: &str, text: &str) -> usize {
        let logs = self.logs().into_iter().filter(|(name, _)| name.starts_with(log));
        logs.map(|(_, lines)| lines.lines().filter(|line| line.contains(text)).count()).sum()
    }

    /// Copies what its redis-server has on the disk, as a backup does while it runs.
    pub fn keep_store(&self) {
        redis::copy(self.folder.path(), redis::DATA, redis::KEPT);
    }

    /// Puts that copy in the place of what is there; nobody may run on it.
    pub fn put_back_store(&self) {
        assert!(self.store.is_none(), "the server runs");
        redis::copy(self.folder.path(), redis::KEPT, redis::DATA);
    }

    /// Stops the world as an operator does, and asserts that nothing is left.
    pub async fn shutdown(&mut self) {
        let file = self.file();
        let output = run("atlasctl", &["--config", &file.display().to_string(), "shutdown"]).await;
        assert!(output.status.success(), "{}{}", String::from_utf8_lossy(&output.stderr), self.tails());
        for (name, child) in [("atlas", self.atlas.take()), ("store", self.store.take())] {
            let status = terminate(child.expect("it runs")).await;
            assert!(status.success(), "{name} ended with {status}{}", self.tails());
        }
        assert_eq!(self.processes(), Vec::<u32>::new(), "processes are left");
    }

    /// Stops the world and asserts that no process logged an error.
    pub async fn finish(mut self) {
        self.shutdown().await;
        self.assert_no_errors();
    }

    /// Asserts that no process logged an error that is not allowed.
    pub fn assert_no_errors(&self) {
        for (name, text) in self.logs() {
            for line in text.lines().filter(|line| line.contains(" ERROR ") || line.contains("panicked at")) {
                let allowed = self.allowed.iter().any(|allowed| line.contains(allowed));
                assert!(allowed, "{name}: {line}");
            }
        }
    }

    fn spawn(&self, name: &str) -> Child {
        let mut command = match self.without {
            None => Command::new(programs().join(name)),
            Some(guards) => {
                let mut command = Command::new(programs().join(format!("faulty-{name}")));
                command.env("HORIZON_MUTANT", guards);
                command
            }
        };
        command.arg("--config").arg(self.file());
        self.spawn_as(name, command)
    }

    fn spawn_as(&self, name: &str, mut command: Command) -> Child {
        let log = self.folder.path().join(format!("logs/{name}.log"));
        let log = OpenOptions::new().create(true).append(true).open(log).expect("a log");
        command.stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a log")).stderr(log).process_group(0);
        command.spawn().unwrap_or_else(|error| panic!("{name} cannot be started: {error}"))
    }

    async fn is_ready(&self, name: &str) -> bool {
        let port = match (name, self.kept_by) {
            ("store", Store::Redis) => return redis::answers(self.folder.path()),
            ("store", Store::Sqlite) => self.ports.store,
            _ => self.ports.admin,
        };
        matches!(http::get(port, "/readyz").await, Ok((200, _)))
    }

    async fn wait_ready(&mut self, name: &str) {
        let deadline = Instant::now() + DEADLINE;
        while !self.is_ready(name).await {
            let child = if name == "store" { &mut self.store } else { &mut self.atlas };
            let ended = child.as_mut().and_then(|child| child.try_wait().ok().flatten());
            assert!(ended.is_none(), "{name} ended: {ended:?}{}", self.tails());
            assert!(Instant::now() < deadline, "{name} is not ready{}", self.tails());
            sleep(LOOK_AGAIN).await;
        }
    }

    /// Processes that were started with a configuration in this world's folder.
    fn processes(&self) -> Vec<u32> {
        let folder = format!("{}/", self.folder.path().display());
        let entries = std::fs::read_dir("/proc").expect("Linux");
        let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        let ours = |pid: &u32| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            line.split(|byte| *byte == 0)
                .any(|word| word.starts_with(folder.as_bytes()) && word.ends_with(b".toml"))
        };
        pids.filter(ours).collect()
    }

    /// Processes of this world that are no zombies.
    fn workers_alive(&self) -> Vec<u32> {
        let ended = |pid: &u32| {
            let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
            stat.rsplit_once(')').is_none_or(|(_, rest)| rest.trim_start().starts_with(['Z', 'X']))
        };
        let mut alive = self.processes();
        alive.retain(|pid| !ended(pid));
        alive
    }

    pub(crate) fn logs(&self) -> Vec<(String, String)> {
        let Ok(entries) = std::fs::read_dir(self.folder.path().join("logs")) else { return Vec::new() };
        let mut logs: Vec<_> = entries
            .filter_map(Result::ok)
            .map(|entry| {
                let bytes = std::fs::read(entry.path()).unwrap_or_default();
                (
                    entry.file_name().to_string_lossy().into_owned(),
                    String::from_utf8_lossy(&bytes).into_owned(),
                )
            })
            .collect();
        logs.sort();
        logs
    }

    fn tails(&self) -> String {
        let mut text = String::new();
        for (name, log) in self.logs() {
            let lines: Vec<_> = log.lines().collect();
            let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
            let _ = write!(text, "\n--- {name}\n{}", last.join("\n"));
        }
        text
    }
}

impl Drop for World {
    fn drop(&mut self) {
        for pid in self.processes() {
            let _ = kill_process_group(as_pid(pid), Signal::KILL);
        }
        if std::thread::panicking() {
            eprintln!("{}", self.tails());
        }
    }
}

impl Ports {
    /// Nobody has them at this moment.
    fn free() -> Self {
        let tcp: [TcpListener; 3] =
            std::array::from_fn(|_| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port"));
        let udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let [listen, admin, store] = tcp.map(|tcp| tcp.local_addr().expect("bound").port());
        Self { listen, link: udp.local_addr().expect("bound").port(), admin, store }
    }
}

pub(crate) async fn metrics(port: u16) -> String {
    http::get(port, "/metrics").await.map(|(_, text)| text).unwrap_or_default()
}

/// SIGTERM, and the end.
async fn terminate(mut child: Child) -> ExitStatus {
    let pid = child.id().expect("it runs");
    kill_process(as_pid(pid), Signal::TERM).expect("it runs");
    timeout(DEADLINE, child.wait()).await.expect("it ends on SIGTERM").expect("it can be waited for")
}

fn pid_of(status: &Value, worker: &Value) -> Option<u32> {
    let found = status["workers"].as_array()?.iter().find(|entry| entry["worker"] == *worker)?;
    pid(&found["pid"])
}

fn pid(value: &Value) -> Option<u32> {
    u32::try_from(value.as_u64()?).ok()
}

fn as_pid(pid: u32) -> Pid {
    Pid::from_raw(i32::try_from(pid).expect("process ids are small")).expect("process ids are above zero")
}
