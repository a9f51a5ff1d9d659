//! Recorded matches: who was where when.
//!
//! A recording is CSV, plain or gzip, with the columns `t_ms,id,x,y,z,yaw,vx,vy,vz`: milliseconds, body,
//! metres, radians, metres per second. Body 0 is the ball. A jump of more than eight metres between two
//! samples of a body is a respawn.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use flate2::read::GzDecoder;

/// Metres between two samples beyond which a body was put somewhere else.
pub const JUMP_METRES: f64 = 8.0;

/// 75 seconds of a match with eight bodies, for whoever has no recordings at hand.
const SAMPLE: &[u8] = include_bytes!("../sample/match.csv.gz");

/// Where a body was at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Since the match began.
    pub at: Duration,
    /// Metres from the centre of the pitch.
    pub position: [f64; 3],
    /// Radians.
    pub yaw: f32,
    /// Metres per second.
    pub velocity: [f32; 3],
}

/// One body from its first sample to its last.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// Which body of the match; 0 is the ball.
    pub body: u32,
    /// In order of time; at least one.
    pub samples: Vec<Sample>,
}

/// One recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// All bodies, in order of their numbers.
    pub tracks: Vec<Track>,
    /// Time of the last sample.
    pub length: Duration,
}

/// A recording that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TraceError {
    /// Name another folder or file.
    #[error("cannot read {path}: {error}")]
    Io {
        /// Which.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// Not in the format of this module's page.
    #[error("{path}, line {line}: {why}")]
    Line {
        /// Which file.
        path: PathBuf,
        /// Counted from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
    /// The folder has no recordings.
    #[error("{0} holds no .csv or .csv.gz file")]
    Empty(PathBuf),
}

impl Match {
    /// The recording that is part of this program.
    ///
    /// # Panics
    ///
    /// Never: a test reads it.
    pub fn sample() -> Self {
        Self::read(SAMPLE, Path::new("sample/match.csv.gz")).expect("the built-in recording is valid")
    }

    /// Every recording in `folder`, in order of file names.
    ///
    /// # Errors
    ///
    /// [`TraceError`].
    pub fn load_all(folder: &Path) -> Result<Vec<Self>, TraceError> {
        let io = |error| TraceError::Io { path: folder.to_owned(), error };
        let entries = std::fs::read_dir(folder).map_err(io)?;
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.retain(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(".csv") || name.ends_with(".csv.gz")
        });
        paths.sort();
        if paths.is_empty() {
            return Err(TraceError::Empty(folder.to_owned()));
        }
        paths.iter().map(|path| Self::load(path)).collect()
    }

    /// One recording.
    ///
    /// # Errors
    ///
    /// [`TraceError`].
    pub fn load(path: &Path) -> Result<Self, TraceError> {
        let bytes = std::fs::read(path).map_err(|error| TraceError::Io { path: path.to_owned(), error })?;
        Self::read(&bytes, path)
    }

    /// Reads gzip or plain text; `path` is for messages.
    fn read(bytes: &[u8], path: &Path) -> Result<Self, TraceError> {
        let mut text = String::new();
        let outcome = if bytes.starts_with(&[0x1f, 0x8b]) {
            GzDecoder::new(bytes).read_to_string(&mut text)
        } else {
            (&mut &*bytes).read_to_string(&mut text)
        };
        outcome.map_err(|error| TraceError::Io { path: path.to_owned(), error })?;
        let mut bodies: BTreeMap<u32, Vec<Sample>> = BTreeMap::new();
        let mut length = Duration::ZERO;
        for (index, line) in text.lines().enumerate().skip(1).filter(|(_, line)| !line.is_empty()) {
            let (body, sample) = parse(line).map_err(|why| TraceError::Line {
                path: path.to_owned(),
                line: index + 1,
                why,
            })?;
            length = length.max(sample.at);
            bodies.entry(body).or_default().push(sample);
        }
        let tracks = bodies.into_iter().map(|(body, samples)| Track { body, samples }).collect();
        Ok(Self { tracks, length })
    }
}

