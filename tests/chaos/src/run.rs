//! One cell: a world, four players, one fault at one step of one crossing, and the verdict.

mod judge;

use std::path::{Path, PathBuf};
use std::time::Duration;

use horizon_client::ConnectError;
use rustix::process::Signal;
use serde::Serialize;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout};

use crate::cell::{Cell, Fault, Party};
use crate::player::{Player, REACH_METRES, Walk};
use crate::proxy::{Direction, Directions, ProxyError, Weather};
use crate::world::{self, Serving, Store, World, WorldError};

/// Whatever a test waits for before its fault is there by then.
const DEADLINE: Duration = Duration::from_secs(40);
/// Everybody plays on this long after the last fault at the latest, or is in limbo (I8).
const PLAYS_ON_WITHIN: Duration = Duration::from_secs(20);
/// A control that has gone wrong says so earlier.
const CONTROL_PLAYS_ON_WITHIN: Duration = Duration::from_secs(6);
/// Inputs that must be applied after the fault before play counts as going on.
const PLAYED_ON: u32 = 8;
/// Starts of a world until one has its ports to itself.
const START_TRIES: u32 = 4;
/// Nanoseconds of a world tick.
const TICK_NS: u64 = 1_000_000_000 / 60;

/// What came of a cell.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// What broke, in sentences. Empty is good.
    pub violations: Vec<String>,
    /// 99th percentile over players of their longest time without a frame, milliseconds.
    pub stall_ms_p99: u64,
    /// From the fault until everybody's inputs of after it are applied, seconds.
    pub recovery_s: Option<f64>,
    /// The whole run, seconds.
    pub seconds: f64,
    /// Where the world's files were left, if they were.
    #[serde(skip)]
    pub kept: Option<PathBuf>,
}

