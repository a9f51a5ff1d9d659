//! The bots: the program `load`, and what it prints.

use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::process::{ChildStdin, Command};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::cargo::Built;
use crate::child::Child;
use crate::configuration::Configuration;
use crate::failure::Outcome;

/// Running bots.
#[derive(Debug)]
pub(crate) struct Load {
    /// The process.
    pub(crate) child: Child,
    faults: Option<ChildStdin>,
    faults_told: u32,
    lines: watch::Receiver<Value>,
    reader: JoinHandle<()>,
}

/// What the bots are to do.
#[derive(Debug, Clone, Default)]
pub(crate) struct Order {
    words: Vec<String>,
}

impl Order {
    /// Matches on pitches around `centres`, for `seconds`; 0 means until they are stopped.
    pub(crate) fn matches(centres: &str, seconds: u64, traces: Option<&Path>) -> Self {
        let mut order = Self::default();
        order.add("--pitches", centres);
        order.add("--seconds", &seconds.to_string());
        if let Some(traces) = traces {
            order.add("--traces", &traces.display().to_string());
        }
        order
    }

    /// `count` walkers and no matches.
    pub(crate) fn walkers(centres: &str, seconds: u64, count: u64) -> Self {
        let mut order = Self::matches(centres, seconds, None);
        order.add("--bots", &count.to_string());
        order.words.push("--no-matches".to_owned());
        order
    }

    /// `count` runners over the borders at `centres`, and nobody else.
    pub(crate) fn runners(centres: &str, seconds: u64, count: u64) -> Self {
        let mut order = Self::matches(centres, seconds, None);
        order.add("--runners", &count.to_string());
        order.words.push("--verbose".to_owned());
        order.words.push("--no-matches".to_owned());
        order
    }

    /// Players who stand in `lines`, until they are told to leave; as the bots read it.
    pub(crate) fn standing(lines: &str) -> Self {
        let mut order = Self::default();
        order.words.push(format!("--standing={lines}"));
        order.add("--seconds", "0");
        order.words.push("--no-matches".to_owned());
        order
    }

    /// Bodies that respawn stay one player.
    pub(crate) fn with_respawns(mut self) -> Self {
        self.words.push("--respawns".to_owned());
        self
    }

    /// Walkers at `pace` metres per second who join this many a second, say nothing, and hear of faults.
    pub(crate) fn for_faults(mut self, pace: f64, joins_per_second: u64) -> Self {
        self.add("--pace", &pace.to_string());
        self.add("--joins-per-second", &joins_per_second.to_string());
        self.words.extend(["--quiet", "--faults"].map(str::to_owned));
        self
    }

    /// Spread over a second edge, too.
    pub(crate) fn also_at(mut self, url: &str) -> Self {
        self.add("--url", url);
        self
    }

    fn add(&mut self, key: &str, value: &str) {
        self.words.extend([key.to_owned(), value.to_owned()]);
    }
}

/// Nanoseconds of the machine's monotonic clock, which the bots read too.
pub(crate) fn monotonic_ns() -> u64 {
    let clock = clock_gettime(ClockId::Monotonic);
    clock.tv_sec.unsigned_abs() * 1_000_000_000 + clock.tv_nsec.unsigned_abs()
}

impl Load {
    /// Starts the bots against a running world.
    pub(crate) fn start(
        built: &Built,
        configuration: &Configuration,
        order: &Order,
        logs: &Path,
        append: bool,
    ) -> Outcome<Self> {
        Self::connect(built, (&configuration.socket(), &configuration.authority), order, logs, append)
    }

    /// Starts the bots at an edge's address, which a certificate of this authority's file belongs to.
    pub(crate) fn connect(
        built: &Built,
        (url, authority): (&str, &Path),
        order: &Order,
        logs: &Path,
        append: bool,
    ) -> Outcome<Self> {
        let mut command = Command::new(built.program("load"));
        command.args(["--url", url, "--status", "--ca"]).arg(authority);
        command.args(&order.words);
        let mut child = Child::start("load", &mut command, logs, append, true)?;
        let stdout = child.take_stdout().expect("it was started with a pipe");
        let (sender, lines) = watch::channel(Value::Null);
        let reader = tokio::spawn(async move {
            let mut text = BufReader::new(stdout).lines();
            while let Ok(Some(line)) = text.next_line().await {
                if let Ok(value) = serde_json::from_str(&line) {
                    sender.send_replace(value);
                }
            }
        });
        let faults = child.take_stdin();
        Ok(Self { child, faults, faults_told: 0, lines, reader })
    }

    /// Tells the bots of a fault that was caused at `at_ns` of the monotonic clock, and what is lost by it: `region`
    /// or `edge`.
    pub(crate) async fn fault_at(&mut self, at_ns: u64, lost: &str) -> Outcome<()> {
        let pipe = self.faults.as_mut().expect("it was started with a pipe");
        let told = pipe.write_all(format!("{at_ns} {lost}\n").as_bytes()).await;
        told.map_err(|error| format!("the bots could not be told of a fault: {error}"))?;
        self.faults_told += 1;
        Ok(())
    }

    /// What the last fault has cost so far; null while the bots have not said that they know of it.
    pub(crate) fn hiccup(&self) -> Value {
        let latest = self.lines.borrow();
        if latest["faults"] == self.faults_told { latest["hiccup"].clone() } else { Value::Null }
    }

    /// The newest line; null before the first.
    pub(crate) fn latest(&self) -> Value {
        self.lines.borrow().clone()
    }

    /// Waits for the end, and returns the last line with the status.
    pub(crate) async fn finished(&mut self) -> (ExitStatus, Value) {
        let status = self.child.ended().await;
        if !self.reader.is_finished() {
            let _ = (&mut self.reader).await;
        }
        (status, self.latest())
    }

    /// Asks the bots to leave and compare accounts, and returns their last line.
    ///
    /// # Errors
    ///
    /// Where they end without one.
    pub(crate) async fn stop_and_read(&mut self, within: Duration) -> Result<Value, String> {
        let forced = self.stop(within).await;
        let (status, last) = self.finished().await;
        match forced {
            None if status.success() && !last["inputs_sent"].is_null() => Ok(last),
            _ => Err(format!("the bots ended ({status}) without a result")),
        }
    }

    /// Asks the bots to leave; by force where they take longer. Returns a sentence in that case.
    pub(crate) async fn stop(&mut self, within: Duration) -> Option<String> {
        self.child.stop(within).await
    }
}
