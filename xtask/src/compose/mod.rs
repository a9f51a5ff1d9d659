//! `cargo xtask compose`: the world of docker-compose.yml on a real engine, from nothing to nothing.
//!
//! Bots replay a match across its borders, through both edges, while what can end is ended one after the other:
//! a region server, an edge, Redis, workers that are scaled away, everything. None of them may lose an input.

mod engine;
mod images;

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::cargo::{self, Profile};
use crate::failure::{Failure, Outcome};
use crate::load::{Load, Order};
use engine::Engine;

/// Images and downloads aside, everything that is waited for takes seconds.
const PATIENCE: Duration = Duration::from_secs(120);
const LOOK_AGAIN: Duration = Duration::from_millis(200);
/// Between two faults, so that what the one costs is over.
const SETTLE: Duration = Duration::from_secs(5);
/// Bots may take this long to compare accounts and leave.
const LEAVE_WITHIN: Duration = Duration::from_secs(60);
/// Where the regions of deploy/horizon.toml meet.
const CENTRE: &str = "0,0";
const REGIONS: usize = 4;
const WORKERS: usize = 5;

/// How the world of docker-compose.yml is tried.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Recorded matches to replay, in place of the built-in sample
    #[arg(long)]
    traces: Option<PathBuf>,
    /// Make the base images from Debian's packages and this machine's compiler: for where no image registry can
    /// be reached. Takes root and the program debootstrap
    #[arg(long)]
    local_images: bool,
    /// Leave everything running at the end
    #[arg(long)]
    keep: bool,
}

/// Runs it, and prints one JSON object.
pub(crate) async fn run(options: &Options) -> Outcome<()> {
    let built = cargo::build(Profile::Release)?;
    let mut engine = Engine::find()?;
    if options.local_images {
        images::make(&mut engine)?;
    }
    eprintln!("building the image");
    engine.compose(&["build", "setup"])?;
    engine.compose(&["down", "--volumes", "--remove-orphans"])?;
    let folder = tempfile::tempdir().map_err(|error| format!("no temporary folder: {error}"))?;
    let mut trial = Trial { engine, load: None, steps: Vec::new() };
    let went = trial.go(&built, options, folder.path()).await;
    if went.is_err() {
        trial.engine.show_logs();
    }
    if let Some(mut load) = trial.load.take() {
        load.stop(Duration::from_secs(1)).await;
    }
    if !options.keep {
        trial.engine.compose(&["down", "--volumes", "--remove-orphans"])?;
    }
    let found = went?;
    println!("{found}");
    match found["broken"].as_array() {
        Some(broken) if broken.is_empty() => Ok(()),
        _ => Err(Failure::with_code("something was lost or did not come back; see `broken` above", None)),
    }
}

struct Trial {
    engine: Engine,
    load: Option<Load>,
    steps: Vec<Value>,
}

impl Trial {
    async fn go(
        &mut self,
        built: &cargo::Built,
        options: &Options,
        folder: &std::path::Path,
    ) -> Outcome<Value> {
        let since = Instant::now();
        self.engine.compose(&["up", "--detach"])?;
        self.healthy(&["atlas-1", "atlas-2"]).await?;
        let healthy_s = since.elapsed().as_secs_f64();
        eprintln!("healthy after {healthy_s:.1} s");
        let first_step_s = self.join(built, options, folder, since).await?;
        let joined = self.players();
        eprintln!("{joined} players; the first one's first step {first_step_s:.1} s after `up`");
        self.crossings(20).await?;

        let victim = self.engine.serving_worker()?;
        self.step("kill region-server", &["kill", &victim], &["start", &victim], WORKERS).await?;
        self.step("kill edge", &["kill", "atlas-1"], &["start", "atlas-1"], WORKERS).await?;
        self.step("restart redis", &["restart", "redis"], &[], WORKERS).await?;
        self.scale(WORKERS + 2).await?;
        self.scale(WORKERS).await?;
        let since = Instant::now();
        self.engine.compose(&["restart"])?;
        self.recovered("restart everything", since, WORKERS).await?;

        let load = self.load.as_mut().expect("it was started");
        let last = load.stop_and_read(LEAVE_WITHIN).await?;
        self.load = None;
        Ok(self.verdict(healthy_s, first_step_s, joined, &last))
    }

    fn verdict(&self, healthy_s: f64, first_step_s: f64, joined: u64, last: &Value) -> Value {
        let wanted = [
            "inputs_lost",
            "inputs_duplicated",
            "inputs_reordered",
            "events_lost",
            "events_duplicated",
            "audits_missing",
        ];
        let mut broken: Vec<&str> = wanted.into_iter().filter(|key| last[*key] != 0).collect();
        if last["crossings"].as_u64().unwrap_or(0) == 0 || joined == 0 {
            broken.push("crossings");
        }
        json!({
            "engine": self.engine.version(),
            "compose": self.engine.compose_version(),
            "healthy_s": healthy_s,
            "first_step_s": first_step_s,
            "players": joined,
            "steps": self.steps,
            "crossings": last["crossings"],
            "inputs_sent": last["inputs_sent"],
            "inputs_lost": last["inputs_lost"],
            "inputs_duplicated": last["inputs_duplicated"],
            "inputs_reordered": last["inputs_reordered"],
            "broken": broken,
            "bots": last,
        })
    }

