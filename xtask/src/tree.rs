//! The processes of one world: who starts them, in which order, and in which they end.
//!
//! ```text
//!   start:  certificates ─▶ store ─▶ atlas (starts region servers)
//!   stop:   bots ─▶ `atlasctl shutdown` (players told, state durable, region servers gone) ─▶ atlas ─▶ store
//! ```
//!
//! Invariant: when [`Tree::stop`] returns or a [`Tree`] is dropped, none of its processes is left, region
//! servers included.

use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Stdio;
use std::task::Poll;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::{Instant, timeout};

use crate::cargo::Built;
use crate::child::{Child, tail};
use crate::configuration::{Configuration, Keeper};
use crate::failure::{Failure, Outcome};
use crate::layout::EdgePorts;
use crate::load::Load;
use crate::redis::REDIS;
use crate::{layout, procfs};

/// A process has this long to become ready: a cold start on a busy machine takes a second or two.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Everything has ended after this long, or is ended by force.
const STOP_WITHIN: Duration = Duration::from_secs(15);
/// Of that, bots may take this long to compare accounts and leave.
const BOTS_WITHIN: Duration = Duration::from_secs(4);
/// What is kept of it for atlas and the store after the shutdown.
const LAST_WITHIN: Duration = Duration::from_secs(8);
/// A process that ends sooner than this after its start, so often in a row, is not started again.
const HEALTHY_AFTER: Duration = Duration::from_secs(5);
const MAX_QUICK_ENDS: u32 = 3;
/// Name of the second edge, and of its log.
const SECOND: &str = "atlas-2";

/// The running processes of one world.
#[derive(Debug)]
pub(crate) struct Tree {
    built: Built,
    configuration: Configuration,
    logs: PathBuf,
    /// Absent where somebody else looks after it.
    store: Option<Member>,
    /// One or two.
    edges: Vec<Edge>,
}

/// An Atlas.
#[derive(Debug)]
pub(crate) struct Edge {
    member: Member,
    /// What its command line says beside the configuration.
    words: Vec<String>,
    /// Its admin listener.
    pub(crate) admin: SocketAddr,
    /// What a client on this machine connects to.
    pub(crate) url: String,
}

impl Edge {
    /// Its process.
    pub(crate) const fn pid(&self) -> u32 {
        self.member.child.pid()
    }
}

/// A process that is started again when it ends.
#[derive(Debug)]
struct Member {
    child: Child,
    started: Instant,
    quick_ends: u32,
}

impl Member {
    fn new(child: Child) -> Self {
        Self { child, started: Instant::now(), quick_ends: 0 }
    }
}

impl Tree {
    /// Starts store and atlas for the world of `file`, which is absolute, and waits until they are ready.
    pub(crate) async fn start(built: &Built, file: PathBuf) -> Outcome<Self> {
        Self::start_with(built, file, None).await
    }

    /// The same with a second edge, where its ports are given.
    pub(crate) async fn start_with(built: &Built, file: PathBuf, second: Option<EdgePorts>) -> Outcome<Self> {
        // First of all a program reads the file: it tells mistakes better than anything here.
        certificates(built, &file).await?;
        let configuration = Configuration::read(&file)?;
        check_plugins(&configuration)?;
        check_alone(&configuration)?;
        let logs = layout::make_logs(&configuration.data)?;
        let member = |name, words: &[String]| start_member(built, &configuration, name, words, &logs, false);
        let store = match &configuration.keeper {
            Keeper::Store(admin) => {
                let mut store = Member::new(member("store", &[])?);
                store.child.ready(*admin, READY_WITHIN).await?;
                Some(store)
            }
            Keeper::Redis(server) => Some(Member::new(server.start(&logs, false, READY_WITHIN).await?)),
            Keeper::Elsewhere => None,
        };
        let first = Edge {
            member: Member::new(member("atlas", &[])?),
            words: Vec::new(),
            admin: configuration.admin,
            url: configuration.socket(),
        };
        let mut tree = Self { built: built.clone(), configuration, logs, store, edges: vec![first] };
        if let Err(failure) = tree.edge_ready(0).await {
            let why = tree.why_no_region_server();
            return Err(Failure::with_code(format!("{failure}{why}"), Some(failure.code.into())));
        }
        if let Some(ports) = second {
            tree.add_edge(ports).await?;
        }
        Ok(tree)
    }

