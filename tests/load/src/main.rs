//! `load`: players for a running world. The last line on standard output is one JSON object that says what
//! they saw; everything else but status lines goes to standard error.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use horizon_client::Trust;
use horizon_load::bot::SpellingChoice;
use horizon_load::fleet::{self, Line, Plan};
use horizon_load::hiccup::Fault;
use horizon_load::totals::Totals;
use horizon_load::trace::Match;
use rustix::time::{ClockId, clock_gettime};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tracing::{Level, warn};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::prelude::*;

/// Many small objects live and die here on several threads. What the allocator of the system costs then is in
/// docs/benchmarks.md, "A killed region".
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Everybody has said goodbye by then, or will not any more: the report's patience and some.
const LEAVE_TIMEOUT: Duration = Duration::from_secs(25);

/// Plays recorded matches in a running world and checks what every player sees.
#[derive(Debug, Parser)]
#[command(name = "load")]
struct Arguments {
    /// An edge of the world, wss://host:port/; give several to spread the players
    #[arg(long, required = true)]
    url: Vec<String>,
    /// PEM file of the authority that signed the edges' certificates
    #[arg(long)]
    ca: PathBuf,
    /// Folder of recordings; otherwise HORIZON_TRACES, otherwise a built-in match
    #[arg(long)]
    traces: Option<PathBuf>,
    /// Centres of the pitches in metres, as 0,0;250,0
    #[arg(long, default_value = "0,0", value_parser = parse_pitches, allow_hyphen_values = true)]
    pitches: Pitches,
    /// Play this long; 0 means until told to stop
    #[arg(long, default_value_t = 60)]
    seconds: u64,
    /// One player per body who respawns, instead of a new player after each respawn
    #[arg(long)]
    respawns: bool,
    /// Play the ball too
    #[arg(long)]
    ball: bool,
    /// Synthetic walkers on top of the matches
    #[arg(long, default_value_t = 0)]
    bots: u64,
    /// Their pace in metres per second
    #[arg(long, default_value_t = horizon_load::walker::PACE)]
    pace: f64,
    /// Walkers who join within a second
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1000))]
    joins_per_second: u32,
    /// Nobody talks and pictures are not compared, so that bots cost little
    #[arg(long)]
    quiet: bool,
    /// Lines on standard input tell of faults, as they are caused: nanoseconds of the monotonic clock, and
    /// `edge` behind them where it is one that ends and not a region
    #[arg(long)]
    faults: bool,
    /// No matches, only walkers around the pitches
    #[arg(long)]
    no_matches: bool,
    /// Players who stand in lines: x,y of the first in metres, metres to the next along y, how many; as
    /// -8,0,20,100;8,0,1,1
    #[arg(long, default_value = "", value_parser = parse_lines, allow_hyphen_values = true)]
    standing: Lines,
    /// Everybody speaks horizon.v1; the default
    #[arg(long, conflicts_with_all = ["json", "mixed"])]
    binary: bool,
    /// Everybody speaks horizon.v1.json
    #[arg(long, conflicts_with = "mixed")]
    json: bool,
    /// Both, in turn
    #[arg(long)]
    mixed: bool,
    /// Runners who say for each tick where they are, to and fro over the borders at each pitch
    #[arg(long, default_value_t = 0)]
    runners: u64,
    /// One status line per second
    #[arg(long)]
    status: bool,
    /// Say what each fault was
    #[arg(long)]
    verbose: bool,
}

#[derive(Debug, Clone)]
struct Pitches(Vec<[f64; 2]>);

#[derive(Debug, Clone)]
struct Lines(Vec<Line>);

fn parse_lines(text: &str) -> Result<Lines, String> {
    let line = |words: &str| {
        let mut numbers = words.split(',').map(|word| word.trim().parse::<f64>().ok());
        let mut next = || numbers.next().flatten();
        Some(Line { first: [next()?, next()?], metres: next()?, count: next()? as u64 })
    };
    let lines: Option<Vec<_>> = text.split(';').filter(|words| !words.trim().is_empty()).map(line).collect();
    lines.map(Lines).ok_or_else(|| "expected x,y,metres,count;… with numbers only".to_owned())
}

