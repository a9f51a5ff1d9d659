//! Hundreds of walkers in one region, who measure by themselves what the loss of a process costs them.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::Arena;
use crate::cargo::Built;
use crate::failure::Outcome;
use crate::layout::{self, Drill, EdgePorts, Plan, Ports};
use crate::load::{Load, Order};
use crate::procfs;
use crate::redis::Store;

/// Edge of a region in metres: walkers fill it about as they do a plaza, a player for 300 m².
const REGION_METRES: i64 = 600;
/// They join this many a second, and have this long beyond that.
const JOINS_PER_SECOND: u64 = 25;
pub(super) const JOIN_SLACK: Duration = Duration::from_secs(60);
/// Before a fault, so that joining and the fault before are over; and after the last, so that every loss is counted.
pub(super) const SETTLE: Duration = Duration::from_secs(8);
/// Whoever is not back by then is not back.
pub(super) const BACK_WITHIN: Duration = Duration::from_secs(15);
/// Bots may take this long to compare accounts and leave.
const LEAVE_WITHIN: Duration = Duration::from_secs(60);
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// Who walks where.
#[derive(Debug, Args)]
pub(crate) struct CrowdOptions {
    /// Where state is kept
    #[arg(long, default_value = "sqlite")]
    store: Store,
    /// Players, all of them in one region; where there are two edges, half at each
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u64).range(1..=4000))]
    players: u64,
    /// What everybody carries, in bytes, about
    #[arg(long, default_value_t = 4096)]
    luggage_bytes: usize,
    /// Pace of the players, metres per second
    #[arg(long, default_value_t = 10.0)]
    pace: f64,
    /// Steps per second
    #[arg(long, default_value_t = 30, value_parser = layout::parse_hz)]
    hz: u32,
    /// Leave data and logs in this folder
    #[arg(long)]
    data: Option<PathBuf>,
}

/// A world with its players.
pub(super) struct Crowd {
    pub(super) arena: Arena,
    pub(super) load: Load,
    players: u64,
}

impl Crowd {
    /// Starts world and players, with a second edge where its ports are given.
    pub(super) async fn gather(
        built: &Built,
        options: &CrowdOptions,
        second_edge: Option<EdgePorts>,
    ) -> Outcome<Self> {
        let plan = Plan {
            pitches: 1,
            hz: options.hz,
            ports: Ports::free()?,
            second_edge,
            grace_seconds: Some(3),
            store: options.store,
            warm_workers: None,
            drill: Drill { luggage_bytes: options.luggage_bytes, ..Drill::default() },
            region_metres: REGION_METRES,
            one_region: false,
        };
        let arena = Arena::with_plan(built, plan, None, options.data.clone()).await?;
        let middle = REGION_METRES / 2;
        let mut order = Order::walkers(&format!("{middle},{middle}"), 0, options.players)
            .for_faults(options.pace, JOINS_PER_SECOND);
        if let [_, second] = arena.tree.edges() {
            order = order.also_at(&second.url);
        }
        let load = Load::start(built, arena.tree.configuration(), &order, arena.tree.logs(), false)?;
        Ok(Self { arena, load, players: options.players })
    }

    /// Waits until all are there.
    pub(super) async fn joined(&self) -> Outcome<()> {
        let within = Duration::from_secs(self.players / JOINS_PER_SECOND) + JOIN_SLACK;
        let present = || self.load.latest()["players"].as_u64().unwrap_or(0);
        if until(within, || async { present() >= self.players }).await {
            return Ok(());
        }
        Err(format!("only {} of {} bots joined in time", present(), self.players).into())
    }

    /// Waits until so many of those whom the last fault has touched are back, or the time for it is over.
    pub(super) async fn back(&self, players: u64) {
        let back = || {
            let hiccup = self.load.hiccup();
            hiccup["players"].as_u64().unwrap_or(0) - hiccup["not_back"].as_u64().unwrap_or(0)
        };
        until(BACK_WITHIN, || async { back() >= players }).await;
    }

    /// Lets the bots compare accounts and leave, and ends the world. What was measured, and their last line.
    pub(super) async fn leave(mut self, measured: Outcome<Vec<Value>>) -> Outcome<(Vec<Value>, Value)> {
        let last = match &measured {
            Ok(_) => self.last_line().await,
            Err(_) => Ok(Value::Null),
        };
        let tail = self.load.child.tail();
        self.arena.stop(Some(&mut self.load)).await;
        match (measured, last) {
            (Ok(runs), Ok(last)) => Ok((runs, last)),
            (Err(why), _) | (_, Err(why)) => Err(format!("{why}\n{tail}").into()),
        }
    }

    async fn last_line(&mut self) -> Outcome<Value> {
        procfs::signal(self.load.child.pid(), Signal::TERM);
        match tokio::time::timeout(LEAVE_WITHIN, self.load.finished()).await {
            Ok((_, last)) if !last["inputs_sent"].is_null() => Ok(last),
            Ok((status, _)) => Err(format!("the bots ended ({status}) without a result").into()),
            Err(_) => Err("the bots did not leave in time".to_owned().into()),
        }
    }
}

impl CrowdOptions {
    /// Steps per second, and where state is kept.
    pub(super) const fn basics(&self) -> (u32, Store) {
        (self.hz, self.store)
    }

    /// The figures that every loss has: who was asked for, and what was found over all runs.
    pub(super) fn figures(&self, last: &Value) -> Value {
        let all = &last["all_hiccups"];
        let mut found = json!({
            "store": self.store.name(),
            "players": self.players,
            "disconnects": last["disconnects"],
            "lost": sum(last, &["inputs_lost", "events_lost", "audits_missing"]),
            "pace_mps": self.pace,
            "luggage_bytes": self.luggage_bytes,
            "hz": self.hz,
            "machine": procfs::machine(),
        });
        for key in ["back_s_p50", "back_s_p99", "back_s_max", "frame_s_p50", "frame_s_p99", "not_back"] {
            found[key] = all[key].clone();
        }
        found
    }
}

/// The sum of these counts; `None` where one is missing.
pub(super) fn sum(last: &Value, keys: &[&str]) -> Option<u64> {
    keys.iter().map(|key| last[*key].as_u64()).sum()
}

/// Which of these figures are above what is promised. A figure that is missing keeps no promise.
pub(super) fn above(found: &Value, most: &[(&str, f64)]) -> Vec<String> {
    let broken = most.iter().filter(|(key, most)| found[*key].as_f64().is_none_or(|value| value > *most));
    broken.map(|(key, _)| (*key).to_owned()).collect()
}

/// Whether `what` came true `within` the time.
pub(super) async fn until<F: Future<Output = bool>>(within: Duration, mut what: impl FnMut() -> F) -> bool {
    let deadline = Instant::now() + within;
    while !what().await {
        if Instant::now() > deadline {
            return false;
        }
        sleep(LOOK_AGAIN).await;
    }
    true
}
