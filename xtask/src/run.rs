//! `cargo xtask run`: a world with bots on this machine, until Ctrl-C or SIGTERM.

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::Args;
use serde_json::Value;
use tokio::time::{Instant, MissedTickBehavior, interval};

use crate::cargo::{self, Built, Profile};
use crate::failure::{Failure, Outcome};
use crate::layout::{self, Plan, Ports};
use crate::load::{Load, Order};
use crate::redis::Store;
use crate::signals::Signals;
use crate::status::Display;
use crate::tree::Tree;
use crate::{configuration::Configuration, http};

/// Bots that ended by themselves come back after this long.
const BOTS_AGAIN_AFTER: Duration = Duration::from_secs(3);

/// What is to run.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Folder of recorded matches; without one, a match that comes with the repository
    #[arg(long)]
    traces: Option<PathBuf>,
    /// Matches side by side: 1 is a world of 2 × 2 regions, 4 one of 3 × 3
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=64))]
    pitches: u32,
    /// Steps per second
    #[arg(long, default_value_t = 30, value_parser = layout::parse_hz)]
    hz: u32,
    /// Configuration to use as it is, instead of one that is written into the data folder
    #[arg(long, conflicts_with_all = ["hz", "port"])]
    config: Option<PathBuf>,
    /// Folder for everything that is written
    #[arg(long, default_value = "data", conflicts_with = "config")]
    data: PathBuf,
    /// Optimise our own crates too: a minute more to build, room for more players
    #[arg(long, conflicts_with = "debug")]
    release: bool,
    /// Optimise dependencies only; the default
    #[arg(long)]
    debug: bool,
    /// Nobody plays until you do
    #[arg(long)]
    no_bots: bool,
    /// Where state is kept
    #[arg(long, default_value = "sqlite", conflicts_with = "config")]
    store: Store,
    /// Players connect here; the ports of the other listeners follow
    #[arg(long, default_value_t = 7777)]
    port: u16,
}

/// Runs until a signal, then ends everything in order.
pub(crate) async fn run(options: Options) -> Outcome<()> {
    let profile = if options.release { Profile::Release } else { Profile::Dev };
    let built = cargo::build(profile)?;
    let mut signals = Signals::new()?;
    let plan = Plan {
        pitches: options.pitches,
        hz: options.hz,
        ports: Ports::from(options.port)?,
        second_edge: None,
        grace_seconds: None,
        store: options.store,
        warm_workers: None,
        drill: layout::Drill::default(),
        region_metres: layout::REGION_METRES,
        one_region: false,
    };
    let file = match &options.config {
        Some(file) => absolute(file)?,
        None => layout::prepare(&absolute(&options.data)?, &plan, options.traces.as_deref(), &built)?,
    };
    eprintln!("starting");
    let mut tree = tokio::select! {
        tree = Tree::start(&built, file) => tree?,
        () = signals.heard() => return Ok(()),
    };
    let order = Order::matches(&plan.centres_argument(), 0, options.traces.as_deref());
    let mut bots = (!options.no_bots).then(|| Bots::new(&built, order));
    let display = Display::default();
    greet(tree.configuration(), &display);
    let outcome = tokio::select! {
        failure = watch(&mut tree, bots.as_mut(), display) => Err(failure),
        () = signals.heard() => Ok(()),
    };
    println!("\nstopping; a second Ctrl-C ends everything by force");
    let load = bots.as_mut().and_then(|bots| bots.load.as_mut());
    let told = tokio::select! {
        told = tree.stop(load) => told,
        () = signals.heard() => vec!["everything was killed, as you asked".to_owned()],
    };
    for sentence in &told {
        println!("  {sentence}");
    }
    if told.is_empty() {
        println!("stopped: players were told, state is durable, no process is left");
    }
    outcome
}

/// Bots that come back.
struct Bots {
    built: Built,
    order: Order,
    load: Option<Load>,
    due: Option<Instant>,
    started: bool,
}

impl Bots {
    fn new(built: &Built, order: Order) -> Self {
        Self { built: built.clone(), order, load: None, due: Some(Instant::now()), started: false }
    }

    /// Starts them when they are due; returns a sentence where they ended. Never ready otherwise.
    async fn keep(&mut self, configuration: &Configuration, logs: &Path) -> Outcome<String> {
        if let Some(due) = self.due {
            tokio::time::sleep_until(due).await;
            self.due = None;
            let load = Load::start(&self.built, configuration, &self.order, logs, self.started)?;
            (self.load, self.started) = (Some(load), true);
        }
        let Some(load) = &mut self.load else { return std::future::pending().await };
        let status = load.child.ended().await;
        let told = format!("the bots ended ({status}) and come back in {} s", BOTS_AGAIN_AFTER.as_secs());
        let told = if status.success() { told } else { format!("{told}\n{}", load.child.tail()) };
        self.load = None;
        self.due = Some(Instant::now() + BOTS_AGAIN_AFTER);
        Ok(told)
    }
}

/// Shows what happens and keeps the processes alive. Ends only where that is no use.
async fn watch(tree: &mut Tree, mut bots: Option<&mut Bots>, mut display: Display) -> Failure {
    let mut second = interval(Duration::from_secs(1));
    second.set_missed_tick_behavior(MissedTickBehavior::Skip);
    let admin = tree.configuration().admin;
    loop {
        let (configuration, logs) = (tree.configuration().clone(), tree.logs().clone());
        let keep = async {
            match &mut bots {
                Some(bots) => bots.keep(&configuration, &logs).await,
                None => std::future::pending().await,
            }
        };
        let told = tokio::select! {
            told = keep => told,
            told = tree.mend() => told,
            _ = second.tick() => {
                let world = http::json(admin, "/api/status").await.unwrap_or(Value::Null);
                let latest = bots.as_ref().and_then(|bots| Some(bots.load.as_ref()?.latest()));
                display.status(&world, &latest.unwrap_or(Value::Null));
                continue;
            }
        };
        match told {
            Ok(sentence) => display.event(&sentence),
            Err(failure) => return failure,
        }
    }
}

fn greet(configuration: &Configuration, display: &Display) {
    let (page, admin) = (configuration.page(), configuration.admin);
    let (authority, logs) = (configuration.authority.display(), configuration.data.join("logs"));
    display.event(&format!(
        "
Horizon runs.

  open     {page}
           Your browser will warn: the certificate comes from the development authority of this world, which
           nobody else knows. Go on past the warning (\"Advanced\", then \"Proceed\"), or trust the authority:
           import {authority}
           into the browser's certificate authorities; for curl: --cacert {authority}
  admin    http://{admin}/api/status, /metrics, /healthz, /readyz
  logs     {}
  stop     Ctrl-C
",
        logs.display()
    ));
}

fn absolute(path: &Path) -> Outcome<PathBuf> {
    Ok(std::path::absolute(path).map_err(|error| format!("cannot use {}: {error}", path.display()))?)
}