    /// Starts a second edge and waits until it is ready.
    async fn add_edge(&mut self, ports: EdgePorts) -> Outcome<()> {
        let address = |port: u16| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let words = [("--listen", ports.listen), ("--link", ports.link), ("--admin", ports.admin)];
        let words = words.iter().flat_map(|(key, port)| [(*key).to_owned(), address(*port).to_string()]);
        let words: Vec<_> = words.collect();
        let child = start_member(&self.built, &self.configuration, SECOND, &words, &self.logs, false)?;
        self.edges.push(Edge {
            member: Member::new(child),
            words,
            admin: address(ports.admin),
            url: format!("wss://localhost:{}/", ports.listen),
        });
        self.edge_ready(1).await
    }

    /// The edges, the first one first.
    pub(crate) fn edges(&self) -> &[Edge] {
        &self.edges
    }

    /// Waits until the edge at this place is ready.
    pub(crate) async fn edge_ready(&mut self, place: usize) -> Outcome<()> {
        let edge = &mut self.edges[place];
        edge.member.child.ready(edge.admin, READY_WITHIN).await
    }

    /// Starts the edge at this place again, which has been sent a signal that ends it.
    pub(crate) async fn edge_again(&mut self, place: usize) -> Outcome<()> {
        let edge = &mut self.edges[place];
        edge.member.child.ended().await;
        let name = edge.member.child.name();
        let child = start_member(&self.built, &self.configuration, name, &edge.words, &self.logs, true)?;
        edge.member = Member::new(child);
        self.edge_ready(place).await
    }

    /// Where things are.
    pub(crate) const fn configuration(&self) -> &Configuration {
        &self.configuration
    }

    /// The folder of the logs.
    pub(crate) const fn logs(&self) -> &PathBuf {
        &self.logs
    }

    /// Process ids by name: `store` or `redis-server`, `atlas` and every `region-server`.
    pub(crate) fn processes(&self) -> Vec<(u32, String)> {
        let mut processes = procfs::with_config(&self.configuration.file);
        let store = self.store.as_ref().map(|store| (store.child.pid(), store.child.name()));
        if let Some((pid, name)) = store
            && !processes.iter().any(|(known, _)| *known == pid)
            && procfs::is_alive(pid)
        {
            processes.push((pid, name.to_owned()));
        }
        processes
    }

    /// Waits until store or atlas ends by itself, starts it again and says so. Dropping the future loses
    /// nothing.
    ///
    /// # Errors
    ///
    /// Where it ends again and again.
    pub(crate) async fn mend(&mut self) -> Outcome<String> {
        let store = async {
            match &mut self.store {
                Some(store) => {
                    let status = store.child.ended().await;
                    (store, status)
                }
                None => std::future::pending().await,
            }
        };
        let mut ends: Vec<_> = self
            .edges
            .iter_mut()
            .map(|Edge { member, words, .. }| {
                Box::pin(async move {
                    let status = member.child.ended().await;
                    (member, status, &words[..])
                })
            })
            .collect();
        let edge = poll_fn(|cx| {
            let mut polled = ends.iter_mut().map(|end| end.as_mut().poll(cx));
            polled.find(Poll::is_ready).unwrap_or(Poll::Pending)
        });
        let (member, status, words) = tokio::select! {
            (store, status) = store => (store, status, &[][..]),
            ended = edge => ended,
        };
        let (name, tail) = (member.child.name(), member.child.tail());
        member.quick_ends = if member.started.elapsed() < HEALTHY_AFTER { member.quick_ends + 1 } else { 0 };
        if member.quick_ends >= MAX_QUICK_ENDS {
            return Err(Failure::with_code(
                format!("{name} ends again and again ({status})\n{tail}"),
                status.code(),
            ));
        }
        member.child = match &self.configuration.keeper {
            Keeper::Redis(server) if name == REDIS => server.start(&self.logs, true, READY_WITHIN).await?,
            _ => start_member(&self.built, &self.configuration, name, words, &self.logs, true)?,
        };
        member.started = Instant::now();
        // Who was killed has said nothing about it.
        let why = if status.code().is_some() { format!("\n{tail}") } else { String::new() };
        Ok(format!("{name} ended by itself ({status}) and was started again{why}"))
    }

