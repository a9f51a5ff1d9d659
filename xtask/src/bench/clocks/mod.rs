//! Clocks that are wrong while players cross borders: what do they and those who watch them see of it?
//!
//! Every row is a world of its own with four regions. Its region servers have clocks that are off, drift, are
//! stepped, or hear late what time it is; its wall clocks are all wrong and stepped, in every row. Runners cross
//! borders, and each of them judges every frame it is shown. The last rows are controls: the same worlds with a
//! guard missing, in which stalls have to be seen.

mod wall;
mod wrong;

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, timeout_at};

use self::wall::Walls;
use self::wrong::{Clocks, StandIns};
use super::ClocksOptions;
use crate::cargo::Built;
use crate::failure::{Failure, Outcome};
use crate::layout::{self, Drill, Plan, Ports, REGION_METRES};
use crate::load::{Load, Order};
use crate::redis::Store;
use crate::tree::Tree;
use crate::{http, procfs};

/// Bots have this long after the end to compare accounts and leave.
const LEAVE_WITHIN: Duration = Duration::from_secs(30);
/// Steps per second of a region and of its neighbours.
const RATES: [[u32; 2]; 3] = [[30, 30], [30, 60], [60, 60]];

/// What is expected of a world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Nobody sees anything.
    Promise,
    /// A region was paused: those who leave it miss what it was paused for, and nothing is doubled or lost.
    Pause,
    /// A guard is missing, and faults have to be seen.
    Control,
}

/// One world.
#[derive(Debug, Clone, Copy)]
struct Row {
    clocks: Clocks,
    hz: [u32; 2],
    kind: Kind,
}

impl Row {
    /// One with a control, for a machine that has other things to do.
    fn few() -> Vec<Self> {
        let row = |clocks, kind| Self { clocks, hz: [30, 60], kind };
        vec![row(Clocks::Step, Kind::Promise), row(Clocks::Wall, Kind::Control)]
    }

    fn all() -> Vec<Self> {
        let clocks = [Clocks::Skew, Clocks::Drift, Clocks::Step, Clocks::Delay];
        let rows =
            clocks.into_iter().flat_map(|clocks| RATES.map(|hz| Self { clocks, hz, kind: Kind::Promise }));
        let other = |clocks, kind| Self { clocks, hz: [30, 60], kind };
        let others = [
            other(Clocks::Pause, Kind::Pause),
            other(Clocks::Believing, Kind::Control),
            other(Clocks::Wall, Kind::Control),
        ];
        rows.chain(others).collect()
    }

    fn name(&self) -> String {
        format!("{} {}/{}", self.clocks.name(), self.hz[0], self.hz[1])
    }
}

/// Plays all rows, and returns the object that is printed.
pub(super) async fn measure(built: &Built, options: &ClocksOptions) -> Outcome<Value> {
    let (mut rows, mut pauses, mut controls) = (Vec::new(), Vec::new(), Vec::new());
    let wanted = |row: &Row| options.only.as_ref().is_none_or(|only| row.name().starts_with(only.as_str()));
    let all = if options.quick { Row::few() } else { Row::all() };
    for row in all.into_iter().filter(wanted) {
        let found =
            play(built, options, row).await.map_err(|why| Failure::from(format!("{}: {why}", row.name())))?;
        eprintln!("{}: {found}", row.name());
        match row.kind {
            Kind::Promise => rows.push(found),
            Kind::Pause => pauses.push(found),
            Kind::Control => controls.push(found),
        }
    }
    Ok(sum_up(&rows, &pauses, &controls, options))
}

fn sum_up(rows: &[Value], pauses: &[Value], controls: &[Value], options: &ClocksOptions) -> Value {
    let total = |key: &str| rows.iter().filter_map(|row| row[key].as_u64()).sum::<u64>();
    let eyes = ["stalls", "double_steps", "control_stalls", "control_double_steps"];
    let faults = |row: &Value| eyes.iter().filter_map(|key| row[*key].as_u64()).sum::<u64>();
    let mut broken: Vec<String> = ["stalls", "double_steps", "lost", "disconnects", "audits_missing"]
        .into_iter()
        .filter(|key| total(key) > if options.quick { share(total("pictures"), key) } else { 0 })
        .map(str::to_owned)
        .collect();
    let doubled = |row: &Value| ["double_steps", "lost"].iter().any(|key| row[*key].as_u64() != Some(0));
    if pauses.iter().any(doubled) {
        broken.push("pauses".to_owned());
    }
    let unseen = |row: &&Value| match options.quick {
        true => faults(row) <= 2 * share(row["pictures"].as_u64().unwrap_or(0), "stalls"),
        false => faults(row) == 0,
    };
    let quiet = controls.iter().filter(unseen);
    broken.extend(quiet.map(|row| format!("the control {} {} was not noticed", row["clocks"], row["hz"])));
    if rows.iter().any(|row| row["crossings"].as_u64().is_none_or(|crossings| crossings == 0)) {
        broken.push("crossings".to_owned());
    }
    json!({
        "stalls": total("stalls"),
        "double_steps": total("double_steps"),
        "lost": total("lost"),
        "control_stalls": total("control_stalls"),
        "control_double_steps": total("control_double_steps"),
        "crossings": total("crossings"),
        "pictures": total("pictures"),
        "frames": total("frames"),
        "rows": rows,
        "pauses": pauses,
        "controls": controls,
        "broken": broken,
        "seconds": options.seconds,
        "runners": options.runners,
        "machine": procfs::machine(),
    })
}

