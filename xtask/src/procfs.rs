//! What Linux tells about processes.

use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process, kill_process_group};

/// Clock ticks per second in `/proc/PID/stat`: fixed in the interface of Linux to user space.
const USER_HZ: u64 = 100;

/// Processes with `config` among their words, other than this one, with their program names.
pub(crate) fn with_config(config: &Path) -> Vec<(u32, String)> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
    let mut found: Vec<_> = numbers
        .filter(|pid| *pid != std::process::id())
        .filter_map(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).ok()?;
            let words: Vec<_> = line.split(|byte| *byte == 0).map(String::from_utf8_lossy).collect();
            let program = Path::new(words.first()?.as_ref()).file_name()?.to_str()?.to_owned();
            let ours =
                ["atlas", "region-server", "store", "faulty-region-server"].contains(&program.as_str());
            let names_it =
                words.windows(2).any(|pair| pair[0] == "--config" && Path::new(pair[1].as_ref()) == config);
            (ours && names_it && is_alive(pid)).then_some((pid, program))
        })
        .collect();
    found.sort_unstable();
    found
}

/// Whether the process is there and is no zombie.
pub(crate) fn is_alive(pid: u32) -> bool {
    stat(pid).is_some_and(|words| words.first().is_some_and(|state| state != "Z" && state != "X"))
}

/// Sends a signal to one process; one that is gone already is as good.
pub(crate) fn signal(pid: u32, signal: Signal) {
    if let Some(pid) = as_pid(pid) {
        let _ = kill_process(pid, signal);
    }
}

/// Ends a process and its group by force.
pub(crate) fn kill_group(pid: u32) {
    if let Some(pid) = as_pid(pid) {
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

/// Resident memory in bytes; 0 where the process is gone.
pub(crate) fn resident_bytes(pid: u32) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches("kB").trim().parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

/// Processor time used so far, of all threads; zero where the process is gone.
pub(crate) fn cpu_time(pid: u32) -> Duration {
    cpu_time_of(&std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default())
}

fn cpu_time_of(stat: &str) -> Duration {
    let words = words(stat).unwrap_or_default();
    // utime and stime are fields 14 and 15; the state, which comes first here, is field 3.
    let ticks: u64 = [11, 12].iter().filter_map(|at| words.get(*at)?.parse::<u64>().ok()).sum();
    Duration::from_millis(ticks * 1000 / USER_HZ)
}

/// Processor time used so far by each thread, with the thread's name. Exact to a microsecond where the kernel
/// keeps scheduler statistics, else to a hundredth of a second.
pub(crate) fn thread_times(pid: u32) -> Vec<(String, Duration)> {
    let Ok(threads) = std::fs::read_dir(format!("/proc/{pid}/task")) else { return Vec::new() };
    let read = |path: PathBuf| std::fs::read_to_string(path).unwrap_or_default();
    let times = threads.filter_map(Result::ok).map(|thread| {
        let path = thread.path();
        let exact = read(path.join("schedstat")).split_whitespace().next().and_then(|ns| ns.parse().ok());
        let used = exact.map_or_else(|| cpu_time_of(&read(path.join("stat"))), Duration::from_nanos);
        (read(path.join("comm")).trim().to_owned(), used)
    });
    times.collect()
}

/// Number of processors, their name and the kernel.
pub(crate) fn machine() -> serde_json::Value {
    let cpus = std::thread::available_parallelism().map_or(0, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model =
        info.lines().find(|line| line.starts_with("model name")).and_then(|line| line.split_once(": "));
    let kernel = std::fs::read_to_string(PathBuf::from("/proc/sys/kernel/osrelease")).unwrap_or_default();
    serde_json::json!({ "cpus": cpus, "model": model.map(|(_, name)| name), "kernel": kernel.trim() })
}

/// The words of `/proc/PID/stat` after the program's name, which may hold spaces.
fn stat(pid: u32) -> Option<Vec<String>> {
    words(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

fn words(text: &str) -> Option<Vec<String>> {
    let (_, rest) = text.rsplit_once(')')?;
    Some(rest.split_whitespace().map(str::to_owned).collect())
}

fn as_pid(pid: u32) -> Option<Pid> {
    i32::try_from(pid).ok().and_then(Pid::from_raw)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_alive_and_uses_memory() {
        let me = std::process::id();
        assert!(is_alive(me) && resident_bytes(me) > 100_000);
        assert!(!is_alive(u32::MAX) && resident_bytes(u32::MAX) == 0);
        assert_eq!(cpu_time(u32::MAX), Duration::ZERO);
    }
}
