//! Region servers from the pool: how soon one that is ready serves a region that is needed, how soon one that has to be
//! started first does so with thousands of things in it, and how soon one has taken over for another with
//! everybody in it.

use std::time::Duration;

use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::process::Command;
use tokio::time::sleep;

use super::crowd::{Crowd, JOIN_SLACK, SETTLE, sum, until};
use super::numbers::percentile;
use super::{Arena, PoolsOptions, crowd};
use crate::cargo::Built;
use crate::failure::Outcome;
use crate::layout::{self, Drill, Plan, Ports};
use crate::load::{Load, Order};
use crate::{load, procfs};

/// Regions that are needed one after the other: a square of so many by so many, with one player in each.
const SQUARE: u32 = 4;
/// Players who need them, a second. Each of them takes a region server from the pool, and another one is started.
const JOINS_PER_SECOND: u64 = 1;
/// Kept ready.
const WARM: u32 = 4;
/// Edge of the region with the things, in metres.
const WIDE_METRES: i64 = 2_000;
const LEAVE_WITHIN: Duration = Duration::from_secs(60);

/// What is promised.
const PLACEMENT_MS: f64 = 20.0;
const COLD_S: f64 = 1.5;
const EVACUATION_S: f64 = 2.0;

/// Measures all three, and returns the object that is printed.
pub(super) async fn measure(built: &Built, options: &PoolsOptions) -> Outcome<Value> {
    let quiet = Drill { without_balls: true, ..Drill::default() };
    let mut placed = placements(built, options, quiet).await?;
    eprintln!("{} placements: {placed:.1?} ms", placed.len());
    let mut rush = placements(built, options, Drill::default()).await?;
    eprintln!("{} placements in a rush: {rush:.1?} ms", rush.len());
    let mut cold = cold(built, options).await?;
    eprintln!("cold, with {} things: {cold:.2?} s", options.objects);
    let (runs, last) = evacuations(built, options).await?;
    let evacuation_s = runs.iter().filter_map(|run| run["back_s_max"].as_f64()).reduce(f64::max);
    let dropped = sum(&last, &["disconnects"]).zip(last["all_hiccups"]["not_back"].as_u64());
    let mut found = json!({
        "placements": placed.len(),
        "placement_ms_p50": percentile(&mut placed, 0.5),
        "placement_ms_p99": percentile(&mut placed, 0.99),
        "rush_ms_p50": percentile(&mut rush, 0.5),
        "rush_ms_p99": percentile(&mut rush, 0.99),
        "cold_starts": cold.len(),
        "objects": options.objects,
        "cold_ready_s_p50": percentile(&mut cold, 0.5),
        "cold_ready_s_p99": percentile(&mut cold, 0.99),
        "evacuation_s": evacuation_s,
        "evacuation_dropped": dropped.map(|(disconnects, not_back)| disconnects + not_back),
        "evacuation_lost": sum(&last, &["inputs_lost", "events_lost", "audits_missing"]),
        "evacuation_rollback_m_max": last["all_hiccups"]["rollback_m_max"],
        "evacuations": runs,
        "machine": procfs::machine(),
        "bots": last,
    });
    found["broken"] = crowd::above(
        &found,
        &[
            ("placement_ms_p99", PLACEMENT_MS),
            ("cold_ready_s_p99", COLD_S),
            ("evacuation_s", EVACUATION_S),
            ("evacuation_dropped", 0.0),
            ("evacuation_lost", 0.0),
        ],
    )
    .into();
    Ok(found)
}

/// Milliseconds from the need of a region until it was served, where a region server was ready. With balls on the corners
/// of all regions the first player's region is followed by all others within two seconds.
async fn placements(built: &Built, options: &PoolsOptions, drill: Drill) -> Outcome<Vec<f64>> {
    let plan = plan(options, (SQUARE - 1).pow(2), WARM, drill, layout::REGION_METRES)?;
    let arena = Arena::with_plan(built, plan, None, None).await?;
    let at = |n: u32| layout::REGION_METRES * i64::from(n) - layout::REGION_METRES / 2;
    let all = (0..SQUARE * SQUARE).map(|n| format!("{},{}", at(n % SQUARE), at(n / SQUARE)));
    let centres = all.collect::<Vec<_>>().join(";");
    let regions = u64::from(SQUARE * SQUARE);
    let ready = until(JOIN_SLACK, || async { warm(&arena.status().await) >= u64::from(WARM) }).await;
    let order = Order::walkers(&centres, 0, regions).for_faults(1.0, JOINS_PER_SECOND);
    let mut load = Load::start(built, arena.tree.configuration(), &order, arena.tree.logs(), false)?;
    let joined = until(JOIN_SLACK, || async { load.latest()["players"].as_u64() >= Some(regions) }).await;
    let status = arena.status().await;
    load.stop(LEAVE_WITHIN).await;
    arena.stop(Some(&mut load)).await;
    let placed = status["placements"].as_array().map_or(0, Vec::len) as u64;
    if placed < regions {
        return Err(format!("{placed} of {regions} regions were placed").into());
    }
    if !ready || !joined {
        return Err(format!("not all of {regions} regions were needed in time").into());
    }
    let each = status["placements"].as_array().cloned().unwrap_or_default();
    let ms = |took: &Value| Some(took["waited_ms"].as_f64()? + took["took_ms"].as_f64()?);
    Ok(each.iter().filter_map(ms).collect())
}

