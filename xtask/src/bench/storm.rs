//! Everybody crosses at once: players who stand along a border, all handed over in one tick.
//!
//! The players are real clients on WebSockets that stand still and ask for few frames, so that the bots
//! leave the processors to what is measured. The plugin `drill` moves all of them over the border in one
//! tick, again and again to and fro; everything after that is an ordinary handoff.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use super::numbers::percentile;
use super::{Arena, StormOptions};
use crate::cargo::Built;
use crate::failure::{Failure, Outcome};
use crate::layout::Drill;
use crate::load::{Load, Order};
use crate::{http, procfs};

/// What a player's capsule holds beside its luggage, in bytes, about.
const BESIDE_LUGGAGE: usize = 1800;
/// Everybody stands so long before a march: joins, clocks and copies come to rest.
const MARCH_AFTER_SECONDS: u64 = 8;
/// Metres between two neighbours in the line: like people in a street, not like a crowd.
const LINE_METRES: i64 = 20;
/// Metres from the border.
const BORDER_METRES: i64 = 8;
/// Bots join two hundred a second, on a quiet machine.
const JOIN_WITHIN: Duration = Duration::from_secs(120);
/// Bots have this long after the last storm to compare accounts and leave.
const LEAVE_WITHIN: Duration = Duration::from_secs(60);
/// One march with its pause, and what a machine under load takes longer.
const MARCH_WITHIN: Duration = Duration::from_secs(60);
/// How often processor time is read.
const SAMPLE_EVERY: Duration = Duration::from_millis(50);
/// What is told of a storm comes this much later, at most: a summary, and a look.
const TOLD_WITHIN: Duration = Duration::from_millis(500);
/// Processor time of a storm is counted from so long before it was seen until so long after its end.
const AROUND: Duration = Duration::from_secs(1);
/// What the same processes use without one is measured over this time before.
const QUIET: Duration = Duration::from_secs(3);

/// Plays, and returns the object that is printed.
pub(super) async fn measure(built: &Built, options: &StormOptions) -> Outcome<Value> {
    let luggage = options.capsule.saturating_sub(BESIDE_LUGGAGE);
    let drill = Drill {
        luggage_bytes: luggage,
        change_seconds: 0,
        march_players: options.players,
        march_after_seconds: MARCH_AFTER_SECONDS,
        line_metres: options.players as i64 * LINE_METRES,
        ..Drill::default()
    };
    let arena =
        Arena::start_drilled(built, 1, options.hz, drill, None, options.data.clone(), options.store).await?;
    let low = drill.line_metres / 2;
    // One stands alone on the other side, so that the region there is served.
    let line = format!("{},{},{LINE_METRES},{};1000,0,1,1", -BORDER_METRES, 5 - low, options.players);
    let order = Order::standing(&line);
    let mut load = Load::start(built, arena.tree.configuration(), &order, arena.tree.logs(), false)?;
    let stormed = storms(&arena, &load, options).await;
    let quit = load.stop_and_read(LEAVE_WITHIN).await;
    let tail = load.child.tail();
    arena.stop(Some(&mut load)).await;
    let storms = stormed.map_err(|why| Failure::from(format!("{why}\n{tail}")))?;
    let bots = quit.map_err(|why| Failure::from(format!("{why}\n{tail}")))?;
    Ok(summary(options, &storms, &bots))
}

/// One storm.
#[derive(Debug, Default)]
struct Storm {
    /// From the first freeze to the last activation.
    wall_ms: f64,
    /// Processor time of both tick threads and of the store, beyond what they use anyway.
    work_ms: f64,
    /// The same of all threads of the region servers, of the store and of the edge.
    work_all_ms: f64,
    gaps: Vec<f64>,
    took_ms: Vec<f64>,
    full_bytes: Vec<f64>,
    cutover_bytes: Vec<f64>,
    late: usize,
    /// Players who did not arrive.
    lost: usize,
    /// Players who arrived more than once.
    duplicated: usize,
}

async fn storms(arena: &Arena, load: &Load, options: &StormOptions) -> Result<Vec<Storm>, String> {
    let everybody = options.players as u64 + 1;
    let deadline = Instant::now() + JOIN_WITHIN;
    while load.latest()["players"].as_u64() < Some(everybody) {
        if Instant::now() > deadline {
            return Err(format!("only {} of {everybody} bots joined in time", load.latest()["players"]));
        }
        sleep(Duration::from_millis(100)).await;
    }
    eprintln!("{everybody} players stand along the border");
    let mut seen = last_handoff(arena).await;
    let mut found = Vec::new();
    for run in 1..=options.runs {
        let (storm, last) = one(arena, options, seen).await?;
        seen = last;
        eprintln!(
            "storm {run}: wall {:.0} ms, work {:.0} ms ({:.0} in all), gaps p99 {:?}, {} late, {} lost",
            storm.wall_ms,
            storm.work_ms,
            storm.work_all_ms,
            percentile(&mut storm.gaps.clone(), 0.99),
            storm.late,
            storm.lost
        );
        found.push(storm);
    }
    Ok(found)
}