/// How much of a fault is granted in a quick run: what a machine does that compiles and tests beside it.
fn share(pictures: u64, key: &str) -> u64 {
    if ["stalls", "double_steps"].contains(&key) { pictures / 100 } else { 0 }
}

/// One world from start to stop.
async fn play(built: &Built, options: &ClocksOptions, row: Row) -> Outcome<Value> {
    let folder = tempfile::TempDir::new().map_err(|error| format!("no temporary folder: {error}"))?;
    let slow = row.hz[0].min(row.hz[1]);
    let plan = Plan {
        pitches: 1,
        hz: slow,
        ports: Ports::free()?,
        second_edge: None,
        grace_seconds: Some(3600),
        store: Store::Sqlite,
        warm_workers: Some(1),
        drill: Drill::default(),
        region_metres: REGION_METRES,
        one_region: false,
    };
    let file = layout::prepare(folder.path(), &plan, None, built)?;
    let walls = Walls::start(folder.path())?;
    let stand_ins = StandIns::write(folder.path(), built, row.clocks, options.seconds, &walls)?;
    stand_ins.enter(&file, row.hz)?;
    let built = built.with_stand_ins(stand_ins.folder());
    let tree = Tree::start(&built, file).await?;
    let order = Order::runners(&plan.centres_argument(), options.seconds, options.runners);
    let mut load = Load::start(&built, tree.configuration(), &order, tree.logs(), false)?;
    let deadline = Instant::now() + Duration::from_secs(options.seconds) + LEAVE_WITHIN;
    let left = timeout_at(deadline, load.finished()).await;
    let status = http::json(tree.configuration().admin, "/api/status").await.unwrap_or(Value::Null);
    let walls_off_s = walls.seen_off_s(tree.logs());
    let tail = load.child.tail();
    for sentence in tree.stop(Some(&mut load)).await {
        eprintln!("{sentence}");
    }
    if let Some(kept) = &options.data {
        keep(folder.path(), &kept.join(row.name().replace(['/', ' '], "-")))?;
    }
    let (status_of_bots, last) = left.map_err(|_| "the bots did not leave in time".to_owned())?;
    if !status_of_bots.success() || last["inputs_sent"].is_null() {
        return Err(format!("the bots ended ({status_of_bots}) without a result\n{tail}").into());
    }
    let steps = &last["steps"];
    let lost = ["inputs_lost", "inputs_duplicated", "inputs_reordered", "events_lost", "events_duplicated"];
    Ok(json!({
        "clocks": row.clocks.name(),
        "hz": format!("{}/{}", row.hz[0], row.hz[1]),
        "crossings": last["crossings"],
        "stalls": steps["stalls"],
        "double_steps": steps["double_steps"],
        "lost": lost.iter().filter_map(|key| last[*key].as_u64()).sum::<u64>(),
        "control_stalls": steps["control_stalls"],
        "control_double_steps": steps["control_double_steps"],
        "pictures": steps["pictures"],
        "frames": steps["frames"],
        "gap_ticks_max": last["gap_ticks_max"],
        "gap_ticks_control_max": last["gap_ticks_control_max"],
        "flickers": last["flickers"],
        "disconnects": last["disconnects"],
        "inputs_sent": last["inputs_sent"],
        "audits_missing": last["audits_missing"],
        "walls_off_s": walls_off_s,
        "regions": status["regions"].as_array().map(Vec::len),
    }))
}

/// What is looked at afterwards.
fn keep(from: &std::path::Path, to: &std::path::Path) -> Outcome<()> {
    let failed = |error: std::io::Error| Failure::unwritable(to, &error);
    std::fs::create_dir_all(to).map_err(failed)?;
    let _ = std::fs::copy(from.join("horizon.toml"), to.join("horizon.toml"));
    for entry in std::fs::read_dir(from.join("logs")).map_err(failed)?.filter_map(Result::ok) {
        std::fs::copy(entry.path(), to.join(entry.file_name())).map_err(failed)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_clock_meets_every_pair_of_rates_and_guards_are_missed() {
        let names: Vec<String> = Row::all().iter().map(Row::name).collect();
        assert_eq!(names.len(), 15);
        for expected in ["skew 30/30", "drift 30/60", "step 60/60", "delay 30/60", "wall 30/60"] {
            assert!(names.iter().any(|name| name == expected), "{expected} in {names:?}");
        }
    }

    #[test]
    fn a_broken_promise_and_a_control_that_saw_nothing_are_named() {
        let options =
            ClocksOptions { json: true, quick: false, seconds: 1, runners: 1, only: None, data: None };
        let row = |stalls: u64, crossings: u64| json!({ "clocks": "step", "hz": "30/60", "stalls": stalls, "double_steps": 0, "lost": 0, "crossings": crossings });
        let broken = |rows: Vec<Value>, controls: Vec<Value>| {
            sum_up(&rows, &[], &controls, &options)["broken"].clone()
        };
        assert_eq!(broken(vec![row(0, 3)], vec![row(5, 3)]), json!([]));
        assert_eq!(broken(vec![row(2, 0)], vec![]), json!(["stalls", "crossings"]));
        let quiet = broken(vec![row(0, 3)], vec![row(0, 3)]);
        assert!(quiet[0].as_str().is_some_and(|text| text.contains("was not noticed")), "{quiet}");
    }
}