/// Why a cell could not be judged.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// Processes.
    #[error(transparent)]
    World(#[from] WorldError),
    /// Players.
    #[error("a player cannot join: {0}")]
    Join(#[from] ConnectError),
    /// Roads.
    #[error(transparent)]
    Proxy(#[from] ProxyError),
    /// The step never came.
    #[error("{0}")]
    NotReached(String),
}

/// How cells are run.
#[derive(Debug, Clone)]
pub struct Setting {
    /// Folder of the programs.
    pub programs: PathBuf,
    /// Where state is kept.
    pub store: Store,
    /// Where players begin, and the dice of the roads.
    pub seed: u64,
    /// Leave the files of a world where something broke.
    pub keep: bool,
}

impl Setting {
    /// Runs one cell, with a guard off if `mutant` names one.
    ///
    /// # Errors
    ///
    /// [`RunError`] where it could not be judged.
    pub async fn run(&self, cell: &Cell, mutant: Option<&str>) -> Result<Outcome, RunError> {
        let begun = Instant::now();
        let world = self.world(cell, mutant).await?;
        let mut run = Run { world, players: Vec::new(), cell: *cell, control: mutant.is_some() };
        let result = run.go(self.seed).await;
        let (mut outcome, failed) = match result {
            Ok(outcome) => (outcome, None),
            Err(error) => {
                let none = Outcome {
                    violations: Vec::new(),
                    stall_ms_p99: 0,
                    recovery_s: None,
                    seconds: 0.0,
                    kept: None,
                };
                (none, Some(error))
            }
        };
        outcome.seconds = begun.elapsed().as_secs_f64();
        let broken = failed.is_some() || (!outcome.violations.is_empty() && mutant.is_none());
        if self.keep && broken {
            let kept = run.world.keep();
            eprintln!("{}: files are left in {}", cell.name(), kept.display());
            outcome.kept = Some(kept);
        }
        match failed {
            Some(error) => Err(error),
            None => Ok(outcome),
        }
    }
}

impl Setting {
    /// A port that was free may be somebody's a moment later; then all of them are chosen anew.
    async fn world(&self, cell: &Cell, mutant: Option<&str>) -> Result<World, WorldError> {
        let mut tries = 1..=START_TRIES;
        loop {
            let last = tries.next() == Some(START_TRIES);
            match World::start(&self.programs, self.store, self.seed, mutant, cell.plugins()).await {
                Err(WorldError::NotReady(_)) if !last => {}
                result => return result,
            }
        }
    }
}

struct Run {
    world: World,
    players: Vec<Player>,
    cell: Cell,
    control: bool,
}

impl Run {
    async fn go(&mut self, seed: u64) -> Result<Outcome, RunError> {
        let mut violations = Vec::new();
        self.join(seed).await?;
        let before = self.world.serving(DEADLINE).await?;
        let order = self.cell.order().expect("only cells that have one are run");
        let count = self.world.line.tell_all(&format!("arm {order}"));
        if timeout(DEADLINE, self.world.line.armed(count)).await.is_err() {
            return Err(RunError::NotReached(format!("not every region server armed {order}")));
        }
        let reached = match timeout(DEADLINE, self.world.line.reached()).await {
            Ok(Some(reached)) => reached,
            _ => return Err(RunError::NotReached(format!("nobody reached {order}{}", self.world.tails()))),
        };
        self.world.line.tell_all("disarm");
        self.players.iter().for_each(Player::measure);
        let sent: Vec<u32> = self.players.iter().map(|player| player.seen().sent).collect();
        let struck = Instant::now();
        // While it lasts, too: who is taken over does not wait for the end of the fault.
        let recovering = self.recovering(&sent, struck);
        self.strike(reached.pid, before, &mut violations).await?;
        // Who reached the same point in the same moment is let go.
        while let Some(other) = self.world.line.reached_already() {
            self.world.line.tell(other.pid, "go");
        }
        self.plays_on(&mut violations).await;
        let recovery = recovering.await.ok().flatten();
        self.judge(&mut violations).await;
        // Of four players the 99th percentile is the last.
        let gaps = self.players.iter().map(|player| (player.seen().longest_gap, player.id));
        let (stall, whose) = gaps.max().expect("there are four players");
        if stall > self.cell.longest_stall() {
            let bound = self.cell.longest_stall().as_millis();
            violations.push(format!(
                "I7: {whose} was shown nothing for {} ms, {bound} are promised",
                stall.as_millis()
            ));
        }
        Ok(Outcome {
            violations,
            stall_ms_p99: u64::try_from(stall.as_millis()).unwrap_or(u64::MAX),
            recovery_s: recovery.map(|time| time.as_secs_f64()),
            seconds: 0.0,
            kept: None,
        })
    }

    /// Two who stand, so that both regions are served, and two who walk.
    async fn join(&mut self, seed: u64) -> Result<(), RunError> {
        let phase = (seed % 7) as f64 * 0.5;
        let walks = [
            ("Ann", Walk { x: -30.0, y: 0.0, walks: false }),
            ("Ben", Walk { x: 30.0, y: 0.0, walks: false }),
            ("Ada", Walk { x: -8.0 + phase, y: 10.0, walks: true }),
            ("Bob", Walk { x: -2.0 - phase, y: 20.0, walks: true }),
        ];
        for (k, (name, walk)) in walks.into_iter().enumerate() {
            let (urls, notes) = (self.world.urls(k)?, self.world.notes.clone());
            let player = Player::join(urls, &self.world.authority(), name, walk, notes).await?;
            self.players.push(player);
        }
        for player in &self.players {
            let others = self.players.iter().map(|other| other.id).filter(|other| *other != player.id);
            player.meet(others.collect());
        }
        Ok(())
    }

    /// The fault itself, to its end.
    async fn strike(
        &mut self,
        reached: u32,
        serving: Serving,
        violations: &mut Vec<String>,
    ) -> Result<(), RunError> {
        let other = if reached == serving.west { serving.east } else { serving.west };
        let (a, b) = match self.cell.reached_by() {
            Party::A => (reached, other),
            Party::B => (other, reached),
        };
        let number = |world: &World, pid| {
            world.number(pid).ok_or_else(|| RunError::NotReached(format!("nobody knows the roads of {pid}")))
        };
        let lasts = self.cell.lasts();
        let both = Directions::Both;
        let (down, up) = (Directions::Only(Direction::Down), Directions::Only(Direction::Up));
        let roads: Vec<(String, Directions)> = match self.cell.fault {
            Fault::CutAB => {
                let (a, b) = (number(&self.world, a)?, number(&self.world, b)?);
                vec![(format!("peer-{a}"), both), (format!("peer-{b}"), both)]
            }
            Fault::CutAStore => vec![(format!("store-{}", number(&self.world, a)?), both)],
            Fault::CutBStore => vec![(format!("store-{}", number(&self.world, b)?), both)],
            Fault::CutAtlasA => vec![(format!("atlas-{}", number(&self.world, a)?), down)],
            Fault::CutAtlasB => vec![(format!("atlas-{}", number(&self.world, b)?), down)],
            Fault::CutAAtlas => vec![(format!("atlas-{}", number(&self.world, a)?), up)],
            Fault::CutBAtlas => vec![(format!("atlas-{}", number(&self.world, b)?), up)],
            // The walkers' first roads.
            Fault::ClientSilent => vec![("player-2".into(), both), ("player-3".into(), both)],
            _ => Vec::new(),
        };
        let go = |world: &World| world.line.tell(reached, "go");
        match self.cell.fault {
            Fault::AKill => {
                world::signal(a, Signal::KILL);
                go(&self.world);
            }
            Fault::BKill => {
                world::signal(b, Signal::KILL);
                go(&self.world);
            }
            Fault::AStop | Fault::BStop => {
                let pid = if self.cell.fault == Fault::AStop { a } else { b };
                world::signal(pid, Signal::STOP);
                go(&self.world);
                sleep(lasts).await;
                world::signal(pid, Signal::CONT);
            }
            Fault::AtlasKill => {
                self.world.kill_atlas().await;
                go(&self.world);
                self.world.start_atlas().await?;
            }
            Fault::StoreKill => {
                self.world.kill_store().await;
                go(&self.world);
                self.world.start_store().await?;
            }
            Fault::StoreOlder => {
                self.world.set_aside().await?;
                go(&self.world);
                // What is acknowledged from here on, the store is going to have lost.
                sleep(lasts).await;
                self.world.go_back().await?;
            }
            Fault::StoreStop5 | Fault::StoreStop12 => {
                let store = self.world.store_pid().unwrap_or_default();
                world::signal(store, Signal::STOP);
                go(&self.world);
                sleep(lasts).await;
                world::signal(store, Signal::CONT);
            }
            Fault::ClientReset => {
                self.world.proxy.reset("player-2")?;
                self.world.proxy.reset("player-3")?;
                go(&self.world);
            }
            Fault::BadRoads => {
                let weather = |delay, jitter| Weather {
                    loss_percent: 5.0,
                    duplicate_percent: 5.0,
                    delay: Duration::from_millis(delay),
                    jitter: Duration::from_millis(jitter),
                    cut: false,
                };
                for pid in [a, b] {
                    let n = number(&self.world, pid)?;
                    self.world.proxy.set(&format!("atlas-{n}"), None, both, weather(5, 20))?;
                    // Beyond the freeze timeout, so that takeback and move race each other.
                    self.world.proxy.set(&format!("peer-{n}"), None, both, weather(90, 60))?;
                }
                go(&self.world);
                sleep(lasts).await;
                self.world.proxy.heal_all();
            }
            Fault::APanic | Fault::BPanic => {}
            // Its plugins go on to panic.
            Fault::PluginPanics => go(&self.world),
            Fault::ADiskFull | Fault::BDiskFull => {
                sleep(lasts).await;
                let pid = if self.cell.fault == Fault::ADiskFull { a } else { b };
                if self.world.line.is_there(pid) {
                    world::signal(pid, Signal::KILL);
                }
            }
            Fault::Repeated | Fault::Late | Fault::PostRepeated | Fault::PostLate => sleep(lasts).await,
            Fault::TooLarge => {
                sleep(lasts).await;
                if !self.world.says("too large to cross") {
                    violations.push("nobody logged that a player is too large to cross".into());
                }
            }
            Fault::Jitter | Fault::PingPong => {
                go(&self.world);
                self.walks_otherwise(violations).await;
            }
            _ => {
                for (road, directions) in &roads {
                    self.world.proxy.cut(road, *directions)?;
                }
                go(&self.world);
                sleep(lasts).await;
                self.world.proxy.heal_all();
            }
        }
        Ok(())
    }

    /// The walkers turn earlier for a while: so early that nobody crosses, or that everybody does each second.
    async fn walks_otherwise(&self, violations: &mut Vec<String>) {
        let walkers = &self.players[2..];
        let jitter = self.cell.fault == Fault::Jitter;
        // At 9 m/s from end to end in a second, or in a quarter of one.
        walkers.iter().for_each(|player| player.reach(if jitter { 1.0 } else { 4.5 }));
        // Whoever is still on the way from further off may cross on it.
        sleep(Duration::from_secs(2)).await;
        let before: Vec<u64> = walkers.iter().map(|player| player.seen().epoch.0).collect();
        sleep(self.cell.lasts()).await;
        for (player, before) in walkers.iter().zip(before) {
            let crossed = player.seen().epoch.0 - before;
            if jitter && crossed > 0 {
                violations.push(format!("{} was handed over {crossed} times for a metre", player.id));
            } else if !jitter && crossed < 3 {
                violations.push(format!("{} crossed {crossed} times only", player.id));
            }
        }
        walkers.iter().for_each(|player| player.reach(REACH_METRES));
    }

    /// How long after the fault everybody's later inputs count; `None` where they never do.
    fn recovering(&self, sent: &[u32], struck: Instant) -> JoinHandle<Option<Duration>> {
        let within = self.cell.lasts() + self.patience();
        let waits: Vec<_> =
            self.players.iter().zip(sent).map(|(player, &sent)| player.applies(within, sent)).collect();
        tokio::spawn(async move {
            for wait in waits {
                if !wait.await {
                    return None;
                }
            }
            Some(struck.elapsed())
        })
    }

    const fn patience(&self) -> Duration {
        if self.control { CONTROL_PLAYS_ON_WITHIN } else { PLAYS_ON_WITHIN }
    }
}

/// The folder with the programs of this build.
///
/// # Errors
///
/// A sentence that says what to do, where there are none.
pub fn programs() -> Result<PathBuf, String> {
    let here = std::env::current_exe().map_err(|error| format!("cannot find the programs: {error}"))?;
    let folder = here.parent().unwrap_or(Path::new(".")).to_owned();
    if folder.join("faulty-atlas").exists() {
        Ok(folder)
    } else {
        Err(format!(
            "there is no faulty-atlas in {}; run `cargo xtask chaos`, which builds it",
            folder.display()
        ))
    }
}