async fn last_handoff(arena: &Arena) -> u64 {
    arena.status().await["handoffs_last"].as_u64().unwrap_or(0)
}

/// Waits for the next storm and measures it.
async fn one(arena: &Arena, options: &StormOptions, since: u64) -> Result<(Storm, u64), String> {
    let deadline = Instant::now() + MARCH_WITHIN;
    let mut samples: VecDeque<Sample> = VecDeque::new();
    let (mut begun, mut ended): (Option<Instant>, Option<Instant>) = (None, None);
    let mut last = since;
    let mut reports: Vec<Value> = Vec::new();
    let mut tick = 0_u32;
    loop {
        samples.push_back(Sample::take(arena));
        if ended.is_some_and(|at| at.elapsed() > AROUND) {
            break;
        }
        if Instant::now() > deadline {
            let arrived = reports.len();
            return Err(format!("a storm did not end in time: {arrived} of {} arrived", options.players));
        }
        tick += 1;
        if tick.is_multiple_of(4)
            && let Some(answer) =
                http::json(arena.tree.configuration().admin, &format!("/api/handoffs?since={last}")).await
        {
            last = answer["last"].as_u64().unwrap_or(last);
            let fresh = answer["handoffs"].as_array().cloned().unwrap_or_default();
            reports.extend(
                fresh
                    .into_iter()
                    .filter(|report| report["key"].as_str().is_some_and(|key| key.starts_with("player "))),
            );
            if !reports.is_empty() {
                begun.get_or_insert_with(Instant::now);
            }
            let everybody = reports.len() >= options.players;
            let given_up = begun.is_some_and(|at| at.elapsed() > MARCH_WITHIN / 2);
            if everybody || given_up {
                ended.get_or_insert_with(Instant::now);
            }
        }
        sleep(SAMPLE_EVERY).await;
    }
    let (begun, ended) = (begun.expect("it ended"), ended.expect("the loop ended"));
    let storm = judge(&reports, options);
    let work = |of: fn(&Sample) -> Duration| extra_ms(&samples, begun, ended, of);
    let storm = Storm { work_ms: work(|s| s.core), work_all_ms: work(|s| s.all), ..storm };
    Ok((storm, last))
}

/// Processor time at one moment.
#[derive(Debug, Clone, Copy)]
struct Sample {
    at: Instant,
    /// Tick threads and the store.
    core: Duration,
    /// Region servers, store and edge.
    all: Duration,
}

impl Sample {
    fn take(arena: &Arena) -> Self {
        let (mut core, mut all) = (Duration::ZERO, Duration::ZERO);
        for (pid, name) in arena.tree.processes() {
            for (thread, used) in procfs::thread_times(pid) {
                all += used;
                if matches!(name.as_str(), "store" | "redis-server") || thread == "tick" {
                    core += used;
                }
            }
        }
        Self { at: Instant::now(), core, all }
    }
}

/// A figure's name, and how to read it off a storm.
type Row<'a> = (&'a str, &'a dyn Fn(&Storm) -> f64);

/// What was used around a storm beyond what is used without one, in milliseconds.
fn extra_ms(samples: &VecDeque<Sample>, begun: Instant, ended: Instant, of: fn(&Sample) -> Duration) -> f64 {
    let first = begun - AROUND - TOLD_WITHIN;
    let at = |moment: Instant| {
        let after = samples.iter().find(|sample| sample.at >= moment);
        after.or(samples.back()).copied().expect("a sample was taken")
    };
    let (quiet, from, to) = (at(first - QUIET), at(first), at(ended + AROUND));
    let between = |a: &Sample, b: &Sample| {
        (of(b).saturating_sub(of(a)).as_secs_f64(), (b.at - a.at).as_secs_f64().max(1e-3))
    };
    let (used, time) = between(&from, &to);
    let (idle, idle_time) = between(&quiet, &from);
    (used - idle / idle_time * time) * 1000.0
}