    /// Starts the bots, half of them at each edge. Seconds from `since` to the first frame of the first of them.
    async fn join(
        &mut self,
        built: &cargo::Built,
        options: &Options,
        folder: &std::path::Path,
        since: Instant,
    ) -> Outcome<f64> {
        let authority = folder.join("ca.pem");
        let pem = self.engine.exec("atlas-1", &["cat", "data/pki/ca.pem"])?;
        std::fs::write(&authority, pem).map_err(|error| Failure::unwritable(&authority, &error))?;
        let [first, second] = self.engine.urls();
        let order = Order::matches(CENTRE, 0, options.traces.as_deref()).also_at(&second);
        let load = Load::connect(built, (&first, &authority), &order, folder, false)?;
        self.load = Some(load);
        self.until("bots to walk", |trial| Ok(trial.latest()["frames_per_s"].as_u64().unwrap_or(0) > 0))
            .await?;
        let first_step_s = since.elapsed().as_secs_f64();
        sleep(SETTLE).await;
        Ok(first_step_s)
    }

    fn latest(&self) -> Value {
        self.load.as_ref().map_or(Value::Null, Load::latest)
    }

    fn players(&self) -> u64 {
        self.latest()["players"].as_u64().unwrap_or(0)
    }

    async fn crossings(&mut self, more: u64) -> Outcome<()> {
        let before = self.latest()["crossings"].as_u64().unwrap_or(0);
        let enough =
            |trial: &mut Self| Ok(trial.latest()["crossings"].as_u64().unwrap_or(0) >= before + more);
        self.until("crossings", enough).await
    }

    /// Ends something, waits until everybody plays, begins it again and waits until all is as before.
    async fn step(&mut self, name: &str, end: &[&str], begin: &[&str], workers: usize) -> Outcome<()> {
        eprintln!("{name}");
        let since = Instant::now();
        self.engine.act(end)?;
        self.playing().await?;
        if !begin.is_empty() {
            self.engine.act(begin)?;
        }
        self.recovered(name, since, workers).await
    }

    async fn scale(&mut self, workers: usize) -> Outcome<()> {
        eprintln!("{workers} region servers");
        let since = Instant::now();
        let count = format!("region-server={workers}");
        self.engine.compose(&["up", "--detach", "--no-recreate", "--scale", &count])?;
        self.recovered(&format!("scale to {workers}"), since, workers).await
    }

    async fn recovered(&mut self, name: &str, since: Instant, workers: usize) -> Outcome<()> {
        self.healthy(&["atlas-1", "atlas-2"]).await?;
        self.until("every region to be served", |trial| {
            let status = trial.engine.status()?;
            let linked = |worker: &&Value| worker["linked"] == true;
            let found = status["workers"].as_array().map_or(0, |all| all.iter().filter(linked).count());
            let served = |region: &&Value| region["state"] == "serving";
            let regions = status["regions"].as_array().map_or(0, |all| all.iter().filter(served).count());
            Ok(found == workers && regions == REGIONS && status["store"]["up"] == true)
        })
        .await?;
        self.playing().await?;
        let seconds = since.elapsed().as_secs_f64();
        eprintln!("{name}: as before after {seconds:.1} s");
        self.steps.push(json!({ "step": name, "as_before_s": seconds, "players": self.players() }));
        sleep(SETTLE).await;
        self.crossings(3).await
    }

    /// Waits until every bot has news again: what each of them sends is applied.
    async fn playing(&mut self) -> Outcome<()> {
        sleep(Duration::from_secs(2)).await;
        self.until("frames for everybody", |trial| {
            let latest = trial.latest();
            let (frames, players) = (latest["frames_per_s"].as_f64(), latest["players"].as_f64());
            Ok(frames.zip(players).is_some_and(|(frames, players)| players > 0.0 && frames > 25.0 * players))
        })
        .await
    }

    async fn healthy(&mut self, services: &[&str]) -> Outcome<()> {
        for service in services {
            self.until(service, |trial| Ok(trial.engine.health(service)? == "healthy")).await?;
        }
        Ok(())
    }

    async fn until(&mut self, what: &str, mut is: impl FnMut(&mut Self) -> Outcome<bool>) -> Outcome<()> {
        let deadline = Instant::now() + PATIENCE;
        while !is(self)? {
            if Instant::now() > deadline {
                return Err(format!("waited {} s for {what} in vain", PATIENCE.as_secs()).into());
            }
            sleep(LOOK_AGAIN).await;
        }
        Ok(())
    }
}
