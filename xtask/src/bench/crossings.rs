//! Recorded matches through real processes, with region borders through the middle of every pitch.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval};

use super::numbers::{Handoffs, Overruns};
use super::{Arena, CrossingsOptions};
use crate::cargo::Built;
use crate::failure::{Failure, Outcome};
use crate::layout::Drill;
use crate::load::{Load, Order};
use crate::{http, procfs};

/// Bots have this long after the end to compare accounts and leave.
const LEAVE_WITHIN: Duration = Duration::from_secs(60);
/// Progress is told this often, in seconds.
const TELL_EVERY: u64 = 10;

/// What the bots count, in the order of the result.
const COUNTED: [&str; 18] = [
    "crossings",
    "players",
    "disconnects",
    "inputs_sent",
    "inputs_lost",
    "inputs_duplicated",
    "inputs_reordered",
    "events_lost",
    "events_duplicated",
    "gap_ticks_p50",
    "gap_ticks_p99",
    "gap_ticks_max",
    "gap_ticks_control_p99",
    "astray",
    "compared",
    "error_p99_m",
    "flickers",
    "teleports",
];

/// Plays, and returns the object that is printed.
pub(super) async fn measure(built: &Built, options: &CrossingsOptions) -> Outcome<Value> {
    let CrossingsOptions { pitches, hz, seconds, .. } = *options;
    let luggage = Drill { luggage_bytes: options.inventory as usize, change_seconds: 1, ..Drill::default() };
    let drill = if options.inventory > 0 { luggage } else { Drill::default() };
    let (traces, kept) = (options.traces.clone(), options.data.clone());
    let arena = Arena::start_drilled(built, pitches, hz, drill, traces, kept, options.store).await?;
    let mut order = Order::matches(&arena.plan.centres_argument(), seconds, options.traces.as_deref());
    if options.respawns {
        order = order.with_respawns();
    }
    let mut load = Load::start(built, arena.tree.configuration(), &order, arena.tree.logs(), false)?;
    let (mut handoffs, mut overruns) = (Handoffs::default(), Overruns::default());
    let played = play(&arena, &mut load, &mut handoffs, &mut overruns, seconds).await;
    let status = arena.status().await;
    let tail = load.child.tail();
    arena.stop(Some(&mut load)).await;
    let counted = played.map_err(|why| Failure::from(format!("{why}\n{tail}")))?;
    let mut found = json!({
        "spawned_by_prediction": status["spawned_by_prediction"],
        "late_targets": handoffs.late(),
        "overhang_m_p99": handoffs.percentile("overhang_m", 0.99),
        "handoff_ms_p50": handoffs.percentile("duration_us", 0.5).map(milliseconds),
        "handoff_ms_p99": handoffs.percentile("duration_us", 0.99).map(milliseconds),
        "presync_bytes_full": handoffs.percentile("full_bytes", 0.5),
        "presync_bytes_cutover": handoffs.percentile("cutover_bytes", 0.5),
        "presync_bytes_per_s": overruns.presync_bytes() / seconds,
        "tick_overruns": overruns.total(),
        "handoffs_players": handoffs.counts().0,
        "handoffs_objects": handoffs.counts().1,
        "handoffs_teleports": handoffs.teleports(),
        "region_leases": overruns.leases(),
        "machine": procfs::machine(),
        "seconds": seconds,
        "hz": hz,
        "pitches": pitches,
        "respawns": options.respawns,
        "inventory_bytes": options.inventory,
        "store": options.store.name(),
    });
    for key in COUNTED {
        found[key] = counted[key].clone();
    }
    // Every body that changed hands, as the regions report it; the bots see those of players alone.
    let (players, objects) = handoffs.counts();
    found["crossings_seen_by_players"] = counted["crossings"].clone();
    found["crossings"] = json!(players + objects);
    // Whatever else the bots say is told too: it explains the rest.
    found["bots"] = counted;
    Ok(found)
}

async fn play(
    arena: &Arena,
    load: &mut Load,
    handoffs: &mut Handoffs,
    overruns: &mut Overruns,
    seconds: u64,
) -> Result<Value, String> {
    let deadline = Instant::now() + Duration::from_secs(seconds) + LEAVE_WITHIN;
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let mut told = 0;
    loop {
        let ended = tokio::select! {
            ended = load.child.ended() => Some(ended),
            _ = second.tick() => None,
            () = tokio::time::sleep_until(deadline) => return Err("the bots did not leave in time".to_owned()),
        };
        if let Some(answer) = ask_handoffs(arena, handoffs.last).await {
            handoffs.take(&answer);
        }
        overruns.take(&arena.status().await);
        let latest = load.latest();
        if latest["seconds"].as_u64().is_some_and(|now| now >= told + TELL_EVERY) {
            told = latest["seconds"].as_u64().unwrap_or(told);
            eprintln!(
                "{told} s: {} players, {} crossings, {} disconnects, last gaps {}",
                latest["players"], latest["crossings"], latest["disconnects"], latest["last_gaps"]
            );
        }
        let Some(status) = ended else { continue };
        let (_, last) = load.finished().await;
        if !status.success() || last["inputs_sent"].is_null() {
            return Err(format!("the bots ended ({status}) without a result"));
        }
        return Ok(last);
    }
}

async fn ask_handoffs(arena: &Arena, since: u64) -> Option<Value> {
    http::json(arena.tree.configuration().admin, &format!("/api/handoffs?since={since}")).await
}

fn milliseconds(microseconds: f64) -> f64 {
    microseconds / 1000.0
}
