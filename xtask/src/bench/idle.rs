//! What a world costs with nobody in it, and with a few hundred walkers.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use super::{Arena, IdleOptions};
use crate::cargo::Built;
use crate::failure::Outcome;
use crate::load::{Load, Order};
use crate::procfs;

/// After the start everything may still be warm; nothing is measured.
const SETTLE: Duration = Duration::from_secs(3);
/// With nobody connected.
const QUIET: Duration = Duration::from_secs(10);
/// Bots join one after the other, ten a second.
const JOIN_PER_SECOND: u64 = 10;
const JOIN_SLACK: Duration = Duration::from_secs(60);

/// Measures both, and returns the object that is printed.
pub(super) async fn measure(built: &Built, options: &IdleOptions) -> Outcome<Value> {
    let arena = Arena::start(built, 1, 30, None, None, options.store).await?;
    sleep(SETTLE).await;
    eprintln!("nobody is connected; {} s", QUIET.as_secs());
    let quiet = cost(&arena, QUIET).await;
    let joining = options.bots / JOIN_PER_SECOND;
    let seconds = joining + options.seconds + JOIN_SLACK.as_secs();
    let order = Order::walkers(&arena.plan.centres_argument(), seconds, options.bots);
    let mut load = Load::start(built, arena.tree.configuration(), &order, arena.tree.logs(), false)?;
    let crowd = crowd(&arena, &mut load, options).await;
    let bots = procfs::resident_bytes(load.child.pid());
    arena.stop(Some(&mut load)).await;
    let mut crowd = crowd?;
    crowd["bots_resident_bytes"] = bots.into();
    Ok(json!({
        "idle": { "seconds": QUIET.as_secs(), "processes": quiet },
        "crowd": crowd,
        "machine": procfs::machine(),
    }))
}

async fn crowd(arena: &Arena, load: &mut Load, options: &IdleOptions) -> Outcome<Value> {
    let deadline = Instant::now() + Duration::from_secs(options.bots / JOIN_PER_SECOND) + JOIN_SLACK;
    let present = |load: &Load| load.latest()["players"].as_u64().unwrap_or(0);
    while present(load) < options.bots {
        if Instant::now() > deadline {
            let (here, wanted) = (present(load), options.bots);
            return Err(format!("only {here} of {wanted} bots joined in time\n{}", load.child.tail()).into());
        }
        sleep(Duration::from_millis(200)).await;
    }
    eprintln!("{} players; {} s", options.bots, options.seconds);
    let time = Duration::from_secs(options.seconds);
    let (bots_before, crossings_before) =
        (procfs::cpu_time(load.child.pid()), load.latest()["crossings"].clone());
    let begun = Instant::now();
    let measure = cost(arena, time);
    let mut frames = Vec::new();
    tokio::pin!(measure);
    let processes = loop {
        tokio::select! {
            processes = &mut measure => break processes,
            () = sleep(Duration::from_secs(1)) => frames.extend(load.latest()["frames_per_s"].as_f64()),
        }
    };
    let bots = procfs::cpu_time(load.child.pid()).saturating_sub(bots_before).as_secs_f64()
        / begun.elapsed().as_secs_f64();
    let status = arena.status().await;
    let latest = load.latest();
    let regions: Map<String, Value> = status["regions"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|region| {
            let figures = json!({
                "players": region["players"],
                "step_ms": region["step_ms"],
                "overruns": region["overruns"],
            });
            region["step_ms"]
                .is_object()
                .then(|| (region["region"].as_str().unwrap_or("?").to_owned(), figures))
        })
        .collect();
    Ok(json!({
        "players": latest["players"],
        "seconds": options.seconds,
        "processes": processes,
        "bots_cpu_share": bots,
        "frames_per_second": frames.iter().sum::<f64>() / frames.len().max(1) as f64,
        "regions": regions,
        "crossings": latest["crossings"].as_u64().unwrap_or(0).saturating_sub(crossings_before.as_u64().unwrap_or(0)),
        "disconnects": latest["disconnects"],
    }))
}

/// Memory and processor time of every process of the world, over `time`. A share of 1 is one processor.
async fn cost(arena: &Arena, time: Duration) -> Value {
    let begun = Instant::now();
    let before: BTreeMap<u32, Duration> =
        arena.tree.processes().into_iter().map(|(pid, _)| (pid, procfs::cpu_time(pid))).collect();
    sleep(time).await;
    let elapsed = begun.elapsed().as_secs_f64();
    let processes = arena.tree.processes().into_iter().map(|(pid, name)| {
        let used = procfs::cpu_time(pid).saturating_sub(before.get(&pid).copied().unwrap_or_default());
        json!({
            "process": name,
            "resident_bytes": procfs::resident_bytes(pid),
            "cpu_share": used.as_secs_f64() / elapsed,
        })
    });
    processes.collect()
}
