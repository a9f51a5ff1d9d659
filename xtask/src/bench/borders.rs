//! The same script of fights, pickups, trades and rides in a world of one region and around the point where four meet,
//! also while region servers are killed: does everybody hear the same, and is every coin there once?

use std::time::Duration;

use clap::Args;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::io::AsyncReadExt;
use tokio::process::Command;
use tokio::time::{Instant, sleep_until, timeout};

use super::Arena;
use crate::cargo::Built;
use crate::child::Child;
use crate::failure::Outcome;
use crate::layout::{self, Drill, Plan, Ports};
use crate::procfs;
use crate::redis::Store;

/// No script takes longer than this for each of its actions, recoveries included.
const PER_ACTION: Duration = Duration::from_secs(2);
/// Joining and leaving.
const SLACK: Duration = Duration::from_secs(120);
/// Differences that are printed.
const SHOWN: usize = 10;

/// What is promised.
const IDENTICAL_SHARE: f64 = 0.999;

/// Who plays, and what happens to them.
#[derive(Debug, Args)]
pub(crate) struct BordersOptions {
    /// Print JSON; there is no other form
    #[arg(long)]
    json: bool,
    /// Of the script
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Companies, of four players and one who stands far away
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=100))]
    companies: u16,
    /// Actions of each company
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    actions: u32,
    /// In the third run a region server is killed every so many seconds; 0 is no third run
    #[arg(long, default_value_t = 10)]
    kill_every: u64,
    /// Steps per second
    #[arg(long, default_value_t = 30, value_parser = layout::parse_hz)]
    hz: u32,
    /// Where state is kept
    #[arg(long, default_value = "sqlite")]
    store: Store,
}

/// Plays the script in each world, and returns the object that is printed.
pub(super) async fn measure(built: &Built, options: &BordersOptions) -> Outcome<Value> {
    let alone = Run::play(built, options, true, 0).await?;
    let calm = Run::play(built, options, false, 0).await?;
    let mut found = calm.figures(&alone);
    found["single_server"] = alone.figures(&alone);
    if options.kill_every > 0 {
        found["with_kills"] = Run::play(built, options, false, options.kill_every).await?.figures(&alone);
    }
    found["seed"] = options.seed.into();
    found["hz"] = options.hz.into();
    found["store"] = options.store.name().into();
    found["machine"] = procfs::machine();
    found["broken"] = broken(&found).into();
    Ok(found)
}

/// The promises that these figures break, by key.
fn broken(found: &Value) -> Vec<String> {
    let mut broken = Vec::new();
    for (name, run) in
        [("", found), ("single_server.", &found["single_server"]), ("with_kills.", &found["with_kills"])]
    {
        if run.is_null() {
            continue;
        }
        if run["identical_to_single_server_share"].as_f64().is_none_or(|share| share < IDENTICAL_SHARE) {
            broken.push(format!("{name}identical_to_single_server_share"));
        }
        let none = |key: &str| (run[key] != 0).then(|| format!("{name}{key}"));
        broken.extend(
            ["tokens_missing", "tokens_doubled", "told_again", "groups_split"].into_iter().filter_map(none),
        );
        if run["kills"] == 0 && name == "with_kills." {
            broken.push("with_kills.kills".to_owned());
        }
    }
    broken
}

/// A script that was played.
#[derive(Debug)]
struct Run {
    account: Value,
    kills: u32,
}

impl Run {
    async fn play(
        built: &Built,
        options: &BordersOptions,
        one_region: bool,
        kill_every: u64,
    ) -> Outcome<Self> {
        let plan = Plan {
            pitches: 1,
            hz: options.hz,
            ports: Ports::free()?,
            second_edge: None,
            grace_seconds: None,
            store: options.store,
            warm_workers: None,
            drill: Drill::default(),
            region_metres: layout::REGION_METRES,
            one_region,
        };
        let arena = Arena::with_plan(built, plan, None, None).await?;
        let played = Self::skirmish(built, options, &arena, kill_every).await;
        arena.stop(None).await;
        played
    }

