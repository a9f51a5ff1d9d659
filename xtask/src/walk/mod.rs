//! `cargo xtask walk`: the live page in a headless Chromium, walked by keyboard over borders while a region server
//! and an edge are killed. What is judged is what the page says.
//!
//! ```text
//!   chromium ──https, wss──▶ relay ─┬─▶ edge   (killed; its players go on at the other)
//!      ▲ keys, what is written      └─▶ edge
//!      └── DevTools over a pipe
//! ```

mod browser;
mod relay;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use rustix::process::Signal;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use self::browser::Browser;
use self::relay::Relay;
use crate::cargo::{self, Profile};
use crate::failure::{Failure, Outcome};
use crate::layout::{self, Drill, EdgePorts, Plan, Ports};
use crate::redis::Store;
use crate::signals::Signals;
use crate::tree::Tree;
use crate::{http, procfs};

/// Borders are this far from the edge of the world, metres: a short way from any place.
const REGION_METRES: i64 = 50;
/// Between two looks at the page.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Whoever has crossed nothing for so long is on the way to nowhere, and turns.
const TURN_AFTER: Duration = Duration::from_secs(3);
/// The page has this long to load, to join, and to come back.
const PATIENCE: Duration = Duration::from_secs(20);
/// All of it.
const WALK_WITHIN: Duration = Duration::from_secs(240);

/// How far, and where the picture goes.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Print JSON; there is no other form
    #[arg(long)]
    json: bool,
    /// Borders to cross
    #[arg(long, default_value_t = 40, value_parser = clap::value_parser!(u64).range(3..=10_000))]
    borders: u64,
    /// Save a picture of the page at the end in this PNG file
    #[arg(long)]
    screenshot: Option<PathBuf>,
    /// Leave data and logs in this folder
    #[arg(long)]
    data: Option<PathBuf>,
}

/// Walks, and prints what the page said.
pub(crate) async fn run(options: Options) -> Outcome<()> {
    let Some(program) = browser::find() else {
        eprintln!("skipped: the walk, because there is no chromium (apt-get install chromium)");
        println!("{}", json!({ "skipped": "there is no chromium" }));
        return Ok(());
    };
    let built = cargo::build(Profile::Release)?;
    let mut signals = Signals::new()?;
    let walked = async {
        let temporary = tempfile::TempDir::new().map_err(|error| format!("no temporary folder: {error}"))?;
        let folder = match &options.data {
            Some(path) => std::path::absolute(path).map_err(|error| format!("--data: {error}"))?,
            None => temporary.path().join("world"),
        };
        let plan = Plan {
            pitches: 1,
            hz: 30,
            ports: Ports::free()?,
            second_edge: Some(EdgePorts::free()?),
            grace_seconds: Some(3600),
            store: Store::Sqlite,
            warm_workers: Some(2),
            drill: Drill::default(),
            region_metres: REGION_METRES,
            one_region: false,
        };
        let file = layout::prepare(&folder, &plan, None, &built)?;
        let mut tree = Tree::start_with(&built, file, plan.second_edge).await?;
        let relay = Relay::start(tree.edges().iter().map(|edge| edge.url.clone())).await?;
        let mut page = Browser::open(&program, temporary.path(), &relay.page()).await?;
        let found = walk(&mut page, &mut tree, &relay, &options).await;
        drop(page);
        for sentence in tree.stop(None).await {
            eprintln!("{sentence}");
        }
        found
    };
    let found = tokio::select! {
        found = walked => found?,
        () = signals.heard() => return Err("interrupted; everything was killed".to_owned().into()),
    };
    println!("{found}");
    match found["broken"].as_array().is_some_and(|broken| !broken.is_empty()) {
        true => Err(format!("promises are broken: {}", found["broken"]).into()),
        false => Ok(()),
    }
}

/// What the page shows of its player.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Shown {
    crossings: u64,
    longest_gap_ticks: Option<u64>,
    calm_gap_ticks: Option<u64>,
    reconnects: u64,
    /// Lost, doubled, out of order, of how many.
    ledger: Option<[u64; 4]>,
    playing: bool,
}

/// All that is read from the page.
const READ: &str = "JSON.stringify(Object.fromEntries(['myCrossings', 'myLongest', 'myReconnects', 'myLedger', 'myEpoch'].map((id) => [id, document.getElementById(id)?.textContent ?? ''])))";