    /// Ends everything in order, bots first, and by force what takes longer than 15 s. Returns what had to be
    /// forced, in sentences.
    pub(crate) async fn stop(mut self, load: Option<&mut Load>) -> Vec<String> {
        let deadline = Instant::now() + STOP_WITHIN;
        let mut told = Vec::new();
        if let Some(load) = load {
            told.extend(load.stop(BOTS_WITHIN).await);
        }
        let left = deadline.saturating_duration_since(Instant::now()).saturating_sub(LAST_WITHIN);
        match timeout(left, self.shutdown()).await {
            Ok(Ok(())) => {}
            Ok(Err(why)) => told.push(format!("the world did not stop in order: {why}")),
            Err(_) => told.push(format!("the world did not stop within {} s", left.as_secs())),
        }
        for edge in &mut self.edges {
            told.extend(edge.member.child.stop(LAST_WITHIN / 4).await);
        }
        if let Some(store) = &mut self.store {
            told.extend(store.child.stop(LAST_WITHIN / 2).await);
        }
        for (pid, name) in self.processes() {
            procfs::kill_group(pid);
            told.push(format!("{name} (process {pid}) was left over and was killed"));
        }
        told
    }

    /// `atlasctl shutdown` at the edge that directs: players are told, state is durable, region servers are gone.
    async fn shutdown(&self) -> Result<(), String> {
        let mut refused = "there is no atlas".to_owned();
        for edge in &self.edges {
            let mut ask = atlasctl(&self.built, &self.configuration.file);
            let output = ask.arg("--admin").arg(edge.admin.to_string()).arg("shutdown").output().await;
            let output = output.map_err(|error| format!("cannot start atlasctl: {error}"))?;
            if output.status.success() {
                return Ok(());
            }
            String::from_utf8_lossy(&output.stderr).trim().clone_into(&mut refused);
        }
        Err(refused)
    }

    /// What a region server says that does not start: atlas only sees that it ends.
    fn why_no_region_server(&self) -> String {
        let log = self.logs.join("region-1.log");
        if log.exists() { format!("\n{}", tail(&log)) } else { String::new() }
    }
}

impl Drop for Tree {
    fn drop(&mut self) {
        // Twice: atlas may have started a region server while the list was made.
        for _ in 0..2 {
            for (pid, _) in procfs::with_config(&self.configuration.file) {
                procfs::kill_group(pid);
            }
        }
    }
}

/// Makes certificates where there are none; the first program that reads the configuration.
async fn certificates(built: &Built, file: &std::path::Path) -> Outcome<()> {
    let output = atlasctl(built, file).args(["pki", "init"]).output().await;
    let output = output.map_err(|error| format!("cannot start atlasctl: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&output.stderr);
    let told = told.trim().trim_start_matches("error: ").to_owned();
    Err(Failure::with_code(told, output.status.code()))
}

fn atlasctl(built: &Built, file: &std::path::Path) -> Command {
    let mut command = Command::new(built.program("atlasctl"));
    command.arg("--config").arg(file).stdin(Stdio::null()).process_group(0).kill_on_drop(true);
    command
}

fn start_member(
    built: &Built,
    configuration: &Configuration,
    name: &'static str,
    words: &[String],
    logs: &std::path::Path,
    append: bool,
) -> Outcome<Child> {
    let program = if name == SECOND { "atlas" } else { name };
    let mut command = Command::new(built.program(program));
    command.arg("--config").arg(&configuration.file).args(words);
    Child::start(name, &mut command, logs, append, false)
}

fn check_plugins(configuration: &Configuration) -> Outcome<()> {
    let (folder, file) = (&configuration.plugins, &configuration.file);
    match std::fs::read_dir(folder) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::with_code(
            format!(
                "plugin folder {}: {error}; create it and put plugins there (`cargo xtask run` without --config fills data/plugins), or correct plugins in [paths] of {}",
                folder.display(),
                file.display()
            ),
            Some(64),
        )),
    }
}

/// Two worlds in one folder would fight for its files.
fn check_alone(configuration: &Configuration) -> Outcome<()> {
    let running = procfs::with_config(&configuration.file);
    if running.is_empty() {
        return Ok(());
    }
    let names: Vec<_> = running.iter().map(|(pid, name)| format!("{name} {pid}")).collect();
    let pids: Vec<_> = running.iter().map(|(pid, _)| pid.to_string()).collect();
    Err(format!(
        "this world still runs ({}); stop it where it was started or with `kill {}`, or choose another folder with --data and other ports with --port",
        names.join(", "),
        pids.join(" ")
    )
    .into())
}
