//! The ball's path of a recording, unpacked for the plugin that moves it.

use std::io::Read;
use std::path::{Path, PathBuf};

use flate2::read::GzDecoder;

use crate::cargo::root;
use crate::failure::Outcome;

/// The match that comes with the repository.
const SAMPLE: &str = "tests/load/sample/match.csv.gz";

/// The header and the rows of the ball, which has id 0, of the first recording in `folder`; without one, of
/// the built-in match.
pub(crate) fn ball(folder: Option<&Path>) -> Outcome<String> {
    let path = match folder {
        Some(folder) => first(folder)?,
        None => root().join(SAMPLE),
    };
    let failed = |error: std::io::Error| format!("cannot read the recording {}: {error}", path.display());
    let bytes = std::fs::read(&path).map_err(failed)?;
    let mut text = String::new();
    let read = if bytes.starts_with(&[0x1f, 0x8b]) {
        GzDecoder::new(bytes.as_slice()).read_to_string(&mut text)
    } else {
        bytes.as_slice().read_to_string(&mut text)
    };
    read.map_err(failed)?;
    Ok(rows_of_ball(&text))
}

fn rows_of_ball(text: &str) -> String {
    let is_ball = |line: &&str| line.split(',').nth(1).is_some_and(|id| id == "id" || id == "0");
    text.lines().filter(is_ball).map(|line| format!("{line}\n")).collect()
}

fn first(folder: &Path) -> Outcome<PathBuf> {
    let failed = |error: &dyn std::fmt::Display| {
        format!("cannot use the recordings in {}: {error}; correct --traces", folder.display())
    };
    let entries = std::fs::read_dir(folder).map_err(|error| failed(&error))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| [".csv", ".csv.gz"].iter().any(|end| path.to_string_lossy().ends_with(end)));
    paths.sort();
    Ok(paths.into_iter().next().ok_or_else(|| failed(&"there is no .csv or .csv.gz file"))?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_ball_is_left() {
        let text = "t_ms,id,x,y,z,yaw,vx,vy,vz\n0,0,1,2,3,0,0,0,0\n0,1,1,2,3,0,0,0,0\n7,0,1,2,3,0,0,0,0\n";
        assert_eq!(rows_of_ball(text), "t_ms,id,x,y,z,yaw,vx,vy,vz\n0,0,1,2,3,0,0,0,0\n7,0,1,2,3,0,0,0,0\n");
        assert!(ball(None).expect("it comes with the repository").lines().count() > 100);
    }
}
