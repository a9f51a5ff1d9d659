//! One of two edges ends, or both are restarted one after the other: when do their players play on at the
//! other one, and what did it cost?

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::kill_region::{leave, sum, until};
use super::{Arena, KillEdgeOptions};
use crate::cargo::Built;
use crate::failure::Outcome;
use crate::layout::{Drill, EdgePorts, Plan, Ports};
use crate::load::{Load, Order};
use crate::{http, procfs};

/// Edge of a region in metres: walkers fill it about as they do a plaza, a player for 300 m².
const REGION_METRES: i64 = 600;
/// They join this many a second, and have this long beyond that.
const JOINS_PER_SECOND: u64 = 25;
const JOIN_SLACK: Duration = Duration::from_secs(60);
/// Before a fault, so that joining and the fault before are over; and after it, so that every loss is counted.
const SETTLE: Duration = Duration::from_secs(8);
/// Whoever is not back by then is not back, and who does not direct by then does not.
const BACK_WITHIN: Duration = Duration::from_secs(15);

/// What is promised: seconds until a player who has lost the edge plays on at another.
const BACK_S: f64 = 1.0;

/// Ends edges as asked, and returns the object that is printed.
pub(super) async fn measure(built: &Built, options: &KillEdgeOptions) -> Outcome<Value> {
    let plan = Plan {
        pitches: 1,
        hz: options.hz,
        ports: Ports::free()?,
        second_edge: Some(EdgePorts::free()?),
        grace_seconds: Some(3),
        store: options.store,
        drill: Drill { luggage_bytes: options.luggage_bytes, ..Drill::default() },
        region_metres: REGION_METRES,
    };
    let mut arena = Arena::with_plan(built, plan, None, options.data.clone()).await?;
    let middle = REGION_METRES / 2;
    let order = Order::walkers(&format!("{middle},{middle}"), 0, options.players)
        .for_faults(options.pace, JOINS_PER_SECOND)
        .also_at(&arena.tree.edges()[1].url);
    let mut load = Load::start(built, arena.tree.configuration(), &order, arena.tree.logs(), false)?;
    let ended = end(&mut arena, &mut load, options).await;
    let last = match &ended {
        Ok(_) => leave(&mut load).await,
        Err(_) => Ok(Value::Null),
    };
    let tail = load.child.tail();
    arena.stop(Some(&mut load)).await;
    let (runs, last) = match (ended, last) {
        (Ok(runs), Ok(last)) => (runs, last),
        (Err(why), _) | (_, Err(why)) => return Err(format!("{why}\n{tail}").into()),
    };
    let all = &last["all_hiccups"];
    let others: i64 = runs.iter().filter_map(|run| run["disconnects_of_others"].as_i64()).sum();
    let mut found = json!({
        "how": options.how,
        "which": if options.how == "rolling" { "both" } else { &options.which },
        "store": options.store.name(),
        "players": options.players,
        "touched": all["players"],
        "lost": sum(&last, &["inputs_lost", "events_lost", "audits_missing"]),
        "duplicated": sum(&last, &["inputs_duplicated", "events_duplicated"]),
        "reordered": last["inputs_reordered"],
        "disconnects": last["disconnects"],
        "disconnects_of_others": others,
        "pace_mps": options.pace,
        "luggage_bytes": options.luggage_bytes,
        "hz": options.hz,
        "machine": procfs::machine(),
    });
    for key in ["back_s_p50", "back_s_p99", "back_s_max", "frame_s_p50", "frame_s_p99", "not_back"] {
        found[key] = all[key].clone();
    }
    found["broken"] = broken(&found, &runs).into();
    found["runs"] = runs.into();
    found["bots"] = last;
    Ok(found)
}

/// The promises that these figures break, by key.
fn broken(found: &Value, runs: &[Value]) -> Vec<String> {
    let above = |key: &str, most: f64| found[key].as_f64().is_none_or(|value| value > most);
    let mut broken = Vec::new();
    for (key, most) in [
        ("back_s_p99", BACK_S),
        ("lost", 0.0),
        ("duplicated", 0.0),
        ("reordered", 0.0),
        ("not_back", 0.0),
        ("disconnects_of_others", 0.0),
    ] {
        if above(key, most) {
            broken.push(key.to_owned());
        }
    }
    let fewer = |run: &Value| run["players"].as_u64() != run["sessions_before"].as_u64();
    if runs.is_empty() || runs.iter().any(fewer) {
        broken.push("players".to_owned());
    }
    if runs.iter().any(|run| run["directed"] == true && run["directs_again_s"].is_null()) {
        broken.push("directs_again_s".to_owned());
    }
    broken
}

