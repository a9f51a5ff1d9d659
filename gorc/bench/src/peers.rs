//! Other libraries on the same movement, each in a program of its own under `peers/`.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

use crate::movement::{Movement, Truth};
use crate::outcome::Outcome;

/// First bytes of a movement file.
const MAGIC: &[u8; 8] = b"HMOV1\0\0\0";
/// Objects that each client of a movement file sees.
const VISIBLE: usize = 60;
/// Steps of a movement file: a warm-up of 60 and 300 that count.
const STEPS: usize = 360;

/// A peer that could not be measured.
#[derive(Debug, thiserror::Error)]
pub enum PeerError {
    /// The file with the movement could not be written.
    #[error("cannot write {path}: {error}")]
    Write {
        /// Where.
        path: PathBuf,
        /// Why not.
        error: io::Error,
    },
    /// Install what the peer needs, or leave `--peers` away.
    #[error("cannot start {program}: {error}")]
    Start {
        /// What was called.
        program: String,
        /// Why not.
        error: io::Error,
    },
    /// What it said is on standard error.
    #[error("{program} failed ({status}) or printed no JSON line")]
    Failed {
        /// What was called.
        program: String,
        /// How it ended.
        status: String,
    },
}

/// Writes what `movement` does as a movement file: each client sees its nearest at the first step, itself
/// among them, and an object is the three numbers x, y and heading, all of which change at every step.
///
/// # Errors
///
/// [`io::Error`] of the file.
pub fn write_movement(path: &Path, movement: &mut dyn Movement, hz: u64) -> io::Result<()> {
    let mut file = BufWriter::new(File::create(path)?);
    let players = movement.count();
    file.write_all(MAGIC)?;
    for number in [players as u64, STEPS as u64, hz, VISIBLE as u64] {
        file.write_all(&(number as u32).to_le_bytes())?;
    }
    let mut now = vec![Truth::default(); players];
    for step in 0..STEPS {
        movement.step(&mut now);
        if step == 0 {
            for number in views(&now) {
                file.write_all(&number.to_le_bytes())?;
            }
        }
        for truth in &now {
            for number in [truth.metres[0] as f32, truth.metres[1] as f32, truth.yaw] {
                file.write_all(&number.to_le_bytes())?;
            }
        }
    }
    file.flush()
}

/// The nearest of each object, in order of their numbers.
fn views(now: &[Truth]) -> Vec<u32> {
    let mut views = Vec::with_capacity(now.len() * VISIBLE);
    for from in now {
        let metres = |to: &u32| crate::movement::distance(from.metres, now[*to as usize].metres);
        let mut all: Vec<u32> = (0..now.len() as u32).collect();
        let visible = VISIBLE.min(all.len());
        all.sort_by(|a, b| metres(a).total_cmp(&metres(b)).then(a.cmp(b)));
        all[..visible].sort_unstable();
        views.extend_from_slice(&all[..visible]);
    }
    views
}

/// Runs every peer that is there on `movement`, and says how many times more it needs than `ours`.
///
/// # Errors
///
/// [`PeerError`] of the first that fails.
pub fn compare(movement: &mut dyn Movement, hz: u64, ours: &Outcome) -> Result<Value, PeerError> {
    let file = std::env::temp_dir().join(format!("horizon-movement-{}.bin", std::process::id()));
    write_movement(&file, movement, hz).map_err(|error| PeerError::Write { path: file.clone(), error })?;
    let found = run_all(&file, ours);
    // A file in the folder for temporary ones; if it stays, nobody is harmed.
    let _ = std::fs::remove_file(&file);
    found
}

fn run_all(file: &Path, ours: &Outcome) -> Result<Value, PeerError> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("peers");
    let mut found = json!({});
    let colyseus = folder.join("colyseus");
    if colyseus.join("package.json").exists() {
        if !colyseus.join("node_modules").exists() {
            eprintln!("installing {}", colyseus.display());
            said(
                Command::new("npm")
                    .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"])
                    .current_dir(&colyseus),
            )?;
        }
        let line = said(Command::new("node").arg("bench.mjs").arg(file).current_dir(&colyseus))?;
        found["colyseus"] = with_ratios(parse("node", &line)?, ours);
    }
    let naia = folder.join("naia");
    if naia.join("Cargo.toml").exists() {
        let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
        let mut command = Command::new(&cargo);
        command.args(["run", "--release", "--locked", "--quiet", "--"]).arg(file).current_dir(&naia);
        found["naia"] = with_ratios(parse(&cargo, &said(&mut command)?)?, ours);
    }
    Ok(found)
}

/// What a program prints.
fn said(command: &mut Command) -> Result<String, PeerError> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.stderr(std::process::Stdio::inherit()).output();
    let output = output.map_err(|error| PeerError::Start { program: program.clone(), error })?;
    if !output.status.success() {
        return Err(PeerError::Failed { program, status: output.status.to_string() });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn parse(program: &str, said: &str) -> Result<Value, PeerError> {
    let lines = said.lines().rev().filter(|line| line.starts_with('{'));
    let parsed = lines.filter_map(|line| serde_json::from_str(line).ok()).next();
    parsed.ok_or_else(|| PeerError::Failed { program: program.to_owned(), status: "ended well".to_owned() })
}

/// How many times our time and our bytes a peer needs, beside what it said.
fn with_ratios(mut peer: Value, ours: &Outcome) -> Value {
    let bytes_per_tick = ours.payload_bytes_per_client_s.map(|bytes| bytes / ours.hz as f64);
    for (ratio, theirs, ours) in [
        ("cpu_ratio", "ms_per_tick_p50", ours.cpu_ms_per_tick_p50),
        ("bytes_ratio", "bytes_per_client_tick", bytes_per_tick),
    ] {
        let times = peer[theirs].as_f64().zip(ours).map(|(theirs, ours)| theirs / ours);
        peer[ratio] = json!(crate::outcome::rounded(times, 2));
    }
    peer
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::movement::{Movers, Square};

    #[test]
    fn a_movement_file_is_as_long_as_its_header_says() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("m.bin");
        write_movement(&path, &mut Movers::new(1, 80, Square::centred(50.0), 30), 30).expect("written");
        let bytes = std::fs::read(&path).expect("there");
        assert_eq!(bytes.len(), 24 + 4 * 80 * VISIBLE + 12 * 80 * STEPS);
        let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
        assert_eq!([word(8), word(12), word(16), word(20)], [80, 360, 30, 60]);
        let view: Vec<u32> = (0..VISIBLE).map(|n| word(24 + 4 * n)).collect();
        assert!(view.is_sorted() && view[0] == 0 && view.iter().all(|n| *n < 80));
    }

    #[test]
    fn ratios_are_theirs_by_ours() {
        let ours = Outcome {
            hz: 30,
            cpu_ms_per_tick_p50: Some(0.5),
            payload_bytes_per_client_s: Some(3000.0),
            ..Outcome::default()
        };
        let peer = parse("x", "noise\n{\"ms_per_tick_p50\": 8.0, \"bytes_per_client_tick\": 1119}\n");
        let peer = with_ratios(peer.expect("JSON"), &ours);
        assert_eq!((&peer["cpu_ratio"], &peer["bytes_ratio"]), (&json!(16.0), &json!(11.19)));
        assert!(parse("x", "nothing").is_err());
    }
}
