//! A region server with hundreds of players on it is lost: when is play back, and what did it cost?

use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use tokio::time::sleep;

use super::KillRegionOptions;
use super::crowd::{Crowd, JOIN_SLACK, SETTLE, above, sum, until};
use crate::cargo::Built;
use crate::failure::Outcome;
use crate::{load, procfs};

/// A stopped process is continued this long after play is back, and has ended by itself this much later.
const CONTINUE_AFTER: Duration = Duration::from_millis(500);
const END_WITHIN: Duration = Duration::from_secs(3);
/// Table of the packet filter that cuts a worker off.
const CUT_TABLE: &str = "horizon_bench";

/// What is promised: seconds until play is back where somebody sees the process end, and where nobody does.
const SEEN_S: f64 = 2.0;
const UNSEEN_S: f64 = 3.0;
/// A pose is at most 250 ms old, at the fastest pace there is.
const ROLLBACK_METRES: f64 = 7.5;

/// Loses the region as often as asked, and returns the object that is printed.
pub(super) async fn measure(built: &Built, options: &KillRegionOptions) -> Outcome<Value> {
    let mut crowd = Crowd::gather(built, &options.crowd, None).await?;
    let lost = lose(&mut crowd, options).await;
    let (runs, last) = crowd.leave(lost).await?;
    let mut found = options.crowd.figures(&last);
    found["how"] = options.how.as_str().into();
    found["duplicated"] = sum(&last, &["inputs_duplicated", "inputs_reordered", "events_duplicated"]).into();
    for key in ["rollback_m_p99", "rollback_m_max"] {
        found[key] = last["all_hiccups"][key].clone();
    }
    found["broken"] = broken(&found, &runs).into();
    found["runs"] = runs.into();
    found["bots"] = last;
    Ok(found)
}

/// The promises that these figures break, by key.
fn broken(found: &Value, runs: &[Value]) -> Vec<String> {
    let within = if found["how"] == "kill" { SEEN_S } else { UNSEEN_S };
    let mut broken = above(
        found,
        &[
            ("back_s_p99", within),
            ("disconnects", 0.0),
            ("lost", 0.0),
            ("duplicated", 0.0),
            ("not_back", 0.0),
            ("rollback_m_p99", ROLLBACK_METRES),
        ],
    );
    let fewer = |run: &Value| run["players"].as_u64() != found["players"].as_u64();
    if runs.iter().any(fewer) {
        broken.push("players".to_owned());
    }
    if runs.iter().any(|run| run["ended_by_itself"] == false) {
        broken.push("ended_by_itself".to_owned());
    }
    broken
}

async fn lose(crowd: &mut Crowd, options: &KillRegionOptions) -> Outcome<Vec<Value>> {
    crowd.joined().await?;
    let mut runs = Vec::new();
    for run in 1..=options.runs {
        sleep(SETTLE).await;
        let ready = until(JOIN_SLACK, || async { has_warm_worker(&crowd.arena.status().await) }).await;
        let status = crowd.arena.status().await;
        let Some(Crowded { pid, players, step_ms, endpoint }) = crowded(&status).filter(|_| ready) else {
            return Err("no region with players, or no region server that is ready".to_owned().into());
        };
        eprintln!("run {run}: {players} players on process {pid}, steps of {step_ms} ms");
        let frames_per_s = crowd.load.latest()["frames_per_s"].clone();
        let at_ns = load::monotonic_ns();
        let cut = match options.how.as_str() {
            "cut" => Some(Cut::off(&endpoint)?),
            "stop" => {
                procfs::signal(pid, Signal::STOP);
                None
            }
            _ => {
                procfs::signal(pid, Signal::KILL);
                None
            }
        };
        crowd.load.fault_at(at_ns, "region").await?;
        crowd.back(players).await;
        let mut found = crowd.load.hiccup();
        if options.how != "kill" {
            sleep(CONTINUE_AFTER).await;
            // Who was cut off hears from the store that its lease is another's, and may have ended already.
            let slept = options.how == "cut" || procfs::is_alive(pid);
            drop(cut);
            procfs::signal(pid, Signal::CONT);
            let ended = until(END_WITHIN, || async { !procfs::is_alive(pid) }).await;
            found["ended_by_itself"] = (slept && ended).into();
        }
        found["players_before"] = players.into();
        found["frames_per_s_before"] = frames_per_s;
        found["step_ms_before"] = step_ms;
        eprintln!("run {run}: {found}");
        runs.push(found);
    }
    sleep(SETTLE).await;
    Ok(runs)
}

