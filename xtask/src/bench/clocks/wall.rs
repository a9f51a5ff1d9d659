//! Wall clocks that are wrong, drift and are stepped while the world runs: by `libfaketime`, for each process
//! its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::failure::{Failure, Outcome};

/// Where the library is, by Debian's names for processors.
const LIBRARIES: [&str; 2] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
];
/// Whose clocks, and by how many seconds they are off at first.
const CLOCKS: [(&str, f64); 6] = [
    ("store", 60.0),
    ("atlas", -60.0),
    ("region-0", -0.1),
    ("region-1", 0.1),
    ("region-2", 60.0),
    ("region-3", -60.0),
];
/// They gain so many seconds a second.
const DRIFT: f64 = 0.002;
/// And change sides this often, in one step.
const STEP_EVERY: Duration = Duration::from_secs(5);
/// Time between two words to them.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// The wall clocks of one world.
pub(super) struct Walls {
    folder: PathBuf,
    library: Option<&'static str>,
    over: Arc<AtomicBool>,
}

impl Walls {
    /// Wrong from now on, until it is dropped. Where the library is missing they are right, and that is said.
    pub(super) fn start(world: &Path) -> Outcome<Self> {
        let folder = world.join("walls");
        std::fs::create_dir_all(&folder).map_err(|error| Failure::unwritable(&folder, &error))?;
        let library = LIBRARIES.into_iter().find(|path| Path::new(path).exists());
        let over = Arc::new(AtomicBool::new(false));
        if library.is_none() {
            eprintln!(
                "skipped: wrong wall clocks, because libfaketime is missing (apt-get install faketime)"
            );
        }
        tell(&folder, Duration::ZERO).map_err(|error| Failure::unwritable(&folder, &error))?;
        let (begun, told, ends) = (Instant::now(), folder.clone(), Arc::clone(&over));
        tokio::spawn(async move {
            while !ends.load(Ordering::Relaxed) {
                tokio::time::sleep(TELL_EVERY).await;
                if tell(&told, begun.elapsed()).is_err() {
                    return;
                }
            }
        });
        Ok(Self { folder, library, over })
    }

    /// Lines of a script that give the program after them the clock `name`.
    pub(super) fn environment(&self, name: &str) -> String {
        let Some(library) = self.library else { return String::new() };
        let file = self.folder.join(name);
        format!(
            "export LD_PRELOAD='{library}' FAKETIME_TIMESTAMP_FILE='{}' FAKETIME_NO_CACHE=1 FAKETIME_DONT_FAKE_MONOTONIC=1\n",
            file.display()
        )
    }

    /// How far off the processes' own logs are from the times at which they were written, seconds at most; absent
    /// where nothing was wrong.
    pub(super) fn seen_off_s(&self, logs: &Path) -> Option<f64> {
        self.library?;
        let entries = std::fs::read_dir(logs).ok()?.filter_map(Result::ok);
        let off = entries.filter_map(|entry| {
            let written = entry.metadata().ok()?.modified().ok()?;
            let text = std::fs::read_to_string(entry.path()).ok()?;
            let stamp = text
                .lines()
                .rev()
                .find_map(|line| line.split_whitespace().next().and_then(seconds_of_day))?;
            let right = written.duration_since(std::time::UNIX_EPOCH).ok()?.as_secs_f64() % DAY_S;
            let apart = (stamp - right).rem_euclid(DAY_S);
            Some(apart.min(DAY_S - apart))
        });
        off.reduce(f64::max)
    }
}

impl Drop for Walls {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}

const DAY_S: f64 = 86_400.0;

/// The time of day in `2026-01-31T12:00:01.5Z`, in seconds.
fn seconds_of_day(stamp: &str) -> Option<f64> {
    let time = stamp.split_once('T')?.1.strip_suffix('Z')?;
    let mut parts = time.split(':').map(str::parse::<f64>);
    let mut next = || parts.next()?.ok();
    Some(next()? * 3600.0 + next()? * 60.0 + next()?)
}

/// What each clock shows more than it should after `elapsed`.
fn off(first: f64, elapsed: Duration) -> f64 {
    let steps = elapsed.as_secs() / STEP_EVERY.as_secs();
    let side = if steps.is_multiple_of(2) { 1.0 } else { -1.0 };
    first * side + elapsed.as_secs_f64() * DRIFT
}

fn tell(folder: &Path, elapsed: Duration) -> std::io::Result<()> {
    for (name, first) in CLOCKS {
        let fresh = folder.join(format!("{name}.new"));
        std::fs::write(&fresh, format!("{:+.6}\n", off(first, elapsed)))?;
        std::fs::rename(&fresh, folder.join(name))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn walls_drift_and_change_sides() {
        assert_eq!(off(60.0, Duration::ZERO), 60.0);
        assert_eq!(off(60.0, Duration::from_secs(4)), 60.008);
        assert_eq!(off(60.0, Duration::from_secs(6)), -59.988);
        assert_eq!(off(-0.1, Duration::from_secs(10)), -0.08);
    }

    #[test]
    fn the_time_of_a_line_is_read() {
        assert_eq!(seconds_of_day("2026-01-31T01:00:01.5Z"), Some(3601.5));
        assert_eq!(seconds_of_day("  at"), None);
        assert_eq!(seconds_of_day("T::Z"), None);
    }
}