impl Track {
    /// The stretches between respawns, each a track of its own.
    pub fn split_at_jumps(&self) -> Vec<Self> {
        let stretches = self.samples.chunk_by(|before, after| !is_jump(before, after));
        stretches.map(|samples| Self { body: self.body, samples: samples.to_vec() }).collect()
    }
}

/// Whether a body was put somewhere else between two samples.
pub fn is_jump(before: &Sample, after: &Sample) -> bool {
    let squared: f64 = (0..3).map(|axis| (after.position[axis] - before.position[axis]).powi(2)).sum();
    squared > JUMP_METRES * JUMP_METRES
}

fn parse(line: &str) -> Result<(u32, Sample), String> {
    let columns: Vec<_> = line.split(',').collect();
    let [t_ms, id, numbers @ ..] = columns.as_slice() else { return Err("expected nine columns".to_owned()) };
    let t_ms: u64 = t_ms.parse().map_err(|_| format!("{t_ms:?} is not a number of milliseconds"))?;
    let id = id.parse().map_err(|_| format!("{id:?} is not the number of a body"))?;
    let numbers: Vec<f64> = numbers
        .iter()
        .map(|column| {
            column.parse().ok().filter(|n: &f64| n.is_finite()).ok_or(format!("{column:?} is not a number"))
        })
        .collect::<Result<_, _>>()?;
    let [x, y, z, yaw, vx, vy, vz] = numbers[..] else { return Err("expected nine columns".to_owned()) };
    let velocity = [vx as f32, vy as f32, vz as f32];
    Ok((id, Sample { at: Duration::from_millis(t_ms), position: [x, y, z], yaw: yaw as f32, velocity }))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "t_ms,id,x,y,z,yaw,vx,vy,vz\n";

    fn read(rows: &str) -> Result<Match, TraceError> {
        Match::read(format!("{HEAD}{rows}").as_bytes(), Path::new("test.csv"))
    }

    #[test]
    fn bodies_are_told_apart_and_split_where_they_jump() {
        let rows = "0,1,0,0,0,0,0,0,0\n0,2,5,5,0,0,0,0,0\n100,1,1,0,0,0.5,10,0,0\n200,1,1,30,0,0,0,0,0\n";
        let recording = read(rows).expect("valid");
        assert_eq!(recording.length, Duration::from_millis(200));
        assert_eq!(recording.tracks.len(), 2);
        let stretches = recording.tracks[0].split_at_jumps();
        assert_eq!(stretches.iter().map(|track| track.samples.len()).collect::<Vec<_>>(), [2, 1]);
        assert_eq!(recording.tracks[1].split_at_jumps().len(), 1);
    }

    #[test]
    fn errors_name_file_and_line() {
        for (rows, sentence) in [
            ("0,1,0,0,0,0,0,0,0\n0,1,zero,0,0,0,0,0,0\n", "test.csv, line 3: \"zero\" is not a number"),
            ("0,1,0\n", "test.csv, line 2: expected nine columns"),
            ("soon,1,0,0,0,0,0,0,0\n", "test.csv, line 2: \"soon\" is not a number of milliseconds"),
        ] {
            assert_eq!(read(rows).expect_err(sentence).to_string(), sentence);
        }
    }

    #[test]
    fn the_built_in_match_is_worth_replaying() {
        let recording = Match::sample();
        assert!((60..=90).contains(&recording.length.as_secs()));
        assert!(recording.tracks.len() >= 7);
        let stretches: usize = recording.tracks.iter().map(|track| track.split_at_jumps().len()).sum();
        assert!(stretches > recording.tracks.len(), "it has respawns");
        let flips = |axis: usize| {
            let pairs = recording.tracks.iter().flat_map(|track| track.samples.windows(2));
            pairs.filter(|pair| (pair[0].position[axis] < 0.0) != (pair[1].position[axis] < 0.0)).count()
        };
        assert!(flips(0) + flips(1) > 75, "it crosses the axes more than once a second");
    }
}