fn parse_pitches(text: &str) -> Result<Pitches, String> {
    let pitch = |pair: &str| {
        let (x, y) = pair.split_once(',')?;
        Some([x.trim().parse().ok()?, y.trim().parse().ok()?])
    };
    let pitches: Option<Vec<_>> = text.split(';').filter(|pair| !pair.trim().is_empty()).map(pitch).collect();
    match pitches {
        Some(pitches) if !pitches.is_empty() => Ok(Pitches(pitches)),
        _ => Err("expected x,y;x,y in metres".to_owned()),
    }
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let level = if arguments.verbose { Level::DEBUG } else { Level::WARN };
    let filter = Targets::new().with_target("horizon_load", level).with_default(Level::WARN);
    tracing_subscriber::registry()
        .with(tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_filter(filter))
        .init();
    match run(arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            eprintln!("load: nobody could join");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("load: {error}");
            ExitCode::from(64)
        }
    }
}

/// Returns whether anybody joined.
async fn run(arguments: Arguments) -> Result<bool, Box<dyn std::error::Error>> {
    let (seconds, status, faults) = (arguments.seconds, arguments.status, arguments.faults);
    let totals = Arc::new(if arguments.quiet { Totals::quiet() } else { Totals::default() });
    let plan = plan(arguments)?;
    if faults {
        let totals = Arc::clone(&totals);
        std::thread::spawn(move || hear_of_faults(&totals));
    }
    let (stop, stopped) = watch::channel(false);
    let started = Instant::now();
    let end = async {
        match seconds {
            0 => std::future::pending().await,
            seconds => sleep(Duration::from_secs(seconds)).await,
        }
    };
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let fleet = tokio::spawn(fleet::run(plan, Arc::clone(&totals), stopped));
    let lines = Arc::clone(&totals);
    let reporter = tokio::spawn(async move {
        let mut frames = 0;
        for second in 1.. {
            tokio::time::sleep_until(started + Duration::from_secs(second)).await;
            if status {
                print_line(&lines.status(second, &mut frames));
            }
        }
    });
    tokio::select! {
        () = end => {}
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    stop.send_replace(true);
    if timeout(LEAVE_TIMEOUT, fleet).await.is_err() {
        warn!("some players did not leave in time");
    }
    reporter.abort();
    let summary = totals.summary();
    print_line(&summary);
    Ok(summary.sums.players > 0)
}

/// Passes on what is told on standard input. A thread of its own: nothing else waits for it.
fn hear_of_faults(totals: &Totals) {
    let mut number = 0;
    for line in std::io::stdin().lines().map_while(Result::ok) {
        match Fault::read(number + 1, &line, monotonic_ns()) {
            Ok(fault) => {
                number += 1;
                totals.fault(fault);
            }
            Err(error) => warn!(line, %error, "a line that tells of no fault"),
        }
    }
}

fn monotonic_ns() -> u64 {
    let now = clock_gettime(ClockId::Monotonic);
    now.tv_sec.unsigned_abs() * 1_000_000_000 + now.tv_nsec.unsigned_abs()
}

fn plan(arguments: Arguments) -> Result<Plan, Box<dyn std::error::Error>> {
    let traces = arguments.traces.or_else(|| std::env::var_os("HORIZON_TRACES").map(PathBuf::from));
    let matches = match traces {
        Some(folder) => Match::load_all(&folder)?,
        None => vec![Match::sample()],
    };
    let mut matches: Vec<_> = matches.into_iter().map(Arc::new).collect();
    if arguments.no_matches {
        matches = vec![Arc::new(Match { tracks: Vec::new(), length: Duration::from_secs(60) })];
    }
    let spelling = match (arguments.json, arguments.mixed) {
        (true, _) => SpellingChoice::Json,
        (_, true) => SpellingChoice::Mixed,
        _ => SpellingChoice::Binary,
    };
    Ok(Plan {
        urls: arguments.url,
        trust: Trust::Config(Trust::CaFile(arguments.ca).config()?),
        spelling,
        matches,
        pitches: arguments.pitches.0,
        respawns: arguments.respawns,
        ball: arguments.ball,
        walkers: arguments.bots,
        standing: arguments.standing.0,
        runners: arguments.runners,
        pace: arguments.pace,
        stagger: Duration::from_secs(1) / arguments.joins_per_second,
        prefix: format!("b{:04x}", std::process::id() & 0xffff),
    })
}

/// Lines are whole even where the reader is slow; a reader that is gone is not our problem.
fn print_line<T: serde::Serialize>(value: &T) {
    use std::io::Write;
    let line = serde_json::to_string(value).expect("plain numbers are always JSON");
    let mut out = std::io::stdout().lock();
    if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
        warn!("nobody reads the status lines");
    }
}
