//! One of two edges ends, or both are restarted one after the other: when do their players play on at the
//! other one, and what did it cost?

use rustix::process::Signal;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use super::crowd::{BACK_WITHIN, Crowd, SETTLE, above, sum, until};
use super::{Arena, KillEdgeOptions};
use crate::cargo::Built;
use crate::failure::Outcome;
use crate::layout::EdgePorts;
use crate::{http, load, procfs};

/// What is promised: seconds until a player who has lost the edge plays on at another.
const BACK_S: f64 = 1.0;

/// Ends edges as asked, and returns the object that is printed.
pub(super) async fn measure(built: &Built, options: &KillEdgeOptions) -> Outcome<Value> {
    let mut crowd = Crowd::gather(built, &options.crowd, Some(EdgePorts::free()?)).await?;
    let ended = end(&mut crowd, options).await;
    let (runs, last) = crowd.leave(ended).await?;
    let others: i64 = runs.iter().filter_map(|run| run["disconnects_of_others"].as_i64()).sum();
    let mut found = options.crowd.figures(&last);
    found["how"] = options.how.as_str().into();
    found["which"] = if options.how == "rolling" { "both" } else { options.which.as_str() }.into();
    found["touched"] = last["all_hiccups"]["players"].clone();
    found["duplicated"] = sum(&last, &["inputs_duplicated", "events_duplicated"]).into();
    found["reordered"] = last["inputs_reordered"].clone();
    found["disconnects_of_others"] = others.into();
    found["broken"] = broken(&found, &runs).into();
    found["runs"] = runs.into();
    found["bots"] = last;
    Ok(found)
}

/// The promises that these figures break, by key.
fn broken(found: &Value, runs: &[Value]) -> Vec<String> {
    let mut broken = above(
        found,
        &[
            ("back_s_p99", BACK_S),
            ("lost", 0.0),
            ("duplicated", 0.0),
            ("reordered", 0.0),
            ("not_back", 0.0),
            ("disconnects_of_others", 0.0),
        ],
    );
    let fewer = |run: &Value| run["players"].as_u64() != run["sessions_before"].as_u64();
    if runs.is_empty() || runs.iter().any(fewer) {
        broken.push("players".to_owned());
    }
    if runs.iter().any(|run| run["directed"] == true && run["directs_again_s"].is_null()) {
        broken.push("directs_again_s".to_owned());
    }
    broken
}

async fn end(crowd: &mut Crowd, options: &KillEdgeOptions) -> Outcome<Vec<Value>> {
    crowd.joined().await?;
    sleep(SETTLE).await;
    let status = crowd.arena.edge_status(0).await;
    let first = usize::from((status["directs"] == true) != (options.which == "directing"));
    let order = if options.how == "rolling" { vec![first, 1 - first] } else { vec![first] };
    let mut runs = Vec::new();
    for place in order {
        let run = end_one(crowd, place, options.how == "rolling").await?;
        eprintln!("{run}");
        runs.push(run);
    }
    Ok(runs)
}

/// Ends one edge, waits until its players are back and everything is as before, and starts it again.
async fn end_one(crowd: &mut Crowd, place: usize, gracefully: bool) -> Outcome<Value> {
    let status = crowd.arena.edge_status(place).await;
    let (directed, sessions) = (status["directs"] == true, status["sessions"].as_u64().unwrap_or(0));
    let pid = crowd.arena.tree.edges()[place].pid();
    let disconnects = |crowd: &Crowd| crowd.load.latest()["disconnects"].as_i64().unwrap_or(0);
    let (before, frames_per_s) = (disconnects(crowd), crowd.load.latest()["frames_per_s"].clone());
    eprintln!("{sessions} players on the edge of process {pid}, which directs: {directed}");
    crowd.load.fault_at(load::monotonic_ns(), "edge").await?;
    let since = Instant::now();
    procfs::signal(pid, if gracefully { Signal::TERM } else { Signal::KILL });
    let other = 1 - place;
    let follows = || async { !directed || crowd.arena.edge_status(other).await["directs"] == true };
    let directs_again = until(BACK_WITHIN, follows).await.then(|| since.elapsed().as_secs_f64());
    crowd.back(sessions).await;
    crowd.arena.tree.edge_again(place).await?;
    let restarted_s = since.elapsed().as_secs_f64();
    sleep(SETTLE).await;
    let mut found = crowd.load.hiccup();
    found["sessions_before"] = sessions.into();
    found["frames_per_s_before"] = frames_per_s;
    found["directed"] = directed.into();
    found["directs_again_s"] = directs_again.filter(|_| directed).into();
    found["restarted_s"] = restarted_s.into();
    found["disconnects_of_others"] =
        (disconnects(crowd) - before - i64::try_from(sessions).unwrap_or(i64::MAX)).into();
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

    use serde_json::json;

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
