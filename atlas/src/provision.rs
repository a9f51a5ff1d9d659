//! Starting and ending worker processes, and noticing that one has ended.
//!
//! A worker outlives Atlas: it is a process group of its own, its log is a file, and nothing of it is
//! tied to this process. After a restart of Atlas a worker registers again and is watched without
//! being a child.

use std::collections::BTreeSet;
use std::fs::OpenOptions;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tokio::process::Command;
use tokio::sync::mpsc;

/// Whether a process that is no child lives is asked this often.
const POLL: Duration = Duration::from_millis(100);

/// Starts and ends workers, in whatever way the place offers. Ends are reported on the channel that
/// the implementation was made with: each process id once.
pub trait Provisioner: Send + Sync + 'static {
    /// Starts one worker, which will register by itself. Returns its process id.
    ///
    /// # Errors
    ///
    /// What the system says; the caller tries again later.
    fn spawn(&self) -> io::Result<u32>;

    /// Reports the end of a process that registered, also if this provisioner did not start it.
    fn watch(&self, pid: u32);

    /// Ends a process by force. Its end is reported as any other.
    fn kill(&self, pid: u32);
}

/// Child processes on this machine.
pub struct ProcessProvisioner {
    program: PathBuf,
    config: Option<PathBuf>,
    link: SocketAddr,
    logs: PathBuf,
    shared: Arc<Shared>,
}

struct Shared {
    exits: mpsc::Sender<u32>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    watched: BTreeSet<u32>,
    log_slots: BTreeSet<u32>,
}

impl ProcessProvisioner {
    /// Starts `program --config FILE --atlas LINK`; what it writes goes to `region-N.log` in `logs`.
    /// Ends are reported on `exits`.
    pub fn new(
        program: PathBuf,
        config: Option<PathBuf>,
        link: SocketAddr,
        logs: PathBuf,
        exits: mpsc::Sender<u32>,
    ) -> Self {
        let shared = Arc::new(Shared { exits, state: Mutex::default() });
        Self { program, config, link, logs, shared }
    }

    fn command(&self, slot: u32) -> io::Result<Command> {
        std::fs::create_dir_all(&self.logs)?;
        let log = self.logs.join(format!("region-{slot}.log"));
        let log = OpenOptions::new().create(true).append(true).open(log)?;
        let mut command = Command::new(&self.program);
        if let Some(config) = &self.config {
            command.arg("--config").arg(config);
        }
        command.arg("--atlas").arg(self.link.to_string());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        // A group of its own: Ctrl-C in a terminal ends Atlas, which decides about the workers.
        command.process_group(0).kill_on_drop(false);
        Ok(command)
    }
}

impl Provisioner for ProcessProvisioner {
    fn spawn(&self) -> io::Result<u32> {
        let slot = {
            let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
            let slot = (1..).find(|slot| !state.log_slots.contains(slot)).expect("fewer logs than numbers");
            state.log_slots.insert(slot);
            slot
        };
        let spawned = self.command(slot).and_then(|mut command| command.spawn());
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => {
                self.shared.free(slot);
                let program = self.program.display();
                return Err(io::Error::new(error.kind(), format!("cannot start {program}: {error}")));
            }
        };
        let pid = child.id().expect("a child that was not waited for has an id");
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).watched.insert(pid);
        let shared = Arc::clone(&self.shared);
        tokio::spawn(async move {
            match child.wait().await {
                Ok(status) if status.success() => tracing::info!(pid, "a worker ended"),
                Ok(status) => tracing::warn!(pid, %status, "a worker ended"),
                Err(error) => tracing::warn!(pid, %error, "a worker cannot be waited for"),
            }
            shared.free(slot);
            shared.gone(pid).await;
        });
        Ok(pid)
    }

    fn watch(&self, pid: u32) {
        let new = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).watched.insert(pid);
        if new {
            let shared = Arc::clone(&self.shared);
            tokio::spawn(async move {
                wait_for_end(pid).await;
                tracing::info!(pid, "a worker of an earlier start ended");
                shared.gone(pid).await;
            });
        }
    }

    fn kill(&self, pid: u32) {
        if let Some(pid) = as_pid(pid) {
            // Gone already is as good.
            let _ = kill_process(pid, Signal::KILL);
        }
    }
}

impl Shared {
    fn free(&self, slot: u32) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).log_slots.remove(&slot);
    }

    async fn gone(&self, pid: u32) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).watched.remove(&pid);
        let _ = self.exits.send(pid).await;
    }
}

/// Ends when the process has ended. A process id that is used again has another start time.
async fn wait_for_end(pid: u32) {
    let started = started(pid);
    while started.is_some() && started == self::started(pid) {
        tokio::time::sleep(POLL).await;
    }
}

/// When a living process started, in the system's ticks; `None` for one that has ended.
fn started(pid: u32) -> Option<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is a name in parentheses, with anything in it.
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    let state = fields.next()?;
    let ended = matches!(state, "Z" | "X");
    fields.nth(18).filter(|_| !ended)?.parse().ok()
}

fn as_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn provisioner(folder: &std::path::Path, script: &str) -> (ProcessProvisioner, mpsc::Receiver<u32>) {
        let program = folder.join("worker");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).expect("written");
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("executable");
        let (exits, ends) = mpsc::channel(8);
        let link = "127.0.0.1:7778".parse().expect("an address");
        (ProcessProvisioner::new(program, None, link, folder.join("logs"), exits), ends)
    }

    async fn end(ends: &mut mpsc::Receiver<u32>) -> u32 {
        let end = tokio::time::timeout(Duration::from_secs(10), ends.recv()).await;
        end.expect("within the deadline").expect("reported")
    }

    #[tokio::test]
    async fn a_worker_is_told_where_atlas_is_and_its_end_is_seen() {
        let folder = tempfile::tempdir().expect("a folder");
        let (provisioner, mut ends) = provisioner(folder.path(), "echo \"$@\"");
        let pid = provisioner.spawn().expect("started");
        provisioner.watch(pid);
        assert_eq!(end(&mut ends).await, pid);
        let log = std::fs::read_to_string(folder.path().join("logs/region-1.log")).expect("a log");
        assert_eq!(log, "--atlas 127.0.0.1:7778\n");
        assert!(ends.try_recv().is_err(), "reported once");
    }

    #[tokio::test]
    async fn a_process_of_somebody_else_is_watched_and_killed() {
        let folder = tempfile::tempdir().expect("a folder");
        let (provisioner, mut ends) = provisioner(folder.path(), "true");
        let mut stranger = std::process::Command::new("sleep").arg("60").spawn().expect("started");
        let pid = stranger.id();
        provisioner.watch(pid);
        provisioner.watch(pid);
        provisioner.kill(pid);
        assert_eq!(end(&mut ends).await, pid);
        stranger.wait().expect("reaped");
    }

    #[tokio::test]
    async fn a_missing_program_is_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let (mut provisioner, _ends) = provisioner(folder.path(), "true");
        provisioner.program = folder.path().join("missing");
        let error = provisioner.spawn().expect_err("nothing to start");
        assert!(error.to_string().contains("missing"), "{error}");
    }
}