/// Seconds from the need of a region whose server was killed until another process, started for it, served it.
async fn cold(built: &Built, options: &PoolsOptions) -> Outcome<Vec<f64>> {
    let drill = Drill { objects: options.objects, ..Drill::default() };
    let arena = Arena::with_plan(built, plan(options, 1, 0, drill, WIDE_METRES)?, None, None).await?;
    let order = Order::walkers("400,400", 0, 1).for_faults(1.0, 1);
    let mut load = Load::start(built, arena.tree.configuration(), &order, arena.tree.logs(), false)?;
    let found = kills(&arena, options).await;
    load.stop(LEAVE_WITHIN).await;
    arena.stop(Some(&mut load)).await;
    found
}

async fn kills(arena: &Arena, options: &PoolsOptions) -> Outcome<Vec<f64>> {
    let count = |status: &Value| {
        status["regions"]
            .as_array()
            .map_or(0, |all| all.iter().filter_map(|region| region["objects"].as_u64()).sum::<u64>())
    };
    let mut found = Vec::new();
    for run in 0..options.runs as usize {
        let whole = || async { count(&arena.status().await) >= options.objects as u64 };
        if !until(JOIN_SLACK, whole).await {
            let seen = count(&arena.status().await);
            return Err(format!("{seen} of {} things are there", options.objects).into());
        }
        sleep(SETTLE).await;
        let status = arena.status().await;
        let serving = status["workers"]
            .as_array()
            .and_then(|all| all.iter().find(|worker| worker["state"] == "serving"));
        let pid = serving.and_then(|worker| u32::try_from(worker["pid"].as_u64()?).ok());
        let Some(pid) = pid else { return Err("nobody serves the region".to_owned().into()) };
        procfs::signal(pid, Signal::KILL);
        // The first placement is that of the player who came.
        let mut took = None;
        until(JOIN_SLACK, || {
            let at = run + 1;
            async move { arena.status().await["placements"][at].is_object() }
        })
        .await;
        let placement = &arena.status().await["placements"][run + 1];
        if let (Some(waited), Some(served)) = (placement["waited_ms"].as_f64(), placement["took_ms"].as_f64())
        {
            took = Some((waited + served) / 1000.0);
            eprintln!(
                "cold start {}: {waited:.0} ms for the process, {served:.0} ms for the region",
                run + 1
            );
        }
        found.push(took.ok_or_else(|| "the region was not served again".to_owned())?);
        // The things are put down again where they are missing, but not at once.
        let told = || async {
            arena.status().await["regions"]
                .as_array()
                .is_some_and(|all| all.iter().any(|r| r["objects"].is_u64()))
        };
        until(JOIN_SLACK, told).await;
        let back = count(&arena.status().await);
        if back < options.objects as u64 {
            return Err(format!("the region came back with {back} of {} things", options.objects).into());
        }
    }
    Ok(found)
}

/// Lets others take over from the region server with everybody on it, one after the other.
async fn evacuations(built: &Built, options: &PoolsOptions) -> Outcome<(Vec<Value>, Value)> {
    let mut crowd = Crowd::gather(built, &options.crowd, None).await?;
    let measured = evacuate(built, &mut crowd, options).await;
    crowd.leave(measured).await
}

async fn evacuate(built: &Built, crowd: &mut Crowd, options: &PoolsOptions) -> Outcome<Vec<Value>> {
    crowd.joined().await?;
    let mut runs = Vec::new();
    for run in 1..=options.runs {
        sleep(SETTLE).await;
        until(JOIN_SLACK, || async { warm(&crowd.arena.status().await) > 0 }).await;
        let status = crowd.arena.status().await;
        let most =
            status["regions"].as_array().and_then(|all| all.iter().max_by_key(|r| r["players"].as_u64()));
        let Some((region, players)) =
            most.and_then(|r| Some((r["region"].as_str()?, r["players"].as_u64()?)))
        else {
            return Err("no region with players".to_owned().into());
        };
        crowd.load.fault_at(load::monotonic_ns(), "region").await?;
        let mut command = Command::new(built.program("atlasctl"));
        command.arg("--config").arg(&crowd.arena.tree.configuration().file).args(["evacuate", region]);
        let output = command.output().await.map_err(|error| format!("cannot start atlasctl: {error}"))?;
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned().into());
        }
        crowd.back(players).await;
        let mut found = crowd.load.hiccup();
        found["told"] = String::from_utf8_lossy(&output.stdout).trim().into();
        eprintln!("evacuation {run}: {found}");
        runs.push(found);
    }
    sleep(SETTLE).await;
    Ok(runs)
}

fn plan(options: &PoolsOptions, pitches: u32, warm: u32, drill: Drill, region_metres: i64) -> Outcome<Plan> {
    let (hz, store) = options.crowd.basics();
    Ok(Plan {
        pitches,
        hz,
        ports: Ports::free()?,
        second_edge: None,
        grace_seconds: Some(60),
        store,
        warm_workers: Some(warm),
        drill,
        region_metres,
        one_region: false,
    })
}

/// Region servers that are ready.
fn warm(status: &Value) -> u64 {
    let workers = status["workers"].as_array().into_iter().flatten();
    workers.filter(|worker| worker["state"] == "ready" && worker["linked"] == true).count() as u64
}
