//! Recorded matches: who was where when.
//!
//! A recording is CSV, plain or gzip, with the columns `t_ms,id,x,y,z,yaw,vx,vy,vz`: milliseconds, body,
//! metres, radians, metres per second. Body 0 is the ball. A jump of more than eight metres between two
//! samples of a body is a respawn.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

/// Metres between two samples beyond which a body was put somewhere else.
const JUMP_METRES: f64 = 8.0;

/// 75 seconds of a match with eight bodies, for whoever has no recordings at hand.
const SAMPLE: &[u8] = include_bytes!("../../../../tests/load/sample/match.csv.gz");

/// Where a body was at one moment.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sample {
    /// Seconds since the match began.
    pub at: f64,
    /// Metres from the centre of the pitch.
    pub metres: [f64; 3],
    /// Metres per second, as the game reported it.
    pub velocity: [f32; 3],
    /// Radians.
    pub yaw: f32,
}

/// One recording.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// Samples by body, in order of time; at least one each.
    pub bodies: BTreeMap<u32, Vec<Sample>>,
    /// Seconds to the last sample.
    pub length: f64,
}

/// A recording that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecordingError {
    /// Name another folder.
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
    /// [`RecordingError`].
    pub fn load_all(folder: &Path) -> Result<Vec<Self>, RecordingError> {
        let io = |path: &Path, error| RecordingError::Io { path: path.to_owned(), error };
        let entries = std::fs::read_dir(folder).map_err(|error| io(folder, error))?;
        let mut paths: Vec<_> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.retain(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(".csv") || name.ends_with(".csv.gz")
        });
        paths.sort();
        if paths.is_empty() {
            return Err(RecordingError::Empty(folder.to_owned()));
        }
        let read = |path: PathBuf| {
            let bytes = std::fs::read(&path).map_err(|error| io(&path, error))?;
            Self::read(&bytes, &path)
        };
        paths.into_iter().map(read).collect()
    }

    /// Reads gzip or plain text; `path` is for messages.
    fn read(bytes: &[u8], path: &Path) -> Result<Self, RecordingError> {
        let mut text = String::new();
        let outcome = if bytes.starts_with(&[0x1f, 0x8b]) {
            GzDecoder::new(bytes).read_to_string(&mut text)
        } else {
            (&mut &*bytes).read_to_string(&mut text)
        };
        outcome.map_err(|error| RecordingError::Io { path: path.to_owned(), error })?;
        let (mut bodies, mut length): (BTreeMap<u32, Vec<Sample>>, f64) = (BTreeMap::new(), 0.0);
        for (index, line) in text.lines().enumerate().skip(1).filter(|(_, line)| !line.is_empty()) {
            let (body, sample) = parse(line).map_err(|why| RecordingError::Line {
                path: path.to_owned(),
                line: index + 1,
                why,
            })?;
            length = length.max(sample.at);
            bodies.entry(body).or_default().push(sample);
        }
        Ok(Self { bodies, length })
    }
}

/// Whether a body was put somewhere else between two samples.
pub(super) fn is_jump(before: &Sample, after: &Sample) -> bool {
    super::distance(before.metres, after.metres) > JUMP_METRES
}

fn parse(line: &str) -> Result<(u32, Sample), String> {
    let columns: Vec<_> = line.split(',').collect();
    let [t_ms, id, numbers @ ..] = columns.as_slice() else { return Err("expected nine columns".to_owned()) };
    let t_ms: u64 = t_ms.parse().map_err(|_| format!("{t_ms:?} is not a number of milliseconds"))?;
    let id = id.parse().map_err(|_| format!("{id:?} is not the number of a body"))?;
    let number = |column: &&str| {
        column.parse().ok().filter(|n: &f64| n.is_finite()).ok_or(format!("{column:?} is not a number"))
    };
    let numbers: Vec<f64> = numbers.iter().map(number).collect::<Result<_, _>>()?;
    let [x, y, z, yaw, vx, vy, vz] = numbers[..] else { return Err("expected nine columns".to_owned()) };
    let velocity = [vx as f32, vy as f32, vz as f32];
    Ok((id, Sample { at: t_ms as f64 / 1000.0, metres: [x, y, z], velocity, yaw: yaw as f32 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_built_in_match_is_worth_replaying() {
        let recording = Match::sample();
        assert!((60.0..=90.0).contains(&recording.length));
        assert!(recording.bodies.len() >= 7);
        let jumps = recording.bodies.values().flat_map(|samples| samples.windows(2));
        assert!(jumps.filter(|pair| is_jump(&pair[0], &pair[1])).count() > 0, "it has respawns");
    }

    #[test]
    fn errors_name_file_and_line() {
        let head = "t_ms,id,x,y,z,yaw,vx,vy,vz\n";
        for (rows, sentence) in [
            ("0,1,0,0,0,0,0,0,0\n0,1,zero,0,0,0,0,0,0\n", "test.csv, line 3: \"zero\" is not a number"),
            ("0,1,0\n", "test.csv, line 2: expected nine columns"),
            ("soon,1,0,0,0,0,0,0,0\n", "test.csv, line 2: \"soon\" is not a number of milliseconds"),
        ] {
            let outcome = Match::read(format!("{head}{rows}").as_bytes(), Path::new("test.csv"));
            assert_eq!(outcome.expect_err(sentence).to_string(), sentence);
        }
    }
}