async fn end(arena: &mut Arena, load: &mut Load, options: &KillEdgeOptions) -> Outcome<Vec<Value>> {
    let joining = Duration::from_secs(options.players / JOINS_PER_SECOND) + JOIN_SLACK;
    let present = |load: &Load| load.latest()["players"].as_u64().unwrap_or(0);
    if !until(joining, || async { present(load) >= options.players }).await {
        return Err(format!("only {} of {} bots joined in time", present(load), options.players).into());
    }
    sleep(SETTLE).await;
    let status = arena.edge_status(0).await;
    let first = usize::from((status["directs"] == true) != (options.which == "directing"));
    let order = if options.how == "rolling" { vec![first, 1 - first] } else { vec![first] };
    let mut runs = Vec::new();
    for place in order {
        let run = end_one(arena, load, place, options.how == "rolling").await?;
        eprintln!("{run}");
        runs.push(run);
    }
    Ok(runs)
}

/// Ends one edge, waits until its players are back and everything is as before, and starts it again.
async fn end_one(arena: &mut Arena, load: &mut Load, place: usize, gracefully: bool) -> Outcome<Value> {
    let status = arena.edge_status(place).await;
    let (directed, sessions) = (status["directs"] == true, status["sessions"].as_u64().unwrap_or(0));
    let pid = arena.tree.edges()[place].pid();
    let disconnects = |load: &Load| load.latest()["disconnects"].as_i64().unwrap_or(0);
    let (before, frames_per_s) = (disconnects(load), load.latest()["frames_per_s"].clone());
    eprintln!("{sessions} players on the edge of process {pid}, which directs: {directed}");
    load.fault("edge").await?;
    let since = Instant::now();
    procfs::signal(pid, if gracefully { Signal::TERM } else { Signal::KILL });
    let other = 1 - place;
    let follows = || async { !directed || arena.edge_status(other).await["directs"] == true };
    let directs_again = until(BACK_WITHIN, follows).await.then(|| since.elapsed().as_secs_f64());
    let back = |load: &Load| {
        let hiccup = &load.latest()["hiccup"];
        hiccup["players"].as_u64().unwrap_or(0) - hiccup["not_back"].as_u64().unwrap_or(0)
    };
    until(BACK_WITHIN, || async { back(load) >= sessions }).await;
    arena.tree.edge_again(place).await?;
    let restarted_s = since.elapsed().as_secs_f64();
    sleep(SETTLE).await;
    let mut found = load.latest()["hiccup"].clone();
    found["sessions_before"] = sessions.into();
    found["frames_per_s_before"] = frames_per_s;
    found["directed"] = directed.into();
    found["directs_again_s"] = directs_again.filter(|_| directed).into();
    found["restarted_s"] = restarted_s.into();
    found["disconnects_of_others"] =
        (disconnects(load) - before - i64::try_from(sessions).unwrap_or(i64::MAX)).into();
    Ok(found)
}

impl Arena {
    async fn edge_status(&self, place: usize) -> Value {
        http::json(self.tree.edges()[place].admin, "/api/status").await.unwrap_or(Value::Null)
    }
}

#[cfg(test)]
mod tests {
    use std::slice::from_ref;

    use super::*;

    #[test]
    fn a_broken_promise_is_named() {
        let found = |back_s: f64, lost: u64, others: i64| {
            json!({
                "back_s_p99": back_s, "lost": lost, "duplicated": 0, "reordered": 0, "not_back": 0,
                "disconnects_of_others": others,
            })
        };
        let run = json!({ "players": 2, "sessions_before": 2, "directed": true, "directs_again_s": 1.1 });
        assert_eq!(broken(&found(0.9, 0, 0), from_ref(&run)), [""; 0]);
        assert_eq!(
            broken(&found(1.1, 1, 2), from_ref(&run)),
            ["back_s_p99", "lost", "disconnects_of_others"]
        );
        let mut alone = run;
        (alone["players"], alone["directs_again_s"]) = (1.into(), Value::Null);
        assert_eq!(broken(&found(0.9, 0, 0), &[alone]), ["players", "directs_again_s"]);
        assert_eq!(broken(&json!({}), &[]).len(), 7, "no figure is no promise kept");
    }
}