fn has_warm_worker(status: &Value) -> bool {
    let workers = status["workers"].as_array().into_iter().flatten();
    workers.filter(|worker| worker["state"] == "ready" && worker["linked"] == true).count() > 0
}

/// The region with most players.
#[derive(Debug)]
struct Crowded {
    /// Process of its worker.
    pid: u32,
    players: u64,
    step_ms: Value,
    /// Where its worker's links are, `host:port`.
    endpoint: String,
}

/// A worker that no datagram reaches or leaves. Dropping it heals the cut.
#[derive(Debug)]
struct Cut;

impl Cut {
    /// Drops what goes to and comes from `endpoint` on this machine.
    fn off(endpoint: &str) -> Outcome<Self> {
        let port = endpoint.rsplit_once(':').map_or("", |(_, port)| port);
        let rules = format!(
            "table inet {CUT_TABLE} {{ chain input {{ type filter hook input priority 0; \
             udp dport {port} drop; udp sport {port} drop; }}; }}"
        );
        nft(&rules).map(|()| Self)
    }
}

impl Drop for Cut {
    fn drop(&mut self) {
        if let Err(error) = nft(&format!("delete table inet {CUT_TABLE}")) {
            eprintln!("{error}");
        }
    }
}

fn nft(rules: &str) -> Outcome<()> {
    let output = std::process::Command::new("nft").arg(rules).output();
    let output = output.map_err(|error| format!("--how cut needs the program nft: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let told = String::from_utf8_lossy(&output.stderr).trim().to_owned();
    Err(format!("--how cut needs root and a packet filter: nft says {told}").into())
}

/// Finds it in a status.
fn crowded(status: &Value) -> Option<Crowded> {
    let regions = status["regions"].as_array()?.iter();
    let region = regions.max_by_key(|region| region["players"].as_u64().unwrap_or(0))?;
    let players = region["players"].as_u64().filter(|players| *players > 0)?;
    let worker = status["workers"].as_array()?.iter().find(|worker| worker["worker"] == region["worker"])?;
    Some(Crowded {
        pid: u32::try_from(worker["pid"].as_u64()?).ok()?,
        players,
        step_ms: region["step_ms"].clone(),
        endpoint: worker["endpoint"].as_str().unwrap_or_default().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn figures(how: &str, back_s: f64, lost: u64) -> Value {
        json!({
            "how": how, "players": 2, "back_s_p99": back_s, "disconnects": 0, "lost": lost, "duplicated": 0,
            "not_back": 0, "rollback_m_p99": 1.0,
        })
    }

    #[test]
    fn a_broken_promise_is_named() {
        let run = [json!({ "players": 2, "ended_by_itself": true })];
        assert_eq!(broken(&figures("kill", 1.9, 0), &run), [""; 0]);
        assert_eq!(broken(&figures("kill", 2.1, 1), &run), ["back_s_p99", "lost"]);
        assert_eq!(broken(&figures("stop", 2.1, 0), &run), [""; 0], "nobody sees it end");
        let zombie = [json!({ "players": 1, "ended_by_itself": false })];
        assert_eq!(broken(&figures("stop", 2.1, 0), &zombie), ["players", "ended_by_itself"]);
        assert!(
            broken(&json!({ "how": "kill" }), &run).contains(&"not_back".to_owned()),
            "no figure is no promise kept"
        );
    }

    #[test]
    fn the_crowded_region_is_found() {
        let status = json!({
            "regions": [
                { "region": "0001", "worker": "a", "players": 1, "step_ms": {} },
                { "region": "0002", "worker": "b", "players": 7, "step_ms": { "p50": 3.0 } },
            ],
            "workers": [
                { "worker": "a", "pid": 11, "state": "serving", "linked": true },
                { "worker": "b", "pid": 12, "state": "serving", "linked": true },
                { "worker": "c", "pid": 13, "state": "ready", "linked": true },
            ],
        });
        assert_eq!(crowded(&status).map(|crowd| (crowd.pid, crowd.players)), Some((12, 7)));
        assert!(has_warm_worker(&status));
        assert!(crowded(&json!({ "regions": [], "workers": [] })).is_none());
    }
}