    async fn skirmish(
        built: &Built,
        options: &BordersOptions,
        arena: &Arena,
        kill_every: u64,
    ) -> Outcome<Self> {
        let configuration = arena.tree.configuration();
        let mut command = Command::new(built.program("skirmish"));
        command.arg("--url").arg(configuration.socket()).arg("--ca").arg(&configuration.authority);
        command.args(["--seed", &options.seed.to_string(), "--actions", &options.actions.to_string()]);
        command.args(["--companies", &options.companies.to_string()]);
        let mut child = Child::start("skirmish", &mut command, arena.tree.logs(), false, true)?;
        let mut stdout = child.take_stdout().expect("it was started with a pipe");
        let within = SLACK + PER_ACTION * options.actions;
        let (mut text, mut kills) = (String::new(), 0);
        let read = {
            let read = timeout(within, stdout.read_to_string(&mut text));
            tokio::pin!(read);
            let period = Duration::from_secs(if kill_every == 0 { 86_400 } else { kill_every });
            let mut next = Instant::now() + period;
            loop {
                tokio::select! {
                    read = &mut read => break read,
                    () = sleep_until(next) => {
                        next += period;
                        kills += u32::from(kill(&arena.status().await, options.seed + u64::from(kills)));
                    }
                }
            }
        };
        let tail = child.tail();
        match (read, serde_json::from_str::<Value>(&text)) {
            (Ok(Ok(_)), Ok(account)) => Ok(Self { account, kills }),
            _ => Err(format!("the script was not played to its end\n{tail}").into()),
        }
    }

    /// What this run has, compared with the one in a single region.
    fn figures(&self, alone: &Self) -> Value {
        let outcomes = |run: &Self| run.account["outcomes"].as_array().cloned().unwrap_or_default();
        let (own, single) = (outcomes(self), outcomes(alone));
        let pairs = own.iter().zip(&single).enumerate();
        let differences: Vec<Value> = pairs
            .filter(|(_, (own, single))| own != single)
            .map(|(number, (own, single))| json!({ "action": number, "here": own, "single_server": single }))
            .collect();
        let compared = own.len().max(single.len());
        let different = differences.len() + own.len().abs_diff(single.len());
        let tokens = |key: &str| -> Vec<u64> {
            self.account[key]
                .as_array()
                .map_or_else(Vec::new, |all| all.iter().filter_map(Value::as_u64).collect())
        };
        let (before, after) = (tokens("tokens_before"), tokens("tokens_after"));
        let missing = before.iter().filter(|token| !after.contains(token)).count();
        let mut figures = json!({
            "actions": own.len(),
            "identical_to_single_server_share": (compared - different) as f64 / compared.max(1) as f64,
            "differences": differences.into_iter().take(SHOWN).collect::<Vec<_>>(),
            "tokens_before": before.len(),
            "tokens_after": after.len(),
            "tokens_missing": missing,
            "tokens_doubled": (after.len() + missing).abs_diff(before.len()),
            "kills": self.kills,
        });
        for key in [
            "unanswered",
            "told_again",
            "groups_split",
            "authority_changes",
            "resyncs",
            "disconnects",
            "outcome_ms",
            "seconds",
        ] {
            figures[key] = self.account[key].clone();
        }
        figures
    }
}

/// Kills the server of one of the regions that are served; whether there was one.
fn kill(status: &Value, random: u64) -> bool {
    let workers = status["workers"].as_array().cloned().unwrap_or_default();
    let pid_of = |region: &Value| {
        let worker = workers.iter().find(|worker| worker["worker"] == region["worker"])?;
        u32::try_from(worker["pid"].as_u64()?).ok()
    };
    let served: Vec<u32> = status["regions"].as_array().into_iter().flatten().filter_map(pid_of).collect();
    let mixed = random.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 32;
    let Some(&pid) = served.get(mixed as usize % served.len().max(1)) else { return false };
    eprintln!("killing process {pid}, one of {} that serve", served.len());
    procfs::signal(pid, Signal::KILL);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(outcomes: &[&str], tokens_after: &[u64]) -> Run {
        let account = json!({
            "outcomes": outcomes, "tokens_before": [1, 2, 3], "tokens_after": tokens_after, "told_again": 0,
            "groups_split": 0,
            "groups_split": 0,
        });
        Run { account, kills: 0 }
    }

    #[test]
    fn what_differs_and_what_is_lost_is_counted() {
        let alone = run(&["hit: true 90 ", "pick: true 7 "], &[1, 2, 3]);
        let mut found = alone.figures(&alone);
        assert_eq!(found["identical_to_single_server_share"], 1.0);
        found["single_server"] = alone.figures(&alone);
        assert_eq!(broken(&found), [""; 0]);
        found["with_kills"] = run(&["hit: true 90 ", "pick: unanswered"], &[1, 1, 2]).figures(&alone);
        let kills = &found["with_kills"];
        assert_eq!(kills["identical_to_single_server_share"], 0.5);
        assert_eq!((&kills["tokens_missing"], &kills["tokens_doubled"]), (&json!(1), &json!(1)));
        let keys = ["identical_to_single_server_share", "tokens_missing", "tokens_doubled", "kills"];
        assert_eq!(broken(&found), keys.map(|key| format!("with_kills.{key}")));
        let fewer = run(&["hit: true 90 "], &[1, 2, 3, 3]).figures(&alone);
        assert_eq!(
            (&fewer["identical_to_single_server_share"], &fewer["tokens_doubled"]),
            (&json!(0.5), &json!(1))
        );
    }
}