impl Shown {
    fn read(text: &str) -> Self {
        let said: Value = serde_json::from_str(text).unwrap_or_default();
        let numbers = |key: &str| -> Vec<u64> {
            let text = said[key].as_str().unwrap_or_default();
            text.split(|letter: char| !letter.is_ascii_digit()).filter_map(|part| part.parse().ok()).collect()
        };
        let gaps = numbers("myLongest");
        Self {
            crossings: numbers("myCrossings").first().copied().unwrap_or(0),
            longest_gap_ticks: gaps.first().copied(),
            calm_gap_ticks: gaps.get(1).copied(),
            reconnects: numbers("myReconnects").first().copied().unwrap_or(0),
            ledger: numbers("myLedger").try_into().ok(),
            playing: !numbers("myEpoch").is_empty(),
        }
    }
}

async fn look(page: &mut Browser) -> Outcome<Shown> {
    Ok(Shown::read(page.evaluate(READ).await?.as_str().unwrap_or_default()))
}

/// Looks until it is as wanted.
async fn wait(page: &mut Browser, what: &str, is: impl Fn(&Shown) -> bool) -> Outcome<Shown> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let shown = look(page).await?;
        if is(&shown) {
            return Ok(shown);
        }
        if Instant::now() > deadline {
            return Err(format!("the page did not show in time that {what}: {shown:?}").into());
        }
        sleep(LOOK_EVERY).await;
    }
}

async fn walk(page: &mut Browser, tree: &mut Tree, relay: &Relay, options: &Options) -> Outcome<Value> {
    let begun = Instant::now();
    // Its script runs once it says how many play.
    page.until("![undefined, '–'].includes(document.getElementById('players')?.textContent)", PATIENCE)
        .await?;
    page.evaluate(
        "document.getElementById('name').value = 'walker'; document.getElementById('joinButton').click()",
    )
    .await?;
    wait(page, "somebody plays", |shown| shown.playing).await?;
    page.key("Shift", true).await?;
    let (mut worker_killed, mut edge_killed) = (None, None);
    let mut shown = look(page).await?;
    let (mut forth, mut told) = (true, 0);
    while shown.crossings < options.borders {
        if begun.elapsed() > WALK_WITHIN {
            return Err(format!("only {} borders were crossed in time", shown.crossings).into());
        }
        // Over the border in the west and back, and later over the one in the south.
        let keys = if shown.crossings % 20 < 10 { ["a", "d"] } else { ["s", "w"] };
        let key = keys[usize::from(!forth)];
        page.key(key, true).await?;
        let (before, since) = (shown.crossings, Instant::now());
        while shown.crossings == before && since.elapsed() < TURN_AFTER {
            sleep(LOOK_EVERY).await;
            shown = look(page).await?;
        }
        page.key(key, false).await?;
        forth = !forth;
        if shown.crossings >= told + 10 {
            told = shown.crossings;
            eprintln!("{shown:?}");
        }
        if worker_killed.is_none() && shown.crossings >= options.borders / 3 {
            worker_killed = kill_worker(tree).await;
        }
        if edge_killed.is_none() && shown.crossings >= options.borders * 2 / 3 {
            edge_killed = Some(kill_edge(page, tree, relay).await?);
            shown = look(page).await?;
        }
    }
    page.key("Shift", false).await?;
    let said = look(page).await?.ledger.map_or(0, |ledger| ledger[3]);
    let end = wait(page, "the ledger was compared again", |shown| {
        shown.ledger.is_some_and(|ledger| ledger[3] > said)
    })
    .await?;
    if let Some(path) = &options.screenshot {
        let picture = page.screenshot().await?;
        std::fs::write(path, picture).map_err(|error| Failure::unwritable(path, &error))?;
    }
    let [lost, doubled, reordered, inputs] = end.ledger.unwrap_or_default();
    let mut found = json!({
        "crossings": end.crossings,
        "longest_gap_ticks": end.longest_gap_ticks,
        "longest_gap_elsewhere_ticks": end.calm_gap_ticks,
        "reconnects": end.reconnects,
        "inputs": inputs,
        "lost": lost,
        "doubled": doubled,
        "reordered": reordered,
        "worker_killed": worker_killed,
        "edge_killed_back_s": edge_killed,
        "seconds": begun.elapsed().as_secs_f64(),
        "machine": procfs::machine(),
    });
    found["broken"] = broken(&found, options.borders).into();
    Ok(found)
}

