//! What one server tick costs with naia: N entities, N clients, each with the entities it sees.
//!
//! Usage: `horizon-gorc-peer-naia MOVEMENT [WARMUP_TICKS [TICKS]]`. Prints one JSON line, described in
//! `../README.md`. Fails when one of three clients does not hold, after every tick, exactly the entities
//! it sees with exactly the values of the source.

mod movement;
mod session;
mod wire;
mod world;

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use movement::{Movement, ReadMovementError};
use rustix::time::{ClockId, clock_gettime};
use session::{Session, SessionError};

const USAGE: &str = "usage: horizon-gorc-peer-naia MOVEMENT [WARMUP_TICKS, at least 1 [TICKS]]";
/// naia's client reads packets when it takes its tick events, and applies them when it next processes packets.
const CLIENT_DELAY_TICKS: usize = 1;
const LOCK: &str = include_str!("../Cargo.lock");

#[derive(Debug, thiserror::Error)]
enum PeerError {
    #[error("{USAGE}")]
    Usage,
    #[error(transparent)]
    Movement(#[from] ReadMovementError),
    #[error("{ticks} ticks leave nothing to measure after {warmup} warm-up ticks")]
    TooShort { ticks: usize, warmup: usize },
    #[error(transparent)]
    Session(#[from] SessionError),
}

fn main() -> ExitCode {
    match run() {
        Ok(line) => {
            println!("{line}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<String, PeerError> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (path, numbers) = arguments.split_first().ok_or(PeerError::Usage)?;
    let numbers: Vec<usize> = numbers
        .iter()
        .map(|number| number.parse().map_err(|_| PeerError::Usage))
        .collect::<Result<_, _>>()?;
    let (warmup, wanted) = match numbers[..] {
        [] => (60, 300),
        [warmup] => (warmup, 300),
        [warmup, ticks] => (warmup, ticks),
        _ => return Err(PeerError::Usage),
    };
    if warmup == 0 || wanted == 0 {
        return Err(PeerError::Usage);
    }
    let movement = Movement::read(Path::new(path))?;
    if movement.ticks <= warmup {
        return Err(PeerError::TooShort { ticks: movement.ticks, warmup });
    }
    let ticks = movement.ticks.min(warmup + wanted);
    Ok(measure(&movement, warmup, ticks)?)
}

fn measure(movement: &Movement, warmup: usize, ticks: usize) -> Result<String, SessionError> {
    let checked = [0, movement.players / 2, movement.players - 1];
    let mut session = Session::start(movement)?;
    let (mut send, mut wall, mut receive) = (vec![], vec![], vec![]);
    let (mut bytes, mut packets, mut updates) = (0, 0, 0);
    for tick in 0..ticks {
        let start = cpu();
        session.receive();
        let received = cpu() - start;

        session.take_sent();
        let (start, wall_start) = (cpu(), Instant::now());
        session.send(tick);
        let (sent, took) = (cpu() - start, wall_start.elapsed());
        let traffic = session.take_sent();

        session.run_clients();
        if let Some(shown) = tick.checked_sub(CLIENT_DELAY_TICKS) {
            for client in checked {
                session.check(client, shown)?;
            }
        }
        if tick >= warmup {
            receive.push(received);
            send.push(sent);
            wall.push(took);
            bytes += traffic.bytes;
            packets += traffic.packets;
            updates += movement.updates_at(tick);
        }
    }

    let client_ticks = (movement.players * (ticks - warmup)) as f64;
    let per_update =
        if updates == 0 { "null".to_owned() } else { format!("{:.2}", bytes as f64 / updates as f64) };
    let mean = send.iter().sum::<Duration>().as_secs_f64() * 1e3 / send.len() as f64;
    Ok(format!(
        concat!(
            r#"{{"peer":"naia","version":"{}","node":null,"players":{},"visible":{},"ticks":{},"#,
            r#""ms_per_tick_p50":{:.3},"ms_per_tick_p99":{:.3},"ms_per_tick_mean":{:.3},"#,
            r#""wall_ms_per_tick_p50":{:.3},"receive_ms_per_tick_p50":{:.3},"#,
            r#""bytes_per_client_tick":{:.1},"bytes_per_update":{},"packets_per_client_tick":{:.2}}}"#,
        ),
        version(),
        movement.players,
        movement.visible,
        ticks - warmup,
        percentile(&mut send, 50),
        percentile(&mut send, 99),
        mean,
        percentile(&mut wall, 50),
        percentile(&mut receive, 50),
        bytes as f64 / client_ticks,
        per_update,
        packets as f64 / client_ticks,
    ))
}

/// CPU time of this process, user and system, of all its threads.
fn cpu() -> Duration {
    clock_gettime(ClockId::ProcessCPUTime).try_into().expect("CPU time is never negative")
}

/// Nearest-rank percentile, in milliseconds. The samples are sorted on the way.
fn percentile(samples: &mut [Duration], percent: usize) -> f64 {
    samples.sort_unstable();
    let rank = (percent * samples.len()).div_ceil(100).max(1);
    samples[rank - 1].as_secs_f64() * 1e3
}

/// naia's version, as the lock file has it.
fn version() -> &'static str {
    let (_, entry) = LOCK.split_once("name = \"naia-server\"\nversion = \"").expect("it is a dependency");
    entry.split_once('"').expect("strings are closed").0
}