fn judge(reports: &[Value], options: &StormOptions) -> Storm {
    let number = |report: &Value, key: &str| report[key].as_f64().unwrap_or(0.0);
    let mut arrivals: BTreeMap<&str, usize> = BTreeMap::new();
    for report in reports {
        *arrivals.entry(report["key"].as_str().unwrap_or("?")).or_default() += 1;
    }
    let step = 60.0 / f64::from(options.hz);
    let frozen = reports.iter().map(|report| number(report, "frozen_ns")).fold(f64::MAX, f64::min);
    let active = reports
        .iter()
        .map(|report| number(report, "frozen_ns") + number(report, "duration_us") * 1e3)
        .fold(0.0, f64::max);
    let all = |value: &dyn Fn(&Value) -> f64| reports.iter().map(value).collect::<Vec<f64>>();
    Storm {
        wall_ms: (active - frozen) / 1e6,
        gaps: all(&|report| ((number(report, "activated") - number(report, "tick")) / step).max(0.0)),
        took_ms: all(&|report| number(report, "duration_us") / 1e3),
        full_bytes: all(&|report| number(report, "full_bytes")),
        cutover_bytes: all(&|report| number(report, "cutover_bytes")),
        late: reports.iter().filter(|report| report["late"] == true).count(),
        lost: options.players.saturating_sub(arrivals.len()),
        duplicated: arrivals.values().filter(|&&count| count > 1).count(),
        ..Storm::default()
    }
}

fn summary(options: &StormOptions, storms: &[Storm], bots: &Value) -> Value {
    let spread = |of: &dyn Fn(&Storm) -> f64| {
        let mut values: Vec<f64> = storms.iter().map(of).collect();
        let median = percentile(&mut values, 0.5).unwrap_or(0.0);
        (median, [values.first().copied(), values.last().copied()])
    };
    let share = |values: &[f64], share: f64| percentile(&mut values.to_vec(), share).unwrap_or(0.0);
    let rows: [Row; 10] = [
        ("work_ms", &|storm| storm.work_ms),
        ("work_all_ms", &|storm| storm.work_all_ms),
        ("wall_ms", &|storm| storm.wall_ms),
        ("handoff_ms_p50", &|storm| share(&storm.took_ms, 0.5)),
        ("handoff_ms_p99", &|storm| share(&storm.took_ms, 0.99)),
        ("gap_ticks_p99", &|storm| share(&storm.gaps, 0.99)),
        ("gap_ticks_max", &|storm| share(&storm.gaps, 1.0)),
        ("capsule_bytes", &|storm| share(&storm.full_bytes, 0.5)),
        ("cutover_bytes", &|storm| share(&storm.cutover_bytes, 0.5)),
        ("late_targets", &|storm| storm.late as f64),
    ];
    let (mut found, mut ranges) = (json!({ "players": options.players }), json!({}));
    for (name, of) in rows {
        let (median, range) = spread(of);
        found[name] = json!(median);
        ranges[name] = json!(range);
    }
    let lost: usize = storms.iter().map(|storm| storm.lost).sum();
    let duplicated: usize = storms.iter().map(|storm| storm.duplicated).sum();
    let counted = |key: &str| bots[key].as_u64().unwrap_or(0);
    found["lost"] = json!(lost as u64 + counted("inputs_lost") + counted("audits_missing"));
    found["duplicated"] = json!(duplicated as u64 + counted("inputs_duplicated"));
    found["disconnects"] = bots["disconnects"].clone();
    found["ranges"] = ranges;
    found["runs"] = json!(storms.len());
    found["hz"] = json!(options.hz);
    found["store"] = json!(options.store.name());
    found["machine"] = procfs::machine();
    for key in ["audits", "inputs_sent", "events_lost", "events_duplicated"] {
        found[key] = bots[key].clone();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redis::Store;

    #[test]
    fn a_storm_is_judged_by_its_reports() {
        let report = |player: u64, frozen_ms: u64, took_ms: u64, tick: u64, activated: u64| {
            json!({
                "key": format!("player {player}"), "frozen_ns": frozen_ms * 1_000_000,
                "duration_us": took_ms * 1000, "tick": tick, "activated": activated, "late": false,
            })
        };
        let options = StormOptions {
            json: true,
            players: 3,
            capsule: 4096,
            runs: 1,
            hz: 30,
            store: Store::Sqlite,
            data: None,
        };
        let storm =
            judge(&[report(1, 100, 10, 6, 6), report(2, 100, 50, 6, 10), report(2, 133, 50, 8, 8)], &options);
        assert_eq!((storm.lost, storm.duplicated), (1, 1));
        assert!((storm.wall_ms - 83.0).abs() < 1e-6, "{}", storm.wall_ms);
        assert_eq!(storm.gaps, [0.0, 2.0, 0.0]);
    }

    #[test]
    fn what_is_used_anyway_is_no_work_of_a_storm() {
        let start = Instant::now();
        // A tenth of a processor always, and 300 ms more in the storm.
        let samples = (0..200_u32)
            .map(|n| {
                let extra = if n > 120 { Duration::from_millis(300) } else { Duration::ZERO };
                let used = SAMPLE_EVERY * n / 10 + extra;
                Sample { at: start + SAMPLE_EVERY * n, core: used, all: used }
            })
            .collect();
        let (begun, ended) = (start + SAMPLE_EVERY * 121, start + SAMPLE_EVERY * 125);
        let work = extra_ms(&samples, begun, ended, |sample| sample.core);
        assert!((work - 300.0).abs() < 5.0, "{work}");
    }
}
