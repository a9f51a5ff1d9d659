//! One child process: its log, its readiness, its end.

use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tokio::process::{ChildStdin, ChildStdout, Command};
use tokio::time::{Instant, sleep, timeout};

use crate::failure::{Failure, Outcome};
use crate::{http, procfs};

/// Time between two questions whether a process is ready.
const ASK_AGAIN: Duration = Duration::from_millis(50);
/// Lines of a log that are shown where something failed.
const TAIL_LINES: usize = 12;

/// A running process in a group of its own. Dropping it ends it by force.
#[derive(Debug)]
pub(crate) struct Child {
    name: &'static str,
    log: PathBuf,
    pid: u32,
    process: tokio::process::Child,
    status: Option<ExitStatus>,
}

impl Child {
    /// Starts `command`. What it writes goes to `NAME.log` in `logs`, which begins anew unless `append`.
    /// With `piped`, only standard error does, [`Self::take_stdout`] has the rest and [`Self::take_stdin`]
    /// the other direction.
    pub(crate) fn start(
        name: &'static str,
        command: &mut Command,
        logs: &Path,
        append: bool,
        piped: bool,
    ) -> Outcome<Self> {
        let log = logs.join(format!("{name}.log"));
        let file = OpenOptions::new().create(true).write(true).append(append).truncate(!append).open(&log);
        let file = file.map_err(|error| Failure::unwritable(&log, &error))?;
        let stdout = match piped {
            true => Stdio::piped(),
            false => file.try_clone().map_err(|error| Failure::unwritable(&log, &error))?.into(),
        };
        let stdin = if piped { Stdio::piped() } else { Stdio::null() };
        command.stdin(stdin).stdout(stdout).stderr(file);
        // A group of its own: Ctrl-C in a terminal is for us alone, and we end the others in order.
        command.process_group(0);
        let process = command.spawn().map_err(|error| {
            format!("cannot start {}: {error}", command.as_std().get_program().to_string_lossy())
        })?;
        let pid = process.id().expect("a child that was not waited for has an id");
        Ok(Self { name, log, pid, process, status: None })
    }

    /// What the process is called in messages.
    pub(crate) const fn name(&self) -> &'static str {
        self.name
    }

    /// Its process id.
    pub(crate) const fn pid(&self) -> u32 {
        self.pid
    }

    /// What it prints, if it was started with a pipe; once.
    pub(crate) fn take_stdout(&mut self) -> Option<ChildStdout> {
        self.process.stdout.take()
    }

    /// What it reads, if it was started with a pipe; once.
    pub(crate) fn take_stdin(&mut self) -> Option<ChildStdin> {
        self.process.stdin.take()
    }

    /// Waits for its end. Dropping the future loses nothing.
    pub(crate) async fn ended(&mut self) -> ExitStatus {
        if let Some(status) = self.status {
            return status;
        }
        let status = self.process.wait().await.unwrap_or_default();
        self.status = Some(status);
        status
    }

    /// Waits until `/readyz` on `address` answers 200.
    ///
    /// # Errors
    ///
    /// Where it ends before, or is not ready `within` the time; the last lines of its log are in the message.
    pub(crate) async fn ready(&mut self, address: SocketAddr, within: Duration) -> Outcome<()> {
        let deadline = Instant::now() + within;
        let mut why = "its admin listener does not answer".to_owned();
        loop {
            if let Ok(status) = timeout(ASK_AGAIN, self.ended()).await {
                return Err(Failure::with_code(
                    format!("{} ended ({status}) before it was ready\n{}", self.name, self.tail()),
                    status.code(),
                ));
            }
            match http::get(address, "/readyz").await {
                Ok((200, _)) => return Ok(()),
                Ok((_, body)) => body.trim().clone_into(&mut why),
                Err(_) => {}
            }
            if Instant::now() > deadline {
                let seconds = within.as_secs();
                let name = self.name;
                return Err(format!("{name} is not ready after {seconds} s: {why}\n{}", self.tail()).into());
            }
            sleep(ASK_AGAIN).await;
        }
    }

    /// Asks it to end and waits; by force where it takes longer. Returns a sentence in that case.
    pub(crate) async fn stop(&mut self, within: Duration) -> Option<String> {
        if self.status.is_none() {
            procfs::signal(self.pid, Signal::TERM);
        }
        if timeout(within, self.ended()).await.is_ok() {
            return None;
        }
        procfs::kill_group(self.pid);
        let _ = self.ended().await;
        Some(format!("{} did not end within {} s and was killed", self.name, within.as_secs()))
    }

    /// The last lines of its log, indented, with the path above them.
    pub(crate) fn tail(&self) -> String {
        tail(&self.log)
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        if self.status.is_none() {
            procfs::kill_group(self.pid);
        }
    }
}

/// The last lines of a log, indented, with the path above them.
pub(crate) fn tail(log: &Path) -> String {
    let text =
        std::fs::read(log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    let last = &lines[lines.len().saturating_sub(TAIL_LINES)..];
    let indented: Vec<_> = last.iter().map(|line| format!("    {line}")).collect();
    format!("  last lines of {}:\n{}", log.display(), indented.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_early_end_is_told_with_code_and_log() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new("sh");
        command.args(["-c", "echo the port is taken >&2; exit 64"]);
        let mut child = Child::start("shell", &mut command, folder.path(), false, false).expect("started");
        let address =
            std::net::TcpListener::bind("127.0.0.1:0").and_then(|port| port.local_addr()).expect("a port");
        let error = child.ready(address, Duration::from_secs(10)).await.expect_err("it ended");
        assert_eq!(error.code, 64);
        assert!(error.to_string().contains("the port is taken"), "{error}");
    }

    #[tokio::test]
    async fn what_does_not_end_is_killed_and_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let mut command = Command::new("sh");
        command.args(["-c", "trap '' TERM; echo deaf; while :; do sleep 0.1; done"]);
        let mut child = Child::start("deaf", &mut command, folder.path(), false, false).expect("started");
        let log = folder.path().join("deaf.log");
        while std::fs::read_to_string(&log).unwrap_or_default().is_empty() {
            tokio::task::yield_now().await;
        }
        let told = child.stop(Duration::from_millis(200)).await.expect("it is deaf");
        assert!(told.contains("killed"), "{told}");
        assert!(!procfs::is_alive(child.pid()));
    }
}