/// The promises that these figures break, by key. A gap at a border is as long as those elsewhere, or a tick.
fn broken(found: &Value, borders: u64) -> Vec<&'static str> {
    let number = |key: &str| found[key].as_u64();
    let mut broken = Vec::new();
    let mut expect = |key, kept: bool| {
        if !kept {
            broken.push(key)
        }
    };
    expect("crossings", number("crossings").is_some_and(|crossings| crossings >= borders));
    let longest = number("longest_gap_elsewhere_ticks").map(|longest| longest.max(1));
    expect(
        "longest_gap_ticks",
        number("longest_gap_ticks").is_some_and(|gap| longest.is_some_and(|most| gap <= most)),
    );
    expect("reconnects", number("reconnects").is_some_and(|reconnects| reconnects >= 1));
    expect("inputs", number("inputs").is_some_and(|inputs| inputs > 0));
    for key in ["lost", "doubled", "reordered"] {
        expect(key, number(key) == Some(0));
    }
    expect("worker_killed", number("worker_killed").is_some());
    expect("edge_killed_back_s", found["edge_killed_back_s"].as_f64().is_some());
    broken
}

/// Kills the region server that the player is on, and returns its process id.
async fn kill_worker(tree: &Tree) -> Option<u32> {
    for edge in tree.edges() {
        let status = http::json(edge.admin, "/api/status").await?;
        let crowded =
            status["regions"].as_array()?.iter().find(|region| region["sessions"].as_u64() > Some(0));
        let Some(worker) = crowded.map(|region| &region["worker"]) else { continue };
        let workers = status["workers"].as_array()?;
        let Some(pid) =
            workers.iter().find(|one| one["worker"] == *worker).and_then(|one| one["pid"].as_u64())
        else {
            continue;
        };
        let pid = u32::try_from(pid).ok()?;
        eprintln!("killing the region server of process {pid}");
        procfs::signal(pid, Signal::KILL);
        return Some(pid);
    }
    None
}

/// Kills the edge that has the player's socket, starts it again when the player is back at the other one, and
/// returns after how many seconds that was.
async fn kill_edge(page: &mut Browser, tree: &mut Tree, relay: &Relay) -> Outcome<f64> {
    let place = relay.used();
    let before = look(page).await?.reconnects;
    let pid = tree.edges()[place].pid();
    eprintln!("killing the edge of process {pid}");
    let since = Instant::now();
    procfs::signal(pid, Signal::KILL);
    wait(page, "the player is back", |shown| shown.reconnects > before).await?;
    let back_s = since.elapsed().as_secs_f64();
    tree.edge_again(place).await?;
    Ok(back_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_read_as_people_read_it() {
        let text = r#"{"myCrossings":"41","myLongest":"1 tick · 2 ticks","myReconnects":"1","myLedger":"0 · 0 · 0 of 77","myEpoch":"1.12"}"#;
        let shown = Shown::read(text);
        assert_eq!((shown.crossings, shown.longest_gap_ticks, shown.calm_gap_ticks), (41, Some(1), Some(2)));
        assert_eq!((shown.reconnects, shown.ledger, shown.playing), (1, Some([0, 0, 0, 77]), true));
        assert!(!Shown::read(r#"{"myEpoch":"–","myLedger":"–"}"#).playing);
        assert_eq!(Shown::read(""), Shown::default());
    }

    #[test]
    fn a_broken_promise_is_named() {
        let good = json!({
            "crossings": 40, "longest_gap_ticks": 1, "longest_gap_elsewhere_ticks": 0, "reconnects": 1, "inputs": 9,
            "lost": 0, "doubled": 0, "reordered": 0, "worker_killed": 7, "edge_killed_back_s": 0.5,
        });
        assert_eq!(broken(&good, 40), [""; 0]);
        for (key, wrong) in
            [("crossings", 39), ("longest_gap_ticks", 2), ("reconnects", 0), ("lost", 1), ("doubled", 1)]
        {
            let mut bad = good.clone();
            bad[key] = wrong.into();
            assert_eq!(broken(&bad, 40), [key]);
        }
        assert_eq!(broken(&json!({}), 40).len(), 9, "no figure is no promise kept");
    }
}
